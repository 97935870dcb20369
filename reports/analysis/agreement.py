"""Agreement of a simulated run with two live runs of the same messages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from reports.analysis.gap import largest_gap
from reports.results.validation import CountName, Trial, TrialName, TrialRun, TrialVerdict

AIM = 0.01
"""Distance that is allowed in addition to the distance between the live runs."""
NOISE_FACTOR = 2.0
"""Number of standard deviations by which two counts may differ by chance."""
COUNTS: Sequence[CountName] = ("lost", "twice", "dead")


def judged_trial(
    name: TrialName, faults: Sequence[str], messages: int, live: Sequence[TrialRun], simulated: TrialRun
) -> Trial:
    """Make a trial: compare the simulated run with the live ones, and note live runs without a reply as problems.

    The distance that counts is that to the replies of both live runs together, the best estimate of the live curve. The
    larger of the distances to each live run would be too strict: even a third live run would mostly be farther from one
    of the two than they are from each other.
    """
    first, second = (run["reply_ms"] for run in live)
    curve = simulated["reply_ms"]
    trial = Trial(
        name=name,
        faults=list(faults),
        messages=messages,
        live=list(live),
        simulated=simulated,
        floor=0.0,
        distances=[],
        distance=0.0,
        allowed=0.0,
        apart_ms=0.0,
        apart_live_ms=0.0,
        counts_differ=[count for count in COUNTS if not _agree(count, live, simulated)],
        verdict="invalid",
    )
    if not (first and second and curve):
        for run in live:
            run["problems"] += [] if run["reply_ms"] else ["no_reply"]
        return trial
    trial["floor"] = _distance(first, second)
    trial["distances"] = [_distance(measured, curve) for measured in (first, second)]
    trial["distance"] = _distance(sorted([*first, *second]), curve)
    trial["allowed"] = round(trial["floor"] + max(AIM, resolution(first, second, curve)), 6)
    trial["apart_ms"] = mean_gap_ms(sorted([*first, *second]), curve)
    trial["apart_live_ms"] = mean_gap_ms(first, second)
    trial["verdict"] = _verdict(trial)
    return trial


def resolution(*curves: Sequence[float]) -> float:
    """Return the weight of one reply in the shortest curve: smaller distances cannot be told apart."""
    return 1 / min(map(len, curves))


def mean_gap_ms(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the area between the curves of two ascending samples: the mean difference of their quantiles."""
    points = sorted({*first, *second})
    area, in_first, in_second = 0.0, 0, 0
    for low, high in pairwise(points):
        while in_first < len(first) and first[in_first] <= low:
            in_first += 1
        while in_second < len(second) and second[in_second] <= low:
            in_second += 1
        area += (high - low) * abs(in_first / len(first) - in_second / len(second))
    return round(area, 3)


def _distance(first: Sequence[float], second: Sequence[float]) -> float:
    return round(largest_gap(first, second).distance, 6)


def _verdict(trial: Trial) -> TrialVerdict:
    if any(run["problems"] for run in trial["live"]):
        return "invalid"
    if trial["distance"] > trial["allowed"]:
        return "curves_differ"
    return "counts_differ" if trial["counts_differ"] else "within"


def _agree(count: CountName, live: Sequence[TrialRun], simulated: TrialRun) -> bool:
    """Return True if a predicted count lies between the measured ones, or as near as chance explains."""
    measured, predicted = [run[count] for run in live], simulated[count]
    nearest = min(max(predicted, min(measured)), max(measured))
    return abs(predicted - nearest) <= NOISE_FACTOR * math.sqrt(predicted + nearest)
