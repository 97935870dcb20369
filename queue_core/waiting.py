"""Waits with a time limit, and cancellations that nothing can swallow."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Collection, Generator
from typing import Any, TypeVar

Result = TypeVar("Result")

CANCEL_AGAIN_S = 0.05


async def within(limit_ms: int, awaitable: Awaitable[Result]) -> Result:
    """Await `awaitable`, and cancel it at the limit with a TimeoutError that names the limit.

    There is a timer only if the awaitable really waits.
    """
    ends_at = asyncio.get_running_loop().time() + limit_ms / 1000
    steps = awaitable.__await__()
    try:
        awaited = next(steps)
    except StopIteration as end:
        result: Result = end.value
        return result
    limit = asyncio.timeout_at(ends_at)
    try:
        async with limit:
            return await _go_on(steps, awaited)
    except TimeoutError as error:
        if limit.expired():
            raise TimeoutError(f"took longer than {limit_ms} ms") from error
        raise


@types.coroutine
def _go_on(steps: Generator[Any, Any, Result], awaited: Any) -> Generator[Any, Any, Result]:
    """Continue an awaitable whose first step ended with a wait for `awaited`."""
    while True:
        try:
            yield awaited
        except BaseException as error:  # noqa: BLE001 - it is the awaitable's to handle
            try:
                awaited = steps.throw(error)
            except StopIteration as end:
                result: Result = end.value
                return result
        else:
            return (yield from steps)


async def wait_for_event(event: asyncio.Event, timeout_s: float) -> None:
    """Return when the event is set. It is set when the time is over."""
    timer = asyncio.get_running_loop().call_later(timeout_s, event.set)
    try:
        await event.wait()
    finally:
        timer.cancel()


async def cancellable(awaitable: Awaitable[Result]) -> Result:
    """Await `awaitable`; when cancelled, end even if `awaitable` swallows a cancellation.

    Up to Python 3.11 redis-py sometimes swallows one, because it uses `asyncio.wait_for` (cpython issue 86296).
    """
    task = asyncio.ensure_future(awaitable)
    try:
        return await asyncio.shield(task)
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=CANCEL_AGAIN_S)


async def cancel_all(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks and return when all have ended, even those that swallow a cancellation. Their errors are dropped."""
    while alive := [task for task in tasks if not task.done()]:
        for task in alive:
            task.cancel()
        await asyncio.wait(alive, timeout=CANCEL_AGAIN_S)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # read, so that asyncio does not log it
