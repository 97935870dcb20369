"""Random streams, one for each purpose, so that a draw from one does not change the others."""

from __future__ import annotations

import hashlib
import random


def derived_seed(*parts: str | int) -> int:
    """Derive a 63-bit seed that depends on every part and on their order."""
    digest = hashlib.sha256("\0".join(f"{len(str(part))}:{part}" for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(*parts: str | int) -> random.Random:
    """Make the random stream of these parts: equal parts give equal numbers on every machine."""
    return random.Random(derived_seed(*parts))
