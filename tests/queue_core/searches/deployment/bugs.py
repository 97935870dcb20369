"""Bugs to plant in the worker, the intake and the scripts, to see that the search finds each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from queue_core import (
    Batch,
    Intake,
    LeaseLostError,
    MessageQueue,
    QueueUnavailableError,
)
from queue_core.queue.intake.intake import Acknowledgement, Arrival
from queue_core.queue.processing.attempt import Attempt, Attempts
from queue_core.queue.processing.renewals import Renewals
from queue_core.queue.replying import Handler, Sender, send_reply
from tests.queue_core.searches.planting import plant

Plant = Callable[[pytest.MonkeyPatch], None]

DAY_S = 86_400


def takeover_without_grace(patch: pytest.MonkeyPatch) -> None:
    """Take a lease over as soon as it ran out."""
    plant(
        patch,
        "claim",
        "local free_at = math.max(expires, since + grace_ms)",
        "local free_at = math.max(expires, since)",
    )


def record_reply_tried_once(patch: pytest.MonkeyPatch) -> None:
    """Count a reply that cannot be recorded at once as a failed attempt."""
    record_reply = MessageQueue.record_reply

    async def tried_once(self: MessageQueue, batch: Batch, reply: str) -> bool:
        try:
            return await record_reply(self, batch, reply)
        except QueueUnavailableError as error:
            raise RuntimeError("not recorded") from error

    patch.setattr(MessageQueue, "record_reply", tried_once)


def lost_lease_does_not_cancel(patch: pytest.MonkeyPatch) -> None:
    """Go on with an attempt whose lease was lost."""

    async def renewed(self: Renewals, attempt: Attempt, in_progress: Any) -> bool:
        asked_s = asyncio.get_running_loop().time()
        with contextlib.suppress(LeaseLostError):
            try:
                await self._queue.extend(attempt.batch)
            except QueueUnavailableError:
                return False
        attempt.held_since_s = asked_s  # else it is renewed again at once, without end
        return True

    patch.setattr(Renewals, "_renew", renewed)


def refused_complete_is_a_failure(patch: pytest.MonkeyPatch) -> None:
    """Treat a refusal of `complete` as a failure of the attempt."""

    async def complete(self: Attempts, attempt: Attempt) -> None:
        await self._persist(attempt, lambda: self._queue.complete(attempt.batch))

    patch.setattr(Attempts, "_complete", complete)


def direct_path_does_not_ask_again(patch: pytest.MonkeyPatch) -> None:
    """Send what the handler answered without another question to Redis."""
    answer, store = Intake._answer, Intake._store

    async def answering(self: Intake, arrival: Arrival) -> Acknowledgement:
        self.__dict__["is_answering"] = True
        try:
            return await answer(self, arrival)
        finally:
            self.__dict__["is_answering"] = False

    async def storing(self: Intake, arrival: Arrival, *, is_again: bool) -> Acknowledgement:
        if self.__dict__.get("is_answering"):
            raise QueueUnavailableError("not asked")
        return await store(self, arrival, is_again=is_again)

    patch.setattr(Intake, "_answer", answering)
    patch.setattr(Intake, "_store", storing)


def parts_are_not_noted(patch: pytest.MonkeyPatch) -> None:
    """Send all parts of a reply without a note between them."""

    async def deliver(self: Attempts, attempt: Attempt, sender: Sender, reply: str) -> None:
        await send_reply(sender, attempt.batch, reply, limit_ms=self._settings.send_timeout_ms)

    patch.setattr(Attempts, "_deliver", deliver)


def withdraw_before_the_send(patch: pytest.MonkeyPatch) -> None:
    """Take a message out of Redis before it is answered directly."""
    make = Intake.__init__

    def made(self: Intake, queue: MessageQueue, handle: Handler, send: Sender) -> None:
        async def send_later(batch: Batch, text: str) -> None:
            with contextlib.suppress(QueueUnavailableError):
                await queue.withdraw(batch.messages[0])
            await send_reply(send, batch, text, limit_ms=queue.settings.send_timeout_ms)

        make(self, queue, handle, send_later)

    patch.setattr(Intake, "__init__", made)


def failed_renewals_are_not_repeated(patch: pytest.MonkeyPatch) -> None:
    """Renew a lease no more once a renewal failed, and not by claims either."""
    is_renewed = Renewals._renew

    async def renewed(self: Renewals, attempt: Attempt, in_progress: Any) -> bool:
        if not await is_renewed(self, attempt, in_progress):
            attempt.held_since_s += DAY_S
            self.failed.clear()
        return True

    patch.setattr(Renewals, "_renew", renewed)


def reply_is_not_recorded(patch: pytest.MonkeyPatch) -> None:
    """Send without the confirmation that the lease is held."""

    async def not_recorded(self: MessageQueue, batch: Batch, reply: str) -> bool:
        return True

    patch.setattr(MessageQueue, "record_reply", not_recorded)


def unanswered_claims_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Claim anew, with another claim id, after a claim that was not answered."""
    claim = MessageQueue.claim

    async def forgetful(self: MessageQueue, *args: Any, **options: Any) -> Any:
        self._unanswered_claims.clear()
        return await claim(self, *args, **options)

    patch.setattr(MessageQueue, "claim", forgetful)


