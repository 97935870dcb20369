"""Driver of the real queue and its model side by side. It checks everything after every step."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from redis.asyncio import Redis

from queue_core import (
    Batch,
    LeaseLostError,
    MessageQueue,
    QueueMessage,
    QueueSettings,
    QueueUnavailableError,
)
from queue_core.queue.upkeep.rescue import Rescued
from queue_core.redis.runner import ScriptRunner
from tests.queue_core.forgetful import Forgetful
from tests.queue_core.searches.changes import ChangeKind, Edit
from tests.queue_core.searches.model import TEXT, Contract, ExpectedBatch, Name
from tests.queue_core.searches.observed import InvariantBrokenError, check_all, observe, prolong_ttls

EPOCH_MS = 1_790_000_000_000
DEADLINE_MS = 60_000
"""Deadline of a call, in real time. Redis never fails here, and a busy machine is not an outage."""
Result = TypeVar("Result")


class Driver:
    """One deployment under test. `lost=True` loses the step's answer once and repeats the step."""

    def __init__(self, redis: Redis, settings: QueueSettings) -> None:
        self.settings = settings
        self.contract = Contract(settings, EPOCH_MS)
        self.transport = Forgetful(ScriptRunner(redis, deadline_ms=DEADLINE_MS))
        self.queue = MessageQueue(
            redis,
            settings,
            clock=lambda: self.contract.now_ms,
            monotonic=lambda: self.contract.now_ms / 1000,
            rng=random.Random(1),
            transport=self.transport,
        )
        self.batches: list[Batch] = []
        """Batches of all claims, with those whose lease is lost."""
        self._claims = 0
        self._last_token = 0

    async def check(self) -> None:
        """Check all invariants and counts of the queue. Raises InvariantBrokenError."""
        seen = await observe(self.queue)
        await prolong_ttls(self.queue.redis, seen)
        check_all(self.contract, seen, self.settings.prefix)
        waiting = sum(len(conversation.messages) for conversation in self.contract.conversations.values())
        _same("depth", await self.queue.depth(), waiting)
        survey = await self.queue.survey(self.queue.keys.partitions[0], 0, -1)
        _same("survey", survey, self.contract.survey())

    async def rescue(self) -> None:
        """Check that a rescue finds nothing to repair."""
        _same("rescued", await self.queue.rescue(), Rescued(stranded=0, locks=0))
        await self.check()

    def pass_time(self, ms: int) -> None:
        """Move the clock that the queue is given."""
        self.contract.now_ms += ms

    async def look_on(self, ms: int) -> None:
        """Move the clock while a worker without free slots looks at the index again and again."""
        while ms > 0:
            self.pass_time(min(ms, self.settings.lock_ttl_ms // 4))
            ms -= self.settings.lock_ttl_ms // 4
            await self.claim("onlooker", limit=0)

    async def enqueue(
        self, name: Name, message_id: str, *, age_ms: int | None = None, lost: bool = False
    ) -> str:
        """Enqueue a message, `age_ms` after the user wrote it (None: unknown). Return its id."""
        provider_ms = 0 if age_ms is None else self.contract.now_ms - age_ms
        message = QueueMessage(
            id=message_id, instance_name=name[0], user_phone=name[1], message=TEXT, timestamp=provider_ms
        )
        lost = lost and bool(message_id)  # without an id, a repeated message is another message
        receipt = await self._step(lambda: self.queue.enqueue(message), lost=lost)
        _same("given id", receipt.id if message_id else receipt.id.startswith("own-"), message_id or True)
        expected = self.contract.enqueue(name, receipt.id, provider_ms)
        if lost:
            expected = self.contract.enqueue(name, receipt.id, provider_ms)
        _same_receipt((receipt.status, receipt.added_at_ms, receipt.waiting), expected, self.settings)
        await self.check()
        return receipt.id

    async def change(
        self,
        name: Name,
        what: ChangeKind,
        target: str,
        change_id: str,
        *,
        age_ms: int | None = None,
        lost: bool = False,
    ) -> str:
        """Edit or delete a message. Return the status of the receipt."""
        provider_ms = 0 if age_ms is None else self.contract.now_ms - age_ms
        change = Edit(change_id, provider_ms, f"text of {change_id}", target)
        message = QueueMessage(
            id=change_id,
            instance_name=name[0],
            user_phone=name[1],
            message=change.text,
            timestamp=provider_ms,
        )
        step = self.queue.edit if what == "edit" else self.queue.delete
        receipt = await self._step(lambda: step(message, target), lost=lost)
        expected = self.contract.change(name, what, target, change)
        status = expected[0]
        if lost:
            expected = self.contract.change(name, what, target, change)
        _same_receipt((receipt.status, receipt.added_at_ms, receipt.waiting), expected, self.settings)
        await self.check()
        return status

    async def withdraw(self, name: Name, message_id: str, *, lost: bool = False) -> str:
        """Withdraw a message that was answered without the queue."""
        message = QueueMessage(id=message_id, instance_name=name[0], user_phone=name[1], message="…")
        answer = await self._step(lambda: self.queue.withdraw(message), lost=lost)
        expected = self.contract.withdraw(name, message_id)
        if lost:
            expected = self.contract.withdraw(name, message_id)
        _same("withdraw", answer, expected)
        await self.check()
        return answer

    async def claim(
        self,
        processor_id: str,
        *,
        limit: int = 10,
        only: Name | None = None,
        lost: bool = False,
        later_ms: int = 0,
        kept: Sequence[Batch] = (),
    ) -> tuple[Batch, ...]:
        """Claim what is due, for one processor; a claim whose answer was lost is repeated `later_ms` after it."""
        self._claims += 1
        tokens = [(_name(batch), batch.token) for batch in kept]
        if lost:
            self.contract.claim(processor_id, self._claims, limit, only, tokens)
            self.transport.lose_next = True
            try:
                await self.queue.claim(processor_id, limit=limit, only=only, kept=kept)
            except QueueUnavailableError:
                self.pass_time(later_ms)
            else:
                raise InvariantBrokenError("the claim did not notice that its answer was lost")
        expected, given_up = self.contract.claim(
            processor_id, self._claims, limit, only, tokens, is_repeated=lost
        )
        claimed = await self.queue.claim(processor_id, limit=limit, only=only, kept=kept)
        _same("batches", [_as_expected_batch(batch) for batch in claimed.batches], expected)
        _same("given up by claim", claimed.given_up, given_up)
        _same("spared", claimed.spared, self.contract.spared)
        for batch in claimed.batches:
            self._note_token(batch)
        await self.check()
        next_due = min(
            (
                it.attention_ms
                for it in self.contract.conversations.values()
                if it.attention_ms is not None and only in (None, it.name)
            ),
            default=None,
        )
        _same("next due", claimed.next_due_ms, None if self.contract.is_on_hold else next_due)
        return claimed.batches

    async def extend(self, batch: Batch, *, lost: bool = False) -> bool:
        """Renew the lease. Return True if it was held, as all steps below."""
        return await self._as_holder(
            lambda: self.queue.extend(batch),
            lambda: self.contract.extend(_name(batch), batch.token),
            lost=lost,
        )

    async def record_reply(self, batch: Batch, reply: str, *, lost: bool = False) -> bool:
        """Keep the reply, unless a newer message joins the turn."""
        answers: list[bool] = []

        async def step() -> None:
            answers.append(await self.queue.record_reply(batch, reply))

        def expected() -> None:
            _same("reply", answers[-1:], [self.contract.record_reply(_name(batch), batch.token, reply)])

        if self.contract.conversations[_name(batch)].settled_token != batch.token:
            return await self._as_holder(step, expected, lost=lost)
        _same("reply", await self.queue.record_reply(batch, reply), False)
        return False

    async def record_sent(self, batch: Batch, *, parts: int | None = None, lost: bool = False) -> bool:
        """Note that the reply, or parts of it, were sent."""
        return await self._as_holder(
            lambda: self.queue.record_sent(batch, parts=parts),
            lambda: self.contract.record_sent(_name(batch), batch.token, parts),
            lost=lost,
        )

    async def complete(self, batch: Batch, *, lost: bool = False) -> bool:
        """Finish the batch."""
        return await self._as_holder(
            lambda: self.queue.complete(batch),
            lambda: self.contract.complete(_name(batch), batch.token),
            lost=lost,
        )

    async def release(self, batch: Batch, *, not_sent: bool = False, lost: bool = False) -> bool:
        """Hand the batch back."""
        return await self._as_holder(
            lambda: self.queue.release(batch, not_sent=not_sent),
            lambda: self.contract.release(_name(batch), batch.token, not_sent=not_sent),
            lost=lost,
        )

    async def fail(
        self,
        batch: Batch,
        *,
        dead: bool = False,
        not_sent: bool = False,
        after_ms: int | None = None,
        lost: bool = False,
    ) -> bool:
        """End the attempt. A backoff that is left to the queue must lie within its limits; the model takes it over."""

        async def step() -> int:
            reason = "told: it cannot be answered" if dead else "it did not work"
            return await self.queue.fail(batch, reason, dead=dead, not_sent=not_sent, after_ms=after_ms)

        def expected() -> int:
            return self.contract.fail(
                _name(batch), batch.token, dead=dead, not_sent=not_sent, backoff_ms=after_ms or 0
            )

        conversation = self.contract.conversations[_name(batch)]
        was_held = conversation.lease is not None and conversation.lease.token == batch.token
        try:
            given_up = await self._step(step, lost=lost)
        except LeaseLostError:
            self._require_lost(expected)
            await self.check()
            return False
        first = self._require_held(expected)
        _same("given up by fail", given_up, expected() if lost else first)
        if was_held and conversation.attempts and after_ms is None:
            conversation.attention_ms = await self._end_of_backoff_ms(batch)
        await self.check()
        return True

    async def requeue(self, index: int) -> None:
        """Requeue the dead letter at that place of the contract's list."""
        letter_id = await self._dead_letter_id(index)
        await self.queue.requeue(letter_id)
        self.contract.requeue(index)
        await self.check()

    async def drop(self, index: int) -> None:
        """Delete the dead letter at that place of the contract's list."""
        letter_id = await self._dead_letter_id(index)
        await self.queue.drop(letter_id)
        self.contract.drop(index)
        await self.check()

    async def hold(self) -> None:
        """Hold the queue."""
        await self.queue.holding.hold()
        self.contract.hold()
        await self.check()

    async def resume(self) -> None:
        """End the hold."""
        await self.queue.holding.resume()
        self.contract.resume()
        await self.check()

    async def drop_older(self, older_than_ms: int) -> None:
        """Make dead letters of old messages."""
        dropped = await self.queue.holding.drop_older(older_than_ms, "told: too old")
        _same("dropped", dropped, self.contract.drop_older(older_than_ms))
        await self.check()

    async def forget(self, name: Name, *, drop_waiting: bool) -> None:
        """Delete what is kept of a user."""
        forgotten = await self.queue.forget(*name, drop_waiting=drop_waiting)
        _same("forgotten", forgotten.standing, self.contract.forget(name, drop_waiting=drop_waiting))
        await self.check()

    async def _step(self, step: Callable[[], Awaitable[Result]], *, lost: bool) -> Result:
        if lost:
            self.transport.lose_next = True
            try:
                await step()
            except QueueUnavailableError:
                pass
            else:
                raise InvariantBrokenError("the step did not notice that its answer was lost")
        return await step()

    async def _as_holder(
        self, step: Callable[[], Awaitable[Any]], expected: Callable[[], Any], *, lost: bool
    ) -> bool:
        try:
            await self._step(step, lost=lost)
        except LeaseLostError:
            self._require_lost(expected)
            held = False
        else:
            self._require_held(expected)
            held = True
        await self.check()
        return held

    @staticmethod
    def _require_lost(expected: Callable[[], Any]) -> None:
        try:
            expected()
        except LeaseLostError:
            return
        raise InvariantBrokenError("the holder was refused")

    @staticmethod
    def _require_held(expected: Callable[[], Result]) -> Result:
        try:
            return expected()
        except LeaseLostError:
            raise InvariantBrokenError("somebody who holds nothing was obeyed") from None

    async def _end_of_backoff_ms(self, batch: Batch) -> int:
        """Return the end that the queue chose, and check that it waits half to all of the backoff."""
        attention = {
            (it.instance_name, it.user_phone): it.attention_at_ms
            for it in await self.queue.active_conversations()
        }
        wait_ms = attention.get(_name(batch), -1) - self.contract.now_ms
        full_ms = min(self.settings.backoff_base_ms * 2 ** (batch.attempt - 1), self.settings.backoff_max_ms)
        if not full_ms // 2 <= wait_ms <= full_ms:
            raise InvariantBrokenError(f"a backoff of {wait_ms} ms after attempt {batch.attempt}")
        return self.contract.now_ms + wait_ms

    async def _dead_letter_id(self, index: int) -> str:
        dead = self.contract.dead[index]
        return next(
            letter.id
            for letter in await self.queue.dead_letters()
            if (letter.instance_name, letter.user_phone) == dead.name
            and letter.message is not None
            and letter.message.id == dead.id
        )

    def _note_token(self, batch: Batch) -> None:
        lease = self.contract.conversations[_name(batch)].lease
        assert lease is not None
        if lease.token == 0:
            if batch.token <= self._last_token:
                raise InvariantBrokenError(f"token {batch.token} does not follow {self._last_token}")
            lease.token = self._last_token = batch.token
        self.batches.append(batch)


def _name(batch: Batch) -> Name:
    return batch.instance_name, batch.user_phone


def _as_expected_batch(batch: Batch) -> ExpectedBatch:
    return ExpectedBatch(
        name=_name(batch),
        ids=batch.ids,
        texts=tuple(message.message for message in batch.messages),
        attempt=batch.attempt,
        due_ms=batch.due_at_ms,
        reply=batch.reply,
        send_state=batch.send_state,
        parts_sent=batch.parts_sent,
    )


def _same_receipt(
    actual: tuple[str, int, int], expected: tuple[str, int, int], settings: QueueSettings
) -> None:
    """Compare receipts. A duplicate's time may be a step too early: a third of the TTL of ids has 128 steps."""
    step_ms = -(-settings.dedupe_ttl_s * 1000 // 3 // 128)
    if actual[0] == expected[0] == "duplicate" and 0 <= expected[1] - actual[1] <= step_ms:
        actual = expected
    _same("receipt", actual, expected)


def _same(what: str, actual: object, expected: object) -> None:
    if actual != expected:
        raise InvariantBrokenError(f"{what}: {actual}, it should be {expected}")
