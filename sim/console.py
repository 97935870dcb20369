"""Output for people: tables of a replay, causes of loss, expected outcomes, and the progress of the work."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from queue_core.text import visible
from reports.analysis.figures import counts, total
from reports.analysis.recording import ReplayedRecording, recordings_of
from reports.analysis.waits import Waits, counted_quantile, waits_of
from reports.results.replay import (
    ExpectationResult,
    Explanation,
    LossEstimate,
    Quantiles,
    RecordingInfo,
    ReplayResult,
    Run,
)
from reports.text import NO_BREAK
from reports.words.expectations import expectation_words
from reports.words.explanations import explanation_words
from reports.words.faults import fault_words
from reports.words.numbers import share
from sim.tables import print_item, print_table

WIDTH_MAX = 100_000
"""Width, in columns, at which no table and no line is cut."""
LINE_EVERY_S = 15.0
"""Time between two lines about the progress where there is no terminal."""
CAUSES_MAX = 6
OUTCOMES_MAX = 12
"""Largest numbers of matched and of unchecked outcomes that are listed; more are only counted."""
NAMES_MAX = 8

_DROPPED = "dropped"
"""Column that is left out where no answer was dropped."""
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
    _DROPPED,
    "from first, s",
    "from last, s",
)


def console_for(stream: TextIO) -> Console:
    """Make a console as wide as the terminal; in a pipe or a file no line is wrapped."""
    return Console(file=stream, highlight=False, width=None if stream.isatty() else WIDTH_MAX)


@contextmanager
def progress(total: int, *, shown: bool) -> Iterator[Callable[[Run], None]]:
    """Show the progress if `shown`: a bar on a terminal, elsewhere a line now and then.

    Yields a function to call at the end of each run.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    is_terminal = sys.stderr.isatty()
    with Progress(*columns, console=console, transient=True, disable=not (shown and is_terminal)) as bar:
        task = bar.add_task("replaying", total=total)
        next_line_s = time.monotonic() + LINE_EVERY_S

        def done(run: Run) -> None:
            nonlocal next_line_s
            bar.update(task, advance=1, description=f"{visible(run['recording'])} on {run['system']}")
            if shown and not is_terminal and time.monotonic() >= next_line_s:
                next_line_s += LINE_EVERY_S
                print(f"sim: {bar.tasks[0].completed:.0f} of {total} replays", file=sys.stderr, flush=True)

        yield done


