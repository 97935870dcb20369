"""The number of partitions changes while messages wait: where a conversation lies, what moves along, who is refused."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from typing import Any

import pytest
from redis.asyncio import Redis

from queue_core import Batch, MessageQueue, Processor, QueueMessage, QueueSettings
from queue_core.errors import OtherPartitionsError, QueueError
from queue_core.queue import dead_letters, places
from queue_core.queue.sent_replies import Report
from queue_core.sent import SentPart
from tests.queue_core.queue.conftest import Clock

FORMER, NUMBER = 4, 16
WINDOW_MS, DAY_MS = 1_000, 86_400_000


class Deployment:
    """Processes of one deployment, each with a number of partitions in its settings."""

    def __init__(self, redis: Redis, clock: Clock) -> None:
        self.redis, self.clock, self.numbers = redis, clock, itertools.count()
        self.before, self.after = self.process(FORMER), self.process(NUMBER)
        self.user = self.users(1)[0]

    def process(self, partitions: int) -> MessageQueue:
        rules = QueueSettings(partitions=partitions, window_ms=WINDOW_MS, redis_deadline_ms=30_000)
        return MessageQueue(
            self.redis,
            rules,
            clock=self.clock,
            monotonic=self.clock.seconds,
            rng=random.Random(f"process {next(self.numbers)}"),
        )

    def users(self, count: int) -> list[str]:
        """Return users whose conversations move."""
        before, after = self.process(FORMER), self.process(NUMBER)
        names = (f"20{number}" for number in range(1_000))
        return [
            name
            for name in names
            if before.keys.of("bot", name).partition != after.keys.of("bot", name).partition
        ][:count]

    async def begin(self) -> None:
        await self.after.partitions.begin(needs_workers=False)

    async def write(self, queue: MessageQueue, message_id: str, user: str = "") -> str:
        message = QueueMessage(
            id=message_id, instance_name="bot", user_phone=user or self.user, message=message_id
        )
        return (await queue.enqueue(message)).status

    async def claim(self, queue: MessageQueue) -> list[Batch]:
        self.clock.now_ms += WINDOW_MS
        batches: list[Batch] = []
        for number in range(len(queue.keys.partitions)):
            batches += (await queue.claim("p", limit=10, partition=number)).batches
        return batches

    async def answer(self, queue: MessageQueue) -> list[tuple[int | None, tuple[str, ...]]]:
        """Answer what is due, and return the partition and the ids of each turn."""
        batches = await self.claim(queue)
        for batch in batches:
            await queue.complete(batch)
        return [(batch.partition, batch.ids) for batch in batches]

    def spots(self, user: str = "") -> tuple[int, int]:
        """Return the former and the new partition of a user."""
        former, new = (
            self.process(number).keys.of("bot", user or self.user).partition for number in (FORMER, NUMBER)
        )
        return former, new


@pytest.fixture
async def deployment(redis_client: Redis, clock: Clock) -> Deployment:
    return Deployment(redis_client, clock)


async def test_a_process_with_another_number_uses_that_of_the_deployment(
    deployment: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    assert await deployment.write(deployment.before, "m1") == "queued"
    assert await deployment.write(deployment.after, "m1") == "duplicate"
    assert await deployment.write(deployment.after, "m2") == "queued"
    assert await deployment.before.depth() == 2
    assert deployment.after.keys.numbers == "4"
    assert len(deployment.after.keys.partitions) == NUMBER  # its workers serve those that will be used
    smaller = deployment.process(1)
    await smaller.check()
    assert "set to 1 partition, but the deployment has 4" in caplog.text
    assert len(smaller.keys.partitions) == FORMER
    assert await deployment.answer(smaller) == [
        (deployment.before.keys.of("bot", deployment.user).partition, ("m1", "m2"))
    ]


async def test_a_worker_that_started_with_too_few_partitions_says_so(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    await deployment.write(deployment.before, "m1")
    warned: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()
    log = logging.getLogger("queue_core.queue.processor")
    monkeypatch.setattr(log, "error", lambda _, *numbers: warned.set_result(numbers))

    async def handle(batch: Batch) -> None:
        raise AssertionError("nothing is due")

    worker = Processor(deployment.process(1), handle)  # Redis was away, so it could not ask
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(60):
        assert await warned == (1, 4)
    await worker.stop()
    await running


async def test_a_conversation_moves_when_nothing_of_it_waits(deployment: Deployment) -> None:
    before, after = deployment.before, deployment.after
    await deployment.write(before, "m1")
    await before.notes.put("bot", deployment.user, b"memory \xff", ttl_s=60)
    await deployment.begin()
    former, new = deployment.spots()
    assert await deployment.write(before, "m2") == "queued"  # it adopts both numbers
    (batch,) = await deployment.claim(after)
    assert (batch.partition, batch.ids) == (former, ("m1", "m2"))
    assert await deployment.write(after, "m3") == "queued"
    await before.complete(batch)
    assert await deployment.answer(before) == [(former, ("m3",))]
    assert [message.id for message in await after.completed("bot", deployment.user)] == ["m1", "m2", "m3"]
    for message_id, status in (("m4", "queued"), ("m2", "duplicate"), ("m4", "duplicate")):
        assert await deployment.write(after, message_id) == status
    assert await after.notes.get("bot", deployment.user) == b"memory \xff"
    assert await deployment.redis.pttl(after.keys.of("bot", deployment.user).memory) in range(50_000, 60_001)
    assert await deployment.answer(after) == [(new, ("m4",))]
    assert [message.id for message in await before.completed("bot", deployment.user)] == [
        "m1",
        "m2",
        "m3",
        "m4",
    ]


async def test_two_processes_that_move_a_conversation_carry_it_once(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process is slow: it carries the memory when the conversation was forgotten at its new place."""
    await deployment.write(deployment.before, "m1")
    await deployment.answer(deployment.before)
    await deployment.before.notes.put("bot", deployment.user, b"memory", ttl_s=60)
    await deployment.begin()
    carry, slow = places._carry, []

    async def late(*args: Any) -> None:
        transport, slow_call = args[0].transport, []
        monkeypatch.setattr(places, "_carry", carry)

        class Late:
            async def alone(self, call: Any) -> int:
                assert await deployment.write(deployment.after, "m2") == "queued"
                await deployment.answer(deployment.after)
                assert (await deployment.after.forget("bot", deployment.user)).memory
                slow_call.append(await transport.alone(call))
                return 0

        object.__setattr__(args[0], "transport", Late())
        try:
            await carry(*args)
        finally:
            object.__setattr__(args[0], "transport", transport)
        slow.extend(slow_call)

    monkeypatch.setattr(places, "_carry", late)
    third = deployment.process(NUMBER)
    await third.check()
    assert await third.notes.get("bot", deployment.user) is None
    assert slow == [0]


