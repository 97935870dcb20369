"""The layout of one system's lane in a conversation's figure.

A lane has, from top to bottom: its heading, the times of losses, the waits of turns, the messages at their arrival, and
the batches from hand-over to reply, with their AI calls. Crowded messages go to further rows; if that is not enough,
those with the same outcome share one mark. All sizes are in px.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from reports.analysis.conversations import Lane, Message, Outcome, Span
from reports.analysis.fates import lane_words, outcome_words, short_list, span_label, span_title
from reports.analysis.losses import why
from reports.drawing.timescale import TimeScale
from reports.text import cut, one_line, width_px
from reports.words.language import gettext
from reports.words.numbers import TIMES, duration, number_list

MARGIN_PX = 12.0
ROW_PX = 20.0
LABEL_PX = 11.0
SINGLES_MAX = 30
"""Maximum number of messages that get a mark each."""
SINGLE_ROWS_MAX = 3
GROUP_ROWS_MAX = 5
SPANS_LINKED_MAX = 4
"""Maximum number of batches that a mark is linked to; nobody could follow more lines."""
LOSS_PX_MIN = 14.0
WINDOW_ROW_PX = 16.0
WINDOW_PX_MIN = 6.0
SIGNS = {
    "answered": "",
    "wrong": "~ ",
    "lost": f"{TIMES} ",
    "unanswered": f"{TIMES} ",
    "dead_lettered": "! ",
    "pending": "… ",
}


@dataclass(frozen=True, slots=True)
class Box:
    """A mark of messages with a label; `y` is its middle, `spans` are the batches that its messages went into."""

    kind: str
    left: float
    width: float
    label: str
    title: str
    y: float
    numbers: Sequence[int] = ()
    spans: Sequence[int] = ()

    @property
    def middle(self) -> float:
        """Middle of the mark, where lines to and from it begin."""
        return self.left + self.width / 2


@dataclass(frozen=True, slots=True)
class Link:
    """A line from a message down to its batch, or up to the moment of its loss."""

    x: float
    y: float
    to_x: float
    to_y: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A batch; its label stands inside, or to its right where it is too narrow."""

    left: float
    width: float
    y: float
    label: str
    label_x: float
    label_width: float
    inside: bool
    state: Literal["replied", "unanswered", "superseded"]
    title: str
    asked: Sequence[tuple[float, float]]
    """AI calls: the left end and the width of each."""


@dataclass(frozen=True, slots=True)
class Window:
    """The time that a turn waited for more messages: from its first one until it was due."""

    left: float
    width: float
    y: float
    label: str
    label_width: float
    """Room for the label in the middle, where no line is drawn: a line behind it shows between its letters."""
    title: str


@dataclass(frozen=True, slots=True)
class LossMark:
    """The moment at which messages vanished."""

    x: float
    y: float
    label: str
    title: str
    to_left: bool


@dataclass(frozen=True, slots=True)
class DrawnLane:
    """One system's lane: its position and its contents."""

    system: str
    outcome: str
    state: str
    top: float
    height: float
    boxes: Sequence[Box]
    bars: Sequence[Bar]
    links: Mapping[str, Sequence[Link]]
    losses: Sequence[LossMark]
    windows: Sequence[Window]


@dataclass(frozen=True, slots=True)
class _Moment:
    """A moment at which messages vanished, and their numbers."""

    x: float
    numbers: list[int]


