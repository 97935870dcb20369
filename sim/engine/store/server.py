"""Server on the store, and the network in front of it. `sim/engine/network.py` is its counterpart on fakeredis."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import redis.exceptions

from sim.engine.distributions import Distribution
from sim.engine.rest import RestRedis, WriteObserver
from sim.engine.store.client import Command, StoreClient
from sim.engine.store.store import Store, UnknownCommandError


class StoreServer:
    """Redis server and the network to it. `clock_us` is its clock, in Unix microseconds."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        clock_us: Callable[[], int],
        latency: Distribution,
        stream: Callable[[str], Random],
    ) -> None:
        self.loop = loop
        self._latency = latency
        self._stream = stream
        self._observers: list[WriteObserver] = []
        self._outage = ""
        self._held: list[Callable[[], None]] = []
        self._under_way: dict[asyncio.Future[list[Any]], None] = {}
        self._blocked: dict[_Blocked, None] = {}
        self.store = Store(clock_us)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Do nothing at the start and the end of a simulation: the store has no state outside of it."""
        yield

    def client(self, name: str, **options: Any) -> StoreClient:
        """Make a client for one process; `name` names its stream of latencies."""
        return StoreClient(self, self._stream(f"redis/{name}"), **options)

    def rest(self, name: str) -> RestRedis:
        """Make a client that reaches the server over HTTP, by one request for each call."""
        stream = self._stream(f"rest/{name}")
        return RestRedis(self.loop, self._at_once, lambda: self._latency.sample_ms(stream), self._observers)

    async def request(
        self, commands: Sequence[Command], latencies: Random, timeout_s: float | None
    ) -> list[Any]:
        """Carry commands to the server and their answers back. Raises redis-py's ConnectionError and TimeoutError.

        A read that blocks travels on a connection of its own, whose timeout is longer than the block.
        """
        if self._outage == "away":
            raise redis.exceptions.ConnectionError("Connection refused.")
        half_s = self._latency.sample_ms(latencies) / 2000
        answered: asyncio.Future[list[Any]] = self.loop.create_future()
        self._under_way[answered] = None
        self.loop.call_later(half_s, self._arrive, commands, answered, half_s)
        try:
            if timeout_s is None or _block_ms(commands[0]) is not None:
                return await answered
            async with asyncio.timeout(timeout_s):
                return await answered
        except TimeoutError:
            raise redis.exceptions.TimeoutError("Timeout reading from the simulated Redis") from None
        finally:
            self._under_way.pop(answered, None)

    def _arrive(
        self, commands: Sequence[Command], answered: asyncio.Future[list[Any]], half_s: float
    ) -> None:
        if self._outage == "hangs":
            self._held.append(lambda: self._arrive(commands, answered, half_s))
        elif self._outage != "away":
            try:
                answers = [self._at_once(command) for command in commands]
            except UnknownCommandError as error:
                _fail(answered, error)
                return
            wait_ms = _block_ms(commands[0]) if answers == [None] else None
            if wait_ms is None:
                self.loop.call_later(half_s, _settle, answered, answers)
            elif not answered.done():
                self._block(_Blocked(commands[0], answered, half_s), wait_ms)

    def _at_once(self, command: Command) -> Any:
        """Execute a command, and answer the blocked readers of the streams that it wrote."""
        answer = self.store.execute(command)
        if self._blocked and self.store.touched():
            for reader in [*self._blocked]:
                entries = self.store.execute(reader.command)
                if entries is not None:
                    self._unblock(reader, entries)
        return answer

    def _block(self, reader: _Blocked, wait_ms: int) -> None:
        self._blocked[reader] = None
        if wait_ms:
            reader.timer = self.loop.call_later(wait_ms / 1000, self._unblock, reader, None)

    def _unblock(self, reader: _Blocked, answer: Any) -> None:
        if self._blocked.pop(reader, 1) is None:
            if reader.timer is not None:
                reader.timer.cancel()
            self.loop.call_later(reader.half_s, _settle, reader.answered, [answer])

    @property
    def is_away(self) -> bool:
        """True while the server is stopped."""
        return self._outage == "away"

    def begin_outage(self, kind: str) -> None:
        """Begin an outage: `away` breaks all connections, `hangs` keeps them and does not answer; HTTP calls work."""
        self._outage = kind
        if kind == "away":
            self._blocked.clear()
            error = redis.exceptions.ConnectionError("Connection closed by server.")
            for answered in [*self._under_way]:
                _fail(answered, error)

    def end_outage(self) -> None:
        """End the outage. Execute the requests that came while the server hung, in their order."""
        self._outage = ""
        held, self._held = self._held, []
        for request in held:
            request()

    async def close(self) -> None:
        """Forget the readers that wait."""
        self._blocked.clear()


class _Blocked:
    """Read that waits for an entry."""

    def __init__(self, command: Command, answered: asyncio.Future[list[Any]], half_s: float) -> None:
        self.command = command
        self.answered = answered
        self.half_s = half_s
        self.timer: asyncio.TimerHandle | None = None


def _block_ms(command: Command) -> int | None:
    """Return the limit of a read that may wait for entries; None for any other command."""
    if command[0] != "XREAD":
        return None
    words = [str(part).upper() if isinstance(part, str | bytes) else part for part in command]
    for index, word in enumerate(words):
        if word in ("BLOCK", "B'BLOCK'"):
            return int(command[index + 1])
    return None


def _fail(answered: asyncio.Future[list[Any]], error: Exception) -> None:
    if not answered.done():
        answered.set_exception(error)


def _settle(answered: asyncio.Future[list[Any]], answers: list[Any]) -> None:
    if not answered.done():
        answered.set_result(answers)
