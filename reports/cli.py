"""Command line: `python -m reports build | compare | baseline update | schemas`.

Exit codes: 0 for success; 1 when a comparison finds what `--fail-on` names; 2 for input or options that cannot be used;
130 when interrupted.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, TypeAlias

from reports.command_lines import typed
from reports.compare.comparison import Comparison
from reports.results.checks import contradictions
from reports.results.files import KINDS, Result, ResultError, read_result
from reports.results.json_schema import FOLDER, schema_text
from reports.results.writing import STANDARD_OUTPUT, json_text, write_whole
from reports.text import one_line
from reports.words.language import DEFAULT, LANGUAGES, speaking

if TYPE_CHECKING:
    from reports.analysis.replay import AnalysedReplay
    from reports.ci.history import Entry
    from reports.pages.csv_links import CsvLink

    Tables: TypeAlias = Sequence[tuple[str, CsvLink]]

_Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"

OK, FOUND, BAD_INPUT = 0, 1, 2
BASELINE = Path("reports/baseline.json")
REGRESSION = Path("reports/out/regression.html")
FAIL_ON: dict[str, Callable[[Comparison], bool]] = {
    "worse": lambda comparison: comparison.is_worse,
    "different": lambda comparison: comparison.is_different,
    "never": lambda _: False,
}


class InputError(Exception):
    """Options that cannot be used; the message says which, why, and what to do."""


class _Parser(argparse.ArgumentParser):
    """Argument parser that refuses abbreviated options, and reports an error in one line with a command for help."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Raise InputError for wrong options."""
        words = message.replace("'", "")
        raise InputError(f"{words}; see `{self.prog} --help`")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code. The caller handles KeyboardInterrupt (see __main__)."""
    # The encoding of the terminal may lack characters in names of files and systems.
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        options = _parser().parse_args(arguments)
        run: Callable[[argparse.Namespace], int] = options.run
        code = run(options)
        if sys.stdout is not None:
            sys.stdout.flush()  # so that an error is reported below, not by Python at exit
    except (InputError, ResultError) as error:
        return _refuse(str(error))
    except BrokenPipeError:
        # The reader of standard output has closed it; Python must not report that at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BAD_INPUT
    except OSError as error:
        return _refuse(f"{error.filename or 'standard output'}: {error.strerror or error}")
    return code


def _refuse(words: str) -> int:
    _warn(words)
    return BAD_INPUT


def _warn(words: str) -> None:
    print(f"reports: {one_line(words)}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=typed("python -m reports"),
        description="Makes reports from results, and compares results with accepted ones.",
        epilog=typed("The options of a command: python -m reports COMMAND --help"),
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_build(commands)
    _add_compare(commands)
    baseline = commands.add_parser(
        "baseline",
        help="make a result the baseline of later comparisons",
        description="Makes a result the baseline, with which `compare` compares later results.",
    )
    _add_update(baseline.add_subparsers(title="actions", required=True, metavar="ACTION"))
    schemas = commands.add_parser(
        "schemas",
        help="write the JSON Schemas of result files",
        description="Writes a JSON Schema for each kind of result file, made from the types that read them.",
    )
    folder = "the folder to write them into (default: reports/results/schemas, in the package)"
    _add_output(schemas, "FOLDER", folder, FOLDER)
    schemas.set_defaults(run=_write_schemas)
    return parser


def _add_build(commands: _Commands) -> None:
    parser = commands.add_parser(
        "build",
        help="make the HTML page of a replay, a load test, a sweep, an audit, a validation or failover runs",
        description="Makes the page of a result: one HTML file that needs no network.",
    )
    parser.add_argument("result", type=Path, metavar="RESULT.json", help="a result file")
    _add_output(
        parser, "FILE.html", "the page; - is standard output (default: beside the result, with .html)"
    )
    drawn = "in each recording of a replay, draw first the conversation with this number; may be repeated"
    parser.add_argument("--draw", type=int, action="append", default=[], metavar="NUMBER", help=drawn)
    _add_csv_folder(parser)
    _add_language(parser)
    parser.set_defaults(run=_build)


def _add_compare(commands: _Commands) -> None:
    parser = commands.add_parser(
        "compare",
        help="compare a result with a baseline or an earlier result",
        description="Compares a result with a baseline or an earlier result of its kind. Replays with equal seed and "
        "settings are compared exactly; results of several runs, and load tests, by confidence intervals and "
        "thresholds.",
        epilog="Exit code: 1 for what --fail-on names, 2 for files that cannot be read or compared, "
        "otherwise 0.",
    )
    parser.add_argument("before", type=Path, metavar="BASELINE.json", help="a baseline, or a result")
    parser.add_argument("after", type=Path, metavar="RESULT.json", help="the result to compare with it")
    page = "write the page (default: %(default)s); - is standard output, for one output only"
    _add_output(parser, "FILE.html", page, REGRESSION)
    parser.add_argument("--junit", type=Path, metavar="FILE.xml", help="write test cases for a CI server")
    parser.add_argument("--summary", type=Path, metavar="FILE.md", help="write a summary in Markdown")
    parser.add_argument("--json", type=Path, metavar="FILE.json", help="write all differences and figures")
    failing = "what makes the exit code 1: something worse or a failed check (default), any difference too, or nothing"
    parser.add_argument("--fail-on", choices=list(FAIL_ON), default="worse", help=failing)
    history = "append this run's figures to a file, and show their trend"
    parser.add_argument("--history", type=Path, metavar="FILE.jsonl", help=history)
    commit = "name of this run in the history (default: $GITHUB_SHA, or git's HEAD)"
    parser.add_argument("--commit", metavar="ID", help=commit)
    _add_csv_folder(parser)
    _add_language(parser)
    parser.set_defaults(run=_compare)


def _add_update(actions: _Commands) -> None:
    parser = actions.add_parser(
        "update",
        help="write the baseline from a result",
        description="Writes the baseline of later comparisons: a small file with a line for each conversation, without "
        "texts, phone numbers and ids.",
    )
    parser.add_argument("result", type=Path, metavar="RESULT.json", help="a result file")
    _add_output(
        parser, "FILE", "the baseline to write; - is standard output (default: %(default)s)", BASELINE
    )
    parser.set_defaults(run=_update_baseline)


def _add_output(
    parser: argparse.ArgumentParser, metavar: str, description: str, default: Path | None = None
) -> None:
    parser.add_argument("-o", "--output", type=Path, default=default, metavar=metavar, help=description)


def _add_csv_folder(parser: argparse.ArgumentParser) -> None:
    description = "write the page's tables into this folder as CSV files, with all rows"
    parser.add_argument("--csv-dir", type=Path, metavar="FOLDER", help=description)


def _add_language(parser: argparse.ArgumentParser) -> None:
    description = "language of what is written (default: en)"
    parser.add_argument("--lang", choices=LANGUAGES, default=DEFAULT, help=description)


def _build(options: argparse.Namespace) -> int:
    result = read_result(options.result)
    if options.draw and result["kind"] != "replay":
        raise InputError(
            "--draw is for replays, since other pages do not number conversations: leave --draw out"
        )
    output: Path = options.output or options.result.with_suffix(".html")
    _check_outputs({"-o": output}, [options.result])
    terminal = sys.stderr if output == STANDARD_OUTPUT else sys.stdout
    with speaking(options.lang):
        page, tables = _page_and_tables(result, options)
        _write_named(page, output, terminal)
        _write_tables(tables, options.csv_dir, terminal)
    return OK


def _check_drawn(numbers: Iterable[int], replay: AnalysedReplay) -> None:
    """Refuse numbers that no conversation has."""
    known = {conversation.number for recording in replay.recordings for conversation in recording.in_order}
    for number in numbers:
        if number not in known:
            raise InputError(
                f"--draw {number}: no recording of this result has a conversation with that number; "
                f"the largest is {max(known, default=0)}"
            )


def _page_and_tables(result: Result, options: argparse.Namespace) -> tuple[str, Tables]:
    """Make the page of a result and its tables. The imports are late: matplotlib and pandas take a second each."""
    if result["kind"] == "replay":
        from reports.analysis.replay import AnalysedReplay  # noqa: PLC0415
        from reports.pages.replay.downloads import downloads  # noqa: PLC0415
        from reports.pages.replay.page import render_replay_report  # noqa: PLC0415

        replay = AnalysedReplay(result)
        _check_drawn(options.draw, replay)
        page = render_replay_report(result, options.lang, options.draw, options.result)
        return page, downloads(replay)
    if result["kind"] == "load":
        from reports.pages.load.downloads import load_downloads  # noqa: PLC0415
        from reports.pages.load.page import render_load_report  # noqa: PLC0415

        return render_load_report(result, options.lang), load_downloads(result)
    if result["kind"] == "sweep":
        from reports.pages.sweep.page import render_sweep_report  # noqa: PLC0415
        from reports.pages.sweep.view import sweep_downloads  # noqa: PLC0415

        return render_sweep_report(result, options.lang), sweep_downloads(result)
    if result["kind"] == "audit":
        from reports.pages.audit.page import render_audit_report  # noqa: PLC0415
        from reports.pages.audit.view import audit_downloads  # noqa: PLC0415

        return render_audit_report(result, options.lang), audit_downloads(result)
    if result["kind"] == "failover":
        from reports.pages.failover.page import render_failover_report  # noqa: PLC0415
        from reports.pages.failover.view import failover_downloads  # noqa: PLC0415

        return render_failover_report(result, options.lang), failover_downloads(result)
    if result["kind"] == "validation":
        from reports.pages.validation.page import render_validation_report  # noqa: PLC0415
        from reports.pages.validation.view import validation_downloads  # noqa: PLC0415

        return render_validation_report(result, options.lang), validation_downloads(result)
    raise InputError(
        typed(
            "a baseline has no page of its own; compare a result with it: python -m reports compare BASELINE RESULT"
        )
    )


def _write_tables(tables: Tables, folder: Path | None, terminal: TextIO) -> None:
    if folder is not None:
        for _, link in tables:
            _write_named(link.whole, folder / link.name, terminal)


def _check_outputs(outputs: Mapping[str, Path | None], inputs: Sequence[Path]) -> None:
    """Refuse to replace an input or to write a file twice, before anything is written.

    Raises:
        InputError: an output is an input, another output, or a folder.
        OSError: an output cannot be examined.
    """
    read = {_identity(path) for path in inputs}
    taken: dict[object, str] = {}
    for option, path in outputs.items():
        if path is None:
            continue
        if path.is_dir():
            raise InputError(f"{path}: is a folder; name a file in it with {option}")
        identity = _identity(path)
        if identity in read:
            raise InputError(f"{path}: {option} would replace an input; name another file")
        if path.exists() and not path.is_file():
            continue  # such as /dev/null, which takes whatever it gets
        if identity in taken:
            raise InputError(f"{path}: is given for {taken[identity]} and for {option}; name two files")
        taken[identity] = option


def _identity(path: Path) -> object:
    """Return an identity that all names of a file share; a link to itself is an error."""
    if path == STANDARD_OUTPUT:
        return STANDARD_OUTPUT
    try:
        status = path.stat()
    except FileNotFoundError:
        return os.path.realpath(path)
    return status.st_dev, status.st_ino


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


def _write_named(text: str, output: Path, terminal: TextIO) -> None:
    """Write as `_write` does, and print the name of the file."""
    is_replaced = output.is_file()
    _write(text, output)
    if output != STANDARD_OUTPUT:
        print(f"{output} (replaced)" if is_replaced else output, file=terminal)


def _compare(options: argparse.Namespace) -> int:
    from reports.compare.compare import compare  # noqa: PLC0415
    from reports.pages.regression.downloads import regression_downloads  # noqa: PLC0415

    outputs = {
        "-o": options.output,
        "--junit": options.junit,
        "--summary": options.summary,
        "--json": options.json,
    }
    if options.history == STANDARD_OUTPUT:
        raise InputError("--history -: a history is a file that is read and appended to; name a file")
    _check_outputs({**outputs, "--history": options.history}, [options.before, options.after])
    before, after = read_result(options.before), read_result(options.after)
    terminal = sys.stderr if STANDARD_OUTPUT in outputs.values() else sys.stdout
    with speaking(options.lang):
        comparison = compare(before, after)
        _write_comparison(comparison, options, terminal)
        _write_tables(regression_downloads(comparison), options.csv_dir, terminal)
    # No line breaks in names: CI servers obey lines that begin with a command.
    print(*map(one_line, (str(comparison.verdict), *comparison.notes)), sep="\n", file=terminal)
    return FOUND if FAIL_ON[options.fail_on](comparison) else OK


def _write_comparison(comparison: Comparison, options: argparse.Namespace, terminal: TextIO) -> None:
    """Write each output that the options name; the history last, so that it has only runs whose page was written."""
    from reports.ci import history  # noqa: PLC0415
    from reports.ci.junit import junit_xml  # noqa: PLC0415
    from reports.ci.markdown import markdown_summary  # noqa: PLC0415
    from reports.pages.regression.page import render_regression_report  # noqa: PLC0415
    from reports.pages.trend import trend_of  # noqa: PLC0415

    entries = _history(comparison, options)
    page = render_regression_report(comparison, trend_of(entries), options.lang)
    _write_named(page, options.output, terminal)
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


def _history(comparison: Comparison, options: argparse.Namespace) -> Sequence[Entry]:
    """Return the entries of the history, with this run as the last; nothing without --history."""
    if options.history is None:
        return ()
    from reports.ci import history  # noqa: PLC0415

    entries, warnings = history.read(options.history)
    for warning in warnings:
        _warn(warning)
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return [*entries, history.entry_of(comparison, at=now, commit=options.commit or _commit())]


def _commit() -> str:
    if named := os.environ.get("GITHUB_SHA"):
        return named[:12]
    try:
        git = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return git.stdout.strip()


def _update_baseline(options: argparse.Namespace) -> int:
    from reports.compare.baseline import baseline_of, baseline_text  # noqa: PLC0415

    _check_outputs({"-o": options.output}, [options.result])
    baseline = baseline_of(read_result(options.result))
    if problem := next(contradictions(baseline), ""):
        raise ResultError(
            f"{options.result}: its baseline would be invalid: {problem}; make the result again"
        )
    _write_named(baseline_text(baseline), options.output, sys.stdout)
    return OK


def _write_schemas(options: argparse.Namespace) -> int:
    for kind in KINDS:
        output: Path = options.output / f"{kind}.json"
        _write_named(schema_text(kind), output, sys.stdout)
    return OK
