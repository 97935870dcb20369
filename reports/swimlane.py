"""The layout of a conversation's figure: one time axis, one lane for each system. `swimlane.svg` draws it.

A lane has, from top to bottom: what it shows, the moments of losses, the messages at their arrival, and the batches
from the hand-over to the reply. Crowded messages go to further rows, and where that does not do, those that
fared alike share one mark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from reports.conversations import Conversation, Lane, Message, Outcome, Span
from reports.schema import Fate
from reports.text import count, cut, duration, is_right_to_left, number_list, one_line, width_px
from reports.timescale import Break, Tick, TimeScale, busy_times, time_scale

WIDTH_PX = 1020.0
WIDTH_PX_MAX = 2400.0
MARGIN_PX = 12.0
SCALE_MIN = 0.012
"""px/ms below which a batch of a few seconds could not be seen."""
ROW_PX = 20.0
LABEL_PX = 11.0
SINGLE_ROWS_MAX = 3
GROUP_ROWS_MAX = 5
TEXT_LENGTH_MAX = 26
TEXT_ROWS_MAX = 4
SIGNS: Mapping[str, str] = {
    "answered": "",
    "wrong": "~ ",
    "lost": "× ",
    "dead_lettered": "! ",
    "pending": "… ",
}  # noqa: RUF001
WORDS: Mapping[Fate, str] = {
    "answered": "answered",
    "lost": "lost",
    "dead_lettered": "dead-lettered",
    "pending": "still waiting",
}


@dataclass(frozen=True, slots=True)
class Box:
    """A mark with a label; `y` is its middle."""

    kind: str
    left: float
    width: float
    y: float
    label: str
    title: str
    middle: float


@dataclass(frozen=True, slots=True)
class Link:
    """A line from a message down to its batch, or up to the moment of its loss."""

    kind: str
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
    inside: bool
    replied: bool
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
    """One system's lane: where it lies, and what stands in it."""

    system: str
    told: str
    bad: bool
    top: float
    height: float
    boxes: Sequence[Box]
    bars: Sequence[Bar]
    links: Sequence[Link]
    losses: Sequence[LossMark]


@dataclass(frozen=True, slots=True)
class Caption:
    """What a message says, over the lanes."""

    x: float
    y: float
    number: int
    text: str
    right_to_left: bool


@dataclass(frozen=True, slots=True)
class Swimlane:
    """The whole figure, sizes in px. `left_out` counts stretches of time that are not drawn."""

    width: float
    height: float
    scale: TimeScale
    axis_y: float
    captions: Sequence[Caption]
    lanes: Sequence[DrawnLane]
    left_out: int
    description: str

    @property
    def ticks(self) -> Sequence[Tick]:
        """The axis's labels."""
        return self.scale.ticks()

    @property
    def breaks(self) -> Sequence[Break]:
        """The gaps in the axis."""
        return self.scale.breaks()


def layout(conversation: Conversation) -> Swimlane:
    """Lays the conversation out; the same conversation always comes out the same."""
    busy, left_out = _shown(conversation)
    scale = time_scale(busy, MARGIN_PX, WIDTH_PX - MARGIN_PX, SCALE_MIN)
    messages = [message for message in conversation.messages if _within(message.at_ms, busy)]
    captions, y = _captions(messages, scale)
    axis_y = y + 16
    y = axis_y + 8
    lanes = []
    for lane in conversation.lanes:
        drawn = _LaneLayout(lane, messages, scale, y, lambda at_ms: _within(at_ms, busy)).draw()
        lanes.append(drawn)
        y += drawn.height + 6
    width = max(WIDTH_PX, scale.right_px + MARGIN_PX)
    return Swimlane(width, y, scale, axis_y, captions, lanes, left_out, _description(conversation))


def _description(conversation: Conversation) -> str:
    told = [f"{lane.system}: {_lane_words(lane)}" for lane in conversation.lanes]
    return f"{count(len(conversation.messages), 'message')}. " + "; ".join(told) + "."


