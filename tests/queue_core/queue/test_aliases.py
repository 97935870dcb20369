"""Aliases: several names of one user lead to one conversation; nothing is lost, doubled or out of order by it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any, ClassVar

import pytest
from redis.asyncio import Redis

from queue_core import (
    Batch,
    Intake,
    MessageQueue,
    Processor,
    QueueMessage,
    QueueSettings,
    QueueUnavailableError,
)
from queue_core.queue.aliases import HOPS_MAX, names_of
from queue_core.queue.precedence import Precedence
from queue_core.redis.scripts.loader import Call, text
from queue_core.redis.transport import Transport
from tests.queue_core.bot import Bot, check_ledger, on_newest
from tests.queue_core.queue.conftest import Clock

PHONE, LID, USER_ID = "201000000001", "103890000001@lid", "EG.9000000000000000017"
WINDOW_MS = 8_000


def written(message_id: str, *names: str, **more: Any) -> QueueMessage:
    """A message of a user with these names; the first one is the sender's name in it."""
    kinds = {"@": "lid", ".": "user_id"}
    addresses = {next((kinds[mark] for mark in kinds if mark in name), "phone"): name for name in names}
    return QueueMessage(
        id=message_id,
        instance_name="bot",
        user_phone=names[0],
        message=f"text {message_id}",
        message_data={"addresses": addresses} | more,
    )


