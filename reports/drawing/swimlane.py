"""The layout of a conversation's figure: one time axis, one lane for each system. `swimlane.svg` draws it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reports.analysis.conversations import Conversation, Message, Span
from reports.analysis.fates import lane_words, span_label
from reports.drawing.lane import LABEL_PX, MARGIN_PX, DrawnLane, LaneLayout, free_row
from reports.drawing.timescale import Label, TimeScale, busy_times, time_scale
from reports.results.faults import StruckFault
from reports.text import cut, is_right_to_left, one_line, width_px
from reports.words.faults import fault_name, fault_words
from reports.words.language import gettext, ngettext
from reports.words.numbers import moment

WIDTH_PX = 1020.0
WIDTH_PX_MAX = 2400.0
SCALE_MIN = 0.012
"""Smallest scale in px/ms on which a batch of a few seconds is visible."""
TEXT_LENGTH_MAX = 26
TEXT_ROWS_MAX = 4
FAULTS_MAX = 20
"""Maximum number of faults that a figure shades."""
FAULT_PX_MIN = 3.0
"""Width of a fault that strikes at one moment."""


@dataclass(frozen=True, slots=True)
class Caption:
    """The text of a message, over the lanes."""

    x: float
    y: float
    number: int
    text: str
    right_to_left: bool


@dataclass(frozen=True, slots=True)
class Shade:
    """The time of a fault, behind the lanes, and its name over them."""

    left: float
    width: float
    label_x: float
    label_y: float
    name: str
    title: str


@dataclass(frozen=True, slots=True)
class Swimlane:
    """The whole figure, sizes in px. `left_out` counts stretches of time that are not drawn."""

    width: float
    height: float
    scale: TimeScale
    axis_y: float
    captions: Sequence[Caption]
    shades: Sequence[Shade]
    lanes: Sequence[DrawnLane]
    left_out: int
    description: str

    @property
    def ticks(self) -> Sequence[Label]:
        """The axis's labels, as far as they have room."""
        return [tick for tick in self.scale.ticks() if self._has_room(tick)]

    def _has_room(self, tick: Label) -> bool:
        half = width_px(moment(tick.ms), LABEL_PX) / 2
        return half <= tick.x <= self.width - half

    @property
    def breaks(self) -> Sequence[Label]:
        """The gaps in the axis."""
        return self.scale.breaks()


def layout(conversation: Conversation) -> Swimlane:
    """Compute the figure of a conversation."""
    busy, left_out = _shown(conversation)
    scale = _scale(conversation, busy)
    messages = [message for message in conversation.messages if _within(message.at_ms, busy)]
    captions, y = _captions(messages, scale)
    shades, y = _shades(conversation.faults, scale, y)
    axis_y = y + 16
    y = axis_y + 8
    lanes = []
    for lane in conversation.lanes:
        drawn = LaneLayout(lane, messages, scale, y, lambda at_ms: _within(at_ms, busy)).draw()
        lanes.append(drawn)
        y += drawn.height + 6
    width = max(WIDTH_PX, scale.right_px + MARGIN_PX)
    return Swimlane(width, y, scale, axis_y, captions, shades, lanes, left_out, _description(conversation))


def _scale(conversation: Conversation, busy: Sequence[tuple[int, int]]) -> TimeScale:
    """Make the time axis, with room after each stretch for labels of batches too short to hold them."""
    plain = _axis(busy, 0)
    spans = [span for lane in conversation.lanes for span in lane.spans]
    return _axis(busy, max((_room_beside(span, plain) for span in spans), default=0))


def _axis(busy: Sequence[tuple[int, int]], room_px: float) -> TimeScale:
    return time_scale(
        busy,
        MARGIN_PX,
        WIDTH_PX - MARGIN_PX,
        right_px_max=WIDTH_PX_MAX,
        scale_min=SCALE_MIN,
        room_px=room_px,
    )


