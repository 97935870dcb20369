"""The protocol as a state machine: any sequence of steps keeps the invariants, on the simulator's store and Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from fakeredis import FakeAsyncRedis, FakeServer
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis.asyncio import Redis

from queue_core import Batch, QueueSettings, connect
from tests.conftest import REAL, ServerOf, store_client
from tests.queue_core.searches.changes import ChangeKind
from tests.queue_core.searches.driver import Driver

NAMES = [("bot", "a"), ("bot", "b"), ("bot", "c"), ("other", "a")]
PROCESSORS = ["p1", "p2", "p3"]
DAY_MS = 86_400_000
Result = TypeVar("Result")

names = st.sampled_from(NAMES)
losses = st.sampled_from([False, False, False, True])
queue_settings = st.builds(
    lambda max_messages, spare, **others: QueueSettings(
        max_messages=max_messages, max_batch=max(1, max_messages + spare), **others
    ),
    max_messages=st.integers(0, 5),
    spare=st.sampled_from([0, 1, 3, 100]),
    idle_ms=st.sampled_from([0, 3_000, 9_000]),
    cap_ms=st.sampled_from([0, 5_000, 20_000]),
    supersede_ms=st.sampled_from([0, 0, 9_000, 45_000]),
    max_retry_count=st.integers(0, 3),
    queue_ttl_s=st.sampled_from([20, 60, 3_600]),
    completed_ttl_s=st.sampled_from([20, 1_800]),
    late_messages=st.sampled_from(["dead-letter", "answer"]),
)


class QueueMachine(RuleBasedStateMachine):
    """Steps in any order: of webhooks, workers that hold or lost a lease, people, and time."""

    def __init__(self, make_redis: Callable[[asyncio.AbstractEventLoop], Redis]) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.redis = make_redis(self.loop)
        self.sent = 0
        self.changed = 0

    def teardown(self) -> None:
        """Close what the example opened."""
        self.wait(self.redis.aclose())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()

    def wait(self, step: Awaitable[Result]) -> Result:
        """Run a step to its end."""
        return self.loop.run_until_complete(_as_coroutine(step))

    @initialize(settings=queue_settings, deletes=st.sampled_from([False, False, True]))
    def start(self, settings: QueueSettings, deletes: bool) -> None:
        """Empty Redis, and fix the settings for the example. Few examples have commands such as `forget`."""
        self.deletes = deletes
        self.wait(self.redis.flushall())
        self.driver = Driver(self.redis, settings)

    # Webhooks.

    @rule(name=names, lost=losses, age_ms=st.sampled_from([None, 0, 1, 500, 500, DAY_MS, DAY_MS + 1]))
    def new_message(self, name: tuple[str, str], lost: bool, age_ms: int | None) -> None:
        """Enqueue a new message. Times of writing need not grow; after a day it is late."""
        self.sent += 1
        self.wait(self.driver.enqueue(name, f"m{self.sent}", age_ms=age_ms, lost=lost))

    @rule(name=names, count=st.integers(2, 6))
    def burst(self, name: tuple[str, str], count: int) -> None:
        """Enqueue several at once."""
        for _ in range(count):
            self.new_message(name, lost=False, age_ms=None)

    @rule(name=names)
    def message_without_id(self, name: tuple[str, str]) -> None:
        """Enqueue a message that is never a duplicate."""
        self.wait(self.driver.enqueue(name, ""))

    @precondition(lambda self: self.sent > 0)
    @rule(name=names, data=st.data(), lost=losses)
    def message_again(self, name: tuple[str, str], data: st.DataObject, lost: bool) -> None:
        """Enqueue an id again, in the same conversation or in another."""
        number = data.draw(st.integers(1, self.sent))
        self.wait(self.driver.enqueue(name, f"m{number}", lost=lost))

    @rule(name=names, data=st.data(), lost=losses)
    def withdraw(self, name: tuple[str, str], data: st.DataObject, lost: bool) -> None:
        """Withdraw a message, stored or not, that was answered without the queue."""
        number = data.draw(st.integers(max(0, self.sent - 5), self.sent + 1))
        self.sent = max(self.sent, number)
        self.wait(self.driver.withdraw(name, f"m{number}", lost=lost))

    @precondition(lambda self: self.sent > 0)
    @rule(
        name=names,
        what=st.sampled_from(["edit", "edit", "deletion"]),
        data=st.data(),
        again=st.booleans(),
        age_ms=st.sampled_from([None, 0, 1, 500, DAY_MS + 1]),
        lost=losses,
    )
    def change(
        self,
        name: tuple[str, str],
        what: ChangeKind,
        data: st.DataObject,
        again: bool,
        age_ms: int | None,
        lost: bool,
    ) -> None:
        """Edit or delete a message that waits, is answered, or is still to come."""
        conversation = self.driver.contract.conversations.get(name)
        waiting = [message.id for message in conversation.messages] if conversation else []
        last = [f"m{number}" for number in range(max(1, self.sent - 1), self.sent + 2)]
        self.changed += not again
        change_id = f"c{self.changed}"
        target = data.draw(st.sampled_from([it for it in (*waiting, *last) if it != change_id]))
        self.wait(self.driver.change(name, what, target, change_id, age_ms=age_ms, lost=lost))

    # Time, and what happens to servers.

    @rule(ms=st.sampled_from([0, 1, 500, 2_999, 3_000, 5_000, 7_999, 8_000, 14_999, 15_000, 60_001]))
    def time_passes(self, ms: int) -> None:
        """Let time pass, up to or just past a limit."""
        self.driver.pass_time(ms)

    @rule(ms=st.sampled_from([6_499, 6_500, 15_000, 20_001]))
    def workers_look_on(self, ms: int) -> None:
        """Let time pass while a worker without free slots looks again and again, and finds leases of dead ones over."""
        self.wait(self.driver.look_on(ms))

    @rule()
    def until_something_is_due(self) -> None:
        """Move the clock to the time at which the next conversation needs attention."""
        due = [it.attention_ms for it in self.driver.contract.conversations.values() if it.attention_ms]
        self.driver.pass_time(max(0, min(due, default=0) - self.driver.contract.now_ms))

    @rule(rescue=st.booleans())
    def restart_or_rescue(self, rescue: bool) -> None:
        """Flush the scripts, as a restart does, or rescue, as the monitor does."""
        self.wait(self.driver.rescue() if rescue else self.redis.script_flush())

    # Workers.

    @rule(
        processor=st.sampled_from(PROCESSORS),
        limit=st.integers(1, 4),
        only=st.sampled_from([None, None, None, None, *NAMES]),
        lost=losses,
        later_ms=st.sampled_from([0, 1, 14_999, 15_000]),
        keep=st.sampled_from([0, 0, 0, 1, 4]),
    )
    def claim(
        self, processor: str, limit: int, only: tuple[str, str] | None, lost: bool, later_ms: int, keep: int
    ) -> None:
        """Claim what is due, perhaps nothing, and perhaps renew some of the last batches."""
        kept = self.driver.batches[-keep:] if keep else ()
        step = self.driver.claim(processor, limit=limit, only=only, lost=lost, later_ms=later_ms, kept=kept)
        self.wait(step)

    def any_batch(self, data: st.DataObject) -> Batch:
        """Draw one of the last four batches of claims, held or not."""
        batches = self.driver.batches
        return batches[-data.draw(st.integers(1, min(4, len(batches))))]

    has_batches = precondition(lambda self: bool(self.driver.batches))

    @has_batches
    @rule(data=st.data(), lost=losses)
    def extend(self, data: st.DataObject, lost: bool) -> None:
        """Renew a lease."""
        self.wait(self.driver.extend(self.any_batch(data), lost=lost))

    @has_batches
    @rule(data=st.data(), lost=losses)
    def record_reply(self, data: st.DataObject, lost: bool) -> None:
        """Record the AI's answer."""
        batch = self.any_batch(data)
        self.wait(self.driver.record_reply(batch, f"reply to {len(batch.ids)}", lost=lost))

    @has_batches
    @rule(data=st.data(), lost=losses, parts=st.sampled_from([None, 1, 3]))
    def record_sent(self, data: st.DataObject, lost: bool, parts: int | None) -> None:
        """Note that the reply, or parts of it, were sent."""
        self.wait(self.driver.record_sent(self.any_batch(data), parts=parts, lost=lost))

    @has_batches
    @rule(data=st.data(), lost=losses, one_more=st.booleans())
    def complete(self, data: st.DataObject, lost: bool, one_more: bool) -> None:
        """Complete a turn; perhaps the user wrote once more just before."""
        batch = self.any_batch(data)
        if one_more:
            self.new_message((batch.instance_name, batch.user_phone), lost=False, age_ms=None)
        self.wait(self.driver.complete(batch, lost=lost))

    @has_batches
    @rule(
        data=st.data(),
        lost=losses,
        dead=st.sampled_from([False, False, True]),
        not_sent=st.booleans(),
        after_ms=st.sampled_from([None, None, 0, 10_000]),
    )
    def fail(self, data: st.DataObject, lost: bool, dead: bool, not_sent: bool, after_ms: int | None) -> None:
        """End an attempt that failed."""
        batch = self.any_batch(data)
        self.wait(self.driver.fail(batch, dead=dead, not_sent=not_sent, after_ms=after_ms, lost=lost))

    @has_batches
    @rule(data=st.data(), lost=losses, not_sent=st.booleans())
    def release(self, data: st.DataObject, lost: bool, not_sent: bool) -> None:
        """Hand a batch back, as a worker that stops does."""
        self.wait(self.driver.release(self.any_batch(data), not_sent=not_sent, lost=lost))

    # People.

    has_dead_letters = precondition(lambda self: bool(self.driver.contract.dead))

    @has_dead_letters
    @rule(data=st.data())
    def requeue(self, data: st.DataObject) -> None:
        """Requeue a dead letter."""
        self.wait(self.driver.requeue(data.draw(st.integers(0, len(self.driver.contract.dead) - 1))))

    @has_dead_letters
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        """Drop a dead letter."""
        self.wait(self.driver.drop(data.draw(st.integers(0, len(self.driver.contract.dead) - 1))))

    may_delete = precondition(lambda self: self.deletes)

    is_on_hold = precondition(lambda self: self.driver.contract.is_on_hold)

    @may_delete
    @rule()
    def hold(self) -> None:
        """Hold the queue."""
        self.wait(self.driver.hold())

    @is_on_hold
    @rule()
    def resume(self) -> None:
        """End the hold."""
        self.wait(self.driver.resume())

    @may_delete
    @rule(older_than_ms=st.sampled_from([0, 5_000, 20_000]))
    def drop_older(self, older_than_ms: int) -> None:
        """Make dead letters of old messages."""
        self.wait(self.driver.drop_older(older_than_ms))

    @may_delete
    @rule(name=names, drop_waiting=st.booleans())
    def forget(self, name: tuple[str, str], drop_waiting: bool) -> None:
        """Delete what is kept of a user."""
        self.wait(self.driver.forget(name, drop_waiting=drop_waiting))


async def _as_coroutine(step: Awaitable[Result]) -> Result:
    return await step


def run(make_redis: Callable[[asyncio.AbstractEventLoop], Redis], *, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        lambda: QueueMachine(make_redis),  # type: ignore[arg-type]  # hypothesis calls what it is given
        settings=hypothesis_settings(max_examples=examples, stateful_step_count=steps),
    )


def fake(_: asyncio.AbstractEventLoop) -> Redis:
    return FakeAsyncRedis(server=FakeServer())


def test_any_sequence_of_steps_keeps_the_invariants_on_the_simulators_store() -> None:
    run(store_client, examples=25, steps=40)


@pytest.mark.parametrize("label", [REAL[-1]])
def test_any_sequence_of_steps_keeps_the_invariants_on_a_real_server(label: str, server_of: ServerOf) -> None:
    run(lambda _: connect(server_of(label).url), examples=25, steps=40)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("label", ["fakeredis", *REAL])
def test_a_long_search_finds_no_sequence_that_breaks_them(label: str, server_of: ServerOf) -> None:
    run(fake if label == "fakeredis" else lambda _: connect(server_of(label).url), examples=1_000, steps=80)
