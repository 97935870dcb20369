r"""Formulas of LaTeX as plain text: `\frac{a}{b}` is a/b, `x^2` is x², `2 \pi r` is 2 πr.

No library fits. pylatexenc drops what follows a `%` and the brackets of `\frac{a+b}{2}`, writes `x^{n+1}` as x^n+1, and
fails on deep braces; unicodeit knows no fractions and makes `≤ft(` of `\left(`. Both change the value of a formula.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from queue_core.channels.form.latex_commands import (
    ACCENTS,
    ARGUMENTS,
    DOUBLE_STRUCK,
    FRACTIONS,
    FUNCTIONS,
    OPERATORS,
    ROOTS,
    SIGNS,
    SKIPPED,
    SKIPPED_WITH_ARGUMENT,
    SUBSCRIPTS,
    SUPERSCRIPTS,
    SYMBOLS,
)

DEPTH_MAX = 20
"""Limit on nesting; deeper braces are left out, and their content stays."""

_CHARACTERS = {"}": "", "&": " ", "~": " ", "'": "′", "*": "\u00d7"}
"""Characters that are written differently in plain text. A star would be a mark of WhatsApp."""
_LIST_MARK = re.compile(r"\A([-+]) ")
_TOKEN = re.compile(r"\\[A-Za-z]+\*?|\\.|\s+|[^\\\s]|\\", re.DOTALL)
_IS_PRODUCT = re.compile(r"[^\W_]*[√∛∜]?(?:[^\W_]+(?:[.,]\d+)*[%°′]?|\([^()]*\))|\S|")
"""Text that needs no brackets above a division sign."""
_IS_FACTOR = re.compile(
    r"[√∛∜]?(?:\d+(?:[.,]\d+)*[%°′]?|[^\W\d_](?:[^\W\d_]{2,})?[⁰¹²³⁴-⁹₀-₉]{0,9}|\([^()]*\))|\S|"
)
"""Text that needs no brackets below a division sign or under a root."""


def text_of_latex(formula: str) -> str:
    """Return a formula as plain text. For an unknown command, its name or its argument stays."""
    text = _Formula(_TOKEN.findall(formula)).text()
    lines = (_LIST_MARK.sub(r"\1", " ".join(line.split())) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


class _Formula:
    """Reader of the tokens of a formula."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def text(self) -> str:
        """Return the text of the remaining tokens."""
        parts = []
        while self._at < len(self._tokens):
            parts.append(self._next())
        return "".join(parts)

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _skip_space(self) -> None:
        while self._peek().isspace():
            self._at += 1

    def _next(self) -> str:
        """Read the next token, with its arguments."""
        token = self._peek()
        self._at += 1
        if self._depth >= DEPTH_MAX:
            return token.strip("{}\\")
        self._depth += 1
        text = self._read(token)
        self._depth -= 1
        return text

    def _read(self, token: str) -> str:
        if token == "{":  # noqa: S105 - a token of LaTeX
            return self._group("}")
        if token in ("^", "_"):
            return self._script(token)
        if token.startswith("\\"):
            return self._command(token[1:].rstrip("*") or token[1:])
        return " " if token.isspace() else _CHARACTERS.get(token, token)

    def _group(self, end: str) -> str:
        """Read up to a bracket that ends a group, which was opened before."""
        parts = []
        while self._at < len(self._tokens) and self._peek() != end:
            parts.append(self._next())
        self._at += 1
        return "".join(parts)

    def _argument(self) -> str:
        """Read the argument of a command: a group, or the next token."""
        self._skip_space()
        return self._next().strip()

    def _option(self) -> str:
        """Read an argument in square brackets, if there is one."""
        if self._peek() != "[":
            return ""
        self._at += 1
        return self._group("]")

    def _script(self, mark: str) -> str:
        """Read a superscript or subscript, in small characters if Unicode has all of them."""
        body = self._argument()
        if mark == "^" and body in ("∘", "°", "′"):
            return body.replace("∘", "°")
        small = SUPERSCRIPTS if mark == "^" else SUBSCRIPTS
        compact = body.replace(" ", "")
        if all(letter in small for letter in compact):
            return "".join(small[letter] for letter in compact)
        return f"{mark}{body}" if body.isalnum() else f"{mark}({body})"

    def _command(self, name: str) -> str:
        text = SIGNS.get(name)
        if name in SYMBOLS:
            text = self._symbol(name)
        elif name in OPERATORS:
            text = f" {OPERATORS[name]} "
        elif name in FUNCTIONS:
            text = name if self._peek() in ("(", "^", "_", "{", "") else f"{name} "
        elif name in SKIPPED:
            self._at += self._peek() == "."
            text = ""
        return self._applied(name) if text is None else text

    def _symbol(self, name: str) -> str:
        following = self._tokens[self._at + 1] if self._at + 1 < len(self._tokens) else ""
        if self._peek().isspace() and (following.isalnum() or following[1:] in SYMBOLS):
            self._at += 1  # 2πr, not 2π r
        return SYMBOLS[name]

    def _applied(self, name: str) -> str:
        """Read a command with arguments, or an unknown command."""
        if name in FRACTIONS:
            text = self._fraction()
        elif name == "sqrt":
            degree = self._option().strip()
            root = ROOTS.get(degree) or "".join(SUPERSCRIPTS.get(letter, letter) for letter in degree) + "√"
            text = f"{root}{_in_brackets(self._argument(), _IS_FACTOR)}"
        elif name in ACCENTS:
            body = self._argument()
            text = unicodedata.normalize("NFC", f"{body}{ACCENTS[name]}") if len(body) == 1 else body
        elif name == "begin":
            if self._argument() in ("array", "tabular"):
                self._argument()
            text = ""
        elif name in _BY_ARGUMENTS:
            count, written = _BY_ARGUMENTS[name]
            text = written(*(self._argument() for _ in range(count)))
        else:
            text = self._next() if self._peek() == "{" or name in ARGUMENTS else name
        return text

    def _fraction(self) -> str:
        """Read a fraction. Beside a factor it gets brackets, since 1/2x may mean one half of x, or 1/(2x)."""
        before = self._tokens[self._at - 2] if self._at > 1 else ""
        fraction = (
            f"{_in_brackets(self._argument(), _IS_PRODUCT)}/{_in_brackets(self._argument(), _IS_FACTOR)}"
        )
        after = self._peek()
        if after.isalnum() or after in ("(", "^") or after[1:] in SYMBOLS:
            fraction = f"({fraction})"
        return f" {fraction}" if before.isalnum() else fraction


_BY_ARGUMENTS: dict[str, tuple[int, Callable[..., str]]] = {
    **dict.fromkeys(("binom", "tbinom", "dbinom"), (2, lambda above, below: f"C({above}, {below})")),
    **dict.fromkeys(("textcolor", "overset", "underset", "stackrel"), (2, lambda _, body: body)),
    **dict.fromkeys(SKIPPED_WITH_ARGUMENT, (1, lambda _: "")),
    "tag": (1, lambda number: f" ({number})"),
    "not": (1, lambda sign: unicodedata.normalize("NFC", f"{sign}\u0338")),
    "mathbb": (1, lambda letters: "".join(DOUBLE_STRUCK.get(letter, letter) for letter in letters)),
}
"""Number of arguments of further commands, and a function that makes their text."""


def _in_brackets(body: str, bare: re.Pattern[str]) -> str:
    """Return a text for use beside a division sign or under a root: in brackets, unless `bare` matches it."""
    return body if len(body) < 100 and bare.fullmatch(body) else f"({body})"
