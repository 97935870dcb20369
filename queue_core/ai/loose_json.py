"""Reader of JSON objects and lists as language models write them.

Beyond JSON it accepts: trailing and missing commas, comments, single and typographic quotes, keys without quotes,
literals as Python writes them, unescaped quotes inside a string, and objects that end in the middle.
"""

from __future__ import annotations

import json
import re
from functools import cached_property
from itertools import islice
from typing import Any

import msgspec

from queue_core.message import well_formed

CHARACTERS_MAX = 32_768
"""Limit on the length of an object that is not clean JSON; the rest is not read."""
DEPTH_MAX = 32
"""Limit on nesting. Clean JSON is read without its deeper values, other text up to the first of them."""

EFFORT_MAX = 4 * CHARACTERS_MAX
"""Limit on the effort for the damaged objects of a text: the characters that are searched for the ends of strings, and
ITEM_EFFORT for each key and value. A string without an end is searched to the end of its object, so many such strings
would take quadratic time."""
ITEM_EFFORT = 30
ENTRIES_MAX = 4_000
"""Limit on the objects, keys, lists and items in clean JSON, together. Of a longer list the last items are read."""
SIGNS_MAX = 40_000
"""Limit on brackets and colons in a text. A text with more of them is read as if its JSON were damaged."""
UNQUOTED_MAX = 4_000
"""Limit on the length of a string whose first quote is missing."""

_SKIPPED = re.compile(r"(?:[\s,]++|//[^\n]*+|/\*.*?\*/)*", re.DOTALL)
_KEY = re.compile(
    r"(?:[\"'“]([^\"'“”\\{}\n]{0,64})[\"'”]|[\"'“]?((?:\$|[^\W\d])[\w$-]{0,63})[\"'”]?)"
    r"(?:\s{0,100}(?:=>|:\.?)|(?<=[\"'”])\s{1,100}(?=[\"'“]))"
)
"""Key with its colon. One quote may be missing, or the colon between two strings."""
_CUT_KEY = re.compile(r"[\"'“]?([^\"'“”\\{}:,\n]{0,64})[\"'”]?\s{0,100}\Z")
_BARE = re.compile(r"[^\s,\]}{\[\"'“”]{1,100}")
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
_CONTAINERS = (dict, list)  # in a loop this is much faster than dict | list
_SURROGATES = ("\\ud", "\\uD")
"""Beginnings of escapes that may be surrogates."""
_LITERALS = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
_decoder = json.JSONDecoder(strict=False, parse_constant=_LITERALS.get)  # line breaks in strings, NaN
_QUOTES = {'"': '"', "'": "'", "“": '”"', "«": "»"}
"""Opening quotes, each with those that close it."""
_AFTER_STRING = re.compile(
    r"\s{0,200}(?:\Z|[}\]]|```|/[/*]|,\s{0,200}(?:[}/]|\Z|(?:\$|[^\W\d])[\w$-]{0,63}\s{0,100}:)"
    r"|,?\s{0,200}[\"'“](?:\$|[^\W\d])[\w$ -]{0,63}[\"'”]\s{0,100}:|,\s{0,200}[\"'“][\w$ -]{0,64}[\"'”]?\s{0,100}\Z)"
)
"""Text that may follow a string in an object, such as the next key, even if it is cut off. A quote before any other
text belongs to the string."""
_AFTER_ITEM = re.compile(r"\s{0,200}(?:\Z|[\]},]|```|/[/*])")
_STRINGS = {
    (quote, after): re.compile(
        rf"[^\\{closing}]*+(?:(?:\\.|[{closing}](?!{after.pattern}))[^\\{closing}]*+)*[{closing}](?={after.pattern})",
        re.DOTALL,
    )
    for quote, closing in _QUOTES.items()
    for after in (_AFTER_STRING, _AFTER_ITEM)
}
"""Patterns of a string after its first quote, by this quote and by what may follow."""
_NEXT_KEY = re.compile(r",\s{0,2}[\"'“][A-Za-z_][\w-]{0,63}[\"'”]\s{0,100}:")
_CUT_ESCAPE = re.compile(r"(?:\\u[dD][89abAB][0-9a-fA-F]{2})?(?:\\(?:u[0-9a-fA-F]{0,3})?)?\Z")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "\n": ""}


class LooseValue(msgspec.Struct, frozen=True, kw_only=True):
    """Object or list in a text, or its beginning. Its strings have no lone surrogates."""

    start: int
    end: int
    """Index after the value, or after the part of it that could be read."""
    value: Any
    is_clean: bool = False
    """True for correct JSON."""
    is_whole: bool = True
    """True when the value is closed; otherwise `value` is its beginning."""


class LooseObject(LooseValue, frozen=True, kw_only=True):
    """Object in a text, or its beginning."""

    value: dict[str, Any]
    cut_key: str = ""
    """Beginning of a key, if the text ends inside one."""


