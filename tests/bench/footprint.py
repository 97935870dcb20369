"""Memory of the queue at steady load, and the longest steps of Redis, on a real Redis: `make footprint`.

Ids are noted for 32 hours, the longest that one is remembered when `dedupe_ttl_s` is 24 hours, through the functions of
the scripts. Their bytes are divided by the messages of 24 hours. An hour runs through the queue
itself, with a given clock: messages of a webhook's size, three in each turn, and a conversation for each turn. What
would have expired by that clock is deleted.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from queue_core import MessageQueue, QueueMessage, QueueSettings
from queue_core.ai.memory import ConversationMemory, Memory, Turn
from queue_core.queue.health.health import examine
from queue_core.redis.pending_calls import CALLS_MAX
from queue_core.redis.scripts.loader import text
from queue_core.redis_server.binaries import find_all_redis_servers
from queue_core.redis_server.embedded import EmbeddedRedis
from reports.analysis.quantile import quantile
from tests.queue_core.redis.scripts.filling import Ids
from tests.queue_core.searches.planting import ALL, GATHERED

NOW_MS = 1_790_000_000_000
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DEDUPE_HOURS = 24
KEPT_HOURS = 32
ARCHIVE_MINUTES = 30
TURN = 3
AT_ONCE = 600
SLOWLOG_MAX = 1_000_000
OUR_COMMANDS = ("SLOWLOG", "CONFIG", "INFO")
"""Commands that the measurement itself makes."""
TEXT = "ممكن أعرف الأسعار والمواعيد المتاحة لو سمحت؟"
WEBHOOK = {
    "event": "messages.upsert",
    "instance": "shop",
    "data": {
        "key": {"remoteJid": "966500000000@s.whatsapp.net", "fromMe": False, "id": "3EB0C767D097B7C7C030"},
        "pushName": "Somebody",
        "message": {"conversation": TEXT},
        "messageType": "conversation",
        "messageTimestamp": 1_790_000_000,
        "source": "android",
    },
    "destination": "https://bot.example/webhook/evolution",
    "date_time": "2026-09-21T10:20:00.000Z",
    "sender": "966500000000@s.whatsapp.net",
    "server_url": "http://localhost:8080",
}


@dataclass
class Clock:
    """Time that the queue is given."""

    now_ms: int = NOW_MS

    def __call__(self) -> int:
        """Return Unix ms."""
        return self.now_ms


@dataclass
class Footprint:
    """Memory at one rate, in bytes."""

    rate: int
    """Messages a minute."""
    ids_24_h: int = 0
    ids_32_h: int = 0
    archive: int = 0
    statistics: int = 0
    steps_us: dict[str, list[int]] = field(default_factory=dict)

    @property
    def messages_of_a_day(self) -> int:
        """Messages in 24 hours."""
        return self.rate * 60 * DEDUPE_HOURS


def message(number: int, phone: str, timestamp: int = 0) -> QueueMessage:
    """Make a message of an ordinary size."""
    return QueueMessage(
        id=f"3EB0{number:016X}",
        instance_name="shop",
        user_phone=phone,
        message=TEXT,
        message_data=WEBHOOK,
        timestamp=timestamp,
    )


async def used(redis: Redis) -> int:
    """Return the memory that Redis uses, in bytes."""
    return int((await redis.info("memory"))["used_memory"])


async def freed_by(redis: Redis, pattern: str) -> int:
    """Delete the keys of a pattern, and return the bytes that this frees."""
    before = await used(redis)
    keys = [key async for key in redis.scan_iter(match=pattern, count=10_000)]
    for first in range(0, len(keys), 10_000):
        await redis.delete(*keys[first : first + 10_000])
    return before - await used(redis)


class Steps:
    """Times of the steps of Redis, read from its SLOWLOG."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._names = {script.sha: script.name for script in ALL}
        self._names |= {script.sha: f"{script.name}, up to {CALLS_MAX}" for script in GATHERED}

    async def begin(self) -> None:
        """Forget earlier steps, and note all from now on."""
        await self._redis.config_set("slowlog-max-len", SLOWLOG_MAX)
        await self._redis.config_set("slowlog-log-slower-than", 0)
        await self._redis.slowlog_reset()

    async def end(self) -> dict[str, list[int]]:
        """Return the times of each script and each command since the beginning, in microseconds, sorted."""
        await self._redis.config_set("slowlog-log-slower-than", -1)
        times: dict[str, list[int]] = {}
        for entry in await self._redis.slowlog_get(SLOWLOG_MAX):
            words = text(entry["command"]).split()
            name = self._names.get(words[1], "?") if words[0] == "EVALSHA" else words[0]
            times.setdefault(name, []).append(entry["duration"])
        return {name: sorted(values) for name, values in times.items() if name not in OUR_COMMANDS}


