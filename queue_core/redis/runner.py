"""Runner of script calls on any client of redis-py, such as a cluster's: concurrent calls travel in one pipeline.

asyncio clients do not pipeline by themselves. Calls made in the same turn of the event loop, and those made while a
pipeline is under way, go together in the next one. One pipeline is under way at a time, so calls reach Redis in the
order they were made. `link_transport.py` has the fast transport, for a single Redis.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from redis import exceptions
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.sentinel import SentinelConnectionPool

from queue_core.command_lines import typed
from queue_core.errors import (
    NewerLayoutError,
    PartitionsError,
    QueueError,
    QueueUnavailableError,
    UnsupportedRedisError,
)
from queue_core.redis.durability import Durability, wait_of
from queue_core.redis.pool import closings_as_errors
from queue_core.redis.scripts.loader import Call, LuaScript, text
from queue_core.redis.tls import refusal
from queue_core.redis.transport import Transport

Result = TypeVar("Result")

PIPELINE_CALLS_MAX = 256

FAILURES = (exceptions.RedisError, exceptions.RedisClusterException, OSError)
"""Errors of redis-py's clients and of the network; some of a cluster's client are not a RedisError."""
_UNAVAILABLE = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
    exceptions.ClusterError,
    exceptions.RedisClusterException,
    exceptions.TryAgainError,
    exceptions.AskError,  # and MovedError: a slot that moves for longer than the deadline
    TimeoutError,
    OSError,
)
_CONNECTING = re.compile(r"Error (-?\d+) connecting to (\S+)\. (.*)", re.DOTALL)
"""A failed connection in redis-py's words: number, address, and the text of asyncio or of the system."""
_CONNECTS_TOO_LONG = "Timeout connecting to server"
"""Text of redis-py's error."""
_READING = re.compile(r"Error while reading from (\S+) ?: \(\d+, '(.*)'\)")
"""A connection that broke while an answer was awaited, in redis-py's words: address, and the text of the system."""
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
_SCRIPT_NAME = re.compile(r",? script: [0-9a-f]{40}, on @user_script:\d+\.?$")
"""End of an error inside a script. Its line number is useless, since scripts are sent joined with their libraries."""
_UNAVAILABLE_CODE = re.compile(
    r"(?:^|: -|\(\")(?:OOM|READONLY|MISCONF|LOADING|CLUSTERDOWN|MASTERDOWN|NOREPLICAS|TRYAGAIN|BUSY|UNBLOCKED)\b"
    r"|non local key"
)
"""Code at the start of an error; Redis before 7 puts a script's error after `…: -`, redis-py before 8 in `("…`."""


_NEWER_LAYOUT = re.compile(r"\bNEWER_LAYOUT ([0-9]+)")
"""Error of the scripts on data of a newer release, with the number of its layout."""
_PARTITIONS = re.compile(r"\bPARTITIONS ([0-9>]+) ([0-9]+)")
"""Error of the scripts where another number of partitions is noted: the note, and the number of this process."""
_NOT_PRIMARY = re.compile(r"\b(?:READONLY|LOADING|MASTERDOWN)\b|read only replica")
"""Error of a server that cannot be written to, since it is a replica or not ready yet."""
LEAVE_AGAIN_S = 1.0
"""Shortest time between two moments at which all connections are dropped."""


