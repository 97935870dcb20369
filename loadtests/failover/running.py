"""One run of a case: a producer, two workers, a ledger; and the row that becomes of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from loadtests.failover.cases import PREFIX, Case, Scene
from loadtests.failover.ledger import Ledger, LedgerQueue
from loadtests.redis_groups.group import Group
from loadtests.redis_groups.node import Node
from queue_core import Batch, Processor, QueueMessage, QueueSettings, QueueUnavailableError, connect
from queue_core.queue.intake import Intake
from queue_core.waiting import cancel_all
from reports.results.failover import FailoverRow, NodePause

USERS = 300
WORKERS = 2
AI_S = 0.05
REPEAT_S = 1.0
"""Time after which a producer repeats a message that was not acknowledged."""
DRAIN_S_MAX = 40.0
LEAD_S = 3.0
"""Time of load before the fault."""


@dataclass(frozen=True, slots=True)
class Load:
    """Messages for a run. With a `pace` below 1, all durations are shorter."""

    rate_per_s: int = 200
    partitions: int = 12
    pace: float = 1.0

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

    def __init__(self, case: Case, group: Group, load: Load) -> None:
        self._case = case
        self._group = group
        self._load = load
        self._settings = load.settings(case)
        self._ledger = Ledger()
        self._producing: set[asyncio.Task[None]] = set()
        self._died = 0
        self._replicas = 0

    async def carry_out(self) -> FailoverRow:
        """Prepare the servers, send the load while the fault strikes, wait for the answers, and account for them."""
        await asyncio.to_thread(self._prepare)
        scene = Scene(self._group, self._load.partitions, self._load.pace)
        struck = scene.struck
        owners = [scene.owner_of(partition) for partition in range(self._load.partitions)]
        async with AsyncExitStack() as stack:
            queues = [await self._queue(stack) for _ in range(WORKERS + 1)]
            workers = [
                Processor(queue, self._handle, self._send, processor_id=f"worker-{number}", grace_s=5.0)
                for number, queue in enumerate(queues[1:])
            ]
            tasks = [asyncio.create_task(worker.run()) for worker in workers]
            began_s = time.monotonic()
            ended_s = await self._produce_while(self._case.carry_out(scene), queues[0])
            await self._drain(queues[0])
            self._died = sum(task.done() for task in tasks)
            await asyncio.gather(*(worker.stop() for worker in workers))
            await asyncio.gather(*tasks, return_exceptions=True)
            waiting, dead = await _left(queues[0])
        pauses = self._pauses(queues[0], owners, struck, began_s, ended_s)
        return self._row(waiting, dead, round((ended_s - began_s) * 1000), pauses)

    def _prepare(self) -> None:
        self._group.repair()
        self._replicas = len(self._group.replicas_of(self._group.primaries()[0]))
        for node in self._group.nodes:
            node.command("CONFIG", "SET", "min-replicas-to-write", self._case.min_replicas)

    async def _queue(self, stack: AsyncExitStack) -> LedgerQueue:
        client = await stack.enter_async_context(connect(self._group.url))
        queue = LedgerQueue(client, self._settings)
        queue.ledger = self._ledger
        return queue

    async def _handle(self, batch: Batch) -> str:
        await asyncio.sleep(AI_S)
        return "re " + " ".join(batch.ids)

    async def _send(self, batch: Batch, reply: str) -> None:
        self._ledger.note_sent(batch)

    async def _produce_while(self, fault: Awaitable[None], queue: LedgerQueue) -> float:
        """Send messages at a steady rate, for the length of the load and until the fault is over; return the end."""
        store: Callable[[QueueMessage], Awaitable[object]] = queue.enqueue
        intake = Intake(queue, self._handle, self._send)
        if self._case.through_intake:
            store = intake.receive
        settling = asyncio.create_task(intake.settle_when_back())
        fault_task = asyncio.create_task(self._after_lead(fault))
        began_s, number = time.monotonic(), 0
        load_s = self._case.load_s * self._load.pace
        while (elapsed_s := time.monotonic() - began_s) < load_s or not fault_task.done():
            while number < int(elapsed_s * self._load.rate_per_s):
                self._start(store, _message(number))
                number += 1
            await asyncio.sleep(0.01)
        ended_s = time.monotonic()
        await fault_task
        while self._producing:
            await asyncio.wait(self._producing)
        await intake.settle()
        await cancel_all([settling])
        return ended_s

    async def _after_lead(self, fault: Awaitable[None]) -> None:
        await asyncio.sleep(LEAD_S * self._load.pace)
        await fault

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
                self._ledger.wrong_errors.append(repr(error))
            else:
                self._ledger.acknowledged[message.id] = time.monotonic()
                return
            await asyncio.sleep(REPEAT_S)

    async def _drain(self, queue: LedgerQueue) -> None:
        """Wait until every acknowledged message is answered, or nothing waits any more."""
        deadline = time.monotonic() + DRAIN_S_MAX
        while time.monotonic() < deadline:
            try:
                if not self._ledger.unanswered() or not any(await _left(queue)):
                    break
            except QueueUnavailableError:
                pass
            await asyncio.sleep(0.1)
        await asyncio.sleep(self._settings.lock_ttl_ms / 1000 * min(1.0, 2 * self._load.pace))  # late doubles

    def _pauses(
        self, queue: LedgerQueue, owners: list[Node], struck: Node, began_s: float, ended_s: float
    ) -> list[NodePause]:
        pauses = []
        phones = {_phone(number): queue.keys.of("bot", _phone(number)).partition for number in range(USERS)}
        for number, node in enumerate(sorted(set(owners), key=self._group.nodes.index), 1):
            its = {phone for phone, partition in phones.items() if owners[partition] is node}
            longest_s = self._ledger.longest_pause_s(its, began_s + 1, ended_s)
            is_struck = self._case.name != "steady" and (self._case.strikes_all or node is struck)
            pauses.append(NodePause(node=number, longest_ms=round(longest_s * 1000), is_struck=is_struck))
        return pauses

    def _row(self, waiting: int, dead: int, load_ms: int, pauses: list[NodePause]) -> FailoverRow:
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
            licensed=sum(doubles.values()),
            lost=max(0, len(ledger.unanswered()) - waiting - dead),
            dead=dead,
            waiting=waiting,
            directly=sum(sent.is_direct for sent in ledger.sent),
            errors=ledger.errors,
            wrong_errors=len(ledger.wrong_errors),
            processors_died=self._died,
            load_ms=load_ms,
            pauses=pauses,
        )


async def _left(queue: LedgerQueue) -> tuple[int, int]:
    """Count the messages that wait, and the dead letters."""
    sizes, waiting = await asyncio.gather(queue.sizes(), queue.depth())
    return waiting, sizes.dead_letters


def _phone(number: int) -> str:
    return str(201_000_000_000 + number % USERS)


def _message(number: int) -> QueueMessage:
    return QueueMessage(
        id=f"m{number}", instance_name="bot", user_phone=_phone(number), message=f"text {number}"
    )
