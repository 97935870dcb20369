"""Sources of a deployment's table: the nodes of a cluster, or the sentinels of a primary."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import compress
from typing import Any, NamedTuple, Protocol

from redis import exceptions
from redis.asyncio.connection import AbstractConnection

from queue_core.redis.nodes.asking import ANSWER_S_MAX, NewConnection, ask, first_answer
from queue_core.redis.nodes.refusals import WrongAddressError, is_of_no_cluster, is_unreachable
from queue_core.redis.nodes.table import SLOTS, Table
from queue_core.redis.nodes.urls import Address
from queue_core.redis.pool import close_at_once
from queue_core.redis.runner import reworded
from queue_core.redis.scripts.loader import text
from queue_core.redis.tls import refusal
from queue_core.waiting import cancel_all, cancellable

SWITCH_S_MAX = 3.0
"""Longest time for which no primary is named while sentinels replace it. After that, the one that they name counts."""
OTHERS_S_MAX = 0.2
"""Time for which the other sentinels may answer after the first."""
SUBSCRIBE_AGAIN_S = 1.0
"""Time between two tries to hear a sentinel's events."""
PING_S = 15.0
"""Silence after which a sentinel whose events are heard must show that it is there."""
_BEGINNING = "+try-failover"
_SWITCHES = (
    _BEGINNING,
    "+promoted-slave",
    "+failover-state-reconf-slaves",
    "+switch-master",
    "+failover-end",
    "-failover-abort-not-elected",
    "-failover-abort-no-good-slave",
    "-failover-abort-slave-timeout",
)
"""Events of sentinels around a failover; the promotion is heard within milliseconds."""


Changed = Callable[[Table | None], object]


class Source(Protocol):
    """Place where the table of a deployment can be read."""

    slots: int
    """Number of slots: 16,384 on a cluster, otherwise 1."""

    async def find(self, known: Table | None, suspects: Sequence[Address]) -> Table:
        """Read the table, from servers in `suspects` last. Raises redis-py's errors."""

    async def watch(self, changed: Changed) -> None:
        """Call `changed` whenever the table may have changed, with the new one if it is known, until cancelled."""


class ClusterSource(Source):
    """Cluster whose nodes are found from the addresses of a URL, and from each other."""

    slots = SLOTS

    def __init__(self, seeds: Sequence[Address], new_connection: NewConnection) -> None:
        self._seeds = seeds
        self._new_connection = new_connection

    async def find(self, known: Table | None, suspects: Sequence[Address]) -> Table:
        """Read CLUSTER SLOTS of the first node that answers: a node of the last table, or a seed."""
        nodes = [*known.primaries, *known.replicas] if known else []
        random.shuffle(nodes)
        nodes.sort(key=lambda node: node in suspects)
        asked = dict.fromkeys([*nodes, *self._seeds])
        try:
            return await first_answer(asked, self._read)
        except exceptions.ConnectionError as error:
            raise _none_answers(
                error, "node of the cluster", "the nodes again, with their own data", asked
            ) from error

    async def watch(self, changed: Changed) -> None:
        """Return at once, since the nodes of a cluster announce changes by MOVED."""

    async def _read(self, node: Address) -> Table:
        try:
            (ranges,) = await ask(self._new_connection(node), ("CLUSTER", "SLOTS"))
        except exceptions.ResponseError as error:
            if is_of_no_cluster(error):
                raise WrongAddressError(
                    f"{node} is not a node of a cluster: if it should be one, stop it, and start the node again with "
                    "its own data; for a single Redis write redis:// instead of redis+cluster://"
                ) from error
            raise
        table = read_slots(ranges, node)
        if not table.primaries:
            raise exceptions.ClusterDownError(f"{node} knows no node that has slots")
        return table


def _none_answers(error: BaseException, kind: str, to_start: str, asked: Iterable[Address]) -> BaseException:
    """Return the error for people where no server answered: the last one itself if it says what to do."""
    words = str(error)
    if not is_unreachable(error) or refusal(words):
        return error
    addresses = ", ".join(map(str, asked))
    return exceptions.ConnectionError(
        f"no {kind} answers ({reworded(words)}): start {to_start} ({addresses})"
    )