class Effort:
    """Effort that is left for the damaged objects of a text."""

    def __init__(self, text: str) -> None:
        self.left = EFFORT_MAX
        self._text = text

    @cached_property
    def is_dense(self) -> bool:
        """True for a text with too many brackets and colons."""
        return sum(map(self._text.count, "{[:")) > SIGNS_MAX


def read_object(text: str, start: int, effort: Effort | None = None) -> LooseObject | None:
    """Read the object whose brace is at `start`; None if there is none. Never raises; takes linear time.

    Objects of one text share their `effort`. When nothing is left of it, only clean JSON is read.
    """
    found = read_value(text, start, effort) if text.startswith("{", start) else None
    return found if isinstance(found, LooseObject) else None


def read_value(text: str, start: int, effort: Effort | None = None) -> LooseValue | None:
    """Read the object or list whose bracket is at `start`, as `read_object` does."""
    effort = effort or Effort(text)
    found = None if effort.is_dense else read_clean(text, start)
    return found or _read_loosely(text, start, effort)


def read_clean(text: str, start: int) -> LooseValue | None:
    """Read the object or list at `start`; None if it is not correct JSON."""
    try:
        value, end = _decoder.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    kind = LooseObject if isinstance(value, dict) else LooseValue
    if not isinstance(value, dict | list):
        return None
    if _is_large(value):
        value = _Pruner(ENTRIES_MAX).pruned(value)
    if any(text.find(escape, start, end) >= 0 for escape in _SURROGATES) or _is_deep(value):
        value = clean(value)
    return kind(start=start, end=end, value=value, is_clean=True)


def _read_loosely(text: str, start: int, effort: Effort) -> LooseValue | None:
    if not text.startswith(("{", "["), start) or effort.left <= 0:
        return None
    reader = _Reader(text, start, effort)
    is_list = text.startswith("[", start)
    value: Any = [] if is_list else {}
    kind = LooseValue if is_list else LooseObject
    end = len(text)
    try:
        if is_list:
            reader.read_list(value)
        else:
            reader.read(value)
    except _NoObjectError:
        if not value:
            return None
        end = reader.at
    else:
        if reader.is_whole:
            return kind(start=start, end=reader.at, value=clean(value))
    found = kind(start=start, end=end, value=clean(value), is_whole=False)
    return msgspec.structs.replace(found, cut_key=reader.cut_key) if isinstance(found, LooseObject) else found


def read_string(text: str) -> str | None:
    """Decode a JSON string, quotes included; None if the text is not one."""
    try:
        value = _decoder.decode(text)
    except (ValueError, RecursionError):
        return None
    return well_formed(value) if isinstance(value, str) else None


def clean(value: Any, depth: int = DEPTH_MAX) -> Any:
    """Return a copy without lone surrogates and without values that lie deeper than `depth`."""
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, dict):
        return {well_formed(key): clean(item, depth - 1) for key, item in value.items()} if depth else None
    if isinstance(value, list):
        return [clean(item, depth - 1) for item in value] if depth else None
    return value


def _is_large(value: Any) -> bool:
    """Return True if a value has more than ENTRIES_MAX objects, keys, lists and items, together."""
    left, level = ENTRIES_MAX, [value]
    while level:
        left -= len(level) + sum(map(len, level))
        if left < 0:
            return True
        level = _parts_of(level)
    return False


def _parts_of(level: list[Any]) -> list[Any]:
    """Return the objects and lists in objects and lists, without the empty ones."""
    return [
        child
        for parent in level
        for child in (parent.values() if isinstance(parent, dict) else parent)
        if child and isinstance(child, _CONTAINERS)
    ]


def _is_deep(value: Any) -> bool:
    """Return True if a value has parts nested deeper than DEPTH_MAX; empty parts do not count."""
    level = [value]
    for _ in range(DEPTH_MAX + 1):
        level = _parts_of(level)
        if not level:
            return False
    return True


class _Pruner:
    """Reducer of a value to a limited number of objects, keys, lists and items."""

    def __init__(self, entries: int) -> None:
        self._left = entries

    def pruned(self, value: Any, depth: int = DEPTH_MAX + 1) -> Any:
        """Return the value without the entries over the limit; None replaces an object that is too deep."""
        if not depth:
            return None
        if isinstance(value, dict):
            self._left -= 1
            kept = list(islice(value.items(), max(self._left, 0)))
            self._left -= len(kept)
            return {
                key: self.pruned(item, depth - 1) if isinstance(item, _CONTAINERS) else item
                for key, item in kept
            }
        items: list[Any] = []
        for item in reversed(value):  # the last message of a conversation is the answer
            if self._left <= 0:
                break
            self._left -= 1
            items.append(self.pruned(item, depth - 1) if isinstance(item, _CONTAINERS) else item)
        return items[::-1]


class _NoObjectError(Exception):
    """Raised where the text turns into prose, or is too broken to be understood."""


