"""From an AI's raw answer to what the user reads: the text once, never the JSON, no reasoning, no leaked calls.

The bots that this is for tell their AI to answer with {"response", "needsDataCollection", "requestedFields"}. What
comes is plain text, that object, text before or after it, in a fence or not, with trailing commas, cut off in the
middle; and models that reason leave their reasoning in. Where there is a text in `response`, that is the reply,
whatever stands around the object.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from queue_core.ai.loose_json import LooseObject, read_object, read_string
from queue_core.message import well_formed

OBJECTS_TRIED_MAX = 64
"""After so many braces only what begins with one of our keys is looked at: it keeps the time linear."""
UNREAD_MAX = 8
"""The same after so many braces that were prose; after twice as many, all further ones are prose."""
NESTED_MAX = 3
"""A `response` that is such an object itself is opened this often."""

_OWN_KEYS = {
    "response": "response",
    "needsdatacollection": "needsDataCollection",
    "requestedfields": "requestedFields",
}
"""Our keys, by what is left of them without case and `_`."""
_TEXT_KEYS = ("response", "answer", "reply", "text", "message", "output", "content")
"""Where the text of an answer is that is one JSON object and nothing else."""
_FLAG = r"(?:needs_?data_?collection|requested_?fields)"
_LEFTOVER = re.compile(
    rf"\\{{0,8}}[\"'“]{_FLAG}|{_FLAG}\\{{0,8}}[\"'”]|{_FLAG}\s{{0,100}}:"
    r"|\{\s{0,100}\\{0,8}[\"'“]response\\{0,8}[\"'”]\s{0,100}:",
    re.IGNORECASE,
)
"""A key of ours, outside any object that could be read."""
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
"""Where something begins that is not for the user, and where it ends. Without an end it goes on to the last word."""
_BARE_END = re.compile(r"</(?:think|thinking|reasoning)\s{0,9}>", re.IGNORECASE)
"""Everything up to one of these is reasoning, where nothing begins it."""
_RESPONSE = re.compile(r"[\"'“]response[\"'”]\s{0,100}:", re.IGNORECASE)
_EMPTY_FENCE = re.compile(r"```[A-Za-z]{0,20}\s*+```")
_FENCE_AT_START = re.compile(r"```[A-Za-z]{0,20}\s*+")
_FENCE_AT_END = re.compile(r"```[A-Za-z]{0,20}\Z")
_OWN_START = re.compile(
    rf"\{{(?=\s{{0,100}}(?:\Z|[\"'“]?(?:response|{_FLAG})[\"'”]?\s{{0,100}}:))", re.IGNORECASE
)
_OBJECT_START = re.compile(rf"\{{(?=\s{{0,100}}[\"'“])|{_OWN_START.pattern}", re.IGNORECASE)
_IS_OBJECT = re.compile(r"\{\s{0,100}(?:[\"'“]|\})")


class ExtractedReply(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer holds."""

    text: str
    """For the user; "" when there is nothing to say."""
    needs_data_collection: bool = False
    """The AI wants to know something from the user."""
    requested_fields: tuple[str, ...] = ()
    """What it wants to know."""
    data: dict[str, Any] | None = None
    """The whole object, if there was one; of one that was cut off what there is, if its response is in it."""


def extract(answer: str) -> ExtractedReply:
    """The reply in an answer. Never raises, whatever the answer is."""
    return _extract(well_formed(answer), NESTED_MAX)


def _extract(text: str, nested: int) -> ExtractedReply:
    text = text.strip().lstrip("\ufeff")
    if nested and (inner := _escaped_object(text)):
        return _extract(inner, nested - 1)
    if not _is_whole_object(text):
        text = _without_reasoning(text)
    found = list(_own_objects(text))
    around = _around(text, found)
    if not found:
        key = _RESPONSE.search(text) if nested else None
        if key is not None and "{" not in text[: key.start()]:  # the object's brace is missing
            return _extract(f"{text[: key.start()]}{{{text[key.start() :]}", nested - 1)
        whole = _whole_object_text(text)
        return ExtractedReply(text=around if whole is None else _shown(whole))
    objects = [(one.value, list(_layers(one.value))) for one in reversed(found)]
    reply = next((said for value, layers in objects if (said := _said(value, layers))), "")
    if nested and "response" in reply and _is_object(reply):
        inner_reply = _extract(reply, nested - 1)
        if inner_reply.data is not None:
            return inner_reply
    shown = _shown(reply) or around
    layers = [layer for _, object_layers in objects for layer in object_layers]
    return ExtractedReply(
        text=shown,
        needs_data_collection=_is_true(_first(layers, "needsDataCollection")),
        requested_fields=_fields(_first(layers, "requestedFields")),
        data=found[-1].value if reply or found[-1].is_whole else None,
    )


