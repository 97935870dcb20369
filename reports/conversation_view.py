"""What the page shows of one conversation: its figure, and the table of its messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.conversations import Conversation, Outcome
from reports.lane import WORDS
from reports.swimlane import Swimlane, layout
from reports.text import cut, duration, one_line, short_phone

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
class ConversationView:
    """One conversation: its figure and its table."""

    id: str
    place: int
    user: str
    instance: str
    figure: Swimlane
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
        user=short_phone(conversation.key.phone) or "nobody",
        instance=cut(one_line(conversation.key.instance), 40) or "no instance",
        figure=layout(conversation),
        systems=[lane.system for lane in conversation.lanes],
        rows=[_message_row(conversation, place) for place in shown],
        message_count=len(conversation.messages),
    )


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
        remarks.append(f"({cut(one_line(message.kind), 40)})")
    if len(message.text) > TEXT_LENGTH_MAX:
        remarks.append(f"({len(message.text):,} characters in all)")
    if message.again_at_ms:
        remarks.append(f"(delivered {len(message.again_at_ms) + 1} times)")
    return MessageRow(
        number=message.number,
        text=cut(message.text, TEXT_LENGTH_MAX),
        remark=" ".join(remarks),
        at_ms=message.at_ms,
        fates=[_fate_cell(lane.outcomes.get(message.number)) for lane in conversation.lanes],
    )


def _fate_cell(outcome: Outcome | None) -> FateCell:
    if outcome is None:
        return FateCell("zero", "not sent")
    if outcome.fate == "answered":
        if not outcome.is_trouble:
            return FateCell("ok", f"✓ {duration(outcome.latency_ms)}")
        flaws = ["twice"] * outcome.twice + ["out of order"] * outcome.out_of_order
        return FateCell("warn", f"~ {duration(outcome.latency_ms)}, {' and '.join(flaws)}")
    if outcome.fate == "lost":
        return FateCell("bad", "✗ lost")
    return FateCell("warn", WORDS[outcome.fate])
