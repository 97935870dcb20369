"""`python -m sim sweep`: which settings of the queue to choose for recorded bursts."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from queue_core.recording.reader import load
from reports.results.sweep import SweepRow
from reports.words.verdicts import sweep_verdict
from sim.commands.shared import (
    BAD_OUTCOME,
    OK,
    RUNS_MAX,
    SEED_MAX,
    add_output,
    add_paths,
    check_outputs,
    command_line,
    output_console,
    whole_number,
    write_outputs,
)
from sim.console import in_words, progress
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
        description="Replays recordings on the queue under every combination of the settings given, and tells what "
        "each costs in waiting, AI calls and interrupted turns.",
        epilog="Exit code: 0 when the queue lost, duplicated and reordered nothing under any of them; 1 when it did; 2 "
        "for input that cannot be read.",
    )
    add_paths(parser)
    grid = parser.add_argument_group("choices", "every combination is replayed")
    grid.add_argument("--window", metavar="LIST", help="windows, as in 4s,8s,12s (the default)")
    grid.add_argument("--max-messages", metavar="LIST", help="numbers of messages, as in 3,5,8 (the default)")
    grid.add_argument("--idle", metavar="LIST", help="silences, as in 0,3s (default: off)")
    world = parser.add_argument_group("the world")
    world.add_argument("--ai", metavar="SPEC", help="time the AI takes, as replay has it")
    world.add_argument("--redis-latency", metavar="SPEC", help="round trip to Redis, written likewise")
    world.add_argument(
        "--runs", type=whole_number(1, RUNS_MAX), default=1, metavar="N", help="replay each choice N times"
    )
    world.add_argument(
        "--seed",
        type=whole_number(0, SEED_MAX),
        default=1,
        metavar="N",
        help="where all luck comes from (default: 1)",
    )
    add_output(parser, REPORT)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Replay every choice, write and show; returns the exit code. Raises InputError and what replaying raises."""
    check_outputs(options)
    recordings = load(options.paths, skip_bad_lines=options.skip_bad_lines)
    given = {name: getattr(options, name.replace("-", "_")) for name in _LISTS}
    made = choices(
        {**DEFAULT_GRID, **{name: text.split(",") for name, text in given.items() if text is not None}}
    )
    world = {"ai": options.ai, "redis-latency": options.redis_latency}
    study = Study(
        recordings=recordings,
        systems=["queue"],
        settings=SimSettings(seed=options.seed),
        options={name: text for name, text in world.items() if text is not None},
        runs=options.runs,
        command=shlex.join(command_line(options, "sweep", {**given, **world})),
    )
    total = len(recordings) * options.runs * len(made)
    with progress(total, shown=not options.quiet) as done:
        result = sweep(study, made, jobs=options.jobs, done=done)

    def write_report(path: Path) -> None:
        from reports.pages.sweep.page import write_sweep_report  # noqa: PLC0415 - matplotlib takes a second to import

        write_sweep_report(result, path, options.lang)

    write_outputs(result, options, write_report)
    console = output_console(options)
    if not options.quiet:
        _show(result["rows"], result["recommended"], console)
        if options.report is not None:
            console.print(f"Report: {options.report}", markup=False)
    console.print(in_words(sweep_verdict(result)), markup=False)
    return OK if result["ok"] else BAD_OUTCOME


def _show(rows: Sequence[SweepRow], recommended: int | None, console: Console) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("", "window, s", "messages", "idle, s", "lost", "twice", "order", "AI calls", "split turns"):
        table.add_column(name, justify="right")
    table.add_column("from first, s", justify="right")
    table.add_column("from last, s", justify="right")
    for place, row in enumerate(rows):
        times = [
            "/".join(f"{(row[key][name] or 0) / 1000:.1f}" for name in ("p50", "p95"))
            for key in ("first_ms", "last_ms")
        ]
        table.add_row(
            "→" if place == recommended else "•" if row["is_best"] else "",
            f"{row['window_ms'] / 1000:g}",
            str(row["max_messages"]),
            f"{row['idle_ms'] / 1000:g}",
            *(f"{row[name]:,}" for name in ("lost", "twice", "order", "ai_calls")),
            f"{row['split_turns']:,} of {row['turns']:,}",
            *times,
        )
    console.print(table)
    console.print(
        "→ recommended; • no other choice is better in one respect without being worse in another; split turns: the "
        "user wrote on before the reply; from first, from last: p50/p95.",
        style="dim",
        markup=False,
    )
