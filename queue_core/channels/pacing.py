"""Pace of sending: all processes together send no more messages a second from a number than its provider accepts.

A process sends up to a sixteenth of the rate at once, without asking Redis. Above that, Redis gives each message the
moment at which to go (`redis/scripts/pace.lua`), first come, first served, and also counts the messages that were sent
without asking. So a number far below its rate costs no round trips. A number at its rate may exceed it by a sixteenth
for each process that does not ask. With a rate below 16, every message is asked for.

While Redis is away, each process keeps the rate by itself.

When a provider refuses a message as one too many, the number pauses, and then sends at half its rate, in all processes
that ask. A message that waits for its moment asks again if its process has learned of a pause meanwhile. A process that
does not ask finds out when a message of its own is refused.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

from queue_core.channels.base import NumberLimitError
from queue_core.errors import QueueError, RetryLaterError
from queue_core.queue.pacing import PaceAnswer, Pacing
from queue_core.text import quantity, visible

UNASKED_SHARE = 16
"""Divisor of the rate: a process sends up to this part of it without asking Redis."""
WAIT_MS_MAX = 2_000
"""Longest wait before a message. A longer one puts the turn off, since no lease is confirmed between wait and send."""
AWAY_S = 5.0
"""Time for which a process does not ask, after Redis did not answer or refused."""
RECOVERS_S = 10.0
"""Time after which the rate of a number that has slowed down doubles again; see `redis/scripts/pace.lua`."""
NUMBERS_MAX = 10_000

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Number:
    """Messages that this process sent from one number."""

    sent_at: deque[float] = field(default_factory=deque)
    """Times of the messages in the last second."""
    unasked: int = 0
    """Number of messages that were sent without asking, so that Redis has not counted them."""
    careful_until: float = 0.0
    """Time until which each message is asked for, since the number has slowed down."""
    paused_until_ms: int = 0
    """End of the last pause in Redis's time, as far as this process knows; 0 without one."""

    def forget_before(self, time: float) -> None:
        while self.sent_at and self.sent_at[0] <= time:
            self.sent_at.popleft()
        self.unasked = min(self.unasked, len(self.sent_at))


class Pacer:
    """Pace of one process. `per_s` has the rate of each channel; without a rate, only refusals slow a number down."""

    def __init__(
        self,
        shared: Pacing,
        per_s: Mapping[str, int],
        *,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._shared = shared
        self._per_s = per_s
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._sleep = sleep
        self._numbers: dict[tuple[str, str], _Number] = {}
        self._away_until = 0.0

    async def paced(
        self, channel: str, instance: str, sending: AsyncGenerator[None, None]
    ) -> AsyncGenerator[None, None]:
        """Let a channel send its parts at their moments. Yields and raises as Channel.send does."""
        async with aclosing(sending):
            while True:
                await self._wait(channel, instance)
                began = self._clock()
                try:
                    await anext(sending)
                except StopAsyncIteration:
                    return
                except NumberLimitError as error:
                    await self._slow_down(channel, instance, error.after_ms or 0, began)
                    raise
                yield

    async def _wait(self, channel: str, instance: str) -> None:
        number, per_s = self._number(channel, instance), self._per_s.get(channel, 0)
        now = self._clock()
        number.forget_before(now - 1.0)
        unasked_max = per_s // UNASKED_SHARE if per_s else len(number.sent_at) + 1
        if now < self._away_until:
            await self._wait_alone(number, per_s)
            return
        if now >= number.careful_until and len(number.sent_at) < unasked_max:
            number.sent_at.append(now)
            number.unasked += 1
            return
        waited_ms, is_paused = 0, True
        while is_paused:
            try:
                answer = await self._take(number, _name(channel, instance), per_s, waited_ms)
            except QueueError as error:
                _log.debug("each process limits its own pace for now: %s", error)
                self._away_until = self._clock() + AWAY_S
                await self._wait_alone(number, per_s)
                return
            if not answer.is_granted:
                raise _put_off(per_s, answer.wait_ms, slows_down=answer.halvings > 0)
            if answer.wait_ms:
                await self._sleep(answer.wait_ms / 1000)
            waited_ms += answer.wait_ms
            is_paused = number.paused_until_ms > answer.paused_until_ms  # by a refusal during the wait
        number.sent_at.append(self._clock())

    async def _take(self, number: _Number, name: str, per_s: int, waited_ms: int) -> PaceAnswer:
        """Ask Redis for a moment. It counts the messages that went unasked only if it gives one."""
        count, number.unasked = 1 + number.unasked, 0
        is_granted = False
        try:
            answer = await self._shared.take(
                name, per_s=per_s, count=count, wait_ms_max=WAIT_MS_MAX, waited_ms=waited_ms
            )
            is_granted = answer.is_granted
        finally:
            if not is_granted:
                number.unasked += count - 1
        self._note(number, answer)
        return answer

    async def _wait_alone(self, number: _Number, per_s: int) -> None:
        """Wait, while Redis is away, until this process by itself would keep the rate."""
        now = self._clock()
        number.forget_before(now - 1.0)
        moment = now
        if per_s and len(number.sent_at) >= per_s:
            moment = max(now, number.sent_at[-per_s] + 1.0)
        wait_ms = round((moment - now) * 1000)
        if wait_ms > WAIT_MS_MAX:
            raise _put_off(per_s, wait_ms)
        number.sent_at.append(moment)  # before the wait: messages at the same time take the next moments
        number.unasked += 1
        if moment > now:
            await self._sleep(moment - now)

    async def _slow_down(self, channel: str, instance: str, asked_ms: int, began: float) -> None:
        number, per_s = self._number(channel, instance), self._per_s.get(channel, 0)
        try:
            answer = await self._shared.slow_down(
                _name(channel, instance),
                per_s=per_s,
                asked_ms=asked_ms,
                ago_ms=int((self._clock() - began) * 1000),
            )
        except QueueError as error:
            _log.debug("could not note that the provider refused a message: %s", error)
            return
        _log.warning(
            "%s of %s slows down: the provider refused a message, since the number sent too many",
            channel,
            visible(instance),
        )
        self._note(number, answer)

    def _note(self, number: _Number, answer: PaceAnswer) -> None:
        """Note for how long the number pauses, and then is slower."""
        number.paused_until_ms = answer.paused_until_ms
        if answer.halvings:
            number.careful_until = self._clock() + answer.wait_ms / 1000 + answer.halvings * RECOVERS_S

    def _number(self, channel: str, instance: str) -> _Number:
        """Return the record of a number. Of too many records, the longest unused one is forgotten."""
        name = channel, instance
        number = self._numbers.pop(name) if name in self._numbers else _Number()
        self._numbers[name] = number
        if len(self._numbers) > NUMBERS_MAX:
            del self._numbers[next(iter(self._numbers))]
        return number


def _put_off(per_s: int, wait_ms: int, *, slows_down: bool = False) -> RetryLaterError:
    """Make the error of a message whose moment is too far away."""
    reason = (
        "the number slows down, since the provider refused messages"
        if slows_down
        else f"the number has reached its rate of {quantity(per_s, 'message')} a second"
    )
    return RetryLaterError(f"not sent: {reason}", after_ms=wait_ms, blames="limit")


def _name(channel: str, instance: str) -> str:
    return f"{channel}:{instance}"
