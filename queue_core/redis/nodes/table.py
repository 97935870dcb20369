"""Table of the primaries of a deployment, and of the slots that each of them has."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from redis.crc import key_slot

from queue_core.redis.nodes.urls import Address

SLOTS = 16_384
NO_OWNER = "no primary has the keys of this partition now"


class Table:
    """Primary of each slot. Behind sentinels one primary has all keys, which then count as one slot."""

    def __init__(self, owners: Sequence[Address | None], replicas: Sequence[Address] = ()) -> None:
        self.owners = list(owners)
        self.replicas = tuple(replicas)
        self.primaries = tuple(dict.fromkeys(owner for owner in owners if owner))

    def moved(self, slot: int, owner: Address) -> None:
        """Note another owner of a slot, as MOVED tells it."""
        self.owners[slot] = owner
        if owner not in self.primaries:
            self.primaries += (owner,)


def slot_of(key: str | bytes) -> int:
    """Return the slot of a key on a cluster. Keys of a partition share a hash tag, so they share a slot."""
    data = key.encode() if isinstance(key, str) else key
    start = data.find(b"{")
    end = data.find(b"}", start + 1)
    return _slot_of_tag(data[start + 1 : end] if start >= 0 and end > start + 1 else data)


@lru_cache(maxsize=4_096)
def _slot_of_tag(tag: bytes) -> int:
    return key_slot(tag)