def superseded_turns_are_sent(patch: pytest.MonkeyPatch) -> None:
    """Send a reply though a newer message joined the turn."""
    record_reply = MessageQueue.record_reply

    async def not_superseded(self: MessageQueue, batch: Batch, reply: str) -> bool:
        await record_reply(self, batch, reply)
        return True

    patch.setattr(MessageQueue, "record_reply", not_superseded)


def frozen_processes_trust_old_answers(patch: pytest.MonkeyPatch) -> None:
    """Send on a confirmation that was answered long ago."""

    async def confirm(
        self: Attempts, attempt: Attempt, step: Callable[[], Awaitable[Any]], *, insists: bool = False
    ) -> Any:
        return await self._persist(attempt, step, insists=insists)

    patch.setattr(Attempts, "_confirm", confirm)


def claims_do_not_look_from_the_middle_on(patch: pytest.MonkeyPatch) -> None:
    """Look at a lease only when it ran out: the grace of a dead worker begins then."""
    for script in ("claim", "extend"):
        plant(patch, script, "math.floor(lock_ttl_ms / 2)", "lock_ttl_ms")


def outages_use_attempts(patch: pytest.MonkeyPatch) -> None:
    """Count every attempt that failed since the AI or the channel was away."""
    fail = MessageQueue.fail

    async def counting(self: MessageQueue, batch: Batch, reason: str, **how: Any) -> int:
        return await fail(self, batch, reason, **(how | {"sign": None}))

    patch.setattr(MessageQueue, "fail", counting)


def late_claims_lease(patch: pytest.MonkeyPatch) -> None:
    """Lease for a claim that the network delivers after newer ones of its worker."""
    plant(patch, "claim", "if last[3] == run and", "if false and")


def steps_back_are_not_noticed(patch: pytest.MonkeyPatch) -> None:
    """Let turns wait until a clock that was set back shows their time again."""
    plant(patch, "claim", "local is_back = at and now_ms < at - STEP_MS or", "local is_back = false and")


def steps_back_since_a_claim_of_long_ago_are_not_noticed(patch: pytest.MonkeyPatch) -> None:
    """Compare a clock only with the last claim, which may be longer ago than the clock was set back."""
    plant(patch, "claim", "or now_ms < earliest_ms - STEP_MS", "or false")


def steps_forward_are_not_noticed(patch: pytest.MonkeyPatch) -> None:
    """Count the step of a clock as time that messages waited."""
    plant(patch, "claim", "now_ms > latest_ms + STEP_MS", "false")


def leases_end_by_a_clock_that_was_set_back(patch: pytest.MonkeyPatch) -> None:
    """Hold a dead worker's lease until a clock that was set back shows its end."""
    plant(patch, "claim", "if expires > now_ms + lock_ttl_ms then", "if false then")
