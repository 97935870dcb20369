"""Contents of the page of runs under failovers, before rendering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.analysis.failover import RepeatedCase, repeated
from reports.pages.csv_links import CsvLink, csv_link
from reports.results.failover import FailoverResult, FailoverRow
from reports.text import cut, one_line
from reports.words.failover import broken_promise_words, case_words, failover_verdict, settings_words
from reports.words.language import gettext
from reports.words.numbers import duration
from reports.words.verdicts import Verdict

_COLUMNS = (
    *(
        "case",
        "deployment",
        "through_intake",
        "replicas",
        "wait_for_replicas",
        "min_replicas",
        "acknowledged",
    ),
    *(
        "once",
        "twice",
        "twice_after_lost_write",
        "lost",
        "dead",
        "waiting",
        "answered_directly",
        "errors",
        "other_errors",
    ),
    *("processors_died", "load_ms", "elections", "resumed_ms", "stalled_ms"),
)


@dataclass(frozen=True, slots=True)
class Pause:
    """Longest pause in the sends of one server."""

    node: int
    longest: str
    is_struck: bool


@dataclass(frozen=True, slots=True)
class RowView:
    """Runs of one case, with their words."""

    row: FailoverRow
    runs: int
    name: str
    settings: Sequence[str]
    broken_promises: Sequence[str]
    pauses: Sequence[Pause]
    resumed: str
    """Time from the election of a primary to traffic; "" if none was elected."""


@dataclass(frozen=True, slots=True)
class FailoverPage:
    """Contents of the whole page."""

    state: str
    verdict: Verdict
    rows: Sequence[RowView]
    downloads: Sequence[tuple[str, CsvLink]]
    settings: Sequence[tuple[str, str]]
    command: str


def failover_page_of(result: FailoverResult) -> FailoverPage:
    """Make the contents of the page that shows `result`."""
    return FailoverPage(
        state="ok" if result["ok"] else "bad",
        verdict=failover_verdict(result),
        rows=[_view(case) for case in repeated(result["rows"])],
        downloads=failover_downloads(result),
        settings=[
            ("Redis", cut(one_line(result["redis_version"]), 40)),
            (gettext("messages a second"), str(result["rate_per_s"])),
            (
                gettext("partitions"),
                gettext(
                    "%(number)s, each a part of the conversations on one primary",
                    number=str(result["partitions"]),
                ),
            ),
        ],
        command=result["command"],
    )


def failover_downloads(result: FailoverResult) -> list[tuple[str, CsvLink]]:
    """Make the files. Names of columns are in English in every language: programs read them."""
    rows = [
        [
            *(dict(row)[name] for name in _COLUMNS),
            max((pause["longest_ms"] for pause in row["pauses"] if pause["is_struck"]), default=None),
            max((pause["longest_ms"] for pause in row["pauses"] if not pause["is_struck"]), default=None),
        ]
        for row in result["rows"]
    ]
    columns = [*_COLUMNS, "struck_pause_ms", "other_pause_ms"]
    return [(gettext("All runs"), csv_link("failover.csv", columns, rows))]


def _view(case: RepeatedCase) -> RowView:
    row = case.row
    broken_promises = dict.fromkeys(words for run in case.runs for words in broken_promise_words(run))
    pauses = [
        Pause(pause["node"], duration(pause["longest_ms"]), pause["is_struck"]) for pause in row["pauses"]
    ]
    resumed = "" if row["resumed_ms"] is None else duration(row["resumed_ms"])
    return RowView(
        row,
        len(case.runs),
        case_words(row["case"]),
        settings_words(row),
        tuple(broken_promises),
        pauses,
        resumed,
    )
