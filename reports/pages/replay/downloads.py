"""Downloads from the page of a replay: its figures, and every lost message with its cause."""

from __future__ import annotations

from collections.abc import Iterator

from reports.analysis.conversations import Key, cause_of
from reports.analysis.figures import COUNTS, QUANTILES, counts
from reports.analysis.replay import AnalysedReplay
from reports.pages.csv_links import CsvLink, csv_link
from reports.text import Phones, one_line, short_phone
from reports.words.causes import cause_words
from reports.words.language import gettext

_LOST = ("recording", "system", "run", "instance", "user", "id", "lost_at_ms", "cause", "why")


def downloads(replay: AnalysedReplay) -> list[tuple[str, CsvLink]]:
    """Make each file with a description. Names of columns are in English in every language: programs read them."""
    times = [f"{kind}_{name}_ms" for kind in ("reply", "lag") for name in QUANTILES]
    figures = [
        [system.system, *system.counts.values(), *system.reply_ms.values(), *system.lag_ms.values()]
        for system in replay.figures
    ]
    return [
        (gettext("Figures by system"), csv_link("systems.csv", ["system", *COUNTS, *times], figures)),
        (
            gettext("Figures by recording and system"),
            csv_link(
                "runs.csv",
                ["recording", "system", "run", *COUNTS],
                [
                    [run["recording"], run["system"], run["run"], *counts(run).values()]
                    for run in replay.result["runs"]
                ],
            ),
        ),
        (gettext("Lost messages"), csv_link("lost.csv", _LOST, _lost(replay))),
    ]


def _lost(replay: AnalysedReplay) -> Iterator[list[object]]:
    for recording in replay.recordings:
        phones = Phones(message["phone"] for message in recording.info["messages"])
        for run in recording.runs:
            for entry in run["ledger"]:
                if entry["fate"] != "lost":
                    continue
                cause = cause_of(run, entry)
                numbers = recording.numbers.get(Key(entry["instance"], entry["phone"]), {})
                yield [
                    recording.name,
                    run["system"],
                    run["run"],
                    one_line(entry["instance"]),
                    short_phone(entry["phone"]),
                    one_line(phones.hide(entry["id"])),
                    entry.get("lost_at_ms"),
                    cause["code"],
                    cause_words(cause, run["system"], [numbers.get(entry["id"], 0)], numbers),
                ]
