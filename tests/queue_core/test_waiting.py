"""A wait with a limit has a timer only while it waits, and passes on values, errors and cancellations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from queue_core.waiting import within
from sim.engine.loop import SimLoop, run


def test_an_awaitable_that_does_not_wait_has_no_timer() -> None:
    async def at_once() -> str:
        await asyncio.sleep(0)
        assert asyncio.get_running_loop().waiting_timers() == 1  # type: ignore[attr-defined]  # SimLoop has it
        return "later"

    async def main(loop: SimLoop) -> None:
        done = loop.create_future()
        done.set_result("done")
        assert await within(1000, done) == "done"
        assert loop.waiting_timers() == 0
        assert await within(1000, at_once()) == "later"
        assert loop.waiting_timers() == 0

    run(main)


def test_the_limit_counts_from_the_call_and_is_named() -> None:
    async def handler() -> None:
        for _ in range(10):
            await asyncio.sleep(0.3)

    async def parts() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(5)

    async def main(loop: SimLoop) -> None:
        with pytest.raises(TimeoutError, match="took longer than 1000 ms"):
            await within(1000, handler())
        assert loop.time() == pytest.approx(1.0)
        sending = parts()
        assert await within(1000, anext(sending, None)) == 1
        with pytest.raises(TimeoutError, match="took longer than 1000 ms"):
            await within(1000, anext(sending, None))
        assert loop.time() == pytest.approx(2.0)

    run(main)


def test_errors_and_cancellations_reach_the_awaitable_and_the_caller() -> None:
    heard: list[str] = []

    async def handler(*, swallows: bool = False) -> str:
        try:
            await asyncio.sleep(1)
            raise TimeoutError("the AI's own")
        except asyncio.CancelledError:
            heard.append("cancelled")
            if not swallows:
                raise
            await asyncio.sleep(1)
            return "finished nevertheless"

    async def main(loop: SimLoop) -> None:
        with pytest.raises(TimeoutError, match="the AI's own"):
            await within(5000, handler())
        tasks = [loop.create_task(within(5000, handler(swallows=swallows))) for swallows in (False, True)]
        await asyncio.sleep(0.5)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert tasks[0].cancelled()
        assert tasks[1].result() == "finished nevertheless"
        assert heard == ["cancelled", "cancelled"]

    run(main)
