"""Access of a queue to its data, shared by the parts of a `MessageQueue`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from queue_core.keys import KeySpace
from queue_core.redis.pool import closings_as_errors
from queue_core.redis.runner import FAILURES, explain, is_single
from queue_core.redis.scripts.loader import text
from queue_core.redis.servers import on_primaries
from queue_core.redis.transport import Transport
from queue_core.settings import QueueSettings

_ANSWERS_FOR_MISSING_KEY: dict[str, Any] = {
    **dict.fromkeys(("GET", "HGET", "ZSCORE")),
    **dict.fromkeys(("HDEL", "HEXISTS", "LLEN", "XDEL", "XLEN", "ZCARD"), 0),
    **{name: [] for name in ("LRANGE", "XRANGE", "XREVRANGE", "ZRANGE")},
    "HGETALL": {},
    "ZSCAN": (0, []),
}
"""Answer of each command for a missing key; HMGET and ZMSCORE answer None for each name."""


@dataclass(frozen=True, slots=True)
class Access:
    """Client, keys, transport, settings and clock that the parts of one queue share."""

    redis: Redis
    keys: KeySpace
    transport: Transport
    settings: QueueSettings
    clock: Callable[[], int] | None = None
    """Unix ms instead of Redis's clock, in simulations and tests."""

    def now(self) -> int | str:
        """Return the time as the scripts expect it: "" for Redis's own clock."""
        return self.clock() if self.clock else ""

    async def now_ms(self) -> int:
        """Return the queue's time in Unix ms: Redis's, unless a clock was given."""
        if self.clock:
            return self.clock()
        try:
            _, run = (await on_primaries(self.redis))[0]
            seconds, microseconds = await run("TIME")
        except FAILURES as error:
            raise explain(error, is_single=is_single(self.redis)) from error
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def read(self, *commands: tuple[Any, ...], **options: Any) -> list[Any]:
        """Run commands in one round trip and return their answers. `options` tell redis-py how to decode answers.

        A damaged key, which has a wrong type, reads as a missing one: `Damage.not_moved` names it.
        Raises QueueUnavailableError when Redis does not answer.
        """
        pipeline = self.redis.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command, **options)
        try:
            with closings_as_errors():
                answers: list[Any] = await pipeline.execute(raise_on_error=False)
        except FAILURES as error:
            raise explain(error, is_single=is_single(self.redis)) from error
        return [
            _as_for_missing_key(command, answer) for command, answer in zip(commands, answers, strict=True)
        ]

    async def read_hashes(self, keys: Sequence[str], *fields: str) -> list[list[Any] | None]:
        """Return the values of fields of some hashes; None for a key of another type.

        Raises QueueUnavailableError when Redis does not answer.
        """
        types = await self.read(*(("TYPE", key) for key in keys))
        sound = [key for key, kind in zip(keys, types, strict=True) if text(kind) in ("hash", "none")]
        values = await self.read(*(("HMGET", key, *fields) for key in sound))
        by_key = dict(zip(sound, values, strict=True))
        return [by_key.get(key) for key in keys]


def _as_for_missing_key(command: tuple[Any, ...], answer: Any) -> Any:
    """Return an answer, or that for a missing key if the key has a wrong type. Raises other errors as the queue's."""
    if not isinstance(answer, Exception):
        return answer
    name = command[0]
    if "WRONGTYPE" in str(answer):
        if name in _ANSWERS_FOR_MISSING_KEY:
            return copy(_ANSWERS_FOR_MISSING_KEY[name])
        if name in ("HMGET", "ZMSCORE"):
            return [None] * (len(command) - 2)
    raise explain(answer) from answer


def whole(raw: bytes | str | float | None, otherwise: int) -> int:
    """Return a whole number from Redis, or a float rounded; `otherwise` for anything else, such as None or -1."""
    digits = f"{raw:.0f}" if isinstance(raw, float) else text(raw)
    return int(digits) if re.fullmatch(r"[0-9]{1,16}", digits) else otherwise
