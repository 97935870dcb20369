"""Compares two replays of many runs each: what changed beyond luck."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from reports.comparison import Effect
from reports.effects import effect_of
from reports.language import gettext
from reports.schema_baseline import BaselineReplay, BaselineRun
from reports.statistics import Mean, corrected_confidence, enough_to_tell
from reports.thresholds import ANY, EXACT_CALLS, EXACT_TIME, Threshold

_Key = tuple[str, str]
_Figure = tuple[str, Threshold, Callable[[BaselineRun], float | None]]


def has_replications(replay: BaselineReplay) -> bool:
    """Whether some recording was replayed more than once on some system."""
    return any(len(runs) > 1 for runs in _grouped(replay).values())


def replication_notes(
    before: BaselineReplay, after: BaselineReplay, effects: Sequence[Effect]
) -> Iterator[str]:
    """What replications cannot tell."""
    for key in dict.fromkeys([*_grouped(before), *_grouped(after)]):
        if key not in _grouped(before) or key not in _grouped(after):
            yield gettext("%(recording)s on %(system)s is on one side only.", recording=key[0], system=key[1])
    for name, digest in after["digests"].items():
        if before["digests"].get(name, digest) != digest:
            yield gettext("The recording %(name)s has changed.", name=name)
    fewest = min((min(one.samples) for one in effects), default=0)
    if effects and not enough_to_tell(fewest, fewest, confidence=effects[0].confidence, paired=True):
        yield gettext("With %(runs)s runs only nothing can be told from luck: replay more.", runs=fewest)


def replication_effects(before: BaselineReplay, after: BaselineReplay, *, paired: bool) -> list[Effect]:
    """The effect on every figure of each recording on each system; one value a run.

    Paired by the number of the run where seeds are equal: then both sides had the same luck.
    """
    old, new = _grouped(before), _grouped(after)
    keys = [key for key in new if key in old]
    figures = _figures()
    confidence = corrected_confidence(len(keys) * len(figures))
    effects = []
    for key in keys:
        pairs = paired and set(old[key]) == set(new[key])
        for name, (unit, threshold, value) in figures.items():
            left = [told for run in old[key].values() if (told := value(run)) is not None]
            right = [told for run in new[key].values() if (told := value(run)) is not None]
            if left and right:
                effects.append(
                    effect_of(
                        left,
                        right,
                        Mean(),
                        group=f"{key[0]}: {key[1]}",
                        name=name,
                        unit=unit,
                        threshold=threshold,
                        confidence=confidence,
                        paired=pairs and len(left) == len(right) == len(new[key]),
                    )
                )
    return effects


def _grouped(replay: BaselineReplay) -> Mapping[_Key, Mapping[int, BaselineRun]]:
    grouped: dict[_Key, dict[int, BaselineRun]] = {}
    for run in sorted(replay["runs"], key=lambda one: one["run"]):
        grouped.setdefault((run["recording"], run["system"]), {})[run["run"]] = run
    return grouped


def _figures() -> Mapping[str, _Figure]:
    """The figures of a run that are compared: unit, threshold, and how to take them."""
    return {
        gettext("share of messages lost"): ("share", ANY, lambda run: _share(run, run["lost"])),
        gettext("share answered twice"): ("share", ANY, lambda run: _share(run, run["twice"])),
        gettext("share out of order"): ("share", ANY, lambda run: _share(run, run["order"])),
        gettext("first message to reply, mean"): ("ms", EXACT_TIME, lambda run: run["mean_first_ms"]),
        gettext("first message to reply, p95"): ("ms", EXACT_TIME, lambda run: run["first_ms"]["p95"]),
        gettext("dispatch lag, p95"): ("ms", EXACT_TIME, lambda run: run["lag_ms"]["p95"]),
        gettext("AI calls"): ("", EXACT_CALLS, lambda run: run["ai_calls"]),
    }


def _share(run: BaselineRun, number: int) -> float:
    return number / run["sent"] if run["sent"] else 0.0
