"""`python -m sim sweep`: replays recordings under many settings of the queue, and recommends settings."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from reports.analysis.sweep import Choice, choices_of
from reports.results.replay import Quantiles
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
from sim.console import progress
from sim.engine.settings import SimSettings
from sim.study import Study
from sim.sweep import DEFAULT_GRID, choices, sweep
from sim.tables import print_table

REPORT = Path("reports/out/sweep.html")
_HEADERS = (
    *("No.", "window, s", "messages", "idle, s", "lost", "twice", "order", "AI calls", "split turns"),
    *("from first, s", "from last, s"),
)
_LISTS = ("window", "max-messages", "idle")


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "sweep",
        help="replay recordings on the queue under many settings, and show what each choice costs",
        description="Replays recordings on the queue under every combination of the given settings, and shows what "
        "each combination costs in waiting time, AI calls and split turns.",
        epilog="Exit code: 0 when the queue lost, duplicated and reordered nothing and finished its work under every "
        "combination; 1 when not, or when a run failed; 2 for input or options that cannot be used.",
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
        show=show,
        verdict=sweep_verdict(result),
        style=style if result["ok"] else "bold red",
    )
    return OK if result["ok"] else BAD_OUTCOME


def _write_report(result: SweepResult, options: argparse.Namespace) -> None:
    from reports.pages.sweep.page import write_sweep_report  # noqa: PLC0415 - matplotlib takes a second to import

    write_sweep_report(result, options.report, options.lang)


def show(result: SweepResult, console: Console) -> None:
    """Print a table with a row for each choice, the best first, and a legend."""
    ordered = choices_of(result)
    is_comparison = len(ordered) > 1
    rows = [
        [
            f"{choice.number}{_mark(choice) if is_comparison else ''}",
            f"{choice.row['window_ms'] / 1000:g}",
            str(choice.row["max_messages"]),
            f"{choice.row['idle_ms'] / 1000:g}",
            *(f"{choice.row[name]:,}" for name in ("lost", "twice", "order", "ai_calls")),
            f"{choice.row['split_turns']:,} of {choice.row['turns']:,}",
            *(_times(times) for times in (choice.row["first_ms"], choice.row["last_ms"])),
        ]
        for choice in ordered
    ]
    title = "What each choice costs, the best first" if is_comparison else "What this choice costs"
    print_table(console, _HEADERS, rows, title=title)
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


def _mark(choice: Choice) -> str:
    return " →" if choice.is_recommended else " •" if choice.row["is_best"] else ""


def _times(times: Quantiles) -> str:
    return "/".join(f"{(times[name] or 0) / 1000:.1f}" for name in ("p50", "p95"))
