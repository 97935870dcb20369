"""The overview of many conversations, its downloads, and the tables behind the page of a replay."""

from __future__ import annotations

import re

import pytest

from reports.analysis.conversations import conversations
from reports.pages.page import page_script
from reports.pages.replay.overview import OverviewItem, overview_of
from reports.pages.replay.page import LARGE_SIZE_MAX, SIZE_MAX, render_replay_report
from reports.results.replay import ReplayResult
from tests.reports import example

SHORT = "السلام عليكم، أريد أن أسأل عن الأسعار"
LONG = "\u202e</td></table><script>'\"&مُحَمَّد👨\u200d👩\u200d👧\x00" * 40


def _many(number: int, text: str = SHORT) -> ReplayResult:
    """Return a result of `number` conversations of two messages; in one of 200 both are lost on one of two systems."""
    messages = [
        example.message(index, index * 400, text, phone=f"9665{index % number:08}", name=f"m{index}")
        for index in range(2 * number)
    ]
    recorded = example.recording("day.jsonl", messages)
    lost = [(message["phone"], message["id"]) for message in messages[7::200]]
    return example.result(
        [recorded], [example.run(recorded, "buffer-v1", lost=lost), example.run(recorded, "queue")]
    )


def _items(result: ReplayResult) -> list[OverviewItem]:
    recorded = result["recordings"][0]
    return [OverviewItem(recorded["name"], item, "") for item in conversations(recorded, result["runs"])]


