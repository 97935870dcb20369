"""Calls that go to Redis together in one EVALSHA: which do, and that each is carried out as if it were alone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec
import pytest
from redis.asyncio import ConnectionPool, Redis

from queue_core import MessageQueue, QueueError, QueueMessage, QueueSettings, QueueUnavailableError, connect
from queue_core.keys import KeySpace, Place
from queue_core.message import encode
from queue_core.redis import scripts
from queue_core.redis.link_transport import LinkTransport
from queue_core.redis.pending_calls import CALLS_MAX, PendingCall, groups_of
from queue_core.redis.scripts.loader import Call, ScriptMismatchError, stub, text
from queue_core.settings import Rules
from tests.conftest import REAL, ServerOf, store_client
from tests.queue_core.redis.servers import Played
from tests.queue_core.searches.planting import plant

NOW = 1_790_000_000_000
SPACE = KeySpace("wa", 64)
PATIENT_MS = 20_000


def place_of(phone: str) -> Place:
    """The keys of a conversation; those of all tests lie in the first partition, unless the phone begins with a 9."""
    return SPACE.in_partition(phone.startswith("9"), f"bot:{phone}")


def enqueue(message_id: str, phone: str = "1", **changed: Any) -> scripts.Enqueue:
    place = place_of(phone)
    message = QueueMessage(id=message_id, instance_name="bot", user_phone=phone, message="…")
    call = scripts.Enqueue(
        place=place,
        seen=place.seen_of(message_id),
        rules=Rules(window_ms=0),
        now_ms=NOW,
        message=encode(message, 10_000),
        follows=1,
        names="",
        aliases_ttl_ms=86_400_000,
        provider_ms=0,
        dedupe_ttl_ms=86_400_000,
        late_is_dead=0,
        dead_letters_max=1_000,
        confirms_duplicates=0,
    )
    return msgspec.structs.replace(call, **changed)


def extend(token: int, phone: str = "1") -> scripts.Extend:
    return scripts.Extend(place=place_of(phone), now_ms=NOW, token=token, lock_ttl_ms=60_000)


def record_reply(token: int, phone: str, reply: str) -> scripts.RecordReply:
    return scripts.RecordReply(
        place=place_of(phone),
        rules=Rules(window_ms=0),
        now_ms=NOW,
        token=token,
        text=reply,
        supersede_ms=0,
        max_batch=100,
        completed_ttl_ms=60_000,
        stats_ttl_ms=60_000,
    )


def record_sent(token: int, phone: str) -> scripts.RecordSent:
    return scripts.RecordSent(place=place_of(phone), now_ms=NOW, token=token, parts=1, is_whole=1)


def complete(token: int, phone: str) -> scripts.Complete:
    return scripts.Complete(
        place=place_of(phone),
        rules=Rules(window_ms=0),
        now_ms=NOW,
        token=token,
        completed_ttl_ms=60_000,
        stats_ttl_ms=60_000,
    )


LOOK = scripts.Look(partition=SPACE.partitions[0], now_ms=NOW)
PACE = scripts.Pace(
    moments="{m}",
    slowdown="{m}s",
    now_ms=NOW,
    per_s=1,
    count=1,
    wait_max_ms=1,
    waited_ms=0,
    refused=0,
    asked_ms=0,
    ago_ms=0,
)


def pending_of(call: Call[Any], **changed: bool) -> PendingCall:
    nobody: Any = None
    pending = PendingCall(call, nobody, 0.0)
    for name, value in changed.items():
        setattr(pending, name, value)
    return pending


@pytest.mark.parametrize(
    ("calls", "groups"),
    {
        "one call": ([enqueue("a")], ["a"]),
        "calls of one script": ([enqueue("a", "1"), enqueue("b", "2"), enqueue("c", "1")], ["abc"]),
        "more than a group takes": (
            [enqueue("x", f"1{number}") for number in range(CALLS_MAX + 2)],
            ["x" * CALLS_MAX, "xx"],
        ),
        "two partitions, which may lie in two slots": (
            [enqueue("a", "1"), enqueue("b", "9"), enqueue("c", "2"), enqueue("d", "91")],
            ["ac", "bd"],
        ),
        "other settings": ([enqueue("a"), enqueue("b", rules=Rules(window_ms=5))], ["a", "b"]),
        "another time": ([enqueue("a"), enqueue("b", now_ms=NOW + 1), enqueue("c")], ["a", "b", "c"]),
        "two scripts, other conversations": (
            [enqueue("a", "1"), extend(7, "2"), enqueue("b", "3"), extend(8, "4")],
            ["ab", "78"],
        ),
        "two scripts on one conversation": (
            [enqueue("a", "1"), extend(7, "2"), enqueue("b", "2"), enqueue("c", "1"), extend(8, "2")],
            ["a", "7", "bc", "8"],
        ),
        "a script without a gathered form, on another conversation": (
            [enqueue("a"), scripts.DeleteAlias(place=place_of("2"), target="p"), enqueue("b")],
            ["ab", "p"],
        ),
        "a script without a gathered form, on the conversation": (
            [enqueue("a"), scripts.DeleteAlias(place=place_of("1"), target="p"), enqueue("b")],
            ["a", "p", "b"],
        ),
        "a script on the whole partition": ([enqueue("a"), LOOK, enqueue("b"), LOOK], ["a", "?", "b", "?"]),
        "calls that must go alone": (
            [
                pending_of(enqueue("a", "1"), goes_alone=True),
                enqueue("b", "2"),
                pending_of(enqueue("c", "3"), is_asking=True),
                enqueue("d", "4"),
            ],
            ["a", "bd", "c"],
        ),
    }.values(),
)  # fmt: skip
def test_which_calls_go_together(calls: list[Call[Any] | PendingCall], groups: list[str]) -> None:
    pending_calls = [call if isinstance(call, PendingCall) else pending_of(call) for call in calls]
    assert ["".join(_name(it.call) for it in group.calls) for group in groups_of(pending_calls)] == groups
    for group in groups_of(pending_calls):
        _, keys_count, *inputs = group.command()
        keys = inputs[:keys_count]
        assert len({key.partition("}")[0] for key in keys}) == 1, "keys of two slots"
        assert len(group.calls) == 1 or group.calls[0].call.place.absent in keys  # type: ignore[attr-defined]  # of the stub


def _name(call: Any) -> str:
    if isinstance(call, scripts.Enqueue):
        return str(msgspec.json.decode(call.message)["id"])
    return str(getattr(call, "token", getattr(call, "target", "?")))


def test_the_text_of_a_gathered_script_is_the_same_in_every_process() -> None:
    """Redis keeps every text that it is sent, so the order must not come from a set."""
    names = (
        "place_base place_active place_wake place_dead place_layout place_partitions place_damaged seen_ids"
    )
    assert re.findall(r"local shared_(\w+) =", source_of(scripts.Enqueue)) == names.split()
    assert (
        "local rules = {window_ms = tonumber(ARGV["
        in source_of(scripts.Enqueue).partition("local function run")[0]
    )


def source_of(kind: type[Call[Any]]) -> str:
    assert kind.gathered
    return kind.gathered.source


def test_a_stub_shares_only_what_it_declares() -> None:
    with pytest.raises(ScriptMismatchError, match=r"Extend shares what it does not declare: \['rules'\]"):
        stub("extend", shared="now_ms rules")(scripts.Extend)


# On Redis.


@pytest.fixture(params=[*REAL, "store"])
async def client(request: pytest.FixtureRequest, server_of: ServerOf) -> Any:
    """A client of an empty Redis of each version, and of the simulator's store."""
    if request.param == "store":
        yield store_client()
        return
    async with connect(server_of(request.param).url) as client:
        await client.flushall()
        await client.script_flush()
        yield client


