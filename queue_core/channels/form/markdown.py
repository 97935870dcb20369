"""Markdown as WhatsApp shows it: each block of a reply is read by a CommonMark parser and written in its own lines.

Only text with a meaning in Markdown is rewritten. A line in which nothing changes stays as it is, with its spaces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from markdown_it.common.utils import normalizeReference
from markdown_it.token import Token

from queue_core.channels.form.formulas import has_formulas
from queue_core.channels.form.inline import Dialect, has_loose_bold, lines_of
from queue_core.channels.form.links import address_of
from queue_core.channels.form.parser import is_closed, markdown_parser, quick
from queue_core.channels.form.tables import has_further_cells, table_lines

CHARACTERS_MAX = 65_536
"""Length up to which a reply is converted: WhatsApp's limit on a message."""
WORK_MAX = 75_000
"""Limit on the work of converting a reply, in microseconds or so, since other turns wait meanwhile."""
BLANK_WORK = 3
"""Work that a blank line makes."""
RULE = "———"
"""Line in the place of a horizontal rule."""

_SIGNS = re.compile(r"[*_~`#>|\[<&\\$]|^ {0,3}(?:---|\+ )|^[ \t]*- \[", re.MULTILINE)
"""Characters without which a text is not Markdown."""
_WORK_OF_SIGNS = {
    **dict.fromkeys("*_~", 13),
    **dict.fromkeys(("**", "__", "~~"), -8),
    **dict.fromkeys("<&", 11),
    **dict.fromkeys("]!>|", 8),
    **dict.fromkeys("`", 8),
    "#": 4,
    **dict.fromkeys("[\\$", 20),
    "\n": 23,
    "\n\n": -20,
}
"""Work that each sign makes, less if it is doubled. Most lines are a block; a blank line is not."""
_DEFINITION = re.compile(
    r" {0,3}\[([^\]\[^][^\]\[]{0,99})\]:[ \t]{1,9}<?((?:https?://|www\.|mailto:|tel:)[^\s>]+)>?"
    r"(?:[ \t]{1,9}(?:\"[^\"]*\"|'[^']*'|\([^)]*\)))?[ \t]*"
)
_FOOTNOTE = re.compile(r"^ {0,3}\[\^([^\s\]]{1,40})\]:", re.MULTILINE)
_FENCE = re.compile(r"[ >]{0,20}(`{3,}|~{3,})")
_HEADING = re.compile(r"(.*?)#{1,6}(?=[ \t])")
_GLUED_HEADING = re.compile(
    r"^([ >]{0,20}#{2,6})(?=[^\W\d_]|\*\*\w|[\u2010-\U0010ffff]|\d{1,3}[.)] )(?![^\n]*##)", re.MULTILINE
)
"""Marks of a heading without a space after them, as in `##Hours`. `#hours` is a hashtag, `##NAME##` a placeholder."""
_HORIZONTAL = re.compile(r"(?<![-*_ \t])[ \t]{0,3}([-*_])[ \t]{0,3}\1[ \t]{0,3}\1[ \t]*\Z")
_QUOTE = re.compile(r"\A([ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*)> ?")
_TASK = re.compile(r"\[([ xX])\] ")
_PLUS = re.compile(r"\+(?= {1,4}[^\s\d])")


def converted(text: str, *, has_marks: bool = True) -> str:
    """Return a text in WhatsApp's formatting, or without formatting. If it is too much work, its end stays as it is."""
    head = _affordable(text)
    if not _SIGNS.search(head):
        return text
    written = _Document(head, has_marks=has_marks).written() + text[len(head) :]
    return (
        written if written.strip() else text
    )  # for instance a mere comment: too much text is better than an empty reply


def work_of(text: str, signs: Mapping[str, int] = _WORK_OF_SIGNS) -> int:
    """Return the work of converting a text, as WORK_MAX counts it. `signs` may lack those that the text lacks."""
    return sum(text.count(sign) * work for sign, work in signs.items())