class LaneLayout:
    """The layout of one lane from `top` downwards."""

    def __init__(
        self,
        lane: Lane,
        messages: Sequence[Message],
        scale: TimeScale,
        top: float,
        is_shown: Callable[[int], bool],
    ) -> None:
        self._lane = lane
        self._scale = scale
        self._top = top
        self._messages = [message for message in messages if message.number in lane.outcomes]
        self._spans = [span for span in lane.spans if is_shown(span.claimed_at_ms)]
        self._spans_of: dict[int, list[int]] = {}
        for index, span in enumerate(self._spans):
            for number in dict.fromkeys(span.numbers):
                self._spans_of.setdefault(number, []).append(index)

    def draw(self) -> DrawnLane:
        """Return the lane with everything in it."""
        losses = self._losses()
        loss_y = self._top + 34
        y = self._top + 38 + (ROW_PX if losses else 0)
        windows = list(self._windows(y - 3))
        y += WINDOW_ROW_PX if windows else 0
        boxes, row_count = self._boxes(y)
        marks_end = y + (row_count - 0.5) * ROW_PX
        bars, bars_end = self._bars(marks_end + 20)
        return DrawnLane(
            system=self._lane.system,
            outcome=lane_words(self._lane),
            state="bad"
            if self._lane.numbers("lost") or self._lane.numbers("unanswered")
            else "warn"
            if self._lane.troubled()
            else "",
            top=self._top,
            height=bars_end - self._top + 8,
            boxes=boxes + self._repeats(y),
            bars=bars,
            links={
                "claimed": _claims(boxes, bars),
                "vanished": _vanishings(boxes, losses, loss_y + 5),
            },
            losses=list(self._loss_marks(losses, loss_y)),
            windows=windows,
        )

    def _windows(self, y: float) -> Iterable[Window]:
        """Yield a window for each turn that waited, unless it would cover the one before."""
        sent = {message.number: message.at_ms for message in self._messages}
        taken = 0.0
        for span in self._spans:
            first_ms = min((sent[number] for number in span.numbers if number in sent), default=None)
            if first_ms is None or span.due_at_ms is None or span.due_at_ms <= first_ms:
                continue
            left, right = self._scale.x(first_ms), self._scale.x(span.due_at_ms)
            if left < taken or right - left < WINDOW_PX_MIN:
                continue
            taken = right
            waited = duration(span.due_at_ms - first_ms)
            label = gettext("waits %(time)s", time=waited)
            title = gettext(
                "%(numbers)s: due at %(moment)s, %(time)s after the first message",
                numbers=short_list(span.numbers),
                moment=duration(span.due_at_ms),
                time=waited,
            )
            label_width = width_px(label, LABEL_PX)
            if label_width + 16 > right - left:
                label, label_width = "", 0.0
            yield Window(left, right - left, y, label, label_width, title)

    def _boxes(self, y: float) -> tuple[list[Box], int]:
        """Return the marks from `y` downwards, and the number of their rows.

        Each message gets a mark; if that takes too many rows, neighbours with equal outcomes share one, or else all of
        a kind.
        """
        by_message = (lambda message: (message.number,), SINGLE_ROWS_MAX)
        by_outcome = (self._outcome_key, GROUP_ROWS_MAX)
        ways = (by_message, by_outcome) if len(self._messages) <= SINGLES_MAX else (by_outcome,)
        for key, rows_max in ways:
            boxes, row_count = self._in_rows([list(group) for _, group in groupby(self._messages, key)], y)
            if row_count <= rows_max:
                return boxes, row_count
        by_kind: dict[str, list[Message]] = {}
        for message in self._messages:
            by_kind.setdefault(_kind(self._lane.outcomes[message.number]), []).append(message)
        return self._in_rows(by_kind.values(), y)

    def _in_rows(self, groups: Iterable[Sequence[Message]], y: float) -> tuple[list[Box], int]:
        rows: list[float] = []
        boxes = []
        for box in map(self._box, groups):
            row = free_row(rows, box.left, box.left + box.width)
            boxes.append(replace(box, y=y + row * ROW_PX))
        return boxes, max(len(rows), 1)

    def _outcome_key(self, message: Message) -> tuple[object, ...]:
        outcome = self._lane.outcomes[message.number]
        return (
            outcome.fate,
            outcome.twice,
            outcome.out_of_order,
            outcome.probably_unread,
            outcome.lost_at_ms,
            *self._spans_of.get(message.number, []),
        )

    def _box(self, messages: Sequence[Message]) -> Box:
        """Make the mark of messages that are drawn alike; its row is set later."""
        numbers = [message.number for message in messages]
        kind = _kind(self._lane.outcomes[numbers[0]])
        first, last = self._scale.x(messages[0].at_ms), self._scale.x(messages[-1].at_ms)
        label = SIGNS[kind] + short_list(numbers, 24)
        width = max(width_px(label, LABEL_PX) + 9, last - first + 16, 17)
        left = min((first + last - width) / 2, self._scale.right_px + MARGIN_PX - width)
        spans = dict.fromkeys(index for number in numbers for index in self._spans_of.get(number, []))
        return Box(kind, max(0.0, left), width, label, _title(self._lane, messages), 0, numbers, tuple(spans))

    def _repeats(self, y: float) -> list[Box]:
        """Return small marks for further deliveries of messages."""
        return [
            Box("again", x - 4, 8, "", gettext("%(number)s was delivered again", number=message.number), y)
            for message in self._messages
            for x in map(self._scale.x, message.again_at_ms)
        ]

    def _bars(self, top: float) -> tuple[list[Bar], float]:
        bars: list[Bar] = []
        rows: list[float] = []
        for span in self._spans:
            left = self._scale.x(span.claimed_at_ms)
            end = self._end(span, left)
            width = max(end - left, 3.0)
            label = span_label(span)
            label_width = width_px(label, LABEL_PX)
            inside = label_width + 18 <= width
            row = free_row(rows, left, left + width + (10 if inside else 20 + label_width))
            bars.append(
                Bar(
                    left=left,
                    width=width,
                    y=top + row * 24,
                    label=label,
                    label_x=left + (6 if inside else width + 12),
                    label_width=label_width,
                    inside=inside,
                    state=_state(span),
                    title=span_title(span),
                    asked=[
                        (self._scale.x(start), max(self._scale.x(end) - self._scale.x(start), 1.0))
                        for start, end in span.ai_ms
                    ],
                )
            )
        return bars, top + max(len(rows), 0.5) * 24 - 4

    def _end(self, span: Span, left: float) -> float:
        """Return where the bar of a batch ends: at its reply or where that was dropped, or else after its AI calls."""
        end_ms = span.superseded_at_ms if span.replied_at_ms is None else span.replied_at_ms
        if end_ms is not None:
            return self._scale.x(end_ms)
        return max([left + 26, *(self._scale.x(end) for _, end in span.ai_ms)])

    def _losses(self) -> list[_Moment]:
        """Return the moments of losses by time; moments too close to be drawn apart are merged."""
        by_time: dict[int, list[int]] = {}
        for message in self._messages:
            outcome = self._lane.outcomes[message.number]
            if outcome.lost_at_ms is not None:
                by_time.setdefault(outcome.lost_at_ms, []).append(message.number)
        moments: list[_Moment] = []
        for at_ms, lost in sorted(by_time.items()):
            x = self._scale.x(at_ms)
            if moments and x - moments[-1].x < LOSS_PX_MIN:
                moments[-1].numbers.extend(lost)
            else:
                moments.append(_Moment(x, lost))
        return moments

    def _loss_marks(self, moments: Sequence[_Moment], y: float) -> Iterable[LossMark]:
        """Yield crosses, with labels where those have room up to the next cross."""
        right_end = self._scale.right_px + MARGIN_PX
        left_ends = [0.0, *(moment.x + LOSS_PX_MIN / 2 for moment in moments)]
        right_ends = [*(moment.x - LOSS_PX_MIN / 2 for moment in moments[1:]), right_end]
        for moment, left, right in zip(moments, left_ends, right_ends, strict=False):
            label = gettext("%(numbers)s lost", numbers=short_list(sorted(moment.numbers), 24))
            needed = width_px(label, LABEL_PX) + 12
            to_left = needed > right - moment.x and moment is moments[-1]
            room = moment.x - left if to_left else right - moment.x
            yield LossMark(moment.x, y, label if needed <= room else "", self._loss_title(moment), to_left)

    def _loss_title(self, moment: _Moment) -> str:
        outcome = self._lane.outcomes[moment.numbers[0]]
        return gettext(
            "%(numbers)s lost at %(moment)s: %(cause)s",
            numbers=number_list(moment.numbers),
            moment=duration(outcome.lost_at_ms),
            cause=why(self._lane, moment.numbers),
        )


