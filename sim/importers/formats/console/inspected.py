r"""Reader of values as Node's `util.inspect` (console.log) and Deno print them; JSON is read too.

`{ key: 'value', at: undefined, text: 'it\'s', deep: [Object], raw: <Buffer 0a ...>, big: 12n, … }`: keys without
quotes, strings in any quotes, class names before objects, and marks for cycles, further items and deep values. CUT
stands for a value that the printer left out; a property that is `undefined` is left out, as in JSON.
"""

from __future__ import annotations

import math
import re
from typing import Any

DEPTH_MAX = 60
CHARACTERS_MAX = 8 * 1024 * 1024


class Cut:
    """Stand-in for a value that the printer left out, such as `[Object]`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "CUT"


CUT = Cut()


class _Undefined:
    """Stand-in for `undefined`, which JSON would leave out."""

    __slots__ = ()


_UNDEFINED = _Undefined()


class InspectedError(ValueError):
    """Raised for text that is not a printed value; the message says where."""


_SPACE = re.compile(r"(?:\s+|//[^\n]*)*")
_NUMBER = re.compile(r"-?(?:0[xX][0-9a-fA-F]+|(?:\d[\d_]*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?P<big>n)?(?![\w.:-])")
_DATE = re.compile(r"[+-]?\d{4,6}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_KEY = re.compile(
    r"(?P<name>[A-Za-z_$][\w$]*)\s*:|(?P<symbol>\[[^\[\]\n]{0,200}\]|Symbol\([^()\n]{0,200}\))\s*:|(?P<index>\d+)\s*:"
)
_WORD = re.compile(r"-?Infinity|NaN|true|false|null|undefined|Invalid Date|uninitialized")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "undefined": _UNDEFINED, "NaN": None}
_REFERENCE = re.compile(r"<ref \*\d+>\s*")
_CLASS = re.compile(
    r"(?!\d)[\w$.]+(?:\s?\([^()\n{]{0,80}\))?(?:\s?\[[^\[\]\n]{0,80}\])?(?:\s?<[^<>\n]{0,80}>)?\s*(?=[{\[])"
)
_PROTOTYPE = re.compile(r"\[(?! )[^\[\]\n'\"]{1,80}\] (?=[{\[])")
_MARK = re.compile(
    r"\[(?:Circular(?: \*\d+)?|Object(?:: null prototype)?|Array(?:\(\d+\))?|Getter(?:/Setter)?(?::[^\]\n]*)?|Setter"
    r"|(?:Async|Generator|AsyncGenerator)*Function[^\]\n]*|class[^\]\n]*|[A-Z][\w$]*"
    r"(?: \[[^\]\n]*\])?(?: <[^>\n]*>)?)\]"
)
_BOXED = re.compile(r"\[(?:Number|String|Boolean|BigInt|Symbol): ")
_ERROR_IN_BRACKETS = re.compile(r"\[(?:[A-Z]\w*)?(?:Error|Exception)\b[^\n]*?\](?=\s*(?:[,}\]\n]|$))")
_ANGLES = re.compile(r"<[A-Za-z0-9*][^<>\n]{0,400}>")
_MORE = re.compile(
    r"\.\.\. \d[\d,]* more (?:items?|characters?|propert(?:y|ies)|bytes?)|\.\.\.(?: more items)?|<\d+ empty items?>"
)
_STRING_END = {
    quote: re.compile(rf"[^{quote}\\]*(?:\\.[^{quote}\\]*)*{quote}", re.DOTALL) for quote in "'\"`"
}
_WITHOUT_KEYS = ("Set", "SetIterator", "WeakSet", "WeakMap", "Promise")
"""Classes that are printed with values without keys in their braces."""
_MORE_CHARACTERS = re.compile(r"\.\.\. \d+ more characters?")
_PLUS = re.compile(r"\s*\+\s*(?=['\"`])")
_ESCAPE = re.compile(r"\\(u\{[0-9a-fA-F]+\}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|\r\n|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": "", "\r\n": ""}
_REGEX = re.compile(r"/(?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*")
_SYMBOL = re.compile(r"Symbol\([^)\n]*\)")
_ERROR = re.compile(
    r"(?:Uncaught )?(?:[A-Z]\w*)?(?:Error|Exception)\b"
    r"(?:[^\n]*(?:\n(?!\s+at )[^\n]*){0,20}?(?:\n\s+at [^\n]*?(?=,?\n|$| \{))+|[^\n,{}\]]*)"
)


def read_value(text: str, at: int = 0, *, is_cut: bool = False) -> tuple[Any, int]:
    """Read the value that begins at a position, and return it with the position after it. Raises InspectedError.

    With `is_cut`, the text may end anywhere in the value; the part that is there is returned.
    """
    if len(text) - at > CHARACTERS_MAX:
        raise InspectedError("the value is longer than 8 MiB")
    reader = _Reader(text, at, is_cut=is_cut)
    value = reader.value(0)
    return (None if value is _UNDEFINED else value), reader.at


class _Reader:
    """Reader at a position in a text."""

    __slots__ = ("at", "is_cut", "text")

    def __init__(self, text: str, at: int, *, is_cut: bool) -> None:
        self.text = text
        self.at = at
        self.is_cut = is_cut

    def value(self, depth: int) -> Any:
        """Read a value; `depth` counts the objects around it."""
        if depth > DEPTH_MAX:
            raise InspectedError(f"the value is nested more than {DEPTH_MAX} deep")
        self.space()
        character = self.text[self.at : self.at + 1]
        if character in ("'", '"', "`"):
            return self.string()
        if character == "<" and self.take(_REFERENCE):
            return self.value(depth + 1)
        if character == "[" and (marked := self.bracketed(depth)) is not _UNDEFINED:
            return marked
        if character == "{":
            return self.object(depth)
        if character == "[":
            return self.array(depth)
        return self.scalar(depth)

    def scalar(self, depth: int) -> Any:
        """Read a value without quotes and brackets."""
        if match := self.take(_DATE):
            return match[0]
        if match := self.take(_NUMBER):
            return _number(match)
        if match := self.take(_WORD):
            return _WORDS.get(match[0])
        if self.take(_SYMBOL):
            return CUT
        if match := self.take(_CLASS):
            return self.of_class(match[0], depth)
        for pattern in (_ANGLES, _REGEX, _ERROR):
            if self.take(pattern):
                self.properties_of_error(depth)
                return CUT
        raise InspectedError(f"no value at character {self.at + 1}")

    def of_class(self, name: str, depth: int) -> Any:
        """Read the body after a class name; a Map becomes an object, a Set a list."""
        self.space()
        if self.text[self.at] == "[":
            return self.array(depth)
        if name.startswith(_WITHOUT_KEYS):
            return self.items("}", depth)
        return self.object(depth)

    def bracketed(self, depth: int) -> Any:
        """Read brackets that are not a list: marks, boxed values, errors. Returns _UNDEFINED for a list."""
        if self.take(_PROTOTYPE):
            return self.value(depth + 1)
        if self.take(_BOXED):
            value = self.value(depth + 1)
            self.expect("]")
            return value
        if self.take(_MARK):
            return CUT
        if self.take(_ERROR_IN_BRACKETS):
            self.properties_of_error(depth)
            return CUT
        return _UNDEFINED

    def properties_of_error(self, depth: int) -> None:
        """Skip the properties after an error."""
        before = self.at
        self.space()
        if self.text[self.at : self.at + 1] == "{" and "\n" not in self.text[before : self.at]:
            self.object(depth)
        else:
            self.at = before

    def object(self, depth: int) -> dict[str, Any]:
        """Read `{ key: value, … }`, and `{ key => value }` of a Map."""
        self.expect("{")
        fields: dict[str, Any] = {}
        while not self.closes("}"):
            if self.take(_MORE):
                continue
            try:
                name = self.key(depth)
                value = self.value(depth + 1)
                if name is not None and value is not _UNDEFINED:
                    fields[name] = value
                self.comma("}")
            except InspectedError:
                if not self.is_cut:
                    raise
                self.at = len(self.text)
        return fields

    def key(self, depth: int) -> str | None:
        """Read a key with its colon or arrow; returns None for a key that is not a name."""
        if match := self.take(_KEY):
            return match["name"] or match["index"]
        name = self.value(depth + 1)
        self.space()
        if self.text.startswith("=>", self.at):
            self.at += 2
        else:
            self.expect(":")
        return name if isinstance(name, str) else str(name) if isinstance(name, int) else None

    def array(self, depth: int) -> list[Any]:
        """Read `[ value, … ]`, and skip named properties at its end."""
        self.expect("[")
        return self.items("]", depth)

    def items(self, end: str, depth: int) -> list[Any]:
        """Read values up to the closing bracket."""
        if end == "}":
            self.expect("{")
        values = []
        while not self.closes(end):
            try:
                if not self.take(_MORE):
                    is_named = self.take(_KEY) is not None
                    value = self.value(depth + 1)
                    if not is_named:
                        values.append(None if value is _UNDEFINED else value)
                self.comma(end)
            except InspectedError:
                if not self.is_cut:
                    raise
                self.at = len(self.text)
        return values

    def string(self) -> str:
        """Read a string; parts of a long one are joined by `+`."""
        parts = []
        while True:
            end = _STRING_END[self.text[self.at]].match(self.text, self.at + 1)
            if end is None and self.is_cut:
                parts.append(unescaped(self.text[self.at + 1 :]))
                self.at = len(self.text)
                return "".join(parts)
            if end is None:
                raise InspectedError("a text does not end")
            parts.append(unescaped(end[0][:-1]))
            self.at = end.end()
            self.take(_MORE_CHARACTERS)
            if not self.take(_PLUS):
                return "".join(parts)

    def space(self) -> None:
        """Skip white space."""
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Read the text that a pattern matches at the position."""
        match = pattern.match(self.text, self.at)
        if match:
            self.at = match.end()
        return match

    def expect(self, character: str) -> None:
        """Read the given character. Raises InspectedError for any other."""
        self.space()
        if not self.text.startswith(character, self.at):
            raise InspectedError(f"{character} is missing at character {self.at + 1}")
        self.at += 1

    def closes(self, end: str) -> bool:
        """Read a closing bracket if it stands at the position."""
        self.space()
        if self.at >= len(self.text):
            if self.is_cut:
                return True
            raise InspectedError("a value does not end")
        if self.text[self.at] != end:
            return False
        self.at += 1
        return True

    def comma(self, end: str) -> None:
        """Read the comma after a value, which may be missing at the end of the value or of a line."""
        self.space()
        if self.text.startswith(",", self.at):
            self.at += 1
        elif self.at < len(self.text) and self.text[self.at] != end:
            raise InspectedError(f"a comma is missing at character {self.at + 1}")


def unescaped(text: str) -> str:
    """Return a string without the escapes of JavaScript; half surrogate pairs become replacement characters."""
    if "\\" not in text:
        return text
    plain = _ESCAPE.sub(_character, text)
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _character(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] in "ux" and len(code) > 1:
        number = int(code[1:].strip("{}"), 16)
        return chr(number) if number < 0x110000 else "\ufffd"
    return _ESCAPES.get(code, code)


def _number(match: re.Match[str]) -> int | float | None:
    digits = match[0].rstrip("n").replace("_", "")
    if len(digits) > 400:
        return None
    if digits.lower().startswith(("0x", "-0x")):
        return int(digits, 16)
    if any(character in digits for character in ".eE"):
        number = float(digits)
        return number if math.isfinite(number) else None
    return int(digits)
