"""Settings: the defaults that were promised, and every fault named at once."""

from __future__ import annotations

from typing import Any

import pytest

from queue_core import InvalidSettingsError, QueueSettings


def test_the_defaults_are_as_promised() -> None:
    settings = QueueSettings()
    assert (settings.window_ms, settings.max_messages, settings.idle_ms) == (8_000, 5, 0)
    assert (settings.lock_ttl_ms, settings.lock_renew_ms, settings.max_retry_count) == (15_000, 5_000, 3)
    assert (settings.completed_ttl_s, settings.stats_ttl_s, settings.queue_ttl_s) == (1_800, 3_600, 3_600)
    assert settings.dedupe_ttl_s == 24 * 3_600


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"window_ms": -1}, "window_ms is -1"),
        ({"window_ms": 3_600_001}, "window_ms is 3600001, must be a whole number from 0 to 3600000"),
        ({"max_messages": -1}, "max_messages is -1"),
        ({"max_messages": 1_001}, "max_messages is 1001"),
        ({"max_batch": 1_001}, "max_batch is 1001"),
        ({"max_batch": 4}, r"max_batch \(4\) must not be below max_messages \(5\)"),
        ({"lock_renew_ms": 7_501}, r"lock_renew_ms \(7501\) must be at most half of lock_ttl_ms"),
        ({"max_retry_count": -1}, "max_retry_count is -1"),
        ({"queue_ttl_s": 0}, "queue_ttl_s is 0"),
        ({"partitions": -1}, "partitions is -1"),
        ({"redis_deadline_ms": 0}, "redis_deadline_ms is 0"),
        ({"max_message_bytes": 10}, "max_message_bytes is 10"),
        ({"late_messages": "drop"}, "late_messages is 'drop'"),
        ({"unsure_sends": "maybe"}, "unsure_sends is 'maybe'"),
        ({"prefix": ""}, "prefix is ''"),
        ({"prefix": "a{b}"}, "prefix is 'a{b}'"),
        ({"prefix": "wa\n"}, "prefix is"),
        ({"prefix": None}, "prefix is None"),
        ({"window_ms": 8.5}, "window_ms is 8.5"),
        ({"window_ms": True}, "window_ms is True"),
        ({"lock_renew_ms": "5000"}, "lock_renew_ms is '5000'"),
        ({"max_batch": None}, "max_batch is None"),
    ],
)
def test_a_value_that_is_not_allowed_is_named(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidSettingsError, match=complaint):
        QueueSettings(**values)


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(InvalidSettingsError) as caught:
        QueueSettings(window_ms=-1, max_batch=1, prefix="{", partitions=-1)
    for name in ("window_ms", "max_batch", "prefix", "partitions"):
        assert name in str(caught.value)


def test_limits_themselves_are_allowed() -> None:
    assert (
        QueueSettings(window_ms=0, max_messages=1_000, max_batch=1_000, max_retry_count=0).max_batch == 1_000
    )
    assert QueueSettings(lock_ttl_ms=10_000, lock_renew_ms=5_000).lock_renew_ms == 5_000