async def test_an_answer_without_the_queue_is_known_on_both_sides_of_the_move(deployment: Deployment) -> None:
    message = QueueMessage(id="m1", instance_name="bot", user_phone=deployment.user, message="x")
    await deployment.write(deployment.before, "m0")
    await deployment.answer(deployment.before)
    await deployment.begin()
    assert await deployment.before.withdraw(message) == "marked"
    assert await deployment.write(deployment.after, "m1") == "duplicate"
    assert await deployment.write(deployment.after, "m2") == "queued"
    second = QueueMessage(id="m2", instance_name="bot", user_phone=deployment.user, message="x")
    assert await deployment.after.withdraw(second) == "withdrawn"
    assert await deployment.answer(deployment.after) == []


async def test_an_edit_finds_its_message_on_both_sides_of_the_move(deployment: Deployment) -> None:
    await deployment.write(deployment.before, "m1")
    await deployment.begin()

    async def edit(target: str, status: str) -> None:
        words = QueueMessage(
            id=f"edit {next(deployment.numbers)}",
            instance_name="bot",
            user_phone=deployment.user,
            message="new",
        )
        assert (await deployment.after.edit(words, target)).status == status
        (batch,) = await deployment.claim(deployment.after)
        assert [message.message for message in batch.messages] == ["new"]
        await deployment.after.complete(batch)

    await edit("m1", "changed")
    await deployment.write(deployment.after, "m2")
    await edit("m2", "changed")
    await edit("m1", "queued")  # it was answered before the move, so the edit is a message of its own


