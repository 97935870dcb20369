"""Probe: a trial run of the real scripts on a conversation of its own, which finds commands that Redis refuses.

Causes are missing rights, a read-only replica, missing replicas, a full server, a used-up quota. Each becomes a
sentence that says what to do.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import secrets
from collections.abc import Awaitable, Callable, Collection
from itertools import count
from typing import Any

from redis.exceptions import NoPermissionError

from queue_core.errors import QueueError
from queue_core.keys import Partition, Place, decode_conversation
from queue_core.message import Batch, QueueMessage
from queue_core.queue.message_queue import MessageQueue
from queue_core.redis import scripts
from queue_core.redis.runner import FAILURES, explain, is_single
from queue_core.settings import QueueSettings

INSTANCE, PHONE = "probe", "probe"
PARTITIONS_MAX = 16
"""Limit on partitions in which scripts are tried; each takes about twenty round trips."""
PREFIX_CHARACTERS_MAX = 50
"""Limit on the queue's prefix, to which the probe adds a part of its own."""

KEPT_S = 5
"""Time for which the ids of the trial messages are kept."""

_KEY, _FIELD = "{key}", "field"
COMMANDS: dict[str, tuple[str, ...]] = {
    "DEL": (_KEY,),
    "EXISTS": (_KEY,),
    "GET": (_KEY,),
    "GETRANGE": (_KEY, "0", "1"),
    "HDEL": (_KEY, _FIELD),
    "HEXISTS": (_KEY, _FIELD),
    "HGET": (_KEY, _FIELD),
    "HGETALL": (_KEY,),
    "HINCRBY": (_KEY, _FIELD, "1"),
    "HLEN": (_KEY,),
    "HMGET": (_KEY, _FIELD),
    "HSET": (_KEY, _FIELD, "1"),
    "HSETNX": (_KEY, _FIELD, "1"),
    "LINDEX": (_KEY, "0"),
    "LLEN": (_KEY,),
    "LPOP": (_KEY,),
    "LRANGE": (_KEY, "0", "0"),
    "LREM": (_KEY, "1", "x"),
    "LSET": (_KEY, "0", "x"),
    "LTRIM": (_KEY, "0", "0"),
    "PERSIST": (_KEY,),
    "PEXPIRE": (_KEY, "1000"),
    "PTTL": (_KEY,),
    "RENAME": (_KEY, _KEY),
    "RPUSH": (_KEY, "x"),
    "SADD": (_KEY, "x"),
    "SET": (_KEY, "x"),
    "SCARD": (_KEY,),
    "SMEMBERS": (_KEY,),
    "SRANDMEMBER": (_KEY, "1"),
    "SREM": (_KEY, "x"),
    "TYPE": (_KEY,),
    "UNLINK": (_KEY,),
    "XADD": (_KEY, "*", _FIELD, "1"),
    "XDEL": (_KEY, "0-1"),
    "XLEN": (_KEY,),
    "XRANGE": (_KEY, "-", "+", "COUNT", "1"),
    "XREAD": ("COUNT", "1", "STREAMS", _KEY, "0-0"),
    "XREVRANGE": (_KEY, "+", "-", "COUNT", "1"),
    "ZADD": (_KEY, "1", "x"),
    "ZCARD": (_KEY,),
    "ZMSCORE": (_KEY, "x"),
    "ZRANGE": (_KEY, "0", "0"),
    "ZRANGEBYSCORE": (_KEY, "0", "1"),
    "ZREM": (_KEY, "x"),
    "ZREVRANGE": (_KEY, "0", "0"),
    "ZSCAN": (_KEY, "0"),
    "ZSCORE": (_KEY, "x"),
}
"""Commands that scripts and processes use on keys, with harmless arguments."""

