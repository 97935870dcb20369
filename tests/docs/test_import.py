"""The page about imports, and the formats that there are."""

from __future__ import annotations

import re

from sim.importers.registry import IMPORTERS
from tests.docs.documents import ROOT


def test_each_format_has_a_row() -> None:
    page = (ROOT / "docs" / "import.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", page, re.MULTILINE)
    assert sorted(rows) == sorted(importer.name for importer in IMPORTERS)
