"""Time axes, lanes and plots."""

from __future__ import annotations

import itertools
import re

import pytest

from reports.analysis.conversations import Conversation, conversations, reply_times_ms, worst_first
from reports.drawing.lane import LABEL_PX, Box
from reports.drawing.plots import POINTS_MAX, Series, reply_time_plot
from reports.drawing.svg import LINE_STYLES
from reports.drawing.swimlane import Swimlane, layout
from reports.drawing.timescale import TICK_PX_MIN, busy_times, time_scale
from reports.text import width_px
from reports.words.numbers import moment
from tests.reports import example


def _one_conversation(gap_ms: int, number: int, lost: int = 0) -> Conversation:
    messages = [example.message(index, index * gap_ms, "نعم", phone="1") for index in range(1, number + 1)]
    recorded = example.recording("r", messages)
    lost_keys = [("1", f"m{index}") for index in range(number - lost + 1, number + 1)]
    return conversations(
        recorded, [example.run(recorded, "old", lost=lost_keys), example.run(recorded, "queue")]
    )[0]


def test_a_long_silence_is_cut_out_of_the_axis_and_seconds_stay_visible() -> None:
    busy = busy_times([(0, 8000), (5000, 15_000), (3_600_000, 3_615_000), (16_000, 16_000)])
    assert busy == [(0, 16_000), (3_600_000, 3_615_000)]
    scale = time_scale(busy, 0, 1000, right_px_max=2000, scale_min=0.01)
    assert [gap.ms for gap in scale.breaks()] == [3_600_000 - 16_000 - 1000]
    assert scale.x(3_605_000) - scale.x(3_600_000) == pytest.approx(scale.x(5000) - scale.x(0))
    assert scale.x(0) < scale.x(16_000) < scale.x(1_000_000) <= scale.x(3_600_000) < scale.right_px <= 1000


def test_labels_of_the_axis_never_come_too_close() -> None:
    busy = [(0, 60_000), (400_000, 401_000), (9_000_000, 9_090_000)]
    ticks = time_scale(busy, 10, 1000, right_px_max=3000, scale_min=0.012).ticks()
    assert len(ticks) > 5
    assert all(after.x - before.x >= TICK_PX_MIN for before, after in itertools.pairwise(ticks))


@pytest.mark.parametrize("start_ms", range(36_000_000, 36_001_000, 100))
def test_labels_of_the_axis_are_not_cut_at_its_ends(start_ms: int) -> None:
    messages = [
        example.message(0, start_ms, "a", phone="1"),
        example.message(1, start_ms + 9000, "b", phone="1"),
    ]
    recorded = example.recording("r", messages)
    (conversation,) = conversations(recorded, [example.run(recorded, "queue")])
    figure = layout(conversation)
    assert figure.ticks
    for tick in figure.ticks:
        half = width_px(moment(tick.ms), LABEL_PX) / 2
        assert half <= tick.x <= figure.width - half


@pytest.mark.parametrize(("gap_ms", "number"), [(300, 5), (100, 100), (75, 160), (1, 12), (0, 5), (2700, 44)])
@pytest.mark.parametrize("lost", [0, 2])
def test_nothing_lies_on_top_of_anything_else(gap_ms: int, number: int, lost: int) -> None:
    figure = layout(_one_conversation(gap_ms, number, lost))
    for lane in figure.lanes:
        for left, right in itertools.combinations(lane.boxes, 2):
            apart = left.left + left.width <= right.left or right.left + right.width <= left.left
            assert apart or abs(left.y - right.y) >= 16
        assert all(lane.top + 22 < box.y - 8 and box.y + 8 < lane.top + lane.height for box in lane.boxes)
        assert all(bar.y + 18 < lane.top + lane.height for bar in lane.bars)
        assert all(box.left >= 0 and box.left + box.width <= figure.width + 0.1 for box in lane.boxes)
    assert all(after.top >= before.top + before.height for before, after in itertools.pairwise(figure.lanes))


