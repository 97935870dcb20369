"""Output of a load test on the console, with the words of the report."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from reports.analysis.gap import Gap
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
        *_table(["threshold", "target", "actual", "outcome"], thresholds),
        "",
        *_table(["latency", *time_columns("samples")], latencies),
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
    _show(
        [
            *("", *lines, "", turns),
            *([f"faults: {'; '.join(faults)}"] if faults else []),
            *("", verdict(result), f"Report: {shown}"),
        ]
    )


def show_prediction(
    predicted_ms: Sequence[float], measured_ms: Sequence[float], gap: Gap, aim: float
) -> None:
    """Show the two distributions of reply times, and the distance between them."""
    rows = [
        [name, *time_cells(sorted(times_ms))]
        for name, times_ms in (("simulated", predicted_ms), ("measured", measured_ms))
    ]
    _show(
        [
            *_table(["from the last message", *time_columns("turns")], rows),
            f"largest distance between the two curves: {gap.distance:.3f}, at {gap.at_ms / 1000:.1f} s",
            f"aim: under {aim}",
        ]
    )


def _ramp_table(ramp: Sequence[RampStep]) -> list[str]:
    rows = []
    for step in ramp:
        times = [ramp_time(threshold) for threshold in step["thresholds"] if threshold["unit"] == "ms"]
        outcome = missed_names(step["thresholds"]) or "ok"
        rows.append([f"{step['rate']:,}", f"{step['sent']:,}", *times, outcome])
    return _table(["a minute", "sent", "acknowledgement", "dispatch lag", "generator lag", "missed"], rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Align the first column to the left and all others to the right."""
    columns = list(zip(heads, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    return [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (heads, *rows)
    ]


def _show(lines: Sequence[str]) -> None:
    text = "\n".join(lines).replace("\u202f", " ").replace("\u00a0", " ") + "\n"
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()
