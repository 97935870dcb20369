"""Parts that every process of a deployment has: queue, bot, metrics, journal."""

from __future__ import annotations

import asyncio
import logging
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

import msgspec

from queue_core.ai.memory import ConversationMemory
from queue_core.channels.pacing import Pacer
from queue_core.durations import DAY_MS
from queue_core.errors import QueueError
from queue_core.http_client import new_session
from queue_core.queue.health.health import HealthReport, examine
from queue_core.queue.message_queue import MessageQueue
from queue_core.queue.processing.processor import Processor
from queue_core.recording.recorder import Recorder
from queue_core.redis.connection import connect
from queue_core.server.bot import Bot, make_backend, make_channels
from queue_core.server.config import ServerSettings
from queue_core.server.dead_letters_file import DeadLettersFile
from queue_core.server.deliveries import Deliveries
from queue_core.server.journal import Journal
from queue_core.server.metrics import Metrics
from queue_core.server.own_redis import redis_url
from queue_core.server.tags import ConversationTags
from queue_core.waiting import cancel_all

DAY_S = 86_400
EXPIRE_EVERY_S = 3600.0

_log = logging.getLogger("queue_core.events")


@dataclass(frozen=True, slots=True)
class Runtime:
    """Parts of one process, opened by `open_runtime`."""

    settings: ServerSettings
    queue: MessageQueue
    bot: Bot
    metrics: Metrics
    journal: Journal
    tags: ConversationTags
    deliveries: Deliveries
    expected_warnings: Collection[str]
    """Warnings about Redis that the monitor does not log, since this process chose the settings in question itself."""

    def new_processor(self) -> Processor:
        """Make a worker on this process's queue and bot."""
        return Processor(
            self.queue,
            self.bot.handle,
            self.bot.send,
            concurrency=self.settings.concurrency,
            grace_s=self.settings.grace_s,
            observer=self.journal,
        )

    async def examine_and_repair(self) -> tuple[HealthReport, dict[str, int]]:
        """Repair the queue, delete or move old dead letters, and return a report and the numbers of repairs."""
        cleaned = {"stranded": 0, "locks": 0}
        try:
            rescued = await self.queue.rescue()
            cleaned = msgspec.to_builtins(rescued)
        except QueueError as error:
            _log.warning("no search for stranded conversations until the monitor's next check: %s", error)
        await self._settle_reports()
        await self._expire_dead_letters()
        await self._make_room_for_dead_letters()
        report = await examine(self.queue)
        self.metrics.health(report)
        warnings = [warning for warning in report.warnings if warning not in self.expected_warnings]
        for level, sentences in ((logging.ERROR, report.errors), (logging.WARNING, warnings)):
            for sentence in sentences:
                _log.log(level, "health: %s", sentence)
        if any(cleaned.values()):
            _log.error("the monitor repaired the queue: find out what else changes this Redis", extra=cleaned)
        return report, cleaned

    async def _settle_reports(self) -> None:
        try:
            await self.deliveries.settle(everywhere=True)
        except QueueError as error:
            _log.warning("reports on replies could not be read, and are read at the next check: %s", error)

    async def _expire_dead_letters(self) -> None:
        ttl_s = self.settings.queue.dead_letters_ttl_s
        if not ttl_s:
            return
        try:
            deleted = await self.queue.expire_dead_letters(ttl_s * 1000)
        except QueueError as error:
            _log.warning(
                "old dead letters could not be deleted, and are deleted at the next check: %s", error
            )
            return
        if deleted:
            _log.warning(
                "deleted dead letters older than QUEUE_DEAD_LETTERS_TTL_S", extra={"messages": deleted}
            )

    async def _make_room_for_dead_letters(self) -> None:
        path = self.settings.dead_letters_file
        if not path:
            return
        try:
            moved = await self.queue.move_dead_letters_out(DeadLettersFile(path).append)
        except (QueueError, OSError) as error:
            _log.error("dead letters not moved to DEAD_LETTERS_FILE, the next check tries again: %s", error)
            return
        if moved:
            _log.error(
                "moved dead letters to DEAD_LETTERS_FILE, since there was no room left",
                extra={"messages": moved},
            )

    async def monitor(self) -> None:
        """Examine and repair the queue every MONITOR_EVERY_S, until cancelled."""
        while True:
            report, _ = await self.examine_and_repair()
            _log.info(
                "health",
                extra={
                    "healthy": report.is_healthy,
                    "conversations": report.active_conversations,
                    "waiting": report.waiting,
                    "in_flight": report.in_flight,
                    "dead_letters": report.dead_letters,
                    "oldest_age_ms": report.oldest_age_ms,
                },
            )
            await asyncio.sleep(self.settings.monitor_every_s)


async def _expire_recordings(recorder: Recorder, days: int) -> None:
    """Delete old recordings now and every hour, until cancelled."""
    while True:
        if deleted := recorder.expire(days * DAY_MS):
            _log.info("deleted recordings older than RECORD_DAYS", extra={"files": deleted})
        await asyncio.sleep(EXPIRE_EVERY_S)


def print_reply(line: str) -> None:
    """Print a reply on the terminal, when no channel is configured."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@asynccontextmanager
async def open_runtime(
    settings: ServerSettings,
    *,
    records: Literal["recording", "outcomes"] | None = None,
    write: Callable[[str], None] = print_reply,
    expected_warnings: Collection[str] = (),
) -> AsyncIterator[Runtime]:
    """Open the parts, and close them when the block ends. Redis need not be reachable yet.

    `records` is the kind of file that this process writes to RECORD_TO, if that is set; `expected_warnings` are
    warnings about Redis that are not logged. Raises InvalidSettingsError when no Redis is configured.
    """
    recorder = None
    if settings.record_to and records:
        key = settings.record_key.get_secret_value().encode() or secrets.token_bytes(32)
        recorder = Recorder(settings.record_to, show_text=settings.record_text, hash_key=key, kind=records)
    try:
        async with connect(redis_url(settings)) as client, new_session() as session:
            queue = MessageQueue(client, settings.queue)
            memory = ConversationMemory(queue.notes, ttl_s=settings.ai_memory_days * DAY_S)
            metrics = Metrics()
            tags = ConversationTags(settings.log_key.get_secret_value().encode())
            journal = Journal(metrics, tags, recorder)
            bot = Bot(
                make_backend(settings, session, memory),
                make_channels(settings, session, write),
                journal=journal,
                memory=memory,
                shows_typing=settings.typing,
                pacer=Pacer(
                    queue.pacing,
                    {provider.name: provider.messages_per_s_max for provider in settings.providers},
                ),
            )
            await tags.share_key(queue.notes)
            background = [asyncio.create_task(tags.keep_sharing(queue.notes), name="tags")]
            if recorder and settings.record_days:
                expiring = _expire_recordings(recorder, settings.record_days)
                background.append(asyncio.create_task(expiring, name="recordings"))
            try:
                deliveries = Deliveries(queue, journal)
                yield Runtime(settings, queue, bot, metrics, journal, tags, deliveries, expected_warnings)
            finally:
                await cancel_all(background)
                await bot.close()
    finally:
        if recorder:
            recorder.close()