def _escaped_object(text: str) -> str | None:
    """The object in an answer that is JSON in a string of JSON, with the outer quotes or without."""
    if not text.startswith(('"{', '"\\n{', '{\\"', "{\\n")):
        return None
    inner = read_string(text if text.startswith('"') else f'"{text}"')
    return inner if inner is not None and _is_object(inner) else None


def _is_whole_object(text: str) -> bool:
    """Whether tags in it can only stand inside strings."""
    bare = _bare(text)
    found = read_object(bare, 0) if _IS_OBJECT.match(bare) else None
    return found is not None and found.is_whole and found.end == len(bare)


def _shown(reply: str) -> str:
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
    """The text without everything from `begin` to the next `end`."""
    kept, at = [], 0
    while (found := begin.search(text, at)) is not None:
        kept.append(text[at : found.start()])
        closed = end.search(text, found.end())
        at = closed.end() if closed else len(text)
    return "".join([*kept, text[at:]])


def _own_objects(text: str) -> Iterator[LooseObject]:
    """The objects that have one of our keys, in order, not those inside others."""
    at = unread = tried = 0
    while unread < 2 * UNREAD_MAX and tried < 2 * OBJECTS_TRIED_MAX:
        is_picky = unread >= UNREAD_MAX or tried >= OBJECTS_TRIED_MAX
        start = (_OWN_START if is_picky else _OBJECT_START).search(text, at)
        if start is None:
            return
        tried += 1
        found = read_object(text, start.start())
        if found is not None and _is_ours(found):
            yield found
            at = found.end
        elif found is not None and found.is_clean:
            at = found.end
        else:
            at = start.end()
            unread += 1


def _is_ours(found: LooseObject) -> bool:
    if any(_layers(found.value)):
        return True
    if found.is_whole or (found.value and not found.cut_key):
        return False
    return any(key.startswith(_plain(found.cut_key)) for key in _OWN_KEYS)


def _layers(value: dict[str, Any], depth: int = NESTED_MAX) -> Iterator[dict[str, Any]]:
    """What the object has under our keys, and then what objects in it have."""
    own = {known: item for key, item in value.items() if (known := _OWN_KEYS.get(_plain(key)))}
    if own:
        yield own
    for item in value.values() if depth else ():
        if isinstance(item, dict):
            yield from _layers(item, depth - 1)


def _said(value: dict[str, Any], layers: list[dict[str, Any]]) -> str:
    """The text of an object of ours; some models take another word for `response`."""
    knows_response = any("response" in layer for layer in layers)
    return _text_of(_first(layers, "response") if knows_response else value).strip()


def _first(layers: list[dict[str, Any]], name: str) -> Any:
    return next((layer[name] for layer in layers if name in layer), None)


def _plain(key: str) -> str:
    return key.replace("_", "").replace("-", "").casefold()


def _around(text: str, found: list[LooseObject]) -> str:
    """What stands outside the objects."""
    parts, at = [], 0
    for one in found:
        parts.append(text[at : one.start].strip())
        at = one.end if one.is_whole else len(text)  # what follows a broken one is more of it
    parts.append(text[at:].strip())
    outside = "\n".join(part for part in parts if part)
    if found:
        outside = _bare(_EMPTY_FENCE.sub("", outside))
    return _without_open_fence(_without_leftovers(outside))


def _without_leftovers(text: str) -> str:
    """Whatever is left of an object of ours that could not be read is not for the user either."""
    key = _LEFTOVER.search(text)
    if key is None:
        return text
    brace = text.rfind("{", 0, key.start())
    is_inside = brace >= 0 and "}" not in text[brace : key.start()]
    return _BEFORE_LEFTOVER.sub("", text[: brace if is_inside else key.start()].rstrip(), count=1).strip()


def _without_open_fence(text: str) -> str:
    """The text without a fence at its end that nothing stands in."""
    return _FENCE_AT_END.sub("", text).strip() if text.count("```") % 2 else text


def _bare(text: str) -> str:
    """The text without a fence around it, or what is left of one."""
    text = text.strip()
    if fence := _FENCE_AT_START.match(text):
        text = text[fence.end() :]
    return text.removesuffix("```").strip()


def _is_object(text: str) -> bool:
    bare = _bare(text)
    return bare.startswith("{") and bare.endswith("}")


def _whole_object_text(text: str) -> str | None:
    """The text of an answer that is one object without our keys; None when it is something else."""
    bare = _bare(text)
    found = read_object(bare, 0) if _IS_OBJECT.match(bare) else None
    if found is None or found.end != len(bare):
        return None
    return next((said for key in _TEXT_KEYS if (said := _text_of(found.value.get(key)).strip())), "")


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
