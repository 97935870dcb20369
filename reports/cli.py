"""The command line: `python -m reports build | compare | baseline update | schemas`.

Exit codes: 0 when the command did its work and a comparison found nothing that `--fail-on` names; 1 when it found such
a thing; 2 for input or options that cannot be used; 130 when interrupted.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

from reports.compare.comparison import Comparison
from reports.results.checks import contradictions
from reports.results.files import KINDS, Result, ResultError, read_result
from reports.results.json_schema import FOLDER, schema_text
from reports.results.writing import STANDARD_OUTPUT, json_text, write_whole
from reports.text import one_line
from reports.words.language import DEFAULT, LANGUAGES, speaking

if TYPE_CHECKING:
    from reports.ci.history import Entry
    from reports.pages.csv_links import CsvLink

OK, FOUND, BAD_INPUT = 0, 1, 2
BASELINE = Path("reports/baseline.json")
REGRESSION = Path("reports/out/regression.html")
FAIL_ON: dict[str, Callable[[Comparison], bool]] = {
    "worse": lambda comparison: comparison.is_worse,
    "different": lambda comparison: comparison.is_different,
    "never": lambda _: False,
}


class InputError(Exception):
    """Options that cannot be used; the message says which and why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code. KeyboardInterrupt is the caller's (see __main__)."""
    options = _parser().parse_args(arguments)
    # Names of files and of systems may be in no encoding of a terminal.
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        code = run(options)
        _flush()
    except (InputError, ResultError) as error:
        return _refuse(str(error))
    except BrokenPipeError:
        # Whoever read our output has gone; keep Python from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BAD_INPUT
    except OSError as error:
        return _refuse(f"{error.filename or 'standard output'}: {error.strerror or error}")
    return code


def _refuse(words: str) -> int:
    print(f"reports: {one_line(words)}", file=sys.stderr)
    return BAD_INPUT


def _flush() -> None:
    """What does not fit on the disk is told here, not by Python at exit."""
    if sys.stdout is not None:
        sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reports",
        description="Makes reports from results, and compares results with what was accepted before.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    build = commands.add_parser(
        "build",
        help="make the page of a result: replay, load test or sweep, whatever the file is",
        description="Makes the page of a result: one HTML file that needs no network.",
    )
    build.add_argument("result", type=Path, metavar="RESULT.json")
    build.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE.html",
        help="the page; - is standard output (default: beside the result, with .html)",
    )
    build.add_argument(
        "--draw",
        type=int,
        action="append",
        default=[],
        metavar="NUMBER",
        help="draw this conversation of each recording of a replay before the worst ones; may be repeated",
    )
    _add_csv_folder(build)
    _add_language(build)
    build.set_defaults(run=_build)
    _add_compare(
        commands.add_parser(
            "compare",
            help="compare a result with a baseline or an earlier result",
            description="Compares a result with a baseline or an earlier result of its kind. Replays with equal "
            "seed and settings are compared exactly; replications and load tests by intervals and sizes of effects.",
            epilog="Exit code: 0 when nothing was found that --fail-on names, 1 when something was, 2 for files that "
            "cannot be read or compared.",
        )
    )
    baseline = commands.add_parser("baseline", help="accept a result as what others are compared with")
    actions = baseline.add_subparsers(title="actions", required=True, metavar="ACTION")
    update = actions.add_parser(
        "update",
        help="write the baseline from a result",
        description="Writes what of a result others are compared with: small, a line a conversation, without texts, "
        "phone numbers and ids.",
    )
    update.add_argument("result", type=Path, metavar="RESULT.json")
    update.add_argument(
        "-o",
        "--output",
        type=Path,
        default=BASELINE,
        metavar="FILE",
        help="- is standard output (default: %(default)s)",
    )
    update.set_defaults(run=_update_baseline)
    schemas = commands.add_parser(
        "schemas",
        help="write the JSON Schemas of result files",
        description="Writes a JSON Schema for each kind of result file, made from the types that read them.",
    )
    schemas.add_argument(
        "-o", "--output", type=Path, default=FOLDER, metavar="FOLDER", help="(default: %(default)s)"
    )
    schemas.set_defaults(run=_write_schemas)
    return parser


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("before", type=Path, metavar="BASELINE.json", help="a baseline, or a result")
    parser.add_argument("after", type=Path, metavar="RESULT.json")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=REGRESSION,
        metavar="FILE.html",
        help="the page; - is standard output, also for the next three (default: %(default)s)",
    )
    parser.add_argument("--junit", type=Path, metavar="FILE.xml", help="write test cases for a CI server")
    parser.add_argument("--summary", type=Path, metavar="FILE.md", help="write a summary in Markdown")
    parser.add_argument("--json", type=Path, metavar="FILE.json", help="write everything that was found")
    parser.add_argument(
        "--fail-on",
        choices=list(FAIL_ON),
        default="worse",
        help="what makes the exit code 1: something worse (default), any difference, or nothing",
    )
    parser.add_argument(
        "--history", type=Path, metavar="FILE.jsonl", help="append this run's figures, and show how they went"
    )
    parser.add_argument(
        "--commit", metavar="ID", help="what the history calls this run (default: $GITHUB_SHA, or git's HEAD)"
    )
    _add_csv_folder(parser)
    _add_language(parser)
    parser.set_defaults(run=_compare)


