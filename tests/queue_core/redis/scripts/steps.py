"""Calls of the scripts, on fakeredis and on every real server, and reads of what they leave behind."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from redis.asyncio import Redis

from queue_core import QueueMessage
from queue_core.keys import KeySpace
from queue_core.message import decode, encode
from queue_core.redis import scripts
from queue_core.redis.runner import ScriptRunner
from queue_core.redis.scripts.answers import ClaimAnswer, LeasedAnswer
from queue_core.redis.scripts.loader import Call, text
from queue_core.settings import Rules

NOW = 1_790_000_000_000
DAY_MS = 86_400_000
SPACE = KeySpace("wa", 1)
SHARED = SPACE.partitions[0]
PLACE = SPACE.of("bot", "1")
RULES = Rules()
Result = TypeVar("Result")


class Steps:
    """Caller of the scripts, with defaults for their arguments. Times are milliseconds after NOW."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.runner = ScriptRunner(redis, deadline_ms=5_000)
        self._claims = 0

    async def enqueue(self, message_id: str, at: int | str = 0, phone: str = "1", **changed: Any) -> Any:
        place = SPACE.of("bot", phone)
        message = QueueMessage(id=message_id, instance_name="bot", user_phone=phone, message="…")
        call = scripts.Enqueue(
            place=place,
            seen=place.seen_of(message_id),
            rules=RULES,
            now_ms=_at(at),
            message=encode(message, 10_000),
            follows=1,
            names="",
            aliases_ttl_ms=DAY_MS,
            provider_ms=0,
            dedupe_ttl_ms=DAY_MS,
            late_is_dead=1,
            dead_letters_max=1_000,
            confirms_duplicates=0,
        )
        return await self.run(call, changed)

    async def claim(
        self,
        at: int | str = 0,
        claim_id: str = "c1",
        *,
        looked_since: int | None = -1_000_000,
        **changed: Any,
    ) -> ClaimAnswer:
        """Claim, as if claims had come without a gap from `looked_since` on; None leaves their record as it is."""
        self._claims += 1
        if looked_since is not None and isinstance(at, int):
            looks: dict[Any, Any] = {"at": NOW + at, "since": NOW + min(looked_since, at - 60_000)}
            await self.redis.hset(SHARED.looks, mapping=looks)
        call = scripts.Claim(
            partition=SHARED,
            last_claim=SHARED.last_claim_of("p"),
            rules=RULES,
            now_ms=_at(at),
            processor_id="p",
            claim_id=claim_id,
            run="c1",
            claim_number=self._claims,
            earliest_ms=0,
            latest_ms=0,
            was_unanswered=0,
            limit=10,
            lock_ttl_ms=15_000,
            grace_ms=5_000,
            max_batch=100,
            max_attempts=4,
            dead_letters_max=1_000,
            queue_ttl_ms=3_600_000,
            patience_ms=72_000_000,
            completed_ttl_ms=1_800_000,
            only="",
            kept="",
            watcher="",
            left_out="",
            room=0,
        )
        return await self.run(call, changed)

    async def leased(self, at: int, claim_id: str = "c1", **changed: Any) -> LeasedAnswer:
        (batch,) = (await self.claim(at, claim_id, **changed)).batches
        return batch

    async def discard(self, token: int, indexes: str = "1") -> int:
        return await self.run(
            scripts.Discard(
                place=PLACE, rules=RULES, now_ms=NOW, token=token, indexes=indexes, reason="unreadable"
            )
        )

    async def extend(self, token: int, at: int = 0) -> str:
        return await self.run(scripts.Extend(place=PLACE, now_ms=NOW + at, token=token, lock_ttl_ms=15_000))

    async def record_reply(self, token: int, words: str = "hello", at: int = 0, **changed: Any) -> str:
        call = scripts.RecordReply(
            place=PLACE,
            rules=RULES,
            now_ms=NOW + at,
            token=token,
            text=words,
            supersede_ms=0,
            max_batch=100,
            completed_ttl_ms=1_800_000,
            stats_ttl_ms=3_600_000,
        )
        return await self.run(call, changed)

    async def record_sent(self, token: int, parts: int = 0, *, is_whole: bool = True) -> str:
        call = scripts.RecordSent(
            place=PLACE, now_ms=NOW + 5, token=token, parts=parts, is_whole=int(is_whole)
        )
        return await self.run(call)

    async def complete(self, token: int, at: int = 0) -> str:
        return await self.run(
            scripts.Complete(
                place=PLACE,
                rules=RULES,
                now_ms=NOW + at,
                token=token,
                completed_ttl_ms=1_800_000,
                stats_ttl_ms=3_600_000,
            )
        )

    async def fail(self, token: int, mode: Any = "retry", at: int = 0, **changed: Any) -> tuple[str, int]:
        call = scripts.Fail(
            place=PLACE,
            rules=RULES,
            now_ms=NOW + at,
            token=token,
            mode=mode,
            reason="no luck",
            not_sent=0,
            backend="",
            counts=1,
            took_ms=0,
            backoff_ms=700,
            wait_ms=700,
            asked_ms=0,
            max_attempts=4,
            dead_letters_max=1_000,
            completed_ttl_ms=1_800_000,
            stats_ttl_ms=3_600_000,
        )
        standing, given_up = await self.run(call, changed)
        return standing, given_up

    async def requeue(self, dead_id: str, at: int = 0) -> bool:
        call = scripts.Requeue(
            partition=SHARED, rules=RULES, now_ms=NOW + at, dead_id=dead_id, to="", follows=1
        )
        return bool(await self.run(call))

    async def withdraw(self, message_id: str, at: int = 0, skipped: int = 0) -> str | int:
        return await self.run(
            scripts.Withdraw(
                place=PLACE,
                seen=PLACE.seen_of(message_id),
                rules=RULES,
                now_ms=NOW + at,
                message_id=message_id,
                quoted_id=msgspec.json.encode(message_id),
                skipped=skipped,
                dedupe_ttl_ms=DAY_MS,
                completed_ttl_ms=1_800_000,
            )
        )

    async def run(self, call: Call[Result], changed: dict[str, Any] | None = None) -> Result:
        return await self.runner.alone(msgspec.structs.replace(call, **(changed or {})))

    # Reads of what the steps leave behind.

    async def due(self, phone: str = "1") -> int | None:
        score = await self.redis.zscore(SHARED.active, SPACE.of("bot", phone).conversation)
        return None if score is None else int(score) - NOW

    async def ids(self, key: str = PLACE.queue) -> str:
        messages = [decode(element) for element in await self.redis.lrange(key, 0, -1)]
        return " ".join(message.id for message in messages if message)

    async def fields(self, key: str) -> dict[str, str]:
        return {text(name): text(value) for name, value in (await self.redis.hgetall(key)).items()}

    async def dead(self) -> list[tuple[str, dict[str, str]]]:
        return [
            (text(entry_id), {text(name): text(value) for name, value in (fields or {}).items()})
            for entry_id, fields in await self.redis.xrange(SHARED.dead) or []
        ]

    async def everything(self) -> dict[str, Any]:
        """Return all data except times to live."""
        readers: dict[Any, Any] = {
            b"list": lambda key: self.redis.lrange(key, 0, -1),
            b"hash": self.redis.hgetall,
            b"string": self.redis.get,
            b"zset": lambda key: self.redis.zrange(key, 0, -1, withscores=True),
            b"stream": self.redis.xrange,
        }
        return {
            text(key): await readers[await self.redis.type(key)](key)
            for key in sorted(await self.redis.keys())
        }


def _at(at: int | str) -> int | str:
    return NOW + at if isinstance(at, int) else at
