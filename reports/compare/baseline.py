"""Reduction of a result to a baseline: a small file that diffs well and holds no texts."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from reports.analysis.conversations import Conversation, Outcome, mean_first_ms
from reports.analysis.figures import counts
from reports.analysis.recording import ReplayedRecording, recordings_of
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
"""Maximum number of samples of each latency of a load test; more are thinned evenly."""

_QUANTILES = re.compile(r'\{\s+"p50": [^{}]*\}')


def baseline_of(result: Result) -> Baseline:
    """Reduce a result to a baseline; a baseline is returned unchanged.

    Raises:
        ResultError: results of this kind are not compared.
    """
    if result["kind"] == "baseline":
        return result
    if result["kind"] == "sweep":
        raise ResultError(
            gettext("sweeps are not compared: replay with the settings in question and compare that")
        )
    if result["kind"] == "failover":
        raise ResultError(gettext("runs under failovers are not compared: each row says what it promises"))
    if result["kind"] == "audit":
        raise ResultError(
            gettext("audits are not compared: they say what happened, and not what a system does")
        )
    if result["kind"] == "validation":
        raise ResultError(
            gettext(
                "validations are not compared: each run of `loadtests validate` gives a verdict of its own"
            )
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
    """Write a baseline as JSON that is good to diff: a line for each conversation."""
    return _QUANTILES.sub(lambda match: " ".join(match[0].split()), json_text(baseline))


def _setting(value: object) -> str:
    """Write the value of a setting; an empty list, such as no faults, becomes an empty text."""
    if isinstance(value, list):
        return ", ".join(map(_setting, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _replay(result: ReplayResult) -> BaselineReplay:
    recordings = {recording.name: recording for recording in recordings_of(result)}
    repeats = Counter((run["recording"], run["system"]) for run in result["runs"])
    return BaselineReplay(
        systems=list(result["systems"]),
        digests={name: digest(recording.info) for name, recording in recordings.items()},
        runs=[
            _run(
                run,
                recordings[run["recording"]],
                with_messages=repeats[run["recording"], run["system"]] == 1,
            )
            for run in result["runs"]
        ],
    )


def digest(recording: RecordingInfo) -> str:
    """Return a digest of the recording's messages, which differs after any change of them."""
    canonical = json.dumps(recording["messages"], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _run(run: Run, recording: ReplayedRecording, *, with_messages: bool) -> BaselineRun:
    return {
        "recording": run["recording"],
        "system": run["system"],
        "run": run["run"],
        **counts(run),
        "first_ms": run["latency_ms"]["first"],
        "last_ms": run["latency_ms"]["last"],
        "lag_ms": run["dispatch_lag_ms"],
        "mean_first_ms": mean_first_ms(run, recording.info),
        "came_to_rest": run["came_to_rest"],
        "messages": [_line(each, run["system"]) for each in recording.in_order] if with_messages else [],
    }


def _line(conversation: Conversation, system: str) -> str:
    """Write a word for each message of a conversation, in the order of arrival."""
    outcomes = conversation.lane(system).outcomes
    return " ".join(_word(outcomes.get(message.number)) for message in conversation.messages)


def _word(outcome: Outcome | None) -> str:
    if outcome is None:
        return "unsent"
    is_timed = outcome.fate == "answered" and outcome.latency_ms is not None
    word = str(outcome.latency_ms) if is_timed else outcome.fate
    return word + "+twice" * outcome.twice + "+order" * outcome.out_of_order


def _load(result: LoadResult) -> BaselineLoad:
    latency: Mapping[str, Any] = {**result["latency_ms"]}
    return BaselineLoad(
        scenario=result["scenario"],
        valid=result["valid"],
        ledger=result["ledger"],
        latency_ms={name: thinned(values) for name, values in latency.items()},
    )


def thinned(samples: Sequence[float]) -> list[float]:
    """Return at most SAMPLES_MAX of the samples, ascending, evenly chosen, the extremes included."""
    ordered = sorted(samples)
    if len(ordered) <= SAMPLES_MAX:
        return ordered
    step = (len(ordered) - 1) / (SAMPLES_MAX - 1)
    return [ordered[round(index * step)] for index in range(SAMPLES_MAX)]
