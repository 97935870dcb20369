"""Requests to the AI and to WhatsApp: one JSON POST, with the one question answered that retries depend on.

That question is: can the other side have acted on it? Where a connection was never made it cannot (NotReachedError);
where the answer was cut off nobody knows (UnansweredError).
"""

from __future__ import annotations

import email.utils
import io
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec
from yarl import URL

ANSWER_BYTES_MAX = 4 * 1024 * 1024
"""A longer answer than this counts as none."""
RETRY_AFTER_S_MAX = 600.0
"""A longer wait asked for by Retry-After is cut to this."""


class NotReachedError(Exception):
    """No connection was made: the other side certainly did nothing."""


class UnansweredError(Exception):
    """The request may have been carried out; its answer did not come, or not whole."""


class HttpAnswer(msgspec.Struct, frozen=True):
    """An answer, whatever its status."""

    status: int
    body: bytes
    retry_after_s: float | None
    """From Retry-After, seconds or a date, at most RETRY_AFTER_S_MAX; None without one that can be read."""

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body as JSON; None when it is none."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None


def new_session() -> aiohttp.ClientSession:
    """A session for one process: connections are kept, cookies are not. To be closed by the caller."""
    connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=60)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


async def post_json(
    session: aiohttp.ClientSession,
    url: str | URL,
    body: Any,
    *,
    headers: Mapping[str, str] | None = None,
    timeout_s: float,
) -> HttpAnswer:
    """POSTs `body` as JSON and returns the answer, redirects included: they are not followed.

    Raises NotReachedError and UnansweredError. Neither they nor what they hold shows the URL or the headers: both
    may carry secrets.
    """
    connect_s = min(timeout_s, 10.0)
    timeout = aiohttp.ClientTimeout(total=timeout_s, connect=connect_s)
    sent = {"Content-Type": "application/json", "Accept": "application/json", **(headers or {})}
    data = io.BytesIO(
        msgspec.json.encode(body)
    )  # sent in pieces: a large one must not hold up everything else
    try:
        async with session.post(
            url, data=data, headers=sent, timeout=timeout, allow_redirects=False
        ) as response:
            received = await _read(response)
            return HttpAnswer(response.status, received, _retry_after_s(response.headers.get("Retry-After")))
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
        raise NotReachedError(f"no connection ({type(error).__name__})") from None
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise UnansweredError(f"no whole answer ({type(error).__name__})") from None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    chunks = bytearray()
    async for chunk in response.content.iter_chunked(65_536):
        chunks += chunk
        if len(chunks) > ANSWER_BYTES_MAX:
            raise UnansweredError(f"the answer is longer than {ANSWER_BYTES_MAX} bytes")
    return bytes(chunks)


def _retry_after_s(value: str | None) -> float | None:
    """Seconds from a Retry-After header (RFC 9110, 10.2.3)."""
    if not value:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), RETRY_AFTER_S_MAX)
    try:
        at = email.utils.parsedate_to_datetime(text)
        return min(max(0.0, at.timestamp() - time.time()), RETRY_AFTER_S_MAX)
    except (ValueError, TypeError, OverflowError):
        return None
