"""TCP proxy in front of a server, which cuts links, silences them, or refuses new ones, and answers TLS."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Coroutine
from typing import Literal

Mode = Literal["open", "cut", "silent"]

_CHUNK = 1 << 16
_HANDSHAKE_REQUESTS = 4
_REPLICA_WORDS = (b"REPLCONF", b"PSYNC")
_TLS_HANDSHAKE = b"\x16"
"""First byte of a client that speaks TLS."""

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class ProxyThread:
    """Event loop in a thread of its own, which carries the proxies of all servers.

    `tls`: settings with which they answer a client that begins with a TLS handshake; other clients are served as well.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[None, None, None]) -> None:
        """Do some work in the loop, and return when it is done."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class Proxy:
    """Proxy on a port of its own, in front of a local port.

    It knows the links of replicas by their handshake. The methods are for other threads than that of the proxies.
    """

    def __init__(self, thread: ProxyThread, port: int, upstream_port: int) -> None:
        self._thread = thread
        self._upstream_port = upstream_port
        self.port = port
        self._listener: socket.socket | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._links: set[_Link] = set()
        self._modes: dict[bool, Mode] = {}

    def open(self) -> None:
        """Take new links."""
        self._thread.run(self._open())

    def close(self) -> None:
        """Refuse new links, and end those that are open."""
        self._thread.run(self._close())

    def cut(self, *, replicas_only: bool = False) -> None:
        """End all links, or those of replicas, and each new one, until `restore`."""
        self._thread.run(self._set("cut", replicas_only=replicas_only))

    def silence(self, *, replicas_only: bool = False) -> None:
        """Keep all links open, or those of replicas, but lose what they carry, until `restore` ends these links."""
        self._thread.run(self._set("silent", replicas_only=replicas_only))

    def restore(self) -> None:
        """End what `cut` and `silence` began."""
        self._thread.run(self._restore())

    def mode(self, *, is_replica: bool) -> Mode:
        """Return what happens now to a link of this kind."""
        return self._modes.get(is_replica, "open")

    async def _open(self) -> None:
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
            self._listener.setblocking(False)
            asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)

    async def _close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()
        self._modes.clear()
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            client, _ = listener.accept()
            client.setblocking(False)
            task = asyncio.create_task(self._serve(client))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
            task.add_done_callback(lambda _: client.close())

    async def _set(self, mode: Mode, *, replicas_only: bool) -> None:
        self._modes = {True: mode, False: self.mode(is_replica=False) if replicas_only else mode}
        for link in tuple(self._links):
            if self.mode(is_replica=link.is_replica) == "cut":
                link.end()

    async def _restore(self) -> None:
        for link in tuple(self._links):
            if self.mode(is_replica=link.is_replica) != "open":
                link.end()
        self._modes.clear()

    async def _serve(self, client: socket.socket) -> None:
        ends: list[Ends] = []
        try:
            ends.append(await self._welcome(client))
            ends.append(await asyncio.open_connection("127.0.0.1", self._upstream_port))
            link = _Link(self, *ends)
            self._links.add(link)
            try:
                await link.run()
            finally:
                self._links.discard(link)
        except OSError:  # the server is away, or a handshake failed
            pass
        finally:
            for _, writer in ends:
                writer.transport.abort()

    async def _welcome(self, client: socket.socket) -> Ends:
        """Return the streams of a new client, without TLS. Raises OSError."""
        loop, tls = asyncio.get_running_loop(), self._thread.tls
        reader = asyncio.StreamReader()
        transport, protocol = await loop.connect_accepted_socket(
            lambda: asyncio.StreamReaderProtocol(reader),
            client,
            ssl=tls if tls and await _begins_with_tls(client) else None,
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


class _Link:
    """A client's connection, and the one to the server that belongs to it."""

    def __init__(self, proxy: Proxy, client: Ends, server: Ends) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._ended = asyncio.Event()
        self.is_replica = False

    async def run(self) -> None:
        """Hand bytes on until either end goes, or `end` is called."""
        (client, to_client), (server, to_server) = self._client, self._server
        pumps = [
            asyncio.create_task(self._pump(client, to_server, is_request=True)),
            asyncio.create_task(self._pump(server, to_client, is_request=False)),
        ]
        try:
            await self._ended.wait()
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.wait(pumps)

    def end(self) -> None:
        """End both connections."""
        self._ended.set()

    async def _pump(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, is_request: bool
    ) -> None:
        requests = 0
        try:
            while data := await source.read(_CHUNK):
                requests += is_request
                if 0 < requests <= _HANDSHAKE_REQUESTS:
                    self.is_replica |= any(word in data.upper() for word in _REPLICA_WORDS)
                if self._mode() == "open":
                    target.write(data)
                    await target.drain()
                elif self._mode() == "cut":
                    break
        except OSError:
            pass
        if self._mode() != "silent":  # else the other end hears nothing of the end either
            self.end()

    def _mode(self) -> Mode:
        return self._proxy.mode(is_replica=self.is_replica)


async def _begins_with_tls(client: socket.socket) -> bool:
    """Wait for a client's first byte, which stays in the socket, and return True if it begins a TLS handshake."""
    loop, has_come = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(client, has_come.set)
    try:
        await has_come.wait()
    finally:
        loop.remove_reader(client)
    return client.recv(1, socket.MSG_PEEK) == _TLS_HANDSHAKE
