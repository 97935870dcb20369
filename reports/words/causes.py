"""Causes of loss in sentences: which messages were lost, how, and why they were not answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reports.results.causes import Cause, CauseCode, RewriteStep
from reports.text import cut, one_line
from reports.words.language import gettext, marked, ngettext
from reports.words.numbers import number_list, round_duration

NUMBERS_MAX = 12
"""Limit on message numbers, or ranges of them, in one part of a sentence."""
SYSTEM_LENGTH_MAX = 60
SENTENCES: Mapping[CauseCode, str] = {
    "marked_unread": marked(
        "%(subject)s arrived while the AI was answering %(answering)s. %(system)s then marked the whole buffer as "
        "done, and nobody read it again."
    ),
    "overwritten_by_webhook": marked(
        "The webhook of %(writers)s had read the buffer before %(messages)s came into it. Writing its copy back, it "
        "erased %(messages)s."
    ),
    "overwritten_by_mark": marked(
        "After answering %(answering)s, %(system)s read the buffer in order to mark it as done, and %(messages)s came "
        "into it meanwhile. Writing its copy back, %(system)s erased %(messages)s."
    ),
    "written_back_unread": marked(
        "A webhook wrote the buffer back as not done after its timer had run. No timer was left to start "
        "the reading of %(messages)s."
    ),
    "timer_died": marked(
        "The timer that was to start the reading of the buffer died with the process that had set it. Nothing else "
        "reads %(messages)s."
    ),
    "calls_failed": marked(
        "The HTTP call that was to start the reading of the buffer failed, and %(system)s does not repeat it. Nothing "
        "else reads %(messages)s."
    ),
    "buffer_expired": marked(
        "Nobody wrote to the buffer for %(time)s, so Redis deleted it, before anybody had read %(messages)s."
    ),
    "never_written": marked(
        "The webhook of %(messages)s ended before it had written anything into a buffer."
    ),
    "dropped_unread": marked(
        "%(system)s had read the list before %(messages)s came into it. Replacing the list by its copy, %(purpose)s, "
        "%(system)s erased %(messages)s."
    ),
    "dropped_after_crash": marked(
        "The process that was handling %(messages)s crashed. %(system)s then rewrote the list, %(purpose)s, and left "
        "out %(messages)s."
    ),
    "list_expired": marked(
        "Nobody wrote to the list for %(time)s, so Redis deleted it, before anybody had answered %(messages)s."
    ),
    "list_hidden": marked(
        "A colon in a name hides the list from the scheduler, so nobody read %(messages)s. After %(time)s without a "
        "write Redis deleted the list."
    ),
    "never_pushed": marked("The webhook of %(messages)s ended before it had pushed anything to a list."),
    "ai_failed": marked(
        "The AI failed on %(messages)s. %(system)s marked the turn as done nevertheless, and did not try again."
    ),
    "direct_failed": marked(
        "Redis failed, so the webhook itself asked the AI about %(messages)s. The AI failed too."
    ),
    "shared_key": marked(
        "A colon in a name makes two conversations share a key in Redis, so the reply to %(messages)s went to another "
        "user."
    ),
    "answered_elsewhere": marked("The reply to %(messages)s went to another user."),
    "ai_failed_once": marked(
        "The AI failed on %(messages)s. %(system)s keeps nothing of a turn that it has begun, and does not try again."
    ),
    "deleted_unread": marked(
        "%(system)s had read the list before %(messages)s came into it. Then it deleted the list as a whole."
    ),
    "ignored_duplicate": marked(
        "The text of %(messages)s equals the one before it, and %(system)s is set to leave such texts out."
    ),
    "shared_timer": marked(
        "The user wrote to another bot as well, and %(system)s has one timer for both. The turn was answered there, "
        "with %(messages)s in it, and not here."
    ),
    "dropped_while_busy": marked(
        "%(subject)s arrived while another message was being answered. %(system)s is set to drop such messages."
    ),
    "queue_full": marked(
        "%(limit)s messages waited already, which is the limit of %(system)s, so it dropped %(messages)s."
    ),
    "queued_unread": marked(
        "%(subject)s came into the queue after %(system)s had read it for the last time. %(system)s reads the queue "
        "again when the user writes again, and then drops messages that have waited for more than %(time)s."
    ),
    "entry_expired": marked(
        "%(subject)s waited for more than %(time)s. After that time %(system)s drops a queued message unread."
    ),
    "skipped": marked("%(system)s answered the latest message of the turn only. %(subject)s came before it."),
    "job_overwritten": marked(
        "The webhook of %(writers)s had read the waiting job before %(messages)s came into it. Writing its data back, "
        "it erased %(messages)s."
    ),
    "job_existed": marked(
        "Another webhook had just made a job with the same name. BullMQ ignored the second job, and %(messages)s "
        "with it."
    ),
    "job_started": marked(
        "The worker took the job while the webhook of %(messages)s was changing it. The webhook failed after it had "
        "been acknowledged."
    ),
    "process_died": marked(
        "A process of %(system)s died while it still had to answer %(messages)s or earlier messages. Nothing else "
        "reads %(messages)s."
    ),
    "redis_lost_writes": marked("Redis lost its last writes, and %(messages)s with them."),
    "redis_failed": marked(
        "Redis failed while %(system)s was handling %(messages)s, and nobody tried again."
    ),
    "channel_failed": marked(
        "The send API refused the reply to %(messages)s. %(system)s marked the turn as done all the same, and nobody "
        "tried again."
    ),
    "vanished": marked("%(system)s took %(messages)s, and nothing shows what happened then."),
}
_LATER_TIMER_DIED = marked(
    "The call that was to start the reading of the buffer failed, and the timer for try %(call)s died with the process "
    "that had set it. Nothing else reads %(messages)s."
)
_CALLS_FAILED = marked(
    "The HTTP call that was to start the reading of the buffer failed %(calls)s times, and %(system)s gave up. Nothing "
    "else reads %(messages)s."
)
_PURPOSES: Mapping[RewriteStep, str] = {
    "mark_processing": marked("in order to mark what it had taken"),
    "mark_completed": marked("in order to remove what it had answered"),
    "recovery": marked("in order to free what a crashed process had taken"),
}


def cause_words(cause: Cause, system: str, lost: Sequence[int], numbers: Mapping[str, int]) -> str:
    """Explain why the messages numbered `lost` were lost; `numbers` has the conversation's message numbers by id."""
    answering = [numbers[name] for name in cause.get("answering", ()) if name in numbers]
    writers = [numbers[name] for name in cause.get("writers", ()) if name in numbers]
    return _sentence(
        cause,
        system=system,
        subject=ngettext("Message %(numbers)s", "Messages %(numbers)s", len(lost), numbers=_listed(lost)),
        messages=messages_words(lost),
        answering=_listed(answering) if answering else gettext("others"),
        writers=messages_words(writers) if writers else gettext("another message"),
    )


