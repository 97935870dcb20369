"""Reads of the queue for people: conversations, their messages, and counts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from queue_core.keys import Partition, Place, decode_conversation
from queue_core.message import BackendKind, QueueMessage, decode, unreadable
from queue_core.queue.access import Access, whole
from queue_core.queue.aliases import Aliases
from queue_core.queue.changes import Changes
from queue_core.queue.upkeep.sent_replies import Undelivered
from queue_core.redis import scripts
from queue_core.redis.scripts.answers import SurveyAnswer
from queue_core.redis.scripts.loader import text
from queue_core.redis.servers import scan

_PAGE = 200
BACKENDS: tuple[BackendKind, ...] = ("ai", "channel")
"""Kinds of backend, in the order of `Place.ai` and `Place.channel`."""
_COUNTED = ("done", "gone", "at", "total", "totalMessages", "processedMessages", "lastActivity")
"""Fields of the statistics in Redis: messages that were finished, or left the list otherwise, and the time of the last.

Earlier releases counted all that arrived in `total`; releases before 0.2.0 wrote the long names.
"""


class ActiveConversation(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation with messages. `attention_at_ms` is its due time, or when its lease or backoff ends."""

    instance_name: str
    user_phone: str
    attention_at_ms: int


class Lease(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Lease of a worker on a conversation. Times in Unix ms."""

    processor_id: str
    token: str
    messages: int
    locked_at_ms: int
    expires_at_ms: int


class Retry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A conversation whose last attempt failed and that waits for the next."""

    attempts: int
    setbacks: int
    """Attempts that do not count, because the AI or the channel was away, or by a rate limit."""
    at_ms: int | None
    last_error: str
    given_up: str = ""
    """Reason for giving up, of a turn that waits for room for dead letters; else empty."""


class RecordedReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A reply that is recorded and whose batch is not finished."""

    text: str
    messages: int
    send_state: str
    recorded_at_ms: int


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the queue holds about one conversation. Times in Unix ms."""

    now_ms: int
    pending: list[QueueMessage]
    completed: list[QueueMessage]
    statistics: dict[str, int]
    attention_at_ms: int | None
    """None when the conversation is not in the index: nothing waits, or it is stranded."""
    lease: Lease | None
    retry: Retry | None
    reply: RecordedReply | None
    awaits: BackendKind | None
    """Set when the conversation waits for the AI or its channel, which is away."""
    undelivered: list[Undelivered] = []
    """The last replies that did not reach the user, oldest first."""

    @property
    def is_known(self) -> bool:
        """True when the queue holds anything about it."""
        parts = (
            self.pending,
            self.completed,
            self.statistics,
            self.lease,
            self.retry,
            self.reply,
            self.undelivered,
        )
        return any(parts) or self.attention_at_ms is not None


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """Counts that Redis knows without counting."""

    conversations: tuple[int, ...]
    """Conversations in the index of each partition."""
    dead_letters: int
    dead_letters_share: float
    """Share of the room for dead letters that is taken, in the fullest partition."""
    damaged_keys: int = 0
    """Keys that were damaged and moved aside."""


class Inspection:
    """Reads of a queue. Methods raise QueueUnavailableError when Redis does not answer.

    They accept any name of a user.
    """

    def __init__(self, access: Access, aliases: Aliases) -> None:
        self._access = access
        self._aliases = aliases

    async def _place_of(self, instance_name: str, user_phone: str) -> Place:
        """Return the place of the conversation to which a name leads."""
        return self._access.keys.of(*await self._aliases.conversation_of(instance_name, user_phone))

    async def conversation(self, instance_name: str, user_phone: str) -> Conversation:
        """Return everything that the queue holds about a conversation: messages, statistics, lease, retry, reply."""
        place = await self._place_of(instance_name, user_phone)
        now_ms = await self._access.now_ms()
        partition, backends = self._access.keys.partitions[place.partition], (place.ai, place.channel)
        (
            elements,
            completed,
            statistics,
            raw_lock,
            raw_reply,
            score,
            beside,
            notes,
            undelivered,
            *waits,
        ) = await self._access.read(
            _first_page(place.queue),
            _first_page(place.completed),
            ("HMGET", place.stats, *_COUNTED),
            ("HGETALL", place.lock),
            ("HGETALL", place.reply),
            ("ZSCORE", place.active, place.conversation),
            ("HGETALL", place.changes),
            ("HGETALL", place.change_notes),
            _first_page(place.undelivered),
            *(("ZSCORE", partition.backend_waiting_of(name), place.conversation) for name in backends),
        )
        lock, reply = _texts(raw_lock), _texts(raw_reply)
        attention_at_ms = None if score is None else whole(score, 0)
        elements = await self._all(place.queue, elements)
        return Conversation(
            now_ms=now_ms,
            pending=Changes(beside, notes).applied_to(_pending(instance_name, user_phone, elements, lock)),
            completed=_completed(await self._all(place.completed, completed)),
            statistics=_statistics(statistics, len(elements), elements[-1] if elements else None),
            attention_at_ms=attention_at_ms,
            lease=_lease(lock),
            retry=_retry(lock, attention_at_ms),
            reply=_reply(reply),
            awaits=next(
                (kind for kind, since in zip(BACKENDS, waits, strict=True) if since is not None), None
            ),
            undelivered=_undelivered(undelivered),
        )

    async def error_of_last_send(self, instance_name: str, user_phone: str) -> str:
        """Return the error that ended the last try to send the recorded reply; "" if that try was cut off."""
        place = await self._place_of(instance_name, user_phone)
        (error, failed_at), (recorded_at,) = await self._access.read(
            ("HMGET", place.lock, "error", "failedAt"), ("HMGET", place.reply, "recordedAt")
        )
        return text(error) if error and whole(failed_at, 0) >= whole(recorded_at, 0) else ""

    async def pending(self, instance_name: str, user_phone: str) -> list[QueueMessage]:
        """Return the messages of a conversation that are not finished, in order, with status and retries.

        Edits are applied; a message that its user deleted has the mark `changed`, and no text unless it is kept.
        """
        place = await self._place_of(instance_name, user_phone)
        elements, lock, beside, notes = await self._access.read(
            _first_page(place.queue),
            ("HGETALL", place.lock),
            ("HGETALL", place.changes),
            ("HGETALL", place.change_notes),
        )
        elements = await self._all(place.queue, elements)
        pending = _pending(instance_name, user_phone, elements, _texts(lock))
        return Changes(beside, notes).applied_to(pending)

    async def completed(self, instance_name: str, user_phone: str) -> list[QueueMessage]:
        """Return the finished messages of a conversation, oldest first, as long as they are kept."""
        place = await self._place_of(instance_name, user_phone)
        (elements,) = await self._access.read(_first_page(place.completed))
        return _completed(await self._all(place.completed, elements))

    async def statistics(self, instance_name: str, user_phone: str) -> dict[str, int]:
        """Return totalMessages, processedMessages and lastActivity (Unix ms).

        Waiting messages count in the total. A long silence ends all counts of finished ones: {} if none waits.
        """
        place = await self._place_of(instance_name, user_phone)
        values, waiting, newest = await self._access.read(
            ("HMGET", place.stats, *_COUNTED), ("LLEN", place.queue), ("LINDEX", place.queue, -1)
        )
        return _statistics(values, waiting, newest)

    async def active_conversations(self, limit: int | None = None) -> list[ActiveConversation]:
        """Return conversations with messages, earliest `attention_at_ms` first, at most `limit` of them."""
        conversations = []
        for partition in self._access.keys.partitions:
            for member, score in await self._members(partition, limit):
                instance, phone = decode_conversation(text(member))
                conversations.append(
                    ActiveConversation(
                        instance_name=instance, user_phone=phone, attention_at_ms=whole(score, 0)
                    )
                )
        return sorted(conversations, key=lambda conversation: conversation.attention_at_ms)[:limit]

    async def finished_conversations(self) -> set[tuple[str, str]]:
        """Return instance and phone of every conversation whose finished messages are still kept."""
        keys = self._access.keys
        return {
            decode_conversation(name[1])
            async for page in scan(self._access.redis, keys.pattern("completed"), "list")
            for key in page
            if (name := keys.parse(key))
        }

    def unfinished(self, run: Callable[..., Any]) -> dict[tuple[str, str], list[QueueMessage]]:
        """Return the messages of every active conversation, by instance and phone.

        `run` executes a command and returns its answer at once: a simulator calls this while its time stands still.
        """
        messages: dict[tuple[str, str], list[QueueMessage]] = {}
        for partition in self._access.keys.partitions:
            for member in run("ZRANGE", partition.active, 0, -1):
                elements = run("LRANGE", partition.queue_of(text(member)), 0, -1)
                readable = (decode(element) for element in elements)
                messages[decode_conversation(text(member))] = [message for message in readable if message]
        return messages

    async def depth(self) -> int:
        """Count the messages that are not finished, in flight ones included."""
        total = 0
        for partition in self._access.keys.partitions:
            members = await self._members(partition)
            for first in range(0, len(members), _PAGE):
                page = [partition.queue_of(text(member)) for member, _ in members[first : first + _PAGE]]
                total += sum(await self._access.read(*(("LLEN", key) for key in page)))
        return total

    async def _all(self, key: str, elements: list[Any]) -> list[Any]:
        """Return a whole list, given its first page. Elements that come or go meanwhile may be missing or twice."""
        page = elements
        while len(page) == _PAGE:
            first = len(elements)
            (page,) = await self._access.read(("LRANGE", key, first, first + _PAGE - 1))
            elements = [*elements, *page]
        return elements

    async def _members(self, partition: Partition, limit: int | None = None) -> list[tuple[Any, float]]:
        """Return the first `limit` conversations of a partition's index with their scores, read page by page."""
        members: dict[Any, float] = {}
        first = 0
        while limit is None or len(members) < limit:
            command = ("ZRANGE", partition.active, first, first + _PAGE - 1, "WITHSCORES")
            (page,) = await self._access.read(command, withscores=True)
            members.update(page)
            first += _PAGE
            if len(page) < _PAGE:
                break
        return list(members.items())

    async def sizes(self) -> Sizes:
        """Count conversations with messages, dead letters and damaged keys."""
        partitions = self._access.keys.partitions
        counts = await self._access.read(
            *(("ZCARD", partition.active) for partition in partitions),
            *(("XLEN", partition.dead) for partition in partitions),
            *(("XLEN", partition.damaged) for partition in partitions),
        )
        size = len(partitions)
        dead = counts[size : 2 * size]
        return Sizes(
            conversations=tuple(counts[:size]),
            dead_letters=sum(dead),
            dead_letters_share=max(dead, default=0) / self._access.settings.dead_letters_in_partition_max,
            damaged_keys=sum(counts[2 * size :]),
        )

    async def survey(self, partition: Partition, first: int, last: int) -> SurveyAnswer:
        """Count the messages of the conversations from rank `first` to `last` of a partition's index."""
        call = scripts.Survey(partition=partition, now_ms=self._access.now(), first=first, last=last)
        return await self._access.transport.alone(call)


def _first_page(key: str) -> tuple[Any, ...]:
    return ("LRANGE", key, 0, _PAGE - 1)


def _texts(fields: dict[Any, Any]) -> dict[str, str]:
    return {text(name): text(value) for name, value in fields.items()}


def _pending(
    instance_name: str, user_phone: str, elements: Iterable[bytes], lock: dict[str, str]
) -> list[QueueMessage]:
    sizes = _tries(lock)
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
                processing_started_at=whole(lock.get("lockedAt"), 0) if in_flight else None,
            )
        )
    return messages


