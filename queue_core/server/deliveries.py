"""Deliveries: reports of providers on sent replies, matched with the conversations of these replies."""

from __future__ import annotations

import asyncio
import logging

from queue_core.channels.base import DeliveryFailure, OwnMessage
from queue_core.errors import QueueError
from queue_core.queue.message_queue import MessageQueue
from queue_core.queue.upkeep.sent_replies import MatchedReport, Report
from queue_core.server.journal import Journal

LOOK_EVERY_S = 1.0
"""Time between two checks of the reports that this process received on replies that are not known yet."""

_log = logging.getLogger(__name__)


class Deliveries:
    """Receiver of reports on replies, for one process.

    A report on a reply that is not known yet waits in Redis. Every second each process checks the reports that it
    received (`watch`). The monitor checks all reports (`settle`), even those of processes that have ended.
    """

    def __init__(self, queue: MessageQueue, journal: Journal) -> None:
        self._queue = queue
        self._journal = journal

    async def failed(self, failure: DeliveryFailure) -> None:
        """Note that a reply did not reach its user. After QueueUnavailableError the provider must report it again."""
        report = Report(
            kind="failed",
            instance_name=failure.instance_name,
            reply_id=failure.message_id,
            user_phone=failure.user_phone,
            code=failure.code,
            reason=failure.reason,
            at_ms=failure.at_ms,
        )
        result = await self._queue.sent.report(report)
        if result.reply:
            await self._note(MatchedReport(report, result.reply), is_new=True)
            await self._queue.sent.settle([report])
        elif result.status != "repeated":
            self._journal.undelivered(
                report, None, "not known yet" if result.status == "kept" else "not known"
            )

    async def own_message(self, message: OwnMessage) -> None:
        """Note if a message of the bot's number is a reply of the bot. Errors of Redis are only logged."""
        report = Report(
            kind="own",
            instance_name=message.instance_name,
            reply_id=message.message_id,
            user_phone=message.user_phone,
            at_ms=message.at_ms,
        )
        try:
            result = await self._queue.sent.report(report)
        except QueueError as error:
            _log.warning("could not find out who wrote a message of the bot's number: %s", error)
            return
        if result.status in ("known", "full"):
            await self._note(MatchedReport(report, result.reply))

    async def watch(self) -> None:
        """Until cancelled, look every second for replies that have become known, while this process has reports."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.settle()
            except QueueError as error:
                _log.debug("reports on replies cannot be read from Redis now: %s", error)

    async def settle(self, *, everywhere: bool = False) -> None:
        """Settle reports whose reply has become known, or whose time is over.

        Looks in the partitions where this process has reports; with `everywhere`, in all.
        """
        sent = self._queue.sent
        for partition in sent.waiting(everywhere=everywhere):
            matched = await sent.match(partition)
            await asyncio.gather(*map(self._note, matched))
            await sent.settle([pair.report for pair in matched if pair.reply])

    async def _note(self, matched: MatchedReport, *, is_new: bool = False) -> None:
        report, reply, may_be_reply = matched
        if report.kind == "own":
            self._journal.own_message(report, "bot" if reply else "unknown" if may_be_reply else "others")
        elif reply:
            outcome = await self._queue.sent.note_undelivered(report, reply)
            if outcome != "known":
                self._journal.undelivered(report, reply, outcome, is_new=is_new)
