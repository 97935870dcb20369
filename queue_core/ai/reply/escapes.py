r"""Escapes of JSON that a flow left in a plain text: `We open at nine.\nAsk us.` with a backslash and an n."""

from __future__ import annotations

import re

import msgspec

from queue_core.ai.reply.quoting import Code

CHARACTERS_MAX = 65_536
"""Limit on the length; a longer text stays."""

_ESCAPE = re.compile(r"\\(?:[nrt\"/\\]|u[0-9a-fA-F]{4})")
_ESCAPED = r"\\" + '"'
_BREAK = re.compile(r"(?:\\r)?\\n")
_QUOTE = re.compile(r'(?<!\\)"')
_BETWEEN_LINES = re.compile(
    r"(?<=[.!?:…؟。！？،,)\]*_\"'»”\u2600-\U0010ffff])(?:(?:\\r)?\\n)+(?=[^\s\"'`)\]»”,.;\\]|\\(?!\")|\Z)"
    r"|\\n(?:\\r)?\\n(?=\S|\Z)"
    r"|(?<=\S)\\n(?=(?:[-*•–]|\d{1,3}[.)])[ \t])"
)
"""Line breaks where one line ends and another begins: after punctuation, two in a row, or before an item of a list."""
_COMMAND = re.compile(
    r"\\n(?:abla|atural|cong|earrow|eg|eq|e|ewcommand|ewline|exists|geq?|gtr|i|leq?|less|mid|oindent|olimits|onumber"
    r"|otin|ot|parallel|subseteq|u|warrow)(?![a-zA-Z])"
    r"|\\(?:t(?:imes|ext|heta|an|au|op?|frac|riangle)|r(?:ho|ight|angle))|(?<![A-Za-z])[A-Za-z]:\\|\\\\"
)
"""Commands of LaTeX that begin like an escape, a path of Windows, and an escaped backslash."""


def without_escapes(text: str, code: Code) -> str:
    r"""Return the text with line breaks in the place of `\n`, if it is one line that a flow has escaped.

    A text with a line break of its own, with another backslash, with a path or with LaTeX stays, and so does one which
    speaks of `\n`.
    """
    if "\\n" not in text or "\n" in text or len(text) > CHARACTERS_MAX:
        return text
    if (
        _COMMAND.search(text)
        or not _BETWEEN_LINES.search(text)
        or text.count("\\") != len(_ESCAPE.findall(text))
    ):
        return text
    if any(code.holds(found.start()) for found in _BREAK.finditer(text)):
        return text
    try:
        return str(msgspec.json.decode(f'"{_QUOTE.sub(_ESCAPED, text)}"')).replace("\r\n", "\n").strip()
    except msgspec.DecodeError:
        return text