def _boxes(figure: Swimlane, kind: str) -> list[Box]:
    return [box for lane in figure.lanes for box in lane.boxes if box.kind == kind]


def test_a_loss_is_a_marked_message_a_cross_at_its_moment_and_a_line_between_them() -> None:
    figure = layout(_one_conversation(300, 5, lost=2))
    old, queue = figure.lanes
    assert [box.label for box in _boxes(figure, "lost")] == ["× 4", "× 5"]  # noqa: RUF001
    assert [mark.label for mark in old.losses] == ["4, 5 lost"]
    assert old.losses[0].x == pytest.approx(figure.scale.x(15_300))
    assert example.WHY.replace("buffer-v1", "old") in old.losses[0].title
    assert all("arrived while the AI was answering 1\u20133." in box.title for box in _boxes(figure, "lost"))
    assert len(old.links["vanished"]) == 2
    assert (old.outcome, old.state) == ("2 of 5 lost: 4, 5", "bad")
    assert (queue.outcome, queue.state, list(queue.losses), queue.links["vanished"]) == (
        "all 5 answered",
        "",
        [],
        [],
    )


def test_losses_close_together_share_a_cross_and_labels_do_not_meet() -> None:
    conversation = _one_conversation(900, 8, lost=6)
    for number, outcome in conversation.lanes[0].outcomes.items():
        if outcome.fate == "lost":
            object.__setattr__(outcome, "lost_at_ms", 10_000 + 200 * number)
    marks = layout(conversation).lanes[0].losses
    assert 1 < len(marks) < 6
    for before, after in itertools.pairwise(marks):
        assert not before.label or before.x + 10 + 6 * len(before.label) < after.x


def test_a_batch_without_a_reply_and_repeated_deliveries_are_marked() -> None:
    messages = [example.message(1, 0, "a"), example.message(1, 2000, "a")]
    recorded = example.recording("r", messages)
    run = example.run(recorded, "queue")
    run["batches"][0]["replied_at_ms"] = None
    run["batches"][0]["ids"].append("another's")
    run["ledger"][0]["fate"] = "pending"
    run["ledger"][0]["answered_at_ms"] = None
    lane = layout(conversations(recorded, [run])[0]).lanes[0]
    assert lane.bars[0].state == "unanswered"
    assert "no reply" in lane.bars[0].label
    assert "1\u00a0of another user" in lane.bars[0].label
    assert [box.kind for box in lane.boxes] == ["pending", "again"]


def test_a_lane_shows_how_long_a_turn_waited_and_how_long_the_ai_took() -> None:
    messages = [example.message(1, 0, "a"), example.message(2, 5000, "b"), example.message(3, 40_000, "c")]
    recorded = example.recording("r", messages)
    figure = layout(conversations(recorded, [example.run(recorded, "queue")])[0])
    lane = figure.lanes[0]
    assert [window.label for window in lane.windows] == ["waits 8.0\u00a0s"] * 2
    for window, bar in zip(lane.windows, lane.bars, strict=True):
        assert window.left + window.width == pytest.approx(bar.left)
        ((left, width),) = bar.asked
        assert left == pytest.approx(bar.left)
        assert width == pytest.approx(bar.width, abs=5)
        assert "AI asked from" in bar.title
    assert all(60 < window.label_width < window.width - 15 for window in lane.windows)
    assert lane.windows[0].title == "1, 2: due at 8.0\u00a0s, 8.0\u00a0s after the first message"
    assert all(box.y - 8 > lane.windows[0].y + 4 for box in lane.boxes)


def test_an_unknown_window_is_not_drawn() -> None:
    recorded = example.recording("r", [example.message(1, 0, "a")])
    run = example.run(recorded, "queue")
    run["batches"][0]["due_at_ms"] = None
    del run["batches"][0]["ai_ms"]
    lane = layout(conversations(recorded, [run])[0]).lanes[0]
    assert (list(lane.windows), list(lane.bars[0].asked)) == ([], [])


