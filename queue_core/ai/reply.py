"""Extraction of the reply from an AI's raw answer: the text once, without JSON, reasoning or leaked calls.

Bots tell their AI to answer with {"response", "needsDataCollection", "requestedFields"}. The answer is then plain text,
or that object, with text before or after it, in a fence or not, with trailing commas, or cut off in the middle; and
models that reason leave their reasoning in. A text in `response` is the reply, whatever stands around the object.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from queue_core.ai.loose_json import LooseObject, read_object, read_string
from queue_core.message import well_formed

OBJECTS_TRIED_MAX = 64
"""Number of braces that are tried as objects. Later ones are tried only before a key of ours, to keep time linear."""
UNREAD_MAX = 8
"""Similar limit on braces that turn out to be prose. After twice either limit, no further brace is tried."""
NESTED_MAX = 3
"""Depth to which objects inside objects are read, as when a `response` holds such an object again."""

_OUR_KEYS = {
    "response": "response",
    "needsdatacollection": "needsDataCollection",
    "requestedfields": "requestedFields",
}
"""Our keys, by their spelling without case and `_`."""
_TEXT_KEYS = ("response", "answer", "reply", "text", "message", "output", "content")
"""Keys that may hold the text of an answer that is one JSON object and nothing else."""
_FLAG = r"(?:needs_?data_?collection|requested_?fields)"
_LEFTOVER = re.compile(
    rf"\\{{0,8}}[\"'“]{_FLAG}|{_FLAG}\\{{0,8}}[\"'”]|{_FLAG}\s{{0,100}}:"
    r"|\{\s{0,100}\\{0,8}[\"'“]response\\{0,8}[\"'”]\s{0,100}:",
    re.IGNORECASE,
)
"""One of our keys outside every object that could be read."""
_BEFORE_LEFTOVER = re.compile(r"(?:[\"'”]\s{0,100},\s{0,100}[\"'“]?)?\Z")
_THINKING = r"\s{0,20}<summary>[^<]{0,200}thinking[^<]{0,200}</summary>"
_HIDDEN = tuple(
    (re.compile(begin, re.IGNORECASE), re.compile(end, re.IGNORECASE))
    for begin, end in (
        (r"<think(?:\s[^<>]{0,100})?>", r"</think\s{0,9}>"),
        (r"<thinking(?:\s[^<>]{0,100})?>", r"</thinking\s{0,9}>"),
        (r"<reasoning(?:\s[^<>]{0,100})?>", r"</reasoning\s{0,9}>"),
        (rf"<details[^>]{{0,200}}>{_THINKING}", r"</details>"),
        (r"<function(?:=|/|\s{1,9}name\s{0,9}=)", r"</function>"),
        (r"<(?:tool|function)_calls?(?:\s[^<>]{0,200})?>", r"</(?:tool|function)_calls?>"),
        (r"<\|(?:python_tag|tool_call)\|>|\[TOOL_CALLS\]", r"<\|(?:eom_id|eot_id|/tool_call)\|>"),
    )
)
"""Beginnings and ends of parts that are not for the user. A part without an end reaches to the end of the text."""
_BARE_END = re.compile(r"</(?:think|thinking|reasoning)\s{0,9}>", re.IGNORECASE)
"""End of reasoning whose beginning is missing: everything before it is reasoning."""
_RESPONSE = re.compile(r"[\"'“]response[\"'”]\s{0,100}:", re.IGNORECASE)
_EMPTY_FENCE = re.compile(r"```[A-Za-z]{0,20}\s*+```")
_FENCE_AT_START = re.compile(r"```[A-Za-z]{0,20}\s*+")
_FENCE_AT_END = re.compile(r"```[A-Za-z]{0,20}\Z")
_OUR_START = re.compile(
    rf"\{{(?=\s{{0,100}}(?:\Z|[\"'“]?(?:response|{_FLAG})[\"'”]?\s{{0,100}}:))", re.IGNORECASE
)
_OBJECT_START = re.compile(rf"\{{(?=\s{{0,100}}[\"'“])|{_OUR_START.pattern}", re.IGNORECASE)
_IS_OBJECT = re.compile(r"\{\s{0,100}(?:[\"'“]|\})")


class ExtractedReply(msgspec.Struct, frozen=True, kw_only=True):
    """A reply, and what else the AI said in its object."""

    text: str
    """Text for the user; "" when there is nothing to say."""
    needs_data_collection: bool = False
    """True when the AI wants to know something from the user."""
    requested_fields: tuple[str, ...] = ()
    """Names of the fields that the AI wants to know."""
    data: dict[str, Any] | None = None
    """The AI's object. Of an object that is cut off, its beginning, if that holds the response."""