def transport_to(client: Redis) -> Any:
    """The transport that gathers calls, on a real server or on the store."""
    if hasattr(client, "transport"):
        return client.transport(deadline_ms=PATIENT_MS)
    return LinkTransport(client, deadline_ms=PATIENT_MS)


async def all_of(calls: list[Awaitable[Any]]) -> list[Any]:
    return await asyncio.gather(*calls, return_exceptions=True)


async def leased(transport: Any, phones: str) -> dict[str, int]:
    """Enqueue a message of each user, and lease all. Returns the tokens."""
    await all_of([transport.gathered(enqueue("m", phone)) for phone in phones])
    call = scripts.Claim(
        partition=SPACE.partitions[0],
        last_claim=SPACE.partitions[0].last_claim_of("p"),
        rules=Rules(window_ms=0),
        now_ms=NOW,
        processor_id="p",
        claim_id="c",
        run="r",
        claim_number=1,
        earliest_ms=0,
        latest_ms=0,
        was_unanswered=0,
        limit=50,
        lock_ttl_ms=60_000,
        grace_ms=1_000,
        max_batch=100,
        max_attempts=3,
        dead_letters_max=100,
        queue_ttl_ms=10**9,
        patience_ms=10**9,
        completed_ttl_ms=60_000,
        only="",
        kept="",
        watcher="",
        left_out="",
        room=50,
    )
    batches = (await transport.alone(call)).batches
    return {batch.conversation.rpartition(":")[2]: batch.token for batch in batches}


