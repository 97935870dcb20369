"""JSON objects beside text: the AI's answer, a tool call, an example for the user, or the remains of an object."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec

from queue_core.ai.loose_json import Effort, LooseObject, read_clean, read_object
from queue_core.ai.reply.json_text import action_of, is_answer_only, is_call, layers, text_of
from queue_core.ai.reply.keys import HIDDEN_KEYS, OUR_KEYS, TECHNICAL_KEYS, plain
from queue_core.ai.reply.quoting import Code, Fence, begins_line, continues

OBJECTS_TRIED_MAX = 64
"""Limit on braces that are tried as objects. Later ones are tried only before a key of ours, for linear time."""
BRACES_MAX = 5_000
"""Limit on braces that are looked at."""
KEYS_MAX = 1_000
"""Limit on our keys outside of objects that are looked at."""
END_CHARACTERS = 262_144
"""Length of the end of a text in which such keys are looked for."""
UNREAD_MAX = 8
"""Limit on braces that turn out to be prose, or whose object breaks off; later ones are tried as after
OBJECTS_TRIED_MAX. After twice either limit, no brace is tried any more."""

_FLAG = r"(?i:needs_?data_?collection|requested_?fields)"
_RESPONSE = r"\s{0,100}\\{0,8}[\"'“](?i:response)\\{0,8}[\"'”]\s{0,100}:"
_LEFTOVER = re.compile(  # a class of characters at its beginning makes the search fast
    r"[\\\"'“{nNrR](?:"
    rf"(?:(?<=[\"'“])|(?<=\\)\\{{0,7}}[\"'“]){_FLAG}(?:\\{{0,8}}[\"'”])?"
    r"|(?:(?<=[nN])(?i:eeds_?data_?collection)|(?<=[rR])(?i:equested_?fields))\\{0,8}[\"'”]"
    rf"|(?<=\{{){_RESPONSE})"
)
"""One of our keys outside of all objects that could be read."""
_LEFTOVER_RESPONSE = re.compile(rf"\{{{_RESPONSE}")
"""The key `response` alone: a literal at its beginning makes the search faster still."""
_PARTS_OF_FLAGS = ("ollection", "COLLECTION", "ields", "FIELDS")
_PARTS_OF_RESPONSE = ("esponse", "RESPONSE")
SEPARATOR_MAX = 203
"""Longest text that a separator before a key may have."""
_BEFORE_LEFTOVER = re.compile(r"(?:[\"'”]?\s{0,100},\s{0,100}[\"'“]?)?\Z")
_VALUE_OF_FLAG = re.compile(
    r"\s{0,9}:\s{0,9}(?:true|false|null|\[[^\]\n]{0,200}\])?(?![^\s.])", re.IGNORECASE
)
_SPEAKS_OF_KEY = re.compile(r"[ \t]+(?!(?:true|false|null|yes|no)(?![^\W\d_]))[^\W\d_]|[.;!?)](?:\s|\Z)")
_LIST_START = re.compile(r"\n[ \t]{0,9}\[(?=\s{0,9}\{)")
_BRACE = re.compile(r"\{")
_OUR_START = re.compile(
    rf"\{{(?=\s{{0,100}}(?:\Z|[\"'“]?(?:response|{_FLAG})[\"'”]?\s{{0,100}}:))", re.IGNORECASE
)
_COMMENT = r"(?:(?://[^\n]{0,200}\n|/\*[^*]{0,200}\*/)\s{0,100})?"
_OBJECT_START = re.compile(rf"\{{(?=\s{{0,100}}{_COMMENT}[\"'“])|{_OUR_START.pattern}", re.IGNORECASE)
_CODE_BEFORE = ("=", "(", "[", "{", ",", "<", "&", "+", '":', "':", '"', "'")
_CODE_AFTER = (",", "]", "}", ")", ";", ".")
_CALL_KEYS = TECHNICAL_KEYS | {
    "action",
    "actioninput",
    "toolinput",
    "recipientname",
    "functioncall",
    "thought",
    "index",
}
_EMPTY_CALL_KEYS = {"toolcalls", "functioncall"}
_INLINE_FENCE = re.compile(r"```(?:json|JSON)?\s{0,9}\Z")
_FENCE_AT_END = re.compile(r"```[A-Za-z_-]{0,20}\Z")


class Beside(msgspec.Struct, kw_only=True):
    """Objects in a text."""

    answers: list[LooseObject] = []
    """Objects that are the answer; the text around them is not shown."""
    shown: list[tuple[int, int, str]] = []
    """Start and end of other objects, each with the text that replaces it: "" for a call."""


def objects_beside(text: str, code: Code) -> Beside:
    """Find the objects in a text that are an answer or a call. An object in code, or with other keys, is text."""
    found, effort = Beside(), Effort(text)
    for candidate in _candidates(text, effort):
        fence = code.fence_around(candidate.start)
        is_span = fence is None and code.holds(candidate.start)
        last = found.answers[-1].end if found.answers else 0
        before = _code_in(text, max(fence.body_start, last), candidate.start) if fence else is_span
        if before and not (
            is_span and _INLINE_FENCE.search(text, max(0, candidate.start - 20), candidate.start)
        ):  # a part of code
            continue
        is_spoken_of = fence is None and continues(text, candidate.end)
        if (
            not candidate.value
            and not candidate.is_whole
            and fence is None
            and not begins_line(text, candidate.start)
        ):
            continue  # a brace at the end of a line of code
        if _is_ours(candidate, is_spoken_of=is_spoken_of, is_fenced=fence is not None or is_span):
            found.answers.append(candidate)
        elif not is_span and _is_set_apart(text, candidate, fence):
            shown = _shown_instead(candidate.value, fence)
            start, end = (fence.start, fence.end) if fence else (candidate.start, candidate.end)
            found.shown += [(start, end, shown)] if shown is not None else []
    if "[" in text and not effort.is_dense:
        found.shown = sorted([*found.shown, *((*span, "") for span in _lists_of_calls(text, code))])
    return found


def _code_in(text: str, start: int, end: int) -> str:
    """Return the code before an object or between two; the bracket and the commas of a list do not count."""
    return text[start:end].strip().strip("[,")


def _shown_instead(value: dict[str, Any], fence: Fence | None) -> str | None:
    """Return the text that replaces an object: "" for a call, None for an example, which stays."""
    keys = {plain(key) for key in value}
    if value and (keys <= HIDDEN_KEYS or (keys <= _EMPTY_CALL_KEYS and not any(value.values()))):
        return ""
    if is_answer_only(value):
        shown = text_of(value).strip()
        return shown if _is_sentence(shown) else None
    return "" if fence is None and _is_call(value) else None


def _lists_of_calls(text: str, code: Code) -> Iterator[tuple[int, int]]:
    """Yield the lists at the beginning of a line that contain only calls."""
    for match in islice(_LIST_START.finditer(text), OBJECTS_TRIED_MAX):
        start = match.end() - 1
        found = None if code.holds(start) else read_clean(text, start)
        if found is not None and all(_is_call(item) for item in found.value):
            yield start, found.end


def _candidates(text: str, effort: Effort) -> Iterator[LooseObject]:
    """Yield the objects in a text, in order, without those inside others."""
    at = unread = tried = 0
    for brace in islice(_BRACE.finditer(text), BRACES_MAX):
        if unread >= 2 * UNREAD_MAX or tried >= 2 * OBJECTS_TRIED_MAX:
            return
        is_picky = unread >= UNREAD_MAX or tried >= OBJECTS_TRIED_MAX
        start = (_OUR_START if is_picky else _OBJECT_START).match(text, brace.start())
        if start is None or brace.start() < at:
            continue
        tried += 1
        candidate = read_object(text, start.start(), effort)
        if candidate is not None and (
            candidate.is_clean
            or _has_our_key(candidate)
            or _is_of_answer(candidate)
            or (_is_call(candidate.value) and (candidate.is_whole or candidate.end == len(text)))
        ):
            yield candidate
            at = candidate.end
            unread += not candidate.is_whole
        else:
            unread += 1


def _is_of_answer(candidate: LooseObject) -> bool:
    """Return True if a damaged object has only keys of an answer or of reasoning."""
    keys = {plain(key) for key in candidate.value}
    return is_answer_only(candidate.value) or (bool(keys) and keys <= HIDDEN_KEYS)


def _has_our_key(candidate: LooseObject) -> bool:
    if any(layers(candidate.value)):
        return True
    if candidate.is_whole or (candidate.value and not candidate.cut_key):
        return False
    cut_key = plain(candidate.cut_key) or candidate.cut_key
    return any(key.startswith(cut_key) for key in OUR_KEYS)


def _is_ours(candidate: LooseObject, *, is_spoken_of: bool, is_fenced: bool) -> bool:
    """Return True for an object with our flags, or one of ours that is cut off.

    Also for one with only a response, unless it is fenced or a sentence speaks about it.
    """
    keys = {key for layer in layers(candidate.value) for key in layer}
    if keys - {"response"} or (_has_our_key(candidate) and not candidate.is_whole):
        return True
    return "response" in keys and is_answer_only(candidate.value) and not is_spoken_of and not is_fenced


def _is_embedded(text: str, start: int, end: int) -> bool:
    """Return True for an object in other JSON or in code, such as a key's value or an argument."""
    before = text[max(0, start - 50) : start].rstrip()
    after = text[end : end + 50].lstrip()
    return before.endswith(_CODE_BEFORE) or after.startswith(_CODE_AFTER)


