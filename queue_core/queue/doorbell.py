"""Doorbell: wakes a worker, without polling, when something is due earlier than the worker expects.

Scripts add to the `wake` stream when they schedule a conversation before everything else in the index. Each
worker blocks on that stream over a connection of its own. A stream, unlike pub/sub, keeps its last entry: a ring
during a reconnect is still heard.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from queue_core.waiting import cancellable

_log = logging.getLogger(__name__)

BLOCK_MS_MAX = 30_000
RECONNECT_S = 0.5


class Doorbell:
    """Event that is set at each ring of one partition."""

    def __init__(self, redis: Redis, wake: str) -> None:
        self._redis = redis
        self._wake = wake
        self.rung = asyncio.Event()

    async def listen(self) -> None:
        """Run until cancelled. Rings at the start, and at each new entry of the stream.

        Reads the last entry again after each wait without a ring: after a failover the stream may end at an older
        entry, and a client that reconnects by itself does not report the failover.
        """
        heard: bytes | str | None = None
        while True:
            try:
                latest: Any = await cancellable(self._redis.xrevrange(self._wake, count=1))
                last: bytes | str = latest[0][0] if latest else "0-0"
                if last != heard:
                    self.rung.set()
                heard = last
                while answer := await self._wait_for_entry(last):
                    last = heard = _last_id(answer)
                    self.rung.set()
            except (RedisError, OSError) as error:
                _log.debug("doorbell: %s", error)
                await asyncio.sleep(RECONNECT_S)

    async def _wait_for_entry(self, after: bytes | str) -> Any:
        return await cancellable(self._redis.xread({self._wake: after}, block=self._block_ms()))

    def _block_ms(self) -> int:
        """Return a limit for a blocking read that ends before the socket's own timeout."""
        options: dict[str, Any] = self._redis.get_connection_kwargs()  # type: ignore[no-untyped-call]  # in redis-py
        timeout_s = options.get("socket_timeout")
        return BLOCK_MS_MAX if timeout_s is None else max(1, min(BLOCK_MS_MAX, int(timeout_s * 500)))


def _last_id(answer: Any) -> bytes | str:
    """Return the last id in XREAD's answer: a list of pairs under RESP2, a mapping to nested lists under RESP3."""
    entries = next(iter(answer.values())) if isinstance(answer, dict) else answer[0][1]
    if isinstance(entries[0], list):
        entries = entries[0]
    last: bytes | str = entries[-1][0]
    return last