async def measure(redis: Redis, rate: int) -> Footprint:
    """Measure the memory at one rate."""
    await redis.flushall()
    result, ids = Footprint(rate), Ids(redis)
    base = await used(redis)
    for hour in range(KEPT_HOURS):
        await ids.add(rate * 60, NOW_MS + hour * HOUR_MS)
        if hour + 1 == DEDUPE_HOURS:
            result.ids_24_h = await used(redis) - base
    result.ids_32_h = await used(redis) - base

    await redis.flushall()
    clock, steps = Clock(), Steps(redis)
    queue = MessageQueue(redis, QueueSettings(window_ms=0, redis_deadline_ms=60_000), clock=clock)
    for minute in range(60):
        if minute == 59:
            await steps.begin()
        clock.now_ms = NOW_MS + minute * MINUTE_MS
        await one_minute(queue, rate, minute)
    result.steps_us = await steps.end()
    for minute in range(60 - ARCHIVE_MINUTES):
        await freed_by(redis, f"wa:*:completed:shop:{minute:02}*")
    result.archive = await freed_by(redis, "wa:*:completed:*")
    result.statistics = await freed_by(redis, "wa:*:queue_stats:*")
    return result


async def one_minute(queue: MessageQueue, rate: int, minute: int) -> None:
    """Let the messages of a minute arrive, and answer them."""
    for first in range(0, rate, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, rate))
        await asyncio.gather(
            *(queue.enqueue(message(minute * rate + it, f"{minute:02}{it // TURN:08}")) for it in numbers)
        )
        while batches := (await queue.claim("footprint", limit=50)).batches:
            await asyncio.gather(*(queue.record_reply(batch, TEXT) for batch in batches))
            await asyncio.gather(*(queue.complete(batch) for batch in batches))


async def dead_letter_bytes(redis: Redis) -> float:
    """Return the bytes of a dead letter."""
    await redis.flushall()
    queue = MessageQueue(redis, QueueSettings(window_ms=0), clock=Clock(NOW_MS + 2 * DEDUPE_HOURS * HOUR_MS))
    for first in range(0, 10_000, AT_ONCE):
        late = (message(first + it, f"{it}", NOW_MS) for it in range(AT_ONCE))
        await asyncio.gather(*(queue.enqueue(it) for it in late))
    letters = (await queue.sizes()).dead_letters
    return await freed_by(redis, "wa:*:dead_letters") / letters


async def memory_bytes(redis: Redis, memory: Memory) -> float:
    """Return the bytes of what an AI remembers of a conversation."""
    await redis.flushall()
    memories = ConversationMemory(MessageQueue(redis).notes)
    for number in range(3_000):
        await memories.save("shop", f"{number:08}", memory)
    return await freed_by(redis, "wa:*:memory:*") / 3_000


async def extremes(redis: Redis) -> dict[str, dict[str, list[int]]]:
    """Return the times of steps with 10,000 messages in one conversation, and with 100,000 conversations due."""
    steps = Steps(redis)
    queue = MessageQueue(redis, QueueSettings(window_ms=0, redis_deadline_ms=60_000))
    await redis.flushall()
    await enqueue_all(queue, 10_000, lambda _: "1")
    await steps.begin()
    for number in range(20):
        await queue.withdraw(message(number, "1"))
        await queue.enqueue(message(20_000 + number, "1"))
        (batch,) = (await queue.claim("footprint")).batches
        await queue.extend(batch)
        await queue.record_reply(batch, TEXT)
        await queue.record_sent(batch, parts=1)
        await queue.complete(batch)
    (batch,) = (await queue.claim("footprint")).batches
    await queue.fail(batch, "?", dead=True)
    await queue.requeue((await queue.dead_letters())[0].id)
    await look(queue)
    long_conversation = await steps.end()

    await redis.flushall()
    await enqueue_all(queue, 100_000, str)
    await steps.begin()
    for number in range(20):
        await queue.enqueue(message(200_000 + number, f"new {number}"))
        batches = (await queue.claim("footprint", limit=1_000)).batches
        await asyncio.gather(*(queue.complete(batch) for batch in batches))
    await look(queue)
    return {
        "10,000 messages in a conversation": long_conversation,
        "100,000 conversations due": await steps.end(),
    }


