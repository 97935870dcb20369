"""Search for the text for the user in a JSON value of any shape: objects, lists, parts, bodies of APIs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from queue_core.ai.loose_json import DEPTH_MAX
from queue_core.ai.reply.keys import (
    CONTAINER_KEYS,
    FINAL_ACTIONS,
    HIDDEN_KEYS,
    HIDDEN_TYPES,
    LOOSE_TEXT_KEYS,
    META_KEYS,
    OUR_KEYS,
    STREAM_TYPES,
    TECHNICAL_KEYS,
    TEXT_KEYS,
    USER_ROLES,
    plain,
)

LAYERS_MAX = 3
"""Depth to which our keys are searched for in nested objects."""

_TEXT_RANKS = {key: rank for rank, key in enumerate(TEXT_KEYS)}
_CONTAINER_RANKS = {key: rank for rank, key in enumerate(CONTAINER_KEYS)}
_ROLE_KEYS = ("role", "type", "sender", "from")
_OUR_LENGTH = min(map(len, OUR_KEYS))
_SILENT_KEYS = HIDDEN_KEYS | META_KEYS | TECHNICAL_KEYS | OUR_KEYS.keys()
_ANSWER_KEYS = HIDDEN_KEYS | META_KEYS | OUR_KEYS.keys() | set(TEXT_KEYS)
_NUMBER = re.compile(r"[\s_-]?\d{1,3}\Z")
_NOT_NUMBERS = (float("inf"), float("-inf"))
_INPUTS_OF_NAMES = {
    "action": ("actioninput", "input"),
    "tool": ("toolinput", "input", "args", "arguments", "parameters"),
    "name": ("arguments", "args", "parameters"),
    "toolname": ("parameters", "arguments", "args", "toolinput"),
    "function": ("arguments", "parameters", "args"),
    "recipientname": ("parameters",),
}
"""Keys that name an action or a function, each with the keys of its input."""
_CALL_KEYS = ("toolcalls", "functioncall", "toolcode", "tooluses", "tooluse", "function")
_FAILURE_KEYS = frozenset(
    (
        *("error", "errors", "exception", "traceback", "stacktrace", "errormessage"),
        *("statuscode", "status", "code", "success", "ok"),
    )
)
_FAILURES = frozenset(("error", "failed", "failure", "fail", "exception"))
_NOT_WORDS = re.compile(r"(?![^\W\d_]+[.!?…؟。]?\Z)\S+|[\d\s:T.,+Z/-]+")
"""String that is not words: an address, an id, a path, a time."""


def text_of(value: Any, depth: int = DEPTH_MAX) -> str:
    """Return the text for the user; "" if there is none."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        parts = (text_of(item, depth - 1) for item in _last_turn(value)) if depth else iter(())
        return joined(parts)
    if isinstance(value, dict):
        return _text_of_object(value, depth) if depth else ""
    return "" if value is None or isinstance(value, bool) or value in _NOT_NUMBERS else str(value)


def joined(parts: Iterable[str]) -> str:
    """Join texts, each on its own line; a text with a space at its border is joined without a line break."""
    text = ""
    pieces: list[str] = []
    for part in parts:
        if not part.strip():
            continue
        if pieces and not (text[-1:].isspace() or part[0].isspace()):
            pieces.append("\n")
        pieces.append(part)
        text = part
    return "".join(pieces)


def _last_turn(items: list[Any]) -> list[Any]:
    """Return the items after the last message of the user, if this is a list of messages with roles."""
    kept = items
    for index in range(len(items) - 1, -1, -1):
        if _role(items[index]) in USER_ROLES:
            kept = items[index + 1 :]
            break
    return kept


def _role(item: Any) -> str:
    if not isinstance(item, dict) or item.keys().isdisjoint(_ROLE_KEYS):
        return ""
    return next((plain(item[key]) for key in _ROLE_KEYS if isinstance(item.get(key), str)), "")


def _text_of_object(value: dict[str, Any], depth: int) -> str:
    if not value:
        return ""
    fields = {plain(key): item for key, item in value.items()}
    action = action_of(fields)
    if fields.get("thought") is True or _role(value) in HIDDEN_TYPES or _hands_back(fields):
        return ""
    if fields.get("response") is not None:  # even "", which says that there is nothing to say
        return text_of(fields["response"], depth - 1)
    if action is not None:
        return text_of(action[1], depth - 1) if action[0] in FINAL_ACTIONS else ""
    is_error = is_failure(fields)
    keys = [key for key in _in_order(fields, _TEXT_RANKS) if not (is_error and key in LOOSE_TEXT_KEYS)]
    text = _first_text(fields, keys, depth)
    return text if text or is_error or is_call(fields) else _text_inside(fields, value, depth)


def _text_inside(fields: dict[str, Any], value: dict[str, Any], depth: int) -> str:
    """Return the text of an object without a text key: that of an object inside it, or else its only text."""
    choices = fields.get("choices")
    if isinstance(choices, list):
        fields["choices"] = choices[:1]
    return _first_text(fields, _in_order(fields, _CONTAINER_RANKS), depth) or _only_text(value, depth)


