"""`python -m sim import`: makes a recording from webhook dumps, logs and exports."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from queue_core.command_lines import typed
from queue_core.recording.format import MessageEvent
from queue_core.recording.writer import header_line, message_line, other_line
from reports.results.writing import STANDARD_OUTPUT, json_text
from sim.commands.errors import InputError
from sim.commands.import_options import add_import_options, import_options
from sim.commands.import_words import explanation_lines, summary_lines
from sim.commands.shared import OK, SEED_MAX, whole_number
from sim.console import byte_progress, console_for, terminal_text
from sim.importers.importing import Import
from sim.importers.sources import STANDARD_INPUT, Meter, size_of
from sim.importers.summary import Summary


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "import",
        help="make a recording from webhook dumps, logs and exports",
        description="Makes a recording from logs, webhook dumps or exports. Phones and ids become hashes, "
        "texts are left out. `replay`, `sweep` and `audit` take the same files directly.",
        epilog="Exit code: 0 when a recording was written; 2 when there is none, and a sentence says why.",
    )
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="a file or a folder, also packed by gzip, zstd, xz, bzip2 or zip; - is standard input",
    )
    add_import_options(parser)
    output = parser.add_argument_group("output")
    output.add_argument(
        "-o",
        "--output",
        type=Path,
        default=STANDARD_OUTPUT,
        metavar="FILE",
        help="the recording to write (default: standard output)",
    )
    output.add_argument("--title", default="", metavar="TEXT", help="title of the recording")
    output.add_argument(
        "--seed",
        type=whole_number(0, SEED_MAX),
        default=0,
        metavar="N",
        help="seed of the random moments within a second or minute (default: %(default)s)",
    )
    output.add_argument("--explain", action="store_true", help="list the lines that were left out, by reason")
    output.add_argument("--json", action="store_true", help="print the summary as JSON")
    output.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Import, write the recording and print a summary; returns the exit code.

    Raises InputError and ImportFailedError.
    """
    _check_output(options)
    meter = Meter()
    with byte_progress(
        "importing", size_of(options.paths), lambda: meter.bytes_read, shown=not options.quiet
    ) as progress:
        work = Import(
            options.paths, import_options(options, seed=options.seed), progress=progress, meter=meter
        )
        try:
            is_replaced = options.output.is_file()
            _write(work, options.output, options.title)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise InputError(f"{options.output}: cannot be written: {error.strerror or error}") from None
    _say(work.summary, options, is_replaced=is_replaced)
    return OK


def _check_output(options: argparse.Namespace) -> None:
    if options.output == STANDARD_OUTPUT:
        return
    inputs = {path.resolve() for path in options.paths if path != STANDARD_INPUT}
    if options.output.resolve() in inputs:
        raise InputError(f"{options.output} is a file to import; write the recording to another file")


def _write(work: Import, path: Path, title: str) -> None:
    """Write the whole recording or nothing; its first line says what was left out, which is known only at the end."""
    with tempfile.TemporaryFile("w+b") as body:
        write = body.write
        for event in work.events():
            line = message_line(event) if isinstance(event, MessageEvent) else other_line(event)
            write(line.encode())
        body.seek(0)
        with _output(path) as file:
            file.write(header_line(work.header(title)).encode())
            shutil.copyfileobj(body, file, 1024 * 1024)


@contextmanager
def _output(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file, which is renamed to the path when it is complete."""
    if path == STANDARD_OUTPUT:
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    if path.exists() and not path.is_file():  # a pipe, /dev/null
        with path.open("wb") as file:
            yield file
        return
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            yield file
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _say(summary: Summary, options: argparse.Namespace, *, is_replaced: bool) -> None:
    """Print the summary, to standard error if the recording is on standard output."""
    stream = sys.stderr if options.output == STANDARD_OUTPUT else sys.stdout
    if options.json:
        print(json_text(summary.as_json()), end="", file=stream)
        return
    if options.quiet:
        return
    console = console_for(stream)
    lines = [*summary_lines(summary), *(explanation_lines(summary) if options.explain else ())]
    for line in lines:
        console.print(terminal_text(line), markup=False, soft_wrap=True)
    if options.output != STANDARD_OUTPUT:
        done = "written (replaced)" if is_replaced else "written"
        end = f"{options.output}: {done}; replay it with: {typed('python -m sim replay')} {options.output}"
        console.print(terminal_text(end), markup=False, soft_wrap=True)
