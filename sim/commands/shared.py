"""Parts that commands share: exit codes, numbers among options, the output of a result."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from rich.console import Console

from reports.results.writing import STANDARD_OUTPUT, json_text, write_whole
from reports.words.language import DEFAULT, LANGUAGES
from sim.console import console_for

OK, BAD_OUTCOME, BAD_INPUT = 0, 1, 2
"""Exit codes: the queue did its work; it did not, or a run failed; input or options that cannot be used."""
RUNS_MAX = 100_000
SEED_MAX = 2**63 - 1
JOBS_MAX = 1024


class InputError(Exception):
    """Input or options that cannot be used; the message says which and why."""


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """Make a parser for whole numbers from `low` to `high`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{value} is outside {low} to {high}")
        return value

    return parse


def add_paths(parser: argparse.ArgumentParser) -> None:
    """Add the recordings to replay."""
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="a recording (.jsonl), or a folder of them"
    )


def add_output(parser: argparse.ArgumentParser, report: Path) -> None:
    """Add what is written and where, and how the work is done; `report` is the default."""
    output = parser.add_argument_group("output")
    output.add_argument(
        "--report", type=Path, default=report, metavar="FILE", help="the report (default: %(default)s)"
    )
    output.add_argument(
        "--no-report", action="store_const", const=None, dest="report", help="write no report"
    )
    output.add_argument(
        "--lang", choices=LANGUAGES, default=DEFAULT, help="language of the report (default: en)"
    )
    output.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write the whole result as JSON; - is standard output, and then nothing else is",
    )
    output.add_argument("--quiet", action="store_true", help="print the verdict only")
    work = parser.add_argument_group("work")
    work.add_argument(
        "--skip-bad-lines",
        action="store_true",
        help="count and show broken lines instead of stopping at the first",
    )
    work.add_argument(
        "--jobs",
        type=whole_number(1, JOBS_MAX),
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes to use (default: one per processor)",
    )


def check_outputs(options: argparse.Namespace) -> None:
    """Find out now, rather than after all the work, that a file cannot be written. Raises InputError."""
    for path in (options.report, None if options.json in (None, STANDARD_OUTPUT) else options.json):
        if path is not None:
            _check_writable(path)


def _check_writable(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a"):
            pass
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None


def write_outputs(
    result: Mapping[str, object], options: argparse.Namespace, write_report: Callable[[Path], None]
) -> None:
    """Write the JSON and the report that were asked for. Raises InputError."""
    try:
        if options.json is not None:
            write_whole(json_text(result), options.json)
        if options.report is not None:
            write_report(options.report)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"the result cannot be written: {error}") from None


def output_console(options: argparse.Namespace) -> Console:
    """The console for people: standard error where the result itself goes to standard output."""
    return console_for(sys.stderr if options.json == STANDARD_OUTPUT else sys.stdout)


def command_line(
    options: argparse.Namespace,
    command: str,
    settings: Mapping[str, str | None],
    *,
    systems: Iterable[str] = (),
) -> list[str]:
    """The words of the command that gives this result. Absolute paths are shortened to names.

    `settings` are options by name, as they were typed; None for those that were not.
    """
    words = ["python", "-m", "sim", command]
    words += [path.name if path.is_absolute() else path.as_posix() for path in options.paths]
    for name in systems:
        words += ["--system", name]
    if options.runs != 1:
        words += ["--runs", str(options.runs)]
    words += ["--seed", str(options.seed)]
    for name, text in settings.items():
        if text is not None:
            words += [f"--{name}", text]
    return words
