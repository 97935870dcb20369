"""Parser of Markdown: CommonMark with tables, strikethrough and formulas, without what is mostly plain text in a chat.

markdown-it-py tries each of its rules at each character and in each line. Here the first character chooses the rules,
which gives the same tokens in a third of the time.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from markdown_it import MarkdownIt, helpers
from markdown_it.common.utils import isMdAsciiPunct, isPunctChar, isWhiteSpace
from markdown_it.parser_inline import ParserInline
from markdown_it.ruler import Rule, Ruler
from markdown_it.rules_block import StateBlock, fence
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Delimiter, Scanned
from markdown_it.token import Token

from queue_core.channels.form.formulas import add_formulas
from queue_core.channels.form.links import WRITTEN_ADDRESS

MISSES_MAX = 500
"""Limit on brackets that open no link; after that many no more are looked at."""

_SIGN = re.compile(r"[\n$\\`~*_\[\]<&:!wW](?:(?<![:!wW])|(?<=:)(?=//)|(?<=!)(?=\[)|(?<=[wW])(?=[wW]{2}\.))")
"""Characters at which a rule for the text of a paragraph may apply. A class at its beginning makes the search fast."""
_SIGNS_OF_RULES = {
    "newline": "\n",
    "formula": "$\\",
    "address": ":wW",
    "escape": "\\",
    "backticks": "`",
    "strikethrough": "~",
    "emphasis": "*_",
    "link": "[",
    "image": "!",
    "autolink": "<",
    "html_inline": "<",
    "entity": "&",
}
_SIGNS_OF_BLOCKS = {
    "fence": "`~",
    "blockquote": ">",
    "hr": "-*_",
    "formula": "$\\",
    "list": "-+*0123456789",
    "heading": "#",
}
"""First characters of the blocks of a rule; blocks of all other rules may begin with any character."""
_HAS_SPACED_BOLD = re.compile(r"\*\*[ \t]|[ \t]\*\*")
_SPACED_BOLD = re.compile(
    rf"`[^`\n]+`|{WRITTEN_ADDRESS}"
    r"|\*\*(?![\s*])[^*\n]{0,499}[^\s*]\*\*(?!\*)"
    r"|(?<!\*)\*\*(?![\s*])(?P<begun>[^*\n]{0,499}[^\s*])[ \t]\*\*(?!\*)"
    r"(?:(?=[^\w\s]|[ \t]*$)|(?<=[:：؛.,،!?؟)\]][ \t]\*\*)|(?<=[^\W\d_]{2}[ \t]\*\*)(?=[ \t]))"
    r"|^\*\*[ \t](?P<line>[^*\n]{0,499}[^\W\d_][^*\n]{0,499}?)[ \t]?\*\*(?![\w*])",
    re.MULTILINE,
)
"""Bold with a space inside its marks, such as `**Price: **10` and `**today ** only`; code, addresses and other bold
match too, to be skipped."""
_STRUCK = re.compile(r"`[^`\n]+`|(?:https?://|www\.)\S+|(?<![\w~])~(?!\s)([^~\n]*[^\s~])~(?![\w~])")
"""Text between WhatsApp's marks of strikethrough; code and addresses match too, to be skipped."""
_WORD = re.compile(r"[\w.+#-]{0,40}")
_ADDRESS = re.compile(
    r"(?:(?:(?<=http)(?<![a-z0-9]http)|(?<=https)(?<![a-z0-9]https))://|(?<![a-z0-9])www\.(?=[^\W_]))[^\s<>\"`\]]+",
    re.IGNORECASE,
)
_MARKS_AFTER_ADDRESS = re.compile(r"(?:\*\*|~~)(?![A-Za-z0-9/.?&=#%*_~-])|(?<=[^!-~])(?:\*\*|~~)")
"""Marks of bold or strikethrough that end an address: an address does not go on after them. An address beside letters
that are not ASCII, as in Chinese, may have no space after it."""
_AFTER_ADDRESS = re.compile(r"[?!.,:;*_~'\"]+\Z")


def is_closed(block: Token) -> bool:
    """Return True if a line ends the block of code; otherwise it reaches to the end of the enclosing block."""
    start, end = block.map or (0, 0)
    return end - start - 1 > len(block.content.splitlines())


class _State(StateInline):
    """State of a paragraph, which remembers how characters beside marks count."""

    def scanDelims(self, start: int, canSplitWord: bool) -> Scanned:  # noqa: N802, N803 - markdown-it's names
        """Return the length of a run of marks, and if it may open or close a pair."""
        source, end, mark = self.src, start + 1, self.src[start]
        while end < self.posMax and source[end] == mark:
            end += 1
        before = _kind(source[start - 1]) if start else "space"
        after = _kind(source[end]) if end < self.posMax else "space"
        is_left = after == "letter" or (after == "sign" and before != "letter")
        is_right = before == "letter" or (before == "sign" and after != "letter")
        opens = is_left and (canSplitWord or not is_right or before == "sign")
        closes = is_right and (canSplitWord or not is_left or after == "sign")
        return Scanned(opens, closes, end - start)


