"""A TCP proxy in front of Redis that loses answers, cuts connections and goes silent, when and where a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from queue_core.redis.scripts.loader import Call

Fault = Literal["lose the answer", "cut the request in half", "cut before the answer"]


@dataclass(slots=True)
class Armed:
    """A fault that strikes once, at the first request with one of `needles` in it."""

    fault: Fault
    needles: list[bytes]
    happened: asyncio.Event = field(default_factory=asyncio.Event)


class Proxy:
    """Hands bytes to and fro between clients and the Redis at `url`; `async with`, then connect to its own `url`."""

    def __init__(self, url: str) -> None:
        self._upstream = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._links: dict[_Link, asyncio.Task[None]] = {}
        self._armed: list[Armed] = []
        self.connections = 0

    @property
    def url(self) -> str:
        """URL for `queue_core.connect`."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return f"redis://127.0.0.1:{port}/0"

    def arm(self, fault: Fault, stub: type[Call[Any]]) -> Armed:
        """Let a fault strike at the next call of a script, whether it goes alone or with others."""
        needles = [stub.script.sha.encode()]
        if stub.gathered:
            needles.append(stub.gathered.sha.encode())
        armed = Armed(fault, needles)
        self._armed.append(armed)
        return armed

    def redirect(self, url: str) -> None:
        """Hand new connections to another Redis; those that are open stay."""
        self._upstream = urlsplit(url)

    def cut_all(self) -> None:
        """Reset every connection."""
        for link in tuple(self._links):
            link.cut()

    def armed_for(self, request: bytes) -> Armed | None:
        """Disarm and return the fault that strikes at this request, if any."""
        for armed in self._armed:
            if any(needle in request for needle in armed.needles):
                self._armed.remove(armed)
                return armed
        return None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut_all()
        await asyncio.gather(*self._links.values())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            if self._upstream.scheme == "unix":
                to_redis = await asyncio.open_unix_connection(self._upstream.path)
            else:
                to_redis = await asyncio.open_connection(self._upstream.hostname, self._upstream.port)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(self, (reader, writer), to_redis)
        self._links[link] = asyncio.create_task(link.run())


_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Link:
    """One client's connection and its own to Redis."""

    def __init__(self, proxy: Proxy, client: _Streams, redis: _Streams) -> None:
        self._proxy = proxy
        self._from_client, self._to_client = client
        self._from_redis, self._to_redis = redis
        self._is_silent = False
        self._cuts_at_answer = False

    async def run(self) -> None:
        """Hand bytes on until either end goes."""
        await asyncio.gather(
            self._pump(self._from_client, self._request), self._pump(self._from_redis, self._answer)
        )

    def cut(self) -> None:
        """End both connections without a farewell."""
        self._to_client.transport.abort()
        self._to_redis.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, hand_on: Callable[[bytes], None]) -> None:
        try:
            while data := await reader.read(1 << 20):
                hand_on(data)
        except OSError:
            pass
        finally:
            self.cut()

    def _request(self, data: bytes) -> None:
        armed = self._proxy.armed_for(data)
        if armed is None:
            self._to_redis.write(data)
            return
        if armed.fault == "cut the request in half":
            self._to_redis.write(data[: len(data) // 2])
            self._to_redis.close()  # what was written still goes out
            self._to_client.transport.abort()
        else:
            self._is_silent = True
            self._cuts_at_answer = armed.fault == "cut before the answer"
            self._to_redis.write(data)
        armed.happened.set()

    def _answer(self, data: bytes) -> None:
        if self._cuts_at_answer:
            self.cut()
        elif not self._is_silent:
            self._to_client.write(data)
