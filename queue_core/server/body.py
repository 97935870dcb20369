"""Reader of request bodies, which are JSON within limits. Broken text is repaired, since it may be a user's message."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
from aiohttp import web

from queue_core.message import is_deeper_than

DEPTH_MAX = 64
"""Limit on nesting; WhatsApp's own webhooks are about 15 deep."""
READ_TIMEOUT_S = 30.0
"""Longest time for a body to arrive; a slower one is refused (408)."""


class BadBodyError(Exception):
    """Raised for a body that can never be read. The answer has the HTTP status `status`."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


async def read_body(request: web.Request) -> bytes:
    """Read the raw body. Raises BadBodyError when it is too large, too slow, cut off or not declared as JSON.

    The content type is required since any web page can make a browser post to this machine, but not with that type.
    """
    if request.content_type.lower() != "application/json" and not request.content_type.endswith("+json"):
        raise BadBodyError(415, "post JSON with the header Content-Type: application/json")
    try:
        if request.content.is_eof():  # usual: the body came with the head
            return await request.read()
        async with asyncio.timeout(READ_TIMEOUT_S):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise BadBodyError(
            413, f"the body is larger than {request.client_max_size} bytes (BODY_BYTES_MAX)"
        ) from None
    except web.RequestPayloadError:
        raise BadBodyError(400, "the body is not compressed in the way that Content-Encoding names") from None
    except ConnectionError:
        raise BadBodyError(400, "the connection ended before the whole body had arrived") from None
    except TimeoutError:
        raise BadBodyError(408, f"the body did not arrive within {READ_TIMEOUT_S:g} s") from None


def parse_json(body: bytes) -> Any:
    """Decode the JSON of a body. Broken UTF-8 becomes U+FFFD. Raises BadBodyError."""
    try:
        value = _decode(body)
    except (ValueError, RecursionError):
        raise BadBodyError(400, "the body is not JSON") from None
    brackets = body.count(b"{") + body.count(b"[")  # few brackets cannot be nested deeply
    if brackets > DEPTH_MAX and is_deeper_than(value, DEPTH_MAX):
        raise BadBodyError(400, f"the JSON is nested more than {DEPTH_MAX} levels deep")
    return value


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        # The standard library accepts what msgspec refuses: half an emoji (a lone surrogate), a byte order mark.
        return json.loads(body.decode("utf-8-sig", "replace"))
