"""Extraction of the reply from an AI's raw answer, in steps that each remove one cover from the text."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from queue_core.ai.loose_json import LooseObject
from queue_core.ai.reply.absence import Absence, absence_of_json, absence_of_page, absence_of_value
from queue_core.ai.reply.covers import without_cover
from queue_core.ai.reply.escapes import without_escapes
from queue_core.ai.reply.json_text import is_piece, joined, layers, text_of
from queue_core.ai.reply.keys import plain
from queue_core.ai.reply.objects import objects_beside, without_leftovers, without_open_fence
from queue_core.ai.reply.quoting import Code
from queue_core.ai.reply.stream import text_of_stream
from queue_core.ai.reply.whole import Whole, bare, read_whole
from queue_core.message import well_formed

COVERS_MAX = 12
"""Limit on covers that are removed, such as a JSON string in a JSON string; the rest is shown."""
CHARACTERS_A_COVER = 131_072
"""Length of text for which a cover counts once more, so that a long text is read only a few times."""

_RESPONSE = re.compile(r"[\"'“]response[\"'”]\s{0,100}:", re.IGNORECASE)
_BEFORE_OBJECT = ("\n", *".!?:…؟。！？：")
_QUOTES = ('"', "'", "“")
_VALUE = re.compile(r"\s{0,100}(?:[\"'“\[{]|null\b)")
_CLOSED = re.compile(r"(?:[\"'”\]}]|\b(?:true|false|null))\Z", re.IGNORECASE)
_ENDS_IN_JSON = re.compile(r"```(?:json|JSON)\Z")
_EMPTY_FENCE = re.compile(r"```[A-Za-z]{0,20}\s*+```")

_SILENCE = re.compile(r"(?:(?:NO_REPLY|HEARTBEAT_OK)[\s.]*+)+")
"""Words of OpenClaw and other agents for an answer that says nothing."""
SILENCE_CHARACTERS_MAX = 200
"""Limit on the length of such an answer."""


class ExtractedReply(msgspec.Struct, frozen=True, kw_only=True):
    """Reply, and the other fields of the AI's JSON object."""

    text: str
    """Text for the user; "" when there is none."""
    needs_data_collection: bool = False
    """True when the AI asks the user for data."""
    requested_fields: tuple[str, ...] = ()
    """Names of the data for which the AI asks."""
    data: dict[str, Any] | None = None
    """The AI's JSON object; if it is cut off, its beginning, provided that it includes the response."""
    absence: Absence | None = None
    """Reason why there is no text; None if there is a text, or the AI says `"response": ""` or NO_REPLY."""


def extract(answer: str) -> ExtractedReply:
    """Find the reply in an answer. Never raises."""
    return _extract(well_formed(answer), COVERS_MAX)


def _extract(text: str, covers: int) -> ExtractedReply:
    text = text.strip().lstrip("\ufeff").strip()
    absence = "empty" if not text else absence_of_page(text)
    if absence == "stream" and covers:
        return _of_stream(text, covers - 1)
    if absence or not covers:
        return ExtractedReply(text="" if absence else text, absence=absence)
    left = _left_after(text, covers)
    whole = read_whole(text)
    if whole is not None:
        return _of_values(whole, left)
    code = Code(text)
    uncovered = without_cover(text, code)
    if uncovered is None:
        return _of_text(text, code, left)
    if uncovered.text:
        return _extract(uncovered.text, left)
    return ExtractedReply(text="", absence=uncovered.absence)


