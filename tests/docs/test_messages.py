"""The tables of docs/messages.md: what the AI reads of each kind. UPDATE_DOCS=1 writes them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from queue_core.channels.base import Inbound
from queue_core.channels.cloud.parser import parse_cloud
from queue_core.channels.content import KINDS
from queue_core.channels.evolution.parser import parse_evolution
from queue_core.server.metrics import SKIPPED_REASONS
from tests.docs.documents import ROOT, section_under
from tests.queue_core.channels.kinds_cloud import CLOUD
from tests.queue_core.channels.kinds_web import WEB
from tests.queue_core.channels.shapes import cloud, cloud_message, evolution

PAGE = ROOT / "docs" / "messages.md"
_MARK = "<!-- made by tests/docs/test_messages.py: {name} -->\n"
_HEAD = "| the user sends | `kind` | the AI reads | in Arabic |\n|---|---|---|---|\n"


def table(parse: Callable[..., Inbound], webhooks: Iterable[tuple[str, dict[str, Any]]]) -> str:
    """Return a table of what the AI reads of webhooks, in both languages. Webhooks that read alike share a row."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for what, webhook in webhooks:
        english, arabic = (
            parse(webhook, media_bytes_max=8_192, language=language).messages[0] for language in ("en", "ar")
        )
        names = rows.setdefault((english.message_data["kind"], english.message, arabic.message), [])
        names += {what.rstrip(" 23456789")} - {*names}
    return _HEAD + "".join(
        "| "
        + " | ".join(cell.replace("|", "\\|").replace("\n", "<br>") for cell in ("; ".join(names), *readings))
        + " |\n"
        for readings, names in rows.items()
    )


TABLES = {
    "web": lambda: table(
        parse_evolution, ((what, evolution(example.content)) for what, example in WEB.items())
    ),
    "cloud": lambda: table(
        parse_cloud,
        (
            (what, cloud(cloud_message(example.type, example.content, **example.beside)))
            for what, example in CLOUD.items()
        ),
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_table_says_what_the_ai_reads(name: str) -> None:
    page, made, mark = PAGE.read_text("utf-8"), TABLES[name](), _MARK.format(name=name)
    head, _, rest = page.partition(mark)
    assert rest, f"docs/messages.md has no place for the table {name}"
    if os.environ.get("UPDATE_DOCS"):
        PAGE.write_text(f"{head}{mark}\n{made}\n" + re.sub(r"\A\n*(\|.*\n)*\n*", "", rest), "utf-8")
    assert f"{mark}\n{made}\n" in PAGE.read_text("utf-8"), (
        "run this test with UPDATE_DOCS=1, and read the diff"
    )


def test_every_reason_that_is_foreseen_is_explained() -> None:
    explained = set(re.findall(r"`([a-z ]+)`", section_under("docs/messages.md", "What is not answered")))
    assert set(SKIPPED_REASONS) <= explained


def test_the_tables_show_every_kind() -> None:
    """The warning about IGNORED_KINDS knows KINDS only."""
    rows = "".join(TABLES[name]() for name in TABLES)
    assert set(re.findall(r"^\| .+ \| (\w+) \| .+ \| .+ \|$", rows, re.MULTILINE)) == KINDS
