"""A transport for tests: it hands calls on to another one, notes them, and loses answers on demand."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from queue_core import QueueUnavailableError
from queue_core.redis.scripts.loader import Call
from queue_core.redis.transport import Transport

Result = TypeVar("Result")


class Forgetful(Transport):
    """Transport that loses the next answer if `lose_next` is set: Redis did it, but the caller gets an error."""

    def __init__(self, carrier: Transport) -> None:
        self._carrier = carrier
        self.calls: list[Call[Any]] = []
        self.lose_next = False

    def gathered(self, call: Call[Result]) -> asyncio.Future[Result]:
        """Call the carrier, then perhaps lose its answer."""
        self.calls.append(call)
        loses, self.lose_next = self.lose_next, False
        return asyncio.ensure_future(self._answer(self._carrier.gathered(call), loses=loses))

    async def alone(self, call: Call[Result]) -> Result:
        """Call the carrier, then perhaps lose its answer."""
        self.calls.append(call)
        loses, self.lose_next = self.lose_next, False
        answer: Result = await self._answer(self._carrier.alone(call), loses=loses)
        return answer

    async def load(self) -> None:
        """Call the carrier."""
        await self._carrier.load()

    async def _answer(self, answering: Any, *, loses: bool) -> Any:
        answer = await answering
        if loses:
            raise QueueUnavailableError("the answer was lost")
        return answer
