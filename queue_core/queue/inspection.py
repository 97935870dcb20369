"""What a person can see of the queue: conversations, their messages, and the dead letters. Reads only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from queue_core.keys import KeySpace, decode_conversation
from queue_core.message import DeadLetter, QueueMessage, decode, unreadable
from queue_core.redis.runner import explain
from queue_core.redis.scripts.loader import text

_PAGE = 200


class ActiveConversation(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation with messages; `attention_at_ms` is its due time, or the end of its lease or backoff."""

    instance_name: str
    user_phone: str
    attention_at_ms: int


class QueueReader:
    """The reads of `MessageQueue`. All raise QueueUnavailableError when Redis does not answer."""

    redis: Redis
    keys: KeySpace

    async def pending(self, instance_name: str, user_phone: str) -> list[QueueMessage]:
        """The messages of a conversation that are not finished, in order, each with its status and retries."""
        keys = self.keys.of(instance_name, user_phone)
        pipeline = self.redis.pipeline(transaction=False)
        pipeline.lrange(keys.queue, 0, -1)
        pipeline.hmget(keys.lock, ["token", "tries", "lockedAt"])
        elements, (token, tries, locked_at) = await self._read(pipeline)
        sizes = [int(size) for size in text(tries or "").split(",") if size]
        held = sizes[-1] if token is not None and sizes else 0
        messages = []
        for at, element in enumerate(elements):
            message = decode(element) or unreadable(instance_name, user_phone)
            attempts = sum(1 for size in sizes if at < size)
            in_flight = at < held
            messages.append(
                msgspec.structs.replace(
                    message,
                    status="processing" if in_flight else "pending",
                    retry_count=max(0, attempts - 1) if in_flight else attempts,
                    processing_started_at=int(locked_at) if in_flight else None,
                )
            )
        return messages

    async def completed(self, instance_name: str, user_phone: str) -> list[QueueMessage]:
        """The finished messages of a conversation, oldest first, as long as they are kept."""
        keys = self.keys.of(instance_name, user_phone)
        pipeline = self.redis.pipeline(transaction=False)
        pipeline.lrange(keys.completed, 0, -1)
        (elements,) = await self._read(pipeline)
        found = (decode(element) for element in elements)
        return [msgspec.structs.replace(message, status="completed") for message in found if message]

    async def statistics(self, instance_name: str, user_phone: str) -> dict[str, int]:
        """totalMessages, processedMessages and lastActivity (Unix ms) of a conversation; empty when long quiet."""
        keys = self.keys.of(instance_name, user_phone)
        pipeline = self.redis.pipeline(transaction=False)
        pipeline.hmget(keys.stats, ["totalMessages", "processedMessages", "lastActivity"])
        (values,) = await self._read(pipeline)
        names = ("totalMessages", "processedMessages", "lastActivity")
        return {name: int(value) for name, value in zip(names, values, strict=True) if value is not None}

    async def active_conversations(self) -> list[ActiveConversation]:
        """Every conversation with messages, the one that needs attention first at the front."""
        found = []
        for partition in self.keys.partitions:
            pipeline = self.redis.pipeline(transaction=False)
            pipeline.zrange(partition.active, 0, -1, withscores=True)
            (members,) = await self._read(pipeline)
            for member, score in members:
                instance, phone = decode_conversation(text(member))
                found.append(
                    ActiveConversation(instance_name=instance, user_phone=phone, attention_at_ms=int(score))
                )
        return sorted(found, key=lambda conversation: conversation.attention_at_ms)

    async def depth(self) -> int:
        """Messages that are not finished, in flight ones included."""
        total = 0
        for partition in self.keys.partitions:
            pipeline = self.redis.pipeline(transaction=False)
            pipeline.zrange(partition.active, 0, -1)
            (members,) = await self._read(pipeline)
            for start in range(0, len(members), _PAGE):
                pipeline = self.redis.pipeline(transaction=False)
                for member in members[start : start + _PAGE]:
                    pipeline.llen(f"{partition.base}msg_queue:{text(member)}")
                total += sum(await self._read(pipeline))
        return total

    async def dead_letters(self) -> list[DeadLetter]:
        """All dead letters, oldest first within a partition."""
        return [letter async for letter in self.iterate_dead_letters()]

    async def iterate_dead_letters(self) -> AsyncIterator[DeadLetter]:
        """The same in pages, for more of them than fit in memory."""
        for number, partition in enumerate(self.keys.partitions):
            after = "-"
            while True:
                pipeline = self.redis.pipeline(transaction=False)
                pipeline.xrange(partition.dead, after, "+", count=_PAGE)
                (entries,) = await self._read(pipeline)
                for entry_id, fields in entries:
                    yield _dead_letter(number, text(entry_id), fields)
                if len(entries) < _PAGE:
                    break
                after = f"({text(entries[-1][0])}"

    async def _read(self, pipeline: Any) -> list[Any]:
        try:
            answers: list[Any] = await pipeline.execute()
        except (RedisError, OSError) as error:
            raise explain(error) from error
        return answers


def _dead_letter(partition: int, entry_id: str, raw_fields: dict[Any, Any]) -> DeadLetter:
    fields = {text(name): text(value) for name, value in raw_fields.items()}
    instance, phone = decode_conversation(fields["conversation"])
    return DeadLetter(
        id=f"{partition}/{entry_id}",
        instance_name=instance,
        user_phone=phone,
        reason=fields["reason"],
        dead_at_ms=int(fields["at"]),
        attempts=int(fields["attempts"]),
        message=decode(fields["message"]),
        raw=fields["message"],
        reply=fields.get("reply"),
    )
