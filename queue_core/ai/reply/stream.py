"""Text in a stream of events that arrived as one answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from queue_core.ai.reply.json_text import is_failure, text_of
from queue_core.ai.reply.keys import plain

EVENTS_MAX = 6_000
"""Limit on events; a longer stream is not an answer to a message."""
LINES_MAX = 4 * EVENTS_MAX

_EVENT = re.compile(r"\r?\n\r?\n")
_FIELD = re.compile(r"(event|data):[ ]?(.*)")


class _Row(NamedTuple):
    """Shape of an event: a key and its value, by which it is recognised, and the path to its text.

    The key "sse" stands for the name in the line `event:`.
    """

    key: str
    value: str
    path: tuple[str | int, ...]


_PIECES = (
    _Row("", "", ("choices", 0, "delta", "content")),  # OpenAI, and all that are compatible
    _Row("", "", ("choices", 0, "text")),
    _Row("", "", ("candidates", 0, "content", "parts")),  # Gemini
    _Row("type", "response.output_text.delta", ("delta",)),  # OpenAI's Responses
    _Row("type", "content_block_delta", ("delta", "text")),  # Anthropic
    _Row("type", "content-delta", ("delta", "message", "content", "text")),  # Cohere
    _Row("type", "text-delta", ("delta",)),  # the AI SDK of Vercel
    _Row("type", "text-delta", ("textDelta",)),
    _Row("type", "item", ("content",)),  # n8n
    _Row("event", "message", ("answer",)),  # Dify
    _Row("event", "agent_message", ("answer",)),
    _Row("event", "text_chunk", ("data", "text")),
    _Row("event", "token", ("data",)),  # Flowise
)
_WHOLES = (
    _Row("event", "message_replace", ("answer",)),  # Dify
    _Row("event", "workflow_finished", ("data", "outputs")),
    _Row("sse", "values", ()),  # LangGraph
    _Row("sse", "messages/partial", (-1,)),
    _Row("sse", "messages/complete", (-1,)),
)
"""Events with a whole text. The last of them counts if there are no pieces; `message_replace` drops those before it."""


def text_of_stream(stream: str) -> str | None:
    """Return the text of a stream of events; None if its events are unknown, "" if one of them is an error."""
    blocks = _EVENT.split(stream, EVENTS_MAX)
    if len(blocks) > EVENTS_MAX or stream.count("\n") > LINES_MAX:
        return None
    pieces: list[str] = []
    whole = ""
    for name, value in _events(blocks):
        if name == "error" or (isinstance(value, dict) and _is_error(value)):
            return ""
        if isinstance(value, str) and name in ("", "data", "message"):  # LangServe
            pieces.append(value)
        pieces += [piece for piece in (_found(_PIECES, name, value),) if piece]
        if replaced := _found(_WHOLES, name, value):
            whole = replaced
            is_correction = isinstance(value, dict) and value.get("event") == "message_replace"
            pieces = [] if is_correction else pieces
    return "".join(pieces) or whole or None


def _events(blocks: list[str]) -> Iterator[tuple[str, Any]]:
    """Yield the name of each event, and the value of its data; data that is not JSON is left out."""
    for block in blocks:
        fields = [field for line in block.splitlines() if (field := _FIELD.fullmatch(line))]
        name = next((field[2].strip() for field in fields if field[1] == "event"), "")
        try:
            yield name, msgspec.json.decode("\n".join(field[2] for field in fields if field[1] == "data"))
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            continue


def _is_error(value: dict[str, Any]) -> bool:
    return (
        value.get("event") == "error"
        or value.get("type") == "error"
        or is_failure({plain(key): item for key, item in value.items()})
    )


def _found(rows: tuple[_Row, ...], name: str, value: Any) -> str:
    for row in rows:
        actual = name if row.key == "sse" else value.get(row.key) if isinstance(value, dict) else None
        if row.key and actual != row.value:
            continue
        if text := _text_at(value, row.path):
            return text
    return ""


def _text_at(value: Any, path: tuple[str | int, ...]) -> str:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return ""
    if isinstance(value, list):
        return "".join(text_of(item) for item in value)
    return text_of(value)
