"""The rules of the queue as pure functions: when a turn is due, in which order, why, and how long to wait.

`due_at_ms` is also written in Lua (`redis/scripts/lib.lua`), because Redis's clock decides; a test compares the two.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

from queue_core.message import QueueMessage, Trigger
from queue_core.settings import QueueSettings, Rules

CLOCK_STEP_MS = 1_000
"""Smallest jump of a clock which shows that the clock was set."""


def due_at_ms(rules: Rules, *, oldest_ms: int, newest_ms: int, waiting: int, now_ms: int) -> int:
    """Return the due time of a conversation with `waiting` messages that were added from `oldest_ms` to `newest_ms`.

    A time in the future says that the clock was set back; nobody knows how long the message has waited, so it is due.
    """
    if 0 < rules.max_messages <= waiting or oldest_ms > now_ms + CLOCK_STEP_MS:
        return now_ms
    due = oldest_ms + limit_ms(rules)
    if rules.idle_ms:
        due = min(due, newest_ms + rules.idle_ms)
    return due


def trigger(rules: Rules, *, oldest_ms: int, waiting: int, due_ms: int, attempt: int) -> Trigger:
    """Name the rule that made a claimed conversation due."""
    if attempt > 1:
        return "retry"
    if due_ms >= oldest_ms + limit_ms(rules):
        return "window"
    if 0 < rules.max_messages <= waiting:
        return "size"
    # The due time comes before the end of the window, too, if an older message was deleted while it waited.
    return "idle" if rules.idle_ms else "window"


def limit_ms(rules: Rules) -> int:
    """Return the longest time from the oldest message to the due time: the cap, or the window."""
    return rules.cap_ms if rules.idle_ms and rules.cap_ms else rules.window_ms


def in_order(messages: Iterable[QueueMessage]) -> tuple[QueueMessage, ...]:
    """Put a batch into the order in which the user wrote it: by the provider's time, ties in order of arrival.

    If one of the times is unknown, the order of arrival stays.
    """
    arrived = tuple(messages)
    if any(message.timestamp <= 0 for message in arrived):
        return arrived
    return tuple(sorted(arrived, key=lambda message: message.timestamp))


def backoff_ms(settings: QueueSettings, attempt: int, rng: random.Random) -> int:
    """Return the wait after failed attempt number `attempt`: doubling, capped, half of it random to spread retries."""
    full: int = min(settings.backoff_base_ms * 2 ** min(attempt - 1, 32), settings.backoff_max_ms)
    return full // 2 + rng.randint(0, full - full // 2)


def asked_ms(settings: QueueSettings, after_ms: object) -> int | None:
    """Return the wait that an error asks for, at most `outage_patience_s`; None for what is not a finite number."""
    if not isinstance(after_ms, int | float) or not -math.inf < after_ms < math.inf:
        return None
    return int(min(max(0, after_ms), settings.outage_patience_s * 1000))