def _tries(lock: dict[str, str]) -> list[int]:
    """Return the sizes of the batches of the attempts so far."""
    return [int(size) for size in lock.get("tries", "").split(",") if whole(size, -1) >= 0]


def _undelivered(elements: Iterable[bytes]) -> list[Undelivered]:
    replies = []
    for element in elements:
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
            replies.append(msgspec.json.decode(element, type=Undelivered))
    return replies


def _completed(elements: Iterable[bytes]) -> list[QueueMessage]:
    messages = (decode(element) for element in elements)
    return [msgspec.structs.replace(message, status="completed") for message in messages if message]


def _statistics(values: Sequence[bytes | None], waiting: int, newest: bytes | None) -> dict[str, int]:
    """Add what is in the list, of which `newest` came last, and what was counted before an upgrade."""
    done, gone, at_ms, total, old_total, old_done, old_at_ms = (whole(value, 0) for value in values)
    message = decode(newest) if newest else None
    known = {
        "totalMessages": max(done + gone + waiting, total) + old_total,
        "processedMessages": done + old_done,
        "lastActivity": max(at_ms, old_at_ms, message.added_at if message else 0),
    }
    return {name: number for name, number in known.items() if number}


def _lease(lock: dict[str, str]) -> Lease | None:
    if "token" not in lock:
        return None
    return Lease(
        processor_id=lock.get("processorId", ""),
        token=lock["token"],
        messages=whole(lock.get("size"), 0),
        locked_at_ms=whole(lock.get("lockedAt"), 0),
        expires_at_ms=whole(lock.get("expiresAt"), 0),
    )


def _retry(lock: dict[str, str], attention_at_ms: int | None) -> Retry | None:
    if not lock or "token" in lock:
        return None
    return Retry(
        attempts=len(_tries(lock)),
        setbacks=whole(lock.get("setbacks"), 0),
        at_ms=attention_at_ms,
        last_error=lock.get("error", ""),
        given_up=lock.get("given_up", ""),
    )


def _reply(reply: dict[str, str]) -> RecordedReply | None:
    if not reply:
        return None
    return RecordedReply(
        text=reply.get("text", ""),
        messages=whole(reply.get("size"), 0),
        send_state=reply.get("state", ""),
        recorded_at_ms=whole(reply.get("recordedAt"), 0),
    )
