"""Handlers and senders, and functions that send one reply, whole or in parts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from inspect import isasyncgen
from typing import TypeAlias

from queue_core.message import Batch, Reply
from queue_core.sent import SentPart, noting_sent
from queue_core.waiting import within

Handler: TypeAlias = Callable[[Batch], Awaitable[str | Reply | None]]
"""Function that answers a turn; None or "" means that there is no reply.

It may raise RetryLaterError or GiveUpError. After any other error the turn is tried again.
"""
Sender: TypeAlias = Callable[[Batch, str], Awaitable[None] | AsyncIterator[None]]
"""Function that sends a reply to the user. RetryLaterError and GiveUpError mean that the reply was not sent. After any
other error the queue does not know whether it was sent.

A sender that sends in parts is an async generator: it leaves out the first `batch.parts_sent` parts, and yields
between two parts. At each yield the queue notes what was sent, and confirms that the lease is held.

A sender calls `queue_core.sent.note_sent` with the id that the provider gave to a part, so that the queue understands
what the provider reports on it later.
"""

_END = object()
"""Mark of the end of a sender's parts, since a sender may yield any value."""

_log = logging.getLogger(__name__)


def reply_of(answer: str | Reply | None) -> Reply:
    """Return the reply in a handler's answer; its text is "" when there is nothing to send."""
    return answer if isinstance(answer, Reply) else Reply(answer or "")


async def call_recorded(reply: Reply, *, limit_ms: int) -> None:
    """Call the reply's `on_recorded`, if it has one, for at most `limit_ms`. Logs its errors and does not raise."""
    if reply.on_recorded:
        try:
            await within(limit_ms, reply.on_recorded())
        except Exception as error:  # noqa: BLE001 - the reply is certain by now, whatever this raises
            _log.warning("on_recorded: %s", line_of(error))


@asynccontextmanager
async def calling_recorded(reply: Reply, *, limit_ms: int) -> AsyncIterator[None]:
    """Call the reply's `on_recorded`, if it has one, while the block runs. Wait for it when the block ends."""
    if reply.on_recorded is None:
        yield
        return
    calling = asyncio.create_task(call_recorded(reply, limit_ms=limit_ms), name="queue-on-recorded")
    try:
        yield
        await asyncio.wait([calling])
    except Exception:
        await asyncio.wait([calling])
        raise
    finally:
        calling.cancel()  # when this task is cancelled


async def send_reply(
    sender: Sender,
    batch: Batch,
    text: str,
    *,
    limit_ms: int,
    between: Callable[[int], Awaitable[None]] | None = None,
    sent_parts: list[SentPart] | None = None,
) -> None:
    """Send a reply. Raises TimeoutError if a part takes longer than `limit_ms`, and the errors of the sender.

    `between` is called between two parts, with the number of parts that were sent. Its errors end the sending. Parts
    for which the provider gave an id are added to `sent_parts`.
    """
    with noting_sent([] if sent_parts is None else sent_parts):
        await _send(sender(batch, text), batch.parts_sent, limit_ms, between)


async def _send(
    sending: Awaitable[None] | AsyncIterator[None],
    parts: int,
    limit_ms: int,
    between: Callable[[int], Awaitable[None]] | None,
) -> None:
    if not isasyncgen(sending):
        await within(limit_ms, sending)  # type: ignore[arg-type]  # not a generator, so an awaitable
        return
    async with contextlib.aclosing(sending):
        while await within(limit_ms, anext(sending, _END)) is not _END:
            parts += 1
            if between:
                await between(parts)


def line_of(error: Exception) -> str:
    """Return an error's type and the line that raised it, without its message, which may quote a user."""
    *_, frame = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {frame.filename}, line {frame.lineno}, in {frame.name}"
