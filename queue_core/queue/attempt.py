"""Attempts of a worker to finish a batch: handle, record, send, complete; or fail, hand back, lose the lease.

`Attempts` makes them and records in Redis how they ended. The Processor decides what runs when.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from queue_core.errors import GiveUpError, LeaseLostError, QueueError, QueueUnavailableError, RetryLaterError
from queue_core.message import Batch
from queue_core.queue.message_queue import MessageQueue
from queue_core.waiting import within

Handler = Callable[[Batch], Awaitable[str | None]]
"""Answers a turn; None or "" is no reply. RetryLaterError and GiveUpError say what follows; others are retried."""
Sender = Callable[[Batch, str], Awaitable[None]]
"""Brings a reply to the user. RetryLaterError and GiveUpError mean that it was not sent; other errors leave it open."""
Outcome = Literal["completed", "failed", "lost", "handed back"]

REDIS_RETRY_S = (0.05, 2.0)
"""First and longest wait while Redis is not available; it doubles each time."""

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Attempt:
    """A batch in work. `stage` is the step that it has reached."""

    batch: Batch
    partition: int
    patience_s: float
    """Longest time to try to record its end in Redis; then it is left to the next worker."""
    stage: Literal["handle", "send", "complete"] = "handle"
    lease_lost: bool = False
    is_unrecorded: bool = False
    """True while the end of the attempt is not recorded, because Redis is away."""
    reason: str = ""
    """Reason why it did not complete."""
    dead_lettered: int = 0
    """Number of its messages that became dead letters."""
    gave_up_on_redis: QueueError | None = None


class _RedisAwayError(Exception):
    """Raised when an attempt has waited for Redis long enough."""


class Attempts:
    """Runner of one worker's attempts; `handle` and `send` are those of its Processor."""

    def __init__(self, queue: MessageQueue, handle: Handler, send: Sender | None) -> None:
        self._queue = queue
        self._settings = queue.settings
        self._handle = handle
        self._send = send

    async def run(self, attempt: Attempt) -> Outcome:
        """Take the batch through all steps. A cancellation is raised again, unless the lease was lost."""
        try:
            return await self._run(attempt)
        except asyncio.CancelledError:
            if attempt.lease_lost:
                attempt.reason = "the lease ran out, and another worker may hold the conversation"
                return "lost"
            raise

    async def hand_back(self, attempt: Attempt) -> Outcome:
        """Hand the batch back for another worker; a batch whose reply was sent is completed instead."""
        batch = attempt.batch
        attempt.reason = "stopped before it was done"
        try:
            if attempt.stage == "complete":
                await self._queue.complete(batch)
                attempt.reason = ""
                return "completed"
            # An earlier attempt may have sent the reply that it recorded.
            await self._queue.release(batch, not_sent=attempt.stage == "handle" and batch.reply is None)
        except QueueError as error:
            _log.warning("lease %d could not be handed back, it runs out by itself: %s", batch.token, error)
            return "lost"
        return "handed back"

    async def _run(self, attempt: Attempt) -> Outcome:
        batch = attempt.batch
        try:
            await self._answer(attempt)
        except (LeaseLostError, _RedisAwayError) as error:
            _log.warning("lease %d is left alone in stage %r: %s", batch.token, attempt.stage, error)
            attempt.reason = str(error)
            return "lost"
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # This task was not cancelled: the handler let the cancellation of something inside it through.
            reason = f"{attempt.stage}: CancelledError, raised by itself"
            return await self._failed(attempt, reason, not_sent=attempt.stage == "handle")
        except RetryLaterError as error:
            return await self._failed(attempt, str(error), not_sent=True, after_ms=error.after_ms)
        except GiveUpError as error:
            return await self._failed(attempt, str(error), not_sent=True, dead=True)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises ends in a retry or a dead letter
            reason = f"{attempt.stage}: {type(error).__name__}: {error}"
            _log.warning("%s: %s", attempt.stage, _place_of(error))
            return await self._failed(attempt, reason, not_sent=attempt.stage == "handle")
        return "completed"

    async def _answer(self, attempt: Attempt) -> None:
        """Handle, record, send, complete; a reply recorded by an earlier attempt is only sent."""
        batch = attempt.batch
        reply = batch.reply
        if reply is None:
            reply = await within(self._settings.handler_timeout_ms, self._handle(batch))
            if reply and self._send:
                await self._persist(attempt, lambda: self._queue.record_reply(batch, reply))
        elif batch.send_state == "unsure" and self._settings.unsure_sends == "dead-letter":
            raise GiveUpError("the reply may have been sent before a crash (unsure_sends = dead-letter)")
        if reply and self._send and batch.send_state != "sent":
            attempt.stage = "send"
            await within(self._settings.send_timeout_ms, self._send(batch, reply))
        attempt.stage = "complete"
        await self._persist(attempt, lambda: self._queue.complete(batch))

    async def _failed(
        self,
        attempt: Attempt,
        reason: str,
        *,
        not_sent: bool,
        dead: bool = False,
        after_ms: int | None = None,
    ) -> Outcome:
        batch = attempt.batch
        attempt.reason = reason
        _log.warning("attempt %d of lease %d failed in stage %r", batch.attempt, batch.token, attempt.stage)

        async def fail() -> None:
            attempt.dead_lettered += await self._queue.fail(
                batch, reason, dead=dead, not_sent=not_sent, after_ms=after_ms
            )

        try:
            await self._persist(attempt, fail)
        except (LeaseLostError, _RedisAwayError):
            return "lost"
        except QueueError:
            _log.exception("lease %d could not be ended; it runs out by itself", batch.token)
            return "lost"
        return "failed"

    async def _persist(self, attempt: Attempt, step: Callable[[], Awaitable[None]]) -> None:
        """Take a step in Redis: retry until Redis answers, the lease is lost, or the patience ends."""
        clock = asyncio.get_running_loop().time
        latest = clock() + attempt.patience_s
        pause_s = REDIS_RETRY_S[0]
        try:
            while True:
                try:
                    return await step()
                except QueueUnavailableError as error:
                    attempt.is_unrecorded = True
                    if clock() > latest:
                        attempt.gave_up_on_redis = error
                        raise _RedisAwayError(str(error)) from error
                    _log.warning("trying again in %.2f s: %s", pause_s, error)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, REDIS_RETRY_S[1])
        finally:
            attempt.is_unrecorded = False


def _place_of(error: Exception) -> str:
    """Name an error and the line that raised it, without its message, which may quote a user."""
    *_, frame = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {frame.filename}, line {frame.lineno}, in {frame.name}"