_KEY_REFUSED = re.compile(r"access (?:a|one of the|the '.*') keys?\b", re.IGNORECASE)
_RIGHT_REFUSED = re.compile(
    r"NOPERM|ACL failure|no permissions|can't run this command|can't access at least", re.IGNORECASE
)
_ADVICE = (
    (r"\bREADONLY\b|read only replica", "this is a replica, which takes no writes: connect to its primary"),
    (
        r"\bNOREPLICAS\b",
        "fewer replicas are connected than min-replicas-to-write asks for: connect replicas, or lower that setting",
    ),
    (r"\bOOM\b", "Redis is full and refuses new messages: raise maxmemory, or see what fills it"),
    (
        r"\bMISCONF\b",
        "Redis cannot write to its disk, so it refuses messages: free space there, and see its log",
    ),
    (
        r"quota|limit exceeded|max (?:daily )?requests?",
        "the provider of this Redis refuses more commands: raise the limits of your plan",
    ),
)


async def probe(queue: MessageQueue, *, without: Collection[int] = ()) -> list[str]:
    """Try everything that the queue does, on a conversation made for it; return sentences on what failed.

    Touches no message of a user. The keys of the trial are deleted, or expire within seconds. `without`: numbers of
    partitions that are left out, since their primaries are away.
    """
    numbers = [number for number in range(len(queue.keys.partitions)) if number not in without]
    if not numbers:
        return []
    try:
        errors = [*await _refused_commands(queue, numbers[0]), *await _refused_keys(queue, numbers[0])]
    except FAILURES as error:
        return [
            _advice("Redis does not take commands", str(explain(error, is_single=is_single(queue.redis))))
        ]
    for number in numbers[:PARTITIONS_MAX]:
        failure = await _Trial(queue, number, is_whole=not without).run()
        if failure and not (errors and _RIGHT_REFUSED.search(failure)):
            return [*errors, failure]
    return errors


async def _refused_commands(queue: MessageQueue, partition: int) -> list[str]:
    """Run each command once, and name those that the Redis user may not run."""
    key = f"{queue.keys.partitions[partition].base}probe:{secrets.token_hex(4)}"
    commands = COMMANDS | _waits_of(queue.settings)
    calls = [(name, *(part.replace(_KEY, key) for part in arguments)) for name, arguments in commands.items()]
    answers = await _answers(queue, [*calls, ("DEL", key)])
    refused = [
        call[0].lower()
        for call, answer in zip(calls, answers, strict=False)
        if isinstance(answer, NoPermissionError) and not _KEY_REFUSED.search(str(answer))
    ]
    if not refused:
        return []
    names = ", ".join(name.upper() for name in refused)
    rights = " ".join(f"+{name}" for name in refused)
    return [f"this Redis user may not run {names}, which the queue needs: allow {rights} (ACL SETUSER)"]


def _waits_of(settings: QueueSettings) -> dict[str, tuple[str, ...]]:
    """Return the commands that wait for replicas and disk, if the queue uses them, with arguments that need no wait."""
    chosen: dict[str, tuple[str, ...]] = {}
    if settings.wait_for_replicas:
        chosen["WAIT"] = ("0", "1")
    if settings.wait_for_fsync:
        chosen["WAITAOF"] = ("0", "0", "1")
    return chosen


async def _refused_keys(queue: MessageQueue, partition: int) -> list[str]:
    """Name the kinds of keys that the Redis user may not use."""
    shared, place = queue.keys.partitions[partition], _place_in(queue, partition)
    keys = _keys_of(shared, place)
    answers = await _answers(queue, [("EXISTS", key) for key in keys])
    refused = [
        key
        for key, answer in zip(keys, answers, strict=True)
        if isinstance(answer, NoPermissionError) and _KEY_REFUSED.search(str(answer))
    ]
    if not refused:
        return []
    prefix = queue.settings.prefix
    return [
        f"this Redis user may not use the keys {', '.join(refused)}: allow the pattern ~{prefix}:* (ACL SETUSER)"
    ]


def _keys_of(shared: Partition, place: Place) -> list[str]:
    """Return a key of each kind."""
    seen = place.seen_of(PHONE)
    candidates = (*shared, *place.keys, place.absent, seen.ids, seen.old)
    return [key for key in candidates if key.startswith(shared.base) and key != shared.base]


async def _answers(queue: MessageQueue, commands: list[tuple[str, ...]]) -> list[Any]:
    pipeline = queue.redis.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    answers: list[Any] = await pipeline.execute(raise_on_error=False)
    return answers