def extract(answer: str) -> ExtractedReply:
    """Finds the reply in an answer. Never raises."""
    return _extract(well_formed(answer), NESTED_MAX)


def _extract(text: str, nested: int) -> ExtractedReply:
    text = text.strip().lstrip("\ufeff")
    if nested and (inner := _escaped_object(text)):
        return _extract(inner, nested - 1)
    if not _is_whole_object(text):
        text = _without_reasoning(text)
    answers = list(_objects_of_ours(text))
    around = _around(text, answers)
    if not answers:
        key = _RESPONSE.search(text) if nested else None
        if key is not None and "{" not in text[: key.start()]:  # the object's brace is missing
            return _extract(f"{text[: key.start()]}{{{text[key.start() :]}", nested - 1)
        whole = _whole_object_text(text)
        return ExtractedReply(text=around if whole is None else _for_user(whole))
    objects = [(answer.value, list(_layers(answer.value))) for answer in reversed(answers)]
    reply = next((response for value, layers in objects if (response := _response_text(value, layers))), "")
    if nested and "response" in reply and _is_object(reply):
        inner_reply = _extract(reply, nested - 1)
        if inner_reply.data is not None:
            return inner_reply
    shown = _for_user(reply) or around
    layers = [layer for _, object_layers in objects for layer in object_layers]
    return ExtractedReply(
        text=shown,
        needs_data_collection=_is_true(_first(layers, "needsDataCollection")),
        requested_fields=_fields(_first(layers, "requestedFields")),
        data=answers[-1].value if reply or answers[-1].is_whole else None,
    )


def _escaped_object(text: str) -> str | None:
    """Decodes an object that was written as a JSON string, with the outer quotes or without; None if it was not."""
    if not text.startswith(('"{', '"\\n{', '{\\"', "{\\n")):
        return None
    inner = read_string(text if text.startswith('"') else f'"{text}"')
    return inner if inner is not None and _is_object(inner) else None


def _is_whole_object(text: str) -> bool:
    """Returns True if the text is one whole object: tags then stand inside its strings only."""
    bare = _bare(text)
    candidate = read_object(bare, 0) if _IS_OBJECT.match(bare) else None
    return candidate is not None and candidate.is_whole and candidate.end == len(bare)


def _for_user(reply: str) -> str:
    return _without_leftovers(_without_reasoning(reply).strip())


def _without_reasoning(text: str) -> str:
    kept = text
    for begin, end in _HIDDEN:
        kept = _without(kept, begin, end)
    ends = [end.end() for end in _BARE_END.finditer(kept)]
    if ends:
        kept = kept[ends[-1] :]
    return text if kept == text else _EMPTY_FENCE.sub("", kept)


def _without(text: str, begin: re.Pattern[str], end: re.Pattern[str]) -> str:
    """Removes everything from `begin` to the next `end`."""
    kept, at = [], 0
    while (opened := begin.search(text, at)) is not None:
        kept.append(text[at : opened.start()])
        closed = end.search(text, opened.end())
        at = closed.end() if closed else len(text)
    return "".join([*kept, text[at:]])