def _in_order(fields: dict[str, Any], ranks: dict[str, int]) -> list[str]:
    """Return the keys of an object that have a rank, in the order of the ranks."""
    return sorted(fields.keys() & ranks.keys(), key=ranks.__getitem__)


def _first_text(fields: dict[str, Any], keys: Iterable[str], depth: int) -> str:
    return next((text for key in keys if (text := text_of(fields.get(key), depth - 1)).strip()), "")


def action_of(fields: dict[str, Any]) -> tuple[str, Any] | None:
    """Return name and input of a ReAct agent's action or of a function call; None for any other object."""
    if fields.keys().isdisjoint(_INPUTS_OF_NAMES):
        return None
    for name_key, input_keys in _INPUTS_OF_NAMES.items():
        name = fields.get(name_key)
        key = next((key for key in input_keys if key in fields), None)
        if isinstance(name, str) and key is not None:
            return plain(name), fields[key]
    return None


def is_call(fields: dict[str, Any]) -> bool:
    """Return True for an object that only calls a tool. `fields` has its keys in their plain form."""
    if fields.keys().isdisjoint(_CALL_KEYS):
        return False
    if any(fields.get(key) for key in _CALL_KEYS if key != "function"):
        return True
    function = fields.get("function")
    return isinstance(function, dict) and "name" in function


def _hands_back(fields: dict[str, Any]) -> bool:
    """Return True for the message of a LangGraph agent that only hands the conversation back to its supervisor."""
    calls = fields.get("toolcalls")
    return isinstance(calls, list) and any(
        isinstance(call, dict) and str(call.get("name")).startswith("transfer_back_to_") for call in calls[:9]
    )


def is_failure(fields: dict[str, Any]) -> bool:
    """Return True for the body of an error. `fields` has its keys in their plain form."""
    if fields.keys().isdisjoint(_FAILURE_KEYS):
        return False
    if any(
        fields.get(key) for key in ("error", "errors", "exception", "traceback", "stacktrace", "errormessage")
    ):
        return True
    if any(
        isinstance(code := fields.get(key), int) and code >= 400 for key in ("statuscode", "status", "code")
    ):
        return True
    return (
        plain(fields.get("status")) in _FAILURES
        or fields.get("success") is False
        or fields.get("ok") is False
    )


def _only_text(value: dict[str, Any], depth: int) -> str:
    """Return the text of an object with unknown keys: the value of its only key, or its only sentence."""
    kept = {key: item for key, item in value.items() if plain(key) not in _SILENT_KEYS}
    if len(kept) > 1 and len({_NUMBER.sub("", key) for key in kept}) == 1:  # text_1, text_2, …
        return joined(item for item in kept.values() if isinstance(item, str))
    items = list(kept.values())
    texts = items[0] if len(items) == 1 and isinstance(items[0], list) else items
    if len(items) == 1 and (
        text := joined(item for item in texts if isinstance(item, str) and any(_strings(item, 1)))
    ):
        return text
    sentences = []
    for text in _strings(value, depth):
        if len(text.split()) > 1:
            sentences.append(text)
        if len(sentences) > 1:
            return ""
    return sentences[0] if sentences else ""


def _strings(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        if value.strip() and not _NOT_WORDS.fullmatch(value.strip()[:200]):
            yield value
    elif isinstance(value, list):
        for item in value if depth else ():
            yield from _strings(item, depth - 1)
    elif isinstance(value, dict) and depth:
        keys = [plain(key) for key in value]
        if not is_call(dict(zip(keys, value.values(), strict=True))):
            for key, item in zip(keys, value.values(), strict=True):
                if key not in _SILENT_KEYS:
                    yield from _strings(item, depth - 1)


def is_piece(value: Any) -> bool:
    """Return True for a piece of a text from a stream, which has a piece on each line: n8n, Ollama, OpenAI."""
    if not isinstance(value, dict):
        return False
    is_chunk = isinstance(value.get("done"), bool) or plain(value.get("object")).endswith("chunk")
    return is_chunk or any(plain(value.get(key)) in STREAM_TYPES for key in ("type", "event"))


def layers(value: Any, depth: int = LAYERS_MAX) -> Iterator[dict[str, Any]]:
    """Yield the entries with our keys: those of the object, then those of each object inside it."""
    if not isinstance(value, dict):
        return
    ours = {
        known: item
        for key, item in value.items()
        if len(key) >= _OUR_LENGTH and (known := OUR_KEYS.get(plain(key)))
    }
    if ours:
        yield ours
    for item in value.values() if depth else ():
        yield from layers(item, depth - 1)


def is_answer_only(value: dict[str, Any]) -> bool:
    """Return True if the object has a text key, and otherwise only keys that answers have."""
    keys = {plain(key) for key in value}
    if keys.isdisjoint(TEXT_KEYS) or not keys <= _ANSWER_KEYS:
        return False
    return all(_is_text(item) for key, item in value.items() if plain(key) in TEXT_KEYS)


def _is_text(value: Any, depth: int = LAYERS_MAX) -> bool:
    """Return True for a value that a text key may have in an answer: a text, texts, or objects with only a text."""
    if isinstance(value, list):
        return depth > 0 and all(_is_text(item, depth - 1) for item in value)
    return is_answer_only(value) if isinstance(value, dict) else True
