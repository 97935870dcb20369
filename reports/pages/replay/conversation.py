"""One conversation on the page of a replay: its figure, and the table of its messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reports.analysis.conversations import Conversation, Lane, Message, Outcome
from reports.analysis.fates import outcome_flaws, short_list
from reports.analysis.losses import lane_events, loss_words
from reports.drawing.swimlane import Swimlane, layout
from reports.text import cut, one_line, short_phone
from reports.words.codes import fate_words, kind_words
from reports.words.language import gettext, ngettext
from reports.words.numbers import duration

ROWS_MAX = 24
ROWS_OPEN_MAX = 8
TEXT_LENGTH_MAX = 500


@dataclass(frozen=True, slots=True)
class MessageRow:
    """Row of a conversation's table: a message, and its fate on each system as a CSS class and words."""

    message: Message
    text: str
    remark: str
    fates: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class ConversationView:
    """Conversation with its figure and its table. `losses` says which messages a system lost, and why."""

    id: str
    conversation: Conversation
    user: str
    instance: str
    figure: Swimlane
    losses: Sequence[tuple[str, str]]
    rows: Sequence[MessageRow]

    @property
    def folded(self) -> bool:
        """True if the table is closed until the reader opens it."""
        return len(self.conversation.messages) > ROWS_OPEN_MAX


def conversation_view(identifier: str, conversation: Conversation) -> ConversationView:
    """Lay out one conversation."""
    return ConversationView(
        id=identifier,
        conversation=conversation,
        user=short_phone(conversation.key.phone) or gettext("nobody"),
        instance=cut(one_line(conversation.key.instance), 40) or gettext("no instance"),
        figure=layout(conversation),
        losses=[loss for lane in conversation.lanes for loss in _losses(lane)],
        rows=[_message_row(message, conversation.lanes) for message in _shown_messages(conversation)],
    )


def _losses(lane: Lane) -> Iterable[tuple[str, str]]:
    """Yield the messages and the cause of each kind of loss, in the order of their first messages."""
    for events in lane_events(lane):
        numbers = short_list([number for event in events for number in event.lost])
        words = gettext("%(system)s lost %(numbers)s:", system=lane.system, numbers=numbers)
        yield words, loss_words(lane.system, events)


def _shown_messages(conversation: Conversation) -> list[Message]:
    """Return the messages for the table: all; or, if there are too many, those that went wrong, then the earliest."""
    troubled = {number for lane in conversation.lanes for number in lane.troubled()}
    ordered = sorted(conversation.messages, key=lambda message: message.number not in troubled)
    return sorted(ordered[:ROWS_MAX], key=lambda message: message.number)


def _message_row(message: Message, lanes: Sequence[Lane]) -> MessageRow:
    remarks = []
    if message.kind != "text" or not message.text:
        remarks.append(f"({kind_words(cut(one_line(message.kind), 40))})")
    if len(message.text) > TEXT_LENGTH_MAX:
        remarks.append(
            ngettext("(%(num)s character in all)", "(%(num)s characters in all)", len(message.text))
        )
    if message.again_at_ms:
        times = len(message.again_at_ms) + 1
        remarks.append(ngettext("(delivered %(num)s time)", "(delivered %(num)s times)", times))
    return MessageRow(
        message,
        cut(message.text, TEXT_LENGTH_MAX),
        " ".join(remarks),
        [_fate(lane.outcomes.get(message.number)) for lane in lanes],
    )


def _fate(outcome: Outcome | None) -> tuple[str, str]:
    if outcome is None:
        return "zero", gettext("not sent")
    if outcome.fate in ("lost", "unanswered"):
        return "bad", f"✗ {fate_words(outcome.fate)}"
    if outcome.fate != "answered":
        return "warn", fate_words(outcome.fate)
    if not outcome.is_trouble:
        return "ok", f"✓ {duration(outcome.latency_ms)}"
    return "warn", f"~ {', '.join([duration(outcome.latency_ms), *outcome_flaws(outcome)])}"
