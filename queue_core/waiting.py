"""Waits with a limit, and cancellations that reach their end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Collection
from typing import Any, TypeVar

Result = TypeVar("Result")

CANCEL_AGAIN_S = 0.05


async def within(limit_ms: int, doing: Awaitable[Result]) -> Result:
    """Await `doing`, and cancel it at the limit with a TimeoutError that names the limit."""
    limit = asyncio.timeout(limit_ms / 1000)
    try:
        async with limit:
            return await doing
    except TimeoutError as error:
        if limit.expired():
            raise TimeoutError(f"took longer than {limit_ms} ms") from error
        raise


async def wait_for_event(event: asyncio.Event, timeout_s: float) -> None:
    """Return when the event is set or the time is over."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()


async def cancellable(doing: Awaitable[Result]) -> Result:
    """Await `doing`; when cancelled, end even if `doing` swallows a cancellation.

    redis-py swallows one now and then up to Python 3.11: it sends by `asyncio.wait_for` (cpython issue 86296).
    """
    task = asyncio.ensure_future(doing)
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
            task.exception()  # looked at, so that asyncio does not complain
