"""docs/answers.md: its examples come out as it says, and it has the words of every reason."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from queue_core.ai.generic_http import _text
from queue_core.ai.reply import ABSENCE_WORDS, extract
from queue_core.channels.form.markdown import converted
from queue_core.http_client import HttpAnswer
from tests.docs.documents import ROOT, block, section_under

PAGE = "docs/answers.md"
_FORM = re.compile(r"^\| (`+)(.+?)\1 \| (?:(`+)(.+?)\3|all of it) \|$", re.MULTILINE)
_NOTED = re.compile(r"^\| (`+)(.+?)\1 \| all of it(?: \((\d)\))? \|$", re.MULTILINE)
_ROW = re.compile(r"^\| (`+)(.+?)\1 \| (?:`(.+)`|all of it(?: \(\d\))?) \|$", re.MULTILINE)


def examples(heading: str) -> list[tuple[str, str]]:
    """Return the answers of a table, each with what the user sees of it."""
    rows = [(row[2], row[3] or row[2]) for row in _ROW.finditer(section_under(PAGE, heading))]
    return [(_written(answer), _written(shown)) for answer, shown in rows]


def _written(cell: str) -> str:
    return cell.replace("\\|", "|").replace("⏎", "\n")


@pytest.mark.parametrize("heading", ["What is removed", "What stays"])
def test_the_examples_come_out_as_the_page_says(heading: str) -> None:
    rows = examples(heading)
    assert len(rows) == section_under(PAGE, heading).count("\n| `")
    for answer, shown in rows:
        assert extract(answer).text == shown


def test_notes_name_the_answers_that_stay_and_still_change_on_their_way_to_the_user() -> None:
    """(1) is WhatsApp's formatting; (2) is the JSON of an `http` AI."""
    rows = _NOTED.findall(section_under(PAGE, "What stays"))
    assert len(rows) > 8
    for _, cell, note in rows:
        answer = _written(cell)
        body = _text(HttpAnswer(200, answer.encode(), None))
        changed = ("2" if body != answer else "") + ("1" if converted(answer) != answer else "")
        assert changed == note, answer


def test_the_form_is_as_the_page_says() -> None:
    table = section_under(PAGE, "The form of a reply")
    rows = [(_written(row[2].strip()), row[3] and _written(row[4].strip())) for row in _FORM.finditer(table)]
    assert len(rows) == table.count("\n| `") > 20
    for text, expected in rows:
        assert converted(text) == (expected or text)


def test_the_page_has_the_words_of_every_reason() -> None:
    page = " ".join((ROOT / PAGE).read_text("utf-8").split())
    assert [words for words in ABSENCE_WORDS.values() if f"- {words}" not in page] == []


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ('{"response": "**We** open."}', "*We* open."),
        ("<think>hm</think>", ABSENCE_WORDS["reasoning"]),
        ("NO_REPLY", "no reply is wanted"),
    ],
)
def test_the_code_of_the_page_shows_an_answer(answer: str, shown: str, tmp_path: Path) -> None:
    (tmp_path / "answer.txt").write_text(answer, "utf-8")
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{block(PAGE, 'python')}"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.stdout == f"{shown}\n", run.stderr
