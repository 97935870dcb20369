"""Random calls of the queue's public methods on several Redis servers side by side.

After each call, the answers and the whole key space with its times to live must be equal. Long searches run as
`python -m tests.sim.engine.store.differential REDIS_URL SECONDS SEED`; the URL may be `fakeredis`.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import random
import re
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import redis.exceptions
from fakeredis import FakeAsyncRedis, FakeServer
from redis.asyncio import Redis

from queue_core import (
    Batch,
    MessageQueue,
    QueueError,
    QueueMessage,
    QueueSettings,
    QueueUnavailableError,
    connect,
)
from queue_core.queue.outages import OutageSign
from queue_core.queue.upkeep.sent_replies import Report
from queue_core.sent import SentPart
from queue_core.waiting import cancel_all
from sim.engine.store.client import StoreClient
from tests.conftest import store_client

STEPS = 60
"""Number of calls of a search, which begins with empty servers."""
TTL_TOLERANCE_MS = 5_000
USERS_WITH_ONE_NAME = ("b", "c")
USERS = ("a", *USERS_WITH_ONE_NAME, "lid-a")
PROCESSORS = ("p1", "p2")
TEXTS = ("hi", "", "\u0645\u0631\u062d\u0628\u0627", "a" * 300, '"quoted" \\ {}')
STEPS_OF_TIME_MS = (1, 500, 4_000, *[8_000] * 5, *[16_000] * 2, 61_000, 3_600_000, -5_000, -90_000)
SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {"max_messages": 2, "max_batch": 3, "max_retry_count": 1},
    {"idle_ms": 3_000, "cap_ms": 20_000, "supersede_ms": 9_000},
    {"completed_ttl_s": 60, "dedupe_ttl_s": 3_600, "late_messages": "answer"},
    {"partitions": 3, "queue_ttl_s": 60, "dead_letters_max": 3},
    {"outage_patience_s": 60, "max_retry_count": 0},
)
REORDERED_BY_FAKEREDIS = ("drop older",)
"""Calls whose order differs in fakeredis: it scans sorted sets by name; real servers scan small ones by score."""
_STREAM_ID = re.compile(r"\b\d{12,}-\d+\b")
"""Ids that the servers make from their own clocks."""
_DAMAGES = (
    ("SET", "x", "y"),
    ("RPUSH", "x", "not json"),
    ("HSET", "x", "token", "z"),
    ("ZADD", "x", "1", "y"),
)


class DifferenceError(AssertionError):
    """Raised when two servers differ; the message has the calls that lead to it."""


@dataclass
class Clock:
    """Clock of all sides, set by the calls."""

    now_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    passed_s: float = 0.0

    def advance(self, by_ms: int) -> None:
        """Let time pass, or set Redis's clock back."""
        self.now_ms += by_ms
        self.passed_s += max(0, by_ms) / 1000


class Side:
    """A queue on one server, and the leases that its workers hold or held."""

    def __init__(self, name: str, redis: Redis, clock: Clock, settings: QueueSettings) -> None:
        self.name = name
        self.redis = redis
        self.batches: list[Batch] = []
        transport = None
        if isinstance(redis, StoreClient):
            transport = redis.transport(deadline_ms=settings.redis_deadline_ms)
        self.queue = MessageQueue(
            redis,
            settings,
            transport=transport,
            clock=lambda: clock.now_ms,
            monotonic=lambda: clock.passed_s,
            rng=random.Random(1),
        )

    async def answer(self, call: Call) -> Any:
        """Make a call; return its answer in a form that can be compared, or the class of its error."""
        try:
            return plain(await call.make(self))
        except QueueError as error:
            return type(error).__name__

    async def keys(self) -> dict[str, Any]:
        """Return each key with its value, and its time to live in ms, -1 for none."""
        names: list[Any] = sorted(await self.redis.keys("*"))
        facts, values = (self.redis.pipeline(transaction=False) for _ in range(2))
        for name in names:
            facts.type(name)
            facts.pttl(name)
        answers = await facts.execute() if names else []
        readings = [_READINGS[kind.decode()] for kind in answers[::2]]
        for name, (read, _) in zip(names, readings, strict=True):
            read(values, name)
        content: dict[str, Any] = {}
        for name, ttl, (_, ordered), raw in zip(
            names, answers[1::2], readings, await values.execute() if names else [], strict=True
        ):
            label = plain(name)
            while label in content:  # several keys whose ids are left out
                label += "'"
            content[label] = (plain(ordered(raw)), ttl)
        return content


