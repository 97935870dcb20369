"""Comparison of two load tests: their ledgers, and their latencies as samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from reports.analysis.quantile import is_maximum, quantile
from reports.analysis.statistics import Quantile, corrected_confidence, counts_differ
from reports.analysis.times import TAIL_SHARE
from reports.compare.comparison import Change, Check, Effect, Figures, Level
from reports.compare.effects import effect_of
from reports.compare.thresholds import LEDGER_COUNT, REPLY_TIME, SERVICE_TIME, SURROUNDINGS, Threshold
from reports.results.baseline import BaselineLoad
from reports.results.load import LoadResult
from reports.text import one_line
from reports.words.figures import count_name, figure_name, quantile_of
from reports.words.language import gettext
from reports.words.load import invalid_words, limit_of, measured_of, threshold_name
from reports.words.numbers import duration

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_LATENCIES: Mapping[str, Threshold] = {
    "acknowledgement": SERVICE_TIME,
    "dispatch_lag": SERVICE_TIME,
    "reply": REPLY_TIME,
    "reply_from_first": REPLY_TIME,
}
_SURROUNDINGS = ("ai", "generator_lag")
"""Latencies of the surroundings of the system; if they differ, all others may differ too."""
_TROUBLE = ("lost", "dead", "waiting", "duplicates", "worker_died", "out_of_order", "failed_requests")
_BY_CHANCE = ("worker_died",)
"""Counts that luck decides, so that a rise from 0 proves nothing: a killed worker may or may not have been sending."""
SYSTEM = "load"


def load_notes(before: BaselineLoad, after: BaselineLoad) -> Iterator[str]:
    """Yield notes on what makes the two load tests hard to compare."""
    if not before["valid"]:
        yield gettext("The earlier load test is invalid: it was not carried out as planned.")
    if not after["valid"]:
        yield gettext("This load test is invalid: it was not carried out as planned.")
    sent = before["ledger"]["sent"], after["ledger"]["sent"]
    if SURROUNDINGS.level(sent[0], sent[1] - sent[0]):
        yield gettext(
            "The load differs: messages sent were %(before)s, and are %(after)s now.",
            before=f"{sent[0]:,}",
            after=f"{sent[1]:,}",
        )
    unsure = [
        quantile_of(figure_name(latency), _quantile_name(name, share, *sides))
        for latency in _LATENCIES
        for name, share in QUANTILES.items()
        if all(sides := [load["latency_ms"].get(latency, []) for load in (before, after)])
        if not Quantile(share).can_tell(min(map(len, sides)))
    ]
    if unsure:
        yield gettext("Too few samples for a comparison: %(figures)s.", figures=gettext("; ").join(unsure))
    names = {"ai": gettext("claim to reply"), "generator_lag": gettext("generator lag")}
    for name in _SURROUNDINGS:
        old, new = _quantile(before, name, 0.5), _quantile(after, name, 0.5)
        if old is not None and new is not None and SURROUNDINGS.level(old, new - old):
            yield gettext(
                "The surroundings differ: the median of %(name)s was %(before)s and is %(after)s.",
                name=names[name],
                before=duration(old),
                after=duration(new),
            )


def _quantile_name(name: str, share: float, *sides: Sequence[float] | None) -> str:
    """Name a quantile; p99 is named max if it is the maximum on all sides, as on the page of a load test."""
    is_max = share == TAIL_SHARE and all(side and is_maximum(share, len(side)) for side in sides)
    return "max" if is_max else name


def _quantile(load: BaselineLoad, name: str, share: float) -> float | None:
    samples = load["latency_ms"].get(name)
    return quantile(sorted(samples), share) if samples else None


def load_changes(before: BaselineLoad, after: BaselineLoad, allowed: Mapping[str, float]) -> Iterator[Change]:
    """Compare the counts of what went wrong; `allowed` has the limits of the counts that have a threshold.

    One more lost message is worse. So is a rise from 0 of another count that is not in _BY_CHANCE, if no threshold
    allows it. Other changes depend on faults: they are worse or better only if they are larger than luck explains.
    """
    for name in _TROUBLE:
        old: int = before["ledger"][name]  # type: ignore[literal-required] # a count of a LoadLedger
        new: int = after["ledger"][name]  # type: ignore[literal-required]
        if old != new:
            is_strict = name == "lost" or (not old and name not in _BY_CHANCE and not allowed.get(name))
            level = _ledger_level(before, after, old, new, is_strict=is_strict)
            yield Change(level, after["scenario"], SYSTEM, count_name(name), f"{old:,}", f"{new:,}")


def _ledger_level(before: BaselineLoad, after: BaselineLoad, old: int, new: int, *, is_strict: bool) -> Level:
    if new > old and is_strict:
        return "worse"
    sent = before["ledger"]["sent"], after["ledger"]["sent"]
    confidence = corrected_confidence(len(_TROUBLE))
    if not counts_differ(old, new, before_of=sent[0], after_of=sent[1], confidence=confidence):
        return "changed"
    expected = old * sent[1] / sent[0]
    level = LEDGER_COUNT.level(expected, new - expected) or "changed"
    return "changed" if level == "better" and not (before["valid"] and after["valid"]) else level


def _answers_fewer(before: BaselineLoad, after: BaselineLoad) -> bool:
    """Return whether a smaller share of the messages was answered, perhaps only those that were fast."""
    old, new = before["ledger"], after["ledger"]
    return new["answered"] * old["sent"] < old["answered"] * new["sent"]


def load_effects(before: BaselineLoad, after: BaselineLoad) -> list[Effect]:
    """Compare the quantiles of each latency; both sides are thinned alike, so that equal results are equal."""
    confidence = corrected_confidence(len(_LATENCIES) * len(QUANTILES))
    can_be_better = before["valid"] and after["valid"] and not _answers_fewer(before, after)
    effects = []
    for latency, threshold in _LATENCIES.items():
        old, new = before["latency_ms"].get(latency), after["latency_ms"].get(latency)
        if not old or not new:
            continue
        for name, share in QUANTILES.items():
            effect = effect_of(
                old,
                new,
                Quantile(share),
                group=figure_name(latency),
                name=_quantile_name(name, share, old, new),
                unit="ms",
                threshold=threshold,
                confidence=confidence,
            )
            if effect.level == "better" and not can_be_better:
                effect = replace(effect, level="changed")
            effects.append(effect)
    return effects


def load_checks(result: LoadResult) -> list[Check]:
    """Check the thresholds, and that the test was carried out as planned."""
    group = one_line(result["scenario"])
    reason = "" if result["valid"] else invalid_words(result)
    checks = [Check(group, gettext("the test was carried out as planned"), result["valid"], reason)]
    for threshold in result["thresholds"]:
        detail = gettext(
            "target %(target)s, it was %(actual)s", target=limit_of(threshold), actual=measured_of(threshold)
        )
        checks.append(Check(group, threshold_name(threshold["code"]), threshold["ok"], detail))
    return checks


def load_figures(before: BaselineLoad, after: BaselineLoad) -> list[Figures]:
    """Return the ledger and the quantiles, on both sides."""
    values: dict[str, tuple[float | None, float | None]] = {
        name: (before["ledger"][name], after["ledger"][name])  # type: ignore[literal-required]
        for name in ("sent", "answered", *_TROUBLE)
    }
    for latency in _LATENCIES:
        sides = [load["latency_ms"].get(latency) for load in (before, after)]
        for name, share in QUANTILES.items():
            values[f"{latency}_{_quantile_name(name, share, *sides)}_ms"] = (
                _quantile(before, latency, share),
                _quantile(after, latency, share),
            )
    return [Figures(after["scenario"], values)]
