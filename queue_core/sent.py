"""Parts of a reply that a provider took: a sender notes each of them with the id that the provider gave it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec

PART_IDS_MAX = 100
"""Limit on the parts of one reply whose ids are kept."""
ID_CHARACTERS_MAX = 256
"""Limit on an id; a longer one is not kept. Ids of the Cloud API have some 60 characters."""


class SentPart(msgspec.Struct, frozen=True):
    """Part of a reply, as the provider took it."""

    id: str
    text: str


_parts: ContextVar[list[SentPart] | None] = ContextVar("parts", default=None)


def note_sent(part_id: str, text: str) -> None:
    """Note that the provider took a part, for a sender to call. Does nothing without an id, or outside a send."""
    parts = _parts.get()
    if parts is not None and 0 < len(part_id) <= ID_CHARACTERS_MAX and len(parts) < PART_IDS_MAX:
        parts.append(SentPart(part_id, text))


@contextmanager
def noting_sent(parts: list[SentPart]) -> Iterator[None]:
    """Add to `parts` what a sender notes inside the block."""
    token = _parts.set(parts)
    try:
        yield
    finally:
        _parts.reset(token)
