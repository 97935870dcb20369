"""Stubs of the atomic steps that change the number of partitions; `bundles.lua` says how data are carried."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from queue_core.keys import Key, Partition
from queue_core.redis.scripts import answers
from queue_core.redis.scripts.loader import Call, Now, Number, stub, text


def packed(words: Iterable[bytes | str]) -> bytes:
    """Pack words as `bundles.lua` reads them."""
    raw = (word.encode() if isinstance(word, str) else word for word in words)
    return b"".join(b"%d:%b" % (len(word), word) for word in raw)


@stub("close_partition")
class ClosePartition(Call[str], frozen=True, kw_only=True):
    """Lets no process work in a partition. Returns "", or another number that is noted."""

    read = staticmethod(text)
    partition: Annotated[Partition, "layout damaged"]
    now_ms: Now
    before: str
    change: str
    mover: str


@stub("open_partition")
class OpenPartition(Call[str], frozen=True, kw_only=True):
    """Notes the new number of partitions in one of them. Returns "", or why not: see `open_partition.lua`."""

    read = staticmethod(text)
    partition: Annotated[Partition, "layout token looks hold wake damaged base partitions"]
    now_ms: Now
    mover: str
    is_used: str
    token: str
    since: str
    ids: bytes
    held_ms: str


@stub("pack", mends=False)
class Pack(Call[tuple[int, int]], frozen=True, kw_only=True):
    """Puts items into outboxes. Returns how many are finished, and the number of bundles."""

    read = staticmethod(answers.read_pair)
    partition: Annotated[Partition, "layout active wake dead damaged reports reports_due base"]
    now_ms: Now
    absent: Key
    mover: str
    kinds: bytes
    items: bytes


@stub("hand_over", mends=False)
class HandOver(Call[bytes], frozen=True, kw_only=True):
    """Returns the next bundles of an outbox, after those up to the number `arrived`, which it deletes."""

    partition: Annotated[Partition, "layout base"]
    absent: Key
    mover: str
    target: str
    arrived: Number


@stub("export", mends=False)
class Export(Call[bytes], frozen=True, kw_only=True):
    """Returns bundles with the content of keys, which stay."""

    partition: Annotated[Partition, "layout base"]
    now_ms: Now
    absent: Key
    mover: str
    names: bytes


@stub("unpack_bundles", mends=False)
class UnpackBundles(Call[int], frozen=True, kw_only=True):
    """Unpacks bundles. Returns the number of the last one from that source."""

    read = staticmethod(answers.read_count)
    partition: Annotated[Partition, "layout damaged base"]
    now_ms: Now
    absent: Key
    mover: str
    source: str
    bundles: bytes


@stub("clear", mends=False)
class Clear(Call[int], frozen=True, kw_only=True):
    """Deletes keys of a closed partition, except streams with dead letters or damaged keys."""

    read = staticmethod(answers.read_count)
    partition: Annotated[Partition, "layout base"]
    absent: Key
    mover: str
    names: bytes
