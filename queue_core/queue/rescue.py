"""What a person or a monitor does to the queue: dead letters back or away, and rescue of what nobody would look at."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import Any, Literal

import msgspec
from redis.asyncio import RedisCluster
from redis.exceptions import RedisError

from queue_core.errors import DeadLetterNotFoundError
from queue_core.keys import Kind, PartitionKeys
from queue_core.queue.inspection import QueueReader
from queue_core.redis import scripts
from queue_core.redis.runner import ScriptRunner, explain
from queue_core.redis.scripts.loader import text
from queue_core.settings import QueueSettings

SCAN_COUNT = 1_000
"""Keys that Redis looks at in one step of a SCAN: well under a millisecond of its time."""
RESCUE_MS_MAX = 30_000
"""A rescue that has looked for so long leaves the rest to the next one."""

_DEAD_ID = re.compile(r"[0-9]{1,4}/[0-9]{1,19}-[0-9]{1,19}")
_log = logging.getLogger(__name__)
_Place = tuple[int, str]
"""Number of the partition, encoded conversation."""


class Rescued(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `MessageQueue.rescue` put right."""

    stranded: int
    """Conversations whose messages no worker would ever have looked at; they are due now."""
    locks: int
    """Locks and replies deleted that belonged to no message."""


class Unscheduled(msgspec.Struct, frozen=True, kw_only=True):
    """Conversations with messages that no worker will look at."""

    stranded: tuple[_Place, ...]
    """They are missing in the index of their partition."""
    elsewhere: int
    """They lie in partitions that this deployment does not have."""
    is_complete: bool
    """Whether all keys were looked at in the time that there was."""


async def on_primaries(redis: Any) -> list[tuple[str, Callable[..., Any]]]:
    """Every server that keys lie on: its name ("" for a single Redis), and how to run a command there."""
    if not isinstance(redis, RedisCluster):
        return [("", redis.execute_command)]
    await redis.initialize()

    def run_on(node: Any) -> Callable[..., Any]:
        return lambda *command: redis.execute_command(*command, target_nodes=node)

    return [(node.name, run_on(node)) for node in redis.get_primaries()]


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """What Redis counts by itself."""

    conversations: tuple[int, ...]
    """In the index of each partition."""
    dead_letters: int


