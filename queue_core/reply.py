"""From an AI's raw answer to what the user reads: the text once, never the JSON, no reasoning, no leaked calls.

The bots that this is for tell their AI to answer with {"response", "needsDataCollection", "requestedFields"}. What
comes is plain text, that object, text before or after it, in a fence or not, with trailing commas, cut off in the
middle; and models that reason leave their reasoning in. Where there is a text in `response`, that is the reply,
whatever stands around the object.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from queue_core.message import well_formed

OBJECTS_TRIED_MAX = 64
"""Braces in an answer beyond so many are prose: it keeps the time linear in the answer's length."""
OBJECT_CHARACTERS_MAX = 200_000
"""A longer object is looked at no further, unless it is clean JSON."""
UNCLOSED_MAX = 8
"""After so many braces that are never closed, all further ones are prose."""
NESTED_MAX = 3
"""A `response` that is such an object itself is opened this often."""

_OWN_KEYS = ("response", "needsDataCollection", "requestedFields")
_TEXT_KEYS = ("response", "answer", "reply", "text", "message", "output", "content")
"""Where the text of an answer is that is one JSON object and nothing else."""
_FLAGS = re.compile(r"[\"'](?:needsDataCollection|requestedFields)[\"']")
_THINKING = r"\s{0,20}<summary>[^<]{0,200}thinking[^<]{0,200}</summary>"
_HIDDEN = (
    (re.compile(r"<think>", re.IGNORECASE), "</think>"),
    (re.compile(r"<thinking>", re.IGNORECASE), "</thinking>"),
    (re.compile(r"<reasoning>", re.IGNORECASE), "</reasoning>"),
    (re.compile(rf"<details[^>]{{0,200}}>{_THINKING}", re.IGNORECASE), "</details>"),
    (re.compile(r"<function[= ][^>]{0,200}>", re.IGNORECASE), "</function>"),
    (re.compile(r"<tool_call>", re.IGNORECASE), "</tool_call>"),
)
"""Where something begins that is not for the user, and where it ends. Without an end it goes on to the last word."""
_BARE_END = re.compile(r"</(?:think|thinking|reasoning)>", re.IGNORECASE)
"""Everything up to one of these is reasoning, where nothing begins it."""
_EMPTY_FENCE = re.compile(r"```[A-Za-z]*\s*```")
_FENCE_AT_START = re.compile(r"```[A-Za-z]*\s*")
_OBJECT_START = re.compile(r"\{(?=\s*[\"'}])")
_STRING_OR_TRAILING_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])', re.DOTALL)
_STRING_OR_BRACE = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\Z)|[{}]', re.DOTALL)
_CUT_RESPONSE = re.compile(r"[\"']response[\"']\s*:\s*\"((?:[^\"\\]|\\.)*)", re.DOTALL)
_decoder = json.JSONDecoder(strict=False)  # models write line breaks into strings


