"""The health report: its counts, warnings and errors, and that it never raises."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import msgspec
import pytest
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import ResponseError

from queue_core import MessageQueue, QueueUnavailableError, connect
from queue_core.queue.health.health import PAGE, HealthReport, examine
from queue_core.queue.health.probe import probe
from queue_core.queue.outages import OutageSign
from queue_core.redis.facts import ServerFacts, errors_of, warnings_of, worst
from queue_core.redis_server.binaries import find_all_redis_servers
from queue_core.redis_server.embedded import EmbeddedRedis
from tests.queue_core.bot import enqueue, on_newest, quick

pytestmark = pytest.mark.not_on_store("the store has no INFO")
NOW_MS = 1_700_000_000_000
SERVERS = find_all_redis_servers()
every_version = pytest.mark.parametrize("binary", SERVERS, ids=lambda binary: binary.version)
PATIENT = {"redis_deadline_ms": 10_000}
GOOD = {"maxmemory": "1gb"}


def about(complaints: tuple[str, ...] | list[str], word: str) -> list[str]:
    return [it for it in complaints if word in it]


# Counts.


async def test_the_counts(redis_client: Redis) -> None:
    now = NOW_MS
    queue = MessageQueue(redis_client, quick(window_ms=0, max_batch=5, **PATIENT), clock=lambda: now)
    await enqueue(queue, ["a1", "a2"], "ali")
    now += 100
    await enqueue(queue, ["b1"], "mona")
    now += 100
    await enqueue(queue, ["c1"], "omar")
    ali, _ = (await queue.claim("p", limit=2)).batches
    await enqueue(queue, ["a3"], "ali")
    (omar,) = (await queue.claim("p")).batches
    await queue.fail(omar, "no use", dead=True)
    now += queue.settings.lock_ttl_ms + 50
    await queue.extend(ali)
    report = await examine(queue)
    assert report.reachable
    assert report.checked_at_ms == now
    assert (report.active_conversations, report.waiting, report.in_flight) == (2, 1, 3)
    assert report.oldest_age_ms == queue.settings.lock_ttl_ms + 50, "what is in flight does not wait"
    assert (report.dead_letters, report.expired_leases, report.stranded_conversations) == (1, 1, 0)
    assert about(report.warnings, "1 dead letter: see")
    assert about(report.warnings, "1 lease ran out")


async def test_an_outage_is_a_warning_that_says_since_when_why_and_how_many_wait(redis_client: Redis) -> None:
    now = NOW_MS
    queue = MessageQueue(redis_client, quick(queue_ttl_s=60, **PATIENT), clock=lambda: now)
    for user in ("ali", "mona", "omar"):
        await enqueue(queue, [user], user)
    now += 20
    for batch in (await queue.claim("p", limit=3)).batches:
        await queue.fail(batch, "the AI answered 503", sign=OutageSign("ai", 10))
    now += 50_000
    report = await examine(queue)
    assert [(outage.name, outage.waiting) for outage in report.outages or ()] == [("the AI", 2)]
    assert about(report.warnings, "the AI has been away for 50.0 s; waiting for it: 2 conversations")
    assert about(report.warnings, "after 20 h. Its last error: the AI answered 503")
    assert not about(report.warnings, "the oldest message"), "what waits for the AI does not expire"
    probe = (await queue.claim("p", limit=1)).batches[0]
    await queue.record_reply(probe, "hello")
    assert about((await examine(queue)).warnings, "still waiting: 1 conversation")


async def test_an_outage_for_which_no_turn_waits_ends_with_the_next_turn(redis_client: Redis) -> None:
    now = NOW_MS
    queue = MessageQueue(redis_client, quick(**PATIENT), clock=lambda: now)
    for user in ("ali", "mona"):
        await enqueue(queue, [user], user)
    now += 20
    for batch in (await queue.claim("p", limit=2)).batches:
        await queue.fail(batch, "the AI answered 503", sign=OutageSign("ai", 10))
    for user in ("ali", "mona"):
        await queue.forget("bot", user, drop_waiting=True)
    for _ in range(60):
        now += 60_000
        assert (await queue.claim("p")).batches == ()
    warnings = (await examine(queue)).warnings
    assert about(
        warnings, "the AI has been away for 1 h; no turn waits for it, so the next turn tries it. Its last"
    )
    await enqueue(queue, ["later"], "omar")
    now += 20
    (batch,) = (await queue.claim("p")).batches
    await queue.fail(batch, "no text for the user")
    assert [outage.is_away for outage in await queue.outages()] == [True], "this is not a success"
    now += 60_000
    (batch,) = (await queue.claim("p")).batches
    await queue.record_reply(batch, "hello")
    assert [outage.is_away for outage in await queue.outages()] == [False]


async def test_an_empty_queue(redis_client: Redis) -> None:
    report = await examine(MessageQueue(redis_client, quick(partitions=4, **PATIENT)))
    assert (report.active_conversations, report.oldest_age_ms, report.dead_letters) == (0, None, 0)
    assert abs(report.checked_at_ms - time.time() * 1000) < 60_000


@on_newest
async def test_more_conversations_than_a_page_in_several_partitions(redis_client: Redis) -> None:
    queue = MessageQueue(redis_client, quick(partitions=3, **PATIENT))
    await asyncio.gather(*(enqueue(queue, ["m1", "m2"], f"user-{number}") for number in range(1_000)))
    report = await examine(queue)
    assert (report.active_conversations, report.waiting) == (1_000, 2_000)


@on_newest
@pytest.mark.newest_redis
async def test_a_report_on_ten_thousand_conversations_is_cheap(redis_client: Redis) -> None:
    queue = MessageQueue(redis_client, quick(window_ms=60_000, **PATIENT))
    await asyncio.gather(*(enqueue(queue, ["m1"], f"user-{number}") for number in range(10_000)))
    await redis_client.config_resetstat()
    report = await examine(queue)
    assert report.active_conversations == 10_000
    calls: dict[str, Any] = await redis_client.info("commandstats")
    slowest_us = max(float(it["usec_per_call"]) for it in calls.values())
    assert slowest_us < 20_000, "one step holds up everybody else"
    assert sum(it["calls"] for name, it in calls.items() if name != "cmdstat_info") < 100_000


@on_newest
async def test_a_count_that_runs_out_of_time_is_scaled_up(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = MessageQueue(redis_client, quick(redis_deadline_ms=2_000))
    await asyncio.gather(*(enqueue(queue, ["m1"], f"user-{number}") for number in range(401)))
    survey = queue.survey

    async def slow(*page: Any) -> Any:
        await asyncio.sleep(1.05)
        return await survey(*page)

    monkeypatch.setattr(queue, "survey", slow)
    report = await examine(queue)
    assert report.active_conversations == 401
    assert (report.waiting, report.is_estimated) == (401, True)


@on_newest
@pytest.mark.newest_redis
async def test_of_many_conversations_a_part_is_counted_and_stands_for_all(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("queue_core.queue.health.health.PAGES_MAX", 4)
    queue = MessageQueue(redis_client, quick(partitions=2, **PATIENT))
    await asyncio.gather(*(enqueue(queue, ["m1", "m2"], f"user-{number}") for number in range(2_000)))
    await redis_client.config_resetstat()
    report = await examine(queue)
    assert (report.active_conversations, report.waiting, report.is_estimated) == (2_000, 4_000, True)
    assert (await redis_client.info("commandstats"))["cmdstat_llen"]["calls"] == 4 * PAGE


@on_newest
async def test_the_oldest_message_is_near_its_end(redis_client: Redis) -> None:
    now = NOW_MS
    queue = MessageQueue(redis_client, quick(queue_ttl_s=60, **PATIENT), clock=lambda: now)
    await enqueue(queue, ["m1"])
    now += 30_000
    assert not about((await examine(queue)).warnings, "oldest message")
    now += 1_000
    assert about((await examine(queue)).warnings, "oldest message has waited for 31.0 s")


async def test_stranded_conversations_are_an_error_until_they_are_rescued(redis_client: Redis) -> None:
    queue = MessageQueue(redis_client, quick(**PATIENT))
    await enqueue(queue, ["m1"], "ali")
    await enqueue(queue, ["m2"], "mona")
    await redis_client.zrem(queue.keys.partitions[0].active, "bot:ali")
    report = await examine(queue)
    assert report.stranded_conversations == 1
    assert (await examine(queue, is_thorough=False)).stranded_conversations is None
    assert about(report.errors, "1 conversation with messages that no worker will look at")
    assert not report.is_healthy
    await queue.rescue()
    assert (await examine(queue)).stranded_conversations == 0


@on_newest
async def test_all_partitions_may_lie_on_a_primary_that_is_away(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*command: str) -> None:
        raise ConnectionError(f"refused: {command}")

    async def on_two_primaries(redis: Redis) -> list[tuple[str, Any]]:
        return [("near:1", redis.execute_command), ("away:2", refuse)]

    async def owners(redis: Redis, keys: list[str]) -> list[str]:
        return ["away:2"] * len(keys)

    monkeypatch.setattr("queue_core.queue.health.health.on_primaries", on_two_primaries)
    monkeypatch.setattr("queue_core.queue.health.health.owners_of", owners)
    queue = MessageQueue(redis_client, quick(partitions=2, **PATIENT))
    report = await examine(queue)
    assert (report.reachable, report.away_partitions, report.waiting) == (True, (0, 1), None)
    assert about(report.errors, "2 partitions of 2 cannot be read")
    assert await probe(queue, without=report.away_partitions) == []
    assert (await queue.without(report.away_partitions).sizes()).dead_letters == 0


async def test_partitions_that_were_taken_away_are_an_error(redis_client: Redis) -> None:
    before = MessageQueue(redis_client, quick(partitions=8, **PATIENT))
    await asyncio.gather(*(enqueue(before, ["m1"], f"user-{number}") for number in range(40)))
    report = await examine(MessageQueue(redis_client, quick(partitions=1, **PATIENT)))
    assert (report.stranded_conversations or 0) > 20
    assert about(report.errors, "set partitions (now 1) back")


# Facts about Redis.


@every_version
async def test_a_redis_without_faults(binary: Any) -> None:
    with EmbeddedRedis(server=binary.path, append_only=True, append_fsync="always", config=GOOD) as server:
        async with connect(server.url) as redis:
            report = await examine(MessageQueue(redis, quick(**PATIENT)))
    assert (report.errors, report.warnings, report.is_healthy) == ((), (), True)
    assert report.version == binary.version
    assert (report.append_only, report.append_fsync, report.role) == (True, "always", "primary")
    assert (report.eviction_policy, report.memory_limit_bytes) == ("noeviction", 2**30)
    assert 0 < (report.memory_used_bytes or 0) < 2**30
    assert 0 < (report.latency_ms or 0) < 10_000
    assert not report.is_cluster
    assert msgspec.to_builtins(report)["activeConversations"] == 0


@every_version
async def test_a_redis_that_breaks_the_guarantee(binary: Any) -> None:
    config = {"maxmemory-policy": "allkeys-lru"}
    with EmbeddedRedis(server=binary.path, config=config) as server:
        async with connect(server.url) as redis:
            report = await examine(MessageQueue(redis, quick(**PATIENT)))
    assert about(report.errors, "maxmemory-policy is allkeys-lru")
    assert about(
        report.errors, "append-only file is off, so a restart of Redis loses everything since its last snap"
    )
    assert len(report.errors) == 2
    assert about(report.warnings, "maxmemory is not set")


@every_version
@pytest.mark.parametrize("forbidden", [["config"], ["info"], ["config", "info"]], ids="-".join)
async def test_a_user_without_rights_to_read_facts(binary: Any, forbidden: list[str]) -> None:
    """As on a managed Redis: known facts are in the report, unknown ones are named."""
    with EmbeddedRedis(
        server=binary.path, port=0, append_only=True, append_fsync="always", config=GOOD
    ) as server:
        async with connect(server.url) as admin:
            await admin.acl_setuser(
                "app",
                enabled=True,
                passwords=["+secret"],
                keys=["*"],
                channels=["*"],
                categories=["+@all"],
                commands=[f"-{it}" for it in forbidden],
            )
        async with connect(server.url.replace("redis://", "redis://app:secret@")) as redis:
            queue = MessageQueue(redis, quick(**PATIENT))
            await enqueue(queue, ["m1"])
            report = await examine(queue)
    assert report.reachable
    assert report.waiting == 1
    assert bool(about(report.warnings, "appendfsync is unknown")) == (forbidden == ["config"])
    assert bool(about(report.warnings, "may not run INFO")) == ("info" in forbidden)
    assert bool(about(report.errors, "neither INFO nor CONFIG GET")) == (len(forbidden) == 2)
    assert len(report.errors) == (1 if len(forbidden) == 2 else 0)
    assert report.append_only is (None if len(forbidden) == 2 else True)


async def test_a_replica_is_an_error_and_having_one_a_warning(redis_server: EmbeddedRedis) -> None:
    with (
        EmbeddedRedis(port=0, append_only=True, append_fsync="always", config=GOOD) as primary,
        EmbeddedRedis(port=0, append_only=True, append_fsync="always", config=GOOD) as second,
    ):
        async with connect(primary.url) as redis, connect(second.url) as replica:
            host, port = primary.url.removeprefix("redis://").removesuffix("/0").split(":")
            await replica.replicaof(host, port)
            await redis.set("written", 1)
            assert await redis.wait(1, 20_000) == 1, "the replica did not follow"
            report = await examine(MessageQueue(replica, quick(**PATIENT)))
            assert about(report.errors, "connect to its primary")
            assert report.role == "replica"
            report = await examine(MessageQueue(redis, quick(**PATIENT)))
            assert report.is_healthy
            assert about(report.warnings, "a failover to a replica")


async def test_a_cluster(cluster_client: RedisCluster) -> None:
    queue = MessageQueue(cast("Redis", cluster_client), quick(partitions=8, **PATIENT))
    await asyncio.gather(*(enqueue(queue, ["m1"], f"user-{number}") for number in range(40)))
    phone = "user-7"
    keys = queue.keys.of("bot", phone)
    await cluster_client.zrem(queue.keys.partitions[keys.partition].active, keys.conversation)
    report = await examine(queue)
    assert report.is_cluster
    assert (report.active_conversations, report.waiting, report.stranded_conversations) == (39, 39, 1)
    assert report.append_only is False
    assert about(report.errors, "append-only file is off")[0].startswith("127.0.0.1:")
    assert (await queue.rescue()).stranded == 1
    assert (await examine(queue)).active_conversations == 40


async def test_fakeredis_is_reported_as_not_a_real_redis(redis_client: Redis) -> None:
    report = await examine(MessageQueue(redis_client, quick(**PATIENT)))
    is_fake = "fakeredis" in type(redis_client).__module__
    assert bool(about(report.warnings, "not a real Redis")) == is_fake
    assert report.is_healthy == is_fake, "the real ones of the tests have no append-only file"


# Faults.


async def test_redis_away_paused_and_back(redis_server: EmbeddedRedis) -> None:
    async with connect(redis_server.url) as redis:
        queue = MessageQueue(redis, quick(redis_deadline_ms=500))
        assert (await examine(queue)).is_healthy
        redis_server.pause()
        began = time.monotonic()
        report = await examine(queue)
        assert time.monotonic() - began < 5
        redis_server.resume()
        assert not report.reachable
        assert about(report.errors, "did not answer within 500 ms")
        redis_server.kill()
        report = await examine(queue)
        assert (report.reachable, report.latency_ms) == (False, None)
        assert about(report.errors, "no connection to")
        redis_server.start()
        assert (await examine(queue)).is_healthy


async def test_redis_that_stops_answering_half_way(
    redis_server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect(redis_server.url) as redis:
        queue = MessageQueue(redis, quick(redis_deadline_ms=800))
        await enqueue(queue, ["m1"])
        unscheduled = queue.unscheduled_in_part

        async def pause_and_look(until: float) -> Any:
            redis_server.pause()
            return await unscheduled(until)

        monkeypatch.setattr(queue, "unscheduled_in_part", pause_and_look)
        report = await examine(queue)
        redis_server.resume()
    assert about(report.errors, "stopped answering while it was examined")
    assert report.reachable
    assert (report.waiting, report.append_fsync) == (1, "always"), "what was learned before stays"


@pytest.mark.parametrize(
    ("call", "sizes", "is_held"),
    [("layouts", None, None), ("sizes", None, False), ("survey", 1, False)],
)
async def test_counts_that_were_not_made_are_unknown_and_not_zero(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch, call: str, sizes: int | None, is_held: bool | None
) -> None:
    queue = MessageQueue(redis_client, quick(**PATIENT))
    await enqueue(queue, ["m1"])

    async def too_slow(*_: object) -> Any:
        raise QueueUnavailableError("Redis did not answer within 800 ms")

    monkeypatch.setattr(queue, call, too_slow)
    report = await examine(queue)
    assert report.reachable
    assert about(report.errors, "stopped answering while it was examined")
    assert (report.waiting, report.in_flight, report.expired_leases, report.outages) == (
        None,
        None,
        None,
        None,
    )
    assert (report.active_conversations, report.is_held) == (sizes, is_held)
    assert (report.dead_letters is None, report.damaged_keys is None) == (sizes is None, sizes is None)


async def test_messages_that_no_page_counted_are_not_estimated_as_none(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = MessageQueue(redis_client, quick(**PATIENT))
    await enqueue(queue, ["m1"])
    monkeypatch.setattr("queue_core.queue.health.health.COUNTING_SHARE", 0.0)
    report = await examine(queue)
    assert (report.active_conversations, report.waiting, report.is_estimated) == (1, None, False)


async def test_redis_that_is_loading() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(65_536):
                writer.write(b"-LOADING Redis is loading the dataset in memory\r\n")
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, connect(f"redis://127.0.0.1:{port}/0") as redis:
        report = await examine(MessageQueue(redis, quick()))
    assert about(report.errors, "loading")
    assert not report.reachable


async def test_a_wrong_password_is_an_error_that_does_not_show_it() -> None:
    with EmbeddedRedis(port=0, config={"requirepass": "right"}) as server:
        async with connect(server.url.replace("redis://", "redis://:wrong-one@")) as redis:
            report = await examine(MessageQueue(redis, quick()))
    assert about(report.errors, "password")
    assert "wrong-one" not in repr(report)


@on_newest
async def test_a_redis_without_lua_is_an_error(redis_client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(source: str) -> str:
        raise ResponseError("unknown command 'SCRIPT', with args beginning with: 'LOAD'")

    monkeypatch.setattr(redis_client, "script_load", refuse)
    report = await examine(MessageQueue(redis_client, quick(**PATIENT)))
    assert report.reachable
    assert about(report.errors, "Lua scripts")


# The rules, one server's facts at a time.


SOUND = ServerFacts(
    version="8.2.3",
    memory_used_bytes=10,
    memory_limit_bytes=100,
    eviction_policy="noeviction",
    append_only=True,
    append_fsync="always",
    role="primary",
)


def facts_with(**changes: Any) -> ServerFacts:
    return msgspec.structs.replace(SOUND, **changes)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"version": "6.0.16"}, "too old"),
        ({"role": "replica"}, "replica"),
        ({"eviction_policy": "volatile-lru"}, "noeviction"),
        ({"append_only": False}, "append-only"),
        ({"append_fsync": "no"}, "appendfsync is no"),
        ({"append_failed": True}, "free space on its disk"),
        ({"info": "forbidden", "config": "forbidden", "append_only": None}, "neither INFO nor CONFIG"),
    ],
    ids=str,
)
def test_each_error(changes: dict[str, Any], word: str) -> None:
    (error,) = errors_of(facts_with(**changes))
    assert word in error
    assert errors_of(SOUND) == []


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"append_fsync": "everysec"}, "the last 2 s"),
        ({"loads_truncated": True}, "aof-load-truncated is yes"),
        ({"memory_limit_bytes": 0}, "maxmemory is not set"),
        ({"memory_used_bytes": 81}, "81% of maxmemory"),
        ({"memory_used_bytes": 100}, "Redis is full"),
        ({"snapshot_failed": True}, "snapshot"),
        ({"replicas": 1}, "do not wait for replicas: set wait_for_replicas to 1"),
        ({"config": "forbidden", "append_fsync": ""}, "may not run CONFIG GET"),
        ({"config": "no such command", "append_fsync": ""}, "CONFIG is switched off"),
        ({"info": "forbidden"}, "may not run INFO"),
    ],
    ids=str,
)
def test_each_warning(changes: dict[str, Any], word: str) -> None:
    (warning,) = warnings_of(facts_with(**changes), waits_for_fsync=False)
    assert word in warning
    assert warnings_of(SOUND, waits_for_fsync=False) == []
    assert errors_of(facts_with(**changes)) == []


@pytest.mark.parametrize(("waits_for", "word"), [(0, "do not wait"), (1, "is 1 and there are 2"), (2, "")])
def test_the_setting_that_loses_nothing_is_that_of_all_replicas(waits_for: int, word: str) -> None:
    (warning,) = warnings_of(facts_with(replicas=2), waits_for_fsync=True, waits_for_replicas=waits_for) or [
        ""
    ]
    assert word in warning
    assert ("set wait_for_replicas to 2" in warning) == bool(word)


def test_a_queue_that_waits_for_the_disk_gets_no_warning_of_everysec() -> None:
    assert warnings_of(facts_with(append_fsync="everysec"), waits_for_fsync=True) == []


def test_the_worst_facts_of_a_cluster_are_reported() -> None:
    others = [
        facts_with(version="7.0.15", append_only=None),
        facts_with(memory_used_bytes=90, append_fsync="everysec"),
        facts_with(eviction_policy="allkeys-lru", role="replica", append_only=False),
    ]
    combined = worst([SOUND, *others])
    assert combined == ServerFacts(
        version="7.0.15",
        memory_used_bytes=90,
        memory_limit_bytes=100,
        eviction_policy="allkeys-lru",
        append_only=False,
        append_fsync="everysec",
        role="replica",
    )
    assert worst([SOUND]) == SOUND


def test_healthy_is_without_errors() -> None:
    assert HealthReport(checked_at_ms=1, warnings=("hm",)).is_healthy
    assert not HealthReport(checked_at_ms=1, errors=("oh",)).is_healthy


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (4, "4 dead letters: see"),
        (5, "over 50% of a partition's share of dead_letters_max"),
        (9, "over 90% of a partition's share"),
    ],
)
async def test_dead_letters_are_a_warning_that_says_how_much_room_they_take(
    redis_client: Redis, count: int, words: str
) -> None:
    queue = MessageQueue(redis_client, quick(dead_letters_max=20, partitions=2, **PATIENT))
    for _ in range(count):
        await redis_client.xadd(queue.keys.partitions[1].dead, {"conversation": "bot:1"})
    report = await examine(queue)
    assert about(report.warnings, words)
    assert not about(report.errors, "dead letter")


async def test_dead_letters_without_room_for_more_are_an_error(redis_client: Redis) -> None:
    queue = MessageQueue(redis_client, quick(dead_letters_max=20, partitions=2, **PATIENT))
    for _ in range(10):
        await redis_client.xadd(queue.keys.partitions[1].dead, {"conversation": "bot:1"})
    report = await examine(queue)
    words = "10 dead letters, and a partition has used up its share of dead_letters_max (20): a message that fails now"
    assert about(report.errors, words)
    assert report.dead_letters_share == 1
    alone = MessageQueue(redis_client, quick(dead_letters_max=5, prefix="alone", **PATIENT))
    for _ in range(5):
        await redis_client.xadd(alone.keys.partitions[0].dead, {"conversation": "bot:1"})
    assert about((await examine(alone)).errors, "no room for more within dead_letters_max (5)")
