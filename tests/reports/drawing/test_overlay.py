"""The plot of several distributions over each other, and the largest distance between two."""

from __future__ import annotations

import random
import re

import pytest

from reports.analysis.gap import largest_gap
from reports.drawing.overlay import overlay_plot


def test_the_largest_distance_equals_that_of_an_exhaustive_search() -> None:
    chance = random.Random(11)
    for _ in range(30):
        left, right = (sorted(chance.randint(1, 40) for _ in range(chance.randint(1, 30))) for _ in range(2))
        shares = [
            abs(sum(at <= time for at in left) / len(left) - sum(at <= time for at in right) / len(right))
            for time in range(42)
        ]
        gap = largest_gap(left, right)
        assert gap.distance == pytest.approx(max(shares))
        if gap.distance:
            assert gap.at_ms == next(time for time, share in enumerate(shares) if share > max(shares) - 1e-9)


def test_distributions_are_drawn_over_each_other_with_the_largest_distance_to_the_last() -> None:
    same = overlay_plot("a", "A", [("first", [3.0, 1.0, 2.0]), ("second", [1.0, 2.0, 3.0])])
    assert "The largest distance to one live run is 0.000" in same.description
    assert 'class="gap"' not in same.svg
    apart = overlay_plot(
        "b", "B", [("<b>", range(1000, 2000)), ("$x$", range(1100, 2100)), ("last", range(1250, 2250))]
    )
    assert "The largest distance to one live run is 0.250" in apart.description
    assert apart.svg.count('class="gap"') == 1
    assert len(set(re.findall(r'<path stroke="(var\(--series-\d\))"', apart.svg))) == 3
    assert "<b>" not in apart.svg
    assert [row.name for row in apart.rows] == ["<b>", "$x$", "last"]
    with pytest.raises(ValueError, match="cannot be compared"):
        overlay_plot("c", "C", [("first", []), ("second", [1.0])])
