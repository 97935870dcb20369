"""Rate limit of each sending number, shared by all processes that send."""

from __future__ import annotations

from queue_core import policy
from queue_core.queue.access import Access
from queue_core.redis import scripts
from queue_core.redis.scripts.answers import PaceAnswer

__all__ = ["PaceAnswer", "Pacing"]


class Pacing:
    """Rate limit that says at which moment a message may be sent."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def take(
        self, number: str, *, per_s: int, count: int, wait_ms_max: int, waited_ms: int = 0
    ) -> PaceAnswer:
        """Reserve the moment at which `count` messages of a number may go, if it is within `wait_ms_max`.

        Of `wait_ms_max`, the messages have waited `waited_ms` already. At most `per_s` messages of the number are sent
        in any second; 0 means no limit. Raises QueueUnavailableError.
        """
        return await self._call(
            number, per_s=per_s, count=count, wait_ms_max=wait_ms_max, waited_ms=waited_ms
        )

    async def slow_down(self, number: str, *, per_s: int, asked_ms: int, ago_ms: int = 0) -> PaceAnswer:
        """Note that a provider refused a message because the number sent too many.

        Nothing is sent for `asked_ms`, then at half the rate; after each 10 s without a refusal the rate doubles again.
        `asked_ms` counts as 0 if it is not a finite number. The refused send began `ago_ms` before. If a pause was not
        over then, the rate is not halved again. Raises QueueUnavailableError.
        """
        known_ms = policy.asked_ms(self._access.settings, asked_ms) or 0
        return await self._call(number, per_s=per_s, refused=1, asked_ms=known_ms, ago_ms=ago_ms)

    async def _call(
        self,
        number: str,
        *,
        per_s: int,
        count: int = 0,
        wait_ms_max: int = 0,
        waited_ms: int = 0,
        refused: int = 0,
        asked_ms: int = 0,
        ago_ms: int = 0,
    ) -> PaceAnswer:
        partition = self._access.keys.partitions[0]
        return await self._access.transport.gathered(
            scripts.Pace(
                moments=partition.moments_of(number),
                slowdown=partition.slowdown_of(number),
                now_ms=self._access.now(),
                per_s=per_s,
                count=count,
                wait_max_ms=wait_ms_max,
                waited_ms=waited_ms,
                refused=refused,
                asked_ms=asked_ms,
                ago_ms=ago_ms,
            )
        )
