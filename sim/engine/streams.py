"""Random streams: one for each purpose, each from its own hash, so that drawing more from one changes no other."""

from __future__ import annotations

import hashlib
import random


def derived_seed(*parts: str | int) -> int:
    """A 63-bit seed that depends on every part and on their order."""
    digest = hashlib.sha256("\0".join(f"{len(str(part))}:{part}" for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(*parts: str | int) -> random.Random:
    """The stream of its parts: equal parts give streams that draw the same numbers, on every machine."""
    return random.Random(derived_seed(*parts))
