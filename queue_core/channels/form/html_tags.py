"""HTML tags that count as formatting if they are a pair; all others are text."""

from __future__ import annotations

import re
from typing import Literal

Style = Literal["bold", "italic", "strike"]

STYLES: dict[str, Style] = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "s": "strike",
    "del": "strike",
    "strike": "strike",
}
HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
BLOCKS = frozenset(("p", "div", "ul", "ol", "li", *HEADINGS))
"""Tags whose text stands in lines of its own."""
CODE = frozenset(("code", "tt", "kbd", "samp"))
IGNORED = frozenset(("u", "ins", "sup", "sub", "span", "font", "mark", "small", "big", "center"))
"""Tags that are left out."""
PAIRS = frozenset(("a", *STYLES, *BLOCKS, *CODE, *IGNORED))

_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]{0,9})(?:\s[^>]*)?/?>")
_HREF = re.compile(r"\shref\s*=\s*[\"']?([^\s\"'>]+)", re.IGNORECASE)


def tag_of(text: str) -> tuple[str, bool]:
    """Return the name of a tag, and True if it closes; "" for anything else."""
    tag = _TAG.fullmatch(text)
    return (tag[2].lower(), bool(tag[1])) if tag else ("", False)


def href_of(text: str) -> str:
    """Return the target of an `<a>`; "" without one."""
    href = _HREF.search(text)
    return href[1] if href else ""