def _state(span: Span) -> Literal["replied", "unanswered", "superseded"]:
    if span.superseded_at_ms is not None:
        return "superseded"
    return "unanswered" if span.replied_at_ms is None else "replied"


def _claims(boxes: Sequence[Box], bars: Sequence[Bar]) -> list[Link]:
    """Link messages to the batches that took them."""
    return [
        Link(box.middle, box.y + 8, bars[index].left, bars[index].y)
        for box in boxes
        if len(box.spans) <= SPANS_LINKED_MAX
        for index in box.spans
    ]


def _vanishings(boxes: Sequence[Box], moments: Sequence[_Moment], y: float) -> list[Link]:
    """Link messages to the moments of their loss."""
    return [
        Link(box.middle, box.y - 8, moment.x, y)
        for box in boxes
        for moment in moments
        if box.numbers[0] in moment.numbers
    ]


def _kind(outcome: Outcome) -> str:
    """Return how a message is drawn: by its fate, or as "wrong" if it was answered with any flaw."""
    return "wrong" if outcome.fate == "answered" and outcome.is_trouble else outcome.fate


def _title(lane: Lane, messages: Sequence[Message]) -> str:
    numbers = [message.number for message in messages]
    outcome = lane.outcomes[numbers[0]]
    subject, words = number_list(numbers), outcome_words(outcome)
    if len(messages) == 1:
        subject = cut(one_line(messages[0].id), 40)
        if outcome.latency_ms is not None:
            words = gettext("%(fate)s after %(time)s", fate=words, time=duration(outcome.latency_ms))
    reason = why(lane, numbers)
    return f"{subject}: {words}" + (f": {reason}" if reason else "")


def free_row(rows: list[float], left: float, right: float, gap: float = 3.0) -> int:
    """Occupy the first row that is free from `left` on, up to `right`, and return its index."""
    for index, taken in enumerate(rows):
        if taken + gap <= left:
            rows[index] = right
            return index
    rows.append(right)
    return len(rows) - 1
