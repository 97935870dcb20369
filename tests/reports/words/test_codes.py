"""Codes in words."""

from __future__ import annotations

import pytest

from queue_core.channels.content import KINDS
from reports.words.codes import kind_words
from reports.words.language import speaking


@pytest.mark.parametrize("kind", sorted(KINDS | {"media", "deleted"}))
def test_all_kinds_of_messages_are_translated(kind: str) -> None:
    """Importers of chat exports make two kinds that no channel has."""
    words = kind_words(kind)
    with speaking("ar"):
        assert kind_words(kind) not in (kind, words)
