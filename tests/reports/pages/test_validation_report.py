"""The page of a validation: the sentence first, a row for each trial, the curves, hostile text inert."""

from __future__ import annotations

import copy
import re

import pytest

from reports.pages.validation.page import render_validation_report
from reports.pages.validation.view import validation_downloads
from reports.results.checks import contradictions
from tests.reports import validation_example
from tests.reports.example import HOSTILE
from tests.reports.pages.test_replay_report import Page

SIZE_MAX = 500_000


def text_of(html: str) -> str:
    return "".join(Page(html).text).replace("\u00a0", " ")


def test_the_page_shows_each_trial_with_distances_counts_and_curves() -> None:
    html = render_validation_report(validation_example.six())
    seen = text_of(html)
    assert '<p class="word">Not OK</p>' in html
    sentence = (
        "The simulator differs from the deployment in 2 of 6 trials: storm, Redis away; "
        "1 trial is not valid: AI failing; 3 trials agree."
    )
    assert sentence in seen
    assert seen.index(sentence) < seen.index("How far apart")
    (storm,) = re.findall(r'<tr><th scope="row"><a href="#trial-storm">.*?</tr>', html)
    cells = re.findall("<td[^>]*>(.*?)</td>", storm.replace("\u00a0", " "))
    assert cells == ["✗ curves differ", "400", "0.003", "0.025", "0.022", "0.024", "0.013", "9 ms", "116 ms"]
    assert html.count('<svg class="plot"') == 6
    assert "live 2: the load generator was behind its schedule" in seen
    assert "redis-away@8s:5s" in seen
    assert "way to the server: 2.5 ms, 2.5 ms;" in seen
    assert "own time: 6.5 ms, 6.5 ms." in seen
    assert '<td class="bad">✗ 0</td>' in html
    assert len(html.encode()) < SIZE_MAX


def test_a_page_of_agreement_is_ok_and_one_without_a_valid_run_is_not() -> None:
    html = render_validation_report(validation_example.good())
    assert '<p class="word">OK</p>' in html
    assert "The simulator agrees with the deployment in all 2 trials." in text_of(html)
    silent = validation_example.trial("steady", problems=["no_reply"])
    page = render_validation_report(validation_example.result_of(silent))
    assert '<p class="word">Invalid</p>' in page
    assert "live 2: no message was answered" in text_of(page)


def test_the_page_in_arabic_has_the_same_elements_and_no_english_words() -> None:
    html = render_validation_report(validation_example.six(), "ar")
    page, english = Page(html), Page(render_validation_report(validation_example.six()))
    assert dict(next(attrs for tag, attrs in page.elements if tag == "html")) == {"lang": "ar", "dir": "rtl"}
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in english.elements]
    main = html[html.index("<main") : html.index("</main>")]
    kept = re.sub(r"<(pre|code).*?</\1>|<bdi>[^<]*</bdi>", "", main, flags=re.DOTALL)
    texts = re.sub("\u2068[^\u2066-\u2069]*\u2069", "", re.sub(r"<[^>]*>", "\n", kept))
    assert set(re.findall(r"[A-Za-z][A-Za-z0-9]+", texts)) <= {
        "Redis",
        "CSV",
        "Kolmogorov",
        "Smirnov",
        "dead",
        "letters",
        "webhook",
    }


def test_hostile_text_is_inert() -> None:
    html = render_validation_report(validation_example.hostile())
    names = [name for name, _ in Page(html).elements]
    assert (names.count("script"), names.count("img")) == (1, 0)
    for text in HOSTILE[:2]:
        assert text not in html


def test_downloads_have_each_run_and_each_reply() -> None:
    trials, replies = (link.lines for _, link in validation_downloads(validation_example.good()))
    assert trials[2].startswith("steady,live-2,400,0.0025,0.0025,0.0025,0.0125,400,400,0,0,0")
    assert len(trials) == 1 + 2 * 3
    assert len(replies) == 1 + 2 * 3 * 400


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"ok": False}, "`ok` contradicts"),
        ({"live": 1}, "there are not 2 live runs"),
        ({"distances": [0.1]}, "not a distance for each"),
        ({"distances": [0.1, 1.1]}, "exceeds 1"),
        ({"reply_ms": [2.0, 1.0]}, "do not ascend"),
    ],
)
def test_contradictions_in_a_file_are_found(changes: dict[str, object], problem: str) -> None:
    result = copy.deepcopy(validation_example.good())
    assert list(contradictions(result)) == []
    steady = result["trials"][0]
    for name, value in changes.items():
        if name == "live":
            del steady["live"][1]
        elif name == "reply_ms":
            steady["simulated"]["reply_ms"] = value  # type: ignore[typeddict-item]
        else:
            (result if name == "ok" else steady)[name] = value  # type: ignore[literal-required]
    assert any(problem in sentence for sentence in contradictions(result))
