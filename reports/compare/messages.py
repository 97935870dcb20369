"""Comparison of two replays of a recording message by message: the fate of each, and how long it waited."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from reports.analysis.figures import QUANTILES, quantiles
from reports.analysis.losses import why
from reports.analysis.recording import ReplayedRecording
from reports.compare.comparison import LEVELS, Change, Level
from reports.compare.thresholds import EXACT_TIME
from reports.results.baseline import BaselineRun
from reports.results.files import ResultError
from reports.results.replay import Fate
from reports.text import Phones, cut, one_line
from reports.words.codes import fate_words
from reports.words.figures import quantile_of, relative
from reports.words.language import gettext

ID_LENGTH_MAX = 60
_SEVERITIES: Mapping[str, int] = {"answered": 0, "unsent": 1, "dead_lettered": 2, "pending": 3, "lost": 4}
_FATES: Mapping[str, Fate] = {"lost": "lost", "dead_lettered": "dead_lettered", "pending": "pending"}


class MessagePair(NamedTuple):
    """One message in both replays, each outcome as the word that a baseline has for it.

    `conversation` counts those of the recording, and `number` the messages of the conversation, both from 1.
    """

    conversation: int
    number: int
    before: str
    after: str

    @property
    def is_newly_answered(self) -> bool:
        """True for a message that has a reply in the later replay and had none in the earlier one."""
        return wait_ms(self.before) is None and wait_ms(self.after) is not None

    @property
    def level(self) -> Level:
        """Level of the change: worse for a graver fate, or for more flaws with an equal fate."""
        old, new = _severity(self.before), _severity(self.after)
        if old == new:
            return "changed"
        return "worse" if new > old else "better"


def paired_messages(before: BaselineRun, after: BaselineRun) -> list[MessagePair]:
    """Pair the messages of two runs of one recording on one system.

    Raises:
        ResultError: the runs hold different messages.
    """
    old, new = _words(before), _words(after)
    if old.keys() != new.keys():
        raise ResultError(
            gettext(
                "the baseline has other messages of %(recording)s on %(system)s than the recording: make it again",
                recording=cut(one_line(after["recording"]), ID_LENGTH_MAX),
                system=cut(one_line(after["system"]), ID_LENGTH_MAX),
            )
        )
    return [MessagePair(*key, old[key], word) for key, word in new.items()]


def _words(run: BaselineRun) -> dict[tuple[int, int], str]:
    return {
        (conversation, number): word
        for conversation, line in enumerate(run["messages"], 1)
        for number, word in enumerate(line.split(), 1)
    }


def wait_ms(word: str) -> int | None:
    """Return how long a message waited for its reply; None for a message without a reply."""
    head = _head(word)
    return int(head) if head.removeprefix("-").isdecimal() else None


def wait_changes(
    messages: Sequence[MessagePair], recording: str, system: str, *, are_all_compared: bool = True
) -> Iterator[Change]:
    """Compare quantiles of the waits of the messages that were answered on both sides.

    Quantiles of all answered messages would fall when slow messages are lost. The subject says so if the sides answered
    different messages, or `are_all_compared` is false. Nothing counts as better if messages are no longer answered,
    because the others may have waited less for that reason.
    """
    waits = [(wait_ms(message.before), wait_ms(message.after)) for message in messages]
    both = [(old, new) for old, new in waits if old is not None and new is not None]
    if not both:
        return
    is_whole = are_all_compared and all((old is None) == (new is None) for old, new in waits)
    loses_answers = any(old is not None and new is None for old, new in waits)
    words = (
        gettext("message to reply") if is_whole else gettext("message to reply, where answered both times")
    )
    before, after = (quantiles(side) for side in zip(*both, strict=True))
    for name in QUANTILES:
        old, new = before[name], after[name]
        if old is not None and new is not None and old != new:
            level = EXACT_TIME.level(old, new - old) or "changed"
            if level == "better" and loses_answers:
                level = "changed"
            subject = quantile_of(words, name)
            yield Change(level, recording, system, subject, exact_ms(old), time_after(old, new))


def message_changes(
    messages: Sequence[MessagePair], recording: ReplayedRecording, system: str
) -> list[Change]:
    """Return a change for each message with another outcome than before, the worst first."""
    differing = [message for message in messages if message.before != message.after]
    if not differing:
        return []
    phones = Phones(key.phone for key in recording.numbers)
    changes = [_message_change(message, recording, system, phones) for message in differing]
    return sorted(changes, key=lambda change: LEVELS.index(change.level))


def _message_change(pair: MessagePair, recording: ReplayedRecording, system: str, phones: Phones) -> Change:
    conversation = recording.in_order[pair.conversation - 1]
    message = conversation.messages[pair.number - 1]
    subject = gettext(
        "conversation %(conversation)s, message %(number)s (%(id)s)",
        conversation=pair.conversation,
        number=pair.number,
        id=cut(one_line(phones.hide(message.id)), ID_LENGTH_MAX),
    )
    is_lost = _head(pair.after) == "lost"
    return Change(
        pair.level,
        recording.name,
        system,
        subject,
        _outcome_words(pair.before),
        _outcome_words(pair.after),
        why(conversation.lane(system), [pair.number]) if is_lost else "",
        topic="loss" if is_lost and _severity(pair.before)[0] == _SEVERITIES["answered"] else "fate",
    )


def exact_ms(time_ms: float | None) -> str:
    """Write a time in milliseconds, since other units hide a difference of one millisecond."""
    return gettext("none") if time_ms is None else gettext("%(number)s ms", number=f"{int(time_ms):,}")


def time_after(old: float | None, new: float | None) -> str:
    """Write the new time, and how much more or less it is."""
    change = relative(old, new)
    return exact_ms(new) + (f" ({change})" if change else "")


def _head(word: str) -> str:
    return word.partition("+")[0]


def _severity(word: str) -> tuple[int, int]:
    return _SEVERITIES.get(_head(word), 0), word.count("+")


def _outcome_words(word: str) -> str:
    """Describe the outcome that a word of a baseline stands for."""
    head, *flaws = word.split("+")
    if head.isdecimal():
        outcome = gettext("answered after %(time)s", time=exact_ms(int(head)))
    elif head == "unsent":
        outcome = gettext("not sent")
    else:
        outcome = fate_words(_FATES[head]) if head in _FATES else one_line(head)
    words = {"twice": gettext("twice"), "order": gettext("out of order")}
    return gettext(", ").join([outcome, *(words[flaw] for flaw in flaws)])
