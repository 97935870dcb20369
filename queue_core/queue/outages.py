"""Outages of backends: of the AI, and of the channel of each instance.

Redis decides when a backend is away: see `redis/scripts/outages.lua`.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

import msgspec

from queue_core.keys import Partition
from queue_core.message import BackendKind
from queue_core.queue.access import Access, whole
from queue_core.redis.scripts.answers import BackendNews
from queue_core.redis.scripts.loader import text
from queue_core.text import visible


@dataclass(frozen=True, slots=True)
class OutageSign:
    """Sign that a backend is away: the attempt failed for a reason of the backend."""

    kind: BackendKind
    took_ms: float
    """Time for which the attempt used the backend. If other attempts succeeded meanwhile, it is not away."""
    counts: bool = False
    """True if the attempt counts although the backend is away, since it may have sent its reply."""


class Backend(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A backend: the AI, or the channel of an instance."""

    kind: BackendKind
    instance_name: str
    """Instance of the channel; "" for the AI, which all instances share."""
    since_ms: int
    """Time at which the backend went away, Unix ms."""
    error: str
    """The last error."""
    is_away: bool
    """False for a backend that came back."""

    @property
    def name(self) -> str:
        """Return the backend's name for people: "the AI", or "the channel of mybot"."""
        return "the AI" if self.kind == "ai" else f"the channel of {visible(self.instance_name)}"


class Outage(Backend, frozen=True, kw_only=True, rename="camel"):
    """A backend that is away, or that came back and for which conversations still wait."""

    waiting: int
    """Conversations that wait for it."""


class OutageNews(Backend, frozen=True, kw_only=True, rename="camel"):
    """News that a backend went away or came back."""


def news_of(news: BackendNews) -> OutageNews:
    """Return the news in a claim's answer."""
    kind, instance = _backend_named(news.backend)
    return OutageNews(
        kind=kind, instance_name=instance, since_ms=news.since_ms, error=news.error, is_away=news.is_away
    )


def _backend_named(name: str) -> tuple[BackendKind, str]:
    """Return the kind and the instance of a backend by its name in Redis; the AI has no instance."""
    kind, _, instance = name.partition(":")
    return ("ai" if kind == "ai" else "channel"), unquote(instance, errors="surrogatepass")


class Outages:
    """Reader of outages."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def read(self) -> list[Outage]:
        """Return all outages, sorted by backend. Raises QueueUnavailableError when Redis does not answer."""
        partitions = self._access.keys.partitions
        names = await self._access.read(*(("ZRANGE", partition.outages, 0, -1) for partition in partitions))
        outages: dict[str, Outage] = {}
        for partition, raw_names in zip(partitions, names, strict=True):
            for name in map(text, raw_names):
                outage = await self._read_one(partition, name)
                outages[name] = _joined(outages[name], outage) if name in outages else outage
        return [outages[name] for name in sorted(outages)]

    async def _read_one(self, partition: Partition, name: str) -> Outage:
        (state, since, error), waiting = await self._access.read(
            ("HMGET", partition.backend_of(name), "state", "since", "error"),
            ("ZCARD", partition.backend_waiting_of(name)),
        )
        kind, instance = _backend_named(name)
        return Outage(
            kind=kind,
            instance_name=instance,
            is_away=text(state) == "away",
            since_ms=whole(since, 0),
            error=text(error) if error is not None else "",
            waiting=waiting,
        )


def _joined(first: Outage, second: Outage) -> Outage:
    """Combine what two partitions know about one backend."""
    return msgspec.structs.replace(
        first,
        is_away=first.is_away or second.is_away,
        since_ms=min(first.since_ms, second.since_ms),
        waiting=first.waiting + second.waiting,
    )
