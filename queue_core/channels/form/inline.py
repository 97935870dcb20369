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
from typing import Literal, NamedTuple

from markdown_it.token import Token

from queue_core.channels.form import html_tags
from queue_core.channels.form.html_tags import Style
from queue_core.channels.form.latex_commands import SUBSCRIPTS, SUPERSCRIPTS
from queue_core.channels.form.links import SCHEME_MAX, WRITTEN_ADDRESS, address_of, is_named_by
from queue_core.channels.form.tokens import Text, partners_of

MARKS: dict[Style, str] = {"bold": "*", "italic": "_", "strike": "~"}
"""Marks of WhatsApp, outermost first."""

_ALL_MARKS = frozenset(MARKS.values())

URL = re.compile(
    r"(?:https?://|www\.)[^\s<>`]+|[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}", re.IGNORECASE
)
"""Web and mail addresses in a text. A mark beside an address would become a part of it, so it is never styled."""

_STYLES: dict[str, Style] = {"strong": "bold", "em": "italic", "s": "strike"}
_LOOSE_BOLD = re.compile(
    rf"{WRITTEN_ADDRESS}"
    r"|\*\*(?=[^\s*])(?=[^*\n]{0,500}[^\W\d_])([^*\n]{0,500}[^\w\s*]|[^\w\s*][^*\n]{0,500}[^\s*])\*\*"
)
"""Bold that CommonMark does not recognise, since a letter follows its punctuation: `**Note:**text`; addresses match
too, so that they are skipped."""
_FOOTNOTE = re.compile(r"\[\^([^\s\]]{1,40})\]")


Meaning = Literal["style", "marks", "nothing"]
"""Text that a pair of marks becomes: a style, the marks themselves, or nothing."""


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
        if not styles or not dialect.has_marks or piece.is_fixed:
            lines[-1].append(Piece(piece.text))
        elif piece.text.isalnum():  # no address and no mark
            lines[-1].append(Piece(piece.text, styles))
        else:
            lines[-1].extend(_styled(piece.text, styles))
    return [_line(line) for line in lines]


def has_loose_bold(text: str) -> bool:
    """Return True if the text has bold that CommonMark does not recognise. Its marks are dropped later."""
    return "**" in text and any(bold[1] for bold in _LOOSE_BOLD.finditer(text))


def _without_loose_bold(text: str) -> str:
    return _LOOSE_BOLD.sub(lambda bold: bold[1] or bold[0], text) if "**" in text else text


def _line(pieces: list[Piece]) -> str:
    """Return a line with the marks of its pieces."""
    if any(piece.styles for piece in pieces):
        return _written(_without_touching_marks(pieces))
    return "".join(piece.text for piece in pieces)


def _styled(text: str, styles: frozenset[Style]) -> Iterator[Piece]:
    """Yield the parts of a text: addresses without styles, all else with them."""
    at = 0
    for address in URL.finditer(text):
        yield _with_free_styles(text[at : address.start()], styles)
        yield Piece(address[0])
        at = address.end()
    yield _with_free_styles(text[at:], styles)


def _with_free_styles(text: str, styles: frozenset[Style]) -> Piece:
    """Return a piece without the styles whose marks are in its text, since WhatsApp would end them there."""
    return Piece(text, frozenset(style for style in styles if MARKS[style] not in text))


