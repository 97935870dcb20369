"""Precedence between two conversations of one user: messages under the old name are answered first.

Messages may wait under two names when these turn out to be names of one user. Then one of the two conversations takes
all new messages, and its turns begin only when the other is empty. The two may lie in different partitions, which one
script cannot read together, so the worker asks before it begins a turn.
"""

from __future__ import annotations

import asyncio

from queue_core.keys import Place, decode_conversation
from queue_core.queue.access import Access
from queue_core.redis import scripts
from queue_core.redis.scripts.answers import LeasedAnswer
from queue_core.redis.scripts.loader import text

LOOK_MS = 500
"""Time after which a worker looks again at a turn that waits for the other conversation."""
BEHIND_BEYOND_MS = 2 * 86_400_000
"""Time, beyond the longest wait of a message, for which a note is kept that one conversation waits for another."""
DEPTH_MAX = 4
"""Limit on conversations that wait for each other in a row."""


class Precedence:
    """Notes of which conversations wait for others. Raises QueueUnavailableError when Redis does not answer."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def put_behind(self, place: Place, earlier: Place) -> None:
        """Let the turns of a conversation wait until an earlier conversation is empty."""
        settings = self._access.settings
        ttl_ms = max(settings.queue_ttl_s, settings.outage_patience_s) * 1000 + BEHIND_BEYOND_MS
        await self._access.read(
            ("HSET", place.behind, earlier.conversation, 1), ("PEXPIRE", place.behind, ttl_ms)
        )

    async def may_begin(self, leased: LeasedAnswer) -> bool:
        """Return True if a turn may begin. Otherwise hand it back; a worker looks at it again after `LOOK_MS`."""
        place = self._place(leased.conversation)
        if leased.reply is not None:  # an earlier attempt began it
            return True
        if not await self._waits(place, DEPTH_MAX):
            return True
        access = self._access
        await access.transport.gathered(
            scripts.PutBehind(place=place, now_ms=access.now(), token=leased.token, wait_ms=LOOK_MS)
        )
        return False

    async def _waits(self, place: Place, depth: int) -> bool:
        """Return True if a conversation waits for another one. Deletes notes of those that get no more messages."""
        (listed,) = await self._access.read(("HGETALL", place.behind))
        earlier = [self._place(text(name)) for name in listed]
        waits = await asyncio.gather(*(self._waits_for(place, other, depth) for other in earlier))
        return any(waits)

    async def _waits_for(self, place: Place, earlier: Place, depth: int) -> bool:
        alias, waiting, leased, is_mutual, is_behind = await self._access.read(
            (
                "GET",
                earlier.alias,
            ),  # first: once it has an alias, no message comes that the next commands would miss
            ("EXISTS", earlier.queue),
            ("HEXISTS", earlier.lock, "token"),
            ("HEXISTS", earlier.behind, place.conversation),
            ("EXISTS", earlier.behind),
        )
        if is_mutual and place.conversation < earlier.conversation:
            return False
        if waiting or leased or (is_behind and depth and await self._waits(earlier, depth - 1)):
            return True
        if alias:
            await self._access.read(("HDEL", place.behind, earlier.conversation))
        return False

    def _place(self, conversation: str) -> Place:
        return self._access.keys.of(*decode_conversation(conversation))