def _is_set_apart(text: str, candidate: LooseObject, fence: Fence | None) -> bool:
    """Return True for an object that is alone in its fence, or after which no sentence continues."""
    if fence is not None:
        return not text[candidate.end : fence.body_end].strip()
    if continues(text, candidate.end) or _is_embedded(text, candidate.start, candidate.end):
        return False
    before = text[max(0, candidate.start - 10) : candidate.start].rstrip()
    is_introduced = begins_line(text, candidate.start) or before.endswith((":", "："))
    return is_introduced or _is_sentence(text_of(candidate.value).strip())


def _is_sentence(text: str) -> bool:
    """Return True for words that address a user, False for a value such as SUCCESS."""
    return len(text.split()) > 1 or not text.isascii() or text[-1:] in (".", "!", "?") or text.istitle()


def _is_call(value: Any) -> bool:
    """Return True for a call, and for an assistant's message that holds nothing but calls."""
    fields = {plain(key): item for key, item in value.items()} if isinstance(value, dict) else {}
    if action_of(fields) is None and not is_call(fields):
        return False
    return all(key in _CALL_KEYS for key, item in fields.items() if item is not None and item != "")


def _pattern_of_leftovers(text: str) -> re.Pattern[str] | None:
    """Return the pattern of the keys of ours that a text may have; None, quickly, for nearly all texts."""
    if not any(quote in text for quote in "\"'“”"):
        return None
    if any(part in text for part in _PARTS_OF_FLAGS):
        return _LEFTOVER
    return _LEFTOVER_RESPONSE if any(part in text for part in _PARTS_OF_RESPONSE) else None


