"""Sending, for all channels: part after part, and the meaning of an answer: sent, perhaps sent, or not sent."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from urllib.parse import quote

from yarl import URL

from queue_core.errors import RetryLaterError, SendUncertainError
from queue_core.http_client import HttpAnswer, NotReachedError, UnansweredError


def address(base_url: str, before: str, name: str, after: str = "") -> URL:
    """Return `base_url/before/name/after`. Slashes and dots in `name` are quoted, so it stays one part of the path."""
    quoted = quote(name, safe="", errors="replace").replace(".", "%2E")
    return URL(
        "/".join(part for part in (str(URL(base_url)).rstrip("/"), before, quoted, after) if part),
        encoded=True,
    )


async def send_all(
    parts: list[str], send: Callable[[str], Awaitable[None]], *, after: int
) -> AsyncGenerator[None, None]:
    """Send the parts that come after the first `after` ones, and yield between two parts."""
    for number, part in enumerate(parts[after:]):
        if number:
            yield
        await send(part)


async def perform(request: Awaitable[HttpAnswer]) -> HttpAnswer:
    """Perform a request. Raises RetryLaterError if no connection was made, SendUncertainError if no answer came."""
    try:
        return await request
    except NotReachedError as error:
        raise RetryLaterError(f"not sent: {error}") from None
    except UnansweredError as error:
        raise SendUncertainError(f"perhaps sent: {error}") from None
