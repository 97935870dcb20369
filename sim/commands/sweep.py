"""`python -m sim sweep`: replays recordings under many settings of the queue, and recommends settings."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from reports.results.sweep import SweepResult
from reports.words.verdicts import sweep_verdict
from sim.commands.recordings import load_recordings, say_estimate
from sim.commands.shared import (
    BAD_OUTCOME,
    OK,
    add_output,
    add_paths,
    add_world,
    check_outputs,
    command_line,
    given_options,
    publish,
)
from sim.console import print_table, progress
from sim.engine.settings import SimSettings
from sim.study import Study
from sim.sweep import DEFAULT_GRID, choices, sweep

REPORT = Path("reports/out/sweep.html")
_LISTS = ("window", "max-messages", "idle")


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "sweep",
        help="replay recordings on the queue under many settings, and show what each choice costs",
        description="Replays recordings on the queue under every combination of the given settings, and shows what "
        "each combination costs in waiting time, AI calls and interrupted turns.",
        epilog="Exit code: 0 when the queue lost, duplicated and reordered nothing under any setting; 1 when it did; 2 "
        "for input that cannot be read.",
    )
    add_paths(parser)
    grid = parser.add_argument_group("choices", "every combination is replayed")
    grid.add_argument("--window", metavar="LIST", help="windows, as in 4s,8s,12s (the default)")
    grid.add_argument("--max-messages", metavar="LIST", help="numbers of messages, as in 3,5,8 (the default)")
    grid.add_argument("--idle", metavar="LIST", help="silences, as in 0,3s (default: off)")
    add_world(parser)
    add_output(parser, REPORT)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Replay every choice, write and show; returns the exit code. Raises InputError and the errors of `sweep`."""
    recordings = load_recordings(options)
    lists, world = given_options(options, _LISTS), given_options(options, ("engine", "ai", "redis-latency"))
    grid = choices({**DEFAULT_GRID, **{name: text.split(",") for name, text in lists.items()}})
    study = Study(
        recordings=recordings,
        systems=["queue"],
        settings=SimSettings(seed=options.seed),
        options=world,
        runs=options.runs,
        command=command_line("sweep", options, {**lists, **world}),
    )
    check_outputs(options)
    say_estimate(recordings, study.contenders, options.runs * len(grid), options)
    with progress(len(recordings) * options.runs * len(grid), shown=not options.quiet) as done:
        result = sweep(study, grid, jobs=options.jobs, done=done)
    style = "bold green" if result["recommended"] is not None else "bold yellow"
    publish(
        result,
        options,
        write_report=_write_report,
        show=_show,
        verdict=sweep_verdict(result),
        style=style if result["ok"] else "bold red",
    )
    return OK if result["ok"] else BAD_OUTCOME


def _write_report(result: SweepResult, options: argparse.Namespace) -> None:
    from reports.pages.sweep.page import write_sweep_report  # noqa: PLC0415 - matplotlib takes a second to import

    write_sweep_report(result, options.report, options.lang)


def _show(result: SweepResult, console: Console) -> None:
    """Print a table with a row for each choice, and a legend."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("", "window, s", "messages", "idle, s", "lost", "twice", "order", "AI calls", "split turns"):
        table.add_column(name, justify="right")
    table.add_column("from first, s", justify="right")
    table.add_column("from last, s", justify="right")
    is_comparison = len(result["rows"]) > 1
    for index, row in enumerate(result["rows"]):
        times = [
            "/".join(f"{(row[key][name] or 0) / 1000:.1f}" for name in ("p50", "p95"))
            for key in ("first_ms", "last_ms")
        ]
        table.add_row(
            "→" if index == result["recommended"] else "•" if row["is_best"] and is_comparison else "",
            f"{row['window_ms'] / 1000:g}",
            str(row["max_messages"]),
            f"{row['idle_ms'] / 1000:g}",
            *(f"{row[name]:,}" for name in ("lost", "twice", "order", "ai_calls")),
            f"{row['split_turns']:,} of {row['turns']:,}",
            *times,
        )
    print_table(table, console)
    marks = "• nothing beats it: every other choice that is better in one respect is worse in another; "
    if result["recommended"] is not None:
        marks = f"→ recommended; {marks}"
    console.print(
        f"{marks if is_comparison else ''}"
        "split turns: the user wrote again after the AI got the turn and before the reply; from first, from last: "
        "p50/p95.",
        style="dim",
        markup=False,
    )