_READINGS: dict[str, tuple[Callable[[Any, bytes], Any], Callable[[Any], Any]]] = {
    "string": (lambda pipeline, name: pipeline.get(name), lambda raw: raw),
    "list": (lambda pipeline, name: pipeline.lrange(name, 0, -1), lambda raw: raw),
    "hash": (lambda pipeline, name: pipeline.hgetall(name), lambda raw: sorted(raw.items())),
    "zset": (lambda pipeline, name: pipeline.zrange(name, 0, -1, withscores=True), lambda raw: raw),
    "stream": (lambda pipeline, name: pipeline.xrange(name), lambda raw: [fields for _, fields in raw]),
    "set": (lambda pipeline, name: pipeline.smembers(name), sorted),
}
"""Command that reads a value of each type, and function that gives it an order."""


@dataclass(frozen=True)
class Call:
    """A call, and the words that describe it."""

    words: str
    make: Callable[[Side], Awaitable[Any]]


def plain(value: Any) -> Any:
    """Return an answer as text without ids that servers make from their own clocks."""

    def encoded(part: Any) -> Any:
        if isinstance(part, bytes):
            return part.decode("utf-8", "replace")
        if isinstance(part, Exception):
            return type(part).__name__  # servers word errors differently
        if dataclasses.is_dataclass(part) and not isinstance(part, type):
            return dataclasses.asdict(part)
        return str(part)

    def with_names(part: Any) -> Any:
        if isinstance(part, dict):
            return {
                str(encoded(key)) if isinstance(key, bytes) else str(key): with_names(each)
                for key, each in part.items()
            }
        if isinstance(part, set | frozenset):
            return sorted(map(str, part))
        if isinstance(part, list | tuple):
            return [with_names(each) for each in part]
        if isinstance(part, msgspec.Struct):
            return with_names(msgspec.structs.asdict(part))
        return part

    text = json.dumps(with_names(value), default=encoded, ensure_ascii=False, sort_keys=True)
    return _STREAM_ID.sub("ID", text)


