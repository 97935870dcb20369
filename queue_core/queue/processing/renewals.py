"""Renewal of the leases that a worker holds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from queue_core.errors import LeaseLostError, QueueError
from queue_core.queue.message_queue import MessageQueue
from queue_core.queue.processing.attempt import REDIS_RETRY_S, Attempt, Outcome

RETRY_S_MAX = 0.5
"""Longest wait between two tries to renew leases that could not be renewed."""
EARLY_RENEWAL_SHARE = 0.75
"""Share of `lock_renew_ms` after which a lease is renewed together with an older one."""

_log = logging.getLogger(__name__)


class Renewals:
    """Renewals of one worker's leases. `failed` holds the attempts whose last renewal failed.

    When Redis comes back after an outage, a lease that ran out meanwhile may be taken over `grace_ms` later. So each
    lease is renewed `lock_renew_ms` after it was taken or renewed, at the latest, and much more often while that fails.
    Each claim also renews the failed ones. A turn that is answered sooner costs no renewal.
    """

    def __init__(self, queue: MessageQueue) -> None:
        self._queue = queue
        self.failed: set[Attempt] = set()
        self.begun = asyncio.Event()
        """Event that the worker sets when it begins an attempt."""

    async def keep(self, in_progress: Mapping[Attempt, asyncio.Task[Outcome]]) -> None:
        """Renew until cancelled; wait while nothing is in progress. Cancels attempts whose leases are lost."""
        every_s = self._queue.settings.lock_renew_ms / 1000
        clock = asyncio.get_running_loop().time
        pause_s = 0.0
        while True:
            while not in_progress:
                self.begun.clear()
                await self.begun.wait()
            wait_s = min(attempt.held_since_s for attempt in in_progress) + every_s - clock()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
                continue  # the oldest lease may have ended
            due_s = clock() - every_s * EARLY_RENEWAL_SHARE
            due = [attempt for attempt in in_progress if attempt.held_since_s <= due_s]
            if all(await asyncio.gather(*(self._renew(attempt, in_progress) for attempt in due))):
                pause_s = 0.0
                continue
            if not pause_s:
                _log.warning("leases cannot be renewed; turns under way go on, but nothing is sent meanwhile")
                pause_s = REDIS_RETRY_S[0]
            pause_s = min(pause_s * 2, RETRY_S_MAX, every_s)
            await asyncio.sleep(pause_s)

    async def _renew(self, attempt: Attempt, in_progress: Mapping[Attempt, asyncio.Task[Outcome]]) -> bool:
        """Renew one lease; cancel the attempt if the lease is lost. Return False if Redis could not be asked."""
        asked_s = asyncio.get_running_loop().time()
        try:
            await self._queue.extend(attempt.batch)
        except LeaseLostError:
            if task := in_progress.get(attempt):
                attempt.lease_lost = True
                task.cancel()
        except QueueError as error:
            _log.debug("lease %d could not be renewed: %s", attempt.batch.token, error)
            if attempt in in_progress:
                self.failed.add(attempt)
            return False
        attempt.held_since_s = asked_s
        self.failed.discard(attempt)
        return True