def _add_csv_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--csv-dir",
        type=Path,
        metavar="FOLDER",
        help="write the page's tables there as CSV files, whole however long they are",
    )


def _add_language(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--lang", choices=LANGUAGES, default=DEFAULT, help="language of the page (default: en)"
    )


def _build(options: argparse.Namespace) -> int:
    result = read_result(options.result)
    if options.draw and result["kind"] != "replay":
        raise InputError("--draw is for replays: other pages have no conversations")
    output: Path = options.output or options.result.with_suffix(".html")
    _check_outputs({"-o": output}, [options.result])
    _write(_page(result, options), output)
    _tell_output(output)
    with speaking(options.lang):
        _write_tables(_tables(result), options.csv_dir)
    return OK


def _page(result: Result, options: argparse.Namespace) -> str:
    """Make the page of a result. The imports are late: matplotlib and pandas take a second each."""
    if result["kind"] == "replay":
        from reports.pages.replay.page import render_replay_report  # noqa: PLC0415

        return render_replay_report(result, options.lang, options.draw)
    if result["kind"] == "load":
        from reports.pages.load.page import render_load_report  # noqa: PLC0415

        return render_load_report(result, options.lang)
    if result["kind"] == "sweep":
        from reports.pages.sweep.page import render_sweep_report  # noqa: PLC0415

        return render_sweep_report(result, options.lang)
    raise InputError("a baseline has no page of its own: compare a result with it")


def _tables(result: Result) -> Sequence[tuple[str, CsvLink]]:
    """Make the tables of the page of a result, each with a description."""
    if result["kind"] == "replay":
        from reports.analysis.replay import AnalysedReplay  # noqa: PLC0415
        from reports.pages.replay.downloads import downloads  # noqa: PLC0415

        return downloads(AnalysedReplay(result))
    if result["kind"] == "load":
        from reports.pages.load.downloads import load_downloads  # noqa: PLC0415

        return load_downloads(result)
    if result["kind"] == "sweep":
        from reports.pages.sweep.view import sweep_downloads  # noqa: PLC0415

        return sweep_downloads(result)
    return ()


def _write_tables(tables: Sequence[tuple[str, CsvLink]], folder: Path | None) -> None:
    if folder is not None:
        for _, link in tables:
            _write(link.whole, folder / link.name)


def _check_outputs(outputs: Mapping[str, Path | None], inputs: Sequence[Path]) -> None:
    """Nothing that is read is written over, and no file is written twice; looked at before anything is written.

    Raises:
        InputError: an output is an input, another output, or a folder.
        OSError: it cannot be said what an output is.
    """
    taken: dict[str, str] = {}
    for option, path in outputs.items():
        if path is None:
            continue
        if path == STANDARD_OUTPUT:
            name = str(path)
        elif path.is_dir():
            raise InputError(f"{path}: is a folder; name a file in it with {option}")
        elif any(_is_same(path, one) for one in inputs):
            raise InputError(f"{path}: {option} would replace what is read; name another file")
        elif _exists(path) and not path.is_file():
            continue  # such as /dev/null, which takes whatever it gets
        else:
            name = os.path.realpath(path)
        if name in taken:
            raise InputError(f"{path}: is given for {taken[name]} and for {option}; name two files")
        taken[name] = option


