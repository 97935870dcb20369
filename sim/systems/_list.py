"""The base of both lists: a Redis list per conversation, deleted and pushed again at each step.

The behaviour follows the bot's public source (AbdelrahimE/convgo, commits ea15918 and 9bc9501).
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import ClassVar

import msgspec
from redis.exceptions import RedisError

from queue_core.recording.format import Arrival
from reports.results.causes import Cause, RewriteStep
from sim.engine.ledger import Conversation
from sim.engine.system import System
from sim.engine.world import REDIS_AWAY, AiError, ChannelError, HttpError, World
from sim.witness.custody import Message
from sim.witness.lists import KEY_PARTS, KEY_PREFIX, LIST_TTL_S, Entry, ListWitness, decode, encode

POLL_MS = 3000
MONITOR_MS = 60_000
WINDOW_MS = 8000
MAX_MESSAGES = 5
LOCK_TTL_S = 60
ORPHANED_AFTER_MS = 30 * 60_000
ACTIVE = "active_queues"
LOGGED: Mapping[RewriteStep, str] = {
    "mark_processing": "mark as processing",
    "mark_completed": "mark as completed",
    "recovery": "recovery by the monitor",
}
"""Names of the rewrites in the log."""


class ListSystem(System):
    """A list that webhooks push to. Every 3 s an HTTP call processes all active lists one after another.

    `poll_offset_ms` is the time from the start of the recording to the scheduler's first tick. It is random, because
    the scheduler does not depend on the users.
    """

    batch_max: ClassVar[int | None] = None

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.redis = world.rest_redis()
        self.witness = ListWitness(world, self.redis)
        self.poll_offset_ms = world.random("scheduler").randrange(POLL_MS)
        self._webhooks = 0
        """Number of webhooks under way, and of those that failed: what they wrote may still come to a list."""
        self._webhook_began = asyncio.Event()
        self._entries = 0
        self._processors = 0
        self._answering: dict[str, list[Message]] = {}
        """Messages of the batches that are being answered, by their lists."""

    async def start(self, process: str) -> None:
        """Start the scheduler and the monitor."""
        self.world.spawn_daemon(self._every(POLL_MS, self._process_all), name="list scheduler")
        self.world.spawn_daemon(self._every(MONITOR_MS, self._recover_orphans), name="list monitor")

    def died(self, process: str) -> None:
        """Report that what the process was answering stays in the lists as `processing`."""
        for key, messages in self._answering.items():
            self.witness.crashed(key, messages)
        self._answering.clear()

    def redis_lost_writes(self) -> None:
        """Report the messages that are gone with the writes."""
        self.witness.lost_writes()

    def at_rest(self) -> bool:
        """Return True if all lists are empty."""
        self.witness.sweep()
        return not self.witness.custody.all_waiting()

    def pending_ids(self) -> dict[Conversation, list[str]]:
        """Return the ids in lists that no handler has taken."""
        return self.witness.custody.all_waiting()

    def cause(self, conversation: Conversation, message_id: str) -> Cause:
        """Return the cause of a loss that no rewrite and no expiry explains."""
        return Cause(code="never_pushed")

    async def webhook(self, arrival: Arrival) -> None:
        """Push the message; when Redis fails, answer it directly."""
        self._webhooks += 1
        self._webhook_began.set()
        self._webhook_began.clear()
        conversation = Conversation(arrival.instance, arrival.phone)
        key = list_key(conversation)
        self._entries += 1
        now_ms = self.world.now_ms()
        entry = Entry(self._entries, arrival.instance, arrival.phone, arrival.id, arrival.text, now_ms)
        try:
            push = ("LPUSH", key, encode(entry))
            results = await self.redis.multi(push, ("EXPIRE", key, LIST_TTL_S), ("SADD", ACTIVE, key))
        except RedisError:
            self.world.log("list.add_failed")
            self.witness.custody.claim(key, conversation, [entry.identity], "direct", None)
            await self._answer(key, conversation, [entry], Cause(code="direct_failed"))
        else:
            self._webhooks -= 1
            self.world.log("list.added", totalMessages=results[0])

    @abstractmethod
    async def entries_to_keep(self, key: str, batch: Sequence[Entry]) -> Sequence[Entry]:
        """Return the entries that mark-as-processing pushes back after the DEL, in this order."""

    async def _every(self, period_ms: int, handler: Callable[[], Awaitable[None]]) -> None:
        """Call the handler in each period. A call that finds no active list does nothing, so it is left out."""
        await asyncio.sleep(self.poll_offset_ms / 1000)
        began_ms = self.world.now_ms()
        while True:
            if self.redis.peek("SCARD", ACTIVE):
                self.world.spawn(self._call(handler), name="list scheduler call")
            elif not self._webhooks:
                await self._webhook_began.wait()
            await asyncio.sleep((period_ms - (self.world.now_ms() - began_ms) % period_ms) / 1000)

    async def _call(self, handler: Callable[[], Awaitable[None]]) -> None:
        try:
            await self.world.http_call(handler)
        except HttpError:
            self.world.log("scheduler.call_failed")

    async def _active(self) -> list[tuple[str, Conversation]]:
        """Return the active lists, sorted, without keys that have more than KEY_PARTS parts."""
        keys: list[str] = sorted(await self.redis.call("SMEMBERS", ACTIVE))
        parts = [(key, key.split(":")) for key in keys]
        return [(key, Conversation(part[1], part[2])) for key, part in parts if len(part) == KEY_PARTS]

    async def _read(self, key: str) -> list[Entry]:
        return decode(await self.redis.call("LRANGE", key, 0, -1))

    async def _process_all(self) -> None:
        for key, conversation in await self._active():
            await self._process_one(key, conversation)

    async def _process_one(self, key: str, conversation: Conversation) -> None:
        lock = f"processing_lock:{conversation.instance}:{conversation.phone}"
        self._processors += 1
        processor = str(self._processors)
        if await self.redis.call("SET", lock, processor, "NX", "EX", LOCK_TTL_S) != "OK":
            self.world.log("list.locked")
            return
        pending = [entry for entry in await self._read(key) if entry.status == "pending"]
        pending.sort(key=lambda entry: entry.added_ms)
        trigger = self._trigger(pending)
        if trigger is not None:
            await self._process_batch(key, conversation, pending[: self.batch_max], trigger)
        if await self.redis.call("GET", lock) == processor:
            await self.redis.call("DEL", lock)

    def _trigger(self, pending: Sequence[Entry]) -> str | None:
        if not pending:
            return None
        if self.world.now_ms() - pending[0].added_ms >= WINDOW_MS:
            return "window"
        return "size" if len(pending) >= MAX_MESSAGES else None

    async def _process_batch(
        self, key: str, conversation: Conversation, batch: Sequence[Entry], trigger: str
    ) -> None:
        timespan_ms = batch[-1].added_ms - batch[0].added_ms
        self.world.log("list.read", messageCount=len(batch), timespan=timespan_ms)
        due_ms = batch[0].added_ms + WINDOW_MS
        if len(batch) >= MAX_MESSAGES:
            due_ms = min(due_ms, batch[MAX_MESSAGES - 1].added_ms)
        messages = [entry.identity for entry in batch]
        self.witness.custody.claim(key, conversation, messages, trigger, due_ms)
        self._answering[key] = messages
        try:
            await self._rewrite(key, "mark_processing", await self.entries_to_keep(key, batch))
            await self._answer(key, conversation, batch, Cause(code="ai_failed"))
            await self._remove(key, batch)
        except REDIS_AWAY:  # nothing cleans up: what it took stays as it is
            self.witness.crashed(key, messages)
            raise
        finally:
            self._answering.pop(key, None)

    async def _remove(self, key: str, batch: Sequence[Entry]) -> None:
        finished = {entry.entry_id for entry in batch}
        rest = [entry for entry in await self._read(key) if entry.entry_id not in finished]
        await self._rewrite(key, "mark_completed", rest)

    async def _answer(
        self, key: str, conversation: Conversation, batch: Sequence[Entry], cause_of_loss: Cause
    ) -> None:
        """Ask the AI and send its answer; when the AI fails, the messages are lost."""
        ids = [entry.id for entry in batch]
        try:
            reply = await self.world.ai.answer(conversation, ids, " ".join(entry.text for entry in batch))
            await self.world.whatsapp.send(conversation, ids, reply)
        except (AiError, ChannelError) as error:
            self.world.log("ai.failed", messageCount=len(batch))
            cause = cause_of_loss if isinstance(error, AiError) else Cause(code="channel_failed")
            self.witness.custody.lose(key, [entry.identity for entry in batch], cause)

    async def _rewrite(self, key: str, step: RewriteStep, entries: Sequence[Entry]) -> None:
        """Delete the list and push the entries in the given order; the last one becomes the list's head."""
        pushes = [("LPUSH", key, encode(entry)) for entry in entries]
        last = ("EXPIRE", key, LIST_TTL_S) if entries else ("SREM", ACTIVE, key)
        with self.witness.rewriting(step):
            await self.redis.multi(("DEL", key), *pushes, last)
        self.world.log("list.rewritten", step=LOGGED[step], pushedBack=len(entries))

    async def _recover_orphans(self) -> None:
        """Reset messages to `pending` that have been `processing` for more than 30 min."""
        for key, _ in await self._active():
            orphans = {entry.entry_id for entry in await self._read(key) if self._orphaned(entry)}
            if orphans:
                entries = [self._recovered(e) if e.entry_id in orphans else e for e in await self._read(key)]
                await self._rewrite(key, "recovery", entries)

    def _orphaned(self, entry: Entry) -> bool:
        since_ms = entry.processing_since_ms
        return since_ms is not None and self.world.now_ms() - since_ms > ORPHANED_AFTER_MS

    def _recovered(self, entry: Entry) -> Entry:
        return msgspec.structs.replace(
            entry, status="pending", processing_since_ms=None, retry_count=entry.retry_count + 1
        )

    def processing(self, entry: Entry) -> Entry:
        """Return the entry as mark-as-processing pushes it back."""
        return msgspec.structs.replace(entry, status="processing", processing_since_ms=self.world.now_ms())


def list_key(conversation: Conversation) -> str:
    """Return the key of a conversation's list. The bot later splits it at each `:`."""
    return f"{KEY_PREFIX}{conversation.instance}:{conversation.phone}"
