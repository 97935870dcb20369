"""Citation marks that models and their services leave in an answer; an app would have turned them into links."""

from __future__ import annotations

import re
from itertools import islice

from queue_core.ai.reply.quoting import Code, end_of_signs, is_quoted

CITATIONS_MAX = 1_000
"""Limit on citation marks that are removed; later ones stay."""
SIGNS_MAX = 6_000
"""Limit on brackets that are looked at."""

_MARKS_BEGIN = {
    "†": ("†",),
    "\ue200": ("\ue200",),
    "[": ("[oaicite", "[cit", "[CIT", "[^"),
    "<": ("<co", "</co", "<grok:"),
}
"""Beginnings of the marks, by first character. A text without any of them has no mark, which is quick to check."""
_CITATION = re.compile(  # each alternative begins with a literal, which makes the search fast
    r"【\d{1,3}(?::\d{1,3})?†[^【】\n]{0,200}】"  # OpenAI's file search, and gpt-oss
    r"|:contentReference\[oaicite:\d{1,4}\](?:\{index=\d{1,4}\})?"
    r"|\ue200[^\ue200\ue201\n]{0,300}\ue201"  # ChatGPT's search
    r"|\[(?:oaicite:\d{1,4}\](?:\{index=\d{1,4}\})?"
    r"|\[?(?:cite|citation|CITATION): ?\d[\d, -]{0,100}\]{1,2}"  # Gemini, DeepSeek's search
    r"|\^\d{1,3}\^\](?:\[\d{1,3}\])?"  # Kimi's and Bing's search
    r"|(?P<gemini>cite_(?:start|end)\]))"
    r"|<(?:grok:render\b[^<>]{0,300}>[^<]{0,1000}+(?:<(?!/?grok:)[^<]{0,1000}+){0,20}</grok:render>"
    r"|(?P<cohere>/?co(?:: ?\d[\d:,\[\] ]{0,100})?>))"
)
_OPENING, _CLOSING = tuple("\"'“”‘«"), tuple("\"'“”’»")
_SPACE_BEFORE = re.compile(r"[\s.,;:!?)…،؛؟。，]|\Z")
"""Text before which the space is removed together with a mark."""


def without_citations(text: str, code: Code) -> str:
    """Return the text without citation marks; marks in code and in quotation marks stay.

    A mark with numbers stays only directly between quotation marks, since sentences hardly speak about such marks.
    """
    begins = [begin for first, begins in _MARKS_BEGIN.items() if first in text for begin in begins]
    last = end_of_signs(text, SIGNS_MAX, "[", "<", "【", "\ue200") if begins else 0
    if all(text.find(begin, 0, last) < 0 for begin in begins):
        return text
    kept, at = [""], 0
    found = _CITATION.finditer(text, 0, last)
    for mark in islice(found, CITATIONS_MAX):
        start, end = mark.span()
        is_word = mark["gemini"] or mark["cohere"]
        is_in_quotes = text[start - 1 : start] in _OPENING and text[end : end + 1] in _CLOSING
        if code.holds(start) or is_in_quotes or (is_word and is_quoted(text, start, end)):
            continue
        kept += [text[at:start]] if start > at else []  # nothing stands between neighbours
        if _SPACE_BEFORE.match(text, end):
            kept[-1] = kept[-1].removesuffix(" ")
        at = end
    return "".join([*kept, text[at:]])
