"""Parts of a long reply: each within a channel's limit, cut where a reader would pause.

A part ends between paragraphs, else lines, else sentences, else words, if possible in the second half of the allowed
length. It does not end inside code, a link or a pair of marks that fits into one part. Longer ones are closed at the
end of the part and opened again in the next.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from queue_core.channels.form.graphemes import border_before

_SPANS = re.compile(
    r"(?P<block>```.+?```)"
    r"|(?P<code>`[^`\n]+`)"
    r"|(?P<link>\(?(?:https?://|www\.)[^\s<>]+)"
    r"|(?<![^\W_])(?P<marks>\*(?=\S)[^*\n]*[^\s*]\*|_(?=\S)[^_\n]*[^\s_]_|~(?=\S)[^~\n]*[^\s~]~)(?![^\W_])",
    re.DOTALL,
)
_CLOSINGS = r"[\"'”’»)\]*_~]{0,4}"
_ABBREVIATION = re.compile(
    r"(?:^|[^\w.])(?:[^\W\d_]|\d{1,3}|mrs?|ms|dr|prof|st|vs|etc|e\.g|i\.e|approx|no|nr|tel|inc|ltd|co|sra?|dra?|av|bzw"
    r"|ca|z\.b|p\.ej|p\.ex|art|fig|min|max)\.\Z",
    re.IGNORECASE,
)
_BREAKS = (
    re.compile(r"\n[ \t]*\n\s*"),
    re.compile(r"\n\s*"),
    re.compile(rf"[.!?…؟۔।]{_CLOSINGS}\s+|[。！？]{_CLOSINGS}\s*"),
    re.compile(r"[,;:،؛]\s+|[、，；]\s*"),
    re.compile(r"\s+"),
)
"""Patterns of places to cut at, the best first."""
_SENTENCE = _BREAKS[2]


def units(text: str) -> int:
    """Return the length of a text in UTF-16 code units.

    Providers limit "characters" without defining them; no definition gives a higher count than code units.
    """
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def split(text: str, units_max: int) -> list[str]:
    """Split a text into parts of at most `units_max` code units. The same text is always split in the same way."""
    if units(text) <= units_max:
        return [text]
    return list(_Splitter(text, units_max).parts())


@dataclass(frozen=True, slots=True)
class _Span:
    """Range of the text that should not be cut."""

    start: int
    end: int
    opening: str
    closing: str


class _Splitter:
    """Splitter of one text."""

    def __init__(self, text: str, units_max: int) -> None:
        self._text = text = text.rstrip()
        self._max = units_max
        self._spans = list(_spans(text))
        self._starts = [span.start for span in self._spans]

    def parts(self) -> Iterator[str]:
        """Yield the parts in order."""
        at, opening = self._after_spaces(0), ""
        while at < len(self._text):
            limit = self._reach(at, self._max - len(opening))
            if limit == len(self._text):
                yield opening + self._text[at:]
                return
            end, following = self._cut(at, limit)
            span = self._span_at(end)
            if span and end < len(self._text):  # it is longer than a part
                room = self._max - len(opening) - len(span.closing)
                end, following = self._cut_inside(span, at, min(self._reach(at, room), span.end))
            part = opening + self._text[at:end].rstrip() + (span.closing if span else "")
            opening = span.opening if span else ""
            at = following if span else self._after_spaces(following)
            yield part

    def _after_spaces(self, index: int) -> int:
        while index < len(self._text) and self._text[index].isspace():
            index += 1
        return index

    def _reach(self, start: int, room: int) -> int:
        """Return the index up to which a text from `start` on fits into `room` units."""
        end = min(start + room, len(self._text))
        while (excess := units(self._text[start:end]) - room) > 0:
            end -= (excess + 1) // 2
        return max(end, start + 1)

    def _span_at(self, index: int) -> _Span | None:
        """Return the span that a cut at `index` would break."""
        number = bisect_right(self._starts, index) - 1
        span = self._spans[number] if number >= 0 else None
        return span if span and span.start < index < span.end else None

    def _cut(self, start: int, limit: int) -> tuple[int, int]:
        """Return the end of the part that begins at `start`, and the beginning of the next one."""
        middle = start + (limit - start) // 2
        for begin, end in ((middle, limit), (start, middle)):
            for pattern in _BREAKS:
                if cut := self._last(pattern, begin, end, start):
                    return cut
            border = border_before(self._text, self._free_before(end), begin)
            if border is not None and not self._span_at(border):
                return border, border
        return limit, limit

    def _free_before(self, index: int) -> int:
        """Return `index`, or the beginning of the span that stands there."""
        span = self._span_at(index)
        return span.start if span else index

    def _last(self, pattern: re.Pattern[str], begin: int, end: int, start: int) -> tuple[int, int] | None:
        """Return the last possible cut between two indexes: the end of a part, and the start of the next."""
        last = None
        for match in pattern.finditer(self._text, begin, min(end + 1, len(self._text))):
            stop = self._end_of(match)
            if (
                start < stop <= end
                and not self._breaks(stop, match.end())
                and not self._is_abbreviated(pattern, match)
            ):
                last = stop, match.end()
        return last

    def _end_of(self, match: re.Match[str]) -> int:
        return match.start() + len(match[0].rstrip())

    def _breaks(self, stop: int, following: int) -> bool:
        return self._span_at(stop) is not None or self._span_at(following) is not None

    def _is_abbreviated(self, pattern: re.Pattern[str], match: re.Match[str]) -> bool:
        if pattern is not _SENTENCE or not match[0].startswith("."):
            return False
        before = self._text[max(match.start() - 12, 0) : match.start() + 1]
        return _ABBREVIATION.search(before) is not None

    def _cut_inside(self, span: _Span, start: int, limit: int) -> tuple[int, int]:
        """Return the cut inside a span that is longer than a part: after a line or a word, else anywhere."""
        for mark in ("\n", " "):
            at = self._text.rfind(mark, max(start, span.start + len(span.opening)) + 1, limit)
            if at > start:
                return at, at + 1
        at = border_before(self._text, limit, start) or limit
        return at, at


def _spans(text: str) -> Iterator[_Span]:
    """Yield code, links and pairs of marks, none of which overlap."""
    for match in _SPANS.finditer(text):
        opening = closing = ""
        if match["block"]:
            opening, closing = "```\n", "\n```"
        elif match["code"] or match["marks"]:
            opening = closing = match[0][0]
        yield _Span(match.start(), match.end(), opening, closing)
