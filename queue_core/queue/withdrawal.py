"""Withdrawal of messages that were answered without the queue."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from queue_core.keys import Place
from queue_core.message import QueueMessage, check_names, well_formed
from queue_core.queue.access import Access
from queue_core.queue.aliases import Aliases
from queue_core.redis import scripts


class Withdrawal:
    """Withdrawal of messages, under each name that their user has."""

    def __init__(self, access: Access, aliases: Aliases) -> None:
        self._access = access
        self._aliases = aliases

    async def withdraw(self, message: QueueMessage) -> str:
        """Note that a message was answered without the queue, so that the queue does not answer it too.

        Returns "marked" if it is not in the queue. Returns "withdrawn" if it is: then it is removed, at the latest
        before a worker sends a reply to it. Returns "in flight" if it is too late, since a reply is recorded.
        """
        check_names(message)
        places = self._aliases.places_of(message)
        outcomes, further = await asyncio.gather(
            self._withdraw_from(places, message), self._aliases.further_places(places)
        )
        outcomes += await self._withdraw_from(further, message)
        return min(outcomes, key=("in flight", "withdrawn", "marked").index)

    async def _withdraw_from(self, places: Sequence[Place], message: QueueMessage) -> list[str]:
        return await asyncio.gather(*(self._withdraw(place, message) for place in places))

    async def _withdraw(self, place: Place, message: QueueMessage) -> str:
        settings = self._access.settings
        message_id = well_formed(message.id)
        answer: str | int = 0
        while isinstance(answer, int):  # a long conversation is searched in several steps
            answer = await self._access.transport.gathered(
                scripts.Withdraw(
                    place=place,
                    seen=place.seen_of(message.id),
                    rules=settings,
                    now_ms=self._access.now(),
                    message_id=message_id,
                    quoted_id=msgspec.json.encode(message_id),
                    skipped=answer,
                    dedupe_ttl_ms=settings.dedupe_ttl_s * 1000,
                    completed_ttl_ms=settings.completed_ttl_s * 1000,
                )
            )
        return answer