def _room_beside(span: Span, scale: TimeScale) -> float:
    ends_ms = (span.replied_at_ms, span.superseded_at_ms, span.claimed_at_ms)
    end_ms = next(end_ms for end_ms in ends_ms if end_ms is not None)
    needed = width_px(span_label(span), LABEL_PX) + 18
    return needed if needed > 0.9 * (scale.x(end_ms) - scale.x(span.claimed_at_ms)) else 0


def _description(conversation: Conversation) -> str:
    outcomes = "; ".join(f"{lane.system}: {lane_words(lane)}" for lane in conversation.lanes)
    messages = ngettext("%(num)s message", "%(num)s messages", len(conversation.messages))
    return gettext("%(messages)s. %(outcomes)s.", messages=messages, outcomes=outcomes)


def _shown(conversation: Conversation) -> tuple[list[tuple[int, int]], int]:
    """Return the busy times to draw, preferably those with most trouble, and how many are left out."""
    busy = busy_times((at_ms, at_ms) for at_ms in _moments(conversation))
    troubled = {number for lane in conversation.lanes for number in lane.troubled()}
    marked = [message.at_ms for message in conversation.messages if message.number in troubled]
    order = sorted(busy, key=lambda time: (-sum(_within(at_ms, [time]) for at_ms in marked), time[0]))
    chosen: list[tuple[int, int]] = []
    width = 0.0
    for start, end in order:
        width += (end - start + 1000) * SCALE_MIN + 44
        if chosen and width > WIDTH_PX_MAX:
            break
        chosen.append((start, end))
    return sorted(chosen) or [(0, 1000)], len(busy) - len(chosen)


def _moments(conversation: Conversation) -> Iterable[int]:
    """Yield the times of all events in ms."""
    for message in conversation.messages:
        yield from (message.at_ms, *message.again_at_ms)
    for lane in conversation.lanes:
        for span in lane.spans:
            yield span.claimed_at_ms
            if span.replied_at_ms is not None:
                yield span.replied_at_ms
            if span.superseded_at_ms is not None:
                yield span.superseded_at_ms
        for outcome in lane.outcomes.values():
            if outcome.lost_at_ms is not None:
                yield outcome.lost_at_ms


def _within(at_ms: int, busy: Sequence[tuple[int, int]]) -> bool:
    return any(start <= at_ms <= end for start, end in busy)


def _shades(faults: Sequence[StruckFault], scale: TimeScale, y: float) -> tuple[list[Shade], float]:
    """Return the times of faults that the scale shows, each with its name under `y`, and the y at which they end."""
    rows: list[float] = []
    shades = []
    for fault in faults[:FAULTS_MAX]:
        if (
            "start_ms" not in fault
            or "end_ms" not in fault
            or not scale.shows(fault["start_ms"], fault["end_ms"])
        ):
            continue
        left, right = scale.x(fault["start_ms"]), scale.x(fault["end_ms"])
        name = fault_name(fault["name"])
        width = width_px(name, LABEL_PX) + 8
        x = max(0.0, min(left, scale.right_px - width))
        row = free_row(rows, x, x + width)
        words = fault_words(fault)
        shades.append(Shade(left, max(right - left, FAULT_PX_MIN), x, y + 14 + row * 16, name, words))
    return shades, y + 16 * len(rows)


def _captions(messages: Sequence[Message], scale: TimeScale) -> tuple[list[Caption], float]:
    """Return the texts over the lanes where they fit into a few rows, and the y at which they end."""
    rows: list[float] = []
    captions = []
    for message in messages:
        text = cut(one_line(message.text), TEXT_LENGTH_MAX) or f"({one_line(message.kind)})"
        width = width_px(f"{message.number} {text}", 13) + 14
        x = max(0.0, min(scale.x(message.at_ms) - 4, scale.right_px - width))
        row = free_row(rows, x, x + width)
        captions.append(Caption(x, 18 + row * 22, message.number, text, is_right_to_left(text)))
    if len(rows) > TEXT_ROWS_MAX:
        return [], 4.0
    return captions, 12.0 + 22 * len(rows)