def _lane_words(lane: Lane) -> str:
    parts = []
    for fate in ("lost", "dead_lettered", "pending"):
        own = lane.numbers(fate)
        if own:
            parts.append(f"{len(own)} of {len(lane.outcomes)} {WORDS[fate]}: {_short(own)}")
    for words, troubled in (("answered twice", _is_twice), ("out of order", _is_out_of_order)):
        own = [number for number, outcome in lane.outcomes.items() if troubled(outcome)]
        if own:
            parts.append(f"{len(own)} of {len(lane.outcomes)} {words}: {_short(own)}")
    if parts:
        return ", ".join(parts)
    return f"all {len(lane.outcomes)} answered" if len(lane.outcomes) > 1 else "answered"


def _is_twice(outcome: Outcome) -> bool:
    return outcome.twice


def _is_out_of_order(outcome: Outcome) -> bool:
    return outcome.out_of_order


def _short(values: Sequence[int], length_max: int = 60) -> str:
    told = number_list(values)
    return told if len(told) <= length_max else told[: told.rindex(",", 0, length_max)] + ", …"


def _shown(conversation: Conversation) -> tuple[list[tuple[int, int]], int]:
    """The busy times to draw, and how many there was no room for: those with losses go first, then the earliest."""
    busy = busy_times(_intervals(conversation))
    losing = {number for lane in conversation.lanes for number in lane.troubled()}
    marked = [message.at_ms for message in conversation.messages if message.number in losing]
    order = sorted(busy, key=lambda one: (-sum(one[0] <= at_ms <= one[1] for at_ms in marked), one[0]))
    chosen: list[tuple[int, int]] = []
    width = 0.0
    for start, end in order:
        width += (end - start + 1000) * SCALE_MIN + 44
        if chosen and width > WIDTH_PX_MAX:
            break
        chosen.append((start, end))
    return sorted(chosen) or [(0, 1000)], len(busy) - len(chosen)


def _intervals(conversation: Conversation) -> Iterable[tuple[int, int]]:
    for message in conversation.messages:
        for at_ms in (message.at_ms, *message.again_at_ms):
            yield at_ms, at_ms
    for lane in conversation.lanes:
        for span in lane.spans:
            yield span.claimed_at_ms, span.claimed_at_ms if span.replied_at_ms is None else span.replied_at_ms
        for outcome in lane.outcomes.values():
            if outcome.lost_at_ms is not None:
                yield outcome.lost_at_ms, outcome.lost_at_ms


def _within(at_ms: int, busy: Sequence[tuple[int, int]]) -> bool:
    return any(start <= at_ms <= end for start, end in busy)


def _captions(messages: Sequence[Message], scale: TimeScale) -> tuple[list[Caption], float]:
    """The texts over the lanes where they fit into a few rows, and the y at which they end."""
    rows: list[float] = []
    captions = []
    for message in messages:
        text = cut(one_line(message.text), TEXT_LENGTH_MAX) or f"({one_line(message.kind)})"
        width = width_px(f"{message.number} {text}", 13) + 14
        x = max(0.0, min(scale.x(message.at_ms) - 4, scale.right_px - width))
        row = _free_row(rows, x, x + width)
        captions.append(Caption(x, 18 + row * 22, message.number, text, is_right_to_left(text)))
    if len(rows) > TEXT_ROWS_MAX:
        return [], 4.0
    return captions, 12.0 + 22 * len(rows)


def _free_row(rows: list[float], left: float, right: float, gap: float = 3.0) -> int:
    """The first row that is free from `left` on; it is taken up to `right`."""
    for index, taken in enumerate(rows):
        if taken + gap <= left:
            rows[index] = right
            return index
    rows.append(right)
    return len(rows) - 1


