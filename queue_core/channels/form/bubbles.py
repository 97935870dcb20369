"""Bubbles of a reply: one message for each paragraph, as people write them."""

from __future__ import annotations

import re

SHORT = 60
"""Length below which a paragraph, such as a greeting or a heading, is joined to the next one."""
CHARACTERS_PER_S = 50
"""Speed of typing: fast enough not to annoy, slow enough to be noticed."""

_GAP = re.compile(r"\n[ \t]*\n\s*")
_HEADING = re.compile(r"#{1,6} [^\n]+|(\*\*?)[^*\n]+\1")
"""Line that is a heading in Markdown, or bold as a whole, as headings are in WhatsApp's formatting."""
_LIST = re.compile(r"[ \t]*(?:[-*•☐☑]|\d{1,3}[.)])[ \t]")


def bubbles_of(text: str, bubbles_max: int) -> list[str]:
    """Split a text at its paragraphs; if there are too many, into `bubbles_max` of about the same length.

    Lists and blocks of code stay whole, even with blank lines inside. A paragraph that introduces the next one, with a
    colon or as a heading, stays with it.
    """
    if bubbles_max == 1:
        return [text]
    paragraphs = _joined(_paragraphs(text))
    least = sum(map(len, paragraphs)) / bubbles_max if len(paragraphs) > bubbles_max else 0
    bubbles: list[list[str]] = [[]]
    length = 0
    for index, paragraph in enumerate(paragraphs):
        has_room_for_each = len(paragraphs) - index <= bubbles_max - len(bubbles)
        if bubbles[-1] and (length >= least or has_room_for_each):
            bubbles.append([])
            length = 0
        bubbles[-1].append(paragraph)
        length += len(paragraph)
    return ["\n\n".join(bubble) for bubble in bubbles]


def pause_s(bubble: str, pause_s_max: float) -> float:
    """Return the time for which to show "typing…" before a bubble."""
    return min(pause_s_max, 1 + len(bubble) / CHARACTERS_PER_S)


def _paragraphs(text: str) -> list[str]:
    """Split a text at blank lines outside of blocks of code."""
    paragraphs = [""]
    at = 0
    for gap in _GAP.finditer(text):
        paragraphs[-1] += text[at : gap.start()]
        if paragraphs[-1].count("```") % 2:
            paragraphs[-1] += gap[0]
        else:
            indent = gap[0].rpartition("\n")[2]
            paragraphs.append(indent)
        at = gap.end()
    paragraphs[-1] += text[at:]
    return [paragraph.rstrip() for paragraph in paragraphs if paragraph.strip()]


def _joined(paragraphs: list[str]) -> list[str]:
    """Join the items of a list, and paragraphs that belong to the one after them."""
    joined: list[list[str]] = []
    is_list = False
    for paragraph in paragraphs:
        last = joined[-1][-1] if joined else ""
        starts_item = _LIST.match(paragraph) is not None
        is_list, goes_on = starts_item or (is_list and paragraph[0] in " \t"), is_list
        if last and (_introduces(last) or (goes_on and is_list)):
            joined[-1].append(paragraph)
        else:
            joined.append([paragraph])
    return ["\n\n".join(group) for group in joined]


def _introduces(paragraph: str) -> bool:
    """Return True for a paragraph that stays with the next one."""
    return (
        len(paragraph) < SHORT
        or paragraph.endswith((":", "：", ":*", "：*"))
        or _HEADING.fullmatch(paragraph) is not None
    )
