"""Text and pairs of a paragraph's tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate

from markdown_it.token import Token

from queue_core.channels.form import html_tags
from queue_core.channels.form.dunders import is_code

_NAME = re.compile(r"[A-Za-z0-9_]+")


class Text:
    """Visible text of tokens, indexed so that questions about a part of it take constant time."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._texts = [_visible(token) for token in tokens]
        self._lengths = list(accumulate(map(len, self._texts), initial=0))
        self._last = list(accumulate(self._texts, lambda last, text: text[-1:] or last, initial=""))
        self._first = list(
            accumulate(reversed(self._texts), lambda first, text: text[:1] or first, initial="")
        )[::-1]

    @cached_property
    def _letters(self) -> list[int]:
        return list(accumulate((any(map(str.isalpha, text)) for text in self._texts), initial=0))

    def last_before(self, index: int) -> str:
        """Return the last character before the token at `index`; "" at the beginning."""
        return self._last[index]

    def first_from(self, index: int) -> str:
        """Return the first character of the token at `index` or those after it; "" at the end."""
        return self._first[index]

    def length(self, opening: int, closing: int) -> int:
        """Return the number of characters between two tokens."""
        return self._lengths[closing] - self._lengths[opening + 1]

    def has_letters(self, opening: int, closing: int) -> bool:
        """Return True if a letter stands between two tokens."""
        return self._letters[closing] > self._letters[opening + 1]

    def is_name(self, opening: int, closing: int, *, is_word_bold: bool) -> bool:
        """Return True if a name from code stands between two tokens, such as the `init` of `__init__`.

        Without `is_word_bold`, every single word counts as such a name, and none as bold.
        """
        if closing != opening + 2 or not _NAME.fullmatch(self._texts[opening + 1]):
            return False
        beside = (
            self.last_before(opening),
            self._texts[closing + 1][:2] if closing + 1 < len(self._texts) else "",
        )
        return not is_word_bold or is_code(self._texts[opening + 1], *beside)

    def between(self, opening: int, closing: int) -> str:
        """Return the text between two tokens."""
        return "".join(self._texts[opening + 1 : closing])


def partners_of(tokens: Sequence[Token]) -> dict[int, int]:
    """Return, for each token of a pair in Markdown or HTML, the index of the other token."""
    partners: dict[int, int] = {}
    waiting: dict[str, list[int]] = {}
    for index, token in enumerate(tokens):
        name, nesting = token.type.rpartition("_")[0], token.nesting
        if token.type == "html_inline":
            tag, closes = html_tags.tag_of(token.content)
            name = f"<{tag}"
            nesting = 0 if tag not in html_tags.PAIRS else -1 if closes else 1
        if nesting > 0:
            waiting.setdefault(name, []).append(index)
        elif nesting < 0 and waiting.get(name):
            opening = waiting[name].pop()
            partners[opening], partners[index] = index, opening
    return partners


def _visible(token: Token) -> str:
    if token.type in ("softbreak", "hardbreak"):
        return "\n"
    return "" if token.type == "html_inline" else token.content
