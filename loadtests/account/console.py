"""Output of a load test on the console, with the words of the report."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from reports.analysis.times import time_cells, time_columns
from reports.results.load import LoadResult, RampStep
from reports.words.codes import trigger_words
from reports.words.faults import fault_name
from reports.words.language import gettext
from reports.words.load import (
    LATENCIES,
    limit_of,
    measured_of,
    missed_names,
    outcome_of,
    ramp_time,
    threshold_name,
    verdict,
)
from reports.words.numbers import duration


def show_result(result: LoadResult, folder: Path) -> None:
    """Show thresholds and latencies as tables, then the verdict."""
    thresholds = [
        [
            threshold_name(threshold["code"]),
            limit_of(threshold),
            measured_of(threshold),
            outcome_of(threshold),
        ]
        for threshold in result["thresholds"]
    ]
    latencies = [
        [gettext(name), *time_cells(result["latency_ms"][key])] for key, (name, _) in LATENCIES.items()
    ]
    lines = [
        *table(["threshold", "target", "actual", "outcome"], thresholds),
        "",
        *table(["latency", *time_columns("samples")], latencies),
    ]
    if ramp := result.get("ramp"):
        lines += ["", *_ramp_table(ramp)]
    batches = result["batches"]
    triggers = ", ".join(f"{trigger_words(code)} {count:,}" for code, count in batches["by_trigger"].items())
    turns = f"turns: {batches['count']:,}" + (f" ({triggers})" if triggers else "")
    report = folder / "report.html"
    shown = report.relative_to(Path.cwd()) if report.is_relative_to(Path.cwd()) else report
    faults = [
        f"{fault_name(fault['code'])} from {duration(1000 * fault['start_s'])} to {duration(1000 * fault['end_s'])}"
        for fault in result["faults"]
    ]
    show(
        [
            *("", *lines, "", turns),
            *([f"faults: {'; '.join(faults)}"] if faults else []),
            *("", verdict(result), f"Report: {shown}"),
        ]
    )


def _ramp_table(ramp: Sequence[RampStep]) -> list[str]:
    rows = []
    for step in ramp:
        times = [ramp_time(threshold) for threshold in step["thresholds"] if threshold["unit"] == "ms"]
        outcome = missed_names(step["thresholds"]) or "ok"
        rows.append([f"{step['rate']:,}", f"{step['sent']:,}", *times, outcome])
    return table(
        ["messages/min", "sent", "acknowledgement p99", "dispatch lag p99", "generator lag p99", "missed"],
        rows,
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table, with all columns but the first on the right."""
    columns = list(zip(heads, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    return [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (heads, *rows)
    ]


def show(lines: Sequence[str], terminal: TextIO | None = None) -> None:
    """Write lines to standard output, or another terminal, in an encoding that it has."""
    text = "\n".join(lines).replace("\u202f", " ").replace("\u00a0", " ") + "\n"
    terminal = terminal or sys.stdout
    encoding = terminal.encoding or "utf-8"
    terminal.write(text.encode(encoding, "replace").decode(encoding))
    terminal.flush()
