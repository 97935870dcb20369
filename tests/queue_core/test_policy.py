"""The rules as pure functions; the rule in Lua gives the same results."""

from __future__ import annotations

import random

import pytest
from fakeredis import FakeAsyncRedis, FakeServer
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from queue_core import MessageQueue, QueueMessage, QueueSettings, policy

NOW_MS = 1_790_000_000_000
SETTINGS = QueueSettings()
IDLE = QueueSettings(idle_ms=3_000)
CAP = QueueSettings(idle_ms=3_000, cap_ms=20_000)
CAP_ALONE = QueueSettings(cap_ms=20_000)


def message(message_id: str, timestamp: int) -> QueueMessage:
    return QueueMessage(
        id=message_id, instance_name="bot", user_phone="1", message=message_id, timestamp=timestamp
    )


@pytest.mark.parametrize(
    ("settings", "oldest", "newest", "waiting", "due"),
    [
        (SETTINGS, -1_000, -1_000, 1, 7_000),
        (SETTINGS, -1_000, 0, 4, 7_000),
        (SETTINGS, -1_000, 0, 5, 0),
        (SETTINGS, -1_000, 0, 6, 0),
        (SETTINGS, -9_000, 0, 2, -1_000),
        (IDLE, -1_000, -1_000, 1, 2_000),
        (IDLE, -1_000, 0, 2, 3_000),
        (IDLE, -7_000, 0, 2, 1_000),
        (IDLE, -1_000, 0, 5, 0),
        (CAP, -1_000, -1_000, 1, 2_000),
        (CAP, -9_000, 0, 2, 3_000),
        (CAP, -18_000, 0, 4, 2_000),
        (CAP, -1_000, 0, 5, 0),
        (CAP_ALONE, -1_000, 0, 2, 7_000),
    ],
)
def test_a_turn_is_due_by_the_window_the_number_or_the_silence_whichever_is_first(
    settings: QueueSettings, oldest: int, newest: int, waiting: int, due: int
) -> None:
    due_ms = policy.due_at_ms(
        settings, oldest_ms=NOW_MS + oldest, newest_ms=NOW_MS + newest, waiting=waiting, now_ms=NOW_MS
    )
    assert due_ms - NOW_MS == due


async def _scores_while_arriving(redis: Redis, settings: QueueSettings, gaps_ms: list[int]) -> list[int]:
    now_ms = NOW_MS
    queue = MessageQueue(redis, settings, clock=lambda: now_ms)
    scores = []
    for number, gap_ms in enumerate(gaps_ms):
        now_ms += gap_ms
        await queue.enqueue(message(f"m{number}", 0))
        (conversation,) = await queue.active_conversations()
        scores.append(conversation.attention_at_ms)
    return scores


def _scores_by_policy(settings: QueueSettings, gaps_ms: list[int]) -> list[int]:
    """Return the scores by the rule in Python; a conversation that is due keeps the time at which it became due."""
    now_ms = NOW_MS
    oldest_ms = NOW_MS + gaps_ms[0]
    scores: list[int] = []
    for number, gap_ms in enumerate(gaps_ms):
        now_ms += gap_ms
        if scores and scores[-1] <= now_ms:
            scores.append(scores[-1])
        else:
            scores.append(
                policy.due_at_ms(
                    settings, oldest_ms=oldest_ms, newest_ms=now_ms, waiting=number + 1, now_ms=now_ms
                )
            )
    return scores


@given(
    gaps_ms=st.lists(st.integers(0, 4_000), min_size=1, max_size=8),
    window_ms=st.integers(0, 10_000),
    idle_ms=st.integers(0, 4_000),
    cap_ms=st.sampled_from([0, 1, 6_000, 12_000]),
    max_messages=st.integers(1, 6),
)
async def test_the_rule_in_lua_is_the_rule_in_python(
    gaps_ms: list[int], window_ms: int, idle_ms: int, cap_ms: int, max_messages: int
) -> None:
    settings = QueueSettings(window_ms=window_ms, idle_ms=idle_ms, cap_ms=cap_ms, max_messages=max_messages)
    async with FakeAsyncRedis(server=FakeServer()) as redis:
        scores = await _scores_while_arriving(redis, settings, gaps_ms)
    assert scores == _scores_by_policy(settings, gaps_ms)


@pytest.mark.parametrize("settings", [IDLE, CAP])
async def test_the_rule_in_lua_is_the_same_on_every_server(
    redis_client: Redis, settings: QueueSettings
) -> None:
    gaps_ms = [5, 2_999, 2_000, 2_999, 0, 100]
    scores = await _scores_while_arriving(redis_client, settings, gaps_ms)
    assert scores == _scores_by_policy(settings, gaps_ms)


@pytest.mark.parametrize(
    ("settings", "oldest", "waiting", "due", "attempt", "trigger"),
    [
        (SETTINGS, 0, 1, 8_000, 1, "window"),
        (SETTINGS, 0, 7, 8_000, 1, "window"),
        (SETTINGS, 0, 5, 7_999, 1, "size"),
        (SETTINGS, 4_000, 1, 8_000, 1, "window"),  # an older message was deleted while it waited
        (IDLE, 0, 2, 7_999, 1, "idle"),
        (CAP, 0, 4, 19_999, 1, "idle"),
        (CAP, 0, 4, 20_000, 1, "window"),
        (SETTINGS, 0, 5, 7_999, 2, "retry"),
    ],
)
def test_trigger_names_the_rule_that_made_it_due(
    settings: QueueSettings, oldest: int, waiting: int, due: int, attempt: int, trigger: str
) -> None:
    name = policy.trigger(settings, oldest_ms=oldest, waiting=waiting, due_ms=due, attempt=attempt)
    assert name == trigger


@pytest.mark.parametrize(
    ("timestamps", "order"),
    [
        ([30, 10, 20], "bca"),
        ([10, 10, 5], "cab"),
        ([30, 0, 20], "abc"),
        ([30, -1, 20], "abc"),
        ([], ""),
    ],
)
def test_order_is_by_the_provider_s_time_unless_one_is_unknown(timestamps: list[int], order: str) -> None:
    arrived = [message(name, timestamp) for name, timestamp in zip("abc", timestamps, strict=False)]
    assert "".join(it.id for it in policy.in_order(arrived)) == order


@given(
    attempt=st.integers(1, 10_000),
    base=st.integers(0, 5_000),
    limit=st.integers(0, 100_000),
    seed=st.integers(),
)
def test_backoff_doubles_up_to_its_limit_and_half_of_it_is_random(
    attempt: int, base: int, limit: int, seed: int
) -> None:
    settings = QueueSettings(backoff_base_ms=base, backoff_max_ms=limit)
    full = min(base * 2 ** min(attempt - 1, 32), limit)
    assert full // 2 <= policy.backoff_ms(settings, attempt, random.Random(seed)) <= full


def test_backoffs_of_many_failures_at_once_spread() -> None:
    rng = random.Random(1)
    waits = {policy.backoff_ms(SETTINGS, 3, rng) for _ in range(200)}
    assert min(waits) >= 2_000
    assert max(waits) <= 4_000
    assert max(waits) - min(waits) > 1_500
