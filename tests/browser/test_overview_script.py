"""Tests of the pages' script: it finds, sorts, downloads, and names a mark."""

from __future__ import annotations

import csv
from collections.abc import Callable

import pytest

from tests.browser.conftest import Opened

COUNT = "#overview-count"
ROWS = "#overview-table tbody tr:visible"


@pytest.fixture
def page(opened: Callable[..., Opened]) -> Opened:
    return opened("many conversations")


def _find(page: Opened, text: str) -> str:
    page.page.fill("#overview-find", text)
    page.page.wait_for_timeout(200)  # the script waits for the end of the word
    return page.page.locator(COUNT).inner_text()


@pytest.mark.parametrize(
    "text",
    ["هل الفُستُق متوفّر؟", "الفستق متوفر", "ألفستق", "  الفستق "],
    ids=["as written", "without vowel signs", "another alef", "with spaces"],
)
def test_arabic_is_found_however_it_is_written(text: str, page: Opened) -> None:
    assert _find(page, text) == "2 of 10,000 shown"
    page.check()


def test_a_phone_number_is_found_by_its_last_digits_in_any_digits(page: Opened) -> None:
    assert _find(page, "…0042") == "1 of 10,000 shown"
    assert _find(page, "…٠٠٤٢") == "1 of 10,000 shown"
    assert _find(page, "no such words") == "0 of 10,000 shown"
    assert _find(page, "") == "10,000 of 10,000 shown"


def test_only_conversations_in_trouble_can_be_shown(page: Opened) -> None:
    page.page.check("#overview-troubled")
    assert page.page.locator(COUNT).inner_text() == "100 of 10,000 shown"
    assert page.page.locator(ROWS).count() == 100


def test_columns_sort_by_mouse_and_keyboard(page: Opened) -> None:
    head = page.page.locator("#overview-table th").first
    head.locator("button").click()
    first = page.page.locator("#overview-table tbody tr").first.locator("td").first
    assert (head.get_attribute("aria-sort"), first.inner_text()) == ("descending", "10000")
    head.locator("button").press("Enter")
    assert (head.get_attribute("aria-sort"), first.inner_text()) == ("ascending", "1")
    lost = page.page.locator("#overview-table th", has_text="buffer-v1")
    lost.locator("button").click()
    assert head.get_attribute("aria-sort") is None
    assert page.page.locator("#overview-table tbody tr").first.locator("td.b").count() == 1


def test_what_is_shown_can_be_downloaded(page: Opened) -> None:
    page.page.check("#overview-troubled")
    with page.page.expect_download() as downloaded:
        page.page.click("#overview-csv")
    assert downloaded.value.suggested_filename == "conversations.csv"
    with downloaded.value.path().open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["No.", "User", "messages", "buffer-v1", "queue", "longest wait, s", "Text"]
    assert len(rows) == 101
    assert all(row[3].startswith("✗") for row in rows[1:])
    page.check()


def test_a_text_is_not_downloaded_as_a_formula(page: Opened) -> None:
    """Some spreadsheets begin a cell at a semicolon, a bar or a tab too."""
    cell = page.page.locator("#overview-table tbody tr").first.locator("td").last
    cell.evaluate("cell => { cell.textContent = '=1+1; =2+2|@x' }")
    with page.page.expect_download() as downloaded:
        page.page.click("#overview-csv")
    with downloaded.value.path().open(encoding="utf-8-sig", newline="") as file:
        assert list(csv.reader(file))[1][-1] == "'=1+1;' =2+2|'@x"


@pytest.mark.parametrize("name", ["systems.csv", "runs.csv", "lost.csv"])
def test_files_in_the_page_can_be_downloaded(name: str, page: Opened) -> None:
    with page.page.expect_download() as downloaded:
        page.page.click(f"a[download='{name}']")
    assert downloaded.value.suggested_filename == name
    with downloaded.value.path().open(encoding="utf-8-sig", newline="") as file:
        assert len(list(csv.reader(file))) > 2
    page.check()


def test_a_mark_says_what_it_is_when_it_is_tapped(opened: Callable[..., Opened]) -> None:
    page = opened("incident", width=400, has_touch=True)
    note = page.page.locator(".mark-note")
    assert not note.is_visible()
    page.page.locator("svg.swimlane g.answered").first.tap()
    assert "answered after" in note.inner_text()
    page.page.keyboard.press("Escape")
    assert not note.is_visible()
    page.check()
