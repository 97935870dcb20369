"""The table of names in docs/faults.md is that of the code. UPDATE_DOCS=1 writes it."""

from __future__ import annotations

import os

from sim.faults import FAULTS, kinds_of
from tests.docs.documents import ROOT, made_table

PAGE = ROOT / "docs" / "faults.md"


def test_the_page_lists_all_faults() -> None:
    rows = ["| fault | written | where | what happens |\n|---|---|---|---|\n"]
    for name, kind in FAULTS.items():
        spelling = kind.spelling.replace(" or =", "`, `=")
        where = "simulator"
        if of_load_test := kinds_of("load").get(name):
            where = (
                "all" if of_load_test.length == kind.length else f"all; load test: `{of_load_test.spelling}`"
            )
        rows.append(f"| `{name}` | `{spelling}` | {where} | {kind.meaning} |\n")
    table = made_table(PAGE, "tests/docs/test_faults.py", "".join(rows), write="UPDATE_DOCS" in os.environ)
    assert table == "".join(rows), "run this test with UPDATE_DOCS=1"