class Calls:
    """Random calls; the same draws for all sides. `without` names calls of people that are not made."""

    def __init__(self, draws: random.Random, clock: Clock, without: Collection[str] = ()) -> None:
        self._draws = draws
        self._clock = clock
        self._of_people = sorted(_CALLS_OF_PEOPLE.keys() - set(without))
        self._made = 0

    def next(self) -> Call:
        """Draw the next call."""
        kinds = [getattr(self, name) for name in sorted(dir(self)) if name.startswith("_call_")]
        weights = [_WEIGHTS.get(kind.__name__, 1) for kind in kinds]
        call: Call = self._draws.choices(kinds, weights)[0]()
        return call

    def _message(self, message_id: str = "", users: Sequence[str] = USERS) -> QueueMessage:
        draws = self._draws
        self._made += 1
        user = draws.choice(users)
        data: dict[str, Any] = {}
        if draws.random() < 0.2:
            names = {"phone": "a", "lid": "lid-a"}
            data = {"addresses": names} if user in names.values() else {}
        return QueueMessage(
            id=message_id or f"m{draws.randint(1, max(2, self._made))}",
            instance_name=draws.choice(("bot", "bot", "other")),
            user_phone=user,
            message=draws.choice(TEXTS),
            message_data=data,
            timestamp=self._clock.now_ms - draws.choice((0, 0, 5_000, 90_000_000)),
        )

    def _user(self) -> tuple[str, str]:
        return ("bot", self._draws.choice(USERS))

    def _call_enqueue(self) -> Call:
        message = self._message()
        return Call(f"enqueue {message}", lambda side: side.queue.enqueue(message))

    def _call_enqueue_together(self) -> Call:
        """Draw several messages in one turn of the event loop, which go to the server in one script.

        They are of users with one name, since those of others come in an order that depends on the network.
        """
        messages = [self._message(users=USERS_WITH_ONE_NAME) for _ in range(self._draws.randint(2, 5))]

        async def make(side: Side) -> Any:
            return await asyncio.gather(*map(side.queue.enqueue, messages), return_exceptions=True)

        return Call(f"enqueue together {messages}", make)

    def _call_enqueue_without_id(self) -> Call:
        message = msgspec.structs.replace(self._message(), id="")
        return Call(f"enqueue {message}", lambda side: side.queue.enqueue(message))

    def _call_change(self) -> Call:
        message = self._message(f"change {self._made}")
        target = f"m{self._draws.randint(1, max(2, self._made))}"
        if self._draws.random() < 0.5:
            return Call(f"edit {target} {message}", lambda side: side.queue.edit(message, target))
        return Call(f"delete {target} {message}", lambda side: side.queue.delete(message, target))

    def _call_withdraw(self) -> Call:
        message = self._message()
        return Call(f"withdraw {message}", lambda side: side.queue.withdraw(message))

    def _call_claim(self) -> Call:
        processor, limit = self._draws.choice(PROCESSORS), self._draws.choice((0, 1, 2, 50, 50))
        partition, keeps = self._draws.randrange(6), self._draws.random() < 0.2
        only = self._user() if self._draws.random() < 0.1 else None

        async def claim(side: Side) -> Any:
            claimed = await side.queue.claim(
                processor,
                limit=limit,
                partition=partition % len(side.queue.keys.partitions),
                only=only,
                kept=side.batches[-3:] if keeps else (),
            )
            side.batches += claimed.batches
            return claimed

        return Call(f"claim {processor} limit={limit} {partition=} {only=} {keeps=}", claim)

    def _call_time(self) -> Call:
        by_ms = self._draws.choice(STEPS_OF_TIME_MS)

        async def nothing(side: Side) -> None:
            return None

        self._clock.advance(by_ms)
        return Call(f"{by_ms} ms pass", nothing)

    def _call_batch(self) -> Call:
        """Draw a call of a worker, perhaps with an old lease."""
        draws = self._draws
        back, step = draws.choice((0, 0, 0, 1, 2, 5)), draws.choice(sorted(_WORKER_CALLS))
        choice = draws.random()

        async def make(side: Side) -> Any:
            if not side.batches:
                return None
            return await _WORKER_CALLS[step](side.queue, side.batches[-1 - back % len(side.batches)], choice)

        return Call(f"{step} of the lease {back} before the last ({choice:.3f})", make)

    def _call_batches_together(self) -> Call:
        """Draw a call of a worker for the last leases, perhaps of several conversations, made at once."""
        step, choice = self._draws.choice(sorted(_WORKER_CALLS)), self._draws.random()

        async def make(side: Side) -> Any:
            calls = (_WORKER_CALLS[step](side.queue, batch, choice) for batch in side.batches[-3:])
            return await asyncio.gather(*calls, return_exceptions=True)

        return Call(f"{step} of the last leases ({choice:.3f})", make)

    def _call_repair(self) -> Call:
        """Let a person put a damaged key back, or delete it."""
        number, what = self._draws.randrange(4), self._draws.choice(("repair", "drop"))

        async def make(side: Side) -> Any:
            damaged = [key async for key in side.queue.damage.iterate()]
            if number >= len(damaged):
                return len(damaged)
            return await getattr(side.queue.damage, what)(damaged[number].id)

        return Call(f"{what} damaged key {number}", make)

    def _call_dead_letter(self) -> Call:
        draws = self._draws
        number, what = draws.randrange(4), draws.choice(("requeue", "drop", "read"))

        async def make(side: Side) -> Any:
            letters = await side.queue.dead_letters()
            if number < len(letters) and what != "read":
                await getattr(side.queue, what)(letters[number].id)
            return [(letter.message, letter.reason, letter.attempts) for letter in letters]

        return Call(f"{what} dead letter {number}", make)

    def _call_people(self) -> Call:
        """Draw a call of a monitor or of a person."""
        user, name = self._user(), self._draws.choice(self._of_people)
        age_ms = self._draws.choice((0, 10_000, 100_000))
        return Call(
            f"{name} {user} {age_ms}", lambda side: _CALLS_OF_PEOPLE[name](_Ask(side.queue, user, age_ms))
        )

    def _call_damage(self) -> Call:
        """Let another program damage a key, in 3 of 10 cases; else draw a message."""
        command, number = self._draws.choice(_DAMAGES), self._draws.randrange(20)
        if self._draws.random() < 0.7:
            return self._call_enqueue()

        async def make(side: Side) -> None:
            names = [name for name in sorted(await side.redis.keys("*")) if b":damaged" not in name]
            if names:
                name = names[number % len(names)]
                if command[0] == "SET":
                    await side.redis.delete(name)
                with contextlib.suppress(redis.exceptions.ResponseError):
                    client: Any = side.redis
                    await client.execute_command(command[0], name, *command[2:])

        return Call(f"damage key {number} by {command}", make)


