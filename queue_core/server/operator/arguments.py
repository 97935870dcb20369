"""What the operator's commands take: durations, counts, and how each command is added with its help."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Awaitable, Callable

from queue_core.durations import DAY_MS, DurationError, parse_duration_ms
from queue_core.server.config import ServerSettings

OK, NOT_SO, WRONG_USAGE = 0, 1, 2
"""Exit codes: done; a check failed, something is left or was not found; usage or configuration."""
HELP_COLUMNS = 80

Run = Callable[[argparse.Namespace, ServerSettings], Awaitable[int]]
"""What a command does; returns the exit code."""


def duration_s(text: str) -> float:
    """Read a duration above 0 and up to 30 days, in seconds. Raises argparse.ArgumentTypeError."""
    try:
        return parse_duration_ms(text, is_above_0=True, at_most_ms=30 * DAY_MS) / 1000
    except DurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def count(low: int, high: int) -> Callable[[str], int]:
    """A parser for whole numbers from `low` to `high`."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,12}", text, re.ASCII) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from {low} to {high}")
        return int(text)

    return parse


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Run | None,
    *,
    summary: str,
    description: str,
    epilog: str,
    has_json: bool = True,
) -> argparse.ArgumentParser:
    """A command whose help keeps its lines as written. `run` is None for one that only groups others."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=_laid_out(description),
        epilog=_laid_out(epilog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if run:
        parser.set_defaults(run=run)
    if has_json:
        parser.add_argument("--json", action="store_true", help="write JSON, for machines")
    return parser


def _laid_out(words: str) -> str:
    """Paragraphs filled to a terminal's width; those with indented lines, such as examples, stay as they are."""
    paragraphs = textwrap.dedent(words).strip().split("\n\n")
    return "\n\n".join(
        paragraph if "\n  " in paragraph else textwrap.fill(paragraph, HELP_COLUMNS, break_on_hyphens=False)
        for paragraph in paragraphs
    )
