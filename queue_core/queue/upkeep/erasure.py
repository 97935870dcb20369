"""Erasure of one user: deletes on demand everything that the queue keeps of a conversation."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Literal

import msgspec

from queue_core.errors import DamagedKeyNotFoundError, DeadLetterNotFoundError
from queue_core.queue.access import Access
from queue_core.queue.aliases import Aliases
from queue_core.queue.upkeep.damage import Damage
from queue_core.queue.upkeep.dead_letters import DeadLetters
from queue_core.queue.upkeep.sent_replies import SentReplies
from queue_core.redis import scripts
from queue_core.redis.scripts.answers import ForgetAnswer


class Forgotten(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Counts of the data kept of a user. Nothing was deleted unless `standing` is "forgotten".

    One case is an exception: the user has several names, and during the deletion a message came under one of them.
    """

    standing: Literal["forgotten", "waiting", "in flight"]
    """"waiting": messages wait. "in flight": a worker is answering them."""
    waiting: int
    """Messages in the queue."""
    lease_left_ms: int
    """Time until the lease ends, if the worker does not renew it; 0 if no worker has the conversation."""
    finished: int
    dead_letters: int
    damaged: int
    """Damaged keys that were moved aside."""
    reply: bool
    """True if a reply was recorded whose turn is not finished."""
    memory: bool
    """True if the AI had a memory of the conversation."""
    statistics: bool

    @property
    def is_empty(self) -> bool:
        """True when the queue had nothing of the conversation."""
        counts = self.waiting, self.finished, self.dead_letters, self.damaged
        return not any((*counts, self.reply, self.memory, self.statistics))


class Erasure:
    """Deletes what is kept of a conversation. Raises QueueUnavailableError when Redis does not answer."""

    def __init__(
        self, access: Access, letters: DeadLetters, damage: Damage, sent: SentReplies, aliases: Aliases
    ) -> None:
        self._access = access
        self._aliases = aliases
        self._letters = letters
        self._damage = damage
        self._sent = sent

    async def forget(self, instance_name: str, user_phone: str, *, drop_waiting: bool = False) -> Forgotten:
        """Delete everything that is kept of a user, under all names, dead letters and damaged keys included.

        Deletes nothing while a worker answers the user. Nor while messages wait, unless `drop_waiting`: then they are
        deleted unanswered. Ids of the messages stay until they expire, so that a repeated delivery is not answered.
        Calling it again is harmless.
        """
        names = await self._aliases.names_of_user(instance_name, user_phone)
        refused = await self._refused(names, drop_waiting=drop_waiting)
        total: Forgotten | None = None
        for name in sorted(names, key=lambda name: name not in refused):  # a refusal first, before a deletion
            part = await self._forget_name(*name, drop_waiting=drop_waiting)
            total = _sum(total, part) if total else part
            if part.standing != "forgotten":
                return total
        assert total is not None
        await self._aliases.forget_names(*names[0])  # last, so that a repeated call finds all of them
        return total

    async def refuses(self, instance_name: str, user_phone: str, *, drop_waiting: bool = False) -> bool:
        """Return True if `forget` would now delete nothing of this user."""
        names = await self._aliases.names_of_user(instance_name, user_phone)
        return bool(await self._refused(names, drop_waiting=drop_waiting))

    async def _refused(self, names: Sequence[tuple[str, str]], *, drop_waiting: bool) -> set[tuple[str, str]]:
        """Return the names that have messages which may not be deleted now."""
        answers = await asyncio.gather(
            *(self._delete(name, drop_waiting=drop_waiting, only_looks=True) for name in names)
        )
        return {name for name, answer in zip(names, answers, strict=True) if answer.standing != "forgotten"}

    async def _delete(
        self, name: tuple[str, str], *, drop_waiting: bool, only_looks: bool = False
    ) -> ForgetAnswer:
        access = self._access
        call = scripts.Forget(
            place=access.keys.of(*name),
            now_ms=access.now(),
            drop_waiting=int(drop_waiting),
            only_looks=int(only_looks),
        )
        return await access.transport.gathered(call)

    async def _forget_name(self, instance_name: str, user_phone: str, *, drop_waiting: bool) -> Forgotten:
        user = instance_name, user_phone
        answer = await self._delete(user, drop_waiting=drop_waiting)
        letters = [
            letter.id
            async for letter in self._letters.iterate()
            if (letter.instance_name, letter.user_phone) == user
        ]
        damaged = [
            key.id async for key in self._damage.iterate() if (key.instance_name, key.user_phone) == user
        ]
        if answer.standing == "forgotten":
            await self._sent.forget(instance_name, user_phone)
            for drop, ids in ((self._letters.drop, letters), (self._damage.drop, damaged)):
                for entry_id in ids:
                    # Another command may have dropped it meanwhile.
                    with contextlib.suppress(DeadLetterNotFoundError, DamagedKeyNotFoundError):
                        await drop(entry_id)
        return Forgotten(dead_letters=len(letters), damaged=len(damaged), **answer._asdict())


def _sum(total: Forgotten, part: Forgotten) -> Forgotten:
    """Add the counts of another name of the user. The result has the standing of `part`, which was read later."""
    return Forgotten(
        standing=part.standing,
        waiting=total.waiting + part.waiting,
        lease_left_ms=part.lease_left_ms,
        finished=total.finished + part.finished,
        dead_letters=total.dead_letters + part.dead_letters,
        damaged=total.damaged + part.damaged,
        reply=total.reply or part.reply,
        memory=total.memory or part.memory,
        statistics=total.statistics or part.statistics,
    )
