"""Records of tool calls in brackets, which a flow or an agent keeps in its memory, and which models imitate as text.

They come from n8n ("[Used tools: Tool: …]"), OpenClaw ("[Tool Call: …]", "[Historical context: …]"), Memoh, clients of
MCP ("[Calling tool hours with args {…}]") and bridges that write calls as text ("[Called tool: …]", "[Tool Use: …]").
"""

from __future__ import annotations

import re
from itertools import islice

from queue_core.ai.loose_json import read_clean
from queue_core.ai.reply.quoting import Code, end_of_signs

RECORDS_MAX = 20
"""Limit on records that are looked at."""
CHARACTERS_MAX = 20_000
"""Limit on the length of a record, and of a value below one."""
SIGNS_MAX = 10_000
"""Limit on brackets that are looked at."""
BRACKETS_MAX = 500
"""Limit on brackets in a record."""

_RECORD = re.compile(
    r"\[(?:Used tools: Tool: |Historical context: a different model called tool |Tool Result for ID "
    r"|Previous assistant tool use\]"
    r"|(?i:tool (?:call|result|output): |(?:tool use|call(?:ed|ing) tools?)(?:: | )[\w.-]{1,80}(?=[\](,{]| with | \()))"
)
_BRACKET = re.compile(r"[\[\]]|(?<=[{\[:,])\s?\"[^\"\\\n]*+(?:\\.[^\"\\\n]*+)*\"(?=\s?[,}\]:])")
"""Bracket, or a string of JSON, whose brackets do not count."""
_LABEL = re.compile(
    r"(?:\s{0,9}\n(?:Arguments|Tool|Input|Result|Output):| with (?:args|arguments|input):?)[ \t]{0,9}"
)
_INDENT = 80
"""Limit on spaces before a record."""


def without_records(text: str, code: Code) -> str:
    """Return the text without the records that begin a line, and without the values below them. Code stays."""
    if "[" not in text or ("ool" not in text and "OOL" not in text):
        return text
    parts, at = [], 0
    for record in islice(_RECORD.finditer(text, 0, end_of_signs(text, SIGNS_MAX, "[")), RECORDS_MAX):
        start = record.start()
        before = text[max(0, start - _INDENT) : start]
        if start < at or before[before.rfind("\n") + 1 :].strip() or code.holds(start):
            continue
        parts.append(text[at:start])
        at = _end_of_values(text, _end_of_brackets(text, start), record[0])
    return beside(*parts, text[at:]) if parts else text


def beside(*parts: str) -> str:
    """Return the texts around parts that were removed, each on its own lines."""
    return "\n".join(part.strip() for part in parts if part.strip())


def _end_of_values(text: str, at: int, record: str) -> int:
    """Return the index after the values below a record: the result of a tool, or a value after each label."""
    if record.startswith("[Tool Result for"):
        return _end_of_value(text, at, "\n\n")
    while label := _LABEL.match(text, at):
        at = _end_of_value(text, label.end(), "\n")
    return at


def _end_of_value(text: str, at: int, border: str) -> int:
    """Return the index after the JSON at `at`; without JSON, that of the border after it."""
    value_text = text[at : at + CHARACTERS_MAX]
    bare = value_text.lstrip()
    value = read_clean(bare, 0)
    if value is not None:
        return at + len(value_text) - len(bare) + value.end
    end = value_text.find(border)
    return at + (end if end >= 0 else len(value_text))


def _end_of_brackets(text: str, start: int) -> int:
    """Return the index after the bracket that closes the one at `start`; without one, the end of the line."""
    depth, last = 0, text.rfind("]", start, start + CHARACTERS_MAX) + 1
    for bracket in islice(_BRACKET.finditer(text, start, last), BRACKETS_MAX):
        depth += {"[": 1, "]": -1}.get(bracket[0], 0)
        if not depth:
            return bracket.end()
    end = text.find("\n", start, start + CHARACTERS_MAX)
    return end if end >= 0 else min(len(text), start + CHARACTERS_MAX)
