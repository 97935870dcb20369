r"""Log with a line for each event, for people or as JSON, on standard error.

Fields are given as `extra={…}` to any logger of the standard library. Unprintable characters are written as `\uXXXX`,
so that no message, field or exception breaks its line or controls a terminal.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, Literal

from queue_core.text import visible_json

VALUE_LENGTH_MAX = 16_384
"""Limit on a message or a value. Longer ones are cut at the end, a traceback in the middle."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"asctime", "message", "taskName"}
_MOMENTS_MS = range(10**12, 10**14)
"""Unix milliseconds from 2001 to 5138; a duration of that many would be over 30 years."""
_BARE_VALUE = re.compile(r"[^\s\"=]+")
_QUIET = ("aiohttp.access", "aiohttp.client", "asyncio")
"""Loggers that would write URLs, which contain phone numbers or secrets."""


def configure_logging(format: Literal["json", "text"], level: str) -> None:  # noqa: A002 - the setting's name
    """Send everything of `level` ("debug", "info", "warning", "error") and above to standard error.

    A second call replaces the first. Raises ValueError for a level that does not exist.
    """
    root = logging.getLogger()
    root.setLevel(level.upper())
    handler = _Handler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if format == "json" else _TextFormatter())
    for old in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class _Handler(logging.StreamHandler[Any]):
    """Handler that `configure_logging` adds and replaces; it leaves other handlers alone."""


class _JsonFormatter(logging.Formatter):
    """Formatter of `{"ts": …, "level": …, "logger": …, "event": …, fields…, "exception": …}`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": _timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _event(record),
        }
        for name, value in _fields(record):
            line[name if name not in line else f"{name}_"] = value
        return visible_json(json.dumps(line, ensure_ascii=False, allow_nan=False))


class _TextFormatter(logging.Formatter):
    """Formatter of `2026-03-01T10:20:00.060Z INFO queue_core.events message queued conversation=4f0c… took_ms=3.1`.

    A moment, such as `since_ms=1772360400060`, is written as `since=2026-03-01T10:20:00.060Z`.
    """

    def format(self, record: logging.LogRecord) -> str:
        parts = [_timestamp(record), record.levelname, record.name, _event(record)]
        parts += [f"{name}={_shown(value)}" for name, value in map(_with_moment, _fields(record))]
        return visible_json(" ".join(parts))


def _timestamp(record: logging.LogRecord) -> str:
    return _moment(record.created)


def _moment(unix_s: float) -> str:
    moment = datetime.fromtimestamp(unix_s, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _with_moment(field: tuple[str, Any]) -> tuple[str, Any]:
    """Return a field for people: Unix milliseconds become a date. A number too small for one is a duration."""
    name, value = field
    if name.endswith("_ms") and type(value) is int and value in _MOMENTS_MS:
        return name.removesuffix("_ms"), _moment(value / 1000)
    return field


def _event(record: logging.LogRecord) -> str:
    try:
        return _cut(record.getMessage())
    except Exception:  # noqa: BLE001 - a line with arguments that do not fit is still logged
        return _cut(str(record.msg))


def _fields(record: logging.LogRecord) -> list[tuple[str, Any]]:
    """Return the fields of `extra`, then exception and stack, as values that JSON can represent."""
    fields = [(str(name), _plain(value)) for name, value in vars(record).items() if name not in _STANDARD]
    if record.exc_info and record.exc_info[0]:
        text = "".join(traceback.format_exception(*record.exc_info)).rstrip()
        fields.append(("exception", _cut(text, keeps_end=True)))
    elif record.exc_text:
        fields.append(("exception", _cut(record.exc_text, keeps_end=True)))
    if record.stack_info:
        fields.append(("stack", _cut(record.stack_info, keeps_end=True)))
    return fields


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    try:
        return _cut(str(value))
    except Exception:  # noqa: BLE001 - a line with a value that cannot be shown is still logged
        return f"<{type(value).__name__}>"


def _cut(text: str, *, keeps_end: bool = False) -> str:
    if len(text) <= VALUE_LENGTH_MAX:
        return text
    if not keeps_end:
        return f"{text[:VALUE_LENGTH_MAX]}…"
    half = VALUE_LENGTH_MAX // 2
    return f"{text[:half]} … {text[-half:]}"


def _shown(value: Any) -> str:
    """Format a value for `key=value`, in quotes if it contains spaces, quotes or `=`."""
    if not isinstance(value, str):
        return json.dumps(value)
    return value if _BARE_VALUE.fullmatch(value) else json.dumps(value, ensure_ascii=False)
