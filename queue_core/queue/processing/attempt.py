"""Attempts of a worker to finish a batch: handle, record, send, complete; or fail, hand back, lose the lease.

`Attempts` carries them out, and records in Redis how each attempt ended. The Processor chooses the batches.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeVar

import msgspec

from queue_core.errors import (
    GiveUpError,
    LeaseLostError,
    QueueError,
    QueueUnavailableError,
    RetryLaterError,
    SendUncertainError,
)
from queue_core.message import Batch, Reply
from queue_core.queue.message_queue import MessageQueue
from queue_core.queue.outages import OutageSign
from queue_core.queue.replying import (
    Handler,
    Sender,
    call_recorded,
    calling_recorded,
    line_of,
    reply_of,
    send_reply,
)
from queue_core.sent import SentPart
from queue_core.waiting import within

Outcome = Literal["completed", "superseded", "failed", "lost", "handed back"]

REDIS_RETRY_S = (0.05, 0.5)
"""First and longest wait while Redis is not available; it doubles each time."""
REFUSED_RETRY_S_MAX = 30.0
"""Longest wait while Redis answers, but refuses to record that a turn is done."""

_Result = TypeVar("_Result")

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Attempt:
    """A batch in progress. `stage` is the step that it has reached."""

    batch: Batch
    patience_s: float
    """Longest time to go on trying to record a step in Redis; after that the batch is left to the next worker."""
    held_since_s: float = 0.0
    """Time of the event loop at which the lease was taken, or asked to be renewed for the last time."""
    stage: Literal["handle", "send", "complete"] = "handle"
    began_s: float = 0.0
    """Time of the event loop at which the AI was asked, or the sending of the current part began."""
    parts_sent: int = 0
    """Number of parts of the reply that were sent, earlier attempts included; 0 until this attempt sends a part."""
    sent_parts: list[SentPart] = field(default_factory=list)
    """Parts that were sent, and whose ids are not noted yet."""
    lease_lost: bool = False
    reason: str = ""
    """Reason why the attempt did not complete."""
    dead_lettered: int = 0
    """Number of the batch's messages that became dead letters."""
    gave_up_on_redis: QueueError | None = None
    """Last error of Redis, if Redis was away for longer than `patience_s`."""

    @property
    def certainly_sent_nothing(self) -> bool:
        """True if nothing was sent that Redis has not noted: no part is on its way, now or from an earlier attempt."""
        return self.stage == "handle" and self.batch.send_state == "not sent"


class _RedisAwayError(Exception):
    """Raised when Redis was away for longer than `patience_s` of an attempt."""