def without_leftovers(text: str, code: Code) -> str:
    """Remove the remains of an answer object that could not be read. Code and sentences about our keys stay."""
    pattern = _pattern_of_leftovers(text[-END_CHARACTERS:])
    if pattern is None:
        return text
    read, code_end, effort = 0, 0, Effort(text)
    found = pattern.finditer(text, max(0, len(text) - END_CHARACTERS))
    for key in islice(found, KEYS_MAX):
        is_response = key[0].startswith("{")
        fence = code.fence_around(key.start())
        if key.start() < code_end or (code.holds(key.start()) and (is_response or fence is None)):
            continue
        if is_response and _is_embedded(text, key.start(), len(text)):
            continue
        read += is_response
        if is_response and (read > UNREAD_MAX or _is_closed(text, key.start(), effort)):
            continue
        value = None if is_response else _VALUE_OF_FLAG.match(text, key.end())
        if _SPEAKS_OF_KEY.match(text, value.end() if value else key.end()):
            continue
        brace = text.rfind("{", 0, key.start())
        is_inside = brace >= 0 and "}" not in text[brace : key.start()]
        start = brace if is_inside else key.start()
        if fence is not None and _code_in(text, fence.body_start, start):
            code_end = fence.end  # a part of code, as all that follows in it
            continue
        return _without_separator(text[:start].rstrip()).strip()
    return text


def _without_separator(text: str) -> str:
    """Remove the comma and the quotation marks at the end of a text."""
    separator = _BEFORE_LEFTOVER.search(text, max(0, len(text) - SEPARATOR_MAX))
    return text[: separator.start()] if separator else text


def _is_closed(text: str, start: int, effort: Effort) -> bool:
    """Return True for a whole object, or one after which a sentence continues: the user shall see it."""
    found = read_object(text, start, effort)
    if found is not None and found.is_whole:
        return True
    end = text.find("}", start)
    return end >= 0 and continues(text, end + 1)


def without_open_fence(text: str) -> str:
    """Remove a fence that opens at the end of the text."""
    return _FENCE_AT_END.sub("", text).strip() if text.count("```") % 2 else text
