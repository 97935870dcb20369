"""Random streams, one for each purpose, so that a draw from one does not change the others."""

from __future__ import annotations

import hashlib
import random

AI_DRAW = "service"
"""Name of the draw of the AI's time for a turn, in `share`."""


def derived_seed(*parts: str | int) -> int:
    """Derive a 63-bit seed that depends on every part and on their order."""
    digest = hashlib.sha256("\0".join(f"{len(str(part))}:{part}" for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def share(*names: object) -> float:
    """Return a number above 0 and below 1 that is always the same for the same names, on every machine."""
    digest = hashlib.blake2b(repr(names).encode("utf-8", "backslashreplace"), digest_size=8).digest()
    return ((int.from_bytes(digest) >> 11) + 0.5) / 2**53


def stream(*parts: str | int) -> random.Random:
    """Make the random stream of these parts: equal parts give equal numbers on every machine."""
    return random.Random(derived_seed(*parts))
