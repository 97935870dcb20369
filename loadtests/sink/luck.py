"""The luck of a turn: a function of the turn, not of the order in which turns come."""

from __future__ import annotations

import hashlib


def uniform_of(*names: object) -> float:
    """Return a number above 0 and below 1 that is always the same for the same names."""
    digest = hashlib.blake2b(repr(names).encode("utf-8", "backslashreplace"), digest_size=8).digest()
    return ((int.from_bytes(digest) >> 11) + 0.5) / 2**53
