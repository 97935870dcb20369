"""The plots of a load test, and its page read as strictly as a browser would."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from reports.drawing.load_plots import BINS_MAX, LINES_MAX, binned, time_plots
from reports.drawing.plots import Plot
from reports.pages.load.page import render_load_report, write_load_report
from reports.results.load import LoadResult
from reports.words.load import page_verdict
from tests.reports import load_example
from tests.reports.example import HOSTILE
from tests.reports.load_example import chaos, empty, hostile, huge, invalid, second
from tests.reports.pages.test_replay_report import BYTES_MAX, MARKUP, Page, without_script


@pytest.mark.parametrize("example", [chaos, empty, hostile, huge, invalid])
def test_every_page_is_sound_inert_and_small(example: Callable[[], LoadResult]) -> None:
    html = without_script(render_load_report(example()))
    page = Page(html)
    assert {tag for tag, _ in page.elements} <= MARKUP
    assert len(page.ids) == len(set(page.ids))
    named = [name for _, attrs in page.elements for name in (attrs.get("aria-labelledby") or "").split()]
    assert set(named) <= set(page.ids)
    for tag, attrs in page.elements:
        assert not [name for name in attrs if name.startswith("on")], (tag, attrs)
        assert not {"src", "srcset", "action", "data", "xlink:href"} & set(attrs), (tag, attrs)
        assert ("href" in attrs) == (tag == "a"), (tag, attrs)
        assert (attrs.get("href") or "data:text/csv").startswith("data:text/csv"), (tag, attrs)
    assert "url(" not in html
    assert len(html.encode()) < BYTES_MAX


def test_hostile_text_stays_text_and_is_all_there() -> None:
    html = render_load_report(hostile())
    seen = Page(html).text
    for evil in HOSTILE[:5]:
        texts = [text for text in seen if evil in text]
        assert len(texts) >= 6, "settings twice, ids twice, a trigger, a process"
    assert "\u202e" not in html
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", html)


@pytest.mark.parametrize(("example", "word"), [(empty, "OK"), (chaos, "Not OK"), (invalid, "Invalid")])
def test_the_verdict_comes_first_with_its_word(example: Callable[[], LoadResult], word: str) -> None:
    html = render_load_report(example())
    page = Page(html)
    assert f'<p class="word">{word}</p>' in html
    body = "".join(page.text).partition("Load test: ")[2].partition("Load test: ")[2]
    verdict = page_verdict(example())
    assert body.index(verdict.first) < body.index("Thresholds")
    assert body.index(verdict.first) <= body.index(verdict.rest) < body.index("Thresholds")


def test_an_invalid_run_is_never_ok_whatever_else_it_says() -> None:
    result = invalid()
    result["ok"] = True
    assert '<p class="word">Invalid</p>' in render_load_report(result)


def test_thresholds_that_were_missed_come_first() -> None:
    seen = "".join(Page(render_load_report(chaos())).text)
    assert seen.index("✗ missed") < seen.index("✓ met")
    assert "2 of 4 missed." in seen
    assert "31.4\u00a0ms" in seen


def test_faults_are_shaded_and_numbered_and_the_end_of_the_load_is_marked() -> None:
    for plot in _plots(chaos()):
        shaded = re.findall(r'<path class="fault" d="M([\d.]+) [^"]*?L([\d.]+) ', plot.svg)
        widths = [abs(float(right) - float(left)) for left, right in shaded]
        assert len(widths) == 4
        assert min(widths) > 2, "a moment is wide enough to be seen"
        assert max(widths) == pytest.approx(widths[3])
        assert widths[3] == pytest.approx(2 * widths[1], rel=0.01), "10 s and 5 s"
        labels = re.findall(r'<text class="middle" x="([\d.]+)"[^>]*>(\d)</text>', plot.svg)
        assert [number for _, number in labels] == ["1", "2", "3", "4"]
        assert plot.svg.count('class="mark"') == 1
        assert plot.has_faults
        assert plot.has_load_end


def test_faults_close_together_share_a_label_and_those_after_the_end_are_left_out() -> None:
    result = chaos()
    times = [(10.0, 10.1), (10.2, 10.3), (10.4, 10.5), (900.0, 910.0)]
    result["faults"] = [{"code": "redis-hangs", "start_s": start, "end_s": end} for start, end in times]
    rate = _plots(result)[0]
    assert ">1\u20133</text>" in rate.svg
    assert rate.svg.count('class="fault"') == 3


def test_unknown_values_are_not_drawn() -> None:
    depth = time_plots(chaos()).depth
    assert depth is not None
    (line,) = re.findall(r'<path stroke="[^"]*" d="([^"]*)"', depth.svg)
    assert line.count("M") == 2, "a line before the gap, and one after it"
    unknown = chaos()
    for moment in unknown["timeline"]:
        moment.update({"depth": None, "cpu": None, "redis_bytes": None})
    plots = time_plots(unknown)
    assert plots.rate is not None
    assert (plots.depth, plots.cpu, plots.memory) == (None, None, None)


def test_a_long_run_is_drawn_with_as_few_points_as_a_short_one() -> None:
    bins = binned([second(at, rate=at % 7) for at in range(43_200)])
    assert len(bins.groups) <= BINS_MAX
    assert bins.end_s >= 43_200
    rates = [rate for rate in bins.values(lambda moment: moment["sent"]) if rate is not None]
    assert rates == pytest.approx([3.0] * len(rates), abs=0.1)
    assert bins.values(lambda moment: moment["sent"], peak=True)[:2] == [6, 6]


def test_the_least_busy_of_many_processes_share_a_line() -> None:
    result = chaos()
    for moment in result["timeline"]:
        moment["cpu"] = {f"worker-{number}": 0.01 * number for number in range(1, 21)}
    cpu = time_plots(result).cpu
    assert cpu is not None
    assert len(cpu.rows) == LINES_MAX
    assert cpu.rows[-1].name == "13 others together"
    assert cpu.rows[-1].cells[0] == "91\u00a0%"
    assert {row.name for row in cpu.rows[:-1]} == {f"worker-{number}" for number in range(14, 21)}


def test_plots_hold_no_names_and_lines_differ_in_more_than_colour() -> None:
    for plot in _plots(hostile()):
        assert "script" not in plot.svg
        assert "x^{2}" not in plot.svg
        assert len({row.dashes for row in plot.rows}) == len(plot.rows)


@pytest.mark.parametrize("length", [1, 2, 3, 200, 10_000])
@pytest.mark.parametrize("highest", [0, 1, 7, 99_999])
def test_any_timeline_can_be_plotted(length: int, highest: int) -> None:
    result = empty()
    result["timeline"] = [second(at, rate=highest, depth=highest) for at in range(length)]
    rate = _plots(result)[0]
    assert 2 <= rate.svg.count('<text class="middle"') <= 12
    assert 2 <= rate.svg.count('<text class="end"') <= 7


def test_times_below_a_millisecond_are_drawn_within_the_plot() -> None:
    result = chaos()
    result["latency_ms"]["acknowledgement"] = [0.0, 0.01, 0.4, 0.9, 250.0]
    html = render_load_report(result)
    plot = html[html.index('aria-labelledby="acknowledgement-plot-t') :]
    (line,) = re.findall(r'<path stroke="[^"]*" d="([^"]*)"', plot[: plot.index("</svg>")])
    x = [float(number) for number in re.findall(r"[ML]([\d.-]+) ", line)]
    assert min(x) >= 58
    assert max(x) <= 883


def test_the_file_is_written_whole_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    write_load_report(load_example.chaos(), path)
    assert path.read_text("utf-8") == render_load_report(load_example.chaos())
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def _plots(result: LoadResult) -> list[Plot]:
    plots = time_plots(result)
    return [plot for plot in (plots.rate, plots.depth, plots.cpu, plots.memory) if plot is not None]
