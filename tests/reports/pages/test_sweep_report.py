"""The page of a sweep: the recommended choice first, every choice in table and drawing, hostile text inert."""

from __future__ import annotations

import base64
import re

import pytest

from reports.drawing.scatter import MARK_PX, WIDTH_PX, Choice, Scatter, scatter
from reports.pages.sweep.page import render_sweep_report
from tests.reports import sweep_example
from tests.reports.example import HOSTILE
from tests.reports.pages.test_replay_report import Page

SIZE_MAX = 500_000


def text_of(html: str) -> str:
    return "".join(Page(html).text).replace("\u00a0", " ")


def drawn(*choices: Choice) -> Scatter:
    return scatter(choices, format_across="{:g} s".format, format_up="{:g}".format, description="")


def at(number: int, across: float, up: float, rank: int = 0) -> Choice:
    return Choice(number, f"choice {number}", across, up, rank)


def test_the_verdict_is_first_and_the_recommended_choice_is_row_one() -> None:
    html = render_sweep_report(sweep_example.nine())
    seen = text_of(html)
    assert '<p class="word">OK</p>' in html
    assert seen.index("A window of 8 s and 5 messages is recommended") < seen.index("What each choice costs")
    first = html[html.index('<tr><th scope="row">1</th>') :].partition("</tr>")[0]
    assert text_of(first + "</tr>").startswith("18 s, 5 messages→ recommended00")
    assert "15.6\u00a0s" in first
    assert seen.count("nothing beats it.") == 1
    assert seen.count("messages") >= 9


def test_a_lossy_sweep_is_not_ok_and_recommends_nothing() -> None:
    html = render_sweep_report(sweep_example.lossy())
    assert '<p class="word">Not OK</p>' in html
    assert "→" not in text_of(html)
    assert '<td class="bad">3</td>' in html
    assert "12 s, 5 messages, 3 s of silence" in text_of(html)


def test_a_sweep_of_few_turns_is_not_ok_and_recommends_nothing() -> None:
    html = render_sweep_report(sweep_example.short())
    assert '<p class="word">No recommendation</p>' in html
    assert "Too little to recommend settings" in text_of(html)
    assert "→" not in text_of(html)
    assert "recommended" not in text_of(html), "no legend for what is not there"


def test_a_sweep_of_a_single_choice_recommends_nothing_and_says_why() -> None:
    seen = text_of(render_sweep_report(sweep_example.single()))
    assert "Nothing to recommend: there is one choice of settings" in seen
    assert "give more values, such as --window 4s,8s,12s." in seen
    assert "is recommended" not in seen
    assert "beats" not in seen, "there is nothing to compare with"


@pytest.mark.parametrize(
    ("best", "words"), [(8, ""), (9, "1 more such choice is not drawn"), (11, "3 more such")]
)
def test_curves_that_are_missing_are_counted(best: int, words: str) -> None:
    result = sweep_example.sweep([sweep_example.choice(2 + index, 5) for index in range(best)], 0)
    html = render_sweep_report(result)
    section = html[html.index('id="times"') :].partition("</section>")[0]
    assert section.count('<path stroke="var(--series-') == 8
    assert ("not drawn" in text_of(html)) == bool(words)
    assert words in text_of(html)


def test_the_numbers_beside_the_curves_are_those_of_the_table() -> None:
    """The curve has a sample of the times only, whose quantiles are others."""
    row = sweep_example.choice(8, 5)
    row["first_ms"] = {"p50": 9_111, "p95": 21_222, "max": 30_333}
    html = render_sweep_report(sweep_example.sweep([row, sweep_example.choice(20, 5)], 0))
    section = html[html.index('id="times"') :].partition("</section>")[0]
    numbers = [cell.replace("\u00a0", " ") for cell in re.findall(r"<td>([^<]*)</td>", section)]
    assert numbers[:3] == ["9.1 s", "21.2 s", "30.3 s"]
    assert "half within 9.1 s, all within 30.3 s" in section.replace("\u00a0", " ")


def test_a_sweep_of_nothing_has_a_page() -> None:
    assert "Nothing was replayed." in text_of(render_sweep_report(sweep_example.nothing()))


def test_the_same_result_gives_the_same_bytes() -> None:
    assert render_sweep_report(sweep_example.nine()) == render_sweep_report(sweep_example.nine())