def _left_after(text: str, covers: int) -> int:
    """Return the number of covers that may still be removed once this text has lost one."""
    return max(0, covers - 1 - len(text) // CHARACTERS_A_COVER)


def _of_stream(stream: str, left: int) -> ExtractedReply:
    """Find the reply in a stream of events that arrived as one answer."""
    text = text_of_stream(stream)
    if text is None:
        return ExtractedReply(text="", absence="stream")
    return _extract(text, left) if text else ExtractedReply(text="", absence="error")


def _of_values(whole: Whole, left: int) -> ExtractedReply:
    """Find the reply in an answer that is only JSON: one value, or several values on a line each."""
    values = whole.values
    absence = absence_of_json(values[0])
    if absence is not None:
        return ExtractedReply(text="", absence=absence)
    objects = [
        item
        for value in values
        for item in (value if isinstance(value, list) else [value])
        if isinstance(item, dict)
    ]
    reply = _reply(_shown_of(values), objects, absence_of_value(values[-1]), left)
    if whole.is_cut and not reply.text:
        return msgspec.structs.replace(reply, data=None, absence=reply.absence or "json")
    return reply


def _shown_of(values: list[Any]) -> str:
    """Return the texts of all values; only the last text if one has our keys and not all have the same keys."""
    if len(values) > 1 and all(is_piece(value) or not text_of(value).strip() for value in values):
        return "".join(text_of(value) for value in values)
    if (
        len(values) > 1
        and any(any(layers(value)) for value in values)
        and len({_keys(value) for value in values}) > 1
    ):
        return next((text for value in reversed(values) if (text := text_of(value).strip())), "")
    return joined(iter(dict.fromkeys(text_of(value).strip() for value in values)))


def _keys(value: Any) -> frozenset[str]:
    return frozenset(plain(key) for key in value) if isinstance(value, dict) else frozenset()


def _reply(shown: str, objects: list[dict[str, Any]], absence: Absence, left: int) -> ExtractedReply:
    """Make the reply of objects whose text is known; the text may have covers of its own."""
    inner = _extract(shown, left)
    is_asked_for = shown.lstrip().startswith(("{", "[", "```"))  # JSON that the user asked for
    if not inner.text and inner.absence == "json" and is_asked_for:
        inner = ExtractedReply(text=shown.strip())
    found = [layer for value in reversed(objects) for layer in layers(value)]
    is_silent = any(
        isinstance(layer.get("response"), str) and not layer["response"].strip() for layer in found
    )
    if not inner.text and not shown.strip():
        inner = ExtractedReply(text="", absence=None if is_silent else absence)
    return ExtractedReply(
        text=inner.text,
        needs_data_collection=_is_true(_first(found, "needsDataCollection")) or inner.needs_data_collection,
        requested_fields=_fields(_first(found, "requestedFields")) or inner.requested_fields,
        data=inner.data or (objects[-1] if objects else None),
        absence=inner.absence,
    )


def _of_text(text: str, code: Code, left: int) -> ExtractedReply:
    """Find the reply in a text without covers, which may have JSON objects beside its words."""
    if len(text) < SILENCE_CHARACTERS_MAX and _SILENCE.fullmatch(text):
        return ExtractedReply(text="")
    beside = objects_beside(text, code) if "{" in text else None
    if beside is not None and beside.answers:
        return _of_answers(text, beside.answers, left)
    if beside is not None and beside.shown:
        visible = _with_shown(text, beside.shown)
        return ExtractedReply(text=visible, absence=None if visible else "call")
    brace = text.find("{")
    key = _RESPONSE.search(text, 0, brace if brace >= 0 else len(text)) if "esponse" in text else None
    if key is not None and left and not code.holds(key.start()) and _lacks_brace(text, key):
        repaired, rest = f"{text[: key.start()]}{{{text[key.start() :]}", _left_after(text, left)
        whole = read_whole(repaired)  # other covers have been looked for
        reply = _of_text(repaired, Code(repaired), rest) if whole is None else _of_values(whole, rest)
        if reply.data is not None or not reply.text:
            return reply
    visible = without_leftovers(text, code)
    visible = without_open_fence(visible) if visible != text or _ENDS_IN_JSON.search(text) else visible
    visible = without_escapes(visible, code) if visible == text else visible
    return ExtractedReply(text=visible, absence=None if visible else "json")


def _lacks_brace(text: str, key: re.Match[str]) -> bool:
    """Return True for a key of an object whose first brace is missing. After other text, its end must not be cut off.

    A sentence about the key is text.
    """
    before = text[: key.start()].rstrip(" \t")
    if _VALUE.match(text, key.end()) is None:
        return False
    if not before:
        return True
    begins = before[-1] in _BEFORE_OBJECT or (before[-1] == "," and before[0] in _QUOTES)
    return begins and _CLOSED.search(text) is not None


def _with_shown(text: str, shown: list[tuple[int, int, str]]) -> str:
    """Return the text with its objects replaced by other texts."""
    kept, at = [], 0
    for start, end, instead in shown:
        kept += [text[at:start] if instead else text[at:start].rstrip(), instead]
        at = end
    return "".join([*kept, text[at:]]).strip()


def _of_answers(text: str, answers: list[LooseObject], left: int) -> ExtractedReply:
    """Find the reply in a text with objects that answer. The text around them counts only if they have no text."""
    values = [answer.value for answer in answers]
    shown = _shown_of(values)
    last = answers[-1]
    reply = _reply(shown, values, absence_of_value(last.value), left)
    around = "" if reply.text else _around(text, answers)
    if around:
        reply = msgspec.structs.replace(reply, text=around, absence=None)
    if not shown.strip() and not last.is_whole:
        reply = msgspec.structs.replace(reply, data=None, absence=None if around else "json")
    return reply


def _around(text: str, objects: list[LooseObject]) -> str:
    """Return the text outside the objects."""
    parts, at = [], 0
    for item in objects:
        parts.append(text[at : item.start].strip())
        at = item.end if item.is_whole else len(text)  # the text after a broken object belongs to it
    parts.append(text[at:].strip())
    outside = bare(_EMPTY_FENCE.sub("", "\n".join(part for part in parts if part)))
    return without_open_fence(without_leftovers(outside, Code(outside)))


def _first(found: list[dict[str, Any]], name: str) -> Any:
    return next((layer[name] for layer in found if name in layer), None)


def _is_true(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.strip().lower() in ("true", "yes", "1"))


def _fields(value: Any) -> tuple[str, ...]:
    """Read names from a list of names, a list of objects with a name, or a text with commas."""
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