class Interleaving(Transport):
    """Transport that runs a function once before the next call of a script: another process comes in between."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.before: dict[str, Callable[[], Awaitable[object]]] = {}
        self.calls: list[str] = []

    def gathered(self, call: Call[Any]) -> Awaitable[Any]:
        """Run a call."""
        self.calls.append(call.script.name)
        if call.script.name in self.before:
            return self._after(self.before.pop(call.script.name), call)
        return self._inner.gathered(call)

    async def _after(self, step: Callable[[], Awaitable[object]], call: Call[Any]) -> Any:
        await step()
        return await self._inner.gathered(call)

    async def alone(self, call: Call[Any]) -> Any:
        """Run a call at once."""
        return await self._inner.alone(call)

    async def load(self) -> None:
        """Check the server."""
        await self._inner.load()


@pytest.fixture(params=[1, 7])
async def queue(request: pytest.FixtureRequest, redis_client: Redis, clock: Clock) -> MessageQueue:
    """A queue whose names of one user lie in one partition, or in different ones."""
    settings = QueueSettings(partitions=request.param)
    made = MessageQueue(redis_client, settings, clock=clock, monotonic=clock.seconds, rng=random.Random(1))
    if request.param > 1:
        numbers = {made.keys.of("bot", name).partition for name in (PHONE, LID, USER_ID)}
        assert len(numbers) == 3, "choose names of different partitions"
    return made


def another(queue: MessageQueue) -> MessageQueue:
    """A queue of another process."""
    return MessageQueue(queue.redis, queue.settings, clock=queue.aliases._access.clock, rng=random.Random(2))


def interleave(queue: MessageQueue) -> Interleaving:
    """Give a queue a transport that lets other processes come in between."""
    transport = Interleaving(queue.transport)
    queue.transport = transport
    queue.aliases._access = replace(queue.aliases._access, transport=transport)
    return transport


async def due(queue: MessageQueue, clock: Clock) -> list[Batch]:
    """Let the window pass, and claim all that is due."""
    clock.now_ms += WINDOW_MS
    batches: list[Batch] = []
    for number in range(len(queue.keys.partitions)):
        batches += (await queue.claim("p", limit=50, partition=number)).batches
    return batches


async def answer_all(queue: MessageQueue, clock: Clock) -> list[tuple[str, ...]]:
    """Answer everything that is due; return the ids of each batch."""
    batches = await due(queue, clock)
    for batch in batches:
        await queue.complete(batch)
    return [batch.ids for batch in batches]


async def waiting(queue: MessageQueue) -> dict[str, list[str]]:
    """Return the ids that wait, by conversation; follow no alias."""
    found = {}
    for conversation in await queue.active_conversations():
        place = queue.keys.of(conversation.instance_name, conversation.user_phone)
        elements = await queue.redis.lrange(place.queue, 0, -1)
        found[conversation.user_phone] = [
            text(element).split('"id":"')[1].split('"')[0] for element in elements
        ]
    return found


def test_names_of_a_user() -> None:
    assert names_of(written("m", PHONE)) == {PHONE: "phone"}
    assert names_of(written("m", LID, PHONE)) == {LID: "lid", PHONE: "phone"}
    assert list(names_of(written("m", LID, PHONE))) == [LID, PHONE]


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"addresses": None},
        {"addresses": [PHONE]},
        {"addresses": {"phone": 1}},
        {"addresses": {"phone": "2"}},
        {"addresses": {"phone": "2", "username": PHONE}},
    ],
)
def test_addresses_that_do_not_name_the_user_join_nothing(data: Any) -> None:
    message = QueueMessage(id="m", instance_name="bot", user_phone=PHONE, message="", message_data=data)
    assert names_of(message) == {PHONE: ""}


def test_an_address_that_cannot_be_a_name_is_left_out() -> None:
    assert names_of(written("m", PHONE, "1" * 600 + "@lid")) == {PHONE: "phone"}


async def test_what_waits_under_the_old_name_is_answered_first(queue: MessageQueue, clock: Clock) -> None:
    await queue.enqueue(written("m1", LID))
    receipt = await queue.enqueue(written("m2", PHONE, LID))
    assert (receipt.user_phone, receipt.waiting) == (LID, 2)
    await queue.enqueue(written("m3", PHONE))
    await queue.enqueue(written("m4", LID))
    assert await answer_all(queue, clock) == [("m1", "m2", "m3", "m4")]


async def test_what_is_being_answered_under_the_old_name_is_answered_first(
    queue: MessageQueue, clock: Clock
) -> None:
    await queue.enqueue(written("m1", LID))
    (batch,) = await due(queue, clock)
    await queue.enqueue(written("m2", PHONE, LID))
    await queue.enqueue(written("m3", PHONE))
    assert await due(queue, clock) == []
    await queue.complete(batch)
    assert await answer_all(queue, clock) == [("m2", "m3")]


@pytest.mark.parametrize("names", [(PHONE, LID), (PHONE, USER_ID), (USER_ID, PHONE)])
async def test_a_new_user_has_one_conversation_by_all_names(
    queue: MessageQueue, clock: Clock, names: tuple[str, str]
) -> None:
    await queue.enqueue(written("m1", *names))
    assert await answer_all(queue, clock) == [("m1",)]
    await queue.enqueue(written("m2", names[1]))
    await queue.enqueue(written("m3", names[0]))
    assert list(await waiting(queue)) == [PHONE]
    assert await answer_all(queue, clock) == [("m2", "m3")]


async def test_the_reply_goes_to_the_newest_address(queue: MessageQueue, clock: Clock) -> None:
    await queue.enqueue(written("m1", LID))
    await queue.enqueue(written("m2", PHONE, LID))
    (batch,) = await due(queue, clock)
    assert (batch.user_phone, batch.messages[-1].user_phone) == (LID, PHONE)


async def test_a_delivery_under_another_name_is_a_duplicate(queue: MessageQueue, clock: Clock) -> None:
    await queue.enqueue(written("m1", LID))
    assert (await queue.enqueue(written("m1", PHONE, LID))).status == "duplicate"
    await answer_all(queue, clock)
    assert (await queue.enqueue(written("m1", PHONE, LID))).status == "duplicate"
    assert (await queue.enqueue(written("m2", PHONE, LID))).status == "queued"
    assert (await queue.enqueue(written("m2", LID))).status == "duplicate"
    assert (await queue.enqueue(written("m2", PHONE))).status == "duplicate"
    assert await waiting(queue) == {LID: ["m2"]}


async def test_the_memory_follows(queue: MessageQueue, clock: Clock) -> None:
    await queue.notes.put("bot", LID, b"what was said", ttl_s=1_000)
    await queue.enqueue(written("m1", PHONE))
    await queue.enqueue(written("m2", PHONE, LID))
    (batch,) = await due(queue, clock)
    assert batch.ids == ("m1", "m2")
    assert await queue.notes.get("bot", batch.user_phone) == b"what was said"
    await queue.notes.put("bot", batch.user_phone, b"more", ttl_s=1_000)
    for name in (PHONE, LID):
        assert await queue.notes.get("bot", name) == b"more"


async def test_a_memory_that_is_saved_by_another_name_is_found(queue: MessageQueue) -> None:
    await queue.enqueue(written("m1", PHONE, LID))
    await queue.notes.put("bot", LID, b"said", ttl_s=1_000)
    assert await queue.notes.get("bot", PHONE) == b"said"


async def test_the_conversation_with_a_memory_is_kept(queue: MessageQueue, clock: Clock) -> None:
    await queue.enqueue(written("m1", PHONE))
    await answer_all(queue, clock)
    await queue.notes.put("bot", LID, b"long ago", ttl_s=1_000)
    assert (await queue.enqueue(written("m2", PHONE, LID))).user_phone == LID


async def test_while_both_names_have_messages_the_new_conversation_waits(
    queue: MessageQueue, clock: Clock
) -> None:
    await queue.enqueue(written("l1", LID))
    await queue.enqueue(written("p1", PHONE))
    await queue.enqueue(written("b1", PHONE, LID))
    await queue.enqueue(written("l2", LID))
    assert await waiting(queue) == {LID: ["l1"], PHONE: ["p1", "b1", "l2"]}
    (batch,) = await due(queue, clock)
    assert batch.ids == ("l1",)
    assert await due(queue, clock) == []
    await queue.complete(batch)
    assert await answer_all(queue, clock) == [("p1", "b1", "l2")]
    assert await queue.redis.keys("*behind*") == []
    await queue.enqueue(written("b2", PHONE, LID))
    await queue.enqueue(written("l3", LID))
    assert await answer_all(queue, clock) == [("b2", "l3")]


async def test_a_conversation_waits_for_another_as_long_as_messages_may_wait(
    redis_client: Redis, clock: Clock
) -> None:
    settings = QueueSettings(outage_patience_s=10 * 86_400, aliases_ttl_s=20 * 86_400)
    queue = MessageQueue(redis_client, settings, clock=clock, monotonic=clock.seconds)
    await queue.enqueue(written("l1", LID))
    await queue.enqueue(written("p1", PHONE))
    await queue.enqueue(written("b1", PHONE, LID))
    assert await redis_client.pttl(queue.keys.of("bot", PHONE).behind) > 10 * 86_400_000


async def test_a_turn_that_is_put_behind_uses_no_attempt(queue: MessageQueue, clock: Clock) -> None:
    await queue.enqueue(written("l1", LID))
    (batch,) = await due(queue, clock)
    await queue.enqueue(written("p1", PHONE))
    await queue.enqueue(written("b1", PHONE, LID))
    for _ in range(20):
        clock.now_ms += 500
        await queue.extend(batch)
        assert [
            claimed
            for number in range(len(queue.keys.partitions))
            for claimed in (await queue.claim("p", limit=50, partition=number)).batches
        ] == []
    await queue.complete(batch)
    (turn,) = await due(queue, clock)
    assert (turn.ids, turn.attempt, turn.setbacks) == (("p1", "b1"), 1, 0)


async def test_what_fails_under_the_old_name_is_waited_for_until_it_is_a_dead_letter(
    queue: MessageQueue, clock: Clock
) -> None:
    await queue.enqueue(written("l1", LID))
    await queue.enqueue(written("p1", PHONE))
    await queue.enqueue(written("b1", PHONE, LID))
    for _ in range(queue.settings.max_retry_count + 1):
        (batch,) = await due(queue, clock)
        assert batch.ids == ("l1",)
        await queue.fail(batch, "no luck", after_ms=0)
    assert await answer_all(queue, clock) == [("p1", "b1")]


async def test_a_turn_is_left_alone_if_redis_does_not_say_whether_it_may_begin(
    queue: MessageQueue, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def is_away(*_: Any) -> bool:
        raise QueueUnavailableError("away")

    await queue.enqueue(written("p1", PHONE))
    await queue.redis.hset(queue.keys.of("bot", PHONE).behind, queue.keys.of("bot", LID).conversation, "1")
    with monkeypatch.context() as patch:
        patch.setattr(Precedence, "may_begin", is_away)
        assert await due(queue, clock) == []
    assert (await queue.conversation("bot", PHONE)).lease is not None
    taken: list[Batch] = []
    for _ in range(30):  # claims without a gap, as a worker makes them
        clock.now_ms += 1_000
        for number in range(len(queue.keys.partitions)):
            taken += (await queue.claim("p", partition=number)).batches
    assert [(batch.ids, batch.attempt) for batch in taken][:1] == [(("p1",), 2)]


async def test_forget_deletes_nothing_while_messages_wait_under_any_name(
    queue: MessageQueue, clock: Clock
) -> None:
    await queue.notes.put("bot", PHONE, b"said", ttl_s=1_000)
    await queue.enqueue(written("l1", LID))
    await queue.enqueue(written("p1", PHONE))
    await queue.enqueue(written("b1", PHONE, LID))
    batches = await queue.claim("p", only=("bot", PHONE)), await queue.claim("p", only=("bot", LID))
    assert not any(claimed.batches for claimed in batches)
    await queue.redis.delete(queue.keys.of("bot", PHONE).queue)
    for asked in (PHONE, LID):
        assert (await queue.forget("bot", asked)).standing == "waiting"
        assert await queue.notes.get("bot", PHONE) == b"said"


async def test_two_conversations_that_wait_for_each_other(queue: MessageQueue, clock: Clock) -> None:
    await queue.enqueue(written("l1", LID))
    await queue.enqueue(written("p1", PHONE))
    phone, lid = (queue.keys.of("bot", name) for name in (PHONE, LID))
    await queue.redis.hset(phone.behind, lid.conversation, "1")
    await queue.redis.hset(lid.behind, phone.conversation, "1")
    assert await answer_all(queue, clock) == [("l1",)], "the smaller name goes first"
    assert await answer_all(queue, clock) == [("p1",)]


async def test_a_recorded_reply_is_sent_before_what_waits_under_the_other_name(
    queue: MessageQueue, clock: Clock
) -> None:
    """The turn began before the names became known as one."""
    await queue.enqueue(written("p1", PHONE))
    (batch,) = await due(queue, clock)
    await queue.record_reply(batch, "a reply")
    await queue.fail(batch, "not sent", not_sent=True, after_ms=0)
    await queue.enqueue(written("l1", LID))
    await queue.enqueue(written("b1", PHONE, LID))
    clock.now_ms += 1
    (again,) = [
        batch
        for number in range(len(queue.keys.partitions))
        for batch in (await queue.claim("p", limit=50, partition=number)).batches
    ]
    assert (again.ids, again.reply) == (("p1",), "a reply")
    await queue.complete(again)
    assert await answer_all(queue, clock) == [("l1",)]
    assert await answer_all(queue, clock) == [("b1",)]


async def test_three_names_that_all_have_messages(queue: MessageQueue, clock: Clock) -> None:
    for message_id, name in (("l1", LID), ("p1", PHONE), ("u1", USER_ID)):
        await queue.enqueue(written(message_id, name))
    await queue.enqueue(written("b1", PHONE, LID))
    await queue.enqueue(written("c1", USER_ID, PHONE))
    answered = [ids for _ in range(4) for ids in await answer_all(queue, clock)]
    flat = [message_id for ids in answered for message_id in ids]
    assert sorted(flat) == ["b1", "c1", "l1", "p1", "u1"]
    assert flat.index("l1") < flat.index("b1") < flat.index("c1")
    assert flat.index("p1") < flat.index("c1")


async def test_a_message_that_comes_between_the_look_and_the_alias(queue: MessageQueue, clock: Clock) -> None:
    """The other process stores a message under the name that was empty: the alias is not written over it."""
    transport = interleave(queue)
    transport.before["join"] = lambda: another(queue).enqueue(written("m1", LID))
    assert (await queue.enqueue(written("m2", PHONE, LID))).user_phone == LID
    assert await waiting(queue) == {LID: ["m1", "m2"]}
    assert await answer_all(queue, clock) == [("m1", "m2")]


async def test_the_same_message_comes_between_the_look_and_the_alias(
    queue: MessageQueue, clock: Clock
) -> None:
    transport = interleave(queue)

    async def deliver_and_answer() -> None:
        await another(queue).enqueue(written("m1", LID))
        await answer_all(another(queue), clock)

    transport.before["join"] = deliver_and_answer
    assert (await queue.enqueue(written("m1", PHONE, LID))).status == "duplicate"
    assert await waiting(queue) == {}


async def test_an_alias_that_comes_between_the_look_and_the_store(queue: MessageQueue) -> None:
    """The message is not stored under a name that leads elsewhere by then."""
    transport = interleave(queue)
    transport.before["enqueue"] = lambda: another(queue).enqueue(written("m1", PHONE, LID))
    await queue.enqueue(written("m2", LID))
    assert await waiting(queue) == {PHONE: ["m1", "m2"]}


async def test_two_messages_that_tell_the_names_in_different_orders_join_them_in_one_direction(
    queue: MessageQueue, clock: Clock
) -> None:
    """Messages wait under both names; each process notes which one waits, before either has written an alias."""
    await queue.enqueue(written("l1", LID))
    await queue.enqueue(written("p1", PHONE))
    other = another(queue)
    interleave(queue).before["join"] = lambda: other.enqueue(written("b1", LID, PHONE))
    await queue.enqueue(written("b2", PHONE, LID))
    assert await waiting(queue) == {LID: ["l1"], PHONE: ["p1", "b1", "b2"]}
    assert await answer_all(queue, clock) == [("l1",)]
    assert await answer_all(queue, clock) == [("p1", "b1", "b2")]


async def test_a_circle_of_aliases_is_opened(queue: MessageQueue, clock: Clock) -> None:
    """Two processes join the same names in opposite directions at the same moment."""
    phone, lid = (queue.keys.of("bot", name) for name in (PHONE, LID))
    await queue.redis.set(phone.alias, lid.conversation)
    await queue.redis.set(lid.alias, phone.conversation)
    first, second = await asyncio.gather(
        queue.enqueue(written("m1", PHONE)), another(queue).enqueue(written("m2", LID))
    )
    assert first.user_phone == second.user_phone
    await queue.enqueue(written("m3", PHONE, LID))
    (ids,) = await answer_all(queue, clock)
    assert sorted(ids) == ["m1", "m2", "m3"]


async def test_a_circle_is_opened_by_a_message_with_both_names(queue: MessageQueue) -> None:
    phone, lid = (queue.keys.of("bot", name) for name in (PHONE, LID))
    await queue.redis.set(phone.alias, lid.conversation)
    await queue.redis.set(lid.alias, phone.conversation)
    root = (await queue.enqueue(written("m1", PHONE, LID))).user_phone
    for number, name in enumerate((PHONE, LID)):
        assert (await queue.enqueue(written(f"n{number}", name))).user_phone == root


async def test_a_user_who_changes_the_number_often(queue: MessageQueue, clock: Clock) -> None:
    """The linked id stays, so all numbers lead to the first conversation."""
    for number in range(2 * HOPS_MAX):
        await queue.enqueue(written(f"m{number}", f"2010000000{number:02}", LID))
        assert await answer_all(queue, clock) == [(f"m{number}",)]
    assert (await queue.enqueue(written("last", LID))).user_phone == "201000000000"


async def test_a_long_chain_of_aliases_ends(queue: MessageQueue) -> None:
    places = [queue.keys.of("bot", f"20100000{number:04}") for number in range(3 * HOPS_MAX)]
    for place, following in pairwise(places):
        await queue.redis.set(place.alias, following.conversation)
    receipt = await queue.enqueue(written("m1", "201000000000"))
    assert receipt.status == "queued"
    assert receipt.user_phone == f"20100000{HOPS_MAX:04}"


async def test_a_number_that_changed_hands_does_not_join_two_people(
    queue: MessageQueue, clock: Clock
) -> None:
    """The number was given up and belongs to another user: the linked id decides, in both directions of the alias."""
    other = "103890000002@lid"
    for first in (LID, PHONE):
        await queue.redis.flushall()
        await queue.enqueue(written("m0", first))
        await queue.enqueue(written("m1", PHONE, LID))
        await answer_all(queue, clock)
        clock.now_ms += 3_600_000
        assert (await queue.enqueue(written("m2", PHONE, other))).user_phone == other
        assert (await queue.enqueue(written("m3", "201000000099", LID))).user_phone == first
        assert len(await waiting(queue)) == 2


async def test_an_alias_lasts_from_its_last_use(queue: MessageQueue, clock: Clock) -> None:
    await queue.enqueue(written("m1", PHONE, LID))
    place, root = queue.keys.of("bot", LID), queue.keys.of("bot", PHONE)
    for key in (place.alias, root.names):
        assert 89 * 86_400_000 < await queue.redis.pttl(key) <= 90 * 86_400_000
    for number, names in enumerate([(LID,), (PHONE, LID)]):
        for key in (place.alias, root.names):
            await queue.redis.pexpire(key, 1_000)
        await queue.enqueue(written(f"n{number}", *names))
        for key in (place.alias, root.names):
            assert await queue.redis.pttl(key) > 89 * 86_400_000


@on_newest
async def test_no_aliases_by_setting(redis_client: Redis) -> None:
    queue = MessageQueue(redis_client, QueueSettings(aliases_ttl_s=0))
    await queue.enqueue(written("m1", LID))
    assert (await queue.enqueue(written("m2", PHONE, LID))).user_phone == PHONE
    assert await redis_client.keys("*alias*") == await redis_client.keys("*names*") == []


@on_newest
async def test_calls_of_a_message_as_the_docs_count_them(redis_client: Redis) -> None:
    queue = MessageQueue(redis_client)
    transport = interleave(queue)
    await queue.enqueue(written("m1", PHONE))
    assert transport.calls == ["enqueue"]
    for message, calls in [
        (written("m2", PHONE, LID), ["read_name", "read_name", "join", "enqueue"]),
        (written("m3", PHONE, LID), ["read_name", "enqueue"]),
        (written("m4", LID), ["enqueue", "enqueue"]),
        (written("m5", LID, PHONE), ["read_name", "read_name", "enqueue"]),
    ]:
        transport.calls.clear()
        await queue.enqueue(message)
        assert transport.calls == calls, message.id


async def test_reads_by_any_name(queue: MessageQueue, clock: Clock) -> None:
    await queue.enqueue(written("m1", PHONE, LID))
    await answer_all(queue, clock)
    await queue.enqueue(written("m2", LID))
    for name in (PHONE, LID):
        assert [message.id for message in await queue.pending("bot", name)] == ["m2"]
        assert [message.id for message in await queue.completed("bot", name)] == ["m1"]
        assert (await queue.statistics("bot", name))["totalMessages"] == 2
        assert [message.id for message in (await queue.conversation("bot", name)).pending] == ["m2"]
        assert await queue.aliases.names_of_user("bot", name) == [("bot", PHONE), ("bot", LID)]


@pytest.mark.newest_redis
async def test_forget_by_any_name_forgets_all(queue: MessageQueue, clock: Clock) -> None:
    for asked in (PHONE, LID):
        await queue.redis.flushall()
        await queue.notes.put("bot", LID, b"old", ttl_s=1_000)
        await queue.enqueue(written("m1", PHONE))
        await queue.enqueue(written("m2", PHONE, LID))
        refused = await queue.forget("bot", asked)
        assert refused.standing == "waiting"
        assert await queue.redis.exists(queue.keys.of("bot", LID).memory)
        await answer_all(queue, clock)
        await queue.notes.put("bot", PHONE, b"new", ttl_s=1_000)
        forgotten = await queue.forget("bot", asked)
        assert (forgotten.standing, forgotten.finished, forgotten.memory) == ("forgotten", 2, True)
        left = {text(key).partition("}:")[2].partition(":")[0] for key in await queue.redis.keys()}
        assert left <= {"active_queues", "wake", "token", "layout", "ids", "looks", "last_claim", "backend"}
        assert (await queue.enqueue(written("m3", asked))).user_phone == asked


async def test_a_dead_letter_goes_back_to_the_conversation_of_its_user_in_its_partition(
    queue: MessageQueue, clock: Clock
) -> None:
    await queue.enqueue(written("m1", LID))
    (batch,) = await due(queue, clock)
    await queue.fail(batch, "no luck", dead=True)
    await queue.enqueue(written("m2", PHONE))
    await queue.enqueue(written("m3", PHONE, LID))
    (letter,) = await queue.dead_letters()
    await queue.requeue(letter.id)
    apart = {PHONE: ["m2", "m3"], LID: ["m1"]}
    assert await waiting(queue) == ({PHONE: ["m2", "m3", "m1"]} if len(queue.keys.partitions) == 1 else apart)
    assert await queue.dead_letters() == []


async def test_process_conversation_takes_any_name(redis_client: Redis) -> None:
    queue, bot = MessageQueue(redis_client, QueueSettings(window_ms=0)), Bot()
    await queue.enqueue(written("m1", PHONE, LID))
    report = await Processor(queue, bot.handle, bot.send).process_conversation("bot", LID)
    assert (report.completed, bot.sent_ids) == (1, ["m1"])


async def test_withdraw_finds_the_message_under_any_name(queue: MessageQueue, clock: Clock) -> None:
    await queue.enqueue(written("m0", LID))
    await queue.enqueue(written("m1", PHONE, LID))  # stored, and its answer was lost
    assert await queue.withdraw(written("m1", PHONE, LID)) == "withdrawn"
    assert await queue.withdraw(written("m2", PHONE)) == "marked"
    for names in ((PHONE,), (LID,), (PHONE, LID)):
        assert (await queue.enqueue(written("m2", *names))).status == "duplicate"
    assert await answer_all(queue, clock) == [("m0",)]


async def test_a_damaged_alias_is_moved_aside(queue: MessageQueue) -> None:
    place = queue.keys.of("bot", PHONE)
    await queue.redis.set(place.alias, "not a conversation")
    assert (await queue.enqueue(written("m1", PHONE))).user_phone == PHONE
    await queue.redis.rpush(place.alias, "of another type")
    assert (await queue.enqueue(written("m2", PHONE))).user_phone == PHONE
    damaged = [key async for key in queue.damage.iterate()]
    assert [(key.instance_name, key.user_phone) for key in damaged] == [("bot", PHONE)] * 2
    assert await waiting(queue) == {PHONE: ["m1", "m2"]}


class TestJoinByEvent:
    NAMES: ClassVar = {PHONE: "phone", USER_ID: "user_id", "201000000099": "phone", "EG.99": "user_id"}
    """Old number and id, then the new ones."""

    async def test_the_new_number_leads_to_the_conversation(self, queue: MessageQueue, clock: Clock) -> None:
        await queue.enqueue(written("m1", PHONE, USER_ID))
        assert await queue.aliases.join("bot", self.NAMES, event_id="e1")
        assert (await queue.enqueue(written("m2", "201000000099", "EG.99"))).user_phone == PHONE
        assert await answer_all(queue, clock) == [("m1", "m2")]

    async def test_a_user_of_whom_nothing_is_known_is_not_joined(self, queue: MessageQueue) -> None:
        assert not await queue.aliases.join("bot", self.NAMES, event_id="e1")
        assert await queue.redis.keys("*alias*") == []

    async def test_an_event_while_messages_wait_under_both(self, queue: MessageQueue, clock: Clock) -> None:
        await queue.enqueue(written("m1", PHONE))
        await queue.enqueue(written("m2", "201000000099"))
        assert await queue.aliases.join("bot", self.NAMES, event_id="e1")
        await queue.enqueue(written("m3", PHONE))
        await queue.enqueue(written("m4", "201000000099"))
        assert await waiting(queue) == {PHONE: ["m1", "m3", "m4"], "201000000099": ["m2"]}
        assert await answer_all(queue, clock) == [("m2",)]
        assert await answer_all(queue, clock) == [("m1", "m3", "m4")]

    @pytest.mark.newest_redis
    async def test_forget_by_the_old_number_forgets_the_new_one(
        self, queue: MessageQueue, clock: Clock
    ) -> None:
        await queue.enqueue(written("m1", PHONE, USER_ID))
        await queue.aliases.join("bot", self.NAMES, event_id="e1")
        await answer_all(queue, clock)
        await queue.forget("bot", PHONE)
        assert await queue.redis.keys("*alias*") == await queue.redis.keys("*names*") == []


class TestDirectPath:
    async def test_an_older_message_under_another_name_is_waited_for(
        self, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queue, bot = MessageQueue(redis_client, QueueSettings(direct_after_ms=0)), Bot()
        intake = Intake(queue, bot.handle, bot.send)
        await intake.receive(written("m1", LID))
        await intake.receive(written("m2", PHONE, LID))
        monkeypatch.setattr(queue, "enqueue", _away)
        for names in ((PHONE, LID), (PHONE,), (LID,)):
            with pytest.raises(QueueUnavailableError, match="an older message"):
                await intake.receive(written("m3", *names))
        assert bot.sent == []

    async def test_a_message_that_was_answered_is_not_answered_by_another_name(
        self, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queue, bot = MessageQueue(redis_client, QueueSettings(direct_after_ms=0)), Bot()
        intake = Intake(queue, bot.handle, bot.send)
        with monkeypatch.context() as patch:
            patch.setattr(queue, "enqueue", _away)
            patch.setattr(queue, "withdraw", _away)
            assert await intake.receive(written("m1", PHONE, LID)) == "answered"
            assert await intake.receive(written("m1", LID)) == "duplicate"
        assert await intake.receive(written("m1", LID)) == "duplicate"
        await check_ledger(queue, ["m1"], bot.sent_ids)

    async def test_messages_of_one_user_pass_one_after_the_other(self, redis_client: Redis) -> None:
        queue, bot = MessageQueue(redis_client), Bot()
        intake = Intake(queue, bot.handle, bot.send)
        names = [(PHONE, LID), (LID,), (LID, PHONE), (PHONE,), (LID,)]
        await asyncio.gather(*(intake.receive(written(f"m{n}", *given)) for n, given in enumerate(names)))
        pending = [message.id for message in await queue.pending("bot", LID)]
        assert pending == ["m0", "m1", "m2", "m3", "m4"]

    async def test_a_cancelled_message_lets_the_later_ones_wait_for_the_earlier(
        self, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queue, bot = MessageQueue(redis_client), Bot()
        intake = Intake(queue, bot.handle, bot.send)
        enqueue, may_go, begun = queue.enqueue, asyncio.Event(), list[str]()

        async def slowly(message: QueueMessage) -> Any:
            begun.append(message.id)
            await may_go.wait()
            return await enqueue(message)

        monkeypatch.setattr(queue, "enqueue", slowly)
        first = asyncio.create_task(intake.receive(written("m1", LID)))
        second = asyncio.create_task(intake.receive(written("m2", PHONE, LID)))
        third = asyncio.create_task(intake.receive(written("m3", PHONE)))
        fourth = asyncio.create_task(intake.receive(written("m4", PHONE, LID)))
        await asyncio.sleep(0)
        for task in (second, fourth):
            task.cancel()
        await asyncio.wait([second, fourth])
        fifth = asyncio.create_task(intake.receive(written("m5", PHONE)))
        for _ in range(10):
            await asyncio.sleep(0)
        assert begun == ["m1"]
        may_go.set()
        await asyncio.gather(first, third, fifth)
        assert [message.id for message in await queue.pending("bot", LID)] == ["m1"]
        assert [message.id for message in await queue.pending("bot", PHONE)] == ["m3", "m5"]
        assert (begun, intake._deliveries) == (["m1", "m3", "m5"], {})


async def _away(_: QueueMessage) -> Any:
    raise QueueUnavailableError("away")