def _exists(path: Path) -> bool:
    """As path.exists(), but a link that leads to itself is an error."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True


def _is_same(one: Path, other: Path) -> bool:
    return _exists(one) and _exists(other) and one.samefile(other)


def _write(text: str, output: Path) -> None:
    """Write `text` as UTF-8, whole or not at all, or to standard output.

    Raises:
        InputError: the file cannot be written.
        OSError: standard output cannot be written.
    """
    if output == STANDARD_OUTPUT and sys.stdout is None:
        raise InputError("standard output is closed: name a file")
    try:
        write_whole(text, output)
    except OSError as error:
        if output == STANDARD_OUTPUT:
            raise
        raise InputError(f"{output}: cannot be written: {error.strerror or error}") from None


def _tell_output(output: Path) -> None:
    if output != STANDARD_OUTPUT:
        print(output)


def _compare(options: argparse.Namespace) -> int:
    from reports.compare.compare import compare  # noqa: PLC0415 - pandas takes a second to import
    from reports.pages.regression.downloads import regression_downloads  # noqa: PLC0415

    outputs = {
        "-o": options.output,
        "--junit": options.junit,
        "--summary": options.summary,
        "--json": options.json,
    }
    if options.history == STANDARD_OUTPUT:
        raise InputError("-: a history is a file that is read and appended to; name one with --history")
    _check_outputs({**outputs, "--history": options.history}, [options.before, options.after])
    before, after = read_result(options.before), read_result(options.after)
    with speaking(options.lang):
        comparison = compare(before, after)
        _write_comparison(comparison, after, options)
        _write_tables(regression_downloads(comparison), options.csv_dir)
    told = sys.stderr if STANDARD_OUTPUT in outputs.values() else sys.stdout
    if options.output != STANDARD_OUTPUT:
        print(options.output, file=told)
    print(
        one_line(str(comparison.verdict)), file=told
    )  # one line: CI servers take some beginnings of lines for commands
    return FOUND if FAIL_ON[options.fail_on](comparison) else OK


def _write_comparison(comparison: Comparison, after: Result, options: argparse.Namespace) -> None:
    """Writes whatever was asked for. The history comes last: a run that could not be told is not in it."""
    from reports.ci import history  # noqa: PLC0415
    from reports.ci.junit import junit_xml  # noqa: PLC0415
    from reports.ci.markdown import markdown_summary  # noqa: PLC0415
    from reports.pages.regression.page import render_regression_report  # noqa: PLC0415
    from reports.pages.trend import trend_of  # noqa: PLC0415

    entries = _history(after, options, ok=not comparison.is_worse)
    _write(render_regression_report(comparison, trend_of(entries), options.lang), options.output)
    if options.junit is not None:
        _write(junit_xml(comparison), options.junit)
    if options.summary is not None:
        _write(markdown_summary(comparison), options.summary)
    if options.json is not None:
        _write(json_text(comparison.as_json()), options.json)
    if entries:
        try:
            history.append(options.history, entries[-1])
        except OSError as error:
            raise InputError(f"{options.history}: cannot be appended to: {error.strerror or error}") from None


def _history(after: Result, options: argparse.Namespace, *, ok: bool) -> Sequence[Entry]:
    """The runs of the history, this one the last; none if there is no history."""
    if options.history is None:
        return ()
    from reports.ci import history  # noqa: PLC0415

    entries, warnings = history.read(options.history)
    for warning in warnings:
        print(f"reports: {one_line(warning)}", file=sys.stderr)
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return [*entries, history.entry_of(after, at=now, commit=options.commit or _commit(), ok=ok)]


def _commit() -> str:
    if named := os.environ.get("GITHUB_SHA"):
        return named[:12]
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return asked.stdout.strip()


def _update_baseline(options: argparse.Namespace) -> int:
    from reports.compare.baseline import baseline_of, baseline_text  # noqa: PLC0415

    _check_outputs({"-o": options.output}, [options.result])
    baseline = baseline_of(read_result(options.result))
    if problem := next(contradictions(baseline), ""):
        raise ResultError(f"{options.result}: makes no baseline that could be read: {problem} of it")
    _write(baseline_text(baseline), options.output)
    _tell_output(options.output)
    return OK


def _write_schemas(options: argparse.Namespace) -> int:
    for kind in KINDS:
        output: Path = options.output / f"{kind}.json"
        _write(schema_text(kind), output)
        _tell_output(output)
    return OK