async def test_a_dead_letter_of_a_former_partition_is_requeued_once(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    await deployment.write(deployment.before, "m1")
    (batch,) = await deployment.claim(deployment.before)
    await deployment.before.fail(batch, "no", dead=True)
    await deployment.begin()
    (letter,) = await deployment.after.dead_letters()
    drop = dead_letters.DeadLetters.drop

    async def dies(*_: Any) -> None:
        raise QueueError("the process died")

    monkeypatch.setattr(dead_letters.DeadLetters, "drop", dies)
    with pytest.raises(QueueError, match="died"):
        await deployment.after.requeue(letter.id)
    monkeypatch.setattr(dead_letters.DeadLetters, "drop", drop)
    await deployment.after.requeue(letter.id)
    assert await deployment.after.dead_letters() == []
    assert await deployment.answer(deployment.after) == [(deployment.spots()[1], ("m1",))]


async def test_a_dead_letter_goes_where_the_conversation_moved_a_moment_ago(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    await deployment.write(deployment.before, "m1")
    (batch,) = await deployment.claim(deployment.before)
    await deployment.before.fail(batch, "no", dead=True)
    await deployment.write(deployment.before, "m2")
    await deployment.begin()
    (letter,) = await deployment.after.dead_letters()
    current, imported = places.current, "queue_core.queue.dead_letters.current"

    async def slow(*args: Any) -> Any:
        spot = await current(*args)
        monkeypatch.setattr(imported, current)
        await deployment.answer(deployment.after)
        await deployment.write(deployment.after, "m3")
        return spot

    monkeypatch.setattr(imported, slow)
    await deployment.after.requeue(letter.id)
    assert await deployment.answer(deployment.after) == [(deployment.spots()[1], ("m3", "m1"))]


async def test_names_are_joined_across_the_move(deployment: Deployment) -> None:
    """Messages wait under the phone number in a former partition; the linked id leads there, or waits for it."""
    phone, lid = deployment.users(2)

    async def write(queue: MessageQueue, message_id: str, name: str, **addresses: str) -> str:
        data = {"addresses": addresses} if addresses else {}
        message = QueueMessage(
            id=message_id, instance_name="bot", user_phone=name, message="x", message_data=data
        )
        return (await queue.enqueue(message)).user_phone

    await write(deployment.before, "m1", phone)
    await write(deployment.before, "m2", lid)
    await deployment.begin()
    kept = await write(deployment.after, "m3", phone, phone=phone, lid=lid)
    answered: list[str] = []
    for _ in range(4):
        answered += [message_id for _, ids in await deployment.answer(deployment.after) for message_id in ids]
    assert sorted(answered) == ["m1", "m2", "m3"]
    assert answered[-1] == "m3"
    for name in (phone, lid):
        assert await write(deployment.before, f"m4 {name}", name) == kept
    assert await write(deployment.after, "m2", phone, phone=phone, lid=lid) == lid  # a duplicate
    assert [ids for _, ids in await deployment.answer(deployment.after)] == [(f"m4 {phone}", f"m4 {lid}")]


async def test_reports_on_replies_are_matched_across_the_change(deployment: Deployment) -> None:
    async def reply(queue: MessageQueue, number: int) -> None:
        await deployment.write(queue, f"m{number}")
        (batch,) = await deployment.claim(queue)
        await queue.sent.note(batch, [SentPart(f"r{number}", "text")])
        await queue.complete(batch)

    async def statuses(queue: MessageQueue) -> list[str]:
        reports = (
            Report(kind="own", instance_name="bot", reply_id=f"r{number}", user_phone=deployment.user)
            for number in range(16)
        )
        return [(await queue.sent.report(report)).status for report in reports]

    for number in range(8):
        await reply(deployment.before, number)
    await deployment.begin()
    for number in range(8, 16):
        await reply(deployment.after, number)
    assert await statuses(deployment.after) == ["known"] * 16
    deployment.clock.now_ms += DAY_MS
    assert (await deployment.after.partitions.end()).is_ended
    assert (await statuses(deployment.before))[8:] == ["known"] * 8


async def test_everything_of_a_user_is_forgotten_at_both_places(deployment: Deployment) -> None:
    await deployment.write(deployment.before, "m1")
    await deployment.answer(deployment.before)
    await deployment.begin()
    await deployment.write(deployment.after, "m2")
    await deployment.answer(deployment.after)
    await deployment.after.forget("bot", deployment.user)
    left = [key for key in await deployment.redis.keys() if deployment.user.encode() in key]
    assert [key for key in left if b"carried" not in key] == []


# The change itself.


async def test_a_change_begins_only_when_it_may(deployment: Deployment) -> None:
    async def refused(queue: MessageQueue, words: str) -> None:
        with pytest.raises(QueueError, match=words):
            await queue.partitions.begin()

    await deployment.write(deployment.before, "m1")
    await refused(deployment.before, "has 4 partitions already")
    await refused(deployment.after, "no worker watches partition 0")
    await deployment.after.holding.hold()
    await refused(deployment.after, "end the hold with `resume` first")
    await deployment.after.holding.resume()
    layout = deployment.after.keys.partitions[0].layout
    since_ms = await deployment.redis.hget(layout, "since")
    await deployment.redis.hset(layout, "since", str(deployment.clock.now_ms - 1_000))
    await refused(deployment.after, "an upgrade is under way")
    await deployment.redis.hset(layout, "since", since_ms or "0")
    await deployment.begin()
    await deployment.begin()  # repeating it is harmless
    assert (await deployment.after.partitions.noted()).former == FORMER
    await refused(deployment.before, "from 4 to 16 partitions is not over")
    with pytest.raises(OtherPartitionsError):  # the scripts refuse who does not know of it
        await deployment.process(FORMER)._claims.claim(
            "p", limit=1, partition=0, only=None, kept=(), entry=None
        )


async def test_a_change_ends_when_nothing_is_left_and_ids_are_forgotten(deployment: Deployment) -> None:
    _, silent = deployment.users(2)
    await deployment.before.notes.put("bot", silent, b"memory", ttl_s=9_999_999)
    await deployment.write(deployment.before, "m1")
    await deployment.begin()
    deployment.clock.now_ms += DAY_MS // 2
    await deployment.write(deployment.after, "m2")  # it waits at the former place
    leaving = await deployment.after.partitions.end()
    assert (leaving.conversations, leaving.moved, leaving.is_ended) == (1, 1, False)
    assert leaving.until_ms == deployment.clock.now_ms + DAY_MS
    await deployment.answer(deployment.after)
    deployment.clock.now_ms = leaving.until_ms - 1
    assert not (await deployment.after.partitions.end()).is_ended
    assert await deployment.write(deployment.before, "m2") == "duplicate"
    deployment.clock.now_ms += 1
    leaving = await deployment.before.partitions.end()
    assert leaving.is_ended
    assert deployment.before.keys.numbers == "16"
    assert await deployment.after.notes.get("bot", silent) == b"memory"
    assert await deployment.write(deployment.after, "m3") == "queued"
    with pytest.raises(QueueError, match="no change is under way"):
        await deployment.after.partitions.end()


async def test_dead_letters_in_partitions_that_will_be_gone_prevent_the_end(deployment: Deployment) -> None:
    user = next(user for user in deployment.users(9) if deployment.spots(user)[1] >= FORMER)
    await deployment.write(deployment.after, "m1", user)
    (batch,) = await deployment.claim(deployment.after)
    await deployment.after.fail(batch, "no", dead=True)
    await deployment.before.check()
    await deployment.before.partitions.begin(needs_workers=False)
    deployment.clock.now_ms += DAY_MS
    leaving = await deployment.before.partitions.end()
    assert (leaving.dead_letters, leaving.is_ended) == (1, False)
    (letter,) = await deployment.before.dead_letters()
    await deployment.before.requeue(letter.id)
    assert [ids for _, ids in await deployment.answer(deployment.before)] == [("m1",)]
    assert (await deployment.before.partitions.end()).is_ended
    assert await deployment.write(deployment.after, "m2", user) == "queued"


async def test_an_interrupted_beginning_is_completed(deployment: Deployment) -> None:
    for number, user in enumerate(deployment.users(30)):
        await deployment.write(deployment.before, f"m{number}", user)
    await deployment.begin()
    for partition in deployment.after.keys.partitions[2:4]:
        await deployment.redis.hset(partition.layout, "partitions", "4")
    noted = await deployment.before.partitions.noted()
    assert not noted.is_whole
    await deployment.begin()
    assert (await deployment.before.partitions.noted()).is_whole
    for number, user in enumerate(deployment.users(30)):
        assert await deployment.write(deployment.after, f"m{number}", user) == "duplicate"


async def test_damaged_messages_of_a_conversation_that_moved_are_not_put_back(deployment: Deployment) -> None:
    await deployment.redis.set(deployment.before.keys.of("bot", deployment.user).queue, "damaged")
    await deployment.write(deployment.before, "m1")
    await deployment.answer(deployment.before)
    await deployment.begin()
    (damaged,) = [key async for key in deployment.after.damage.iterate()]
    with pytest.raises(QueueError, match="its conversation has another partition now"):
        await deployment.after.damage.repair(damaged.id)