_WEIGHTS = {
    "_call_enqueue": 6,
    "_call_claim": 8,
    "_call_time": 8,
    "_call_batch": 8,
    "_call_people": 4,
    "_call_dead_letter": 2,
}


async def _fail(queue: MessageQueue, batch: Batch, choice: float) -> Any:
    sign = (
        OutageSign("ai" if choice < 0.7 else "channel", 2_000, counts=choice > 0.9) if choice > 0.5 else None
    )
    return await queue.fail(
        batch,
        f"failed {choice:.3f}",
        dead=choice < 0.1,
        not_sent=choice < 0.8,
        after_ms=4_000 if 0.2 < choice < 0.3 else None,
        sign=sign,
        limited=0.3 < choice < 0.4,
    )


async def _release(queue: MessageQueue, batch: Batch, choice: float) -> Any:
    return await queue.release(batch, not_sent=choice < 0.5)


async def _record_reply(queue: MessageQueue, batch: Batch, choice: float) -> Any:
    return await queue.record_reply(batch, f"reply {choice:.3f}")


async def _record_sent(queue: MessageQueue, batch: Batch, choice: float) -> Any:
    return await queue.record_sent(batch, parts=None if choice < 0.5 else 1)


async def _note_sent(queue: MessageQueue, batch: Batch, choice: float) -> Any:
    return await queue.sent.note(batch, [SentPart(f"r{int(choice * 5)}", f"reply {choice:.3f}")])


_WORKER_CALLS: dict[str, Callable[[MessageQueue, Batch, float], Awaitable[Any]]] = {
    "complete": lambda queue, batch, _: queue.complete(batch),
    "extend": lambda queue, batch, _: queue.extend(batch),
    "fail": _fail,
    "note sent": _note_sent,
    "record reply": _record_reply,
    "record reply again": _record_reply,
    "record sent": _record_sent,
    "release": _release,
}


class _Ask(NamedTuple):
    """Conversation, and age of its messages, that a monitor or a person asks about."""

    queue: MessageQueue
    user: tuple[str, str]
    age_ms: int


def _report(kind: Any) -> Callable[[_Ask], Awaitable[Any]]:
    return lambda ask: ask.queue.sent.report(
        Report(
            kind=kind,
            instance_name=ask.user[0],
            user_phone=ask.user[1],
            reply_id=f"r{ask.age_ms % 7}",
            at_ms=1,
        )
    )


async def _settled_reports(ask: _Ask) -> Any:
    sent = ask.queue.sent
    matched = [each for partition in ask.queue.keys.partitions for each in await sent.match(partition)]
    failures = [(each.report, each.reply) for each in matched if each.reply and each.report.kind == "failed"]
    noted = [await sent.note_undelivered(report, reply) for report, reply in failures]
    await sent.settle([report for report, _ in failures])
    return matched, noted


async def _memory(ask: _Ask) -> Any:
    before = await ask.queue.notes.get(*ask.user)
    await ask.queue.notes.put(*ask.user, b"thread", ttl_s=3_600)
    return before


