"""Renewal of the leases of a worker's batches in work."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from queue_core.errors import LeaseLostError, QueueError
from queue_core.queue.attempt import REDIS_RETRY_S, Attempt, Outcome
from queue_core.queue.message_queue import MessageQueue

AGAIN_S_MAX = 0.5
"""Longest wait between two tries to renew leases that could not be renewed."""

_log = logging.getLogger(__name__)


class Renewals:
    """Renewals of one worker's leases. `failed` holds the attempts whose last renewal failed.

    When Redis comes back after an outage, a lease that ran out meanwhile may be taken over `grace_ms` later. So leases
    are renewed every `lock_renew_ms`, and much more often while that fails. Each claim also renews the failed ones.
    """

    def __init__(self, queue: MessageQueue) -> None:
        self._queue = queue
        self.failed: set[Attempt] = set()
        self.begun = asyncio.Event()
        """Set by the worker when it begins an attempt."""

    async def keep(self, in_work: Mapping[Attempt, asyncio.Task[Outcome]]) -> None:
        """Renew until cancelled; wait while nothing is in work. Cancels attempts whose leases are lost."""
        every_s = self._queue.settings.lock_renew_ms / 1000
        pause_s, is_failing = every_s, False
        while True:
            while not in_work:
                self.begun.clear()
                await self.begun.wait()
            await asyncio.sleep(pause_s)
            renewals = (self._is_renewed(attempt, in_work) for attempt in tuple(in_work))
            if all(await asyncio.gather(*renewals)):
                pause_s, is_failing = every_s, False
                continue
            if not is_failing:
                is_failing = True
                _log.warning(
                    "leases cannot be renewed; turns in work go on, and nothing is sent until they are"
                )
                pause_s = REDIS_RETRY_S[0]
            pause_s = min(pause_s * 2, AGAIN_S_MAX, every_s)

    async def _is_renewed(self, attempt: Attempt, in_work: Mapping[Attempt, asyncio.Task[Outcome]]) -> bool:
        """Renew one lease; cancel the attempt if the lease is lost. Return False if Redis could not be asked."""
        try:
            await self._queue.extend(attempt.batch)
        except LeaseLostError:
            if task := in_work.get(attempt):
                attempt.lease_lost = True
                task.cancel()
        except QueueError as error:
            _log.debug("lease %d could not be renewed: %s", attempt.batch.token, error)
            if attempt in in_work:
                self.failed.add(attempt)
            return False
        self.failed.discard(attempt)
        return True