class ScriptRunner(Transport):
    """Transport that runs the scripts on one Redis client. `round_trips` counts its round trips."""

    def __init__(
        self,
        redis: Redis,
        *,
        deadline_ms: int,
        durability: Durability = Durability(),  # noqa: B008 - a tuple
    ) -> None:
        self._redis = redis
        self._durable = wait_of(redis, deadline_ms, durability)
        self._deadline_s = deadline_ms / 1000
        self._waiting: list[tuple[Call[Any], asyncio.Future[Any]]] = []
        self._pump: asyncio.Task[None] | None = None
        self._left_at = -LEAVE_AGAIN_S
        self.round_trips = 0

    def gathered(self, call: Call[Result]) -> asyncio.Future[Result]:
        """Run a call together with others. The future raises QueueUnavailableError when Redis fails.

        Cancelling the future does not cancel the call.
        """
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, future))
        if self._pump is None:
            self._pump = asyncio.get_running_loop().create_task(self._send_waiting(), name="queue-pipeline")
        return future

    async def alone(self, call: Call[Result]) -> Result:
        """Run a call at once, in a round trip of its own; it may overtake gathered calls."""
        (answer,) = await self._execute([call])
        return _result(call, answer)

    async def load(self) -> None:
        """Check that the server answers, and has Lua. Raises QueueUnavailableError or UnsupportedRedisError."""
        with explained(is_single=is_single(self._redis)):
            await check_lua(self._redis, self._deadline_s)

    async def _send_waiting(self) -> None:
        try:
            while self._waiting:
                batch = self._waiting[:PIPELINE_CALLS_MAX]
                del self._waiting[:PIPELINE_CALLS_MAX]
                await self._send(batch)
        finally:
            self._pump = None
            for _, future in self._waiting:
                future.cancel()
            self._waiting.clear()

    async def _send(self, batch: Sequence[tuple[Call[Any], asyncio.Future[Any]]]) -> None:
        try:
            answers = await self._execute([call for call, _ in batch])
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - every caller must get the error
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (call, future), answer in zip(batch, answers, strict=True):
            settle(call, future, answer)

    async def _execute(self, calls: Sequence[Call[Any]]) -> list[Any]:
        """Return the answers, error replies included. If the server lacks scripts, load them and call again."""
        try:
            async with asyncio.timeout(self._deadline_s):
                answers = await self._pipeline(calls)
                while missing := _without_script(answers):  # repeated in case they are flushed in between
                    await self._load_scripts({calls[index].script for index in missing})
                    again = await self._pipeline([calls[index] for index in missing])
                    for index, answer in zip(missing, again, strict=True):
                        answers[index] = answer
        except (*FAILURES, TimeoutError) as error:
            raise explain(error, is_single=is_single(self._redis)) from error
        if any(isinstance(answer, Exception) and self._may_be_replaced(answer) for answer in answers):
            await self._leave_server()
        return answers

    def _may_be_replaced(self, error: Exception) -> bool:
        """Return True if another server may be the primary by now; a lack of replicas says so only behind sentinels."""
        pool = getattr(self._redis, "connection_pool", None)
        return is_not_primary(error) or (
            isinstance(pool, SentinelConnectionPool) and "NOREPLICAS" in str(error)
        )

    async def _leave_server(self) -> None:
        """Drop all connections, once a second at most."""
        now = asyncio.get_running_loop().time()
        # A cluster's client has no single pool, and finds its primaries by itself.
        pool = getattr(self._redis, "connection_pool", None)
        if pool is not None and now - self._left_at >= LEAVE_AGAIN_S:
            self._left_at = now
            await drop_connections(pool, self._deadline_s)

    async def _pipeline(self, calls: Sequence[Call[Any]]) -> list[Any]:
        self.round_trips += 1
        pipeline = self._redis.pipeline(transaction=False)
        for call in calls:
            pipeline.execute_command("EVALSHA", *call.command())
        for wait in await self._durable.commands() if self._durable else ():
            pipeline.execute_command(*wait)
        with closings_as_errors():
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
        if self._durable:
            self._durable.check(answers[len(calls) :])
        return answers[: len(calls)]

    async def _load_scripts(self, scripts: set[LuaScript]) -> None:
        for script in sorted(scripts, key=lambda script: script.name):
            self.round_trips += 1
            await self._redis.script_load(script.source)


def _without_script(answers: Sequence[Any]) -> list[int]:
    return [index for index, answer in enumerate(answers) if isinstance(answer, exceptions.NoScriptError)]


async def check_lua(redis: Redis, deadline_s: float) -> None:
    """Check that the server answers, and has Lua. Raises FAILURES, TimeoutError or UnsupportedRedisError."""
    async with asyncio.timeout(deadline_s):
        sha = await redis.script_load("return 1")
        answer = await redis.evalsha(text(sha), 0)
    if int(answer) != 1:
        raise UnsupportedRedisError(f"this Redis answered {answer!r} to the Lua script 'return 1'")


async def drop_connections(pool: ConnectionPool, deadline_s: float) -> None:
    """Drop the connections to a server that is not a primary.

    After a failover behind one address the old primary may live on as a replica, and connections stay with it.
    """
    with contextlib.suppress(*FAILURES, TimeoutError):
        async with asyncio.timeout(deadline_s):
            await pool.disconnect()


def is_not_primary(error: Exception) -> bool:
    """Return True for an error of a server that cannot be written to: it is a replica, or not ready yet."""
    return bool(_NOT_PRIMARY.search(str(error)))


def settle(call: Call[Result], future: asyncio.Future[Result], answer: Any) -> None:
    """Give a caller that still waits the result, or the error, in an answer."""
    if future.done():
        return
    try:
        future.set_result(_result(call, answer))
    except Exception as error:  # noqa: BLE001 - an error reply, or an answer that cannot be read
        future.set_exception(error)


def _result(call: Call[Result], answer: Any) -> Result:
    """Return the result in an answer. Raises the queue's errors for an error reply."""
    if isinstance(answer, Exception):
        raise (_refusal(str(answer)) or explain(answer)) from answer
    result: Result = call.read(answer)
    return result


