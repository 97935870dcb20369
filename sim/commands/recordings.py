"""Recordings that a command replays, read or imported, and words about the imports."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence

from queue_core.recording.format import Recording
from queue_core.text import quantity
from sim.commands.import_options import import_options
from sim.commands.import_words import summary_lines, unread_lines
from sim.console import byte_progress, console_for, terminal_text
from sim.importers.loading import Loaded, load_any
from sim.importers.sources import Meter, size_of
from sim.importers.taking import ImportOptions
from sim.study import Contender

LONG_WORK_S = 120.0
"""Estimated length above which a replay says its estimate first."""
QUEUE_MS, OTHER_MS = 1.6, 1.0
"""Time for one message on the queue and on an older system, measured with 10,000 messages in 24 h on a busy core."""


def load_recordings(options: argparse.Namespace) -> list[Recording]:
    """Read the recordings at `options.paths`, import other files, and print a summary of imports to standard error.

    With --quiet, print only warnings about lines that were left out, since no table shows them. Raises RecordingError
    and ImportFailedError.
    """
    return load_files(options, import_options(options, seed=options.seed)).recordings


def load_files(options: argparse.Namespace, how: ImportOptions) -> Loaded:
    """Read files as `load_recordings` does, with import options; the result also has the summaries of imports."""
    meter = Meter()
    with byte_progress(
        "reading", size_of(options.paths), lambda: meter.bytes_read, shown=not options.quiet
    ) as progress:
        loaded = load_any(
            options.paths,
            how,
            skip_bad_lines=options.skip_bad_lines,
            progress=progress,
            meter=meter,
        )
    for summary in () if options.quiet else loaded.imports:
        _say(summary_lines(summary))
    if not options.quiet:
        _say(unread_lines(loaded.unknown, loaded.below))
    for recording in loaded.recordings if options.quiet else ():
        if recording.skipped:
            lines = quantity(len(recording.skipped), "broken line")
            print(f"sim: warning: {recording.name}: {lines} skipped", file=sys.stderr)
    return loaded


def say_estimate(
    recordings: Sequence[Recording],
    contenders: Sequence[Contender],
    repeats: int,
    options: argparse.Namespace,
) -> None:
    """If the work takes long, print to standard error how long it takes, and how to shorten it.

    `repeats` is the number of runs of each recording on each system.
    """
    deliveries = sum(len(recording.arrivals) for recording in recordings)
    cost_ms = sum(QUEUE_MS if contender.system == "queue" else OTHER_MS for contender in contenders)
    runs = max(1, len(recordings) * len(contenders) * repeats)
    seconds = deliveries * repeats * cost_ms / 1000 / min(options.jobs, runs)
    if seconds < LONG_WORK_S or options.quiet:
        return
    systems = quantity(len(contenders), "system")
    different = sum(
        len({(message.instance, message.phone, message.id) for message in recording.arrivals})
        for recording in recordings
    )
    words = f"{quantity(different, 'message')} on {systems}, {quantity(repeats, 'run')} each: about {_time(seconds)}"
    shorter = "--system NAME replays one system, --from and --to replay a part of the time"
    if len(contenders) == 1:
        shorter = "--from and --to replay a part of the time"
    lines = [f"{words}; {shorter}; Ctrl-C ends it"]
    if options.jobs > runs:
        lines.append(
            f"{runs} of {options.jobs} processes can work: a run is not split, since its conversations share workers "
            "and connections"
        )
    _say(lines)


def _say(lines: Iterable[str]) -> None:
    console = console_for(sys.stderr)
    for line in lines:
        console.print(terminal_text(line), markup=False, soft_wrap=True)


def _time(seconds: float) -> str:
    if seconds < 90:
        return quantity(round(seconds), "second")
    minutes = seconds / 60
    return quantity(round(minutes), "minute") if minutes < 90 else quantity(round(minutes / 60), "hour")
