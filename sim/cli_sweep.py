"""`python -m sim sweep`: which settings of the queue to choose for recorded bursts."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from queue_core.recording.reader import load
from reports.results.sweep import SweepResult, SweepRow
from reports.words.language import DEFAULT, LANGUAGES
from reports.words.verdicts import sweep_verdict
from sim.console import console_for, in_words, progress
from sim.engine.settings import SimSettings
from sim.study import Study
from sim.sweep import DEFAULT_GRID, choices, sweep

REPORT = Path("reports/out/sweep.html")
STANDARD_OUTPUT = "-"
_LISTS = ("window", "max-messages", "idle")


def add_arguments(
    parser: argparse.ArgumentParser, seed: Callable[[str], int], runs: Callable[[str], int]
) -> None:
    """The options of `sweep`; `seed` and `runs` read those numbers."""
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="a recording (.jsonl), or a folder of them"
    )
    grid = parser.add_argument_group("choices", "every combination is replayed")
    grid.add_argument("--window", metavar="LIST", help="windows, as in 4s,8s,12s (the default)")
    grid.add_argument("--max-messages", metavar="LIST", help="numbers of messages, as in 3,5,8 (the default)")
    grid.add_argument("--idle", metavar="LIST", help="silences, as in 0,3s (default: off)")
    world = parser.add_argument_group("the world")
    world.add_argument("--ai", metavar="SPEC", help="time the AI takes, as replay has it")
    world.add_argument("--redis-latency", metavar="SPEC", help="round trip to Redis, written likewise")
    world.add_argument("--runs", type=runs, default=1, metavar="N", help="replay each choice N times")
    world.add_argument(
        "--seed", type=seed, default=1, metavar="N", help="where all luck comes from (default: 1)"
    )
    output = parser.add_argument_group("output")
    output.add_argument("--report", type=Path, default=REPORT, metavar="FILE", help="(default: %(default)s)")
    output.add_argument(
        "--no-report", action="store_const", const=None, dest="report", help="write no report"
    )
    output.add_argument(
        "--lang", choices=LANGUAGES, default=DEFAULT, help="language of the report (default: en)"
    )
    output.add_argument("--json", metavar="FILE", help="write the result as JSON; - is standard output")
    output.add_argument("--quiet", action="store_true", help="print the verdict only")
    output.add_argument("--skip-bad-lines", action="store_true", help="pass over broken lines of recordings")


def result_of(options: argparse.Namespace, *, jobs: int) -> SweepResult:
    """Carries the sweep out. Raises RecordingError, SettingsError, ReplayFailedError."""
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
        command=_command(options, {**given, **world}),
    )
    total = len(recordings) * options.runs * len(made)
    with progress(total, shown=not options.quiet) as done:
        return sweep(study, made, jobs=jobs, done=done)


def _command(options: argparse.Namespace, given: Mapping[str, str | None]) -> str:
    words = ["python", "-m", "sim", "sweep"]
    words += [path.name if path.is_absolute() else path.as_posix() for path in options.paths]
    for name, text in given.items():
        if text is not None:
            words += [f"--{name}", text]
    if options.runs != 1:
        words += ["--runs", str(options.runs)]
    return shlex.join([*words, "--seed", str(options.seed)])


def write(result: SweepResult, options: argparse.Namespace) -> None:
    """Writes what was asked for. Raises OSError."""
    if options.json is not None:
        text = json.dumps(result, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
        if options.json == STANDARD_OUTPUT:
            sys.stdout.buffer.write(text.encode("utf-8", "replace"))
            sys.stdout.flush()
        else:
            Path(options.json).write_bytes(text.encode("utf-8", "replace"))
    if options.report is not None:
        from reports.pages.sweep.page import write_sweep_report  # noqa: PLC0415 - matplotlib takes a second to import

        write_sweep_report(result, options.report, options.lang)


def tell(result: SweepResult, options: argparse.Namespace) -> None:
    """The choices as a table, and the verdict."""
    console = console_for(sys.stderr if options.json == STANDARD_OUTPUT else sys.stdout)
    if not options.quiet:
        _show(result["rows"], result["recommended"], console)
        if options.report is not None:
            console.print(f"Report: {options.report}", markup=False)
    console.print(in_words(sweep_verdict(result)), markup=False)


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