@lru_cache(maxsize=4_096)
def _kind(character: str) -> str:
    """Return how a character beside a mark counts: "space", "sign" or "letter"."""
    if isWhiteSpace(ord(character)):
        return "space"
    return "sign" if isMdAsciiPunct(ord(character)) or isPunctChar(character) else "letter"


class _Inline(ParserInline):
    """Parser of a paragraph's text, with the rules of another parser."""

    def __init__(self, slow: ParserInline) -> None:
        super().__init__()
        self.ruler2 = slow.ruler2
        self._rules: dict[str, list[Callable[[StateInline, bool], bool]]] = {"]": []}
        for rule in _active(slow.ruler):
            for sign in _SIGNS_OF_RULES.get(rule.name, ""):
                self._rules.setdefault(sign, []).append(rule.fn)

    def parse(self, src: str, md: MarkdownIt, env: Any, tokens: list[Token]) -> list[Token]:
        """Add the tokens of a paragraph to `tokens`, and return them."""
        if src and not _SIGN.search(src):
            tokens.append(Token("text", "", 0, content=src))
            return tokens
        src = _without_spaces_in_bold(src)
        if env.get("strikes_singly"):
            src = _STRUCK.sub(lambda struck: f"~~{struck[1]}~~" if struck[1] else struck[0], src)
        state = _State(src, md, env, tokens)
        self.tokenize(state)
        for finish in self.ruler2.getRules(""):
            finish(state)
        return state.tokens

    def tokenize(self, state: StateInline) -> None:
        """Add the tokens of a range of the paragraph."""
        end, depth_max = state.posMax, state.md.options["maxNesting"]
        while (at := state.pos) < end:
            sign = _SIGN.search(state.src, at, end)
            stop = sign.start() if sign else end
            if stop > at:
                state.append_pending(state.src[at:stop])
                state.pos = stop
            elif state.level >= depth_max or not self._apply(state, silent=False):
                state.append_pending(state.src[at])
                state.pos = at + 1
        if state.pending:
            state.pushPending()

    def skipToken(self, state: StateInline) -> None:  # noqa: N802 - markdown-it's name
        """Move behind the next token."""
        at = state.pos
        if at not in state.cache:
            sign = _SIGN.search(state.src, at, state.posMax)
            stop = sign.start() if sign else state.posMax
            if state.level >= state.md.options["maxNesting"]:
                state.pos = state.posMax + 1
            elif stop > at:
                state.pos = stop
            else:
                state.level += 1
                if not self._apply(state, silent=True):
                    state.pos = at + 1
                state.level -= 1
            state.cache[at] = state.pos
        state.pos = state.cache[at]

    def _apply(self, state: StateInline, *, silent: bool) -> bool:
        for rule in self._rules[state.src[state.pos]]:  # noqa: SIM110 - `any` takes twice the time
            if rule(state, silent):
                return True
        return False


def _without_spaces_in_bold(text: str) -> str:
    """Return the text of a paragraph with the spaces at the marks of bold outside of them."""
    if "**" not in text or not _HAS_SPACED_BOLD.search(text):
        return text
    return _SPACED_BOLD.sub(_bold, text)


def _bold(match: re.Match[str]) -> str:
    bold = match["begun"] or match["line"]
    if not bold:
        return match[0]
    goes_on = not match.string.startswith((" ", "\t"), match.end())
    return f"**{bold}**{' ' if goes_on else ''}"


class _Chain:
    """Block rules of a chain, by the first character of a line."""

    def __init__(self, rules: Iterable[Rule[Any]]) -> None:
        known = "".join(_SIGNS_OF_BLOCKS.values())
        rules = list(rules)
        self._others = [rule.fn for rule in rules if rule.name not in _SIGNS_OF_BLOCKS]
        self._rules = {
            sign: [rule.fn for rule in rules if sign in _SIGNS_OF_BLOCKS.get(rule.name, sign)]
            for sign in known
        }

    def __call__(self, state: StateBlock, line: int, end: int, silent: bool) -> bool:
        """Apply the rules to a line until one takes it."""
        begins = state.bMarks[line] + state.tShift[line]
        for rule in self._rules.get(state.src[begins : begins + 1], self._others):
            if rule(state, line, end, silent):
                return True
        return False


