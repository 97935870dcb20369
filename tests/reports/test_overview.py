"""The overview of many conversations, its downloads, and the tables behind the page of a replay."""

from __future__ import annotations

import base64
import csv
import io
import re

import pandas as pd
import pytest

from reports.conversations import conversations, reply_times_ms
from reports.csv_links import BYTES_MAX, csv_link
from reports.downloads import downloads
from reports.frames import system_figures
from reports.overview import Talk, overview_of
from reports.replay import LARGE_SIZE_MAX, SIZE_MAX, render_replay_report
from reports.schema import ReplayResult
from reports.text import cut
from tests.reports import example


def _many(number: int, text: str = "السلام عليكم، أريد أن أسأل عن الأسعار") -> ReplayResult:
    """So many conversations of two messages each; in one of 200 both are lost on one system of two."""
    told = [
        example.message(place, place * 400, text, phone=f"9665{place % number:08}", one=f"m{place}")
        for place in range(2 * number)
    ]
    recorded = example.recording("day.jsonl", told)
    lost = [(one["phone"], one["id"]) for place, one in enumerate(told) if place % 200 == 7]
    return example.result(
        [recorded], [example.run(recorded, "buffer-v1", lost=lost), example.run(recorded, "queue")]
    )


def _talks(result: ReplayResult) -> list[Talk]:
    recorded = result["recordings"][0]
    return [Talk(recorded["name"], one, "") for one in conversations(recorded, result["runs"])]