async def look(queue: MessageQueue) -> None:
    """Make the reads and repairs of monitors and people."""
    await queue.conversation("shop", "1")
    await queue.active_conversations()
    await queue.depth()
    await queue.rescue()
    await examine(queue)


async def enqueue_all(queue: MessageQueue, count: int, phone_of: Callable[[int], str]) -> None:
    """Let many messages arrive."""
    for first in range(0, count, 1_000):
        numbers = range(first, first + 1_000)
        await asyncio.gather(*(queue.enqueue(message(number, phone_of(number))) for number in numbers))


def show_memory(results: list[Footprint], server: str) -> None:
    """Print the table of memory."""
    table = Table(title=f"memory at steady load in messages a minute, with bytes a message, {server}")
    for heading in (
        "rate",
        "ids, 24 h",
        "ids, at most",
        "archive",
        "statistics",
        "together",
        "slowest step, median",
    ):
        table.add_column(heading, justify="right")
    for it in results:
        archived = it.rate * ARCHIVE_MINUTES
        slowest, name = max((quantile(values, 0.5), name) for name, values in it.steps_us.items())
        table.add_row(
            f"{it.rate:,}",
            f"{it.ids_24_h / it.messages_of_a_day:.1f} B",
            f"{it.ids_32_h / it.messages_of_a_day:.1f} B: {megabytes(it.ids_32_h)}",
            f"{it.archive / archived:.0f} B: {megabytes(it.archive)}",
            megabytes(it.statistics),
            megabytes(it.ids_32_h + it.archive + it.statistics),
            f"{name}, {slowest / 1000:.2f} ms",
        )
    Console().print(table)


async def show_others(redis: Redis) -> None:
    """Print what dead letters and memories take."""
    limit, dead_letter = QueueSettings().dead_letters_max, await dead_letter_bytes(redis)
    turns = tuple(Turn("user" if number % 2 == 0 else "assistant", TEXT) for number in range(20))
    dify = await memory_bytes(redis, Memory(conversation_id="1b2e9f4c-0c6a-4a53-9d0c-2f7be1c1a2b3"))
    openai = await memory_bytes(redis, Memory(history=turns))
    Console().print(
        f"a dead letter takes {dead_letter:.0f} bytes; {limit:,}, the limit, take {megabytes(limit * dead_letter)}; "
        f"the memory of a conversation {dify:.0f} bytes with Dify, {openai:.0f} with ten turns for openai"
    )


def show_steps(times: dict[str, dict[str, list[int]]]) -> None:
    """Print the slowest steps of the extremes: the time that most calls keep to, and the longest."""
    for title, steps in times.items():
        table = Table(title=title)
        table.add_column("script or command")
        for heading in ("calls", "median", "95 % within", "longest"):
            table.add_column(heading, justify="right")
        slowest = sorted(steps.items(), key=lambda item: -quantile(item[1], 0.5))[:8]
        for name, values in slowest:
            figures = (quantile(values, share) / 1000 for share in (0.5, 0.95, 1))
            table.add_row(name, f"{len(values):,}", *(f"{figure:.2f} ms" for figure in figures))
        Console().print(table)


def say(words: str) -> None:
    """Print on standard error what is being done, since it takes minutes."""
    Console(stderr=True).print(f"{words} …")


def megabytes(count: float) -> str:
    """Write a number of bytes."""
    return f"{count / 1e6:,.1f} MB"


async def run(url: str, rates: list[int], server: str) -> None:
    """Measure, and print."""
    async with Redis.from_url(url, socket_timeout=600) as redis:  # reading the SLOWLOG takes long
        results = []
        for rate in rates:
            say(f"measuring {rate:,} messages a minute")
            results.append(await measure(redis, rate))
        show_memory(results, server)
        await show_others(redis)
        say("measuring the slowest steps")
        show_steps(await extremes(redis))


def rates_in(words: str) -> list[int]:
    """Read rates, with commas between them. Raises ArgumentTypeError."""
    try:
        return [int(word) for word in words.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{words!r} is not a list of whole numbers, such as 100,1000"
        ) from None


def main() -> None:
    """Read the command line, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--rates",
        type=rates_in,
        metavar="RATE,RATE",
        default="100,1000,10000",
        help="messages a minute (default %(default)s; the last takes long)",
    )
    parser.add_argument(
        "--all", action="store_true", help="measure every redis-server found, not the newest only"
    )
    options = parser.parse_args()
    for binary in find_all_redis_servers()[: None if options.all else 1]:
        with EmbeddedRedis(server=binary.path) as server:
            asyncio.run(run(server.url, options.rates, f"Redis {binary.version}"))


if __name__ == "__main__":
    main()