class ExtractedReply(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer holds."""

    text: str
    """For the user; "" when there is nothing to say."""
    needs_data_collection: bool = False
    """The AI wants to know something from the user."""
    requested_fields: tuple[str, ...] = ()
    """What it wants to know."""
    data: dict[str, Any] | None = None
    """The whole object, if there was one."""


class _Found(msgspec.Struct, frozen=True):
    """An object in an answer, or the beginning of one that was cut off."""

    start: int
    end: int
    value: dict[str, Any]


def extract(answer: str) -> ExtractedReply:
    """The reply in an answer. Never raises, whatever the answer is."""
    text = _without_reasoning(well_formed(answer))
    return _extract(text, NESTED_MAX)


def _extract(text: str, nested: int) -> ExtractedReply:
    found = list(_own_objects(text))
    around = _around(text, found)
    if not found:
        return ExtractedReply(text=_whole_object_text(text) if _is_object(text) else around)
    value = found[-1].value
    reply = _text_of(value.get("response"))
    if nested and "response" in reply and _is_object(reply):
        inner = _extract(reply, nested - 1)
        if inner.data is not None:
            return inner
    fields = _fields(value.get("requestedFields"))
    return ExtractedReply(
        text=_without_flags(reply.strip()) or around,
        needs_data_collection=_is_true(value.get("needsDataCollection")),
        requested_fields=fields,
        data=value,
    )


def _without_reasoning(text: str) -> str:
    for begin, end in _HIDDEN:
        text = _without(text, begin, end)
    ends = [end.end() for end in _BARE_END.finditer(text)]
    return text[ends[-1] :] if ends else text


def _without(text: str, begin: re.Pattern[str], end: str) -> str:
    """The text without everything from `begin` to the next `end`."""
    ending = re.compile(end, re.IGNORECASE)
    kept, at = [], 0
    while (found := begin.search(text, at)) is not None:
        kept.append(text[at : found.start()])
        closed = ending.search(text, found.end())
        at = closed.end() if closed else len(text)
    return "".join([*kept, text[at:]])


def _own_objects(text: str) -> Iterator[_Found]:
    """The objects that have one of our keys, in order, not those inside others."""
    at, unread = 0, 0
    for _ in range(OBJECTS_TRIED_MAX):
        start = _OBJECT_START.search(text, at)
        if start is None or unread == UNCLOSED_MAX:
            return
        found = _object_at(text, start.start())
        if found is None:
            at = start.start() + 1
            unread += 1
            continue
        if any(key in found.value for key in _OWN_KEYS):
            yield found
        at = max(found.end, start.start() + 1)


def _object_at(text: str, start: int) -> _Found | None:
    try:
        value, end = _decoder.raw_decode(text, start)
    except (ValueError, RecursionError):
        pass
    else:
        return _Found(start, end, value) if isinstance(value, dict) else None
    closed = _balanced_end(text, start)
    if closed is None:
        return _cut_off(text, start)
    lenient = _leniently(text[start:closed])
    return None if lenient is None else _Found(start, closed, lenient)


def _balanced_end(text: str, start: int) -> int | None:
    """Where the brace at `start` is closed, strings apart; None when it is not."""
    depth = 0
    for token in _STRING_OR_BRACE.finditer(text, start, min(len(text), start + OBJECT_CHARACTERS_MAX)):
        depth += {"{": 1, "}": -1}.get(token[0], 0)
        if depth == 0:
            return token.end()
    return None


def _leniently(text: str) -> dict[str, Any] | None:
    """An object with trailing commas, or written as Python would."""
    try:
        value = _decoder.decode(_STRING_OR_TRAILING_COMMA.sub(lambda match: match[1] or "", text))
    except (ValueError, RecursionError):
        try:
            value = ast.literal_eval(text) if len(text) < 20_000 else None
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            value = None
    return value if isinstance(value, dict) else None


def _cut_off(text: str, start: int) -> _Found | None:
    """An object of ours whose end is missing: its response as far as it goes."""
    rest = text[start:]
    if not re.match(r"\{\s*[\"'](?:response|needsDataCollection|requestedFields)[\"']", rest):
        return None
    response = _CUT_RESPONSE.search(rest)
    value: dict[str, Any] = {"response": _unescaped(response[1])} if response else {}
    value["needsDataCollection"] = bool(re.search(r"[\"']needsDataCollection[\"']\s*:\s*true", rest))
    return _Found(start, len(text), value)


def _unescaped(text: str) -> str:
    """The beginning of a JSON string without what is left of an escape at its end."""
    for cut in range(7):
        try:
            return str(_decoder.decode(f'"{text[: len(text) - cut]}"'))
        except ValueError:
            continue
    return text


def _around(text: str, found: list[_Found]) -> str:
    """What stands outside the objects."""
    parts, at = [], 0
    for one in found:
        parts.append(text[at : one.start].strip())
        at = one.end
    parts.append(text[at:].strip())
    outside = "\n".join(part for part in parts if part)
    if found:
        outside = _bare(_EMPTY_FENCE.sub("", outside))
    return _without_flags(outside.strip())


def _without_flags(text: str) -> str:
    """Whatever is left of an object of ours that could not be read is not for the user either."""
    flags = _FLAGS.search(text)
    if flags is None:
        return text
    brace = text.rfind("{", 0, flags.start())
    return text[: brace if brace >= 0 else flags.start()].strip()


def _bare(text: str) -> str:
    """The text without a fence around it, or what is left of one."""
    text = text.strip()
    if fence := _FENCE_AT_START.match(text):
        text = text[fence.end() :]
    return text.removesuffix("```").strip()


def _is_object(text: str) -> bool:
    bare = _bare(text)
    return bare.startswith("{") and bare.endswith("}")


def _whole_object_text(text: str) -> str:
    """The text of an answer that is one object without our keys."""
    bare = _bare(text)
    found = _object_at(bare, 0)
    if found is None or found.end != len(bare):
        return _without_flags(text.strip())
    return next((known for key in _TEXT_KEYS if (known := _text_of(found.value.get(key)).strip())), "")


def _text_of(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(part for item in value if (part := _text_of(item)))
    if isinstance(value, dict):
        return next((_text_of(value[key]) for key in _TEXT_KEYS if key in value), "")
    return "" if value is None or isinstance(value, bool) else str(value)


def _is_true(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.strip().lower() in ("true", "yes", "1"))


def _fields(value: Any) -> tuple[str, ...]:
    """Names from a list of names, a list of objects with a name, or a text with commas."""
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list):
        return ()
    names = []
    for item in value:
        name = item
        if isinstance(item, dict):
            name = next((item[key] for key in ("name", "field", "key", "label") if key in item), None)
        if isinstance(name, str) and name.strip():
            names.append(name.strip())
    return tuple(names)
