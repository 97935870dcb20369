"""Text of a Markdown paragraph in WhatsApp's formatting: `*bold*`, `_italic_`, `~strike~`, `` `code` ``, bare links.

WhatsApp reads a mark only at the border of a word, without a space after it, and within one line. So a pair of marks
that crosses lines is closed and opened again at each line break. A pair inside a word loses its marks, or stays as it
was written if it may be arithmetic or a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Literal, NamedTuple

from markdown_it.token import Token

from queue_core.channels.form.dunders import is_code
from queue_core.channels.form.links import address_of, is_named_by

Style = Literal["bold", "italic", "strike"]

MARKS: dict[Style, str] = {"bold": "*", "italic": "_", "strike": "~"}
"""Marks of WhatsApp, outermost first."""

_ALL_MARKS = frozenset(MARKS.values())

URL = re.compile(
    r"(?:https?://|www\.)[^\s<>`]+|[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}", re.IGNORECASE
)
"""Web and mail addresses in a text. A mark beside an address would become a part of it, so it is never styled."""

_STYLES: dict[str, Style] = {"strong": "bold", "em": "italic", "s": "strike"}
_TAGS: dict[str, Style] = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "s": "strike",
    "del": "strike",
    "strike": "strike",
}
_CODE_TAGS = frozenset(("code", "tt", "kbd", "samp"))
_BARE_TAGS = frozenset(
    ("u", "ins", "sup", "sub", "span", "font", "mark", "small", "big", "center", "p", "div")
)
"""Tags in pairs that are left out."""
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]{0,9})(?:\s[^>]*)?/?>")
_HREF = re.compile(r"\shref\s*=\s*[\"']?([^\s\"'>]+)", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9_]+")
_LOOSE_BOLD = re.compile(
    r"\*\*(?=[^\s*])(?=[^*\n]{0,500}[^\W\d_])([^*\n]{0,500}[^\w\s*]|[^\w\s*][^*\n]{0,500}[^\s*])\*\*"
)
"""Bold that CommonMark does not recognise, since a letter follows its punctuation: `**Note:**text`."""
_FOOTNOTE = re.compile(r"\[\^([^\s\]]{1,40})\]")


class Piece(NamedTuple):
    """Piece of a text. A fixed piece, such as code, is never styled."""

    text: str
    styles: frozenset[Style] = frozenset()
    is_fixed: bool = False


@dataclass(frozen=True, slots=True)
class Dialect:
    """Options for reading and writing a document."""

    stars_are_italic: bool
    """True if the document has signs that only Markdown has; otherwise `*x*` is WhatsApp's bold, and stays."""
    has_marks: bool = True
    """False to leave out all marks."""
    footnotes: frozenset[str] = frozenset()
    """Labels of the footnotes that the document defines."""


def lines_of(children: Sequence[Token], dialect: Dialect, *, style: Style | None = None) -> list[str]:
    """Return the lines of a paragraph, or of a heading, whose text has `style`."""
    pieces = _Reader(children, dialect).pieces()
    lines: list[list[Piece]] = [[]]
    for piece in pieces:
        if piece.text == "\n":
            lines.append([])
            continue
        styles = piece.styles | {style} if style else piece.styles
        lines[-1].extend(_styled(piece, styles if dialect.has_marks else frozenset()))
    return [_written(_apart(line)) for line in lines]


def has_loose_bold(text: str) -> bool:
    """Return True if the text has bold that CommonMark does not recognise. Its marks are dropped later."""
    return "**" in text and _LOOSE_BOLD.search(text) is not None


def _styled(piece: Piece, styles: frozenset[Style]) -> Iterator[Piece]:
    """Yield the parts of a piece: addresses without its styles, all else with them."""
    if piece.is_fixed or not styles:
        yield Piece(piece.text)
        return
    at = 0
    for address in URL.finditer(piece.text):
        yield _with_free_styles(piece.text[at : address.start()], styles)
        yield Piece(address[0])
        at = address.end()
    yield _with_free_styles(piece.text[at:], styles)


def _with_free_styles(text: str, styles: frozenset[Style]) -> Piece:
    """Return a piece without styles whose mark occurs in the text, where WhatsApp would read it as their end."""
    return Piece(text, frozenset(style for style in styles if MARKS[style] not in text))


def _apart(pieces: list[Piece]) -> list[Piece]:
    """Return the pieces of a line without styles that would stand next to their own mark in the text."""
    kept = []
    for index, piece in enumerate(pieces):
        before = pieces[index - 1].text[-1:] if index else ""
        after = pieces[index + 1].text[:1] if index + 1 < len(pieces) else ""
        if piece.styles and (before in _ALL_MARKS or after in _ALL_MARKS):
            free = frozenset(style for style in piece.styles if MARKS[style] not in (before, after))
            piece = Piece(piece.text, free)  # noqa: PLW2901 - the same piece with fewer styles
        kept.append(piece)
    return kept


