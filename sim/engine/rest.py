"""Redis over HTTP (Upstash REST), which the older bots used, with one request for each call.

Requests do not share a connection, so they may overtake each other, and other requests may come between two calls of
one webhook. Each call is atomic on the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import redis.exceptions

Command = tuple[str | int, ...]

_READS = frozenset({"EXISTS", "GET", "LLEN", "LRANGE", "SCARD", "SISMEMBER", "SMEMBERS", "TTL", "TYPE"})
"""Commands that do not write. All others count as writes to the key in their first argument."""


class WriteObserver(Protocol):
    """Function that is called when a write to a key is executed.

    `before` and `after` are the key's values: text, a list of texts (a set's members sorted), or None for no
    value. `client` is the RestRedis that wrote.
    """

    def __call__(self, key: str, before: Any, after: Any, client: object) -> None:
        """Handle the write, without waiting."""
        ...


class Carrier(Protocol):
    """Network: executes a request after half a round trip, and gives a future the answer after the other half."""

    def __call__(self, execute: Callable[[], Any], half_s: float, answered: asyncio.Future[Any]) -> None:
        """Send the request; `execute` raises ResponseError for an error reply."""
        ...


def carry(execute: Callable[[], Any], half_s: float, answered: asyncio.Future[Any]) -> None:
    """Carry a request, as a Carrier on which nothing fails."""
    loop = answered.get_loop()

    def serve() -> None:
        try:
            reply, error = execute(), None
        except redis.exceptions.ResponseError as failure:
            reply, error = None, failure
        loop.call_later(half_s, _settle, answered, reply, error)

    loop.call_later(half_s, serve)


class RestRedis:
    """A client of Redis over HTTP. Replies are text, or None; an error reply raises redis.exceptions.ResponseError."""

    def __init__(
        self,
        execute: Callable[[Command], Any],
        round_trip_ms: Callable[[], float],
        observers: list[WriteObserver],
        carry: Carrier,
    ) -> None:
        self._round_trip_ms = round_trip_ms
        self._observers = observers
        self._server = execute
        self._carry = carry

    async def call(self, *command: str | int) -> Any:
        """Send one command: half a round trip, atomic execution, half a round trip back."""
        return await self._request(lambda: self._execute(command))

    async def multi(self, *commands: Command) -> list[Any]:
        """Send several commands as one transaction, in one round trip."""
        replies: list[Any] = await self._request(lambda: self._transaction(commands))
        return replies

    def peek(self, *command: str | int) -> Any:
        """Read from the server without a delay. Only the simulator may do so, for its ledger; a system may not."""
        return self._run(command)

    def watch(self, observer: WriteObserver) -> None:
        """Call `observer` for each write of any HTTP client of this server."""
        self._observers.append(observer)

    async def _request(self, execute: Callable[[], Any]) -> Any:
        """Send a request, which is executed even when the caller is cancelled."""
        half_s = self._round_trip_ms() / 2000
        answered = asyncio.get_running_loop().create_future()
        self._carry(execute, half_s, answered)
        return await answered

    def _execute(self, command: Command) -> Any:
        return self._observed([command], lambda: self._run(command))

    def _transaction(self, commands: tuple[Command, ...]) -> list[Any]:
        replies: list[Any] = self._observed(
            list(commands), lambda: [self._run(command) for command in commands]
        )
        return replies

    def _observed(self, commands: list[Command], execute: Callable[[], Any]) -> Any:
        """Execute, and call the observers with the value of each written key before and after."""
        if not self._observers:
            return execute()
        keys = dict.fromkeys(key for command in commands for key in _written_keys(command))
        before = {key: self._value(key) for key in keys}
        reply = execute()
        for key, old in before.items():
            new = self._value(key)
            for observer in self._observers:
                observer(key, old, new, self)
        return reply

    def _run(self, command: Command) -> Any:
        reply = self._server(command)
        if isinstance(reply, Exception):
            raise reply
        return _decoded(reply)

    def _value(self, key: str) -> Any:
        kind = self._run(("TYPE", key))
        if kind == "string":
            return self._run(("GET", key))
        if kind == "list":
            return self._run(("LRANGE", key, 0, -1))
        if kind == "set":
            return sorted(self._run(("SMEMBERS", key)))
        return None


def _written_keys(command: Command) -> list[str]:
    name = str(command[0]).upper()
    if name in ("EVAL", "EVALSHA"):
        return [str(key) for key in command[3 : 3 + int(command[2])]]
    if name in ("DEL", "UNLINK"):
        return [str(key) for key in command[1:]]
    return [] if name in _READS else [str(command[1])]


def _settle(answered: asyncio.Future[Any], reply: Any, error: Exception | None) -> None:
    if answered.done():
        return
    if error is not None:
        answered.set_exception(error)
    else:
        answered.set_result(reply)


def _decoded(reply: Any) -> Any:
    if isinstance(reply, bytes):
        return reply.decode()
    if isinstance(reply, list):
        return [_decoded(part) for part in reply]
    return reply
