"""Figures of a health report, as `check` and `status` show them."""

from __future__ import annotations

import pytest

from queue_core import HealthReport
from queue_core.server.operator.figures import figures


@pytest.mark.parametrize(
    ("counted", "shown"), [(None, "not counted"), (0, "0 conversations"), (1, "1 conversation")]
)
def test_a_search_that_was_not_made_is_not_shown_as_none(counted: int | None, shown: str) -> None:
    report = HealthReport(checked_at_ms=0, reachable=True, stranded_conversations=counted)
    assert dict(figures(report))["stranded"] == shown
