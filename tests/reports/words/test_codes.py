"""Codes in words."""

from __future__ import annotations

import pytest

from reports.words.codes import kind_words
from reports.words.language import speaking


@pytest.mark.parametrize("kind", ["contacts", "poll", "media", "deleted"])
def test_kinds_that_importers_record_are_translated(kind: str) -> None:
    assert kind_words(kind) == kind
    with speaking("ar"):
        assert kind_words(kind) != kind
