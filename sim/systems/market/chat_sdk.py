"""Vercel's Chat SDK with its Redis state: a lock for each conversation, and a short queue beside it.

Read in vercel/chat 4.38.1, packages/chat/src/chat.ts (`routeIncomingMessage`, `handleQueueOrDebounce`, `debounceLoop`,
`drainQueue`, the defaults of `concurrency`, a lock of 30 s that is extended between turns but not during one) and
packages/state-redis/src/index.ts (the commands). Its users report that the lock runs out under a slow handler (#685;
since #821 it is renewed every 10 s: setting `renew`), and that a message which is queued between the holder's last look
and the release of the lock waits for the next message of the user, or for its end after 90 s (#928).

With the strategy `debounce` nobody looks at the queue after the handler, so this happens to every message that comes
while the AI works.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Container, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import msgspec
from redis.exceptions import RedisError

from queue_core.recording.format import Arrival
from reports.results.causes import Cause
from sim.engine.options import choice, count, duration
from sim.engine.world import AiError, ChannelError, World
from sim.systems.market.base import MarketSystem, cause_of, conversation_of
from sim.witness.buffers import BufferedMessage
from sim.witness.custody import Message

LOCK_MS = 30_000
KNOWN_FOR_MS = 600_000
"""Time for which a message id is remembered."""
QUEUE_MS_MIN = 60_000
"""Shortest life of a queue in Redis after its last entry."""
ENQUEUE = """
redis.call('RPUSH', KEYS[1], ARGV[1])
local dropped = redis.call('LRANGE', KEYS[1], 0, -tonumber(ARGV[2]) - 1)
redis.call('LTRIM', KEYS[1], -tonumber(ARGV[2]), -1)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return dropped
"""
"""Appends an entry and drops the oldest ones beyond the limit. Only the simulator needs to know which."""
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
EXTEND = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"


class _Entry(msgspec.Struct, frozen=True):
    """An entry of a queue."""

    message: BufferedMessage
    expires_at_ms: int


_DECODER = msgspec.json.Decoder(_Entry)


@dataclass(frozen=True, slots=True)
class ChatSdkOptions:
    """Settings of `chat-sdk`, with the defaults of `concurrency`."""

    strategy: Literal["queue", "debounce", "burst", "drop"] = choice("queue", "debounce", "burst", "drop")
    """Treatment of a message that comes while another is being answered. The SDK's own default is `drop`."""
    debounce_ms: int = duration("1500ms")
    """Wait before the first turn, with `debounce` and `burst`."""
    max_queue: int = count(10, at_least=1)
    """Largest number of messages that wait."""
    on_full: Literal["drop-oldest", "drop-newest"] = choice("drop-oldest", "drop-newest")
    """Message that is dropped when the queue is full."""
    entry_ttl_ms: int = duration("90s")
    """Time after which a queued message is thrown away unread."""
    renew_ms: int = duration("0")
    """Time between two renewals of the lock during a turn; 0 is never, as up to 4.38.1. Later releases: 10s."""
    handler: Literal["all", "latest"] = choice("all", "latest")
    """Messages that the bot's handler gives to the AI: the skipped ones too (`context.skipped`), or the latest only."""


@dataclass(frozen=True, slots=True)
class ChatSdkDebounceOptions(ChatSdkOptions):
    """Settings of `chat-sdk-debounce`."""

    strategy: Literal["queue", "debounce", "burst", "drop"] = choice("debounce", "queue", "burst", "drop")