class _Reader:
    """Reader of one object. It looks at each character a bounded number of times."""

    def __init__(self, text: str, start: int, effort: Effort) -> None:
        self._text = text
        self._effort = effort
        self._end = min(len(text), start + CHARACTERS_MAX)
        self.at = start
        self.is_whole = True
        self.cut_key = ""

    def read(self, target: dict[str, Any], depth: int = 0) -> None:
        """Read the object whose brace is at `at` into `target`. After _NoObjectError, `target` holds its beginning."""
        self._enter(depth)
        while not self._is_over("}") and (key := self._key()) is not None:
            target[key] = self._value(depth, _AFTER_STRING)

    def read_list(self, target: list[Any], depth: int = 0) -> None:
        """Read the list whose bracket is at `at` into `target`, as `read` does."""
        self._enter(depth)
        while not self._is_over("]"):
            target.append(self._value(depth, _AFTER_ITEM))

    def _enter(self, depth: int) -> None:
        if depth > DEPTH_MAX:
            raise _NoObjectError
        self.at += 1

    def _is_over(self, closing: str) -> bool:
        """Skip separators; returns True when the object or list ends here, or the whole text does."""
        if self.is_whole and not self._is_cut():
            if self._text[self.at] != closing:
                return False
            self.at += 1
        return True

    def _is_cut(self) -> bool:
        skipped = _SKIPPED.match(self._text, self.at, self._end)
        self.at = skipped.end() if skipped else self.at
        if self.at >= self._end or self._text.startswith("```", self.at):
            self.is_whole = False
            return True
        return False

    def _spend(self, effort: int) -> None:
        """Raise _NoObjectError when no effort is left."""
        self._effort.left -= effort
        if self._effort.left < 0:
            raise _NoObjectError

    def _key(self) -> str | None:
        self._spend(ITEM_EFFORT)
        quoted = _KEY.match(self._text, self.at, self._end)
        if quoted:
            self.at = quoted.end()
            return str(quoted[1] if quoted[1] is not None else quoted[2])
        cut = _CUT_KEY.match(self._text, self.at, self._end)
        if cut is None:
            raise _NoObjectError
        self.is_whole = False
        self.cut_key = str(cut[1])
        return None

    def _value(self, depth: int, after_string: re.Pattern[str]) -> Any:
        self._spend(ITEM_EFFORT)
        if self._is_cut():
            return None
        first = self._text[self.at]
        if first == "{":
            value: dict[str, Any] = {}
            self.read(value, depth + 1)
            return value
        if first == "[":
            items: list[Any] = []
            self.read_list(items, depth + 1)
            return items
        if first in _QUOTES:
            return self._string(first, after_string)
        return self._bare_value(after_string)

    def _bare_value(self, after_string: re.Pattern[str]) -> Any:
        """Read a number, a word, or a string whose first quote is missing."""
        bare = _BARE.match(self._text, self.at, self._end)
        is_over = bare is not None and _AFTER_ITEM.match(self._text, bare.end(), self._end)
        if bare is None or not is_over:
            return self._string_without_first_quote(after_string)
        value = _literal(bare[0])
        if isinstance(value, str) and not after_string.match(self._text, bare.end(), self._end):
            try:
                return self._string_without_first_quote(after_string)
            except _NoObjectError:
                pass  # a word without quotes
        self.at = bare.end()
        return value

    def _string_without_first_quote(self, after: re.Pattern[str]) -> str:
        text, start = self._text, self.at
        if text.find('"', start, min(self._end, start + UNQUOTED_MAX)) >= 0:
            closed = _STRINGS['"', after].match(text, start, self._end)
            self._spend((closed.end() if closed else self._end) - start)
            if closed and closed.end() <= start + UNQUOTED_MAX:
                self.at = closed.end()
                return unescaped(closed[0][:-1])
        raise _NoObjectError

    def _string(self, quote: str, after: re.Pattern[str]) -> str:
        start = self.at + 1
        closed = _STRINGS[quote, after].match(self._text, start, self._end)
        self._spend((closed.end() if closed else self._end) - start)
        if closed:
            self.at = closed.end()
            return unescaped(closed[0][:-1])
        next_key = _NEXT_KEY.search(self._text, start, self._end)
        if next_key is not None:  # the closing quote is missing
            self.at = next_key.start()
            return unescaped(self._text[start : self.at])
        self.is_whole = False
        self.at = self._end
        body = self._text[start : self._end].rstrip()
        if body.endswith("```") and body.count("```") % 2:  # closes the fence around the object
            body = body.removesuffix("```").rstrip()
        return unescaped(_CUT_ESCAPE.sub("", body, count=1))


def _literal(text: str) -> Any:
    if text in _LITERALS:
        return _LITERALS[text]
    if number := _NUMBER.fullmatch(text):
        return float(text) if number[1] else int(text)
    return text


def unescaped(text: str) -> str:
    """Decode the escapes of a string; a backslash that begins no escape stays."""
    return _ESCAPE.sub(_escaped, text)


def _escaped(escape: re.Match[str]) -> str:
    code = escape[1]
    if len(code) == 5:
        return chr(int(code[1:], 16))
    return _ESCAPED.get(code, code if code in "\\/\"'“”" else escape[0])
