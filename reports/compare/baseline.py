"""From a result to the baseline that later results are compared with: small, diffable, and without anybody's words."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reports.analysis.conversations import Conversation, Outcome, conversations, reply_times_ms
from reports.results.baseline import (
    BASELINE_SCHEMA_VERSION,
    Baseline,
    BaselineLoad,
    BaselineReplay,
    BaselineRun,
)
from reports.results.files import Result, ResultError
from reports.results.load import LoadResult
from reports.results.replay import RecordingInfo, ReplayResult, Run
from reports.results.writing import json_text
from reports.words.language import gettext

SAMPLES_MAX = 2000
"""Of each latency of a load test."""

_QUANTILES = re.compile(r'\{\s+"p50": [^{}]*\}')


def baseline_of(result: Result) -> Baseline:
    """What of a result later ones are compared with; a baseline is its own.

    Raises:
        ResultError: it is of a kind that is not compared.
    """
    if result["kind"] == "baseline":
        return result
    if result["kind"] == "sweep":
        raise ResultError(
            gettext("sweeps are not compared: replay with the settings in question and compare that")
        )
    replay, load = (None, _load(result)) if result["kind"] == "load" else (_replay(result), None)
    return Baseline(
        schema=BASELINE_SCHEMA_VERSION,
        kind="baseline",
        of=result["kind"],
        seed=result["seed"],
        command=result.get("command", ""),
        settings={name: _setting(value) for name, value in result["settings"].items()},
        replay=replay,
        load=load,
    )


def baseline_text(baseline: Baseline) -> str:
    """It as JSON of which a diff shows what changed: a line a conversation."""
    return _QUANTILES.sub(lambda found: " ".join(found[0].split()), json_text(baseline))


def _setting(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _replay(result: ReplayResult) -> BaselineReplay:
    recordings = {recording["name"]: recording for recording in result["recordings"]}
    counts: dict[tuple[str, str], int] = {}
    for run in result["runs"]:
        key = run["recording"], run["system"]
        counts[key] = counts.get(key, 0) + 1
    return BaselineReplay(
        systems=list(result["systems"]),
        digests={name: digest(recording) for name, recording in recordings.items()},
        runs=[
            baseline_run(
                run, recordings[run["recording"]], with_messages=counts[run["recording"], run["system"]] == 1
            )
            for run in result["runs"]
        ],
    )


def digest(recording: RecordingInfo) -> str:
    """Tells whether a recording's messages are still the same."""
    canonical = json.dumps(recording["messages"], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def baseline_run(run: Run, recording: RecordingInfo, *, with_messages: bool) -> BaselineRun:
    """What is kept of one run; its messages only if asked for."""
    times = reply_times_ms(run, recording)
    return BaselineRun(
        recording=run["recording"],
        system=run["system"],
        run=run["run"],
        sent=run["sent"],
        answered=run["answered"],
        lost=len(run["lost"]),
        twice=len(run["duplicated"]),
        order=len(run["reordered"]),
        dead=len(run["dead_lettered"]),
        waiting=len(run["pending"]),
        ai_calls=run["ai_calls"],
        turns=len(run["batches"]),
        first_ms=run["latency_ms"]["first"],
        last_ms=run["latency_ms"]["last"],
        lag_ms=run["dispatch_lag_ms"],
        mean_first_ms=round(sum(times) / len(times), 3) if times else None,
        came_to_rest=run["came_to_rest"],
        messages=[line(one) for one in conversations(recording, [run])] if with_messages else [],
    )


def line(conversation: Conversation) -> str:
    """What became of a conversation's messages on its only lane: a word for each, in the order of arrival."""
    outcomes: Mapping[int, Outcome] = conversation.lanes[0].outcomes
    return " ".join(word(outcomes.get(message.number)) for message in conversation.messages)


def word(outcome: Outcome | None) -> str:
    """One message's part of a line."""
    if outcome is None:
        return "unsent"
    is_timed = outcome.fate == "answered" and outcome.latency_ms is not None
    told = str(outcome.latency_ms) if is_timed else outcome.fate
    return told + "+twice" * outcome.twice + "+order" * outcome.out_of_order


def _load(result: LoadResult) -> BaselineLoad:
    latency: Mapping[str, Any] = {**result["latency_ms"]}
    return BaselineLoad(
        scenario=result["scenario"],
        valid=result["valid"],
        ledger=result["ledger"],
        latency_ms={name: list(thinned(values)) for name, values in latency.items()},
    )


def thinned(samples: Sequence[float]) -> Iterable[float]:
    """At most SAMPLES_MAX of the ascending samples, evenly chosen, the extremes included."""
    ordered = sorted(samples)
    if len(ordered) <= SAMPLES_MAX:
        return ordered
    step = (len(ordered) - 1) / (SAMPLES_MAX - 1)
    return [ordered[round(place * step)] for place in range(SAMPLES_MAX)]