def _affordable(text: str) -> str:
    """Return the beginning of a text that may be converted: whole blocks, or whole lines of a long one."""
    if len(text) <= CHARACTERS_MAX and work_of(text) <= WORK_MAX:
        return text
    signs = {sign: work for sign, work in _WORK_OF_SIGNS.items() if sign in text or sign == "\n"}
    at = work = after_line = after_block = 0
    for line, is_code in _lines(text):
        if not is_code:
            after_line = at
            after_block = at if text.endswith("\n\n", 0, at) else after_block
        work += work_of(line + "\n", signs) if line.strip() else BLANK_WORK
        at += len(line) + 1
        if at > CHARACTERS_MAX or work > WORK_MAX:
            break
    return text[: after_block if after_block > after_line // 2 else after_line].rstrip("\n")


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the lines of a text, each with True if it goes on with a block of code."""
    fence = ""
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        yield line, bool(fence)
        if mark:
            fence = "" if fence and mark[1].startswith(fence) else fence or mark[1]


class _Document:
    """Parsed text, which is written line by line."""

    def __init__(self, text: str, *, has_marks: bool) -> None:
        text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
        text, references = _without_definitions(_with_spaced_headings(text))
        self._lines = text.split("\n")
        env = {"references": references, "has_formulas": has_formulas(text), "strikes_singly": not has_marks}
        self._tokens = _PARSER.parse(text, env)
        self._dialect = Dialect(
            stars_are_italic=bool(references) or _is_markdown(self._tokens),
            has_marks=has_marks,
            footnotes=frozenset(_FOOTNOTE.findall(text)),
        )

    def written(self) -> str:
        """Return the text with each block in its form."""
        kept: list[str] = []
        at = 0
        for start, end, lines in self._changes():
            kept += [*self._unchanged(at, start), *lines]
            at = end
        return "\n".join([*kept, *self._unchanged(at, len(self._lines))])

    def _unchanged(self, start: int, end: int) -> Iterator[str]:
        """Yield lines that stay. In Markdown, trailing spaces and repeated blank lines are removed."""
        for index in range(start, end):
            line = self._lines[index]
            if not self._dialect.stars_are_italic or index in self._code_lines:
                yield line
            elif line.strip() or index == 0 or self._lines[index - 1].strip():
                yield line.rstrip()

    @cached_property
    def _code_lines(self) -> frozenset[int]:
        fences = (token.map or (0, 0) for token in self._tokens if token.type == "fence")
        return frozenset(line for start, end in fences for line in range(start, end))

    def _changes(self) -> Iterator[tuple[int, int, list[str]]]:
        """Yield first line and end of each range of lines that changes, and the lines that replace it."""
        index = 0
        while index < len(self._tokens):
            token = self._tokens[index]
            start, end = token.map or (0, 0)
            lines = None
            if token.type == "list_item_open" and token.markup == "+":
                self._lines[start] = _PLUS.sub("-", self._lines[start], count=1)
            elif token.type == "blockquote_open" and not self._dialect.has_marks:
                self._lines[start:end] = [_QUOTE.sub(r"\1", line) for line in self._lines[start:end]]
            elif token.type == "inline":
                lines = self._paragraph(index)
            elif token.type == "fence":
                lines = self._code(token)
            elif token.type == "hr":
                lines = [_HORIZONTAL.sub(RULE, self._lines[start])]
            elif token.type == "table_open":
                last = next(
                    at for at in range(index, len(self._tokens)) if self._tokens[at].type == "table_close"
                )
                lines = self._table(self._tokens[index:last])
                index = last
            if lines is not None and lines != self._lines[start:end]:
                yield start, end, lines
            index += 1

    def _table(self, tokens: Sequence[Token]) -> list[str] | None:
        """Return the lines for a table; None if a row has cells that do not belong to a column."""
        start, end = tokens[0].map or (0, 0)
        source = self._lines[start:end]
        if has_further_cells(source, sum(token.type == "th_open" for token in tokens)):
            return None
        return [f"{_quote_of(source[0])}{line}".rstrip() for line in table_lines(tokens, self._dialect)]

    def _paragraph(self, index: int) -> list[str] | None:
        """Return the lines of a paragraph or a heading; None if nothing in it changes."""
        token, opening = self._tokens[index], self._tokens[index - 1]
        start, end = token.map or (0, 0)
        children, source = token.children or [], self._lines[start:end]
        if opening.type == "heading_open":
            head = _HEADING.match(source[0])
            prefixes = [head[1]] if head and token.content else []
            written = lines_of(children, self._dialect, style="bold")
        elif _is_plain(children):
            return None
        else:
            prefixes = _prefixes(source, token.content.split("\n"))
            if index > 1 and self._tokens[index - 2].type == "list_item_open":
                _tick(children)
            written = lines_of(children, self._dialect)
            if [line.strip() for line in written] == [line.strip() for line in token.content.split("\n")]:
                return None
        if not prefixes:
            return None
        if len(written) != len(prefixes):
            prefixes = [prefixes[0], *[_continued(prefixes[0])] * (len(written) - 1)]
        return [f"{prefix}{line.strip()}".rstrip() for prefix, line in zip(prefixes, written, strict=False)]

    def _code(self, token: Token) -> list[str] | None:
        """Return a block of code between WhatsApp's marks, without its language; None if it contains such marks.

        Words after an opening mark that is never closed are a text, not a language or a title.
        """
        start, end = token.map or (0, 0)
        source = self._lines[start:end]
        if "```" in token.content or (
            not is_closed(token) and " " in token.info.strip() and "=" not in token.info
        ):
            return None
        code = source[1:-1] if is_closed(token) else source[1:]
        if not self._dialect.has_marks:
            return code
        prefix = source[0][: source[0].index(token.markup)]
        return [f"{prefix}```", *code, f"{_continued(prefix)}```"]


def _with_spaced_headings(text: str) -> str:
    """Return the text with a space after the marks of each heading, outside of code."""
    if "##" not in text or not _GLUED_HEADING.search(text):
        return text
    return "\n".join(
        line if is_code else _GLUED_HEADING.sub(r"\1 ", line, count=1) for line, is_code in _lines(text)
    )


def _prefixes(source: Sequence[str], contents: Sequence[str]) -> list[str]:
    """Return the text before the content of each line: spaces, bullets, quote marks; [] if it is uncertain."""
    if len(source) != len(contents):
        return []
    prefixes = []
    for line, content in zip(source, contents, strict=True):
        body = content.strip()
        if not line.rstrip().endswith(body):
            return []
        prefixes.append(line.rstrip()[: len(line.rstrip()) - len(body)])
    return prefixes


def _continued(prefix: str) -> str:
    """Return the text before a further line of a block: spaces instead of a bullet, and quote marks."""
    return re.sub(r"[^>\s]", " ", prefix)


def _quote_of(line: str) -> str:
    return re.match(r"[\s>]*", line)[0]  # type: ignore[index]  # matches always


def _is_plain(children: Sequence[Token]) -> bool:
    """Return True for a text without a mark, which nearly all lines of a long list are."""
    content = children[0].content if len(children) == 1 and children[0].type == "text" else "["
    return "[" not in content and "**" not in content


def _tick(children: list[Token]) -> None:
    """Replace the brackets at the beginning of a task by a box."""
    first = children[0] if children else None
    task = _TASK.match(first.content) if first and first.type == "text" else None
    if first and task:
        first.content = f"{'☐' if task[1] == ' ' else '☑'} {first.content[task.end() :]}"


def _is_markdown(tokens: Sequence[Token]) -> bool:
    """Return True if the text has a sign that only Markdown has, so that `*x*` means italic in it."""
    for token in tokens:
        if token.type in ("heading_open", "table_open") or (token.type == "fence" and token.info.strip()):
            return True
        if token.type == "inline" and any(map(_is_sign, token.children or ())):
            return True
    return False


def _is_sign(token: Token) -> bool:
    if token.type == "link_open":
        return token.markup != "autolink" and bool(address_of(str(token.attrs.get("href", ""))))
    if token.type == "text":
        return has_loose_bold(token.content)
    return token.type in ("s_open", "image") or (token.type == "strong_open" and token.markup == "**")


def _without_definitions(text: str) -> tuple[str, dict[str, dict[str, str]]]:
    """Return the text without link definitions, such as `[site]: https://…`, and the definitions."""
    references: dict[str, dict[str, str]] = {}
    if "]:" not in text:
        return text, references
    used = {normalizeReference(label) for label in re.findall(r"\[([^\]\[]{1,100})\](?!:)", text)}
    kept = []
    for line, is_code in _lines(text):
        definition = None if is_code else _DEFINITION.fullmatch(line)
        label = normalizeReference(definition[1]) if definition else ""
        if definition and label in used:
            references.setdefault(label, {"href": definition[2], "title": ""})
        else:
            kept.append(line)
    return ("\n".join(kept).rstrip("\n"), references) if references else (text, references)


_PARSER = quick(markdown_parser())