def _written(pieces: list[Piece]) -> str:
    """Return a line with marks around its styled pieces; spaces stand outside of the marks."""
    written: list[str] = []
    is_open: list[Style] = []
    space = ""
    for piece in pieces:
        body = piece.text.strip(" \t\u00a0")
        if not body:
            space += piece.text
            continue
        lead = piece.text[: piece.text.index(body[0])]
        while is_open and not piece.styles.issuperset(is_open):
            written.append(MARKS[is_open.pop()])
        written.append(space + lead)
        for style, mark in MARKS.items():
            if style in piece.styles and style not in is_open:
                is_open.append(style)
                written.append(mark)
        written.append(body)
        space = piece.text[len(lead) + len(body) :]
    written += [MARKS[style] for style in reversed(is_open)]
    return "".join(written) + space


class _Reader:
    """Reader of the tokens of one paragraph."""

    def __init__(self, children: Sequence[Token], dialect: Dialect) -> None:
        self._tokens = children
        self._dialect = dialect
        self._styles: dict[Style, int] = dict.fromkeys(MARKS, 0)
        self._open_styles: frozenset[Style] = frozenset()
        self._pieces: list[Piece] = []

    @cached_property
    def _text(self) -> _Text:
        return _Text(self._tokens)

    @cached_property
    def _partners(self) -> dict[int, int]:
        return _partners(self._tokens)

    def pieces(self) -> list[Piece]:
        """Return the pieces of the whole paragraph."""
        self._read_all(0, len(self._tokens))
        return self._pieces

    def _read_all(self, start: int, end: int) -> None:
        while start < end:
            start = self._read(start)

    def _add(self, text: str, *, is_fixed: bool = False) -> None:
        if text:
            self._pieces.append(Piece(text, self._open_styles, is_fixed))

    def _count(self, style: Style, change: int) -> None:
        """Note that a style opens or closes."""
        self._styles[style] += change
        self._open_styles = frozenset(style for style, count in self._styles.items() if count)

    def _read(self, index: int) -> int:
        """Read the token at `index`, and return the index of the next one."""
        token = self._tokens[index]
        match token.type:
            case "softbreak" | "hardbreak":
                self._add("\n", is_fixed=True)
            case "text":
                text = _LOOSE_BOLD.sub(r"\1", token.content) if "**" in token.content else token.content
                self._add(_with_footnotes(text, self._dialect.footnotes))
            case "text_special":
                self._add(_literal(token))
            case "formula":
                self._formula(token.content)
            case "code_inline":
                self._add(_code(token) if self._dialect.has_marks else token.content, is_fixed=True)
            case "image":
                self._image(token)
            case "link_open":
                return self._link(index)
            case "html_inline":
                self._tag(index)
            case _:
                self._pair(index)
        return index + 1

    def _pair(self, index: int) -> None:
        """Open or close a style, or leave its marks as they are written."""
        token = self._tokens[index]
        partner = self._partners.get(index, index)
        style = _STYLES[token.type.rpartition("_")[0]]
        meaning = self._meaning(min(index, partner), max(index, partner))
        if meaning == "marks":
            self._add(token.markup)
        elif meaning == "style":
            self._count(style, token.nesting)

    def _meaning(self, opening: int, closing: int) -> Literal["style", "marks", "nothing"]:
        """Return what a pair of marks becomes: a style, the marks themselves, or nothing."""
        markup, text = self._tokens[opening].markup, self._text
        before, after = text.last_before(opening), text.first_from(closing)
        is_in_word = before.isalnum() or after.isalnum()
        if markup == "_" or (markup == "*" and not self._dialect.stars_are_italic):
            return "marks" if self._dialect.has_marks or is_in_word else "style"
        if markup == "__" and text.is_name(opening, closing, is_word_bold=self._dialect.stars_are_italic):
            return "marks"
        if not is_in_word:
            is_number = markup == "*" and not text.has_letters(opening, closing)
            return "marks" if is_number and not self._is_in_bold(opening) else "style"
        borders = before + after + text.first_from(opening) + text.last_before(closing)
        is_arithmetic = text.length(opening, closing) < 2 or any(letter.isdigit() for letter in borders)
        return "marks" if len(markup) == 1 or is_arithmetic else "nothing"

    def _is_in_bold(self, opening: int) -> bool:
        """Return True for a mark of `***x***`."""
        beside = self._tokens[max(opening - 2, 0) : opening + 3]  # empty texts stand between
        return any(token.type == "strong_open" for token in beside)

    def _link(self, index: int) -> int:
        """Add a link as text and address, and return the index after it."""
        token, closing = self._tokens[index], self._partners[index]
        href = str(token.attrs.get("href", ""))
        label, address = self._text.between(index, closing), address_of(href)
        if token.markup == "autolink":
            self._add(label, is_fixed=True)
        elif address and is_named_by(address, label):
            self._add(address, is_fixed=True)
        elif address:
            self._read_all(index + 1, closing)
            self._add(f" ({address})", is_fixed=True)
        else:  # an address that cannot be opened, so perhaps not a link
            is_anchor = href.startswith("#") and len(href) > 1
            self._add("" if is_anchor else "[")
            self._read_all(index + 1, closing)
            self._add("" if is_anchor else f"]({href})", is_fixed=True)
        return closing + 1

    def _formula(self, text: str) -> None:
        for number, line in enumerate(text.split("\n")):
            if number:
                self._add("\n", is_fixed=True)
            self._add(line)

    def _image(self, token: Token) -> None:
        src, alt = str(token.attrs.get("src", "")), token.content.strip()
        address = address_of(src)
        if address:
            self._add(
                f"{alt} ({address})" if alt and not is_named_by(address, alt) else address, is_fixed=True
            )
        else:
            self._add(alt if src.startswith("data:") else f"![{token.content}]({src})", is_fixed=True)

    def _tag(self, index: int) -> None:
        """Read an HTML tag. An unknown tag stays as text."""
        text = self._tokens[index].content
        tag = _TAG.fullmatch(text)
        name = tag[2].lower() if tag else ""
        if name == "br":
            self._add("\n", is_fixed=True)
        elif tag is None or index not in self._partners:
            self._add("" if text.startswith("<!--") else text, is_fixed=True)
        elif name in _TAGS:
            self._count(_TAGS[name], -1 if tag[1] else 1)
        elif name in _CODE_TAGS and self._dialect.has_marks:
            self._add("`", is_fixed=True)
        elif name == "a" and tag[1]:
            opening = self._partners[index]
            href = _HREF.search(self._tokens[opening].content)
            address = address_of(href[1]) if href else ""
            if address and not is_named_by(address, self._text.between(opening, index)):
                self._add(f" ({address})", is_fixed=True)


