"""Faults of workers: real processes, killed, frozen, blocked and drained."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Literal

import pytest

from queue_core import MessageQueue, Processor, connect
from queue_core.redis_server.embedded import EmbeddedRedis
from tests.queue_core.bot import (
    Bot,
    at_rest,
    check_ledger,
    claimed_batch,
    enqueue,
    eventually,
    quick,
    running,
)
from tests.queue_core.faults.worker import Stage, worker

SETTINGS = {"lock_ttl_ms": 1_000, "lock_renew_ms": 200}
MARGIN_S = 8.0
"""Margin for a busy machine; with the lease of 1 s it is below the 15 s of a lease by default."""


@pytest.mark.parametrize("stage", ["claimed", "asked", "recorded", "sent"])
async def test_the_turn_of_a_worker_killed_at_any_stage_is_taken_over(
    redis_server: EmbeddedRedis, tmp_path: Path, stage: Stage
) -> None:
    """Another worker takes over when the lease is over.

    What is on record is sent and not asked for again; only what was sent before may be sent twice.
    """
    settings = quick(**SETTINGS)
    async with connect(redis_server.url) as redis:
        queue, bot = MessageQueue(redis, settings), Bot()
        async with worker(redis_server.url, settings, tmp_path / "journal", hold_at=stage) as killed:
            await enqueue(queue, ["m1", "m2"])
            await killed.reaches(stage)
            killed.signal(signal.SIGKILL)
            await killed.ended()
            began = time.monotonic()
            await enqueue(queue, ["m3"])
            async with running(Processor(queue, bot.handle, bot.send)):
                await at_rest(queue)
            assert time.monotonic() - began < settings.lock_ttl_ms / 1000 + MARGIN_S
        is_recorded = stage in ("recorded", "sent")
        # A recorded reply answers its own batch only; without one, what came meanwhile joins the turn.
        assert bot.asked_ids == ([("m3",)] if is_recorded else [("m1", "m2", "m3")])
        taken_over = next(batch for batch, _ in bot.sent)
        assert (taken_over.attempt, taken_over.send_state) == (2, "unsure" if is_recorded else "not sent")
        sent_before = ["m1", "m2"] if stage == "sent" else []
        assert killed.sent_ids == sent_before
        assert bot.sent_ids == ["m1", "m2", "m3"]
        await check_ledger(queue, ["m1", "m2", "m3"], killed.sent_ids + bot.sent_ids, may_repeat=sent_before)


@pytest.mark.parametrize("stage", ["recorded", "sent"])
async def test_a_reply_that_a_killed_worker_may_have_sent_is_a_dead_letter_if_set_so(
    redis_server: EmbeddedRedis, tmp_path: Path, stage: Stage
) -> None:
    """The setting is `unsure_sends = dead-letter`."""
    settings = quick(**SETTINGS, unsure_sends="dead-letter")
    async with connect(redis_server.url) as redis:
        queue, bot = MessageQueue(redis, settings), Bot()
        async with worker(redis_server.url, settings, tmp_path / "journal", hold_at=stage) as killed:
            await enqueue(queue, ["m1", "m2"])
            await killed.reaches(stage)
            killed.signal(signal.SIGKILL)
            await killed.ended()
            async with running(Processor(queue, bot.handle, bot.send)):
                await at_rest(queue)
        assert (bot.asked, bot.sent) == ([], [])
        letters = await queue.dead_letters()
        assert [(it.message.id if it.message else None, it.reply) for it in letters] == [
            ("m1", "re m1 m2"),
            ("m2", "re m1 m2"),
        ]
        reason = "the reply may have been sent, since its last try was cut off (unsure_sends = dead-letter)"
        assert {letter.reason for letter in letters} == {reason}
        await check_ledger(queue, ["m1", "m2"], [])


@pytest.mark.parametrize("how", ["frozen", "blocked"])
@pytest.mark.parametrize("stage", ["asked", "sent"])
async def test_a_worker_that_stands_still_past_its_lease_changes_nothing_afterwards(
    redis_server: EmbeddedRedis, tmp_path: Path, stage: Stage, how: Literal["frozen", "blocked"]
) -> None:
    """SIGSTOP freezes it, or its event loop is blocked, so that no lease is renewed."""
    settings = quick(**SETTINGS)
    async with (
        connect(redis_server.url) as redis,
        worker(
            redis_server.url,
            settings,
            tmp_path / "journal",
            hold_at=stage,
            how="wait" if how == "frozen" else "block",
        ) as still,
    ):
        queue, bot = MessageQueue(redis, settings), Bot()
        await enqueue(queue, ["m1"])
        await still.reaches(stage)
        if how == "frozen":
            still.signal(signal.SIGSTOP)
        taker = Processor(queue, bot.handle, bot.send)
        async with running(taker):
            await at_rest(queue)
        await enqueue(queue, ["m2"])
        batch = await claimed_batch(queue)
        still.go_on()
        still.signal(signal.SIGCONT)
        still.signal(signal.SIGTERM)
        assert await still.ended() == 0
        assert still.sent_ids == (["m1"] if stage == "sent" else [])
        assert bot.sent_ids == ["m1"]
        await queue.complete(batch)  # the lease of whoever came next is untouched
        await check_ledger(
            queue,
            ["m1", "m2"],
            [*still.sent_ids, *bot.sent_ids, *batch.ids],
            may_repeat=["m1"] if stage == "sent" else [],
        )


async def test_a_drained_worker_finishes_its_own_and_a_new_one_does_the_rest(
    redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    """SIGTERM in a rolling deploy, old and new side by side."""
    settings = quick(**SETTINGS)
    async with (
        connect(redis_server.url) as redis,
        worker(redis_server.url, settings, tmp_path / "journal", hold_at="asked") as old,
    ):
        queue, bot = MessageQueue(redis, settings), Bot()
        await enqueue(queue, ["m1"], "ali")
        await old.reaches("asked")
        old.signal(signal.SIGTERM)
        async with running(Processor(queue, bot.handle, bot.send)):
            await enqueue(queue, ["m2"], "ali")
            await enqueue(queue, ["m3"], "mona")
            await eventually(
                lambda: bot.sent_ids == ["m3"], "the new one at work on what the old one has not"
            )
            old.go_on()
            assert await old.ended() == 0
            await at_rest(queue)
        assert old.sent_ids == ["m1"]
        assert bot.sent_ids == ["m3", "m2"]
        await check_ledger(queue, ["m1", "m2", "m3"], old.sent_ids + bot.sent_ids)


async def test_a_drained_worker_hands_back_what_takes_too_long(
    redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    """The lease of 60 s is not waited for."""
    settings = quick(lock_ttl_ms=60_000, lock_renew_ms=10_000)
    async with (
        connect(redis_server.url) as redis,
        worker(redis_server.url, settings, tmp_path / "journal", hold_at="asked", grace_s=0.1) as old,
    ):
        queue, bot = MessageQueue(redis, settings), Bot()
        await enqueue(queue, ["m1"])
        await old.reaches("asked")
        async with running(Processor(queue, bot.handle, bot.send)):
            old.signal(signal.SIGTERM)
            await at_rest(queue)
        old.go_on()
        assert await old.ended() == 0
        assert old.sent_ids == []
        assert [batch.attempt for batch in bot.asked] == [1]
        await check_ledger(queue, ["m1"], bot.sent_ids)
