"""Tables of the results: rows for the console and for the documents."""

from __future__ import annotations

import statistics

from rich.table import Table

from reports.analysis.quantile import quantile
from tests.bench.speed.contenders import FLOOR, OURS, Case
from tests.bench.speed.figures import Key, Results, aims
from tests.bench.speed.webhooks import BARE

Rows = list[list[str]]
"""A table; the first row has its headings."""


def queue_rows(results: Results) -> Rows:
    """Compare rates, CPU and pickup of all contenders; this commit in turns of one is 1.

    CPU is that of a message: producer + Redis, then producer + worker + Redis. Pickups are the median and the 95th
    percentile. The last column has the rates of enqueue and from enqueue to complete.
    """
    rows = [
        [
            "",
            "enqueue",
            "CPU, µs",
            "to complete",
            "CPU, µs",
            "pickup, ms",
            "messages a second: enqueue / to complete",
        ]
    ]
    for name in results.queues:
        rows.append(_queue_row(results, name, "turns of one"))
        if "turns of three" in results.queues[name]:
            rows.append(_queue_row(results, name, "turns of three"))
    return rows


def _queue_row(results: Results, name: str, case: Case) -> list[str]:
    enqueue: Key = (name, "enqueue")
    is_first = case == "turns of one"
    has_turns = "turns of three" in results.queues[name]
    pickups = results.pickups_ms(name) if is_first and "pickup" in results.queues[name] else None
    rate = f"{results.median((name, case), lambda run: run.per_second):,.0f}"
    return [
        f"{name}, {case}" if has_turns else name,
        f"{results.ratio(enqueue, (OURS, 'enqueue')):.2f}" if is_first else "",
        _cpu(results, enqueue) if is_first else "",
        f"{results.ratio((name, case), (OURS, 'turns of one')):.2f}",
        _cpu(results, (name, case)),
        f"{pickups[0]:.2f} / {pickups[1]:.2f}" if pickups else "",
        f"{results.median(enqueue, lambda run: run.per_second):,.0f} / {rate}" if is_first else f"- / {rate}",
    ]


def _cpu(results: Results, key: Key) -> str:
    parts = [
        results.median(key, lambda run: run.producer_us),
        results.median(key, lambda run: run.worker_us),
        results.median(key, lambda run: run.redis_us),
    ]
    is_alone = key[1] == "enqueue" or key[0] == FLOOR
    words = " + ".join(f"{part:.0f}" for part in (parts[::2] if is_alone else parts))
    return f"{words} = {sum(parts):.0f}"


def webhook_rows(results: Results) -> Rows:
    """Compare the web processes; the bare handler is 1."""
    rows = [["", "CPU of a webhook", "CPU, µs", "acknowledged, ms: median, 99 %"]]
    for name, runs in results.webhooks.items():
        times = [time for run in runs for time in run.acknowledged_ms]
        rows.append(
            [
                name,
                f"{results.webhook_ratio(name):.2f}" if name != BARE else "1",
                f"{statistics.median(run.cpu_us for run in runs):.0f}",
                f"{quantile(sorted(times), 0.5):.1f}, {quantile(sorted(times), 0.99):.1f}",
            ]
        )
    return rows


def aim_rows(results: Results) -> Rows:
    """Compare this commit with its aims."""
    rows = [["aim", "bound", "measured", ""]]
    for aim in aims(results):
        bound = f"{'at least' if aim.is_least else 'at most'} {aim.bound:g}"
        rows.append([aim.name, bound, f"{aim.figure:.2f}", "reached" if aim.is_reached else "not reached"])
    return rows


def markdown(rows: Rows) -> str:
    """Write a table of the documents."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def console_table(rows: Rows, title: str) -> Table:
    """Make a table for a terminal."""
    table = Table(title=title)
    for number, heading in enumerate(rows[0]):
        table.add_column(heading, justify="right" if number else "left")
    for row in rows[1:]:
        table.add_row(*row)
    return table