@dataclass(frozen=True, slots=True)
class _Group:
    """Messages that share a mark."""

    messages: Sequence[Message]
    kind: str
    spans: tuple[int, ...]
    label: str
    left: float
    width: float

    @property
    def middle(self) -> float:
        """Where lines to and from the mark begin."""
        return self.left + self.width / 2


class _LaneLayout:
    """Lays out one lane from `top` downwards."""

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
        losses = self._losses()
        loss_y = self._top + 34
        y = self._top + 38 + (ROW_PX if losses else 0)
        groups, rows, row_count = self._groups()
        boxes = [self._box(group, y + row * ROW_PX) for group, row in zip(groups, rows, strict=True)]
        marks_end = y + (row_count - 0.5) * ROW_PX
        bars, bars_end = self._bars(marks_end + 20)
        links = list(self._links(groups, boxes, bars, {at: x for at, x, *_ in losses}, loss_y))
        return DrawnLane(
            system=self._lane.system,
            told=_lane_words(self._lane),
            bad=bool(self._lane.troubled()),
            top=self._top,
            height=bars_end - self._top + 8,
            boxes=boxes + self._repeats(y),
            bars=bars,
            links=links,
            losses=[self._loss_mark(x, loss_y, lost) for _, x, lost in losses],
        )

    def _groups(self) -> tuple[list[_Group], list[int], int]:
        """Marks and their rows: one a message, or one for neighbours that fared alike, or one for neighbours."""
        for key, rows_max in (
            (lambda message: (message.number,), SINGLE_ROWS_MAX),
            (self._fared, GROUP_ROWS_MAX),
        ):
            groups = [self._group(list(same)) for _, same in groupby(self._messages, key)]
            rows, row_count = _place(groups)
            if row_count <= rows_max:
                return groups, rows, row_count
        by_kind: dict[str, list[Message]] = {}
        for message in self._messages:
            by_kind.setdefault(_kind(self._lane.outcomes[message.number]), []).append(message)
        groups = [self._group(same) for same in by_kind.values()]
        return groups, *_place(groups)

    def _fared(self, message: Message) -> tuple[object, ...]:
        outcome = self._lane.outcomes[message.number]
        return (
            outcome.fate,
            outcome.twice,
            outcome.out_of_order,
            outcome.lost_at_ms,
            *self._spans_of.get(message.number, []),
        )

    def _group(self, same: Sequence[Message]) -> _Group:
        kind = _kind(self._lane.outcomes[same[0].number])
        spans = tuple(dict.fromkeys(index for one in same for index in self._spans_of.get(one.number, [])))
        first, last = self._scale.x(same[0].at_ms), self._scale.x(same[-1].at_ms)
        label = SIGNS[kind] + _short([one.number for one in same], 24)
        width = max(width_px(label, LABEL_PX) + 9, last - first + 16, 17)
        left = min((first + last - width) / 2, self._scale.right_px + MARGIN_PX - width)
        return _Group(same, kind, spans, label, max(0.0, left), width)

    def _box(self, group: _Group, y: float) -> Box:
        outcome = self._lane.outcomes[group.messages[0].number]
        return Box(group.kind, group.left, group.width, y, group.label, _title(group, outcome), group.middle)

    def _repeats(self, y: float) -> list[Box]:
        """Further deliveries of messages, drawn as small marks."""
        return [
            Box("again", self._scale.x(at_ms) - 4, 8, y, "", f"{message.number} was delivered again", 0)
            for message in self._messages
            for at_ms in message.again_at_ms
        ]

    def _bars(self, top: float) -> tuple[list[Bar], float]:
        bars: list[Bar] = []
        rows: list[float] = []
        for span in self._spans:
            left = self._scale.x(span.claimed_at_ms)
            end = left + 26 if span.replied_at_ms is None else self._scale.x(span.replied_at_ms)
            width = max(end - left, 3.0)
            label = _span_label(span)
            label_width = width_px(label, LABEL_PX) + 8
            inside = label_width + 10 <= width
            row = _free_row(rows, left, left + width + (10 if inside else 12 + label_width))
            bars.append(
                Bar(
                    left=left,
                    width=width,
                    y=top + row * 24,
                    label=label,
                    label_x=left + (6 if inside else width + 12),
                    inside=inside,
                    replied=span.replied_at_ms is not None,
                    title=_span_title(span),
                )
            )
        return bars, top + max(len(rows), 0.5) * 24 - 4

    def _losses(self) -> list[tuple[int, float, list[int]]]:
        """The moments of losses as (ms, x, numbers)."""
        moments: dict[int, list[int]] = {}
        for message in self._messages:
            outcome = self._lane.outcomes[message.number]
            if outcome.fate == "lost" and outcome.lost_at_ms is not None:
                moments.setdefault(outcome.lost_at_ms, []).append(message.number)
        return [(at_ms, self._scale.x(at_ms), moments[at_ms]) for at_ms in sorted(moments)]

    def _loss_mark(self, x: float, y: float, lost: Sequence[int]) -> LossMark:
        outcome = self._lane.outcomes[lost[0]]
        label = f"{_short(lost, 24)} lost"
        to_left = x + width_px(label, LABEL_PX) + 14 > self._scale.right_px
        title = f"{number_list(lost)} lost at {duration(outcome.lost_at_ms)}: {outcome.cause}"
        return LossMark(x, y, label, title, to_left)

    def _links(
        self,
        groups: Sequence[_Group],
        boxes: Sequence[Box],
        bars: Sequence[Bar],
        loss_x: Mapping[int, float],
        loss_y: float,
    ) -> Iterable[Link]:
        for group, box in zip(groups, boxes, strict=True):
            for index in group.spans:
                yield Link("claimed", box.middle, box.y + 8, bars[index].left, bars[index].y)
            at_ms = self._lane.outcomes[group.messages[0].number].lost_at_ms
            if group.kind == "lost" and at_ms is not None and at_ms in loss_x:
                yield Link("vanished", box.middle, box.y - 8, loss_x[at_ms], loss_y + 5)


