"""Reads of the queue for people: conversations, their messages, and how many there are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from redis.exceptions import RedisError

from queue_core.keys import Partition, decode_conversation
from queue_core.message import QueueMessage, decode, unreadable
from queue_core.queue.access import Access
from queue_core.redis import scripts
from queue_core.redis.runner import explain
from queue_core.redis.scripts.loader import text
from queue_core.redis.servers import on_primaries, scan_step

_PAGE = 200
_STATISTICS = ("totalMessages", "processedMessages", "lastActivity")


class ActiveConversation(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation with messages; `attention_at_ms` is its due time, or the end of its lease or backoff."""

    instance_name: str
    user_phone: str
    attention_at_ms: int


class Lease(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Who holds a conversation. Times in Unix ms."""

    processor_id: str
    token: str
    messages: int
    locked_at_ms: int
    expires_at_ms: int


class Retry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A conversation whose last attempt failed and that waits for the next."""

    attempts: int
    at_ms: int | None
    last_error: str


class RecordedReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A reply that is recorded and whose batch is not finished."""

    text: str
    messages: int
    send_state: str
    recorded_at_ms: int


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """All that the queue knows of one conversation. Times in Unix ms."""

    now_ms: int
    pending: list[QueueMessage]
    completed: list[QueueMessage]
    statistics: dict[str, int]
    attention_at_ms: int | None
    """None for one that is not in the index: nothing waits, or it is stranded."""
    lease: Lease | None
    retry: Retry | None
    reply: RecordedReply | None

    @property
    def is_known(self) -> bool:
        """True when the queue holds anything of it."""
        parts = (self.pending, self.completed, self.statistics, self.lease, self.retry, self.reply)
        return any(parts) or self.attention_at_ms is not None


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """Counts that Redis keeps by itself."""

    conversations: tuple[int, ...]
    """In the index of each partition."""
    dead_letters: int


class Inspection:
    """The reads of a queue. All raise QueueUnavailableError when Redis does not answer."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def conversation(self, instance_name: str, user_phone: str) -> Conversation:
        """Return what is known of a conversation, read in one trip: one that moves may have moved in between."""
        access, place = self._access, self._access.keys.of(instance_name, user_phone)
        now_ms = await access.now_ms()
        pipeline = access.redis.pipeline(transaction=False)
        pipeline.lrange(place.queue, 0, -1)
        pipeline.lrange(place.completed, 0, -1)
        pipeline.hmget(place.stats, _STATISTICS)
        pipeline.hgetall(place.lock)
        pipeline.hgetall(place.reply)
        pipeline.zscore(place.active, place.conversation)
        elements, completed, statistics, raw_lock, raw_reply, score = await access.read(pipeline)
        lock, reply = _texts(raw_lock), _texts(raw_reply)
        attention_at_ms = None if score is None else int(score)
        return Conversation(
            now_ms=now_ms,
            pending=_pending(instance_name, user_phone, elements, lock),
            completed=_completed(completed),
            statistics=_statistics(statistics),
            attention_at_ms=attention_at_ms,
            lease=_lease(lock),
            retry=_retry(lock, attention_at_ms),
            reply=_reply(reply),
        )

    async def pending(self, instance_name: str, user_phone: str) -> list[QueueMessage]:
        """Return the messages of a conversation that are not finished, in order, with status and retries."""
        place = self._access.keys.of(instance_name, user_phone)
        pipeline = self._access.redis.pipeline(transaction=False)
        pipeline.lrange(place.queue, 0, -1)
        pipeline.hgetall(place.lock)
        elements, lock = await self._access.read(pipeline)
        return _pending(instance_name, user_phone, elements, _texts(lock))

    async def completed(self, instance_name: str, user_phone: str) -> list[QueueMessage]:
        """Return the finished messages of a conversation, oldest first, as long as they are kept."""
        pipeline = self._access.redis.pipeline(transaction=False)
        pipeline.lrange(self._access.keys.of(instance_name, user_phone).completed, 0, -1)
        (elements,) = await self._access.read(pipeline)
        return _completed(elements)

    async def statistics(self, instance_name: str, user_phone: str) -> dict[str, int]:
        """Return totalMessages, processedMessages and lastActivity (Unix ms); empty when long quiet."""
        pipeline = self._access.redis.pipeline(transaction=False)
        pipeline.hmget(self._access.keys.of(instance_name, user_phone).stats, _STATISTICS)
        (values,) = await self._access.read(pipeline)
        return _statistics(values)

    async def active_conversations(self) -> list[ActiveConversation]:
        """Return every conversation with messages, the one that needs attention first at the front."""
        conversations = []
        for partition in self._access.keys.partitions:
            pipeline = self._access.redis.pipeline(transaction=False)
            pipeline.zrange(partition.active, 0, -1, withscores=True)
            (members,) = await self._access.read(pipeline)
            for member, score in members:
                instance, phone = decode_conversation(text(member))
                conversations.append(
                    ActiveConversation(instance_name=instance, user_phone=phone, attention_at_ms=int(score))
                )
        return sorted(conversations, key=lambda conversation: conversation.attention_at_ms)

    async def finished_conversations(self) -> set[tuple[str, str]]:
        """Return instance and phone of every conversation whose finished messages are still kept."""
        names = set()
        for _, run in await on_primaries(self._access.redis):
            cursor = 0
            while True:
                try:
                    cursor, keys = await scan_step(run, cursor, self._access.keys.archives(), "list")
                except (RedisError, OSError) as error:
                    raise explain(error) from error
                names |= {
                    decode_conversation(name[1]) for key in keys if (name := self._access.keys.parse(key))
                }
                if cursor == 0:
                    break
        return names

    async def depth(self) -> int:
        """Count the messages that are not finished, in flight ones included."""
        total = 0
        for partition in self._access.keys.partitions:
            pipeline = self._access.redis.pipeline(transaction=False)
            pipeline.zrange(partition.active, 0, -1)
            (members,) = await self._access.read(pipeline)
            for start in range(0, len(members), _PAGE):
                pipeline = self._access.redis.pipeline(transaction=False)
                for member in members[start : start + _PAGE]:
                    pipeline.llen(f"{partition.base}msg_queue:{text(member)}")
                total += sum(await self._access.read(pipeline))
        return total

    async def sizes(self) -> Sizes:
        """Count conversations with messages, and dead letters."""
        pipeline = self._access.redis.pipeline(transaction=False)
        for partition in self._access.keys.partitions:
            pipeline.zcard(partition.active)
            pipeline.xlen(partition.dead)
        answers = await self._access.read(pipeline)
        return Sizes(conversations=tuple(answers[::2]), dead_letters=sum(answers[1::2]))

    async def survey(self, partition: Partition, first: int, last: int) -> scripts.SurveyAnswer:
        """Count what lies in the conversations of those ranks of a partition's index."""
        now_ms = self._access.now()
        call = scripts.Survey(partition=partition, now_ms=now_ms, first=first, last=last)
        return await self._access.transport.alone(call)


def _texts(fields: dict[Any, Any]) -> dict[str, str]:
    return {text(name): text(value) for name, value in fields.items()}


def _pending(
    instance_name: str, user_phone: str, elements: Iterable[bytes], lock: dict[str, str]
) -> list[QueueMessage]:
    sizes = [int(size) for size in lock.get("tries", "").split(",") if size]
    held = sizes[-1] if "token" in lock and sizes else 0
    messages = []
    for index, element in enumerate(elements):
        message = decode(element) or unreadable(instance_name, user_phone)
        attempts = sum(1 for size in sizes if index < size)
        in_flight = index < held
        messages.append(
            msgspec.structs.replace(
                message,
                status="processing" if in_flight else "pending",
                retry_count=max(0, attempts - 1) if in_flight else attempts,
                processing_started_at=int(lock["lockedAt"]) if in_flight else None,
            )
        )
    return messages


def _completed(elements: Iterable[bytes]) -> list[QueueMessage]:
    messages = (decode(element) for element in elements)
    return [msgspec.structs.replace(message, status="completed") for message in messages if message]


def _statistics(values: Iterable[bytes | None]) -> dict[str, int]:
    return {name: int(value) for name, value in zip(_STATISTICS, values, strict=True) if value is not None}


def _lease(lock: dict[str, str]) -> Lease | None:
    if "token" not in lock:
        return None
    return Lease(
        processor_id=lock.get("processorId", ""),
        token=lock["token"],
        messages=int(lock.get("size", 0)),
        locked_at_ms=int(lock.get("lockedAt", 0)),
        expires_at_ms=int(lock.get("expiresAt", 0)),
    )


def _retry(lock: dict[str, str], attention_at_ms: int | None) -> Retry | None:
    if not lock or "token" in lock:
        return None
    tries = [size for size in lock.get("tries", "").split(",") if size]
    return Retry(attempts=len(tries), at_ms=attention_at_ms, last_error=lock.get("error", ""))


def _reply(reply: dict[str, str]) -> RecordedReply | None:
    if not reply:
        return None
    return RecordedReply(
        text=reply.get("text", ""),
        messages=int(reply.get("size", 0)),
        send_state=reply.get("state", ""),
        recorded_at_ms=int(reply.get("recordedAt", 0)),
    )
