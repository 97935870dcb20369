"""What the operator's commands take: durations, counts, and how each command is added with its help."""

from __future__ import annotations

import argparse
import math
import re
import textwrap
from collections.abc import Awaitable, Callable

from queue_core.server.config import ServerSettings

OK, NOT_SO, WRONG_USAGE = 0, 1, 2
"""Exit codes: done; a check failed, something is left or was not found; usage or configuration."""
DURATION_S_MAX = 30 * 86_400.0
HELP_COLUMNS = 80

Run = Callable[[argparse.Namespace, ServerSettings], Awaitable[int]]
"""What a command does; returns the exit code."""

_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h|d|)", re.ASCII)
_SECONDS_OF = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "": 1.0}


def duration_s(text: str) -> float:
    """Seconds in "30s", "10m", "2h", "1.5h", "500ms", "1d" or a plain number of seconds.

    Raises argparse.ArgumentTypeError for anything else, for 0, and for more than 30 days.
    """
    found = _DURATION.fullmatch(text.strip().lower())
    if not found:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no duration: write a number with ms, s, m, h or d, such as 30s, 10m or 2h"
        )
    seconds = float(found[1]) * _SECONDS_OF[found[2]]
    if not 0 < seconds <= DURATION_S_MAX or not math.isfinite(seconds):
        raise argparse.ArgumentTypeError(f"{text!r} is out of range: more than 0, and at most 30d")
    return seconds


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
