"""Bodies of webhooks in logs: after a time on the line, in wrappers of loggers, as JSON over many lines."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from queue_core.channels.values import mapping
from sim.importers.base import Context, Omission
from sim.importers.json_values import values_in
from sim.importers.sources import Source, text_of
from sim.importers.times import Moment, moment_in, moment_of

DEPTH_MAX = 5
"""Limit on wrappers around a body."""
JOINED_CHARACTERS_MAX = 16 * 1024**2
JOINED_LINES_MAX = 50_000
"""Limits on a body of several lines."""

PYTHON_CHARACTERS_MAX = 64 * 1024
"""Limit on an object as Python prints it."""

_TIME_KEYS = (
    *("time", "timestamp", "ts", "@timestamp", "date", "datetime", "at", "received_at", "receivedAt"),
    *("createdAt", "created_at", "logged_at", "startedAt"),
)
_BODY_KEYS = ("body", "payload", "webhook", "json", "data", "message", "msg", "log", "event", "request")
_TRIES_MAX = 4
"""Limit on braces in a line that are tried as the beginning of JSON."""
_DECODER = json.JSONDecoder()
_BRACES = re.compile(r"[{\[]")
_LINE_TIME = re.compile(r"^\s*\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\s")


class Body(NamedTuple):
    """Body of a webhook, with the time at which it was logged, if it was."""

    body: Mapping[str, Any]
    place: int
    logged: Moment | None


def bodies_of(source: Source, context: Context) -> Iterator[Body | Omission]:
    """Yield the bodies in a file, and an Omission for everything else."""
    if _is_json(source.sample().data.lstrip()):
        for place, value in values_in(source):
            if isinstance(value, Omission):
                yield value
            else:
                yield from _of_value(value, place, None)
    else:
        yield from _Lines(context).bodies(source)


def _is_json(start: bytes) -> bool:
    """Return True for a file of arrays, or of JSON over several lines."""
    if start.startswith(b"["):
        return start[1:].lstrip()[:1] in (b"{", b"[", b"]")
    return start.startswith(b"{") and start.partition(b"\n")[0].strip() == b"{"


def _of_value(value: Any, place: int, logged: Moment | None) -> Iterator[Body | Omission]:
    is_empty = True
    for body in bodies_in(value, place, logged):
        is_empty = False
        yield body
    if is_empty:
        yield Omission("no webhook in it", place)


def bodies_in(value: Any, place: int, logged: Moment | None, depth: int = 0) -> Iterator[Body]:
    """Yield the bodies in a value: the value itself, those of a list, or the first ones in wrappers."""
    if depth > DEPTH_MAX:
        return
    if isinstance(value, list):
        for item in value:
            yield from bodies_in(item, place, logged, depth + 1)
    elif isinstance(value, str):
        start = value.find("{")
        if start >= 0:
            moment = moment_in(value[:start]) or logged
            yield from bodies_in(_decoded(value[start:]), place, moment, depth + 1)
    elif isinstance(value, dict):
        if body := webhook_of(value):
            yield Body(body, place, logged)
        else:
            yield from _wrapped_in(value, place, logged, depth)


def _wrapped_in(wrapper: dict[str, Any], place: int, logged: Moment | None, depth: int) -> Iterator[Body]:
    """Yield the bodies under the first of the keys that loggers use, since some loggers write a body twice.

    Without such a key, yields the bodies under all keys.
    """
    times = (moment_of(wrapper[key]) for key in _TIME_KEYS if key in wrapper)
    logged = next((moment for moment in times if moment), logged)
    for key in _BODY_KEYS:
        if isinstance(wrapper.get(key), dict | list | str):
            bodies = list(bodies_in(wrapper[key], place, logged, depth + 1))
            if bodies:
                yield from bodies
                return
    for key, value in wrapper.items():
        if key not in _BODY_KEYS:
            yield from bodies_in(value, place, logged, depth + 1)


def webhook_of(value: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the body if a value is a body, or a part of a body that is sometimes logged alone; else None."""
    if "event" in value and isinstance(value["event"], str):
        is_evolution = "data" in value and (
            "instance" in value or "instanceName" in value or "instanceId" in value
        )
        if is_evolution or ("payload" in value and "session" in value):
            return value
    if isinstance(value.get("entry"), list):
        return value
    return _part_of_webhook(value)