@contextmanager
def byte_progress(
    words: str, total: int, bytes_read: Callable[[], int], *, shown: bool
) -> Iterator[Callable[[], None]]:
    """Show how much of the files is read, if `shown` and on a terminal. Yields a function to call now and then."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not (shown and sys.stderr.isatty())
    ) as bar:
        task = bar.add_task(words, total=total or None)
        yield lambda: bar.update(task, completed=min(bytes_read(), total) if total else bytes_read())


def show(result: ReplayResult, console: Console) -> None:
    """Print everything but the verdict."""
    has_dropped = any(run.get("superseded") for run in result["runs"])
    waits = waits_of(result)
    if len(result["recordings"]) > 1:
        _show_overview(result, console)
    for recording in recordings_of(result):
        estimates = [estimate for estimate in result["loss"] if estimate["recording"] == recording.name]
        explanations = [
            each for each in result.get("explanations", ()) if each["recording"] == recording.name
        ]
        of_systems = {system: part for (name, system), part in waits.items() if name == recording.name}
        _show_recording(recording, of_systems, estimates, explanations, console, has_dropped=has_dropped)
    if result["expectations"]:
        _show_expectations(result["expectations"], console)
    console.print(
        Text(
            "twice: answered twice or more; order: handed over out of order; dead: dead letters; "
            "waiting: still waiting at the end; "
            + has_dropped
            * "dropped: answers dropped because a newer message joined the turn, and the AI's time for them; "
            + "from first, from last: from a turn's first or last message to its reply, p50 / p95 / max.",
            style="dim",
        )
    )


def _show_overview(result: ReplayResult, console: Console) -> None:
    """Print how many messages each system lost, by recording."""
    rows: list[list[str | Text]] = []
    for recording in result["recordings"]:
        of_recording = [loss for loss in result["loss"] if loss["recording"] == recording["name"]]
        sent = max((loss["sent"] for loss in of_recording), default=0)
        lost = {loss["system"]: loss["lost"] for loss in of_recording}
        rows.append(
            [visible(recording["name"]), str(sent), *(_bad(lost[name]) for name in result["systems"])]
        )
    print_table(console, ["recording", "sent", *result["systems"]], rows, title="lost")
    console.print()


def terminal_text(text: object) -> str:
    """Return a text without control characters, and with plain spaces, so that its lines can wrap."""
    return visible(str(text).replace(NO_BREAK, " "))


def _show_recording(
    recording: ReplayedRecording,
    waits: Mapping[str, Waits],
    estimates: Sequence[LossEstimate],
    explanations: Sequence[Explanation],
    console: Console,
    *,
    has_dropped: bool,
) -> None:
    info = recording.info
    title = Text(visible(recording.name), style="bold")
    if info["title"]:
        title.append(f"  {visible(info['title'])}", style="not bold")
    console.print(title)
    if info["skipped_lines"]:
        _show_skipped(info, console)
    columns = [name for name in _COLUMNS if has_dropped or name != _DROPPED]
    rows = []
    for loss in estimates:
        group = [run for run in recording.runs if run["system"] == loss["system"]]
        cells = _cells(loss["system"], group, waits[loss["system"]])
        rows.append([cells[name] for name in columns])
    print_table(console, columns, rows)
    if any(loss["runs"] > 1 for loss in estimates):
        _show_estimates(estimates, console)
    if explanations:
        _show_explanations(explanations, console)
    if recording.runs and recording.runs[0]["faults"]:
        _show_faults(recording.runs, console)
    for loss in estimates:
        _show_causes(recording, [run for run in recording.runs if run["system"] == loss["system"]], console)
    console.print()


def _show_skipped(info: RecordingInfo, console: Console) -> None:
    """Print how many broken lines were left out, and the first of them with the reason."""
    skipped = info.get("skipped", [])
    console.print(Text(f"  {_count(info['skipped_lines'], 'broken line')} skipped", style="bold yellow"))
    for bad in skipped:
        console.print(Text(terminal_text(f"    line {bad['line']:,}: {bad['reason']}"), style="yellow"))
    if skipped and (more := info["skipped_lines"] - len(skipped)):
        console.print(Text(f"    and {more:,} more", style="yellow"))


def _show_estimates(estimates: Sequence[LossEstimate], console: Console) -> None:
    """Print the probability that a message is lost, over all runs."""
    rows = []
    for loss in estimates:
        interval = terminal_text(f"{share(loss['low'])} to {share(loss['high'])}")
        probability = terminal_text(share(loss["probability"]))
        rows.append([loss["system"], str(loss["runs"]), probability, interval, str(loss["runs_with_loss"])])
    headers = ("system", "runs", "probability of losing a message", "95 % interval", "runs with a loss")
    print_table(console, headers, rows)


def _show_explanations(explanations: Sequence[Explanation], console: Console) -> None:
    """Print how well each system explains what really happened."""
    headers = ("what really happened", "no reply or not read", "predicted", "both", "by chance")
    rows = []
    for each in explanations:
        cells = [
            cell
            for overlap in (each["unanswered"], each["cut"])
            for cell in (
                *(f"{overlap[name]:,}" for name in ("actual", "predicted", "both")),
                f"{overlap['by_chance']:,.1f}",
            )
        ]
        rows.append([each["system"], *cells])
    print_table(console, [*headers, "cut turns", *headers[2:]], rows)
    console.print(Text(terminal_text(f"  {explanation_words(explanations)}"), style="bold"))


def _show_faults(runs: Sequence[Run], console: Console) -> None:
    """Print how often each fault struck each system, over all runs."""
    struck: dict[str, Counter[int]] = {}
    for run in runs:
        struck.setdefault(run["system"], Counter()).update(
            {number: fault["struck"] for number, fault in enumerate(run["faults"])}
        )
    rows = [
        [terminal_text(fault_words(fault)), *(f"{counts[number]:,}" for counts in struck.values())]
        for number, fault in enumerate(runs[0]["faults"])
    ]
    print_table(console, ["how often faults struck", *struck], rows)
    for warning in warnings_of_faults(runs):
        console.print(Text(f"warning: {warning}", style="yellow"))


def warnings_of_faults(runs: Sequence[Run]) -> list[str]:
    """Return a sentence for each fault that struck in none of the runs of a recording."""
    return [
        terminal_text(f"the fault {fault_words(fault)} never struck, so this replay does not test it")
        for number, fault in enumerate(runs[0]["faults"] if runs else ())
        if not any(run["faults"][number]["struck"] for run in runs)
    ]


def _cells(system: str, runs: Sequence[Run], waits: Waits) -> dict[str, Text]:
    """Return the cells of a system's row by column."""
    first, last = _latency(waits)
    figures = total(map(counts, runs))
    return {
        "system": Text(system),
        "sent": Text(str(figures["sent"])),
        "answered": Text(str(figures["answered"])),
        **{name: _bad(figures[name]) for name in ("lost", "twice", "order", "dead", "waiting")},
        "AI calls": Text(str(figures["ai_calls"])),
        _DROPPED: Text(_dropped(figures["superseded"], figures["superseded_ai_ms"])),
        "from first, s": Text(_seconds(first)),
        "from last, s": Text(_seconds(last)),
    }


