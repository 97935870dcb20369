"""The command line: `python -m reports build | compare | baseline update`.

Exit codes: 0 when the command did its work and a comparison found nothing that `--fail-on` names; 1 when it found such
a thing; 2 for input or options that cannot be used; 130 when interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from reports.comparison import Comparison
from reports.files import Result, ResultError, read_result
from reports.language import DEFAULT, LANGUAGES, speaking

if TYPE_CHECKING:
    from reports.plots import Plot

OK, FOUND, BAD_INPUT = 0, 1, 2
BASELINE = Path("reports/baseline.json")
REGRESSION = Path("reports/out/regression.html")
FAIL_ON: dict[str, Callable[[Comparison], bool]] = {
    "worse": lambda comparison: comparison.is_worse,
    "different": lambda comparison: comparison.is_different,
    "never": lambda _: False,
}
STANDARD_OUTPUT = "-"


class InputError(Exception):
    """Options that cannot be used; the message says which and why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code. KeyboardInterrupt is the caller's (see __main__)."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except (InputError, ResultError) as error:
        print(f"reports: {error}", file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:
        # Whoever read our output has gone; keep Python from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BAD_INPUT
    except OSError as error:
        print(f"reports: {error.filename or 'output'}: {error.strerror or error}", file=sys.stderr)
        return BAD_INPUT


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
        "-o", "--output", type=Path, metavar="FILE.html", help="(default: beside the result, with .html)"
    )
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
        "-o", "--output", type=Path, default=BASELINE, metavar="FILE", help="(default: %(default)s)"
    )
    update.set_defaults(run=_update_baseline)
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
        help="the page (default: %(default)s)",
    )
    parser.add_argument("--junit", type=Path, metavar="FILE.xml", help="write test cases for a CI server")
    parser.add_argument(
        "--summary", metavar="FILE.md", help="write a summary in Markdown; - is standard output"
    )
    parser.add_argument(
        "--json", metavar="FILE.json", help="write everything that was found; - is standard output"
    )
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
    _add_language(parser)
    parser.set_defaults(run=_compare)


def _add_language(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--lang", choices=LANGUAGES, default=DEFAULT, help="language of the page (default: en)"
    )


def _build(options: argparse.Namespace) -> int:
    result = read_result(options.result)
    output: Path = options.output or options.result.with_suffix(".html")
    if output.resolve() == options.result.resolve():
        raise InputError(f"{output}: the page would replace the result; name another file with -o")
    _write_page(result, output, options.lang)
    print(output)
    return OK


def _write_page(result: Result, output: Path, language: str) -> None:
    """The page of whatever the result is. The imports are late: matplotlib and pandas take a second each."""
    if result["kind"] == "replay":
        from reports.replay import write_replay_report  # noqa: PLC0415

        write_replay_report(result, output, language)
    elif result["kind"] == "load":
        from reports.load import write_load_report  # noqa: PLC0415

        write_load_report(result, output, language)
    elif result["kind"] == "sweep":
        from reports.sweep import write_sweep_report  # noqa: PLC0415

        write_sweep_report(result, output, language)
    else:
        raise InputError("a baseline has no page of its own: compare a result with it")


def _compare(options: argparse.Namespace) -> int:
    from reports.compare import compare  # noqa: PLC0415 - pandas takes a second to import

    before, after = read_result(options.before), read_result(options.after)
    with speaking(options.lang):
        comparison = compare(before, after)
        _write_comparison(comparison, after, options)
    failed = FAIL_ON[options.fail_on](comparison)
    told = sys.stderr if STANDARD_OUTPUT in (options.summary, options.json) else sys.stdout
    print(options.output, file=told)
    print(comparison.verdict, file=told)
    return FOUND if failed else OK


def _write_comparison(comparison: Comparison, after: Result, options: argparse.Namespace) -> None:
    from reports.junit import junit_xml  # noqa: PLC0415
    from reports.page import write_page  # noqa: PLC0415
    from reports.regression import write_regression_report  # noqa: PLC0415
    from reports.summary import markdown_summary  # noqa: PLC0415

    trend = _trend(after, options, ok=not comparison.is_worse)
    write_regression_report(comparison, options.output, trend, options.lang)
    if options.junit is not None:
        write_page(junit_xml(comparison), options.junit)
    texts: dict[str | None, Callable[[], str]] = {
        options.summary: lambda: markdown_summary(comparison),
        options.json: lambda: (
            json.dumps(asdict(comparison), ensure_ascii=False, allow_nan=False, indent=1) + "\n"
        ),
    }
    for target, text in texts.items():
        if target == STANDARD_OUTPUT:
            sys.stdout.write(text())
        elif target is not None:
            write_page(text(), Path(target))


def _trend(after: Result, options: argparse.Namespace, *, ok: bool) -> Sequence[Plot]:
    """How the figures went over the runs of the history, this one appended."""
    if options.history is None:
        return ()
    from reports import history  # noqa: PLC0415
    from reports.trend import trend_of  # noqa: PLC0415

    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    entry = history.entry_of(after, at=now, commit=options.commit or _commit(), ok=ok)
    history.append(options.history, entry)
    entries, warnings = history.read(options.history)
    for warning in warnings:
        print(f"reports: {warning}", file=sys.stderr)
    return trend_of(entries)


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
    from reports.baseline import baseline_of, write_baseline  # noqa: PLC0415

    write_baseline(baseline_of(read_result(options.result)), options.output)
    print(options.output)
    return OK