class _BlockRuler(Ruler[Any]):
    """Rules for blocks, taken from another ruler; each chain is a single rule that chooses."""

    def __init__(self, slow: Ruler[Any]) -> None:
        super().__init__()
        chains = defaultdict[str, list[Rule[Any]]](list)
        for rule in _active(slow):
            for chain in ("", *rule.alt):
                chains[chain].append(rule)
        self._chains = {name: [_Chain(rules)] for name, rules in chains.items()}

    def getRules(self, chainName: str = "") -> list[Any]:  # noqa: N802, N803 - markdown-it's names
        """Return the rule of a chain."""
        return self._chains.get(chainName, [])


def _active(ruler: Ruler[Any]) -> list[Rule[Any]]:
    return [rule for rule in ruler.__rules__ if rule.enabled]


def _fence(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Read a block of code. Tildes may be an ornament, so they need a closing line, and no words after them."""
    begins = state.bMarks[start] + state.tShift[start]
    is_tildes = state.src.startswith("~~~", begins)
    if is_tildes:
        info = state.src[begins : state.eMarks[start]].lstrip("~").strip()
        if state.env.get("ornaments") or not _WORD.fullmatch(info):
            return False
    line = state.line
    if not fence(state, start, end, silent):
        return False
    if is_tildes and not silent and not is_closed(state.tokens[-1]):
        state.env["ornaments"] = True  # later lines are not checked, or the time would be quadratic
        state.tokens.pop()
        state.line = line
        return False
    return True


def _end_of_table(state: StateBlock, start: int, _: int, silent: bool) -> bool:
    """End a table before a line without a cell: models write text right below a table."""
    is_in_table = silent and state.parentType == "table"
    return is_in_table and "|" not in state.src[state.bMarks[start] : state.eMarks[start]]


def _address(state: StateInline, silent: bool) -> bool:
    """Read an address as it stands, so that no marks are searched for in it."""
    if state.src[state.pos] not in ":wW":
        return False
    match = _ADDRESS.match(state.src, state.pos, state.posMax)
    address = _end_of_address(match[0]) if match else ""
    if len(address) < 4:
        return False
    if not silent:
        state.append_pending(address)
    state.pos += len(address)
    return True


def _emphasis(state: StateInline, silent: bool) -> bool:
    """Read a run of stars or underscores; one that can neither open nor close a pair, as in a name, is text."""
    mark = state.src[state.pos]
    if silent or mark not in "*_":
        return False
    run = state.scanDelims(state.pos, mark == "*")
    if not run.can_open and not run.can_close:
        state.append_pending(mark * run.length)
    else:
        if state.pending:
            state.pushPending()
        for _ in range(run.length):
            delimiter = Delimiter(ord(mark), run.length, len(state.tokens), -1, run.can_open, run.can_close)
            state.delimiters.append(delimiter)
            state.tokens.append(Token("text", "", 0, content=mark))
    state.pos += run.length
    return True


def _end_of_address(address: str) -> str:
    """Return an address without trailing marks and punctuation, or a bracket that it does not open."""
    if marks := _MARKS_AFTER_ADDRESS.search(address):
        address = address[: marks.start()]
    depth = 0
    for index, character in enumerate(address):
        depth += (character == "(") - (character == ")")
        if depth < 0:
            address = address[:index]
            break
    return _AFTER_ADDRESS.sub("", address)


def _label_end(state: StateInline, start: int, disable_nested: bool = False) -> int:
    """Return the end of the label that the bracket at `start` opens, -1 for none."""
    misses = state.env.get("label_misses", 0)
    if misses > MISSES_MAX:
        return -1
    end = helpers.parseLinkLabel(state, start, disable_nested)
    if end < 0:
        state.env["label_misses"] = state.env.get("label_misses", 0) + 1
    return end


def quick(parser: MarkdownIt) -> MarkdownIt:
    """Let the first character choose among the rules of a parser."""
    parser.inline = _Inline(parser.inline)
    parser.block.ruler = _BlockRuler(parser.block.ruler)
    return parser


def markdown_parser() -> MarkdownIt:
    """Make a parser without indented code, underlined headings and HTML blocks, which are mostly plain text."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    parser.disable(["code", "lheading", "html_block", "reference", "text_join"])
    parser.block.ruler.at("fence", _fence, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    parser.block.ruler.before("fence", "end_of_table", _end_of_table, {"alt": ["blockquote"]})
    parser.inline.ruler.before("escape", "address", _address)
    parser.inline.ruler.at("emphasis", _emphasis)
    add_formulas(parser)
    parser.helpers = SimpleNamespace(**(vars(helpers) | {"parseLinkLabel": _label_end}))  # type: ignore[assignment]
    parser.normalizeLinkText = str  # type: ignore[method-assign,assignment]
    parser.normalizeLink = str.strip  # type: ignore[method-assign,assignment]  # an address stays readable
    return parser