@pytest.mark.parametrize("number", [10_000, 20_000])
def test_a_page_of_very_many_conversations_stays_small_and_shows_the_worst(number: int) -> None:
    html = render_replay_report(_many(number))
    assert len(html.encode()) <= LARGE_SIZE_MAX
    table = html[html.index('id="overview-table"') :].split("</table>")[0]
    rows = table.count("<tr><td>")
    assert rows == number or f"There was no room for {number - rows:,}" in html
    assert rows >= 10_000
    lost = [place for place, row in enumerate(table.split("<tr><td>")[1:]) if "class=b" in row]
    assert lost == list(range(number // 200))


def test_many_long_hostile_texts_do_not_make_a_page_large() -> None:
    html = render_replay_report(_many(3000, "</td><script>&" * 100))
    assert len(html.encode()) <= LARGE_SIZE_MAX
    assert html.count("<script") == 1


def test_a_few_conversations_need_no_overview_and_some_do() -> None:
    assert "overview-table" not in render_replay_report(example.incident()).split("<script>")[0]
    html = render_replay_report(example.big_day(200, 40))
    assert len(html.encode()) <= SIZE_MAX
    table = html[html.index('id="overview-table"') :].split("</table>")[0]
    links = re.findall(r'<a href="#(r1c\d)">', table)
    assert links == [f"r1c{place}" for place in range(8)]
    assert all(f'<h4 id="{link}">' in html for link in links)


def test_texts_are_shortened_before_conversations_are_left_out() -> None:
    talks = _talks(_many(50))
    whole = overview_of(talks, ["buffer-v1", "queue"], 100_000)
    assert (whole.shown, whole.left_out, whole.text_is_cut) == (50, 0, False)
    tight = overview_of(talks, ["buffer-v1", "queue"], 5000)
    assert (tight.shown, tight.left_out, tight.text_is_cut) == (50, 0, True)
    tiny = overview_of(talks, ["buffer-v1", "queue"], 1000)
    assert tiny.left_out == 50 - tiny.shown > 0
    for one, limit in ((whole, 100_000), (tight, 5000), (tiny, 1000)):
        assert len(str(one.rows).encode()) <= limit + one.shown


def test_a_row_tells_what_happened_on_each_system() -> None:
    told = [
        example.message(1, 0, "a <b> & c", phone="966500001234"),
        example.message(2, 100, "b", phone="966500001234"),
    ]
    recorded = example.recording("r", told)
    old, queue = example.run(recorded, "old", lost=[("966500001234", "m2")]), example.run(recorded, "queue")
    queue["duplicated"] = ["m1"]
    (one,) = conversations(recorded, [old, queue])
    overview = overview_of([Talk("r", one, "r1c0")], ["old", "queue", "never ran"], 10_000)
    assert str(overview.rows) == (
        '<tr><td><a href="#r1c0">1</a><td><bdi>…1234</bdi><td>2<td class=b>✗1<td class=w>~1<td><td>15.0<td>'
        "a &lt;b&gt; &amp; c · b"
    )
    assert overview.troubled == 1


def test_system_figures_are_the_runs_own() -> None:
    result = example.big_day(300, 40, 3)
    figures = {one.system: one for one in system_figures(result)}
    for run in result["runs"]:
        own, times = figures[run["system"]], reply_times_ms(run, result["recordings"][0])
        assert own.counts["sent"] == run["sent"]
        assert own.counts["lost"] == len(run["lost"])
        assert own.counts["turns"] == len(run["batches"])
        assert own.reply_ms["max"] == times[-1]
        assert own.reply_ms["p50"] == times[-(-len(times) * 50 // 100) - 1]
        assert own.lag_ms == {"p50": 0, "p95": 0, "max": 0}
        assert (own.low, own.runs) == (None, 1)


def test_system_figures_of_replications_have_an_interval() -> None:
    recorded = example.recording("r", [example.message(1, 0, "a")])
    runs = [
        example.run(recorded, "old", number=number, lost=[("966500001234", "m1")] if number < 2 else ())
        for number in range(10)
    ]
    (figures,) = system_figures(example.result([recorded], runs))
    assert (figures.probability, figures.runs, figures.runs_with_loss) == (0.2, 10, 2)
    assert figures.low is not None
    assert figures.high is not None
    assert 0 < figures.low < 0.2 < figures.high < 1


def test_a_result_without_runs_has_no_figures() -> None:
    assert system_figures(example.result([], [])) == []


def _read(address: str) -> list[list[str]]:
    text = base64.b64decode(address.split("base64,")[1]).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline="")))


def test_a_csv_file_comes_back_as_it_was_and_runs_nothing() -> None:
    rows: list[list[object]] = [
        ["a,b", 'say "x"', "one\nline", "نعم", 1],
        ["=1+1", "+1", "-1", "@SUM(A1)", -5],
        ["", "\ttab", "x", "y", None],
    ]
    link = csv_link("x.csv", ["a", "b", "c", "d", "e"], rows)
    assert link.address.startswith(
        "data:text/csv;charset=utf-8;base64,77u/"
    )  # the mark that spreadsheets look for
    found = _read(link.address)
    assert found[0] == ["a", "b", "c", "d", "e"]
    assert found[1] == ["a,b", 'say "x"', "one\nline", "نعم", "1.0"]
    assert found[2][:4] == ["'=1+1", "'+1", "'-1", "'@SUM(A1)"]
    assert found[3][1] == "'\ttab"
    assert (
        len(pd.read_csv(io.StringIO(base64.b64decode(link.address.split("base64,")[1]).decode("utf-8-sig"))))
        == 3
    )


def test_a_long_csv_file_is_cut_and_says_so() -> None:
    link = csv_link("x.csv", ["a"], [["x" * 100]] * 1000)
    assert len(_read(link.address)) - 1 == link.rows
    assert link.rows + link.left_out == 1000
    assert len(link.address) * 3 // 4 <= BYTES_MAX + 50


def test_lost_messages_can_be_downloaded_without_phone_numbers() -> None:
    result = example.incident()
    links = dict(downloads(system_figures(result), result))
    lost = _read(links["Lost messages"].address)
    assert lost[0][-1] == "cause"
    assert [row[5] for row in lost[1:]] == ["m4", "m5"]
    assert [row[4] for row in lost[1:]] == ["…1234", "…1234"]
    assert [len(_read(link.address)) for link in links.values()] == [3, 3, 3]
    assert all("966500001234" not in cut(str(_read(link.address)), 10_000) for link in links.values())