def _objects_of_ours(text: str) -> Iterator[LooseObject]:
    """Yields the objects that have one of our keys, in order, without those inside others."""
    at = unread = tried = 0
    while unread < 2 * UNREAD_MAX and tried < 2 * OBJECTS_TRIED_MAX:
        is_picky = unread >= UNREAD_MAX or tried >= OBJECTS_TRIED_MAX
        start = (_OUR_START if is_picky else _OBJECT_START).search(text, at)
        if start is None:
            return
        tried += 1
        candidate = read_object(text, start.start())
        if candidate is not None and _is_ours(candidate):
            yield candidate
            at = candidate.end
        elif candidate is not None and candidate.is_clean:
            at = candidate.end
        else:
            at = start.end()
            unread += 1


def _is_ours(candidate: LooseObject) -> bool:
    if any(_layers(candidate.value)):
        return True
    if candidate.is_whole or (candidate.value and not candidate.cut_key):
        return False
    return any(key.startswith(_normalized(candidate.cut_key)) for key in _OUR_KEYS)


def _layers(value: dict[str, Any], depth: int = NESTED_MAX) -> Iterator[dict[str, Any]]:
    """Yields the entries with our keys: those of the object, then those of each object inside it."""
    ours = {known: item for key, item in value.items() if (known := _OUR_KEYS.get(_normalized(key)))}
    if ours:
        yield ours
    for item in value.values() if depth else ():
        if isinstance(item, dict):
            yield from _layers(item, depth - 1)


def _response_text(value: dict[str, Any], layers: list[dict[str, Any]]) -> str:
    """Returns the text of an object of ours; some models use another key than `response`."""
    knows_response = any("response" in layer for layer in layers)
    return _text_of(_first(layers, "response") if knows_response else value).strip()


def _first(layers: list[dict[str, Any]], name: str) -> Any:
    return next((layer[name] for layer in layers if name in layer), None)


def _normalized(key: str) -> str:
    return key.replace("_", "").replace("-", "").casefold()


def _around(text: str, objects: list[LooseObject]) -> str:
    """Returns the text outside the objects."""
    parts, at = [], 0
    for item in objects:
        parts.append(text[at : item.start].strip())
        at = item.end if item.is_whole else len(text)  # the text after a broken object is more of it
    parts.append(text[at:].strip())
    outside = "\n".join(part for part in parts if part)
    if objects:
        outside = _bare(_EMPTY_FENCE.sub("", outside))
    return _without_open_fence(_without_leftovers(outside))


def _without_leftovers(text: str) -> str:
    """Removes the rest of an object of ours that could not be read."""
    key = _LEFTOVER.search(text)
    if key is None:
        return text
    brace = text.rfind("{", 0, key.start())
    is_inside = brace >= 0 and "}" not in text[brace : key.start()]
    return _BEFORE_LEFTOVER.sub("", text[: brace if is_inside else key.start()].rstrip(), count=1).strip()


def _without_open_fence(text: str) -> str:
    """Removes an empty fence at the end."""
    return _FENCE_AT_END.sub("", text).strip() if text.count("```") % 2 else text


def _bare(text: str) -> str:
    """Removes a fence around the text, or half of one."""
    text = text.strip()
    if fence := _FENCE_AT_START.match(text):
        text = text[fence.end() :]
    return text.removesuffix("```").strip()


def _is_object(text: str) -> bool:
    bare = _bare(text)
    return bare.startswith("{") and bare.endswith("}")


def _whole_object_text(text: str) -> str | None:
    """Returns the text of an answer that is one object without our keys; None if it is something else."""
    bare = _bare(text)
    whole = read_object(bare, 0) if _IS_OBJECT.match(bare) else None
    if whole is None or whole.end != len(bare):
        return None
    return next((part for key in _TEXT_KEYS if (part := _text_of(whole.value.get(key)).strip())), "")


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
    """Reads names from a list of names, a list of objects with a name, or a text with commas."""
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
