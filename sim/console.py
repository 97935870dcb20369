"""What `sim replay` prints: a table per recording, why messages were lost, what is on record, and the verdict."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from reports.results.replay import (
    ExpectationResult,
    LossEstimate,
    Quantiles,
    RecordingInfo,
    ReplayResult,
    Run,
)
from sim.engine.outcome import quantiles

WIDTH_MIN = 104
"""Columns that the tables need; also the width where the output is no terminal."""
CAUSES_MAX = 6
HELD_MAX = 12
"""Outcomes on record that came out are listed up to so many, and counted beyond that."""
NAMES_MAX = 8
_MOMENT = re.compile(r" at \d+(?:\.\d+)? (?:ms|s)\b")

_COLUMNS = (
    "system",
    "sent",
    "answered",
    "lost",
    "twice",
    "order",
    "dead",
    "waiting",
    "AI calls",
    "from first, s",
    "from last, s",
)


def console_for(stream: TextIO) -> Console:
    """A console as wide as the terminal, but never too narrow for the tables."""
    console = Console(file=stream, highlight=False)
    console.width = max(console.width, WIDTH_MIN) if stream.isatty() else WIDTH_MIN
    return console


@contextmanager
def progress(total: int, *, shown: bool) -> Iterator[Callable[[Run], None]]:
    """A bar on standard error, if that is a terminal and `shown`. Call what it yields at the end of each run."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not (shown and sys.stderr.isatty())
    ) as bar:
        task = bar.add_task("replaying", total=total)

        def done(run: Run) -> None:
            bar.update(task, advance=1, description=f"{plain(run['recording'])} on {run['system']}")

        yield done


def show(result: ReplayResult, console: Console) -> None:
    """Print everything but the verdict."""
    if len(result["recordings"]) > 1:
        _show_overview(result, console)
    for recording in result["recordings"]:
        runs = [run for run in result["runs"] if run["recording"] == recording["name"]]
        losses = [estimate for estimate in result["loss"] if estimate["recording"] == recording["name"]]
        _show_recording(recording, runs, losses, console)
    if result["expectations"]:
        _show_expectations(result["expectations"], console)
    console.print(
        Text(
            "twice: answered twice or more; order: handed over out of order; dead: dead letters; "
            "from first, from last: from a turn's first or last message to its reply, p50 / p95 / max.",
            style="dim",
        )
    )


def _show_overview(result: ReplayResult, console: Console) -> None:
    """Which system lost how much of which recording."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, title="lost", title_justify="left")
    table.add_column("recording", no_wrap=True)
    table.add_column("sent", justify="right")
    for system in result["systems"]:
        table.add_column(system, justify="right")
    for recording in result["recordings"]:
        of_recording = [loss for loss in result["loss"] if loss["recording"] == recording["name"]]
        sent = max((loss["sent"] for loss in of_recording), default=0)
        lost = {loss["system"]: loss["lost"] for loss in of_recording}
        table.add_row(plain(recording["name"]), str(sent), *(_bad(lost[name]) for name in result["systems"]))
    console.print(table)
    console.print()


def show_verdict(result: ReplayResult, console: Console) -> None:
    """Print the verdict in one sentence."""
    console.print(Text(plain(result["verdict"]), style="bold green" if result["ok"] else "bold red"))


def plain(text: str) -> str:
    """Text of unknown origin, made fit for a terminal: what does not print is shown as its code."""
    return "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in text)


def _show_recording(
    recording: RecordingInfo, runs: Sequence[Run], losses: Sequence[LossEstimate], console: Console
) -> None:
    title = Text(plain(recording["name"]), style="bold")
    if recording["title"]:
        title.append(f"  {plain(recording['title'])}", style="not bold")
    console.print(title)
    if recording["skipped_lines"]:
        console.print(Text(f"  {recording['skipped_lines']} broken lines skipped", style="bold yellow"))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name == "system" else "right", no_wrap=True)
    for loss in losses:
        group = [run for run in runs if run["system"] == loss["system"]]
        table.add_row(*_row(recording, loss["system"], group))
    console.print(table)
    if any(loss["runs"] > 1 for loss in losses):
        _show_estimates(losses, console)
    for loss in losses:
        _show_causes(loss["system"], [run for run in runs if run["system"] == loss["system"]], console)
    console.print()


def _show_estimates(losses: Sequence[LossEstimate], console: Console) -> None:
    """How likely a message is lost, over all runs."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for name in ("system", "runs", "with a loss", "a message is lost", "95 % interval"):
        table.add_column(name, justify="left" if name == "system" else "right", no_wrap=True)
    for loss in losses:
        interval = f"{loss['low']:.2%} to {loss['high']:.2%}"
        counts = (str(loss["runs"]), str(loss["runs_with_loss"]))
        table.add_row(loss["system"], *counts, f"{loss['probability']:.2%}", interval)
    console.print(table)