@pytest.mark.parametrize(
    ("number", "text"),
    [(10_000, LONG), pytest.param(20_000, SHORT, marks=pytest.mark.soak)],
    ids=["long", "more"],
)
def test_a_page_of_very_many_conversations_stays_small_and_shows_the_worst(number: int, text: str) -> None:
    html = render_replay_report(_many(number, text))
    assert len(html.encode()) <= LARGE_SIZE_MAX
    table = html[html.index('id="overview-table"') :].split("</table>")[0]
    rows = table.count("<tr><td>")
    assert rows == number or f"There was no room for {number - rows:,}" in html
    assert rows >= 10_000
    lost = [index for index, row in enumerate(table.split("<tr><td>")[1:]) if "class=b" in row]
    assert lost == list(range(number // 200))


def test_many_long_hostile_texts_do_not_make_a_page_large() -> None:
    html = render_replay_report(_many(3000, "</td><script>&" * 100))
    assert len(html.encode()) <= LARGE_SIZE_MAX
    assert html.count("<script") == 1


def test_columns_are_explained_above_the_table() -> None:
    html = render_replay_report(example.big_day(200, 40))
    section = html[html.index('id="overview"') :].partition("</section>")[0]
    above, _, below = section.partition("<table")
    assert "The longest wait is that of a message for its reply on the last system." in above
    assert "<p" not in below.partition("</table>")[2]


def test_a_few_conversations_need_no_overview_and_some_do() -> None:
    assert "overview-table" not in render_replay_report(example.incident()).split("<script>")[0]
    html = render_replay_report(example.big_day(200, 40))
    assert len(html.encode()) <= SIZE_MAX
    table = html[html.index('id="overview-table"') :].split("</table>")[0]
    links = re.findall(r'<a href="#(r1c\d)">', table)
    assert links == [f"r1c{index}" for index in range(8)]
    assert all(f'<h4 id="{link}">' in html for link in links)


def test_texts_are_shortened_before_conversations_are_left_out() -> None:
    items = _items(_many(50))
    whole = overview_of(items, ["buffer-v1", "queue"], 100_000)
    assert (whole.shown, whole.left_out, whole.text_is_cut) == (50, 0, False)
    tight = overview_of(items, ["buffer-v1", "queue"], 5000)
    assert (tight.shown, tight.left_out, tight.text_is_cut) == (50, 0, True)
    tiny = overview_of(items, ["buffer-v1", "queue"], 1000)
    assert tiny.left_out == 50 - tiny.shown > 0
    for overview, limit in ((whole, 100_000), (tight, 5000), (tiny, 1000)):
        assert len(str(overview.rows).encode()) <= limit + overview.shown


def test_white_space_does_not_hide_the_text_behind_it() -> None:
    recorded = example.recording("r", [example.message(1, 0, " " * 1000 + "hello")])
    (conversation,) = conversations(recorded, [example.run(recorded, "queue")])
    overview = overview_of([OverviewItem("r", conversation, "")], ["queue"], 10_000)
    assert str(overview.rows).endswith("<td>hello")
    assert not overview.text_is_cut


def test_a_row_shows_what_happened_on_each_system() -> None:
    messages = [
        example.message(1, 0, "a <b> & c", phone="966500001234"),
        example.message(2, 100, "b", phone="966500001234"),
    ]
    recorded = example.recording("r", messages)
    old, queue = example.run(recorded, "old", lost=[("966500001234", "m2")]), example.run(recorded, "queue")
    queue["duplicated"] = ["m1"]
    (conversation,) = conversations(recorded, [old, queue])
    overview = overview_of([OverviewItem("r", conversation, "r1c0")], ["old", "never ran", "queue"], 10_000)
    assert str(overview.rows) == (
        '<tr><td><a href="#r1c0">1</a><td><bdi>…1234</bdi><td>2<td class=b>✗1<td><td class=w>~1<td>15.0<td>'
        "a &lt;b&gt; &amp; c · b"
    )
    assert overview.troubled == 1


def test_without_losses_those_in_other_trouble_come_first_then_the_slowest() -> None:
    messages = [example.message(index, 0, "a", phone=f"96650000000{index}") for index in range(1, 5)]
    recorded = example.recording("r", messages)
    run = example.run(recorded, "queue", lost=[("966500000002", "m2")])
    run["reordered"] = ["m3"]
    run["ledger"][3]["answered_at_ms"] = 60_000
    overview = overview_of(_items(example.result([recorded], [run])), ["queue"], 10_000)
    assert re.findall(r"<bdi>…(\d+)</bdi>", overview.rows) == ["0002", "0003", "0004", "0001"]
    assert re.findall(r"<td>([\d.]*)<td>a", overview.rows) == ["", "15.0", "60.0", "15.0"]


def test_names_and_texts_of_anybody_are_bounded_and_stay_text() -> None:
    for evil in example.HOSTILE:
        messages = [
            example.message(index, 0, evil * 99, phone=evil * 99, instance=str(index)) for index in range(3)
        ]
        recorded = example.recording(evil * 99, messages)
        items = [
            OverviewItem(recorded["name"] + end, conversation, "")
            for end in "xy"
            for conversation in conversations(recorded, [example.run(recorded, "queue")])
        ]
        rows = str(overview_of(items, ["queue"], 10_000).rows)
        assert set(re.findall(r"<[^>]*>", rows)) == {"<tr>", "<td>", "<bdi>", "</bdi>"}
        assert not re.search("[\x00-\x08\u202a-\u202e]", rows)
        assert len(rows.encode("utf-8", "replace")) <= 10_000


def test_only_names_users_and_texts_are_searched() -> None:
    html = render_replay_report(_many(20))
    heads = re.findall(r"<th [^>]*>[^<]*", html[html.index('id="overview-table"') :].split("</thead>")[0])
    assert [head.split(">")[1] for head in heads if "data-find" in head] == ["User", "Text"]


def test_the_same_conversations_give_the_same_bytes_and_the_script_holds_none_of_them() -> None:
    result = _many(1600, LONG)
    html = render_replay_report(result)
    assert html == render_replay_report(result)
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert script == page_script()
    assert script in render_replay_report(example.incident())


def test_an_overview_speaks_the_language_of_its_page() -> None:
    html = render_replay_report(_many(20), "ar")
    assert '<html lang="ar" dir="rtl">' in html
    words = html[html.index('id="overview"') : html.index('id="overview-table"')]
    assert "conversations" not in words
    assert "%(shown)s" in words
    assert "%(all)s" in words
