"""The plot of reply times over time: faults are shaded where they were, and named in the legend."""

from __future__ import annotations

import re

from reports.drawing.reply_time_course import FAULTS_MAX, reply_time_course
from reports.pages.replay.page import render_replay_report
from reports.results.faults import StruckFault
from tests.reports import example

AWAY = StruckFault(name="redis-away", struck=3, start_ms=60_000, end_ms=80_000)
RESTART = StruckFault(name="process-restarts", struck=1, start_ms=90_000, end_ms=90_000)
AT_RANDOM = StruckFault(name="ai-fails", struck=9, rate=0.1)
AFTER = StruckFault(name="ai-slow", struck=0, start_ms=9_000_000, end_ms=9_100_000)
TURNS = {
    "old": [(1000 * at_s, 8000) for at_s in range(100)],
    "queue": [(1000 * at_s, 20_000 if at_s == 65 else 8000) for at_s in range(100)],
}


def _x(points: str) -> list[float]:
    return [float(x) for x in re.findall(r"[ML]([\d.]+) ", points)]


def test_a_slow_turn_stands_in_the_shade_of_the_fault_that_is_named() -> None:
    plot = reply_time_course("c", TURNS, ["old", "queue"], [AWAY, AT_RANDOM, RESTART, AFTER])
    assert plot is not None
    assert [name.replace("\u00a0", " ") for name in plot.fault_names] == [
        "1: Redis away at 1 min for 20 s",
        "2: all processes restarted at 1 min 30 s",
    ]
    away, restart = (_x(points) for points in re.findall(r'class="fault" d="([^"]*)"', plot.svg))
    assert max(restart) - min(restart) > 2, "a moment is wide enough to be seen"
    assert re.findall(r">(\d)</text>", plot.svg) == ["1", "2"]
    queue = re.search(r'stroke="var\(--series-2\)"[^>]* d="([^"]*)"', plot.svg)
    assert queue is not None
    points = [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", queue[1])]
    highest = min(y for _, y in points)
    assert all(min(away) <= x <= max(away) for x, y in points if y == highest)
    assert [cell.replace("\u00a0", " ") for cell in plot.rows[1].cells] == ["8.1 s", "20.0 s", "1 min 05 s"]


def test_without_a_fault_at_a_time_or_without_a_reply_there_is_no_plot() -> None:
    assert reply_time_course("c", TURNS, ["old", "queue"], [AT_RANDOM]) is None
    assert reply_time_course("c", {"old": [], "queue": []}, ["old", "queue"], [AWAY]) is None
    many = reply_time_course("c", TURNS, ["old", "queue"], [AWAY] * 1000)
    assert many is not None
    assert len(many.fault_names) == FAULTS_MAX


def test_the_page_shades_faults_in_pictures_and_plot_alike_and_explains_the_shade_once() -> None:
    result = example.faulty_day()
    html = render_replay_report(result)
    assert "<h3>Slowest reply over time, with the faults</h3>" in html
    assert html.count("the time of a fault; plots over time show its number") == 1
    legend = html[html.index("r1-course") :].partition("</ul>")[0]
    assert "1: Redis away at 5 min for 10 min</bdi></li>" in legend.replace("\u00a0", " ")
    arabic = render_replay_report(result, "ar")
    assert "غياب Redis\u2069 عند" in arabic
    for run in result["runs"]:
        run["faults"] = [AT_RANDOM]
    without = render_replay_report(result)
    assert "r1-course" not in without
    assert "the time of a fault" not in without