def _place_in(queue: MessageQueue, partition: int) -> Place:
    """Return the place of a conversation for trials that lies in a partition."""
    places = (queue.keys.of(INSTANCE, f"{PHONE}-{number}") for number in count())
    return next(place for place in places if place.partition == partition)


class _Trial:
    """Trial with two messages, in one partition of a queue with a prefix of its own."""

    def __init__(self, queue: MessageQueue, partition: int, *, is_whole: bool) -> None:
        prefix = f"{queue.settings.prefix[:PREFIX_CHARACTERS_MAX]}:probe-{secrets.token_hex(3)}"
        settings = dataclasses.replace(
            queue.settings,
            prefix=prefix,
            window_ms=0,
            idle_ms=0,
            max_messages=1,
            max_retry_count=0,
            dedupe_ttl_s=KEPT_S,
            queue_ttl_s=KEPT_S,
            sent_ttl_s=0,
        )
        self._queue = MessageQueue(queue.redis, settings)
        self._is_whole = is_whole
        """False while some partitions are away: then no step is tried that reads all of them."""
        self._place = _place_in(self._queue, partition)
        self._names = decode_conversation(self._place.conversation)

    async def run(self) -> str:
        """Run all steps. Return a sentence on the step that failed; "" if none did."""
        steps: tuple[tuple[str, Callable[[], Awaitable[Any]]], ...] = (
            ("a trial message cannot be stored", self._store),
            ("a trial message cannot be answered", self._answer),
        )
        all_partitions = (
            ("a trial message cannot become a dead letter and come back", self._bury_and_requeue),
            ("a trial message cannot be looked at and deleted", self._look_and_forget),
        )
        try:
            for what, step in (*steps, *(all_partitions if self._is_whole else ())):
                try:
                    await step()
                except QueueError as error:
                    return _advice(what, str(error))
        finally:
            await self._tidy()
        return ""

    def _message(self, message_id: str) -> QueueMessage:
        instance, phone = self._names
        return QueueMessage(id=message_id, instance_name=instance, user_phone=phone, message="a trial")

    async def _claim(self) -> Batch:
        claimed = await self._queue.claim("probe", only=self._names)
        if not claimed.batches:
            raise QueueError("the message was stored, but no claim returned it")
        return claimed.batches[0]

    async def _store(self) -> None:
        await self._queue.enqueue(self._message("1"))
        await self._queue.enqueue(self._message("1"))

    async def _answer(self) -> None:
        batch = await self._claim()
        await self._queue.extend(batch)
        await self._queue.record_reply(batch, "a trial")
        await self._queue.record_sent(batch, parts=1)
        await self._queue.complete(batch)
        await self._queue.notes.put(*self._names, b"a trial", ttl_s=1)

    async def _bury_and_requeue(self) -> None:
        await self._queue.enqueue(self._message("2"))
        await self._queue.fail(await self._claim(), "a trial", dead=True)
        for letter in await self._queue.dead_letters():
            await self._queue.requeue(letter.id)
        await self._queue.withdraw(self._message("2"))

    async def _look_and_forget(self) -> None:
        queue, place = self._queue, self._place
        shared = queue.keys.partitions[place.partition]
        await queue.survey(shared, 0, 1)
        await queue.transport.alone(scripts.Rescue(place=place, now_ms="", repair=1))
        await queue.forget(*self._names, drop_waiting=True)

    async def _tidy(self) -> None:
        """Delete the keys. Ids of messages expire within seconds by themselves."""
        place = self._place
        shared = self._queue.keys.partitions[place.partition]
        backends = (f"{shared.base}backend:{name}" for name in (place.ai, place.channel))
        keys = (*_keys_of(shared, place), shared.last_claim_of("probe"), *backends)
        with contextlib.suppress(*FAILURES):
            await _answers(self._queue, [("DEL", key) for key in keys])


def _advice(what: str, words: str) -> str:
    """Return a sentence that says what failed, why, and what to do."""
    for pattern, advice in _ADVICE:
        if re.search(pattern, words, re.IGNORECASE):
            return f"{what}: {advice}"
    return f"{what}: {words}"
