"""Options that are durations."""

from __future__ import annotations

import argparse

import pytest

from loadtests.options import seconds_of


def test_a_duration_is_read_in_seconds() -> None:
    assert seconds_of(argparse.Namespace(drain="1.5m"), "drain") == 90


@pytest.mark.parametrize(
    ("text", "words"), [("60", "--drain: 60 has no unit"), ("-3s", "--drain: -3s is negative")]
)
def test_a_duration_that_cannot_be_read_is_reported_with_its_option(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        seconds_of(argparse.Namespace(drain=text), "drain")