class QueueRepair(QueueReader):
    """The commands of a person for `MessageQueue`. All raise QueueUnavailableError when Redis does not do its part."""

    runner: ScriptRunner
    settings: QueueSettings
    _clock: Callable[[], int] | None

    async def requeue(self, dead_letter_id: str) -> None:
        """Puts a dead letter at the end of its conversation. Raises DeadLetterNotFoundError."""
        number, entry_id = self._dead_id(dead_letter_id)
        partition = self.keys.partitions[number]
        found = await self.runner.gathered(
            scripts.Requeue(
                dead=partition.dead,
                active=partition.active,
                wake=partition.wake,
                now_ms=self._now(),
                base=partition.base,
                dead_id=entry_id,
                window_ms=self.settings.window_ms,
                max_messages=self.settings.max_messages,
                idle_ms=self.settings.idle_ms,
            )
        )
        if not found:
            raise DeadLetterNotFoundError(f"no dead letter {dead_letter_id}")

    async def drop(self, dead_letter_id: str) -> None:
        """Deletes a dead letter for good. Raises DeadLetterNotFoundError."""
        number, entry_id = self._dead_id(dead_letter_id)
        pipeline = self.redis.pipeline(transaction=False)
        pipeline.xdel(self.keys.partitions[number].dead, entry_id)
        (deleted,) = await self._read(pipeline)
        if not deleted:
            raise DeadLetterNotFoundError(f"no dead letter {dead_letter_id}")

    async def rescue(self) -> Rescued:
        """Schedules conversations that fell out of the index, and deletes locks and replies without messages.

        No step of the queue leaves such behind; a hand in the data, or a failover that lost a write, can. Looks at
        all keys, a page at a time, for half a minute at the most. Safe at any time, beside workers and other rescues.
        """
        until = asyncio.get_running_loop().time() + RESCUE_MS_MAX / 1000
        unscheduled = await self.unscheduled(until)
        verdicts = Counter(await self._verdicts(unscheduled.stranded, repair=True))
        for kind in ("processing_lock", "reply"):
            async with aclosing(self._places(kind, "hash")) as pages:
                async for page in pages:
                    verdicts.update(await self._verdicts(page, repair=True))
                    if asyncio.get_running_loop().time() > until:
                        break
        rescued = Rescued(stranded=verdicts["stranded"], locks=verdicts["orphan"])
        if rescued.stranded or rescued.locks:
            _log.warning("rescued %d conversations, deleted %d locks", rescued.stranded, rescued.locks)
        return rescued

    async def sizes(self) -> Sizes:
        """Conversations with messages, and dead letters."""
        pipeline = self.redis.pipeline(transaction=False)
        for partition in self.keys.partitions:
            pipeline.zcard(partition.active)
            pipeline.xlen(partition.dead)
        answers = await self._read(pipeline)
        return Sizes(conversations=tuple(answers[::2]), dead_letters=sum(answers[1::2]))

    async def survey(self, partition: PartitionKeys, first: int, last: int) -> scripts.SurveyAnswer:
        """Counts what lies in the conversations of those ranks of a partition's index."""
        return await self.runner.alone(
            scripts.Survey(
                active=partition.active, now_ms=self._now(), base=partition.base, first=first, last=last
            )
        )

    async def unscheduled(self, until: float) -> Unscheduled:
        """Looks for conversations that are missing in the index, up to that time of the event loop's clock."""
        stranded: set[_Place] = set()
        elsewhere: set[_Place] = set()
        is_complete = True
        async with aclosing(self._places("msg_queue", "list")) as pages:
            async for page in pages:
                ours = [place for place in page if place[0] < len(self.keys.partitions)]
                elsewhere.update(place for place in page if place[0] >= len(self.keys.partitions))
                missing = await self._missing_in_index(ours)
                # Between the two looks a conversation may have been finished: only a script sees one moment.
                verdicts = await self._verdicts(missing, repair=False)
                stranded.update(
                    place for place, verdict in zip(missing, verdicts, strict=True) if verdict == "stranded"
                )
                if asyncio.get_running_loop().time() > until:
                    is_complete = False
                    break
        return Unscheduled(
            stranded=tuple(sorted(stranded)), elsewhere=len(elsewhere), is_complete=is_complete
        )

    async def _places(
        self, kind: Kind, redis_type: Literal["list", "hash"]
    ) -> AsyncGenerator[list[_Place], None]:
        """Every key of a kind, a page for each step of the SCAN; a place may come twice."""
        for _, run in await on_primaries(self.redis):
            cursor: Any = 0
            while True:
                command = ("SCAN", cursor, "MATCH", self.keys.pattern(kind), "COUNT", SCAN_COUNT)
                try:
                    cursor, keys = await run(*command, "TYPE", redis_type)
                except (RedisError, OSError) as error:
                    raise explain(error) from error
                yield [place for key in keys if (place := self.keys.parse(text(key)))]
                if isinstance(cursor, dict):  # a cluster's client tells one for each server that it asked
                    (cursor,) = cursor.values()
                if int(cursor) == 0:
                    break

    async def _missing_in_index(self, places: list[_Place]) -> list[_Place]:
        by_partition: dict[int, list[str]] = defaultdict(list)
        for number, conversation in places:
            by_partition[number].append(conversation)
        if not by_partition:
            return []
        pipeline = self.redis.pipeline(transaction=False)
        for number, conversations in by_partition.items():
            pipeline.execute_command("ZMSCORE", self.keys.partitions[number].active, *conversations)
        answers = await self._read(pipeline)
        return [
            (number, conversation)
            for (number, conversations), scores in zip(by_partition.items(), answers, strict=True)
            for conversation, score in zip(conversations, scores, strict=True)
            if score is None
        ]

    async def _verdicts(self, places: Iterable[_Place], *, repair: bool) -> list[str]:
        calls = []
        for number, conversation in places:
            if number >= len(self.keys.partitions):
                continue
            keys, partition = self.keys.in_partition(number, conversation), self.keys.partitions[number]
            call = scripts.Rescue(
                queue=keys.queue,
                lock=keys.lock,
                reply=keys.reply,
                active=partition.active,
                wake=partition.wake,
                now_ms=self._now(),
                conversation=conversation,
                repair=int(repair),
            )
            calls.append(self.runner.gathered(call))
        return await asyncio.gather(*calls)

    def _dead_id(self, dead_letter_id: str) -> tuple[int, str]:
        number, _, entry_id = dead_letter_id.partition("/")
        if not _DEAD_ID.fullmatch(dead_letter_id) or int(number) >= len(self.keys.partitions):
            raise DeadLetterNotFoundError(
                f"no dead letter {dead_letter_id!r}: ids look like 0/1700000000000-0"
            )
        return int(number), entry_id

    def _now(self) -> int | str:
        return self._clock() if self._clock else ""
