"""The runner of calls on a client of redis-py: which calls travel together, in which order, and who gets an error."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fakeredis import FakeAsyncRedis, FakeServer
from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from queue_core import (
    MessageQueue,
    QueueError,
    QueueMessage,
    QueueSettings,
    QueueUnavailableError,
    Receipt,
    UnsupportedRedisError,
)
from queue_core.redis import scripts
from queue_core.redis.runner import PIPELINE_CALLS_MAX, ScriptRunner, explain
from queue_core.redis.scripts.loader import LuaScript

SETTINGS = QueueSettings(window_ms=0)


def message(number: int, phone: str = "1") -> QueueMessage:
    return QueueMessage(id=f"m{number}", instance_name="bot", user_phone=phone, message="x")


def queue_on(redis: Redis, deadline_ms: int = 20_000) -> MessageQueue:
    return MessageQueue(redis, SETTINGS, transport=ScriptRunner(redis, deadline_ms=deadline_ms))


def transport_of(queue: MessageQueue) -> ScriptRunner:
    assert isinstance(queue.transport, ScriptRunner)
    return queue.transport


@pytest.fixture
async def queue(redis_client: Redis) -> MessageQueue:
    """A queue whose scripts Redis has."""
    queue = queue_on(redis_client)
    await queue.enqueue(message(0, "warm up"))
    (batch,) = (await queue.claim("p")).batches
    await queue.complete(batch)
    transport_of(queue).round_trips = 0
    return queue


async def enqueue_all(queue: MessageQueue, count: int, phone: str = "1") -> list[Receipt | BaseException]:
    return await asyncio.gather(
        *(queue.enqueue(message(number, phone)) for number in range(count)), return_exceptions=True
    )


async def ids(queue: MessageQueue, phone: str = "1") -> list[str]:
    return [it.id for it in await queue.pending("bot", phone)]


@pytest.mark.parametrize(("count", "trips"), [(1, 1), (100, 1), (PIPELINE_CALLS_MAX, 1), (600, 3)])
async def test_calls_of_one_turn_travel_together_in_order(
    queue: MessageQueue, count: int, trips: int
) -> None:
    await enqueue_all(queue, count)
    assert transport_of(queue).round_trips == trips
    assert await ids(queue) == [f"m{number}" for number in range(count)]


async def test_calls_made_while_a_pipeline_is_under_way_go_in_the_next(queue: MessageQueue) -> None:
    first = asyncio.create_task(queue.enqueue(message(1)))
    while not transport_of(queue).round_trips:  # noqa: ASYNC110 - it is under way within a turn or two of the loop
        await asyncio.sleep(0)
    rest = [asyncio.create_task(queue.enqueue(message(number))) for number in range(2, 50)]
    await asyncio.gather(first, *rest)
    assert transport_of(queue).round_trips == 2
    assert await ids(queue) == [f"m{number}" for number in range(1, 50)]


async def test_different_scripts_travel_together(queue: MessageQueue) -> None:
    await enqueue_all(queue, 5, "done")
    (batch,) = (await queue.claim("p")).batches
    transport_of(queue).round_trips = 0
    await asyncio.gather(queue.complete(batch), queue.enqueue(message(1)), queue.withdraw(message(9)))
    assert transport_of(queue).round_trips <= 4, (
        "withdraw was not loaded: one round trip, its script, one more, and a look for an alias"
    )
    assert await ids(queue) == ["m1"]


async def test_a_call_alone_waits_for_no_pipeline(
    queue: MessageQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = asyncio.Event()
    real = transport_of(queue)._pipeline

    async def slow_for_many(calls: Any) -> list[Any]:
        if len(calls) > 1:
            await stuck.wait()
        return await real(calls)

    monkeypatch.setattr(transport_of(queue), "_pipeline", slow_for_many)
    both = [asyncio.create_task(queue.enqueue(message(number))) for number in range(2)]
    await asyncio.sleep(0)
    assert (await queue.claim("p")).batches == ()
    stuck.set()
    await asyncio.gather(*both)


@pytest.mark.parametrize("count", [1, 3, 300])
async def test_scripts_that_the_server_lost_are_loaded_again(queue: MessageQueue, count: int) -> None:
    """SCRIPT FLUSH or a restart; NOSCRIPT inside a pipeline."""
    await queue.redis.script_flush()
    receipts = await enqueue_all(queue, count)
    assert [receipt for receipt in receipts if not isinstance(receipt, Receipt)] == []
    assert await ids(queue) == [f"m{number}" for number in range(count)]
    await queue.redis.script_flush()
    (batch,) = (await queue.claim("p")).batches
    await queue.redis.script_flush()
    await asyncio.gather(queue.extend(batch), queue.record_reply(batch, "ok"), queue.complete(batch))


async def test_scripts_that_are_flushed_while_they_are_loaded_are_loaded_again(
    queue: MessageQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = transport_of(queue)
    load, flushes = runner._load_scripts, 3

    async def load_and_flush(scripts: set[LuaScript]) -> None:
        nonlocal flushes
        await load(scripts)
        if flushes:
            flushes -= 1
            await queue.redis.script_flush()

    monkeypatch.setattr(runner, "_load_scripts", load_and_flush)
    await queue.redis.script_flush()
    assert (await queue.enqueue(message(1))).status == "queued"
    assert flushes == 0


async def test_an_error_of_one_call_reaches_its_caller_only(queue: MessageQueue) -> None:
    shared = queue.keys.partitions[0]
    wrong = scripts.Requeue(
        partition=shared, rules=SETTINGS, now_ms="", dead_id="not an id", to="", follows=1
    )
    fine, broken, also_fine = await asyncio.gather(
        queue.enqueue(message(1)),
        queue.transport.gathered(wrong),
        queue.enqueue(message(2)),
        return_exceptions=True,
    )
    assert isinstance(fine, Receipt)
    assert isinstance(also_fine, Receipt)
    assert isinstance(broken, QueueError)
    assert not isinstance(broken, QueueUnavailableError)
    assert "Redis refused a script of the queue" in str(broken)
    assert "Invalid stream ID" in str(broken)


async def test_an_answer_that_cannot_be_read_reaches_its_caller_only(
    queue: MessageQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = transport_of(queue)._pipeline

    async def garbled(calls: Any) -> list[Any]:
        answers = await real(calls)
        return [b"?" if at == 1 else answer for at, answer in enumerate(answers)]

    monkeypatch.setattr(transport_of(queue), "_pipeline", garbled)
    results = await enqueue_all(queue, 3)
    assert [isinstance(result, Receipt) for result in results] == [True, False, True]


async def test_without_redis_every_caller_gets_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    server = FakeServer()
    async with FakeAsyncRedis(server=server) as redis:
        queue = MessageQueue(redis, SETTINGS)
        server.connected = False
        results = await enqueue_all(queue, 300)
        assert {type(result) for result in results} == {QueueUnavailableError}
        with pytest.raises(QueueUnavailableError):
            await queue.claim("p")
        with pytest.raises(QueueUnavailableError):
            await queue.depth()
        server.connected = True
        assert len({type(result) for result in await enqueue_all(queue, 300)} & {Receipt}) == 1


class TestCancelledCallers:
    async def test_the_others_are_served_and_the_call_is_made(self, queue: MessageQueue) -> None:
        callers = [asyncio.create_task(queue.enqueue(message(number))) for number in range(3)]
        await asyncio.sleep(0)
        callers[1].cancel()
        results = await asyncio.gather(*callers, return_exceptions=True)
        assert [type(result).__name__ for result in results] == ["Receipt", "CancelledError", "Receipt"]
        assert await ids(queue) == ["m0", "m1", "m2"]

    async def test_an_error_that_nobody_awaits_any_more_causes_no_warning(self, queue: MessageQueue) -> None:
        await queue.redis.set(queue.keys.of("bot", "1").queue, "no list")
        caller = asyncio.create_task(queue.enqueue(message(1)))
        await asyncio.sleep(0)
        caller.cancel()
        other = await asyncio.gather(queue.enqueue(message(1, "2")))
        assert other[0].status == "queued"
        assert caller.cancelled()

    async def test_when_the_pipelines_themselves_are_cancelled_nobody_waits_for_ever(
        self, queue: MessageQueue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def never(calls: Any) -> list[Any]:
            await asyncio.Event().wait()
            return []

        with monkeypatch.context() as patched:
            patched.setattr(transport_of(queue), "_pipeline", never)
            callers = [asyncio.create_task(queue.enqueue(message(number))) for number in range(300)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            (pump,) = [task for task in asyncio.all_tasks() if task.get_name() == "queue-pipeline"]
            pump.cancel()
            results = await asyncio.gather(*callers, return_exceptions=True)
        assert {type(result) for result in results} == {asyncio.CancelledError}
        assert (await queue.enqueue(message(1))).status == "queued"


@pytest.mark.not_on_store("the store has no pipelines of redis-py")
class TestDeadline:
    async def test_every_caller_gets_an_error_in_time_and_the_runner_goes_on(
        self, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queue = queue_on(redis_client, deadline_ms=30)

        async def hangs(pipeline: Pipeline, raise_on_error: bool = True) -> list[Any]:
            await asyncio.Event().wait()
            return []

        with monkeypatch.context() as patched:
            patched.setattr(Pipeline, "execute", hangs)
            results = await enqueue_all(queue, 3)
            assert {type(result) for result in results} == {QueueUnavailableError}
            assert "did not answer in time" in str(results[0])
            assert "may or may not have run the command" in str(results[0])
            with pytest.raises(QueueUnavailableError, match="did not answer in time"):
                await queue.claim("p")
        transport_of(queue)._deadline_s = 5.0
        assert (await queue.enqueue(message(1))).status == "queued"

    async def test_a_real_server_that_stalls(self, real_redis: Redis) -> None:
        """The call is carried out when the server goes on, and no other caller gets its answer."""
        queue = queue_on(real_redis, deadline_ms=100)
        await queue.enqueue(message(0))
        await real_redis.client_pause(300)
        with pytest.raises(QueueUnavailableError, match="did not answer in time"):
            await queue.enqueue(message(1))
        transport_of(queue)._deadline_s = 5.0
        assert (await queue.enqueue(message(2))).id == "m2"
        assert (await queue.enqueue(message(1))).status in {"queued", "duplicate"}
        assert sorted(await ids(queue)) == ["m0", "m1", "m2"]


async def test_check_passes_on_a_sound_redis(redis_client: Redis) -> None:
    await MessageQueue(redis_client).check()


async def test_check_raises_without_a_redis() -> None:
    server = FakeServer()
    server.connected = False
    async with FakeAsyncRedis(server=server) as redis:
        with pytest.raises(QueueUnavailableError):
            await MessageQueue(redis).check()


IN_A_SCRIPT = "Error running script (call to f_0d20): @user_script:162: @user_script: 162: -"


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (TimeoutError(), QueueUnavailableError, "did not answer in time"),
        (
            exceptions.TimeoutError("Timeout reading"),
            QueueUnavailableError,
            "may or may not have run the command",
        ),
        (
            exceptions.ConnectionError("Error 111 connecting to h:1. Connect call failed ('h', 1)."),
            QueueUnavailableError,
            r"cannot be used now: no connection to h:1 \(connection refused\)$",
        ),
        (
            exceptions.ConnectionError("Error -2 connecting to h:1. Name or service not known."),
            QueueUnavailableError,
            r"cannot be used now: no connection to h:1 \(name or service not known\)$",
        ),
        (
            exceptions.ConnectionError("Error 111 connecting to localhost:6379. Connect call failed."),
            QueueUnavailableError,
            r"to localhost:6379 \(connection refused\)$",
        ),
        (
            exceptions.ConnectionError("Error while reading from h:1 : (104, 'Connection reset by peer')"),
            QueueUnavailableError,
            r"cannot be used now: the connection to h:1 broke \(connection reset by peer\)$",
        ),
        (exceptions.ConnectionError("Error 111"), QueueUnavailableError, "cannot be used now: Error 111"),
        (ConnectionResetError(), QueueUnavailableError, "ConnectionResetError"),
        (exceptions.AuthenticationError("WRONGPASS"), QueueUnavailableError, "refused the user or password"),
        (exceptions.BusyLoadingError("loading"), QueueUnavailableError, "cannot be used now"),
        (exceptions.ReadOnlyError("replica"), QueueUnavailableError, "cannot be used now"),
        (exceptions.OutOfMemoryError("maxmemory"), QueueUnavailableError, "cannot be used now"),
        (exceptions.MasterDownError("down"), QueueUnavailableError, "cannot be used now"),
        (exceptions.TryAgainError("slot"), QueueUnavailableError, "cannot be used now"),
        (exceptions.ResponseError("MISCONF cannot write"), QueueUnavailableError, "MISCONF"),
        (exceptions.ResponseError("LOADING Redis is loading"), QueueUnavailableError, "LOADING"),
        (exceptions.ResponseError("NOREPLICAS Not enough"), QueueUnavailableError, "NOREPLICAS"),
        (exceptions.ResponseError("BUSY Redis is busy running a script"), QueueUnavailableError, "BUSY"),
        (exceptions.ResponseError(f"{IN_A_SCRIPT}OOM command"), QueueUnavailableError, "OOM command"),
        (exceptions.ResponseError(f"{IN_A_SCRIPT}READONLY You"), QueueUnavailableError, "READONLY"),
        (exceptions.ResponseError("unknown command 'EVALSHA'"), UnsupportedRedisError, "6.2 or newer"),
        (exceptions.NoPermissionError("no 'evalsha'"), UnsupportedRedisError, r"\+@scripting"),
        (exceptions.ResponseError("BUSYGROUP exists"), QueueError, "refused a script"),
        (exceptions.ResponseError("WRONGTYPE Operation"), QueueError, "refused a script"),
    ],
)
def test_errors_are_explained_in_the_queue_s_terms(
    error: BaseException, kind: type[QueueError], words: str
) -> None:
    explained = explain(error)
    assert type(explained) is kind
    with pytest.raises(kind, match=words):
        raise explained


def test_the_command_that_starts_a_redis_is_for_a_single_server_of_this_machine() -> None:
    for address, ends in (
        ("localhost:6379", ": start Redis, or type python -m queue_core redis"),
        ("h:1", ""),
    ):
        error = exceptions.ConnectionError(f"Error 111 connecting to {address}. Connect call failed.")
        assert str(explain(error, is_single=True)).endswith(f"{address} (connection refused){ends}")


def test_an_explanation_quotes_no_arguments() -> None:
    error = exceptions.ResponseError(
        "unknown command 'EVALSHA', with args beginning with: '0d' 'wa:bot:966500'"
    )
    assert "966500" not in str(explain(error))
