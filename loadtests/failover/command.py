"""Command `failover`: runs the table, prints it, and writes a result and a page."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
from pathlib import Path
from typing import Any, TextIO

from loadtests.failover.cases import CASES, Case
from loadtests.failover.running import RATE_PER_S, Load
from loadtests.failover.table import Logs, Rows, RunId, result_of, run_cases
from loadtests.options import Option, folder, whole
from reports.pages.failover.page import render_failover_report
from reports.results.failover import FailoverResult, FailoverRow
from reports.results.writing import STANDARD_OUTPUT, json_text, write_whole
from reports.words.failover import broken_promise_words, case_words, failover_verdict, settings_words

OUT = "reports/out/failover"
ROWS = "rows.jsonl"
"""File of the finished rows, one on each line, so that a run can be continued."""
OK, BROKEN = 0, 1
SHORT_TIME_FACTOR = 0.4
RATE_MIN = 20
"""Smallest rate. With fewer messages, a primary's conversations pause by themselves."""
RATE_MAX = 10_000
REPEAT_MAX = 1_000


def add_failover(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "failover",
        help="run the queue on clusters and behind sentinels while their servers fail",
        description="Starts clusters and sentinels on this machine, sends messages through two workers while servers\n"
        "are killed, frozen and replaced, and accounts for each message in a ledger outside of Redis.",
        epilog="Rows:\n"
        + "\n".join(f"  {number:>2}  {_words_of(case)}" for number, case in enumerate(CASES, 1))
        + "\n\nExit code: 0: every run kept its promises. 1: a run broke a promise. 2: options that cannot be used.\n"
        "3: the servers did not start, or did not recover.",
    )
    parser.add_argument(
        "--rows", metavar="N,N", type=_numbers, help=f"run these rows only, from 1 to {len(CASES)}"
    )
    Option("rate", "N", RATE_PER_S, "messages a second", whole(RATE_MIN, RATE_MAX)).add_to(parser)
    parser.add_argument("--short", action="store_true", help="shorten all waits")
    Option("repeat", "N", 1, "number of times to run the table", whole(1, REPEAT_MAX)).add_to(parser)
    parser.add_argument(
        "--side-by-side",
        action="store_true",
        help="run the rows of the cluster and those of Sentinel at the same time, in two processes",
    )
    parser.add_argument(
        "--continue",
        dest="is_continued",
        action="store_true",
        help=f"keep the rows that an earlier run left in DIR/{ROWS}, and run the others",
    )
    parser.add_argument(
        "--all-logs",
        action="store_true",
        help="keep the servers' logs and the history of every run, not only of those that broke a promise",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the result into this file too; - is standard output"
    )
    Option("out", "DIR", OUT, "folder for all files", lambda text: Path(folder(text))).add_to(parser)
    parser.set_defaults(run=run_failover)


def run_failover(options: argparse.Namespace) -> int:
    """Run the command, and return the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the servers too
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / ROWS
    if not options.is_continued:
        file.unlink(missing_ok=True)
    numbers = options.rows or range(1, len(CASES) + 1)
    run_ids = [RunId(repetition, number) for repetition in range(1, options.repeat + 1) for number in numbers]
    load = Load(rate_per_s=options.rate, time_factor=SHORT_TIME_FACTOR if options.short else 1.0)
    rows = _read_rows(file, load, options)
    terminal = sys.stderr if options.json == STANDARD_OUTPUT else sys.stdout

    def done(run_id: RunId, row: FailoverRow) -> None:
        rows[run_id] = row
        with file.open("a") as lines:
            lines.write(json.dumps([*run_id, [load.rate_per_s, load.time_factor], row]) + "\n")
        _show(run_id, row, terminal)

    logs = Logs(options.out / "logs", of_all_runs=options.all_logs)
    left = [run_id for run_id in run_ids if run_id not in rows]
    try:
        run_cases(left, load, done, logs=logs, is_side_by_side=options.side_by_side)
    finally:
        result = result_of(rows, load, options.shown_command)
        if rows:
            _write(result, options)
            terminal.write(f"{failover_verdict(result)}\n{options.out / 'report.html'}\n")
    return OK if result["ok"] else BROKEN


def _read_rows(file: Path, load: Load, options: argparse.Namespace) -> Rows:
    """Read the rows of an earlier run of the same load; ignore a line that was cut off in the middle."""
    rows: Rows = {}
    for line in file.read_text().splitlines() if file.exists() else ():
        with contextlib.suppress(ValueError):
            repetition, case, [rate_per_s, time_factor], row = json.loads(line)
            if (rate_per_s, time_factor) != (load.rate_per_s, load.time_factor):
                short = " --short" if time_factor != 1 else ""
                options.parser.error(
                    f"{file} has rows that were measured with --rate {rate_per_s}{short}: continue with these options, "
                    "or leave out --continue"
                )
            rows[RunId(repetition, case)] = row
    return rows


def _numbers(text: str) -> list[int]:
    numbers = [int(word) if word.isdecimal() else 0 for word in text.split(",")]
    if not all(1 <= number <= len(CASES) for number in numbers):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a list of numbers from 1 to {len(CASES)}, such as 2,15"
        )
    return sorted(set(numbers))


def _words_of(case: Case) -> str:
    words = [case_words(case.name)]
    if case.through_intake:
        words.append("through Intake")
    words.append(f"wait_for_replicas {case.wait_for_replicas}")
    if case.min_replicas:
        words.append(f"min-replicas-to-write {case.min_replicas}")
    return f"{case.deployment}: {', '.join(words)}"


def _show(run_id: RunId, row: FailoverRow, terminal: TextIO) -> None:
    """Print a row as soon as it is finished."""
    pauses = " / ".join(_seconds(pause["longest_ms"]) for pause in row["pauses"])
    resumed = row["resumed_ms"]
    traffic = "" if resumed is None else f"; traffic {_seconds(resumed)} s after the election"
    terminal.write(
        f"{run_id.repetition}.{run_id.case} {case_words(row['case'])} ({', '.join(settings_words(row))}): "
        f"acknowledged {row['acknowledged']:,}, answered once {row['once']:,}, "
        f"twice {row['twice']:,} ({row['twice_after_lost_write']:,} of them because Redis lost a write), "
        f"lost {row['lost']:,}; errors of callers {row['errors']:,}; longest pauses {pauses} s{traffic}"
        f"; the machine stood still for {_seconds(row['stalled_ms'])} s\n"
    )
    terminal.writelines(f"  ✗ {promise}\n" for promise in broken_promise_words(row))
    terminal.flush()


def _seconds(time_ms: int) -> str:
    return f"{time_ms / 1000:.2f}"


def _write(result: FailoverResult, options: argparse.Namespace) -> None:
    text = json_text(result)
    write_whole(text, options.out / "result.json")
    write_whole(render_failover_report(result), options.out / "report.html")
    write_whole(render_failover_report(result, "ar"), options.out / "report.ar.html")
    if options.json:
        write_whole(text, options.json)
