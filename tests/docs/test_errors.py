"""The tables of docs/errors.md: what follows each error of a provider. UPDATE_DOCS=1 writes them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import get_args

import pytest

from queue_core.channels import errors as statuses
from queue_core.channels.cloud import errors as cloud
from queue_core.channels.errors import Consequence, Meaning
from queue_core.channels.evolution import errors as evolution
from queue_core.channels.evolution_go import errors as evolution_go
from queue_core.channels.waha import errors as waha
from queue_core.channels.whatsapp_web import errors as web
from queue_core.text import quantity
from tests.docs.documents import ROOT, section_under

PAGE = ROOT / "docs" / "errors.md"
_MARK = "<!-- made by tests/docs/test_errors.py: {name} -->\n"
_OF_OTHER_SENDS = re.compile("template|flow|marketing|group|media cannot be uploaded|terms for payments")
"""Words of errors that only follow sends of other kinds than a reply's."""
_HEAD = "| error | meaning | what follows |\n|---|---|---|\n"


def table(meanings: Iterable[Meaning]) -> str:
    """Return a table of meanings, with one row for neighbours that have the same one."""
    rows = []
    for _, group in groupby(
        meanings, key=lambda meaning: (meaning.words, meaning.consequence, meaning.after_ms)
    ):
        same = list(group)
        codes = f"{same[0].code} to {same[-1].code}" if len(same) > 2 else ", ".join(it.code for it in same)
        rows.append(f"| {codes} | {same[0].words} | {_what_follows(same[0])} |\n")
    return _HEAD + "".join(rows)


def _what_follows(meaning: Meaning) -> str:
    consequence = str(meaning.consequence)
    if meaning.consequence == "now":
        is_about_form = meaning in (evolution.V1_BODY.meaning, evolution.V2_BODY.meaning)
        consequence = f"now, else {web.FORM.meaning.consequence if is_about_form else 'later'}"
    minutes, seconds = divmod((meaning.after_ms or 0) // 1000, 60)
    wait = quantity(seconds, "second") if seconds else quantity(minutes, "minute") if minutes else ""
    return f"{consequence}{f', after {wait}' if wait else ''}{'' if meaning.not_sent else ', perhaps sent'}"


TABLES: dict[str, Callable[[], str]] = {
    "cloud": lambda: table(
        meaning
        for _, meaning in sorted(
            [*cloud.CODES.items(), (100.5, cloud.UNKNOWN_ID)]
        )  # below the row of code 100
        if not _OF_OTHER_SENDS.search(meaning.words)
    ),
    "evolution": lambda: table(
        [evolution.NOT_FOUND, *(it.meaning for it in evolution.ROWS), evolution.RAISED, evolution.NOT_READY]
    ),
    "evolution_go": lambda: table(it.meaning for it in evolution_go.ROWS),
    "waha": lambda: table([*waha.STATUSES.values(), *(it.meaning for it in waha.ROWS)]),
    "web": lambda: table([*(it.meaning for it in web.ROWS), web.UNKNOWN_WITH_SUCCESS]),
    "statuses": lambda: table([*statuses.STATUSES.values(), *statuses.OTHERS]),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_table_says_what_follows(name: str) -> None:
    page, made, mark = PAGE.read_text("utf-8"), TABLES[name](), _MARK.format(name=name)
    head, _, rest = page.partition(mark)
    assert rest, f"docs/errors.md has no place for the table {name}"
    if os.environ.get("UPDATE_DOCS"):
        PAGE.write_text(f"{head}{mark}\n{made}\n" + re.sub(r"\A\n*(\|.*\n)*\n*", "", rest), "utf-8")
    assert f"{mark}\n{made}\n" in PAGE.read_text("utf-8"), (
        "run this test with UPDATE_DOCS=1, and read the diff"
    )


def test_everything_that_may_follow_is_explained() -> None:
    explained = re.findall(r"^\| ([a-z ]+) \|", section_under("docs/errors.md", "What follows"), re.MULTILINE)
    assert set(get_args(Consequence)) <= set(explained)


def test_no_cell_breaks_its_table() -> None:
    for make in TABLES.values():
        assert all(row.count("|") == 4 for row in make().splitlines())