def _place(groups: Sequence[_Group]) -> tuple[list[int], int]:
    rows: list[float] = []
    placed = [_free_row(rows, group.left, group.left + group.width) for group in groups]
    return placed, max(len(rows), 1)


def _kind(outcome: Outcome) -> str:
    """How a message is drawn: by its fate, or as "wrong" when it was answered, but not once in its turn."""
    return "wrong" if outcome.fate == "answered" and outcome.is_trouble else outcome.fate


def _title(group: _Group, outcome: Outcome) -> str:
    who = number_list([message.number for message in group.messages])
    if len(group.messages) == 1:
        message = group.messages[0]
        who = f"{message.number} ({cut(one_line(message.id), 40)}), sent at {duration(message.at_ms)}"
    words = outcome_words(outcome)
    if outcome.fate == "answered" and len(group.messages) == 1:
        return f"{who}: {words} after {duration(outcome.latency_ms)}"
    return f"{who}: {words}" + (f": {outcome.cause}" if outcome.cause else "")


def outcome_words(outcome: Outcome) -> str:
    """A message's fate, and what else went wrong with it."""
    twice, order = " twice" if outcome.twice else "", ", out of order," if outcome.out_of_order else ""
    return f"{WORDS[outcome.fate]}{twice}{order}".removesuffix(",")


def _span_label(span: Span) -> str:
    told = [_short(span.numbers, 24)] if span.numbers else []
    if span.strangers:
        told.append(f"{span.strangers} of others")
    unanswered = " no reply" if span.replied_at_ms is None else ""
    return f"{cut(one_line(span.trigger), 16)}: {' + '.join(told) or 'nothing'}{unanswered}"


def _span_title(span: Span) -> str:
    told = f"{_span_label(span)}, handed over at {duration(span.claimed_at_ms)}"
    if span.replied_at_ms is None:
        return told
    return f"{told}, reply at {duration(span.replied_at_ms)}"