class _Text:
    """Visible text of tokens, indexed so that questions about a part of it take constant time."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._texts = [_visible(token) for token in tokens]
        self._lengths = list(accumulate(map(len, self._texts), initial=0))
        self._letters = list(accumulate((any(map(str.isalpha, text)) for text in self._texts), initial=0))
        self._last = list(accumulate(self._texts, lambda last, text: text[-1:] or last, initial=""))
        self._first = list(
            accumulate(reversed(self._texts), lambda first, text: text[:1] or first, initial="")
        )[::-1]

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
        """Return True if a name from code stands between two tokens, such as the `init` of `__init__`."""
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


def _partners(tokens: Sequence[Token]) -> dict[int, int]:
    """Return, for each token of a pair in Markdown or HTML, the index of the other token."""
    partners: dict[int, int] = {}
    waiting: dict[str, list[int]] = {}
    for index, token in enumerate(tokens):
        name, nesting = token.type.rpartition("_")[0], token.nesting
        if token.type == "html_inline":
            tag = _TAG.fullmatch(token.content)
            name = f"<{tag[2].lower()}" if tag else ""
            is_known = name[1:] in _TAGS or name[1:] in _CODE_TAGS or name[1:] in _BARE_TAGS or name == "<a"
            nesting = 0 if not is_known or not tag else -1 if tag[1] else 1
        if nesting > 0:
            waiting.setdefault(name, []).append(index)
        elif nesting < 0 and waiting.get(name):
            opening = waiting[name].pop()
            partners[opening], partners[index] = index, opening
    return partners


def _code(token: Token) -> str:
    """Return a span of code. If it has WhatsApp's own marks, or a backtick inside, it stays as it was written."""
    if "`" not in token.content and token.markup != "```":
        return f"`{token.content}`"
    pad = " " if token.content.startswith("`") or token.content.endswith("`") else ""
    return f"{token.markup}{pad}{token.content}{pad}{token.markup}"


def _literal(token: Token) -> str:
    """Return the character that an escape or an entity stands for."""
    return " " if token.content == "\u00a0" else token.content


def _with_footnotes(text: str, labels: frozenset[str]) -> str:
    """Return the text with footnote marks in round brackets, since `[1]` might be read as a link."""
    if not labels or "[^" not in text:
        return text
    return _FOOTNOTE.sub(lambda mark: f"({mark[1]})" if mark[1] in labels else mark[0], text)


def _visible(token: Token) -> str:
    if token.type in ("softbreak", "hardbreak"):
        return "\n"
    return "" if token.type == "html_inline" else token.content
