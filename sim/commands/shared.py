"""Parts that commands share: options, output files, and the verdict at the end."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from rich.console import Console
from rich.text import Text

from queue_core.command_parser import CommandParser
from reports.results.writing import STANDARD_OUTPUT, json_text, write_whole
from reports.words.language import DEFAULT, LANGUAGES
from reports.words.verdicts import Verdict
from sim.commands.errors import InputError
from sim.commands.import_options import add_import_options, given_import_options
from sim.console import console_for, terminal_text
from sim.engine.settings import ENGINES, SimSettings
from sim.importers.loading import without_number

OK, BAD_OUTCOME, BAD_INPUT = 0, 1, 2
"""Exit codes. OK: the queue did its work. BAD_OUTCOME: it did not, or a run failed. BAD_INPUT: input or options cannot
be used."""
RUNS_MAX = 100_000
SEED_MAX = 2**63 - 1
JOBS_MAX = 1024

Result = TypeVar("Result", bound=Mapping[str, object])


class _HelpFormatter(argparse.HelpFormatter):
    """Formatter that does not break lines inside a name such as `http-fails`."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)


class Parser(CommandParser):
    """Parser that prints an error in one line, as the commands do."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": _HelpFormatter, **options})

    def error(self, message: str) -> NoReturn:
        """End the program with the message and the command that shows the help."""
        self.exit(BAD_INPUT, f"sim: {message.removeprefix('argument ')}; see {self.prog} --help\n")


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """Make a parser for whole numbers from `low` to `high`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be a whole number from {low} to {high}, not {text!r}")
        return value

    return parse


def add_paths(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name the recordings, and how to read them."""
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="a recording, or a folder of them; or a webhook dump, a log or an export, which is imported first",
    )
    parser.add_argument(
        "--skip-bad-lines",
        action="store_true",
        help="count and show broken lines instead of stopping at the first",
    )
    add_import_options(parser)


def add_world(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add the settings of the simulated world, and return their group."""
    defaults = SimSettings()
    world = parser.add_argument_group(
        "the simulated world", "these options override the settings in a recording"
    )
    world.add_argument(
        "--ai",
        metavar="SPEC",
        help="time that the AI takes: constant:6s, exponential:MEAN, lognormal:MEDIAN:P95 or lognormal:MEDIAN:SIGMA "
        f"(default: {defaults.ai})",
    )
    world.add_argument(
        "--redis-latency",
        metavar="SPEC",
        help=f"round trip to Redis, in the same form (default: {defaults.redis_latency})",
    )
    world.add_argument(
        "--engine",
        choices=ENGINES,
        help="the simulated Redis. "
        + "; ".join(f"{name}: {words}" for name, words in ENGINES.items())
        + f" (default: {defaults.engine})",
    )
    world.add_argument(
        "--runs",
        type=whole_number(1, RUNS_MAX),
        default=1,
        metavar="N",
        help="replay N times with different seeds (default: %(default)s)",
    )
    world.add_argument(
        "--seed",
        type=whole_number(0, SEED_MAX),
        default=defaults.seed,
        metavar="N",
        help="seed of everything random (default: %(default)s)",
    )
    return world


def add_output(parser: argparse.ArgumentParser, report: Path) -> None:
    """Add the options for output and processes; `report` is the default file of the report."""
    output = add_pages(parser, report)
    output.add_argument(
        "--jobs",
        type=whole_number(1, JOBS_MAX),
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes to use (default: one per processor)",
    )


def add_pages(parser: argparse.ArgumentParser, report: Path) -> argparse._ArgumentGroup:
    """Add the options for output, and return their group; `report` is the default file of the report."""
    output = parser.add_argument_group("output")
    output.add_argument(
        "--report", type=Path, default=report, metavar="FILE", help="the report (default: %(default)s)"
    )
    output.add_argument(
        "--no-report", action="store_const", const=None, dest="report", help="write no report"
    )
    output.add_argument(
        "--lang", choices=LANGUAGES, default=DEFAULT, help="language of the report (default: %(default)s)"
    )
    output.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write the whole result as JSON; - is standard output, then everything else goes to standard error",
    )
    output.add_argument("--quiet", action="store_true", help="print the verdict only")
    return output


def check_outputs(options: argparse.Namespace) -> None:
    """Check before the work that every output file can be written. Raises InputError."""
    outputs = [path for path in (options.report, options.json) if path is not None]
    if len(outputs) > len({path.resolve() for path in outputs}):
        raise InputError(f"--report and --json: both name {outputs[0]}; give two different files")
    inputs = {
        file.resolve() for path in options.paths for file in (path.rglob("*") if path.is_dir() else [path])
    }
    for path in outputs:
        if path.resolve() in inputs:
            raise InputError(f"{path} is an input file; write the result to another file")
        if path != STANDARD_OUTPUT:
            _check_writable(path)


def _check_writable(path: Path) -> None:
    is_new = not path.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a"):
            pass
    except FileExistsError:
        raise InputError(f"{path}: cannot be written: {path.parent} is not a folder") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
    if is_new:
        path.unlink()


def publish(
    result: Result,
    options: argparse.Namespace,
    *,
    write_report: Callable[[Result, argparse.Namespace], None],
    show: Callable[[Result, Console], None],
    verdict: Verdict,
    style: str,
) -> None:
    """Write the JSON and the report that were asked for, then print tables and verdict. Raises InputError."""
    is_replaced = options.report is not None and options.report.is_file()
    try:
        if options.json is not None:
            write_whole(json_text(result), options.json)
        if options.report is not None:
            write_report(result, options)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"the result cannot be written: {error.strerror or error}") from None
    console = console_for(sys.stderr if STANDARD_OUTPUT in (options.json, options.report) else sys.stdout)
    if not options.quiet:
        show(result, console)
        if options.report not in (None, STANDARD_OUTPUT):
            console.print(
                f"Report: {options.report}{' (replaced)' if is_replaced else ''}",
                markup=False,
                soft_wrap=True,
            )
    console.print(Text(terminal_text(verdict), style=style))


def command_line(command: str, options: argparse.Namespace, given: Mapping[str, str], *words: str) -> str:
    """Return the command that repeats this result, without absolute paths, and without options that do not change it.

    A phone number in the name of a file is cut to its last digits.
    `given` has options by name, as they were typed; `words` come after them.
    """
    line = ["python", "-m", "sim", command]
    line += [without_number(path.name if path.is_absolute() else path.as_posix()) for path in options.paths]
    if hasattr(options, "seed"):
        line += ["--runs", str(options.runs)] if options.runs != 1 else []
        line += ["--seed", str(options.seed)]
    line += [word for name, text in given.items() for word in (f"--{name}", text)]
    line += given_import_options(options)
    line += [*words, *(["--skip-bad-lines"] if options.skip_bad_lines else [])]
    return shlex.join(line)


def given_options(options: argparse.Namespace, names: Iterable[str]) -> dict[str, str]:
    """Return the options among `names` that the user typed."""
    values = {name: getattr(options, name.replace("-", "_")) for name in names}
    return {name: text for name, text in values.items() if text is not None}
