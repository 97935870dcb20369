"""Servers that fail at a given byte: a proxy in front of a real Redis, and a Redis that a test plays itself."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import hiredis

CERTIFICATE = Path(__file__).with_name("localhost.pem")
"""Certificate that signs itself, and its key; valid until 2126, for tests only."""


def server_tls() -> ssl.SSLContext:
    """Make the TLS settings of a server with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


class Cutter:
    """Proxy that cuts a connection after some bytes, or keeps answers back."""

    def __init__(self, url: str, tls: ssl.SSLContext | None = None) -> None:
        self._upstream = urlsplit(url)
        self._tls = tls
        self.connections = 0
        self.held_connections = 0
        """Answers on connections up to this number are kept back, and handed on by `release`."""
        self.requests_left: int | None = None
        self.answers_left: int | None = None
        self.held: list[tuple[asyncio.StreamWriter, bytes]] = []
        self._pumps: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def redirect(self, url: str) -> None:
        """Hand new connections to another Redis; those that are open stay."""
        self._upstream = urlsplit(url)

    def hold(self) -> None:
        """Keep back the answers on the connections that are open now."""
        self.held_connections = self.connections

    def release(self) -> None:
        """Hand on what was kept, and keep nothing any more."""
        self.held_connections = 0
        for writer, data in self.held:
            writer.write(data)
        self.held.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self._upstream.scheme == "unix":
            from_redis, to_redis = await asyncio.open_unix_connection(self._upstream.path)
        else:
            from_redis, to_redis = await asyncio.open_connection(self._upstream.hostname, self._upstream.port)
        number, ends = self.connections, (writer, to_redis)
        for source, target, name in ((reader, to_redis, "requests"), (from_redis, writer, "answers")):
            pump = asyncio.create_task(self._pump(source, target, name, number, ends))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        name: str,
        number: int,
        ends: tuple[asyncio.StreamWriter, ...],
    ) -> None:
        try:
            while data := await source.read(1 << 16):
                if name == "answers" and number <= self.held_connections:
                    self.held.append((target, data))
                    continue
                left: int | None = getattr(self, f"{name}_left")
                if left is None or len(data) < left:
                    target.write(data)
                    if left is not None:
                        setattr(self, f"{name}_left", left - len(data))
                    continue
                setattr(self, f"{name}_left", None)
                target.write(data[:left])
                target.close()
                await asyncio.sleep(0)
                return
        except OSError:
            pass
        finally:
            for end in ends:
                end.close()


Answer = Callable[[int, tuple[bytes, ...]], bytes | None]
"""Function from a connection's number and a command to the answer's bytes; None closes the connection."""


class Played:
    """Redis that answers calls as a test says. It has every script, and takes every handshake."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.connections = 0
        self.commands: list[tuple[bytes, ...]] = []
        """EVALSHA and SCRIPT LOAD, in the order in which they came."""
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0?protocol=2"

    def send(self, data: bytes) -> None:
        """Send bytes over the newest connection."""
        self._writers[-1].write(data)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self._writers.append(writer)
        requests = hiredis.Reader()
        try:
            while data := await reader.read(1 << 20):
                requests.feed(data)
                while (command := requests.gets()) is not False:
                    answer = self._answered(number, tuple(command))
                    if answer is None:
                        return
                    writer.write(answer)
        except OSError:
            pass
        finally:
            writer.close()

    def _answered(self, number: int, command: tuple[Any, ...]) -> bytes | None:
        if command[0] not in (b"EVALSHA", b"SCRIPT"):
            return b"+OK\r\n"
        self.commands.append(command)
        return self._answer(number, command)
