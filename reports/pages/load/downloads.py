"""Downloads of a load test's page: figures by second, latencies, and the ids of unanswered and repeated messages."""

from __future__ import annotations

from reports.analysis.quantile import quantile
from reports.analysis.times import SHARES
from reports.pages.csv_links import CsvLink, csv_link
from reports.results.load import LoadResult, Second, are_all_lost
from reports.words.language import gettext

BYTES_MAX = 90_000
"""Limit on the size of the file with figures by second, which is enough for about 20 minutes."""
_SECOND = ("t_s", "sent", "acknowledged", "replied", "failed", "depth", "redis_bytes")


def load_downloads(result: LoadResult) -> list[tuple[str, CsvLink]]:
    """Return each file with its title. Names of columns are English in every language, since programs read them."""
    return [(gettext("Seconds"), _seconds(result)), (gettext("Latencies"), _latencies(result))] + (
        [(gettext("Ids of messages without an answer, and of those answered twice"), _ids(result))]
        if result["lost_ids"] or result["doubles"]
        else []
    )


def _seconds(result: LoadResult) -> CsvLink:
    processes = sorted({name for second in result["timeline"] for name in second["cpu"] or {}})

    def row(second: Second) -> list[object]:
        cpu, known = second["cpu"] or {}, dict(second)
        return [*(known[name] for name in _SECOND), *(cpu.get(name) for name in processes)]

    columns = [*_SECOND, *(f"cpu {name}" for name in processes)]
    return csv_link(
        "seconds.csv", columns, [row(second) for second in result["timeline"]], bytes_max=BYTES_MAX
    )


def _latencies(result: LoadResult) -> CsvLink:
    columns = ["latency", "samples", *(f"p{100 * share:g}_ms" for share in SHARES), "max_ms"]
    rows: list[list[object]] = []
    for name, times_ms in result["latency_ms"].items():
        ordered = sorted(times_ms)  # type: ignore[call-overload] # every value of LoadLatency is a list of times
        quantiles = [quantile(ordered, share) for share in SHARES] if ordered else [None] * len(SHARES)
        rows.append([name, len(ordered), *quantiles, ordered[-1] if ordered else None])
    return csv_link("latencies.csv", columns, rows)


def _ids(result: LoadResult) -> CsvLink:
    fate = "lost" if are_all_lost(result["ledger"]) else "unanswered"
    rows = [[fate, message_id] for message_id in result["lost_ids"]]
    rows += [
        ["worker died" if double["worker_died"] else "twice", double["id"]] for double in result["doubles"]
    ]
    return csv_link("messages.csv", ["fate", "id"], rows)