def _without_touching_marks(pieces: list[Piece]) -> list[Piece]:
    """Return the pieces of a line without styles whose marks would touch the same mark in the text."""
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
        self._items: list[int] = []
        """Numbers of the last items of the HTML lists that are open; -1 in a list without numbers."""
        self._is_after_block = False
        self._is_line_empty = True
        self._meanings: dict[int, Meaning] = {}
        """Meaning of each pair of marks that was read, by the index of its first token."""
        self._is_in_link = False
        """True in a link with an address, in which an image shows only its text."""

    @cached_property
    def _text(self) -> Text:
        return Text(self._tokens)

    @cached_property
    def _partners(self) -> dict[int, int]:
        return partners_of(self._tokens)

    def pieces(self) -> list[Piece]:
        """Return the pieces of the whole paragraph."""
        self._read_all(0, len(self._tokens))
        return self._pieces

    def _read_all(self, start: int, end: int) -> None:
        while start < end:
            start = self._read(start)

    def _add(self, text: str, *, is_fixed: bool = False) -> None:
        if self._is_after_block and text.strip(" "):
            self._is_after_block = False
            if text != "\n":
                self._begin_line()
        if text:
            self._pieces.append(Piece(text, self._open_styles, is_fixed))
            self._is_line_empty = text == "\n" or (self._is_line_empty and text.isspace())

    def _begin_line(self) -> None:
        """Begin a line, unless nothing stands in this one."""
        if not self._is_line_empty:
            self._pieces.append(Piece("\n", is_fixed=True))
            self._is_line_empty = True

    def _open_or_close(self, style: Style, change: int) -> None:
        """Open a style with a `change` of 1, close it with -1."""
        self._styles[style] += change
        self._open_styles = frozenset(style for style, count in self._styles.items() if count)

    def _read(self, index: int) -> int:
        """Read the token at `index`, and return the index of the next one."""
        token = self._tokens[index]
        match token.type:
            case "softbreak" | "hardbreak":
                if not self._is_line_empty or not self._is_block_tag(index - 1):
                    self._add("\n", is_fixed=True)
            case "text":
                self._add(_with_footnotes(_without_loose_bold(token.content), self._dialect.footnotes))
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
                return self._tag(index)
            case _:
                self._pair(index)
        return index + 1

    def _pair(self, index: int) -> None:
        """Open or close a style, or leave its marks as they are written."""
        token = self._tokens[index]
        partner = self._partners.get(index, index)
        style = _STYLES[token.type.rpartition("_")[0]]
        opening, closing = min(index, partner), max(index, partner)
        meaning = self._meanings.get(opening) or self._meaning(opening, closing)
        self._meanings[opening] = meaning
        if meaning == "marks":
            self._add(token.markup)
        elif meaning == "style":
            self._open_or_close(style, token.nesting)

    def _meaning(self, opening: int, closing: int) -> Meaning:
        markup, text = self._tokens[opening].markup, self._text
        before, after = text.last_before(opening), text.first_from(closing)
        is_in_word = before.isalnum() or after.isalnum()
        if markup == "_" or (markup == "*" and not self._dialect.stars_are_italic):
            return "marks" if self._dialect.has_marks or is_in_word else "style"
        if markup == "__" and text.is_name(opening, closing, is_word_bold=self._dialect.stars_are_italic):
            return "marks"
        if not is_in_word:
            is_number = self._dialect.has_marks and markup == "*" and not text.has_letters(opening, closing)
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
            self._add(address or label, is_fixed=True)
        elif address and is_named_by(address, label):
            self._add(address, is_fixed=True)
        elif address:
            self._is_in_link = True
            self._read_all(index + 1, closing)
            self._is_in_link = False
            beside = self._text.last_before(index), self._text.first_from(closing + 1)
            self._add(f": {address}" if beside == ("(", ")") else f" ({address})", is_fixed=True)
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
        if self._is_in_link:
            self._add(alt)
        elif address:
            self._add(
                f"{alt} ({address})" if alt and not is_named_by(address, alt) else address, is_fixed=True
            )
        else:
            self._add(alt if src.startswith("data:") else f"![{token.content}]({src})", is_fixed=True)

    def _tag(self, index: int) -> int:
        """Read an HTML tag, and return the index of the next token. An unknown tag stays as text."""
        text, partner = self._tokens[index].content, self._partners.get(index, -1)
        name, closes = html_tags.tag_of(text)
        if name == "br":
            self._add("\n", is_fixed=True)
        elif partner < 0:
            self._add("" if text.startswith("<!--") else text, is_fixed=True)
        elif name in html_tags.STYLES:
            self._open_or_close(html_tags.STYLES[name], -1 if closes else 1)
        elif name in html_tags.CODE and self._dialect.has_marks:
            self._add("`", is_fixed=True)
        elif name in html_tags.BLOCKS:
            self._block_tag(name, closes=closes)
        elif name in ("sup", "sub") and not closes:
            small, plain = SUPERSCRIPTS if name == "sup" else SUBSCRIPTS, self._text.between(index, index + 2)
            if partner == index + 2 and all(character in small for character in plain):
                self._add("".join(small[character] for character in plain))
                return partner + 1
        elif name == "a" and closes:
            address = address_of(html_tags.href_of(self._tokens[partner].content))
            is_long = self._text.length(partner, index) > len(address) + SCHEME_MAX
            if address and (is_long or not is_named_by(address, self._text.between(partner, index))):
                self._add(f" ({address})", is_fixed=True)
        return index + 1

    def _block_tag(self, name: str, *, closes: bool) -> None:
        """Read a tag of a paragraph, a heading, a list or an item of a list."""
        if name in html_tags.HEADINGS:
            self._open_or_close("bold", -1 if closes else 1)
        if name in ("ul", "ol") and closes and self._items:
            self._items.pop()
        if closes:
            self._is_after_block = True
            return
        self._begin_line()
        self._is_after_block = False
        if name in ("ul", "ol"):
            self._items.append(0 if name == "ol" else -1)
        elif name == "li" and self._items and self._items[-1] >= 0:
            self._items[-1] += 1
            self._add(f"{self._items[-1]}. ", is_fixed=True)
        elif name == "li":
            self._add("- ", is_fixed=True)

    def _is_block_tag(self, index: int) -> bool:
        """Return True if the token at `index` is a tag of a block, in a pair."""
        is_tag = index in self._partners and self._tokens[index].type == "html_inline"
        return is_tag and html_tags.tag_of(self._tokens[index].content)[0] in html_tags.BLOCKS


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
