"""Clients of the store with redis-py's commands but without connections; a pipeline or command takes one round trip.

A request travels half a round trip to the server, is executed there at once, and its answer travels the other half. A
caller that gives up stops waiting, but its request still reaches the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, Self

import redis.asyncio
import redis.exceptions

from sim.engine.store.request import Command, FutureRequest
from sim.engine.store.transport import StoreTransport

if TYPE_CHECKING:
    from sim.engine.store.server import StoreServer


class StoreClient(redis.asyncio.Redis):
    """Client of one process. Of redis-py's connection `options`, only `retry` and the timeout have an effect."""

    block_ms: int
    """Length of a doorbell's blocking reads, if it differs from that of `queue_core/queue/processing/doorbell.py`."""

    def __init__(self, server: StoreServer, name: str, latencies: Random, **options: Any) -> None:
        super().__init__(connection_pool=redis.asyncio.ConnectionPool(**{"protocol": 2, **options}))
        self.connection_pool = None  # type: ignore[assignment]  # there are no connections
        self._server = server
        self._name = name
        self._latencies = latencies
        self._retry = options.get("retry")
        self._timeout_s: float | None = options.get("socket_timeout")

    def transport(self, *, deadline_ms: int) -> StoreTransport:
        """Make a transport of script calls for the same process."""
        return StoreTransport(self._server, self._name, self._latencies, deadline_ms=deadline_ms)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send one command and return its answer as redis-py does. Raises its error replies."""
        answer = (await self.send([args]))[0]
        if isinstance(answer, Exception):
            raise answer
        options.pop("keys", None)
        callback = self.response_callbacks.get(args[0])
        if callback is None:
            return answer
        read = callback(answer, **options)
        return await read if asyncio.iscoroutine(read) else read

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Any:
        """Make a pipeline, which is always a transaction, since the server runs one request at a time."""
        return _Pipeline(self)

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands together, and return their answers, errors included. Repeats as `retry` says.

        A read that blocks is not repeated: the listener that makes it must learn that its connection broke.
        """
        if self._retry is None or _block_ms(commands[0]) is not None:
            return await self._send(commands)
        answers: list[Any] = await self._retry.call_with_retry(
            lambda: self._send(commands), lambda _: _nothing()
        )
        return answers

    async def _send(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands once. Raises redis-py's ConnectionError and TimeoutError."""
        server, half_s = self._server, self._server.half_trip_s(self._latencies)
        answered: asyncio.Future[list[Any]] = server.loop.create_future()
        server.send(_Commands(self._name, half_s, answered, server, commands))
        if self._timeout_s is None or (not server.may_fail and 2 * half_s < self._timeout_s):
            return await answered  # in time
        block_ms = _block_ms(commands[0]) or 0  # a read that blocks has a connection with a longer timeout
        try:
            async with asyncio.timeout(self._timeout_s + block_ms / 1000):
                return await answered
        except TimeoutError:
            raise redis.exceptions.TimeoutError("Timeout reading from the simulated Redis") from None

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Do nothing: there are no connections."""


class _Commands(FutureRequest):
    """Commands that travel together."""

    __slots__ = ("_commands", "_server")

    def __init__(
        self,
        client: str,
        half_s: float,
        answered: asyncio.Future[list[Any]],
        server: StoreServer,
        commands: Sequence[Command],
    ) -> None:
        super().__init__(client, half_s, answered)
        self._server = server
        self._commands = commands

    def execute(self) -> list[Any]:
        return [self._server.execute(command) for command in self._commands]

    def wait_ms(self, answers: list[Any]) -> int | None:
        return None if answers != [None] or self.answered.done() else _block_ms(self._commands[0])


class _Pipeline:
    """Commands that are collected and sent together."""

    def __init__(self, client: StoreClient) -> None:
        self._client = client
        self._commands: list[Command] = []
        self._readings: list[Callable[[Any], Any]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._commands.clear()

    def execute_command(self, *args: Any, **options: Any) -> _Pipeline:
        options.pop("keys", None)
        callback = self._client.response_callbacks.get(args[0])
        self._commands.append(args)
        self._readings.append(lambda answer: callback(answer, **options) if callback else answer)
        return self

    def __getattr__(self, name: str) -> Any:
        """Return redis-py's method of that name, such as `hget`, which collects its command here."""
        method = getattr(redis.asyncio.client.Pipeline, name)
        return lambda *args, **options: method(self, *args, **options)

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        commands, readings = self._commands, self._readings
        self._commands, self._readings = [], []
        answers = await self._client.send(commands) if commands else []
        if raise_on_error and (
            error := next((each for each in answers if isinstance(each, Exception)), None)
        ):
            raise error
        return [
            answer if isinstance(answer, Exception) else read(answer)
            for answer, read in zip(answers, readings, strict=True)
        ]


async def _nothing() -> None:
    """Do nothing: the cleanup that redis-py calls after a failure, before it tries again."""


def _block_ms(command: Command) -> int | None:
    """Return the limit of a read that may wait for entries; None for any other command."""
    if command[0] != "XREAD":
        return None
    words = [str(part).upper() if isinstance(part, str | bytes) else part for part in command]
    for index, word in enumerate(words):
        if word in ("BLOCK", "B'BLOCK'"):
            return int(command[index + 1])
    return None