def _refusal(words: str) -> QueueError | None:
    """Return the error of a script that refuses to work for this process; None for other errors."""
    if newer := _NEWER_LAYOUT.search(words):
        return newer_layout(int(newer[1]))
    if noted := _PARTITIONS.search(words):
        return other_partitions(noted[1], int(noted[2]))
    return None


def reworded(words: str, *, is_single: bool = False) -> str:
    """Reword an error that quotes the hash of a script, OpenSSL's text, or an error number and asyncio's text."""
    words = _SCRIPT_NAME.sub("", words)
    if refused := refusal(words):
        return refused
    if words == _CONNECTS_TOO_LONG:
        return "no connection in time: is the address right? rediss:// needs a port with TLS"
    if broken := _READING.fullmatch(words):
        return f"the connection to {broken[1]} broke ({broken[2].lower()})"
    failed = _CONNECTING.fullmatch(words)
    if not failed:
        return words
    number, address, text = int(failed[1]), failed[2], failed[3]
    cause = (os.strerror(number) if number > 0 else text.rstrip(".")).lower()
    host, _, port = address.rpartition(":")
    option = "" if port == "6379" else f" --port {port}"
    may_start = is_single and host in _THIS_MACHINE
    hint = typed(f": start Redis, or type python -m queue_core redis{option}") if may_start else ""
    return f"no connection to {address} ({cause}){hint}"


def newer_layout(needed: int) -> NewerLayoutError:
    """Make the error of a process that is too old for the data in Redis."""
    return NewerLayoutError(
        f"a newer release converted the data in this Redis (to layout {needed}, which this release cannot read), "
        "and this process changed nothing: upgrade it too. docs/upgrade.md says how"
    )


def other_partitions(noted: str, partitions: int) -> PartitionsError:
    """Make the error of a process where another number than its own is noted, or a change such as "16>32"."""
    before, _, number = noted.rpartition(">")
    if before:
        again = typed(f"`python -m queue_core partitions {number}`")
        return PartitionsError(
            f"the conversations are being carried from {before} to {number} partitions; until that is complete nothing "
            f"is stored or answered. If {again} does not run any more, type it again: it goes on where it stopped"
        )
    return PartitionsError(
        f"the conversations lie in {number} partitions, but this process has {partitions}, and it changed nothing: set "
        f"partitions (QUEUE_PARTITIONS) to {number} and restart it"
    )


def is_single(redis: Any) -> bool:
    """Return True for a client of one server that belongs to no cluster and has no sentinels."""
    return type(redis) is Redis and not isinstance(redis.connection_pool, SentinelConnectionPool)


@contextlib.contextmanager
def explained(*, is_single: bool = False) -> Iterator[None]:
    """Raise errors of redis-py, timeouts and broken connections as the queue's errors; see `explain`."""
    try:
        yield
    except (*FAILURES, TimeoutError) as error:
        raise explain(error, is_single=is_single) from error


def explain(error: BaseException, *, is_single: bool = False) -> QueueError:
    """Turn an error of redis-py, a timeout or a broken connection into one of the queue's errors.

    With `is_single`, the error for a local address where nothing listens names the command that starts a Redis there.
    In place of a cluster's node, such a Redis would be empty, and what it takes would be lost.
    """
    words = reworded(str(error), is_single=is_single) or type(error).__name__
    if sentence := _unavailable(error, words):
        return QueueUnavailableError(sentence)
    if "unknown command" in words.lower():
        command, _, _ = words.partition(", with args")  # the rest quotes keys, and so phone numbers
        return UnsupportedRedisError(
            f"the queue needs a Redis (6.2 or newer) with Lua scripts and streams: {command}"
        )
    if isinstance(error, exceptions.NoPermissionError):
        return UnsupportedRedisError(
            f"the Redis user lacks a right that the queue needs, such as +@scripting: {words}"
        )
    return QueueError(f"Redis refused a script of the queue: {words}")


def _unavailable(error: BaseException, words: str) -> str:
    """Return a sentence on an error after which Redis may work again; "" for other errors."""
    if isinstance(error, exceptions.AuthenticationError):
        return f"Redis refused the user or password: {words}"
    if isinstance(error, TimeoutError | exceptions.TimeoutError) and str(error) != _CONNECTS_TOO_LONG:
        return f"Redis did not answer in time ({words}); it may or may not have run the command"
    if isinstance(error, exceptions.MovedError):
        return (
            "this Redis is one node of a cluster, and another node has this key: write redis+cluster:// instead of "
            "redis://"
        )
    if "read only replica" in words:
        return (
            f"Redis cannot be used now: {words.rstrip('.')}. Write the address of its primary, or redis+sentinel:// "
            "with those of the sentinels that name it"
        )
    is_unavailable = isinstance(error, _UNAVAILABLE) or _UNAVAILABLE_CODE.search(words)
    return f"Redis cannot be used now: {words}" if is_unavailable else ""