def read_slots(ranges: Any, asked: Address) -> Table:
    """Read CLUSTER SLOTS. An empty host means the host that was asked. Raises InvalidResponse."""
    owners: list[Address | None] = [None] * SLOTS
    replicas: list[Address] = []
    try:
        for first, last, owner, *others in ranges:
            owners[first : last + 1] = [_node(owner, asked)] * (last - first + 1)
            replicas += [_node(other, asked) for other in others]
    except (TypeError, ValueError, IndexError) as error:
        raise exceptions.InvalidResponse(f"CLUSTER SLOTS cannot be read: {ranges!r:.200}") from error
    if len(owners) != SLOTS:
        raise exceptions.InvalidResponse(f"CLUSTER SLOTS has other slots than 0 to {SLOTS - 1}")
    return Table(owners, replicas)


def _node(raw: Sequence[Any], asked: Address) -> Address:
    host = text(raw[0] or "")
    return Address(host if host not in ("", "?") else asked.host, int(raw[1]))


class _Answer(NamedTuple):
    """Answer of a sentinel; the greatest of several counts."""

    epoch: int
    """Number of the configuration, which grows with each failover."""
    is_switching: bool
    is_promoted: bool
    """True if `primary` was promoted by a failover that is not over yet."""
    primary: Address
    chosen: tuple[Address, ...]
    """Replica that this sentinel promotes, from its choice until the failover is over."""
    sentinel: Address
    asked_at: float
    """Time of the question, monotonic seconds: what is known since then is newer."""


def _fields(state: Sequence[Any]) -> dict[str, str]:
    """Return names and values of a sentinel's answer, which come in turn (RESP2)."""
    return {text(name): text(value) for name, value in zip(state[::2], state[1::2], strict=True)}


