"""Questions to servers over connections that are closed afterwards: where the primaries are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from redis import exceptions
from redis.asyncio.connection import AbstractConnection

from queue_core.redis.nodes.urls import Address
from queue_core.redis.pool import close_at_once
from queue_core.waiting import cancel_all

Result = TypeVar("Result")

ANSWER_S_MAX = 1.0
"""Limit on the time for one server's answer."""
NEXT_AFTER_S = 0.1
"""Time after which the next server is asked too."""

NewConnection = Callable[[Address], AbstractConnection]
"""Function that makes a connection to a server, not connected yet."""


async def ask(connection: AbstractConnection, *commands: Sequence[Any]) -> list[Any]:
    """Connect, run commands, close. Raises redis-py's errors, error replies included."""
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            await connection.connect()  # type: ignore[no-untyped-call]  # in redis-py
            answers = []
            for command in commands:
                await connection.send_command(*command)
                answers.append(await connection.read_response())
            return answers
    except (TimeoutError, OSError) as error:
        raise exceptions.ConnectionError(f"no answer of a server: {str(error) or 'it is silent'}") from error
    finally:
        await close_at_once(connection)


async def first_answer(
    addresses: Iterable[Address], question: Callable[[Address], Coroutine[Any, Any, Result]]
) -> Result:
    """Ask servers one after the other until one answers; the next is asked as soon as one fails or is slow.

    Raises the last error if none answers.
    """
    waiting, tasks = list(addresses), set[asyncio.Task[Result]]()
    failure: BaseException = exceptions.ConnectionError("no address of a server is known")
    try:
        while waiting or tasks:
            if waiting:
                tasks.add(asyncio.create_task(question(waiting.pop(0))))
            done, tasks = await asyncio.wait(
                tasks,
                timeout=NEXT_AFTER_S if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            errors = {task: task.exception() for task in done}
            for task, error in errors.items():
                if error is None:
                    return task.result()
                failure = error
    finally:
        await cancel_all(tasks)
    raise failure
