"""Answers that are only JSON, fenced or not, escaped or not, with one value or several."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from queue_core.ai.loose_json import Effort, read_string, read_value

STRINGS_MAX = 8
"""Limit on how often a text is decoded as a JSON string."""
VALUES_MAX = 500
"""Limit on JSON values that are read one after the other."""

_VALUE_START = re.compile(
    r"\{\s{0,100}(?:(?://[^\n]{0,200}\n|/\*[^*]{0,200}\*/)\s{0,100})?[\"'“}]|\[\s{0,100}[\"'“{\[]"
)
_BETWEEN = re.compile(r"[\s,;]*+")
_FENCE_AT_START = re.compile(r"```([A-Za-z0-9_-]{0,20})\s*+")
_LABELS = ("", "json", "jsonc", "json5", "jsonl", "ndjson", "text", "txt", "plaintext", "markdown")
"""Labels of fences around answers; JSON in another fence is code."""


def bare(text: str) -> str:
    """Remove a fence around the text, or half of one, and the marks of a code span around JSON."""
    text = text.strip()
    if text.startswith(("`{", "`[")) and text.endswith(("}`", "]`")):
        return text[1:-1].strip()
    if fence := _FENCE_AT_START.match(text):
        text = text[fence.end() :]
    return text.removesuffix("```").strip()


class Whole(NamedTuple):
    """Values of an answer that is only JSON."""

    values: list[Any]
    is_cut: bool
    """True if the last value is cut off."""


def read_whole(text: str) -> Whole | None:
    """Read a text that is only JSON, or its beginning; returns None for any other text."""
    fence = _FENCE_AT_START.match(text)
    if fence and fence[1].lower() not in _LABELS:
        return None
    text = _decoded(bare(text))
    values: list[Any] = []
    effort = Effort(text)
    is_cut = False
    at = 0
    while at < len(text):
        value = (
            read_value(text, at, effort)
            if _VALUE_START.match(text, at) and len(values) < VALUES_MAX
            else None
        )
        if value is None or (not value.is_whole and value.end < len(text)):
            return None
        values.append(value.value)
        is_cut = not value.is_whole
        after = _BETWEEN.match(text, value.end)
        at = after.end() if after else value.end
    return Whole(values, is_cut) if any(_has_words(value) for value in values) else None


def _decoded(text: str) -> str:
    """Decode an object or a text that was written as a JSON string, also repeatedly; quotes around a text stay."""
    for _ in range(STRINGS_MAX):
        if not text.startswith(('"{', '"[', '"\\', '{\\"', "{\\n", '[\\"', "[\\n", '"```', '[{\\"', '"<')):
            break
        inner = read_string(text if text.startswith('"') else f'"{text}"')
        if inner is None:
            break
        text = bare(inner)
    return text


def _has_words(value: Any) -> bool:
    """Return True for a value with words; False for a list of numbers, which is text as it stands."""
    if isinstance(value, list):
        return any(isinstance(item, dict | str | list) and _has_words(item) for item in value)
    return isinstance(value, dict) or bool(value)
