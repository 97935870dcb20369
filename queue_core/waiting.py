"""Waits with a time limit, and cancellations that nothing can swallow."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Collection
from typing import Any, TypeVar

Result = TypeVar("Result")

CANCEL_AGAIN_S = 0.05


async def within(limit_ms: int, awaitable: Awaitable[Result]) -> Result:
    """Await `awaitable`, and cancel it at the limit with a TimeoutError that names the limit."""
    limit = asyncio.timeout(limit_ms / 1000)
    try:
        async with limit:
            return await awaitable
    except TimeoutError as error:
        if limit.expired():
            raise TimeoutError(f"took longer than {limit_ms} ms") from error
        raise


async def wait_for_event(event: asyncio.Event, timeout_s: float) -> None:
    """Return when the event is set or the time is over."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()


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