class Attempts:
    """Runner of one worker's attempts, with the `handle` and `send` of its Processor."""

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
                await self._with_ids(attempt, self._queue.complete(batch))
                attempt.reason = ""
                return "completed"
            if attempt.parts_sent > batch.parts_sent:
                await self._with_ids(attempt, self._queue.record_sent(batch, parts=attempt.parts_sent))
            await self._queue.release(batch, not_sent=attempt.certainly_sent_nothing)
        except QueueError as error:
            _log.warning("lease %d could not be handed back; it will run out: %s", batch.token, error)
            return "lost"
        return "handed back"

    async def _run(self, attempt: Attempt) -> Outcome:
        batch = attempt.batch
        try:
            return await self._answer(attempt)
        except (LeaseLostError, _RedisAwayError) as error:
            _log.warning("lease %d is left to run out in stage %r: %s", batch.token, attempt.stage, error)
            attempt.reason = str(error)
            return "lost"
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody cancelled this task: a task that the handler awaited was cancelled.
            reason = f"{attempt.stage}: CancelledError from a task that was cancelled inside it"
            return await self._failed(attempt, reason, not_sent=attempt.certainly_sent_nothing)
        except RetryLaterError as error:
            return await self._failed(
                attempt,
                str(error),
                not_sent=True,
                after_ms=error.after_ms,
                sign=_sign_of(attempt, error),
                limited=error.blames == "limit",
            )
        except GiveUpError as error:
            return await self._failed(attempt, str(error), not_sent=True, dead=True)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises ends in a retry or a dead letter
            reason = f"{attempt.stage}: {type(error).__name__}: {error}"
            _log.warning("%s: %s", attempt.stage, line_of(error))
            return await self._failed(
                attempt,
                reason,
                not_sent=attempt.certainly_sent_nothing,
                after_ms=error.after_ms if isinstance(error, SendUncertainError) else None,
                sign=_sign_of(attempt, error),
            )

    async def _answer(self, attempt: Attempt) -> Outcome:
        """Handle, record, send, complete; a reply recorded by an earlier attempt is only sent."""
        batch = attempt.batch
        limit_ms = self._settings.handler_timeout_ms
        clock = asyncio.get_running_loop().time
        attempt.began_s = clock()
        if batch.send_state == "unsure":
            await self._note_again(batch)
        if batch.reply is None:
            reply = reply_of(await within(limit_ms, self._handle(batch)))
        elif batch.send_state == "unsure" and self._settings.unsure_sends == "dead-letter":
            raise GiveUpError(await self._reason_of_unsure_send(attempt))
        else:
            reply = Reply(batch.reply)
        if reply.text and self._send and batch.send_state != "sent":
            if not await self._confirm(attempt, partial(self._queue.record_reply, batch, reply.text)):
                attempt.reason = "the turn changed while it was answered; the changed turn is answered next"
                return "superseded"
            attempt.stage, attempt.began_s = "send", clock()
            async with calling_recorded(reply, limit_ms=limit_ms):
                await self._deliver(attempt, self._send, reply.text)
                attempt.stage = "complete"
        elif reply.on_recorded:
            await call_recorded(reply, limit_ms=limit_ms)
        attempt.stage = "complete"
        await self._complete(attempt)
        return "completed"

    async def _deliver(self, attempt: Attempt, sender: Sender, reply: str) -> None:
        """Send the reply. Between two parts, note in Redis what was sent, and confirm that the lease is held."""
        batch = attempt.batch

        async def between(parts: int) -> None:
            attempt.parts_sent = parts
            attempt.stage = "handle"  # no part is on its way

            async def note() -> None:
                await self._with_ids(attempt, self._queue.record_sent(batch, parts=parts))

            await self._confirm(attempt, note, insists=True)
            attempt.stage, attempt.began_s = "send", asyncio.get_running_loop().time()

        limit_ms = self._settings.send_timeout_ms
        await send_reply(
            sender, batch, reply, limit_ms=limit_ms, between=between, sent_parts=attempt.sent_parts
        )

    async def _confirm(
        self, attempt: Attempt, step: Callable[[], Awaitable[_Result]], *, insists: bool = False
    ) -> _Result:
        """Take a step that confirms the lease; repeat it if its answer took so long that the lease may be over."""
        clock = asyncio.get_running_loop().time
        fresh_s = self._settings.lock_ttl_ms / 2000
        asked_at = clock()

        async def ask() -> _Result:
            nonlocal asked_at
            asked_at = clock()
            return await step()

        while True:
            answer = await self._persist(attempt, ask, insists=insists)
            if clock() - asked_at <= fresh_s:
                return answer

    async def _complete(self, attempt: Attempt) -> None:
        """Record that the batch is done. If Redis refuses that, note at least that the reply was sent."""
        batch = attempt.batch

        async def complete() -> None:
            try:
                await self._with_ids(attempt, self._queue.complete(batch))
            except (QueueUnavailableError, LeaseLostError):
                raise
            except Exception:
                await self._note_sent(batch)
                raise

        await self._persist(attempt, complete, insists=True)

    def _with_ids(self, attempt: Attempt, step: Coroutine[Any, Any, None]) -> Awaitable[Any]:
        """Take a step in Redis, and note in the same round trip the ids of the parts that were sent."""
        return asyncio.gather(self._note_ids(attempt), step) if attempt.sent_parts else step

    async def _note_ids(self, attempt: Attempt) -> None:
        """Note the ids of the parts that were sent. If that fails, only reports on these parts are not understood."""
        parts = tuple(attempt.sent_parts)
        try:
            await self._queue.sent.note(attempt.batch, parts)
        except Exception as error:  # noqa: BLE001 - the turn must end, whatever this raises
            _log.warning("lease %d: the ids of a reply could not be noted: %s", attempt.batch.token, error)
        else:
            attempt.sent_parts[:] = [part for part in attempt.sent_parts if part not in parts]

    async def _reason_of_unsure_send(self, attempt: Attempt) -> str:
        batch, setting = attempt.batch, "(unsure_sends = dead-letter)"
        read = partial(self._queue.error_of_last_send, batch.instance_name, batch.user_phone)
        if error := await self._persist(attempt, read):
            return f"the reply may have been sent {setting}; last error: {error}"
        return f"the reply may have been sent, since its last try was cut off {setting}"

    async def _note_again(self, batch: Batch) -> None:
        """Note that the id of a reply may be lost. If that fails, only reports on that reply are misunderstood."""
        try:
            await self._queue.sent.note_again(batch)
        except Exception as error:  # noqa: BLE001 - the turn must go on, whatever this raises
            _log.warning("lease %d: could not note that a reply is sent again: %s", batch.token, error)

    async def _note_sent(self, batch: Batch) -> None:
        try:
            await self._queue.record_sent(batch)
        except QueueError as error:
            _log.warning("lease %d: could not note that the reply was sent: %s", batch.token, error)

    async def _failed(
        self,
        attempt: Attempt,
        reason: str,
        *,
        not_sent: bool,
        dead: bool = False,
        after_ms: int | None = None,
        sign: OutageSign | None = None,
        limited: bool = False,
    ) -> Outcome:
        batch = attempt.batch
        parts = max(attempt.parts_sent, batch.parts_sent)
        attempt.reason = reason = (
            f"after {parts} part{'s' if parts > 1 else ''}: {reason}" if parts else reason
        )
        _log.debug(
            "attempt %d of the turn with token %d failed: %s", batch.attempt, batch.token, attempt.stage
        )

        if attempt.parts_sent > batch.parts_sent:  # progress: Redis counts attempts and setbacks anew
            batch = msgspec.structs.replace(batch, attempt=1, setbacks=0)

        async def fail() -> None:
            attempt.dead_lettered += await self._queue.fail(
                batch,
                reason,
                dead=dead,
                not_sent=not_sent,
                after_ms=after_ms,
                sign=sign,
                limited=limited,
            )

        try:
            await self._persist(attempt, fail)
        except (LeaseLostError, _RedisAwayError):
            return "lost"
        except QueueError as error:  # no traceback: it would show the handler's error, which may quote a user
            _log.error("lease %d could not be ended; it will run out: %s", batch.token, error)
            return "lost"
        return "failed"

    async def _persist(
        self, attempt: Attempt, step: Callable[[], Awaitable[_Result]], *, insists: bool = False
    ) -> _Result:
        """Take a step in Redis: retry until Redis answers, the lease is lost, or `patience_s` is over.

        With `insists`, also retry a step that Redis refuses. Steps that note a send insist, since without the note
        the reply would be sent again.
        """
        clock = asyncio.get_running_loop().time
        latest = clock() + attempt.patience_s
        pause_s = REDIS_RETRY_S[0]
        failure: QueueError
        while True:
            try:
                return await step()
            except LeaseLostError:
                raise
            except QueueUnavailableError as error:
                failure, pause_s_max = error, REDIS_RETRY_S[1]
                _log.warning("trying again in %.2f s: %s", pause_s, error)
            except Exception as error:
                if not insists:
                    raise
                failure, pause_s_max = QueueError(str(error)), REFUSED_RETRY_S_MAX
                token = attempt.batch.token
                _log.exception(
                    "lease %d: Redis refuses to note what was sent; again in %.2f s", token, pause_s
                )
            if clock() > latest:
                attempt.gave_up_on_redis = failure
                raise _RedisAwayError(str(failure)) from failure
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, pause_s_max)


def _sign_of(attempt: Attempt, error: Exception) -> OutageSign | None:
    """Return a failed attempt's sign that the AI or the channel is away; None for other causes.

    A send that may have reached the user is a sign too; that attempt counts, so that sends do not repeat without end.
    """
    took_ms = (asyncio.get_running_loop().time() - attempt.began_s) * 1000
    if attempt.stage == "handle":
        is_away = isinstance(error, RetryLaterError | TimeoutError | ConnectionError)
        blames_backend = not isinstance(error, RetryLaterError) or error.blames == "backend"
        return OutageSign("ai", took_ms) if is_away and blames_backend else None
    if isinstance(error, RetryLaterError):
        return OutageSign("channel", took_ms) if error.blames == "backend" else None
    return OutageSign("channel", took_ms, counts=True) if attempt.stage == "send" else None
