"""Distinction between a tag or token that a model emits and one about which its text speaks.

A mark in a code span or in a fenced block is quoted, and stays as text. So is a mark in quotation marks or brackets,
one in a quoted phrase that ends in the same line, and one that is a word of a sentence: "The <think> tag hides the
reasoning." In doubt, the user sees the text.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from itertools import islice

CODE_MAX = 2_000
"""Limit on fences, and on runs of backticks, that are looked at; after the last one no text counts as code."""

_FENCE = re.compile(
    r"\n[ \t]{0,3}(`{3,}|~{3,})([^\n`]*)(?=\n|\Z)"
)  # a literal first character makes the search fast
_TICKS = re.compile(r"`+")
_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_LIST_ITEM = re.compile(r"(?:[>#*•–-]|\d{1,3}[.)])+")
_SENTENCE_ENDS = ".!?…؟。！？"
_OPENING = "\"'“”‘’«‹„(*_"
_CLOSING = "\"'“”‘’»›)*_"
CLOSING_QUOTES = tuple("\"'“”’»›」』")
_PUNCTUATION = ".,;:!?)…،؛؟。，"
_LINE_MAX = 400
"""Limit on characters before a mark, and after one, that are looked at."""
_PHRASE_OPENS = r"(?<![^\s(\[{:=,*_~/،؛—–-])"
"""Pattern of the place where a straight quotation mark opens a phrase: a beginning, or after these characters."""
_PHRASES = {
    '"': (rf"{_PHRASE_OPENS}\"(?!\s)[^\"]*+\Z", r"[^\"]*+(?<!\s)\"(?!\w)"),
    "'": (
        rf"{_PHRASE_OPENS}'(?!\s)[^']*+(?:(?<=\w)'(?=\w)[^']*+)*\Z",
        r"[^']*+(?:(?<=\w)'(?=\w)[^']*+)*(?<!\s)'(?!\w)",
    ),
    "‘": (r"‘[^‘’]*+(?:(?<=\w)’(?=\w)[^‘’]*+)*\Z", r"[^‘’]*+(?:(?<=\w)’(?=\w)[^‘’]*+)*’(?!\w)"),
    **{
        opening: (rf"{opening}[^{opening}{closing}]*+\Z", rf"[^{opening}{closing}]*+{closing}")
        for opening, closing in ("“”", "«»", "‹›", "「」", "『』")
    },
    "„": ("„[^„“”]*+\\Z", "[^„“”]*+[“”]"),
}
"""Patterns of a quoted phrase before and after a mark in it, by the quotation mark that opens it. An apostrophe inside
a word does not end it."""
_PHRASE_PATTERNS = {
    opening: (re.compile(before), re.compile(after)) for opening, (before, after) in _PHRASES.items()
}
_APOSTROPHES_MAX = 8
"""Limit on apostrophes between a mark and the quotation mark that opens its phrase."""


class Fence:
    """Fenced block, from its first line to its last line."""

    def __init__(self, text: str, opened: re.Match[str], closed: re.Match[str] | None) -> None:
        self.start = opened.start()  # in `text`: the match is in a text with a line break before it
        self.end = closed.end() - 1 if closed else len(text)
        self.body_start = min(opened.end(), self.end)
        self.body_end = max(closed.start() if closed else len(text), self.body_start)
        self.label = opened[2].strip().lower()


class Code:
    """Code in a Markdown text: fenced blocks and code spans. They are found when first asked for."""

    def __init__(self, text: str) -> None:
        self._text = text

    def holds(self, at: int) -> bool:
        """Return True if the character at this index is code."""
        index = bisect_right(self._ranges, at, key=_first) - 1
        return index >= 0 and at < self._ranges[index][1]

    def fence_around(self, at: int) -> Fence | None:
        """Return the fenced block that holds the character at this index."""
        index = bisect_right(self.fences, at, key=lambda fence: fence.start) - 1
        return self.fences[index] if index >= 0 and at < self.fences[index].end else None

    @cached_property
    def fences(self) -> list[Fence]:
        """Fenced blocks, in order."""
        text = self._text
        return list(_fences(text)) if has_any(text, "```", "~~~") else []

    @cached_property
    def _ranges(self) -> list[tuple[int, int]]:
        spans = _spans(self._text, self.fences) if "`" in self._text else ()
        return sorted([*((fence.start, fence.end) for fence in self.fences), *spans])


def _first(pair: tuple[int, int]) -> int:
    return pair[0]


def _fences(text: str) -> Iterator[Fence]:
    opened: re.Match[str] | None = None
    for line in islice(_FENCE.finditer(f"\n{text}"), CODE_MAX):
        if opened is None:
            opened = line
        elif line[1].startswith(opened[1]) and not line[2].strip():
            yield Fence(text, opened, line)
            opened = None
    if opened is not None:
        yield Fence(text, opened, None)


def _spans(text: str, fences: list[Fence]) -> Iterator[tuple[int, int]]:
    """Yield code spans outside of fences: from a run of backticks to the paragraph's next run of that length."""
    borders = sorted([end for fence in fences for end in (fence.start, fence.end)])
    ticks = islice(_TICKS.finditer(text), CODE_MAX)
    runs = [run.span() for run in ticks if not bisect_right(borders, run.start()) % 2]
    breaks = [match.start() for match in _PARAGRAPH.finditer(text, 0, runs[-1][1])] if runs else []
    following: dict[int, int] = {}
    closing: list[int | None] = [None] * len(runs)
    for index in range(len(runs) - 1, -1, -1):
        length = runs[index][1] - runs[index][0]
        closing[index] = following.get(length)
        following[length] = index
    index = 0
    while index < len(runs):
        close = closing[index]
        if close is not None and _are_near(runs[index][0], runs[close][0], borders, breaks):
            yield runs[index][0], runs[close][1]
            index = close
        index += 1


