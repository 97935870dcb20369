"""Times of faults on an axis."""

from __future__ import annotations

import pytest

from reports.drawing.time_axis import FAULT_SHARE_MIN, shades_of


@pytest.mark.parametrize("start_s", [0.0, 500.0, 999.9])
def test_a_short_fault_is_wide_enough_to_be_seen_also_at_the_end_of_the_axis(start_s: float) -> None:
    (shade,) = shades_of([(start_s, start_s + 0.1)], 1000.0)
    assert shade.end_s - shade.start_s == pytest.approx(FAULT_SHARE_MIN * 1000)
    assert 0 <= shade.start_s <= start_s
    assert start_s + 0.1 <= shade.end_s <= 1000
