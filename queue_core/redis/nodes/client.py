"""Client of a deployment of several nodes, for everything but script calls: reads, searches, blocking reads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from redis import exceptions
from redis.asyncio import Connection, ConnectionPool, Redis

from queue_core.redis.nodes.primary_connection import PrimaryConnection, primary_connection_class
from queue_core.redis.nodes.refusals import (
    ForeignServerError,
    is_of_no_cluster,
    is_passing,
    is_unreachable,
    moved_to,
)
from queue_core.redis.nodes.routes import Routes
from queue_core.redis.nodes.table import NO_OWNER, Table
from queue_core.redis.nodes.urls import Address
from queue_core.redis.pool import Pool, closings_as_errors
from queue_core.redis.runner import FAILURES, check_lua

PATIENCE_S = 2.0
"""Time for which commands are sent again after errors that pass."""
NODE_CONNECTIONS_MAX = 4
"""Limit on connections to one node, not counting the links of script calls."""
_KEYLESS = frozenset(
    {"CLUSTER", "CONFIG", "INFO", "PING", "SCRIPT", "TIME", "SCAN", "DBSIZE", "FLUSHALL", "WAIT", "WAITAOF"}
)
_SECOND_WORD = frozenset({"MEMORY", "OBJECT", "XINFO", "XGROUP", "DEBUG"})
_AFTER_COUNT = frozenset({"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"})

Command = Sequence[Any]


class NodesClient(Redis):
    """Client with redis-py's commands. Each goes to the primary of its key; one without a key goes to any primary.

    Pipelines run without a transaction. `node` returns the client of one server, `near` one for the primary of a key.
    """

    def __init__(self, routes: Routes, connection_class: type[Any], options: dict[str, Any]) -> None:
        super().__init__(connection_pool=ConnectionPool())
        self.connection_pool = None  # type: ignore[assignment]  # there is one for each node
        self.routes = routes
        self._connection_class = connection_class
        self._primary_class = primary_connection_class(connection_class)
        self._options = options | {"redis_connect_func": self._greet} if routes.is_cluster else options
        self.on_close: list[Callable[[], None]] = []
        """Functions to call before the connections are closed."""
        self._nodes: dict[Address, Redis] = {}
        self._listening: set[PrimaryConnection] = set()
        self._closing: set[asyncio.Task[None]] = set()
        routes.on_change.append(self._changed)

    def node(self, address: Address) -> Redis:
        """Return the client of one server."""
        if address not in self._nodes:
            pool = Pool(
                connection_class=self._connection_class,
                max_connections=NODE_CONNECTIONS_MAX,
                timeout=self._options.get("socket_timeout", PATIENCE_S),
                host=address.host,
                port=address.port,
                **self._options,
            )
            if self.routes.is_closed:
                pool.end()
            self._nodes[address] = Redis.from_pool(pool)
        return self._nodes[address]

    def near(self, key: str) -> Redis:
        """Return a client whose connections lead to the primary of a key, at each connect anew."""
        pool = ConnectionPool(
            connection_class=self._primary_class,
            routes=self.routes,
            slot=self.routes.slot_of(key),
            listening=self._listening,
            **self._options,
        )
        return Redis.from_pool(pool)

    def by_slot(self, keys: Iterable[str]) -> list[list[str]]:
        """Return keys in groups that one command may read together."""
        groups: dict[int, list[str]] = {}
        for key in keys:
            groups.setdefault(self.routes.slot_of(key), []).append(key)
        return list(groups.values())

    def owner_of(self, key: str) -> str:
        """Return the name of the primary of a key; "" if there is only one by design, "unknown" if none has it now."""
        owner = self.routes.owner_of(self.routes.slot_of(key))
        return "" if not self.routes.is_cluster else str(owner or "unknown")

    async def primaries(self) -> list[tuple[str, Callable[..., Any]]]:
        """Return the name of each primary ("" if there is only one by design), and a function that runs its commands.

        Raises redis-py's errors.
        """
        table = await self.routes.known()
        if not table.primaries:
            raise exceptions.ConnectionError("the primary is being replaced")
        return [
            (str(address) if self.routes.is_cluster else "", self.node(address).execute_command)
            for address in self.routes.primaries(table)
        ]

    async def check_lua(self, deadline_s: float) -> None:
        """Check that every primary answers, and has Lua. Raises FAILURES, TimeoutError or UnsupportedRedisError."""
        table = await self.routes.known()
        await asyncio.gather(*(check_lua(self.node(address), deadline_s) for address in table.primaries))

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run a command on the primary of its key, and return its answer. Raises redis-py's errors."""
        (answer,) = await self.run([args], **options)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Any:
        """Collect commands that run together, without a transaction, whatever is asked for."""
        return _Pipeline(self)

    async def run(self, commands: Sequence[Command], **options: Any) -> list[Any]:
        """Run commands, each on the primary of its key, and return their answers, errors included."""
        clock = asyncio.get_running_loop().time
        began, answers = clock(), [None] * len(commands)
        left = list(range(len(commands)))
        asked: dict[int, Address] = {}
        while left:
            await self._run_once(commands, left, asked, answers, options)
            left, asked = self._repeated(commands, left, answers)
            if not left or clock() - began >= PATIENCE_S or self.routes.is_closed:
                return answers
            if not asked:
                await asyncio.shield(self.routes.look())
        return answers

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close all connections."""
        for end in self.on_close:
            end()
        await self.routes.close()
        nodes, self._nodes = self._nodes, {}
        await asyncio.gather(*(node.connection_pool.aclose() for node in nodes.values()), *self._closing)

    async def _greet(self, connection: Connection) -> None:
        """Begin a new connection of a cluster. Raises ForeignServerError if its server is not a node of any.

        A server that was started at a node's address, but without its data and settings, takes every key. When the
        node comes back, they are gone.
        """
        await connection.on_connect()
        await connection.send_command("CLUSTER", "MYID")
        try:
            await connection.read_response()
        except exceptions.ResponseError as error:
            if not is_of_no_cluster(error):
                return  # such as for a user who may not ask
            address = Address(connection.host, connection.port)
            self.routes.suspect(address)
            raise ForeignServerError(address) from error

    async def _run_once(
        self,
        commands: Sequence[Command],
        left: list[int],
        asked: dict[int, Address],
        answers: list[Any],
        options: dict[str, Any],
    ) -> None:
        """Run the commands that are left: where ASK sent them, or on the primaries of their keys."""
        groups: dict[tuple[Address, bool], list[int]] = {}
        for number in left:
            key = _key_of(commands[number])
            try:
                table = await self.routes.known()
            except exceptions.RedisError as error:
                answers[number] = error
                continue
            owner = self._owner(table, key)
            if owner is None:
                answers[number] = exceptions.ClusterDownError(NO_OWNER)
                continue
            is_asking = number in asked
            groups.setdefault((asked.get(number, owner), is_asking), []).append(number)
        results = await asyncio.gather(
            *(
                self._on_node(address, is_asking, [commands[number] for number in numbers], options)
                for (address, is_asking), numbers in groups.items()
            )
        )
        for ((address, _), numbers), result in zip(groups.items(), results, strict=True):
            for number, answer in zip(numbers, result, strict=True):
                answers[number] = answer
                if isinstance(answer, exceptions.AskError):
                    answer.host = answer.host or address.host

    async def _on_node(
        self, address: Address, is_asking: bool, commands: list[Command], options: dict[str, Any]
    ) -> list[Any]:
        node = self.node(address)
        try:
            with closings_as_errors():
                if len(commands) == 1 and not is_asking:
                    return [await node.execute_command(*commands[0], **options)]  # type: ignore[no-untyped-call]  # in redis-py
                pipeline = node.pipeline(transaction=False)
                for command in commands:
                    if is_asking:
                        pipeline.execute_command("ASKING")
                    pipeline.execute_command(*command, **options)
                answers = await pipeline.execute(raise_on_error=False)
                return answers[1::2] if is_asking else answers
        except (exceptions.RedisError, OSError) as error:
            if is_unreachable(error):
                self.routes.suspect(address)
            return [error] * len(commands)

    def _repeated(
        self, commands: Sequence[Command], left: list[int], answers: list[Any]
    ) -> tuple[list[int], dict[int, Address]]:
        """Return the commands to send again, and those of them that go to a certain server."""
        again, asked = [], {}
        for number in left:
            answer = answers[number]
            if not isinstance(answer, Exception) or not is_passing(answer):
                continue
            again.append(number)
            target = moved_to(answer, Address("", 0))
            key = _key_of(commands[number])
            if isinstance(answer, exceptions.MovedError) and target and key is not None:
                self.routes.moved(self.routes.slot_of(key), target)
            elif target:
                asked[number] = target
        return again, asked

    def _owner(self, table: Table, key: str | bytes | None) -> Address | None:
        if key is None:
            return next(iter(self.routes.primaries(table)), None)
        return table.owners[self.routes.slot_of(key)]

    def _changed(self, table: Table) -> None:
        """Close connections to servers that are no primaries any more."""
        for address in self._nodes.keys() - set(table.primaries):
            node = self._nodes.pop(address)
            task = asyncio.get_running_loop().create_task(_disconnect(node))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        for connection in tuple(self._listening):
            connection.check_address(table)


class _Pipeline:
    """Commands collected for one run."""

    def __init__(self, client: NodesClient) -> None:
        self._client = client
        self._commands: list[Command] = []
        self._options: dict[str, Any] = {}

    def execute_command(self, *args: Any, **options: Any) -> _Pipeline:
        """Add a command. Options hold for all commands."""
        self._commands.append(args)
        self._options |= options
        return self

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Run the commands and return their answers. Raises the first error.

        Without `raise_on_error`, errors are answers, except those of a server that cannot be reached.
        """
        commands, self._commands = self._commands, []
        answers = await self._client.run(commands, **self._options)
        for answer in answers:
            if isinstance(answer, Exception) and (raise_on_error or is_unreachable(answer)):
                raise answer
        return answers


async def _disconnect(node: Redis) -> None:
    with contextlib.suppress(*FAILURES, TimeoutError):  # a server that is away does not say goodbye
        async with asyncio.timeout(PATIENCE_S):
            await node.connection_pool.aclose()


def _key_of(command: Command) -> Any:
    """Return the first key of a command; None if it has none."""
    name, *second = str(command[0]).upper().split()  # redis-py writes "SCRIPT FLUSH" as one word
    if name in _KEYLESS or len(command) < 2:
        return None
    if name in ("XREAD", "XREADGROUP"):
        words = [str(word).upper() for word in command]
        return command[words.index("STREAMS") + 1]
    if name in _AFTER_COUNT:
        return command[3] if int(command[2]) else None
    return command[2] if name in _SECOND_WORD and not second else command[1]