def _dropped(answers: int, ai_ms: int) -> str:
    return f"{answers} ({ai_ms / 1000:.1f} s)" if answers else "0"


def _latency(waits: Waits) -> tuple[Quantiles, Quantiles]:
    """Return the times from a turn's first and last message to its reply, over all runs."""
    first, last = (
        Quantiles(
            p50=counted_quantile(counted, 0.5),
            p95=counted_quantile(counted, 0.95),
            max=counted_quantile(counted, 1.0),
        )
        for counted in (waits.first, waits.last)
    )
    return first, last


def _show_causes(recording: ReplayedRecording, runs: Sequence[Run], console: Console) -> None:
    """Print why a system lost messages, grouped by reason."""
    system = runs[0]["system"] if runs else ""
    losses = recording.losses_of(system)
    for loss in losses[:CAUSES_MAX]:
        ids = list(dict.fromkeys(message_id for _, message_id in loss.messages))
        shown = ", ".join(ids[:NAMES_MAX]) + (", …" if len(ids) > NAMES_MAX else "")
        words = f"{system}: {len(loss.messages)} lost ({shown}): {loss.words}"
        print_item(console, "  ", terminal_text(words))
    if others := losses[CAUSES_MAX:]:
        lost = sum(len(loss.messages) for loss in others)
        console.print(Text(f"  {system}: {lost} lost for {_count(len(others), 'other reason')}, see --json"))
    unfinished = sum(not run["came_to_rest"] for run in runs)
    if unfinished:
        console.print(
            Text(
                f"  {system}: did not finish its work in {unfinished} of {_count(len(runs), 'run')}",
                style="bold red",
            )
        )


def _show_expectations(expectations: Sequence[ExpectationResult], console: Console) -> None:
    console.print(Text("Expected outcomes", style="bold"))
    marks = {True: ("matched", "green"), False: ("NOT MATCHED", "bold red"), None: ("not checked", "yellow")}
    counts = Counter(result["held"] for result in expectations)
    folded = [held for held in (True, None) if counts[held] > OUTCOMES_MAX]
    for held in folded:
        mark, style = marks[held]
        console.print(Text("  ").append(f"{mark:<12} ", style=style).append(_count(counts[held], "outcome")))
    for result in expectations:
        if result["held"] in folded:
            continue
        mark, style = marks[result["held"]]
        lead = Text("  ").append(f"{mark:<12} ", style=style)
        words = f"{result['recording']}, {result['system']}: {expectation_words(result)}"
        print_item(console, lead, terminal_text(words))
    console.print()


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _bad(count: int) -> Text:
    return Text(str(count), style="bold red" if count else "")


def _seconds(values: Quantiles) -> str:
    p50, p95, highest = values["p50"], values["p95"], values["max"]
    if p50 is None or p95 is None or highest is None:
        return "-"
    return f"{p50 / 1000:.1f}/{p95 / 1000:.1f}/{highest / 1000:.1f}"
