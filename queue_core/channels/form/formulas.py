r"""Formulas in a Markdown text: `$…$`, `$$…$$`, `\(…\)`, `\[…\]`, an environment, and single commands.

A formula must have a LaTeX command, or a sign such as `x^2`, so prices, paths and regular expressions are not formulas.
If the text has such a formula anywhere, others may also be plain, such as `$r$`.
"""

from __future__ import annotations

import re
from itertools import islice

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

from queue_core.channels.form.latex import text_of_latex
from queue_core.channels.form.latex_commands import COMMANDS

CHARACTERS_MAX = 2_000
"""Limit on the length of a formula."""
ARGUMENTS_MAX = 400
"""Limit on the length of the arguments of a command outside of formula marks."""
MISSES_MAX = 500
"""Number of signs that turned out not to open a formula, after which the search stops."""
MISSES_PER_LINE = 0.1
"""Part of a miss that counts for each line which is read in search of the end of a formula."""

_SIGN = re.compile(r"[$\\]")
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_CLOSED_BY = {"$$": "$$", r"\[": r"\]", r"\(": r"\)"}
_DOLLARS = re.compile(r"\$(?=[^\s$])((?:[^$\\\n]|\\[^\n]){1,400}?)(?<=\S)\$(?![\w$])")
_SCRIPT = re.compile(r"\$([\^_](?:\{[\w+-]{1,9}\}|[\d+-]|\\circ))\$")
"""A number above or below the line, in the middle of a word: `H$_2$O`."""
_ENVIRONMENT = re.compile(r"\\begin\{((?:equation|align|aligned|gather|cases|[pbv]?matrix|array)\*?)\}")
_APPLIED = re.compile(r"\\(?:[dt]?frac|sqrt|boxed|text|mathrm|mathbf)(?=[\[{])")
_OPERATOR = re.compile(r"\\(?:times|cdot|div|approx|pm|leq|geq|neq|rightarrow|Rightarrow)(?= )")
_HAS_SCRIPT = re.compile(r"[\w)\]}]\^(?:[\w{(+-]|\\circ)|[A-Za-z]_(?:\{|[0-9a-z]\b)")
_IS_PLAIN = re.compile(r"[\w\s^{}+*/=()\[\]<>.,|!':;%°≤≥≠×·-]+")
_WORD = re.compile(r"[^\W\d_]{3,}")
_BEGINS_BLOCK = re.compile(r"\$\$|\\\[|\\begin\{")


def has_formulas(text: str) -> bool:
    """Return True if the text has a known LaTeX command or a formula with a sign such as `x^2`."""
    signs = islice(_SIGN.finditer(text), MISSES_MAX)
    return has_commands(text) or any(_formula_at(text, sign.start(), has_others=False) for sign in signs)


def has_commands(text: str) -> bool:
    """Return True if the text has a known LaTeX command."""
    return any(command[1] in COMMANDS for command in _COMMAND.finditer(text))


def add_formulas(parser: MarkdownIt) -> None:
    """Let a parser read formulas; their tokens are of the type "formula", with the plain text as content."""
    parser.inline.ruler.before("escape", "formula", _inline)
    parser.block.ruler.before("list", "formula", _block, {"alt": ["paragraph"]})


def _inline(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] not in "$\\" or state.env.get("formula_misses", 0) > MISSES_MAX:
        return False
    span = _formula_at(state.src, state.pos, has_others=bool(state.env.get("has_formulas")))
    if span is None:
        is_escape = state.src[state.pos] == "\\" and not state.src[state.pos + 1 : state.pos + 2].isalpha()
        if is_escape and state.src[state.pos + 1 : state.pos + 2] not in "([":
            return False
        state.env["formula_misses"] = state.env.get("formula_misses", 0) + 1
        return False
    formula, end = span
    text = text_of_latex(formula)
    if not text or end > state.posMax:
        return False
    if not silent:
        state.push("formula", "", 0).content = text
    state.pos = end
    return True


