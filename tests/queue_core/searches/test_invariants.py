"""The checks themselves: without a bug they pass, and each planted bug makes one fail."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import Phase
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import run_state_machine_as_test
from redis.asyncio import Redis

from queue_core import QueueSettings
from tests.conftest import store_client
from tests.queue_core.searches.change_steps import (
    edited_messages_are_deleted,
    messages_are_changed,
    messages_in_progress_are_changed,
)
from tests.queue_core.searches.driver import Driver
from tests.queue_core.searches.observed import InvariantBrokenError
from tests.queue_core.searches.planting import GATHERED, plant
from tests.queue_core.searches.script_bugs import BUGS
from tests.queue_core.searches.test_state_machine import QueueMachine

A, B, C, D = ("bot", "a"), ("bot", "b"), ("bot", "c"), ("bot", "d")
DAY_MS = 86_400_000
SETTINGS = QueueSettings(
    max_messages=3, max_batch=4, max_retry_count=1, queue_ttl_s=60, completed_ttl_s=20, supersede_ms=2_000
)


async def take_every_step(driver: Driver) -> None:
    """Take every step at least once, as the checks allow it."""
    await messages_come_in(driver)
    await turns_are_answered(driver)
    await turns_are_joined(driver)
    await messages_in_flight_are_answered_elsewhere(driver)
    await messages_are_changed(driver)
    await messages_in_progress_are_changed(driver)
    await edited_messages_are_deleted(driver)
    await redis_is_away(driver)
    await workers_die(driver)
    await attempts_fail(driver)
    await people_intervene(driver)
    await old_messages_are_dropped(driver)
    await users_are_forgotten(driver)


async def messages_come_in(driver: Driver) -> None:
    await driver.enqueue(A, "a1", age_ms=200)
    driver.pass_time(100)
    await driver.enqueue(A, "a2", age_ms=1_000)
    await driver.enqueue(A, "a1")
    await driver.enqueue(A, "a3", lost=True)
    await driver.enqueue(B, "a1", age_ms=DAY_MS + 1)
    await driver.enqueue(B, "b1")
    assert await driver.withdraw(B, "b2") == "marked"
    await driver.enqueue(B, "b2")
    await driver.enqueue(B, "b3")
    assert await driver.withdraw(B, "b3") == "withdrawn"
    assert await driver.withdraw(B, "b3", lost=True) == "marked"


async def turns_are_answered(driver: Driver) -> None:
    assert await driver.claim("p1", only=B) == ()
    (batch,) = await driver.claim("p1", lost=True, later_ms=3_000)
    assert batch.ids == ("a1", "a2", "a3")
    assert await driver.claim("p2") == ()
    await driver.enqueue(A, "a4")
    driver.pass_time(4_000)
    await driver.extend(batch)
    await driver.record_reply(batch, "hello")
    assert await driver.withdraw(A, "a2") == "in flight"
    await driver.record_sent(batch)
    await driver.complete(batch, lost=True)
    driver.pass_time(1_000)
    (batch,) = await driver.claim("p1", only=B)
    assert batch.ids == ("b1",)
    await driver.complete(batch)
    driver.pass_time(15_000)
    (rest,) = await driver.claim("p1")
    assert rest.ids == ("a4",)
    await driver.complete(rest)
    await driver.enqueue(A, "a5")
    driver.pass_time(30_000)
    (batch,) = await driver.claim("p1", only=A)
    await driver.complete(batch)


async def turns_are_joined(driver: Driver) -> None:
    """One message joins a turn while it is answered; another comes when the reply is recorded, and waits."""
    for number in (20, 21, 22):
        await driver.enqueue(C, f"c{number}")
    (batch,) = await driver.claim("p1")
    driver.pass_time(1_000)
    await driver.enqueue(C, "c23")
    assert await driver.record_reply(batch, "dropped", lost=True)
    assert not await driver.record_reply(batch, "dropped")
    (batch,) = await driver.claim("p1")
    assert (len(batch.ids), batch.attempt) == (4, 1)
    await driver.complete(batch)
    for number in (24, 25, 26):
        await driver.enqueue(C, f"c{number}")
    (batch,) = await driver.claim("p1")
    await driver.record_reply(batch, "in three parts")
    await driver.enqueue(C, "c27")
    await driver.record_sent(batch, parts=1)
    await driver.fail(batch, not_sent=True, after_ms=0)
    (batch,) = await driver.claim("p1")
    assert (batch.ids, batch.parts_sent, batch.attempt) == (("c24", "c25", "c26"), 1, 2)
    await driver.record_reply(batch, "in three parts")
    await driver.record_sent(batch, parts=2)
    await driver.complete(batch)
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1")
    await driver.complete(batch)


async def messages_in_flight_are_answered_elsewhere(driver: Driver) -> None:
    """Between two attempts, while a reply is made, and while an attempt fails for good."""
    for number in (40, 41, 42):
        await driver.enqueue(C, f"c{number}")
    (batch,) = await driver.claim("p1")
    await driver.fail(batch, after_ms=0)
    assert await driver.withdraw(C, "c40", lost=True) == "withdrawn"
    (batch,) = await driver.claim("p1")
    assert (batch.ids, batch.attempt) == (("c41", "c42"), 2)
    assert await driver.withdraw(C, "c42") == "withdrawn"
    assert await driver.record_reply(batch, "dropped", lost=True)
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1")
    assert (batch.ids, batch.attempt) == (("c41",), 2)
    await driver.enqueue(C, "c43")
    await driver.fail(batch)
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1")
    assert (batch.ids, batch.attempt) == (("c43",), 1)
    assert await driver.withdraw(C, "c43") == "withdrawn"
    assert await driver.record_reply(batch, "dropped")
    assert await driver.claim("p1") == ()
    await driver.enqueue(C, "c44")
    await driver.enqueue(C, "c45")
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1")
    assert await driver.withdraw(C, "c44") == "withdrawn"
    assert await driver.fail(batch, dead=True)
    await driver.enqueue(C, "c46")
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1")
    assert await driver.withdraw(C, "c46") == "withdrawn"
    assert await driver.release(batch)
    assert await driver.claim("p1") == ()


async def redis_is_away(driver: Driver) -> None:
    """For longer than a lease, twice; in between only the other worker gets through. The holder lives."""
    await driver.enqueue(C, "c30")
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1")
    for _ in range(2):
        driver.pass_time(20_000)
        assert await driver.claim("p2") == ()
    driver.pass_time(2_000)
    assert await driver.claim("p1", kept=[batch]) == ()
    await driver.look_on(14_000)
    assert await driver.claim("p2") == ()
    await driver.complete(batch)


async def workers_die(driver: Driver) -> None:
    """Two workers die over one message; another message comes before the second one claims."""
    await driver.enqueue(C, "c1")
    driver.pass_time(8_000)
    (first,) = await driver.claim("p1")
    await driver.look_on(15_001)
    await driver.enqueue(C, "c2")
    await driver.rescue()
    (second,) = await driver.claim("p2")
    assert second.attempt == 2
    assert not await driver.complete(first)
    assert not await driver.extend(first)
    assert not await driver.record_reply(first, "too late")
    assert not await driver.fail(first)
    await driver.look_on(15_000)
    (third,) = await driver.claim("p3")
    assert (third.ids, third.attempt) == (("c2",), 2)
    await driver.record_reply(third, "answer")
    await driver.release(third)
    (fourth,) = await driver.claim("p3")
    assert fourth.reply == "answer"
    await driver.complete(fourth)


async def attempts_fail(driver: Driver) -> None:
    await driver.enqueue(D, "d1")
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1")
    await driver.record_reply(batch, "hm")
    await driver.fail(batch, not_sent=True, after_ms=5_000)
    await driver.enqueue(D, "d2")
    assert await driver.claim("p1") == ()
    driver.pass_time(5_000)
    (batch,) = await driver.claim("p1")
    assert batch.ids == ("d1",)
    await driver.fail(batch, lost=True)
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1")
    await driver.fail(batch)
    driver.pass_time(1_000)
    await driver.enqueue(D, "d3")
    (batch,) = await driver.claim("p1")
    assert batch.ids == ("d2", "d3")
    await driver.fail(batch)
    driver.pass_time(2_000)
    (batch,) = await driver.claim("p1")
    await driver.fail(batch, dead=True)
    for number in range(6):
        await driver.enqueue(D, f"d{10 + number}")
    driver.pass_time(60_001)
    assert await driver.claim("p1") == ()
    assert await driver.claim("p1") == ()


async def people_intervene(driver: Driver) -> None:
    for letter in tuple(driver.contract.dead):
        index = driver.contract.dead.index(letter)
        await (driver.drop(index) if letter.reason == "late" else driver.requeue(index))
    for _ in range(2):
        for batch in await driver.claim("p1"):
            await driver.complete(batch)
        driver.pass_time(8_000)
    await driver.enqueue(B, "")


async def old_messages_are_dropped(driver: Driver) -> None:
    """While the queue is held. A batch that has a reply goes as a whole; what a worker has in progress stays."""
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1", only=B)
    await driver.complete(batch)
    await driver.enqueue(C, "c60")
    await driver.enqueue(D, "d60")
    driver.pass_time(7_000)
    await driver.enqueue(D, "d61")
    driver.pass_time(1_000)
    in_progress, batch = sorted(await driver.claim("p1"), key=lambda batch: batch.user_phone)
    await driver.record_reply(batch, "perhaps sent")
    await driver.fail(batch, after_ms=0)
    await driver.enqueue(D, "d62")
    driver.pass_time(1_000)
    await driver.hold()
    assert await driver.claim("p1") == ()
    await driver.drop_older(5_000)
    await driver.resume()
    assert [dead.id for dead in driver.contract.dead][-2:] == ["d60", "d61"]
    await driver.complete(in_progress)


async def users_are_forgotten(driver: Driver) -> None:
    await driver.forget(D, drop_waiting=False)
    driver.pass_time(8_000)
    (batch,) = await driver.claim("p1", only=D)
    await driver.forget(D, drop_waiting=True)
    await driver.complete(batch)
    await driver.forget(D, drop_waiting=False)
    await driver.enqueue(D, "d62")
    await driver.enqueue(C, "c61")
    await driver.change(C, "edit", "c61", "e30")
    await driver.forget(C, drop_waiting=True)
    await driver.forget(C, drop_waiting=True)


@pytest.mark.newest_redis
async def test_without_a_bug_the_checks_pass(redis_client: Redis) -> None:
    driver = Driver(redis_client, SETTINGS)
    await take_every_step(driver)
    assert {dead.reason for dead in driver.contract.dead} == set()
    assert len(driver.contract.acknowledged) == 91


async def test_a_slow_run_breaks_no_check() -> None:
    """Redis deletes the archive after 20 s of its own time, which goes on between the steps of a slow run."""
    now_us = 1

    class SlowDriver(Driver):
        async def check(self) -> None:
            nonlocal now_us
            await super().check()
            now_us += 2 * SETTINGS.completed_ttl_s * 1_000_000

    await take_every_step(SlowDriver(store_client(clock_us=lambda: now_us), SETTINGS))


@pytest.mark.parametrize("bug", BUGS)
async def test_a_planted_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script, sound, broken, complaint = BUGS[bug]
    plant(monkeypatch, script, sound, broken)
    with pytest.raises(InvariantBrokenError, match=complaint):
        await take_every_step(Driver(store_client(), SETTINGS))


def test_a_planted_bug_is_gone_after_its_test(monkeypatch: pytest.MonkeyPatch) -> None:
    for script in GATHERED:
        monkeypatch.delitem(script.__dict__, "sha", raising=False)  # as before the first use
    with monkeypatch.context() as planting:
        name, sound, broken, _ = BUGS["enqueue schedules nothing"]
        plant(planting, name, sound, broken)
    for script in GATHERED:
        assert script.sha == hashlib.sha1(script.source.encode(), usedforsecurity=False).hexdigest()


@pytest.mark.parametrize(
    "bug",
    [
        "enqueue schedules nothing",
        pytest.param("complete trims one too many", marks=pytest.mark.soak),
        pytest.param("claim takes turns that are not due", marks=pytest.mark.soak),
    ],
)
def test_the_state_machine_finds_a_planted_bug_by_itself(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script, sound, broken, _ = BUGS[bug]
    plant(monkeypatch, script, sound, broken)
    with pytest.raises(InvariantBrokenError):
        run_state_machine_as_test(
            lambda: QueueMachine(store_client),  # type: ignore[arg-type]  # hypothesis calls what it is given
            settings=hypothesis_settings(max_examples=50, stateful_step_count=40, phases=[Phase.generate]),
        )
