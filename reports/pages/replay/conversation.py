"""One conversation on the page of a replay: its figure, and the table of its messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reports.analysis.conversations import Conversation, Lane, Outcome
from reports.analysis.fates import short_list
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
class FateCell:
    """What one system did with one message."""

    kind: str
    words: str


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One message of a conversation's table."""

    number: int
    text: str
    remark: str
    at_ms: int
    fates: Sequence[FateCell]


@dataclass(frozen=True, slots=True)
class LossLine:
    """Messages of this conversation that one system lost for one reason."""

    words: str
    cause: str


@dataclass(frozen=True, slots=True)
class ConversationView:
    """One conversation: its figure and its table."""

    id: str
    place: int
    user: str
    instance: str
    figure: Swimlane
    losses: Sequence[LossLine]
    systems: Sequence[str]
    rows: Sequence[MessageRow]
    message_count: int

    @property
    def rows_left_out(self) -> int:
        """Messages for which the table has no room."""
        return self.message_count - len(self.rows)

    @property
    def folded(self) -> bool:
        """Whether the table is opened by the reader."""
        return self.message_count > ROWS_OPEN_MAX


def conversation_view(identifier: str, conversation: Conversation) -> ConversationView:
    """One conversation, with its figure laid out."""
    shown = _shown_messages(conversation)
    return ConversationView(
        id=identifier,
        place=conversation.place,
        user=short_phone(conversation.key.phone) or gettext("nobody"),
        instance=cut(one_line(conversation.key.instance), 40) or gettext("no instance"),
        figure=layout(conversation),
        losses=[line for lane in conversation.lanes for line in _losses(lane)],
        systems=[lane.system for lane in conversation.lanes],
        rows=[_message_row(conversation, place) for place in shown],
        message_count=len(conversation.messages),
    )


def _losses(lane: Lane) -> Iterable[LossLine]:
    """One line for each kind of loss, by the first message it took."""
    for events in lane_events(lane):
        numbers = short_list([number for event in events for number in event.lost])
        words = gettext("%(system)s lost %(numbers)s:", system=lane.system, numbers=numbers)
        yield LossLine(words, loss_words(lane.system, events))


def _shown_messages(conversation: Conversation) -> list[int]:
    """Places of the messages for the table: all, or those that were not answered everywhere and the earliest."""
    troubled = {number for lane in conversation.lanes for number in lane.troubled()}
    numbered = enumerate(conversation.messages)
    order = sorted(numbered, key=lambda one: (one[1].number not in troubled, one[0]))
    return sorted(place for place, _ in order[:ROWS_MAX])


def _message_row(conversation: Conversation, place: int) -> MessageRow:
    message = conversation.messages[place]
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
        number=message.number,
        text=cut(message.text, TEXT_LENGTH_MAX),
        remark=" ".join(remarks),
        at_ms=message.at_ms,
        fates=[_fate_cell(lane.outcomes.get(message.number)) for lane in conversation.lanes],
    )


def _fate_cell(outcome: Outcome | None) -> FateCell:
    if outcome is None:
        return FateCell("zero", gettext("not sent"))
    if outcome.fate == "answered":
        if not outcome.is_trouble:
            return FateCell("ok", f"✓ {duration(outcome.latency_ms)}")
        flaws = [gettext("twice")] * outcome.twice + [gettext("out of order")] * outcome.out_of_order
        return FateCell("warn", f"~ {', '.join([duration(outcome.latency_ms), *flaws])}")
    if outcome.fate == "lost":
        return FateCell("bad", f"✗ {fate_words('lost')}")
    return FateCell("warn", fate_words(outcome.fate))
