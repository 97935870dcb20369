"""Command `failover`: runs the table, prints it, and writes a result and a page."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

from loadtests.failover.cases import CASES
from loadtests.failover.running import Load
from loadtests.failover.table import run_table
from reports.pages.failover.page import render_failover_report
from reports.results.failover import FailoverResult, FailoverRow
from reports.results.writing import json_text, write_whole
from reports.words.failover import case_words, failover_verdict, faults_words, settings_words

OUT = "reports/out/failover"
OK, BROKEN = 0, 1
SHORT_PACE = 0.4


def add_failover(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "failover",
        help="run the queue on clusters and behind sentinels while their servers fail",
        description="Starts clusters and sentinels on this machine, sends messages through two workers while servers\n"
        "are killed, frozen and replaced, and accounts for each message by a ledger outside of Redis.",
        epilog="Exit code: 0: every run kept what it promises. 1: one did not.",
    )
    parser.add_argument(
        "--rows", metavar="N,N", type=_numbers, help=f"run these rows only, from 1 to {len(CASES)}"
    )
    parser.add_argument("--short", action="store_true", help="shorten all times")
    parser.add_argument("--repeat", metavar="N", type=int, default=1, help="run the table so often")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result into this file too")
    parser.add_argument("--out", type=Path, metavar="DIR", default=Path(OUT), help=f"folder (default: {OUT})")
    parser.set_defaults(run=run_failover)


def run_failover(options: argparse.Namespace) -> int:
    """Run the command, and return the exit code."""
    logging.getLogger("queue_core").setLevel(logging.CRITICAL)
    cases = [CASES[number - 1] for number in options.rows or range(1, len(CASES) + 1)]
    load = Load(pace=SHORT_PACE if options.short else 1.0)
    result = run_table(cases * options.repeat, load, command=options.shown_command, done=_show)
    _write(result, options)
    sys.stdout.write(f"{failover_verdict(result)}\n{options.out / 'report.html'}\n")
    return OK if result["ok"] else BROKEN


def _numbers(text: str) -> list[int]:
    numbers = [int(word) for word in text.split(",")]
    if not all(1 <= number <= len(CASES) for number in numbers):
        raise ValueError(f"{text!r} has a number that is not from 1 to {len(CASES)}")
    return numbers


def _show(row: FailoverRow) -> None:
    """Print a row as soon as it is there."""
    pauses = " / ".join(f"{pause['longest_ms'] / 1000:.1f}" for pause in row["pauses"])
    sys.stdout.write(
        f"{case_words(row)} ({', '.join(settings_words(row))}): acknowledged {row['acknowledged']:,}, "
        f"once {row['once']:,}, twice {row['twice']:,} (licensed {row['licensed']:,}), lost {row['lost']:,}; "
        f"callers' errors {row['errors']:,}; longest pauses {pauses} s\n"
    )
    for fault in faults_words(row):
        sys.stdout.write(f"  ✗ {fault}\n")
    sys.stdout.flush()


def _write(result: FailoverResult, options: argparse.Namespace) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    text = json_text(result)
    write_whole(text, options.out / "result.json")
    if options.json:
        write_whole(text, options.json)
    write_whole(render_failover_report(result), options.out / "report.html")
    write_whole(render_failover_report(result, "ar"), options.out / "report.ar.html")
