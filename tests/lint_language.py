"""Check of the language: the first words of docstrings, and messages that say "is no …". `make lint` runs it.

    python tests/lint_language.py

Prints file, line and sentence of each fault; the exit code is 1 when there is one.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
FOLDERS = ("loadtests", "queue_core", "reports", "sim", "tests")
PLANTED = "tests/test_lint_language.py"
"""A file that the check leaves out, since it has faults on purpose."""

_FIRST = re.compile(r"(?:What|Whether|It|Its|The same|How|Why|Where|When)\b")
_THIRD_PERSON = re.compile(
    r"(?:Add|Ask|Call|Check|Close|Count|Delete|Describe|Do|End|Find|Join|Make|Note|Open|Raise|Read|Record|Remove|Return"
    r"|Run|Send|Take|Wait|Write|Yield)(?:s|es)(?! (?:of|are)\b)\b"
)
_IS_NO = re.compile(r"(?<![Tt]here )\bis no [a-z]")


def faults(source: str, file: str) -> Iterator[str]:
    """Yield `file:line: fault` for each fault in a module's source."""
    tree = ast.parse(source)
    docstrings = dict.fromkeys(_docstrings(tree))
    for docstring in docstrings:
        first_line = str(docstring.value).strip().split("\n")[0]
        if _FIRST.match(first_line):
            yield f'{file}:{docstring.lineno}: begin with a verb or a noun: "{first_line}"'
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("test_"):
            words = ast.get_docstring(node) or ""
            if _THIRD_PERSON.match(words):
                yield f'{file}:{node.lineno}: begin with "Return", not "Returns": "{words.splitlines()[0]}"'
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or node in docstrings:
            continue
        text = node.value.strip()
        if "\n" not in text and _IS_NO.search(text):
            yield f'{file}:{node.lineno}: say "is not a …": "{text}"'


def _docstrings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Yield the string under each definition, and under each attribute and constant."""
    for node in ast.walk(tree):
        body = getattr(node, "body", ())
        for statement in body if isinstance(body, list) else ():  # a lambda's body is an expression
            value = statement.value if isinstance(statement, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value


def check(folders: Iterable[str] = FOLDERS) -> list[str]:
    """Return the faults of every Python file in the folders."""
    lines: list[str] = []
    for folder in folders:
        path = REPOSITORY / folder
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            name = file.relative_to(REPOSITORY).as_posix()
            if name != PLANTED:
                lines += faults(file.read_text("utf-8"), name)
    return lines


def main() -> int:
    """Print the faults and return the exit code."""
    lines = check()
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