def _row(recording: RecordingInfo, system: str, runs: Sequence[Run]) -> list[Text]:
    first, last = _latency(recording, runs)
    return [
        Text(system),
        Text(str(sum(run["sent"] for run in runs))),
        Text(str(sum(run["answered"] for run in runs))),
        *(
            _bad(sum(len(ids) for ids in lists))
            for lists in (
                [run["lost"] for run in runs],
                [run["duplicated"] for run in runs],
                [run["reordered"] for run in runs],
                [run["dead_lettered"] for run in runs],
                [run["pending"] for run in runs],
            )
        ),
        Text(str(sum(run["ai_calls"] for run in runs))),
        Text(_seconds(first)),
        Text(_seconds(last)),
    ]


def _latency(recording: RecordingInfo, runs: Sequence[Run]) -> tuple[Quantiles, Quantiles]:
    """Over all runs; of a single one it is its own."""
    if len(runs) == 1:
        return runs[0]["latency_ms"]["first"], runs[0]["latency_ms"]["last"]
    arrived: dict[tuple[str, str, str], int] = {}
    for message in recording["messages"]:
        arrived.setdefault((message["instance"], message["phone"], message["id"]), message["at_ms"])
    first, last = [], []
    for run in runs:
        for batch in run["batches"]:
            keys = [(batch["instance"], batch["phone"], one) for one in batch["ids"]]
            times = [arrived[key] for key in keys if key in arrived]
            if batch["replied_at_ms"] is not None and times:
                first.append(batch["replied_at_ms"] - min(times))
                last.append(batch["replied_at_ms"] - max(times))
    return quantiles(first), quantiles(last)


def _show_causes(system: str, runs: Sequence[Run], console: Console) -> None:
    """Why messages were lost, alike causes together, and faults that fired."""
    named: dict[str, list[str]] = {}
    for run in runs:
        for message_id, cause in run["causes"].items():
            named.setdefault(_MOMENT.sub("", cause), []).append(message_id)
    ordered = sorted(named.items(), key=lambda item: (-len(item[1]), item[0]))
    for cause, ids in ordered[:CAUSES_MAX]:
        shown = ", ".join(list(dict.fromkeys(ids))[:NAMES_MAX])
        more = ", …" if len(dict.fromkeys(ids)) > NAMES_MAX else ""
        console.print(Text(plain(f"  {system}: {len(ids)} lost ({shown}{more}): {cause}")))
    if len(ordered) > CAUSES_MAX:
        rest = sum(len(ids) for _, ids in ordered[CAUSES_MAX:])
        console.print(
            Text(f"  {system}: {rest} lost for {len(ordered) - CAUSES_MAX} other reasons, see --json")
        )
    fired: Counter[str] = Counter()
    for run in runs:
        fired.update(run["faults"])
    told = [f"{name} {count} times" for name, count in fired.items() if count]
    if told:
        console.print(Text(f"  {system}: faults that struck: {', '.join(told)}"))
    restless = sum(not run["came_to_rest"] for run in runs)
    if restless:
        console.print(
            Text(f"  {system}: did not come to rest in {restless} of {len(runs)} runs", style="bold red")
        )


def _show_expectations(expectations: Sequence[ExpectationResult], console: Console) -> None:
    console.print(Text("On record", style="bold"))
    words = {True: ("held", "green"), False: ("BROKEN", "bold red"), None: ("not checked", "yellow")}
    held = sum(result["held"] is True for result in expectations)
    if held > HELD_MAX:
        console.print(Text(f"  held        {held:,} outcomes"))
    for result in expectations:
        if result["held"] is True and held > HELD_MAX:
            continue
        mark, style = words[result["held"]]
        line = Text("  ").append(f"{mark:<11}", style=style)
        console.print(line.append(plain(f" {result['recording']}, {result['system']}: {result['detail']}")))
    console.print()


def _bad(count: int) -> Text:
    return Text(str(count), style="bold red" if count else "")


def _seconds(values: Quantiles) -> str:
    p50, p95, highest = values["p50"], values["p95"], values["max"]
    if p50 is None or p95 is None or highest is None:
        return "-"
    return f"{p50 / 1000:.1f}/{p95 / 1000:.1f}/{highest / 1000:.1f}"