def _are_near(start: int, end: int, *borders: list[int]) -> bool:
    return all(bisect_right(border, start) == bisect_right(border, end) for border in borders)


def has_any(text: str, *parts: str) -> bool:
    """Return True if a text has one of these parts. One character is searched much faster than several."""
    return any(part[0] in text and part[-1] in text and part in text for part in parts)


COUNTED_AT_ONCE = 32_768
"""Number of characters whose signs are counted at once."""


def end_of_signs(text: str, count: int, *signs: str) -> int:
    """Return the index of the sign after the first `count` ones; the end of the text if there are not more.

    Up to this index, a search that looks at each sign takes limited time.
    """
    left, start, step = count, 0, COUNTED_AT_ONCE
    while step:  # to count is much faster than to find each sign
        end = start + step
        found = sum(text.count(sign, start, end + len(sign) - 1) for sign in signs)
        if found > left:
            step //= 2
        elif end < len(text):
            start, left = end, left - found
        else:
            return len(text)
    return start


def is_quoted(text: str, start: int, end: int) -> bool:
    """Return True if the mark from `start` to `end` is a word of a sentence, or stands in quotes or brackets."""
    before, after = text[start - 1 : start], text[end : end + 1]
    if before and before in _OPENING and after and after in _CLOSING:
        return True
    return before in (" ", "\t", "(") and not begins_line(text, start) and continues(text, end)


def is_in_phrase(text: str, start: int, end: int) -> bool:
    """Return True if a quotation mark opens before the mark from `start` to `end` in its line, and closes after it."""
    before = text[max(0, start - _LINE_MAX) : start]
    before = before[before.rfind("\n") + 1 :]
    after = text[end : end + _LINE_MAX].partition("\n")[0]
    return any(
        opening in before and _opens(opening, opened, before) and closed.match(after) is not None
        for opening, (opened, closed) in _PHRASE_PATTERNS.items()
    )


def _opens(quote: str, pattern: re.Pattern[str], before: str) -> bool:
    """Return True if the last such quotation mark opens a phrase; apostrophes are passed over."""
    at = len(before)
    for _ in range(_APOSTROPHES_MAX):
        at = before.rfind(quote, 0, at)
        if at < 0 or pattern.match(before, at):
            return at >= 0
        if not (quote == "'" and before[at - 1 : at].isalnum() and before[at + 1 : at + 2].isalnum()):
            return False
    return False


def begins_line(text: str, start: int) -> bool:
    """Return True if `start` begins its line or its sentence; the mark of a list may stand before it."""
    line = text[max(0, start - _LINE_MAX) : start]
    line = line[line.rfind("\n") + 1 :].strip()
    return not line or line[-1] in _SENTENCE_ENDS or _LIST_ITEM.fullmatch(line) is not None


def continues(text: str, end: int) -> bool:
    """Return True if a sentence continues after `end`: with punctuation, or with a space and no capital letter."""
    after = text[end : end + 2]
    if after[:1] in _PUNCTUATION:
        return bool(after)
    goes_on = after[1:].isalnum() and not after[1:].isupper()
    return after[:1] in (" ", "\t") and (goes_on or after[1:] in ("(", "=", "|", "-", "–", "—"))