_CALLS_OF_PEOPLE: dict[str, Callable[[_Ask], Awaitable[Any]]] = {
    "active": lambda ask: ask.queue.active_conversations(),
    "conversation": lambda ask: ask.queue.conversation(*ask.user),
    "completed": lambda ask: ask.queue.completed(*ask.user),
    "depth": lambda ask: ask.queue.depth(),
    "drop older": lambda ask: ask.queue.holding.drop_older(ask.age_ms, "old"),
    "expire dead letters": lambda ask: ask.queue.expire_dead_letters(ask.age_ms + 1_000_000_000),
    "forget": lambda ask: ask.queue.forget(*ask.user, drop_waiting=ask.age_ms > 0),
    "hold": lambda ask: ask.queue.holding.hold(),
    "inventory": lambda ask: ask.queue.holding.inventory(older_than_ms=ask.age_ms),
    "join names": lambda ask: ask.queue.aliases.join(
        "bot", {"phone": "a", "lid": "lid-a"}, event_id=f"e{ask.age_ms}"
    ),
    "layouts": lambda ask: ask.queue.layouts(),
    "look": lambda ask: ask.queue.look(0),
    "memory": _memory,
    "names": lambda ask: ask.queue.aliases.names_of_user(*ask.user),
    "outages": lambda ask: ask.queue.outages(),
    "own report": _report("own"),
    "failure report": _report("failed"),
    "pace": lambda ask: ask.queue.pacing.take("n", per_s=2, count=1 + ask.age_ms % 3, wait_ms_max=9_000),
    "pending": lambda ask: ask.queue.pending(*ask.user),
    "rescue": lambda ask: ask.queue.rescue(),
    "resume": lambda ask: ask.queue.holding.resume(),
    "resume soon": lambda ask: ask.queue.holding.resume(),
    "settle reports": _settled_reports,
    "sizes": lambda ask: ask.queue.sizes(),
    "slow down": lambda ask: ask.queue.pacing.slow_down(
        "n", per_s=20, asked_ms=ask.age_ms, ago_ms=ask.age_ms % 3_000
    ),
    "statistics": lambda ask: ask.queue.statistics(*ask.user),
    "survey": lambda ask: ask.queue.survey(ask.queue.keys.partitions[0], 0, 100),
}


def is_about_to_expire(keys: list[dict[str, Any]]) -> bool:
    """Return True if a key may expire on one server before the others are read."""
    return any(0 <= ttl <= TTL_TOLERANCE_MS for content in keys for _, ttl in content.values())


def compare(sides: list[Side], answers: list[Any], keys: list[dict[str, Any]], calls: list[str]) -> None:
    """Raise DifferenceError unless answers and key spaces are equal to those of the first side."""
    for side, answer, content in zip(sides[1:], answers[1:], keys[1:], strict=True):
        differences = []
        if answer != answers[0]:
            differences.append(f"answers: {sides[0].name} {answers[0]}\n{side.name} {answer}")
        for name in sorted({*content, *keys[0]}):
            (value, ttl), (other, other_ttl) = keys[0].get(name, (None, 0)), content.get(name, (None, 0))
            if value != other or (ttl < 0) != (other_ttl < 0) or abs(ttl - other_ttl) > TTL_TOLERANCE_MS:
                differences.append(
                    f"{name}:\n  {sides[0].name} {value} {ttl}\n  {side.name} {other} {other_ttl}"
                )
        if differences:
            raise DifferenceError("\n".join([*calls, *differences]))


async def search(
    makers: dict[str, Callable[[], Redis]], seed: int, *, steps: int = STEPS, without: Collection[str] = ()
) -> int:
    """Make random calls on empty servers side by side; return their number, or raise DifferenceError.

    Ends early when keys are about to expire, since the servers are not read at exactly one moment, and when a machine
    that is busy lets a call miss its deadline.
    """
    draws = random.Random(seed)
    clock = Clock()
    settings = QueueSettings(**draws.choice(SETTINGS))
    sides = [Side(name, make(), clock, settings) for name, make in makers.items()]
    try:
        for side in sides:
            await side.redis.flushall()
        calls, words = Calls(draws, clock, without), [f"seed {seed}, {settings}"]
        for number in range(steps):
            call = calls.next()
            words.append(call.words)
            answers = [await side.answer(call) for side in sides]
            keys = [await side.keys() for side in sides]
            is_late = any(QueueUnavailableError.__name__ in str(answer) for answer in answers)
            if is_about_to_expire(keys) or is_late:
                return number
            compare(sides, answers, keys, words)
        return steps
    finally:
        for side in sides:
            await side.redis.aclose()
        await cancel_all([task for task in asyncio.all_tasks() if task is not asyncio.current_task()])


def fake_client() -> Redis:
    """Make a client of an empty fakeredis."""
    return FakeAsyncRedis(server=FakeServer(version=(7,)), decode_responses=False)


def main(url: str, seconds: str, seed: str) -> None:
    """Search until the time is over, each seed on empty servers; the server at `url` is emptied."""
    began, number, calls = time.monotonic(), int(seed), 0
    is_fake = url == "fakeredis"
    makers = {"store": store_client, "other": fake_client if is_fake else lambda: connect(url)}
    while time.monotonic() - began < float(seconds):
        calls += asyncio.run(search(makers, number, without=REORDERED_BY_FAKEREDIS if is_fake else ()))
        number += 1
    sys.stdout.write(f"{number - int(seed)} sequences, {calls} calls, no difference\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