class ChatSdk(MarketSystem):
    """A bot on the Chat SDK: the first message takes the lock and its function answers; others go into the queue."""

    name: ClassVar[str] = "chat-sdk"
    order: ClassVar[int] = 150
    options_type: ClassVar[type[Any]] = ChatSdkOptions
    options: ChatSdkOptions

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.left_cause = Cause(code="queued_unread", ttl_s=self.options.entry_ttl_ms // 1000)
        self.locked: set[str] = set()
        """Conversations whose lock is held by a function that will read the queue."""

    async def webhook(self, arrival: Arrival) -> None:
        """Handle the message after the webhook was acknowledged (`waitUntil`)."""
        invocation = _Invocation(self, self.received(arrival))
        self.world.spawn(invocation.run(), name=f"{self.name} {arrival.id}")

    def died(self, process: str) -> None:
        """Note that nothing reads the queues that the functions of the process would have read."""
        for key in self.locked:
            self.nobody_reads(key, Cause(code="process_died"))
        self.locked.clear()

    def held_by_redis(self, key: str) -> Container[Message]:
        """Return the messages of the queue."""
        entries = self.observer.peek("LRANGE", queue_key(key), 0, -1)
        return {_DECODER.decode(entry).message.identity for entry in entries}


class ChatSdkDebounce(ChatSdk):
    """A bot with the strategy `debounce`."""

    name: ClassVar[str] = "chat-sdk-debounce"
    order: ClassVar[int] = 160
    options_type: ClassVar[type[Any]] = ChatSdkDebounceOptions


def queue_key(key: str) -> str:
    """Return the key of the queue of a conversation."""
    return f"chat-sdk:queue:{key}"


class _Invocation:
    """A function that handles one message, and whatever it finds in the queue while it has the lock."""

    def __init__(self, system: ChatSdk, message: BufferedMessage) -> None:
        self._system = system
        self._options = system.options
        self._redis = system.redis
        self._message = message
        self._key = system.key(conversation_of(message))
        self._queue, self._lock = queue_key(self._key), f"chat-sdk:lock:{self._key}"
        self._token = str(message.delivery)
        self._held = [message]
        """Messages that only this function knows: they are lost when it ends."""

    async def run(self) -> None:
        """Handle the message. An error ends the function, and the queue keeps what is in it."""
        try:
            await self._handle()
        except RedisError:
            self._lose_held(Cause(code="redis_failed"))
        except (AiError, ChannelError) as error:
            self._lose_held(cause_of(error))

    async def _handle(self) -> None:
        message, world = self._message, self._system.world
        known = f"chat-sdk:cache:dedupe:{self._key}:{message.id}"
        if not await self._redis.set(known, "true", nx=True, px=KNOWN_FOR_MS):
            self._held.clear()
            world.ledger.note(conversation_of(message), message.id, "known")
        elif await self._redis.set(self._lock, self._token, nx=True, px=LOCK_MS):
            await self._with_lock()
        elif self._options.strategy == "drop":
            self._lose_held(Cause(code="dropped_while_busy"))
        else:
            depth = await self._redis.llen(self._queue)
            if depth >= self._options.max_queue and self._drops_newest():
                self._lose_held(Cause(code="queue_full", limit=self._options.max_queue))
            else:
                await self._enqueue()

    def _drops_newest(self) -> bool:
        return self._options.strategy != "debounce" and self._options.on_full == "drop-newest"

    async def _with_lock(self) -> None:
        """Answer as the strategy says, then release the lock; a function that dies keeps it until it runs out."""
        strategy = self._options.strategy
        if strategy != "drop":
            self._system.locked.add(self._key)
        if strategy in ("queue", "drop"):
            work = self._dispatch(self._held, "direct")
        else:
            await self._enqueue()
            if not self._system.timer_will_fire(self._key):
                self._system.locked.discard(self._key)
                return
            work = self._debounce() if strategy == "debounce" else self._burst()
        try:
            await work
            if strategy == "queue":
                await self._drain()
        except (AiError, ChannelError, RedisError):
            await self._release()
            raise
        await self._release()

    async def _release(self) -> None:
        self._system.locked.discard(self._key)
        with contextlib.suppress(RedisError):
            await self._redis.eval(RELEASE, 1, self._lock, self._token)

    async def _debounce(self) -> None:
        """Wait, take what waits, and answer it. Nobody looks at the queue afterwards."""
        due_ms = self._system.world.now_ms() + self._options.debounce_ms
        pending: list[BufferedMessage] = []
        while True:
            await self._system.sleep(self._options.debounce_ms)
            await self._extend()
            taken = await self._dequeue_all()
            pending += taken
            if not taken or not await self._redis.llen(self._queue):
                break
        self._system.locked.discard(self._key)
        if taken:
            await self._dispatch(pending, "timer", due_ms)

    async def _burst(self) -> None:
        await self._system.sleep(self._options.debounce_ms)
        await self._extend()
        await self._drain()

    async def _drain(self) -> None:
        """Answer what waits until a look into the queue finds it empty."""
        while pending := await self._dequeue_all():
            await self._extend()
            await self._dispatch(pending, "queued")

    async def _enqueue(self) -> None:
        """Append the message to the queue."""
        message, system = self._message, self._system
        entry = _Entry(message, system.world.now_ms() + self._options.entry_ttl_ms)
        life_ms = max(self._options.entry_ttl_ms, QUEUE_MS_MIN)
        dropped = await self._redis.eval(
            ENQUEUE, 1, self._queue, msgspec.json.encode(entry), str(self._options.max_queue), str(life_ms)
        )
        self._held.clear()
        system.custody.store(self._key, message.identity)
        full = [_DECODER.decode(each).message.identity for each in dropped]
        system.custody.lose(self._key, full, Cause(code="queue_full", limit=self._options.max_queue))

    async def _dequeue_all(self) -> list[BufferedMessage]:
        """Take the entries one after another. Those that waited too long are thrown away."""
        taken: list[BufferedMessage] = []
        while isinstance(value := await self._redis.lpop(self._queue), bytes):
            entry = _DECODER.decode(value)
            if self._system.world.now_ms() <= entry.expires_at_ms:
                taken.append(entry.message)
                self._held.append(entry.message)
            else:
                cause = Cause(code="entry_expired", ttl_s=self._options.entry_ttl_ms // 1000)
                self._system.custody.lose(self._key, [entry.message.identity], cause)
        return taken

    async def _dispatch(
        self, messages: Sequence[BufferedMessage], trigger: str, due_ms: int | None = None
    ) -> None:
        """Give a turn to the bot's handler: the latest message, with those before it as `context.skipped`."""
        given = list(messages if self._options.handler == "all" else messages[-1:])
        skipped = [message.identity for message in messages if message not in given]
        self._system.custody.lose(self._key, skipped, Cause(code="skipped"))
        async with self._renewing():
            await self._system.reply(self._key, given, trigger, due_ms)
        self._held.clear()

    async def _extend(self) -> None:
        await self._redis.eval(EXTEND, 1, self._lock, self._token, str(LOCK_MS))

    @contextlib.asynccontextmanager
    async def _renewing(self) -> AsyncIterator[None]:
        """Renew the lock during a turn, if the setting says so."""
        if not self._options.renew_ms:
            yield
            return
        renewal = self._system.world.spawn(self._renew(), name=f"{self._system.name} renewal")
        try:
            yield
        finally:
            renewal.cancel()

    async def _renew(self) -> None:
        while True:
            await self._system.sleep(self._options.renew_ms)
            with contextlib.suppress(RedisError):
                await self._extend()

    def _lose_held(self, cause: Cause) -> None:
        self._system.custody.lose(self._key, [message.identity for message in self._held], cause)
        self._held.clear()
