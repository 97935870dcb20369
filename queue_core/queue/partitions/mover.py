"""Access to all partitions for one run that carries conversations."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from math import gcd
from typing import TypeVar

from queue_core.command_lines import typed
from queue_core.errors import PartitionsError, QueueError, QueueUnavailableError
from queue_core.keys import Partition, home_of
from queue_core.queue.access import Access
from queue_core.queue.partitions.noted import all_keys
from queue_core.redis.scripts.loader import Call
from queue_core.redis.servers import scan_part

COMMANDS_AT_ONCE_MAX = 200
"""Limit on commands that are sent at a time."""
_STEPS_MAX = 2**62

Result = TypeVar("Result")
PartitionKey = tuple[int, str]
"""Number of a partition, and the rest of a key's name there."""


class LeasedError(QueueError):
    """Raised when a worker has a lease on a conversation that was to be carried."""


class Mover:
    """Run that carries conversations from the partitions of one number to those of another.

    Its token is noted in every partition that it closes; the scripts refuse another run.
    """

    def __init__(self, access: Access, before: int, new: int) -> None:
        self.access = access
        self.before = before
        self.new = new
        self.token = secrets.token_hex(8)
        self._keys = all_keys(access.settings.prefix)
        self.partitions = self._keys.partitions

    @property
    def used(self) -> tuple[Partition, ...]:
        """Partitions that the number before or the new one has."""
        return self.partitions[: max(self.before, self.new)]

    def home(self, conversation: str) -> int:
        """Return the partition of a conversation by the new number."""
        return home_of(conversation, self.new)

    def may_get(self, target: int, source: int) -> bool:
        """Return True if a conversation of the partition `source` may lie in `target` by the new number."""
        return (target - source) % gcd(self.before, self.new) == 0

    async def scan(self) -> AsyncGenerator[list[PartitionKey], None]:
        """Yield all keys of all partitions, a page at a time."""
        pages = scan_part(self.access.redis, self._keys.pattern_of_all, {}, _STEPS_MAX)
        async with aclosing(pages):
            async for page in pages:
                yield [parts for key in page if (parts := self._keys.split(key))]

    async def in_each(self, numbers: Sequence[int], call: Callable[[int], Call[Result]]) -> list[Result]:
        """Run a call for each of some partitions."""
        answers: list[Result] = []
        for first in range(0, len(numbers), COMMANDS_AT_ONCE_MAX):
            some = numbers[first : first + COMMANDS_AT_ONCE_MAX]
            answers += await asyncio.gather(*(self.run(call(number)) for number in some))
        return answers

    async def run(self, call: Call[Result]) -> Result:
        """Run a script. Raises PartitionsError if another run has closed or opened the partition meanwhile."""
        try:
            return await self.access.transport.gathered(call)
        except QueueUnavailableError:
            raise
        except QueueError as error:
            if "LEASED" in str(error):
                raise LeasedError("a worker still answers a conversation that is to be carried") from error
            if "MOVER" in str(error):
                raise PartitionsError(
                    typed(
                        "another run of this command took over the change, or has completed it: see "
                        "`python -m queue_core partitions`"
                    )
                ) from error
            raise
