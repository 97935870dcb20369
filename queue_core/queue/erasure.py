"""Erasure of one user: everything that the queue keeps of a conversation is deleted on demand."""

from __future__ import annotations

import contextlib
from typing import Literal

import msgspec

from queue_core.errors import DeadLetterNotFoundError
from queue_core.queue.access import Access
from queue_core.queue.dead_letters import DeadLetters
from queue_core.redis import scripts


class Forgotten(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Counts of what was kept of a conversation. Unless `standing` is "forgotten", nothing was deleted."""

    standing: Literal["forgotten", "waiting", "in flight"]
    """"waiting": messages wait. "in flight": a worker is answering them."""
    waiting: int
    """Messages in the queue."""
    lease_left_ms: int
    """Time until the lease ends, if the worker does not renew it; 0 if nobody answers."""
    finished: int
    dead_letters: int
    reply: bool
    """True if a reply was recorded and its turn not finished."""
    memory: bool
    """True if the AI remembered something."""
    statistics: bool

    @property
    def is_empty(self) -> bool:
        """True when nothing was kept of the conversation."""
        counts = self.waiting, self.finished, self.dead_letters
        return not any((*counts, self.reply, self.memory, self.statistics))


class Erasure:
    """Deletes what is kept of a conversation. Raises QueueUnavailableError when Redis does not answer."""

    def __init__(self, access: Access, letters: DeadLetters) -> None:
        self._access = access
        self._letters = letters

    async def forget(self, instance_name: str, user_phone: str, *, drop_waiting: bool = False) -> Forgotten:
        """Delete everything that is kept of a conversation: messages, dead letters, archive, memory, statistics.

        Deletes nothing while a worker answers it, or while messages wait, unless `drop_waiting` says that these are
        deleted unanswered. Ids of its messages stay until they expire, so that a repeated delivery is not answered.
        May be repeated.
        """
        access = self._access
        place = access.keys.of(instance_name, user_phone)
        call = scripts.Forget(place=place, now_ms=access.now(), drop_waiting=int(drop_waiting))
        answer = await access.transport.gathered(call)
        letters = [
            letter.id
            async for letter in self._letters.iterate()
            if (letter.instance_name, letter.user_phone) == (instance_name, user_phone)
        ]
        if answer.standing == "forgotten":
            for letter_id in letters:
                with contextlib.suppress(DeadLetterNotFoundError):  # dropped by another command meanwhile
                    await self._letters.drop(letter_id)
        return Forgotten(dead_letters=len(letters), **answer._asdict())