def test_hostile_text_is_inert() -> None:
    html = render_sweep_report(sweep_example.hostile())
    page = Page(html)
    assert [tag for tag, _ in page.elements if tag == "script"] == ["script"]
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)
    for evil in HOSTILE[:2]:
        assert evil not in html
    assert "\u202e" not in html
    assert len(html.encode()) < SIZE_MAX


def test_a_thousand_choices_stay_small_and_say_what_is_left_out() -> None:
    html = render_sweep_report(sweep_example.endless())
    assert len(html.encode()) < SIZE_MAX
    assert "800 more are left out." in text_of(html)


def test_all_choices_can_be_downloaded_even_those_left_out() -> None:
    html = render_sweep_report(sweep_example.nine())
    address = re.search(r'download="choices.csv" href="data:text/csv;charset=utf-8;base64,([^"]*)"', html)
    assert address
    lines = base64.b64decode(address[1]).decode("utf-8-sig").splitlines()
    assert lines[0].startswith(
        "window_ms,max_messages,idle_ms,sent,lost,twice,order,dead,waiting,ai_calls,turns"
    )
    assert lines[1].startswith("8000,5,0,1000,0,0,0,0,0,655,655,56,True,11960,15560")
    assert len(lines) == 10


def test_arabic_is_from_right_to_left_and_leaves_no_english_sentence() -> None:
    html = render_sweep_report(sweep_example.nine(), "ar")
    assert '<html lang="ar" dir="rtl">' in html
    assert "كلفة كل خيار" in html
    assert "compromise" not in text_of(html)
    assert "messages" not in text_of(html)


def test_choices_are_drawn_by_their_costs() -> None:
    drawing = drawn(at(1, 10, 100), at(2, 20, 50), at(3, 15, 75, rank=2))
    positions = {mark.label: (mark.x, mark.y) for mark in drawing.marks}
    assert positions["1"][0] < positions["3"][0] < positions["2"][0]
    assert positions["1"][1] < positions["3"][1] < positions["2"][1], "more AI calls are higher up"
    assert [mark.kind for mark in drawing.marks if mark.label == "3"] == ["recommended"]
    assert [tick.label for tick in drawing.across] == ["10 s", "12 s", "14 s", "16 s", "18 s", "20 s"]


def test_labels_of_the_axes_are_not_repeated() -> None:
    drawing = scatter(
        [at(1, 10, 2), at(2, 10.3, 3)],
        format_across="{:.0f} s".format,
        format_up="{:.0f}".format,
        description="",
    )
    assert [tick.label for tick in drawing.across] == ["10 s"]
    assert [tick.label for tick in drawing.up] == ["2", "3"]
    wide = scatter([at(1, 10, 2), at(2, 10.3, 5)], format_across=str, format_up="{:g}".format, description="")
    assert [tick.label for tick in wide.up] == ["2", "3", "4", "5"]


def test_both_axes_have_a_title() -> None:
    html = render_sweep_report(sweep_example.nine())
    assert {"AI calls", "95 % of the turns answered within"} <= set(re.findall(r"<text [^>]*>([^<]+)<", html))


def test_overlapping_choices_share_a_mark_named_after_the_best() -> None:
    drawing = drawn(at(1, 10, 100), at(2, 10, 100, rank=1), at(3, 20, 50), at(4, 10.01, 100))
    labels = {mark.label: mark for mark in drawing.marks}
    assert set(labels) == {"2\u00a01\u00a04", "3"}
    shared = labels["2\u00a01\u00a04"]
    assert shared.kind == "best"
    assert shared.width > MARK_PX
    assert shared.title.splitlines() == ["2: choice 2", "1: choice 1", "4: choice 4"]


@pytest.mark.parametrize("costs", [[(5, 5), (5, 5)], [(0, 0), (0, 0)], [(0, 1), (1e9, 1)], [(1e-9, 1e9)] * 3])
def test_every_mark_is_inside_whatever_the_costs(costs: list[tuple[float, float]]) -> None:
    drawing = drawn(*(at(number, across, up) for number, (across, up) in enumerate(costs, 1)))
    for mark in drawing.marks:
        assert mark.left >= 0
        assert mark.left + mark.width <= WIDTH_PX
        assert 0 < mark.y < drawing.bottom
    assert drawing.across
    assert drawing.up
