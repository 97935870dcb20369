"""One run of a case, with a producer, two workers and a ledger, and its row of the result."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from loadtests.failover.cases import PREFIX, Case, Scene
from loadtests.failover.elections import ElectionWatch
from loadtests.failover.history import history_of
from loadtests.failover.ledger import Ledger, LedgerQueue
from loadtests.replicated_redis.node import Node
from loadtests.replicated_redis.servers import ReplicatedServers
from queue_core import Batch, Processor, QueueMessage, QueueSettings, QueueUnavailableError, connect
from queue_core.queue.intake.intake import Intake
from queue_core.waiting import cancel_all
from reports.results.failover import FailoverRow, NodePause

USERS = 300
RATE_PER_S = 200
WORKERS = 2
AI_S = 0.05
UNDER_WAY_MAX = 2_000
"""Limit on messages that are not acknowledged yet; further messages are left out, so that they do not pile up on a slow
machine."""
REPEAT_S = 1.0
"""Time after which a producer repeats a message that was not acknowledged."""
DRAIN_S_MAX = 40.0
LEAD_S = 2.0
"""Time of load before the fault."""
TAIL_S = 2.0
"""Time of load after the fault is over."""


@dataclass(frozen=True, slots=True)
class Load:
    """Messages for a run. `time_factor` is the factor of all waits."""

    rate_per_s: int = RATE_PER_S
    partitions: int = 12
    time_factor: float = 1.0

    def settings(self, case: Case) -> QueueSettings:
        """Return the settings of the queue in a case."""
        return QueueSettings(
            prefix=PREFIX,
            partitions=self.partitions,
            wait_for_replicas=case.wait_for_replicas,
            window_ms=200,
            lock_ttl_ms=6_000,
            lock_renew_ms=1_000,
        )


class Run:
    """Run of one case on servers that are whole and empty."""

    def __init__(self, case: Case, servers: ReplicatedServers, load: Load) -> None:
        self._case = case
        self._servers = servers
        self._load = load
        self._settings = load.settings(case)
        self._ledger = Ledger()
        self._producing: set[asyncio.Task[None]] = set()
        self._died = 0
        self._replicas = 0
        self._elections = 0
        self.history: list[str] = []
        """Course of the run, once it is over; see history_of."""

    async def carry_out(self) -> FailoverRow:
        """Prepare the servers, send the load while the fault strikes, wait for the answers, and account for them."""
        await asyncio.to_thread(self._prepare)
        scene = Scene(self._servers, self._load.partitions, self._load.time_factor)
        struck = scene.struck
        owners = [scene.owner_of(partition) for partition in range(self._load.partitions)]
        needed = max(self._case.wait_for_replicas, self._case.min_replicas)
        async with AsyncExitStack() as stack:
            watch = stack.enter_context(ElectionWatch(struck, self._servers.replicas_of(struck), needed))
            queues = [await self._queue(stack) for _ in range(WORKERS + 1)]
            workers = [
                Processor(queue, self._handle, self._send, processor_id=f"worker-{number}", grace_s=5.0)
                for number, queue in enumerate(queues[1:])
            ]
            tasks = [asyncio.create_task(worker.run()) for worker in workers]
            stalling = asyncio.create_task(self._ledger.stalls.watch())
            began_s = time.monotonic()
            ended_s = await self._produce_while(self._case.carry_out(scene), queues[0])
            await self._drain(queues[0])
            self._died = sum(task.done() for task in tasks)
            await asyncio.gather(*(worker.stop() for worker in workers))
            await asyncio.gather(*tasks, return_exceptions=True)
            waiting, dead = await _waiting_and_dead(queues[0])
            await cancel_all([stalling])
        users = self._users_by_node(queues[0], owners)
        pauses = self._pauses(users, struck, began_s, ended_s)
        resumed_ms = self._resumed_ms(watch.writable_at_s, users[struck])
        self._elections = watch.elections
        self.history = history_of(watch.history, self._ledger)
        return self._row(waiting, dead, round((ended_s - began_s) * 1000), pauses, resumed_ms)

    def _prepare(self) -> None:
        self._servers.repair()
        self._replicas = len(self._servers.replicas_of(self._servers.primaries()[0]))
        for node in self._servers.nodes:
            node.command("CONFIG", "SET", "min-replicas-to-write", self._case.min_replicas)

    async def _queue(self, stack: AsyncExitStack) -> LedgerQueue:
        client = await stack.enter_async_context(connect(self._servers.url))
        queue = LedgerQueue(client, self._settings)
        queue.ledger = self._ledger
        return queue

    async def _handle(self, batch: Batch) -> str:
        await asyncio.sleep(AI_S)
        return "re " + " ".join(batch.ids)

    async def _send(self, batch: Batch, reply: str) -> None:
        self._ledger.note_sent(batch)

    async def _produce_while(self, fault: Awaitable[None], queue: LedgerQueue) -> float:
        """Send messages at a steady rate before, during and after the fault; return the time at which sending ended."""
        store: Callable[[QueueMessage], Awaitable[object]] = queue.enqueue
        intake = Intake(queue, self._handle, self._send)
        if self._case.through_intake:
            store = intake.receive
        settling = asyncio.create_task(intake.settle_when_back())
        fault_task = asyncio.create_task(self._between_waits(fault))
        began_s, number = time.monotonic(), 0
        while not fault_task.done():
            due = int((time.monotonic() - began_s) * self._load.rate_per_s)
            while number < due and len(self._producing) < UNDER_WAY_MAX:
                self._start(store, _message(number))
                number += 1
            number = due
            await asyncio.sleep(0.01)
        ended_s = time.monotonic()
        await fault_task
        while self._producing:
            await asyncio.wait(self._producing)
        await intake.settle()
        await cancel_all([settling])
        return ended_s

    async def _between_waits(self, fault: Awaitable[None]) -> None:
        """Let the fault strike after LEAD_S, and wait for TAIL_S after it."""
        await asyncio.sleep(LEAD_S * self._load.time_factor)
        await fault
        await asyncio.sleep(TAIL_S * self._load.time_factor)

    def _start(self, store: Callable[[QueueMessage], Awaitable[object]], message: QueueMessage) -> None:
        task = asyncio.create_task(self._deliver(store, message))
        self._producing.add(task)
        task.add_done_callback(self._producing.discard)

    async def _deliver(
        self, store: Callable[[QueueMessage], Awaitable[object]], message: QueueMessage
    ) -> None:
        """Deliver a message as a provider does: again and again, until it is acknowledged."""
        while True:
            try:
                await store(message)
            except QueueUnavailableError:
                self._ledger.errors += 1
            except Exception as error:  # noqa: BLE001 - the row counts errors that callers should never see
                self._ledger.other_errors.append(repr(error))
            else:
                self._ledger.acknowledged[message.id] = time.monotonic()
                return
            await asyncio.sleep(REPEAT_S)

    async def _drain(self, queue: LedgerQueue) -> None:
        """Wait until Redis holds no message that is not finished: from then on nothing can be answered again."""
        deadline = time.monotonic() + DRAIN_S_MAX
        while time.monotonic() < deadline:
            try:
                if not await queue.depth():
                    return
            except QueueUnavailableError:
                pass
            await asyncio.sleep(0.1)

    def _users_by_node(self, queue: LedgerQueue, owners: list[Node]) -> dict[Node, set[str]]:
        """Return the users whose conversations each primary had at the start."""
        users: dict[Node, set[str]] = {}
        for phone in map(_phone, range(USERS)):
            users.setdefault(owners[queue.keys.of("bot", phone).partition], set()).add(phone)
        return users

    def _pauses(
        self, users: dict[Node, set[str]], struck: Node, began_s: float, ended_s: float
    ) -> list[NodePause]:
        pauses = []
        for number, node in enumerate(sorted(users, key=self._servers.nodes.index), 1):
            longest_s = self._ledger.longest_pause_s(users[node], began_s + 1, ended_s)
            is_struck = self._case.name != "steady" and (self._case.strikes_all or node is struck)
            pauses.append(NodePause(node=number, longest_ms=round(longest_s * 1000), is_struck=is_struck))
        return pauses

    def _resumed_ms(self, elections: list[float], users: set[str]) -> int | None:
        """Return the longest time from an election to the first traffic after it; None without an election."""
        if not self._case.replaces_primary:
            return None
        times = [self._ledger.traffic_after_s(users, election) for election in elections]
        return max((round(time_s * 1000) for time_s in times if time_s is not None), default=None)

    def _row(
        self, waiting: int, dead: int, load_ms: int, pauses: list[NodePause], resumed_ms: int | None
    ) -> FailoverRow:
        ledger, case = self._ledger, self._case
        times = ledger.times_sent()
        doubles = ledger.doubles()
        return FailoverRow(
            case=case.name,
            deployment=case.deployment,
            through_intake=case.through_intake,
            replicas=self._replicas,
            wait_for_replicas=case.wait_for_replicas,
            min_replicas=case.min_replicas,
            acknowledged=len(ledger.acknowledged),
            once=sum(times[message_id] == 1 for message_id in ledger.acknowledged),
            twice=len(doubles),
            twice_after_lost_write=sum(doubles.values()),
            lost=max(0, len(ledger.unanswered()) - waiting - dead),
            dead=dead,
            waiting=waiting,
            answered_directly=sum(sent.is_direct for sent in ledger.sent),
            errors=ledger.errors,
            other_errors=len(ledger.other_errors),
            processors_died=self._died,
            load_ms=load_ms,
            pauses=pauses,
            elections=self._elections,
            resumed_ms=resumed_ms,
            stalled_ms=round(ledger.stalls.total_s * 1000),
        )


async def _waiting_and_dead(queue: LedgerQueue) -> tuple[int, int]:
    """Count the messages that wait, and the dead letters."""
    sizes, waiting = await asyncio.gather(queue.sizes(), queue.depth())
    return waiting, sizes.dead_letters


def _phone(number: int) -> str:
    return str(201_000_000_000 + number % USERS)


def _message(number: int) -> QueueMessage:
    return QueueMessage(
        id=f"m{number}", instance_name="bot", user_phone=_phone(number), message=f"text {number}"
    )