async def content(client: Redis) -> dict[str, Any]:
    """Return all that is kept; of streams, the lengths."""
    reads: dict[str, Callable[[str], Awaitable[Any]]] = {
        "string": client.get,
        "list": lambda key: client.lrange(key, 0, -1),
        "hash": client.hgetall,
        "zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        "stream": client.xlen,
    }
    keys = sorted([key async for key in client.scan_iter(count=1000)])
    return {key: await reads[text(await client.type(key))](key) for key in keys}


async def carry_out(client: Redis) -> Any:
    """Carry out each script on several conversations, one of them with a wrong token, and some calls twice."""
    await client.flushall()
    transport, answers = transport_to(client), dict[int, list[Any]]()
    tokens = await leased(transport, "12345678")
    tokens["4"] += 50
    steps: list[Iterator[Call[Any]]] = [
        (enqueue(name, phone) for phone in "1234" for name in ("n", "m", "n")),
        (extend(tokens[phone], phone) for phone in "12345678"),
        (record_reply(tokens[phone], phone, f"to {phone}") for phone in "12345678"),
        (record_sent(tokens[phone], phone) for phone in "1234"),
        (complete(tokens[phone], phone) for phone in "123456771"),
    ]
    for number, calls in enumerate(steps):
        answers[number] = await all_of([transport.gathered(call) for call in calls])
    return answers, await content(client)


