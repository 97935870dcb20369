"""Documents for readers, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md")

_PYTHON = ("python", ".venv/bin/python")


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a page, as a reader types it; `script` is a block for the shell."""

    page: str
    text: str
    script: bool = False

    @property
    def words(self) -> list[str]:
        """Words of the command, with `python` for whichever Python the page names."""
        words = shlex.split(self.text)
        return ["python", *words[1:]] if words[0] in _PYTHON else words

    @property
    def name(self) -> str:
        """The beginning that says which command it is: `make`, `pip`, `python -m sim replay`."""
        words = self.words
        return " ".join(words[:4]) if words[0] == "python" else Path(words[0]).name


def commands() -> list[Command]:
    """Return all commands of all pages, in the order in which they stand there."""
    return [command for page in PAGES for command in _commands_of(page)]


def _commands_of(page: Path) -> Iterator[Command]:
    text, name = page.read_text("utf-8"), page.relative_to(ROOT).as_posix()
    for match in re.finditer(r"^```(\w*)\n(.*?)^```|^    (?! )([^\n]+)$", text, re.MULTILINE | re.DOTALL):
        language, fenced, line = match.groups()
        if language == "sh":
            yield Command(name, fenced, script=True)
        elif line:
            yield Command(name, line.partition(" # ")[0].strip())


def block(page: str, language: str) -> str:
    """Return the first fenced block of a language on a page."""
    return (ROOT / page).read_text("utf-8").split(f"```{language}\n")[1].split("```")[0]


def section_under(page: str, heading: str) -> str:
    """Return the text between a heading of the second level and the next one."""
    return (ROOT / page).read_text("utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]


def made_table(page: Path, maker: str, table: str, *, write: bool) -> str:
    """Return the table that stands on a page behind the mark of the test that makes it; `write` replaces it first."""
    mark = f"<!-- made by {maker} -->\n"
    before, rest = page.read_text("utf-8").split(mark)
    old, blank, after = rest.partition("\n\n") if rest.startswith("|") else ("", "", rest)
    if write:
        page.write_text(f"{before}{mark}{table}{after if not blank else chr(10) + after}", "utf-8")
        return table
    return old.rstrip("\n") + "\n"