def is_webhook(line: bytes) -> bool:
    """Return True for a line that is only a webhook in JSON."""
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(value, dict) and webhook_of(value) is not None


def _part_of_webhook(value: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if value.get("messaging_product") == "whatsapp" and isinstance(value.get("metadata"), dict):
        return {"entry": [{"changes": [{"field": "messages", "value": value}]}]}
    if isinstance(value.get("value"), dict) and isinstance(value.get("field"), str):
        return {"entry": [{"changes": [value]}]}
    if "remoteJid" in mapping(value.get("key")) and "message" in value:
        return {"event": "messages.upsert", "data": value}
    if "Chat" in mapping(value.get("Info")) and "Message" in value:
        return {"event": "Message", "instanceName": "", "data": value}
    return None


def _decoded(text: str) -> Any:
    try:
        return _DECODER.raw_decode(text.lstrip())[0]
    except (ValueError, RecursionError):
        return None


def _python_value(text: str) -> Any:
    """Read an object as Python prints it, with single quotes; returns None if there is none."""
    start, end = text.find("{'"), text.rfind("}")
    if not 0 <= start < end <= start + PYTHON_CHARACTERS_MAX:
        return None
    try:
        return ast.literal_eval(text[start : end + 1])
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


class _Lines:
    """Reader of lines, which have a body each, or begin a body that continues on the next lines."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._open: list[str] = []
        self._open_characters = 0
        self._open_place = 0
        self._open_logged: Moment | None = None

    def bodies(self, source: Source) -> Iterator[Body | Omission]:
        """Yield the bodies in the lines of a file."""
        for number, line in source.lines():
            if line is None:
                yield Omission("a line that is too long", number)
            elif line.startswith(b"{") and (value := self._whole(line)) is not None:
                yield from self._end()
                if isinstance(value, dict) and (body := webhook_of(value)):
                    yield Body(body, number, None)
                else:
                    yield from _of_value(value, number, None)
            elif self._open:
                yield from self._go_on(number, line)
            elif line.strip():
                yield from self._in_log(number, line)
        yield from self._end()

    def _whole(self, line: bytes) -> Any:
        """Decode a line that is JSON; returns None if it is not."""
        try:
            return msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def _in_log(self, number: int, line: bytes) -> Iterator[Body | Omission]:
        """Yield the bodies in a line that has other text before or after its JSON."""
        text = text_of(line, self._context)
        for brace in list(_BRACES.finditer(text))[:_TRIES_MAX]:
            try:
                value = _DECODER.raw_decode(text, brace.start())[0]
            except (ValueError, RecursionError):
                continue
            if bodies := list(bodies_in(value, number, moment_in(text[: brace.start()]))):
                yield from bodies
                return
        if bodies := list(bodies_in(_python_value(text), number, moment_in(text[: text.find("{")]))):
            yield from bodies
            return
        stripped = text.rstrip()
        if stripped.endswith(("{", "[", ",")) and (brace_at := stripped.find("{")) >= 0:
            self._open, self._open_characters = [text[brace_at:]], len(text)
            self._open_place, self._open_logged = number, moment_in(text[:brace_at])
            return
        is_cut = stripped.lstrip().startswith("{") or ('"event"' in stripped or '"entry"' in stripped)
        yield Omission(
            "the line ends in the middle of a webhook" if is_cut else "no webhook in the line", number
        )

    def _go_on(self, number: int, line: bytes) -> Iterator[Body | Omission]:
        """Add a line to the open body, and end the body if it is whole, or cannot become whole."""
        text = _LINE_TIME.sub("", text_of(line, self._context), count=1)
        self._open.append(text)
        self._open_characters += len(text)
        is_end = text.startswith(("}", "]"))
        value = _decoded("".join(self._open)) if text.lstrip().startswith(("}", "]")) else None
        if value is not None:
            self._open = []
            yield from _of_value(value, self._open_place, self._open_logged)
        elif is_end or self._open_characters > JOINED_CHARACTERS_MAX or len(self._open) > JOINED_LINES_MAX:
            self._open = []
            reason = "no webhook in it" if is_end else "a webhook that is too long"
            yield Omission(reason, self._open_place)

    def _end(self) -> Iterator[Omission]:
        if self._open:
            self._open = []
            yield Omission("a webhook without its end", self._open_place)