async def test_gathered_calls_do_what_single_calls_do(client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    gathered = await carry_out(client)
    kinds_of_answers = [len(set(map(str, answers))) for answers in gathered[0].values()]
    monkeypatch.setattr("queue_core.redis.pending_calls.CALLS_MAX", 1)
    assert await carry_out(client) == gathered
    assert kinds_of_answers == [2, 2, 2, 2, 3], (
        "queued, duplicate; held, lost (three times); held, settled, lost"
    )


async def calls_of_evalsha(client: Redis) -> int:
    stats: dict[str, dict[str, int]] = await client.info("commandstats")
    return stats["cmdstat_evalsha"]["calls"]


@pytest.fixture
async def newest(server_of: ServerOf) -> Any:
    """A client of an empty Redis of the newest version."""
    async with connect(server_of(REAL[-1]).url) as client:
        await client.flushall()
        await client.script_flush()
        await client.config_resetstat()
        yield client
        await client.config_set("maxmemory", 0)


async def test_calls_of_one_turn_share_an_evalsha_and_scripts_come_back(newest: Redis) -> None:
    transport = transport_to(newest)
    for before in (0, 1):
        answers = await all_of([transport.gathered(enqueue(f"m{before}", phone)) for phone in "12345"])
        assert [answer.waiting for answer in answers] == [before + 1] * 5
        assert await calls_of_evalsha(newest) == 1 + 2 * before, (
            "the second is refused once, for its lost script"
        )
        await newest.script_flush()


async def test_a_damaged_conversation_is_mended_and_the_others_go_on(client: Redis) -> None:
    transport = transport_to(client)
    tokens = await leased(transport, "12345")
    await client.set(place_of("3").lock, "of a wrong type")
    answers = await all_of([transport.gathered(complete(tokens[phone], phone)) for phone in "12345"])
    assert answers == ["held", "held", "lost", "held", "held"]
    assert await client.xlen(SPACE.partitions[0].damaged) == 1


async def test_an_error_in_the_middle_is_the_answer_of_its_call_alone(newest: Redis) -> None:
    """A user without the right to rename cannot move the damaged key aside."""
    tokens = await leased(transport_to(newest), "12345")
    await newest.set(place_of("3").lock, "of a wrong type")
    await newest.acl_setuser(
        "limited",
        enabled=True,
        reset=True,
        passwords=["+x"],
        keys=["*"],
        categories=["+@all"],
        commands=["-rename"],
    )
    options = {**newest.connection_pool.connection_kwargs, "username": "limited", "password": "x"}
    pool = ConnectionPool(connection_class=newest.connection_pool.connection_class, **options)
    async with Redis.from_pool(pool) as limited:
        transport = transport_to(limited)
        await newest.config_resetstat()
        answers = await all_of([transport.gathered(complete(tokens[phone], phone)) for phone in "12345"])
        assert await calls_of_evalsha(newest) == 1
    assert [str(answer) for answer in answers if answer != answers[2]] == ["held"] * 4
    assert isinstance(answers[2], QueueError)
    assert "rename" in str(answers[2])
    await newest.acl_deluser("limited")


async def test_a_full_redis_refuses_each_new_message_and_completes_turns(newest: Redis) -> None:
    transport = transport_to(newest)
    tokens = await leased(transport, "12345")
    await newest.config_set("maxmemory", 1)
    calls = [
        enqueue("m", "1", confirms_duplicates=1),
        *(enqueue("n", phone, confirms_duplicates=1) for phone in "2345"),
    ]
    duplicate, *refused = await all_of([transport.gathered(call) for call in calls])
    assert duplicate.status == "duplicate", "which writes although Redis is full"
    assert {type(answer) for answer in refused} == {QueueUnavailableError}
    assert "maxmemory" in str(refused[3])
    assert (
        await all_of([transport.gathered(complete(tokens[phone], phone)) for phone in "12345"])
        == ["held"] * 5
    )


async def test_a_cancelled_call_is_made_and_the_others_are_answered(client: Redis) -> None:
    transport = transport_to(client)
    calls = [transport.gathered(enqueue("m", phone)) for phone in "12345"]
    calls[2].cancel()
    answers = await all_of(calls)
    assert isinstance(answers.pop(2), asyncio.CancelledError)
    assert {answer.status for answer in answers} == {"queued"}
    assert (await transport.gathered(enqueue("m", "3"))).status == "duplicate"


async def test_a_call_that_cannot_be_written_fails_alone(newest: Redis) -> None:
    transport = transport_to(newest)
    tokens = await leased(transport, "123")
    replies = {"1": "first", "2": "\ud800", "3": "third"}
    calls = [
        transport.gathered(record_reply(tokens[phone], phone, reply)) for phone, reply in replies.items()
    ]
    first, unwritable, third = await all_of(calls)
    assert (first, third) == ("held", "held")
    assert isinstance(unwritable, UnicodeEncodeError)


async def test_without_a_replica_that_confirms_no_gathered_call_is_acknowledged(newest: Redis) -> None:
    queue = MessageQueue(newest, QueueSettings(wait_for_replicas=1, redis_deadline_ms=1_200))
    messages = [QueueMessage(id="m", instance_name="bot", user_phone=phone, message="x") for phone in "123"]
    answers = await all_of([queue.enqueue(message) for message in messages])
    assert {type(answer) for answer in answers} == {QueueUnavailableError}
    assert "replicas" in str(answers[0])
    assert await calls_of_evalsha(newest) == 1


@pytest.mark.parametrize("is_crowded", [False, True])
async def test_a_script_that_is_aborted_in_one_call_harms_no_other(
    is_crowded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Aborted after each write in turn; the message is stored when it is delivered again.

    In a crowd all ids are in one bucket, which the second message fills, so that a layer is added.
    """
    if is_crowded:
        plant(monkeypatch, "seen", "local BITS_MIN = 6", "local BITS_MIN = 0")
        plant(monkeypatch, "seen", "local BUCKET_IDS_MAX = 96", "local BUCKET_IDS_MAX = 2")
    for writes in range(1, 100):
        client = store_client()
        transport, store = transport_to(client), client._server.store  # type: ignore[attr-defined]  # of StoreClient
        store.abort_after(writes)
        answers = await all_of([transport.gathered(enqueue("m", phone)) for phone in "1234"])
        was_not_reached = store.abort_after(None)
        failed = [
            phone for phone, answer in zip("1234", answers, strict=True) if isinstance(answer, QueueError)
        ]
        assert len(failed) <= 1
        for phone in "1234":
            again = await transport.gathered(enqueue("m", phone))
            assert again.status == ("queued" if phone in failed else "duplicate")
            assert await client.llen(place_of(phone).queue) == 1
        assert await client.zcard(place_of("1").active) == 4
        if was_not_reached:
            return
    pytest.fail("four messages need more than 100 writes")


# On a server that a test plays.


def bulk(value: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(value), value)


HELD = bulk(b"held")
SINGLE = scripts.Extend.script.sha.encode()


@pytest.mark.parametrize(
    ("instead", "connections"),
    [
        (HELD, 2),
        (b"*2\r\n" + 2 * HELD, 2),
        (b"*-1\r\n", 2),
        (b"-ERR Error running script: killed by user with SCRIPT KILL\r\n", 1),
        (b"-NOPERM no permissions to access a key\r\n", 1),
    ],
)
async def test_after_an_answer_that_is_not_one_for_each_call_all_are_made_again(
    instead: bytes, connections: int
) -> None:
    """An answer that cannot be read ends the connection; after an error for all, each call goes alone."""

    def answer(number: int, command: tuple[bytes, ...]) -> bytes:
        if command[0] == b"SCRIPT" or command[1] == SINGLE:
            return HELD
        return b"*3\r\n" + 3 * HELD if number > 1 else instead

    async with Played(answer) as server, connect(server.url) as client:
        transport = LinkTransport(client, deadline_ms=PATIENT_MS)
        assert await all_of([transport.gathered(extend(1, phone)) for phone in "123"]) == ["held"] * 3
        assert server.connections == connections
        again = [command for command in server.commands if command[0] == b"EVALSHA"][1:]
        assert len(again) == (1 if connections == 2 else 3)
        assert await all_of([transport.gathered(extend(1, phone)) for phone in "123"]) == ["held"] * 3


async def test_a_full_group_leaves_before_the_turn_ends() -> None:
    """So that the server works while further calls are made. Calls of another partition do not count."""
    async with Played(lambda *_: HELD) as server, connect(server.url) as client:
        transport = LinkTransport(client, deadline_ms=PATIENT_MS)
        assert await transport.gathered(extend(1)) == "held"
        calls = [transport.gathered(extend(1, phone)) for phone in "19" * (CALLS_MAX - 1)]
        assert transport.round_trips == 1
        calls.append(transport.gathered(extend(1)))
        assert transport.round_trips == 2
        for call in calls:
            call.cancel()


async def test_a_call_that_was_refused_does_not_come_after_a_later_one_on_its_conversation() -> None:
    """A full Redis refuses a group; memory is freed; the next group has another call on the first conversation."""
    orders: list[bytes] = []

    def answer(_: int, command: tuple[bytes, ...]) -> bytes:
        if command[0] == b"SCRIPT":
            return HELD
        orders.append(b" ".join(command))
        if len(orders) == 1:
            return b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
        return HELD if command[1] == SINGLE else b"*2\r\n" + 2 * HELD

    async with Played(answer) as server, connect(server.url) as client:
        transport = LinkTransport(client, deadline_ms=PATIENT_MS)
        phones = ["1", *(f"2{number}" for number in range(CALLS_MAX)), "1"]
        refused, *others = await all_of([transport.gathered(extend(1, phone)) for phone in phones])
        assert isinstance(refused, QueueUnavailableError)
        assert others == ["held"] * (len(phones) - 1)
        assert len(orders) == 2 + CALLS_MAX - 1
        assert not any(b"bot:1 " in order for order in orders[2:])


async def test_the_error_of_a_call_that_went_alone_is_its_answer() -> None:
    async with (
        Played(lambda _, command: HELD if command[0] == b"SCRIPT" else b"-ERR no\r\n") as server,
        connect(server.url) as client,
    ):
        transport = LinkTransport(client, deadline_ms=PATIENT_MS)
        answers = await all_of([transport.gathered(extend(1, phone)) for phone in "123"])
        assert [str(answer) for answer in answers] == ["Redis refused a script of the queue: no"] * 3
