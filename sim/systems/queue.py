"""The real `queue_core` in simulated time: one process serves webhooks, and two workers answer."""

from __future__ import annotations

import contextlib
from collections import Counter

from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from queue_core import (
    Batch,
    Intake,
    InvalidMessageError,
    MessageQueue,
    Processor,
    QueueError,
    QueueMessage,
    QueueSettings,
    RetryLaterError,
)
from queue_core.ai.base import UNAVAILABLE_WAITS_S, retry_after_ms
from queue_core.queue.outages import OutageNews
from queue_core.queue.processing.processor import Outcome
from queue_core.recording.format import Arrival
from reports.results.replay import StepCode
from sim.engine.ledger import Conversation
from sim.engine.store.client import StoreClient
from sim.engine.store.server import INSPECTOR
from sim.engine.system import System, WebhookFailedError
from sim.engine.world import AiError, ChannelError, World

WORKERS = 2
SOCKET_TIMEOUT_S = 5.0
"""Timeout of a command, as in `queue_core.connect`."""
CALM_BLOCK_MS = 3_600_000
"""Length of blocking reads in runs without faults, in which no connection breaks and nothing is missed."""
CONCURRENCY = 50
"""Conversations that one worker answers at a time."""


class QueueSystem(System):
    """The queue as it is deployed, except that Redis, time and randomness come from the World."""

    name = "queue"
    order = 50
    processes = ("web", *(f"worker-{number}" for number in range(1, WORKERS + 1)))

    def __init__(self, world: World) -> None:
        super().__init__(world)
        settings = world.settings
        self._settings = QueueSettings(
            **settings.rules(),
            max_batch=max(QueueSettings().max_batch, settings.max_messages),
            sent_ttl_s=0,  # the simulated send API gives no ids, and reports nothing
        )
        self._starts: Counter[str] = Counter()
        self._intake: Intake | None = None
        self._processors: dict[str, Processor] = {}
        self._inspected = self._queue(INSPECTOR)
        self._observer = world.redis.rest("observer")

    def claimed(self, batch: Batch) -> None:
        """Do nothing: the handler reports to the ledger which messages it was given."""

    def ended(self, batch: Batch, outcome: Outcome, reason: str, dead_lettered: int) -> None:
        """Report an answer that was dropped, because a newer message joined the turn."""
        if outcome == "superseded":
            self.world.ledger.superseded(_conversation_of(batch), batch.ids)

    def given_up(self, messages: int) -> None:
        """Do nothing: the dead letters are read at the end."""

    def backend_changed(self, news: OutageNews) -> None:
        """Do nothing: a failure shows at the turn."""

    async def start(self, process: str) -> None:
        """Start a worker; or the web process's task that tells Redis, once it is back, what was answered without it."""
        self._starts[process] += 1
        start = self._starts[process]
        name = process if start == 1 else f"{process}.{start}"
        if process == "web":
            self._intake = Intake(self._queue(name), self._handle, self._send)
            self.world.spawn_daemon(self._intake.settle_when_back(), name="queue settle")
            return
        processor = self._processors[process] = Processor(
            self._queue(name),
            self._handle,
            self._send,
            concurrency=CONCURRENCY,
            processor_id=name,
            observer=self,
        )
        self.world.spawn_daemon(processor.run(), name=f"queue {name}")

    def died(self, process: str) -> None:
        """Forget the process."""
        if process == "web":
            self._intake = None
        else:
            del self._processors[process]

    async def webhook(self, arrival: Arrival) -> None:
        """Queue the message or answer it directly; raises WebhookFailedError when neither was possible."""
        conversation = Conversation(arrival.instance, arrival.phone)
        assert self._intake is not None, "the web process runs"
        try:
            acknowledgement = await self._intake.receive(
                QueueMessage(
                    id=arrival.id,
                    instance_name=arrival.instance,
                    user_phone=arrival.phone,
                    message=arrival.text,
                    message_data={"kind": arrival.kind},
                    timestamp=self.world.epoch_ms + arrival.timestamp_ms,
                )
            )
        except QueueError as error:
            invalid = isinstance(error, InvalidMessageError)
            raise WebhookFailedError("invalid" if invalid else "unavailable") from error
        if acknowledgement == "queued":
            self.world.ledger.stored(conversation, arrival.id)
        elif acknowledgement != "answered":
            code: StepCode = "known" if acknowledgement == "duplicate" else "late"
            self.world.ledger.note(conversation, arrival.id, code)

    def at_rest(self) -> bool:
        """Return True when no conversation has messages."""
        return not self._inspected.unfinished(self._observer.peek)

    def pending_ids(self) -> dict[Conversation, list[str]]:
        """Return the ids of the messages that no worker has finished."""
        return {
            Conversation(*name): [message.id for message in messages]
            for name, messages in self._inspected.unfinished(self._observer.peek).items()
        }

    async def settle(self) -> None:
        """Report the dead letters."""
        for letter in await self._inspected.dead_letters():
            if letter.message is not None:
                conversation = Conversation(letter.instance_name, letter.user_phone)
                self.world.ledger.dead_lettered(conversation, letter.message.id, letter.attempts)

    async def stop(self) -> None:
        """Stop the workers as a deployment would."""
        for processor in self._processors.values():
            await processor.stop()
        if self._intake is not None:
            with contextlib.suppress(QueueError):
                await self._intake.settle()

    def _queue(self, process: str) -> MessageQueue:
        """Make the queue of one process: with its own connections, set up as `queue_core.connect` does."""
        client = self.world.redis.client(
            process,
            socket_timeout=SOCKET_TIMEOUT_S,
            retry=Retry(ExponentialBackoff(cap=0.2, base=0.02), retries=1),
        )
        transport = None
        if isinstance(client, StoreClient):
            transport = client.transport(deadline_ms=self._settings.redis_deadline_ms)
            if not self.world.settings.faults:
                client.block_ms = CALM_BLOCK_MS
        return MessageQueue(
            client, self._settings, rng=self.world.random(f"queue {process}"), transport=transport
        )

    async def _handle(self, batch: Batch) -> str:
        conversation = _conversation_of(batch)
        epoch_ms = self.world.epoch_ms
        if batch.trigger == "direct":
            self.world.ledger.claimed(conversation, batch.ids, batch.trigger)
            return await self.world.ai.answer(conversation, batch.ids, batch.text)
        self.world.ledger.claimed(
            conversation,
            batch.ids,
            batch.trigger,
            batch.due_at_ms - epoch_ms,
            claimed_at_ms=batch.claimed_at_ms - epoch_ms,
        )
        try:
            return await self.world.ai.answer(conversation, batch.ids, batch.text)
        except AiError as error:  # as `queue_core.ai.asking` raises it
            wait_ms = retry_after_ms(batch.attempt, UNAVAILABLE_WAITS_S)
            raise RetryLaterError(str(error), after_ms=wait_ms) from error

    async def _send(self, batch: Batch, reply: str) -> None:
        try:
            await self.world.whatsapp.send(_conversation_of(batch), batch.ids, reply)
        except ChannelError as error:
            raise RetryLaterError(str(error)) from error


def _conversation_of(batch: Batch) -> Conversation:
    return Conversation(batch.instance_name, batch.user_phone)