def test_answers_that_went_wrong_do_not_look_right() -> None:
    recorded = example.recording("r", [example.message(1, 0, "a"), example.message(2, 9000, "b")])
    run = example.run(recorded, "old")
    run["duplicated"], run["reordered"] = ["m1"], [f"bot/{recorded['messages'][0]['phone']}/m2"]
    lane = layout(conversations(recorded, [run])[0]).lanes[0]
    assert [box.kind for box in lane.boxes] == ["wrong", "wrong"]
    assert lane.outcome == "1 of 2 answered twice: 1, 1 of 2 out of order: 2"
    assert lane.state == "warn"


def test_a_figure_stays_drawable_when_a_reply_takes_a_day_or_messages_never_stop() -> None:
    recorded = example.recording("r", [example.message(1, 0, "a")])
    run = example.run(recorded, "old")
    run["batches"][0]["replied_at_ms"] = 86_400_000
    figure = layout(conversations(recorded, [run])[0])
    assert figure.width == pytest.approx(1020)
    assert len(figure.breaks) == 1
    endless = layout(_one_conversation(15_000, 2000))
    assert endless.width < 2500
    assert len(endless.ticks) < 50


def test_conversations_with_losses_come_first_then_the_slowest() -> None:
    messages = [example.message(index, at_ms, "a", phone=str(index)) for index, at_ms in enumerate((0, 1, 2))]
    recorded = example.recording("r", messages)
    run = example.run(recorded, "old", lost=[("2", "m2")])
    run["ledger"][1]["answered_at_ms"] = 60_000
    unordered = conversations(recorded, [run])
    assert [conversation.key.phone for conversation in worst_first(unordered)] == ["2", "1", "0"]


def test_reply_times_count_from_the_first_message_of_the_batch() -> None:
    recorded = example.recording("r", [example.message(1, 500, "a"), example.message(2, 3000, "b")])
    assert reply_times_ms(example.run(recorded, "queue"), recorded) == [15_000]


def test_a_plot_is_small_is_the_same_each_time_and_holds_no_names() -> None:
    series = [Series("<script>", 0, range(1000, 60_000, 7)), Series("$x^2$", 3, [5000, 3_600_000])]
    plot = reply_time_plot(series, "salt")
    assert plot == reply_time_plot(series, "salt")
    assert "script" not in plot
    assert "x^2" not in plot
    assert len(plot) < 12_000
    lines = re.findall(r'<path stroke="var\(--series-(\d)\)"[^>]* d="([^"]*)"', plot)
    assert [number for number, _ in lines] == ["1", "4"]
    assert POINTS_MAX / 4 < lines[0][1].count("L") < 3 * POINTS_MAX
    assert {"0\u00a0%", "90\u00a0%", "99.9\u00a0%", "100\u00a0%"} <= set(
        re.findall(r">([\d.]+\u00a0%)<", plot)
    )


@pytest.mark.parametrize(
    "times", [[0], [0, 0], [5], [1, 10**9], [86_400_000, 2 * 86_400_000], list(range(40))]
)
def test_any_times_can_be_plotted(times: list[int]) -> None:
    assert 'stroke="var(--series-1)"' in reply_time_plot([Series("one", 0, times)], "salt")


def test_a_dropped_answer_is_a_bar_of_its_own_kind_that_ends_where_it_was_dropped() -> None:
    result = example.incident_with_profiles()
    (conversation,) = conversations(result["recordings"][0], result["runs"])
    figure = layout(conversation)
    dropped, answered = figure.lanes[-1].bars
    assert (dropped.state, answered.state) == ("superseded", "replied")
    assert dropped.left + dropped.width == pytest.approx(figure.scale.x(15_000))
    assert {bar.state for lane in figure.lanes[:-1] for bar in lane.bars} == {"replied"}


def test_a_line_shows_through_the_one_that_is_drawn_over_it() -> None:
    """The first line of a plot has no gaps; the second may lie on it from end to end."""
    assert LINE_STYLES[0] == ""
    dash, gap = map(int, LINE_STYLES[1].split())
    assert min(dash, gap) >= 8, "short gaps between dashes look like one line of a mixed colour"