def _formula_at(text: str, at: int, *, has_others: bool) -> tuple[str, int] | None:
    """Return the formula that begins at `at`, and its end."""
    mark, before = text[at : at + 2], text[at - 1 : at] if at else ""
    is_in_word = before.isascii() and before.isalnum()
    if mark in _CLOSED_BY:
        if is_in_word or (before and before in ":/\\"):  # a path, or a pattern of a search
            return None
        end = text.find(_CLOSED_BY[mark], at + 2, at + CHARACTERS_MAX)
        formula = text[at + 2 : end]
        return (formula, end + 2) if end > 0 and _is_formula(formula, has_others) else None
    if mark[0] == "$":
        if script := _SCRIPT.match(text, at):
            return script[1], script.end()
        dollars = None if is_in_word else _DOLLARS.match(text, at)
        return (dollars[1], dollars.end()) if dollars and _is_formula(dollars[1], has_others) else None
    return _bare(text, at)


def _bare(text: str, at: int) -> tuple[str, int] | None:
    """Return a command that stands in the text outside of formula marks, and its end."""
    if environment := _ENVIRONMENT.match(text, at):
        closing = f"\\end{{{environment[1]}}}"
        end = text.find(closing, at, at + CHARACTERS_MAX)
        return (text[at:end], end + len(closing)) if end > 0 else None
    if applied := _APPLIED.match(text, at):
        end = _end_of_arguments(text, applied.end())
        return (text[at:end], end) if end else None
    operator = _OPERATOR.match(text, at) if not at or text[at - 1] == " " else None
    return (operator[0], operator.end()) if operator else None


def _end_of_arguments(text: str, at: int) -> int:
    """Return the end of the brace groups that begin at `at`; 0 if a group does not end."""
    depth = 0
    for index in range(at, min(len(text), at + ARGUMENTS_MAX)):
        character = text[index]
        if not depth and character not in "{[":
            return index
        depth += (character in "{[") - (character in "}]")
        if depth < 0 or character == "\n":
            return 0
    return 0 if depth or len(text) > at + ARGUMENTS_MAX else len(text)


def _is_formula(text: str, has_others: bool) -> bool:
    """Return True for a text that has a command or a sign of a formula, and is not a sentence."""
    if has_commands(text):
        return True
    if not _IS_PLAIN.fullmatch(text) or _WORD.search(text) or not any(map(str.isalnum, text)):
        return False
    if _HAS_SCRIPT.search(text):
        return True
    return has_others and any(map(str.isalpha, text)) and not text.startswith(" - ")


def _block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Read a formula of several lines, so that its lines that begin with a plus or a hyphen do not become a list."""
    misses = state.env.get("formula_misses", 0)
    after = _end_of_block(state, start, end) if misses <= MISSES_MAX else 0
    content = state.getLines(start, after, state.blkIndent, False).strip() if after else ""
    if not has_commands(content):
        return False
    if silent:
        return True
    state.env["formula_misses"] = misses
    state.line = after
    state.push("paragraph_open", "p", 1).map = [start, after]
    token = state.push("inline", "", 0)
    token.content, token.map, token.children = content, [start, after], []
    state.push("paragraph_close", "p", -1)
    return True


def _end_of_block(state: StateBlock, start: int, end: int) -> int:
    """Return the number of the line after a formula of several lines; 0 if no formula begins at `start`."""
    begins = state.bMarks[start] + state.tShift[start]
    opening = _BEGINS_BLOCK.match(state.src, begins)
    closing = _CLOSED_BY.get(opening[0], r"\end{") if opening else ""
    if not opening or state.src.find(closing, opening.end(), begins + CHARACTERS_MAX) < 0:
        return 0
    state.env["formula_misses"] = state.env.get("formula_misses", 0) + 1
    for line in range(start, end):
        text = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].rstrip()
        is_end = text.endswith(closing) or (closing == r"\end{" and text.startswith(closing))
        if is_end and (line > start or len(text) > len(closing) + 1):
            return line + 1 if line > start else 0
        state.env["formula_misses"] += MISSES_PER_LINE
        if state.eMarks[line] - begins > CHARACTERS_MAX or state.sCount[line] < state.blkIndent:
            return 0
    return 0
