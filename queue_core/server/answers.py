"""Answers to HTTP requests: JSON that ends with a line break, so that a terminal's next output begins on a new line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

_HEADERS = {"Content-Type": "application/json; charset=utf-8"}


def line_of(value: Any) -> str:
    """Return a value as a line of JSON."""
    return f"{json.dumps(value)}\n"


def json_answer(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Answer with a value as JSON."""
    return web.Response(
        body=line_of(value).encode(), status=status, headers={**_HEADERS, **headers} if headers else _HEADERS
    )


def refusal(kind: type[web.HTTPException], error: str) -> web.HTTPException:
    """Return an exception to raise, which aiohttp answers with the error as JSON."""
    return kind(text=line_of({"error": error}), content_type="application/json")
