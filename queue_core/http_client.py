"""POSTs of JSON to the AI and to WhatsApp.

An error says whether the other side may have acted on the request, because a retry depends on that. After
NotReachedError it did not; after UnansweredError it may have.
"""

from __future__ import annotations

import email.utils
import io
import time
from collections.abc import Mapping
from datetime import UTC
from typing import Any

import aiohttp
import msgspec
from yarl import URL

ANSWER_BYTES_MAX = 4 * 1024 * 1024
"""Limit on an answer; a longer one raises UnansweredError."""
RETRY_AFTER_S_MAX = 600.0
"""Limit on the wait that Retry-After asks for."""


class NotReachedError(Exception):
    """Raised when no connection was made: the other side certainly did nothing."""


class UnansweredError(Exception):
    """Raised when no complete answer came: the request may have been carried out."""


class HttpAnswer(msgspec.Struct, frozen=True):
    """HTTP answer of any status."""

    status: int
    body: bytes
    retry_after_s: float | None
    """Wait that the header Retry-After asks for, at most RETRY_AFTER_S_MAX; None if it cannot be read."""
    headers: Mapping[str, str] = {}
    """Headers; names may be asked for in any case."""

    @property
    def is_success(self) -> bool:
        """True when the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def retry_after_ms(self) -> int:
        """Wait that the header Retry-After asks for; 0 if it asks for none, or cannot be read."""
        return int((self.retry_after_s or 0) * 1000)

    def json(self) -> Any:
        """Decode the body as JSON; None if it is not JSON."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None


def new_session() -> aiohttp.ClientSession:
    """Open a session for one process, which keeps connections and no cookies. The caller closes it."""
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
    """POST `body` as JSON and return the answer. A redirect is an answer too: it is not followed.

    Raises NotReachedError and UnansweredError. Neither shows the URL or the headers, since both may hold secrets.
    """
    connect_s = min(timeout_s, 10.0)
    timeout = aiohttp.ClientTimeout(total=timeout_s, connect=connect_s)
    all_headers = {"Content-Type": "application/json", "Accept": "application/json", **(headers or {})}
    # A file object is sent in pieces: a large body must not hold up everything else.
    data = io.BytesIO(msgspec.json.encode(body))
    try:
        async with session.post(
            url, data=data, headers=all_headers, timeout=timeout, allow_redirects=False
        ) as response:
            received = await _read(response)
            retry_after_s = _retry_after_s(response.headers.get("Retry-After"))
            return HttpAnswer(response.status, received, retry_after_s, response.headers)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
        raise NotReachedError(f"no connection ({type(error).__name__})") from None
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise UnansweredError(f"no complete answer ({type(error).__name__})") from None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    chunks = bytearray()
    async for chunk in response.content.iter_chunked(65_536):
        chunks += chunk
        if len(chunks) > ANSWER_BYTES_MAX:
            raise UnansweredError(f"the answer is longer than {ANSWER_BYTES_MAX} bytes")
    return bytes(chunks)


def _retry_after_s(value: str | None) -> float | None:
    """Read a Retry-After header (RFC 9110, 10.2.3): seconds, or a date, in UTC if it names no zone."""
    if not value:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), RETRY_AFTER_S_MAX)
    try:
        date = email.utils.parsedate_to_datetime(text)
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        return min(max(0.0, date.timestamp() - time.time()), RETRY_AFTER_S_MAX)
    except (ValueError, TypeError, OverflowError):
        return None