class SentinelSource(Source):
    """Primary with replicas, found by asking all sentinels; the newest configuration counts.

    While the sentinels replace the primary, none is named: what the old one takes then would be lost.
    """

    slots = 1

    def __init__(
        self,
        service: str,
        sentinels: Sequence[Address],
        new_connection: NewConnection,
        new_server_connection: NewConnection,
    ) -> None:
        self._service = service
        self._sentinels = sentinels
        self._new_connection = new_connection
        self._new_server_connection = new_server_connection
        self._epoch = -1
        self._switching: dict[Address, tuple[float, int]] = {}
        """For each sentinel that replaces the primary: when it began, and the epoch at that time."""

    async def find(self, known: Table | None, suspects: Sequence[Address]) -> Table:
        """Ask the sentinels who the primary is."""
        tasks = {asyncio.create_task(self._ask(sentinel)) for sentinel in self._sentinels}
        answers: list[_Answer] = []
        errors: list[BaseException] = []
        waiting = set(tasks)
        try:
            while waiting:
                patience_s = OTHERS_S_MAX if answers else ANSWER_S_MAX * 2
                done, waiting = await asyncio.wait(
                    waiting, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    break
                for task in done:
                    if error := task.exception():
                        errors.append(error)
                    else:
                        answers.append(task.result())
        finally:
            await cancel_all(tasks)
        if not answers:
            error = errors[-1] if errors else exceptions.ConnectionError("they are silent")
            raise _none_answers(error, "sentinel", "the sentinels", self._sentinels) from error
        for answer in answers:
            self._note(answer)
        answer = max(answers)
        if answer.epoch < self._epoch and known:
            return known
        self._epoch = answer.epoch
        if not self._is_being_replaced(answer):
            return Table([answer.primary])
        chosen = [server for other in answers if other.epoch == answer.epoch for server in other.chosen]
        roles = await asyncio.gather(*map(self._is_primary, chosen))
        return Table([next(compress(chosen, roles), None)])

    async def watch(self, changed: Changed) -> None:
        """Hear the events of all sentinels, over one connection to each."""
        async with asyncio.TaskGroup() as group:
            for sentinel in self._sentinels:
                hearing = cancellable(
                    self._hear(sentinel, changed)
                )  # a TaskGroup cancels once, and waits for ever
                group.create_task(hearing, name="queue-sentinel")

    async def _is_primary(self, server: Address) -> bool:
        """Ask a chosen replica for its role: it knows of its promotion up to a second before the sentinels do.

        Other replicas are not asked: an old primary that has just started again says "master" too.
        """
        try:
            (role,) = await ask(self._new_server_connection(server), ("ROLE",))
        except exceptions.RedisError:
            return False
        return text(role[0]) == "master"

    def _note(self, answer: _Answer) -> None:
        """Note whether a sentinel replaces the primary; only its own answer ends that, or a new epoch."""
        if answer.is_switching and not answer.is_promoted:
            self._switching.setdefault(answer.sentinel, (time.monotonic(), answer.epoch))
        elif self._switching.get(answer.sentinel, (0.0, 0))[0] < answer.asked_at:
            self._switching.pop(answer.sentinel, None)

    def _is_being_replaced(self, answer: _Answer) -> bool:
        if answer.is_promoted:
            return False
        return any(
            time.monotonic() - since < SWITCH_S_MAX and epoch >= answer.epoch
            for since, epoch in self._switching.values()
        )

    async def _ask(self, sentinel: Address) -> _Answer:
        """Ask one sentinel. During a failover it names the promoted server as soon as it is promoted."""
        asked_at = time.monotonic()
        try:
            state, replicas, address = await ask(
                self._new_connection(sentinel),
                ("SENTINEL", "MASTER", self._service),
                ("SENTINEL", "REPLICAS", self._service),
                ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service),
            )
        except exceptions.AuthenticationError as error:
            raise exceptions.AuthenticationError(
                f"{error} (the sentinel {sentinel}, whose user and password are the URL's sentinel_username and "
                "sentinel_password)"
            ) from error
        except exceptions.ResponseError as error:
            raise self._reworded(sentinel, error) from error
        facts = _fields(state)
        host, port = address
        primary = Address(text(host), int(port))
        return _Answer(
            epoch=int(facts.get("config-epoch", 0)),
            is_switching="failover_in_progress" in facts.get("flags", ""),
            is_promoted=(facts.get("ip"), facts.get("port")) != (primary.host, str(primary.port)),
            primary=primary,
            chosen=tuple(
                Address(fields["ip"], int(fields["port"]))
                for fields in map(_fields, replicas)
                if "promoted" in fields.get("flags", "").split(",")
            ),
            sentinel=sentinel,
            asked_at=asked_at,
        )

    def _reworded(self, sentinel: Address, error: exceptions.ResponseError) -> exceptions.RedisError:
        words = str(error).lower()
        if "unknown command" in words:
            return WrongAddressError(
                f"{sentinel} is not a sentinel: write its port (26379 as a rule) in redis+sentinel://"
            )
        if "no such master" in words:
            return WrongAddressError(
                f"the sentinel {sentinel} knows no service {self._service!r}: write the name that stands in its "
                "`sentinel monitor`"
            )
        return error

    async def _hear(self, sentinel: Address, changed: Changed) -> None:
        while True:
            connection = self._new_connection(sentinel)
            try:
                async with asyncio.timeout(ANSWER_S_MAX):
                    await connection.connect()  # type: ignore[no-untyped-call]  # in redis-py
                    await connection.send_command("SUBSCRIBE", *_SWITCHES)
                await self._hear_events(sentinel, connection, changed)
            except (exceptions.RedisError, OSError, TimeoutError):
                pass
            finally:
                await close_at_once(connection)
            await asyncio.sleep(SUBSCRIBE_AGAIN_S)

    async def _hear_events(self, sentinel: Address, connection: AbstractConnection, changed: Changed) -> None:
        """Read events until the connection breaks, or nothing comes for long, not even the answer to a PING."""
        is_pinged = False
        while True:
            event = await connection.read_response(timeout=PING_S)  # None if nothing came
            if event is not None:
                is_pinged = False
                begins = text(event[1]) == _BEGINNING and text(event[2]).split()[1:2] == [self._service]
                if begins:
                    self._switching.setdefault(sentinel, (time.monotonic(), self._epoch))
                changed(Table([None]) if begins else None)
            elif is_pinged:
                return
            else:
                await connection.send_command("PING")
                is_pinged = True
