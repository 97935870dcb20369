"""The real `queue_core` in simulated time: one process serves webhooks, and two workers answer."""

from __future__ import annotations

import contextlib

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
from queue_core.queue.outages import OutageNews
from queue_core.queue.processor import Outcome
from queue_core.recording.format import Arrival
from reports.results.replay import StepCode
from sim.engine.ledger import Conversation
from sim.engine.system import System, WebhookFailedError
from sim.engine.world import AiError, World

WORKERS = 2
SOCKET_TIMEOUT_S = 5.0
"""As in `queue_core.connect`."""
CONCURRENCY = 50
"""Conversations that one worker answers at a time."""


class QueueSystem(System):
    """The queue as it is deployed, except that Redis, time and randomness come from the World."""

    name = "queue"
    order = 50

    def __init__(self, world: World) -> None:
        super().__init__(world)
        settings = world.settings
        self._settings = QueueSettings(
            **settings.rules(),
            max_batch=max(QueueSettings().max_batch, settings.max_messages),
            sent_ttl_s=0,  # the simulated send API gives no ids, and reports nothing
        )
        self._web = self._queue("web")
        self._intake = Intake(self._web, self._handle, self._send)
        self._processors = [
            Processor(
                self._queue(f"worker-{number}"),
                self._handle,
                self._send,
                concurrency=CONCURRENCY,
                processor_id=f"worker-{number}",
                observer=self,
            )
            for number in range(1, WORKERS + 1)
        ]
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

    async def start(self) -> None:
        """Start the workers, and the task of the web process that settles what it answered without Redis."""
        self.world.spawn_daemon(self._intake.settle_when_back(), name="queue settle")
        for number, processor in enumerate(self._processors, 1):
            self.world.spawn_daemon(processor.run(), name=f"queue worker {number}")

    async def webhook(self, arrival: Arrival) -> None:
        """Queue the message or answer it directly; raises WebhookFailedError when neither was possible."""
        conversation = Conversation(arrival.instance, arrival.phone)
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
        return not self._web.unfinished(self._observer.peek)

    def pending_ids(self) -> dict[Conversation, list[str]]:
        """Return the ids of the messages that no worker has finished."""
        return {
            Conversation(*name): [message.id for message in messages]
            for name, messages in self._web.unfinished(self._observer.peek).items()
        }

    async def settle(self) -> None:
        """Report the dead letters."""
        for letter in await self._web.dead_letters():
            if letter.message is not None:
                conversation = Conversation(letter.instance_name, letter.user_phone)
                self.world.ledger.dead_lettered(conversation, letter.message.id, letter.attempts)

    async def stop(self) -> None:
        """Stop the workers as a deployment would."""
        for processor in self._processors:
            await processor.stop()
        with contextlib.suppress(QueueError):
            await self._intake.settle()

    def _queue(self, process: str) -> MessageQueue:
        """Make the queue of one process: with its own connections, set up as `queue_core.connect` does."""
        client = self.world.redis.client(
            process,
            socket_timeout=SOCKET_TIMEOUT_S,
            retry=Retry(ExponentialBackoff(cap=0.2, base=0.02), retries=1),
        )
        return MessageQueue(client, self._settings, rng=self.world.random(f"queue {process}"))

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
        except AiError as error:
            raise RetryLaterError(str(error)) from error

    async def _send(self, batch: Batch, reply: str) -> None:
        await self.world.whatsapp.send(_conversation_of(batch), batch.ids, reply)


def _conversation_of(batch: Batch) -> Conversation:
    return Conversation(batch.instance_name, batch.user_phone)