def unnumbered_cause_words(cause: Cause, system: str, count: int) -> str:
    """Explain why `count` messages were lost, without their numbers."""
    return _sentence(
        cause,
        system=system,
        subject=ngettext("This message", "These messages", count),
        messages=ngettext("this message", "these messages", count),
        answering=gettext("others"),
        writers=gettext("another message"),
    )


def _sentence(cause: Cause, *, system: str, **names: str) -> str:
    sentence = SENTENCES[cause["code"]]
    if cause.get("call", 1) > 1:
        sentence = _LATER_TIMER_DIED
    elif cause.get("calls", 1) > 1:
        sentence = _CALLS_FAILED
    return gettext(
        sentence,
        **names,
        system=cut(one_line(system), SYSTEM_LENGTH_MAX),
        call=cause.get("call"),
        calls=cause.get("calls"),
        purpose=gettext(_PURPOSES[cause.get("step", "mark_processing")]),
        time=round_duration(1000 * cause.get("ttl_s", 0)),
        limit=cause.get("limit"),
    )


def messages_words(numbers: Sequence[int]) -> str:
    """Name messages by their numbers: `message 3`, `messages 4 and 5`."""
    return ngettext("message %(numbers)s", "messages %(numbers)s", len(numbers), numbers=_listed(numbers))


def _listed(numbers: Sequence[int]) -> str:
    return number_list(numbers, last=gettext(" and "), parts_max=NUMBERS_MAX)
