"""Compares two replays of many runs each: what changed beyond luck."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from reports.comparison import Effect
from reports.effects import effect_of
from reports.language import gettext, ngettext
from reports.schema_baseline import BaselineReplay, BaselineRun
from reports.statistics import Mean, corrected_confidence, enough_to_tell
from reports.thresholds import ANY, EXACT_CALLS, EXACT_TIME, Threshold

_Key = tuple[str, str]
_Figure = tuple[str, Threshold, Callable[[BaselineRun], float | None]]


@dataclass(frozen=True, slots=True)
class _Pair:
    """One figure of one recording on one system: a value for each run, on both sides."""

    group: str
    name: str
    unit: str
    threshold: Threshold
    before: Sequence[float]
    after: Sequence[float]
    paired: bool
    """Whether the runs of both sides belong together one by one."""

    @property
    def can_differ(self) -> bool:
        """Whether any two values differ at all: otherwise there is nothing that could be luck."""
        return len({*self.before, *self.after}) > 1

    def by_pairs(self, confidence: float) -> bool:
        """Whether to compare run by run. Few pairs can show less than both sides as a whole, which is safe as well."""
        number = len(self.before)
        return self.paired and enough_to_tell(number, number, confidence=confidence, paired=True)

    def enough(self, confidence: float) -> bool:
        """Whether so few runs can show a difference at all."""
        paired = self.by_pairs(confidence)
        return enough_to_tell(len(self.before), len(self.after), confidence=confidence, paired=paired)


def has_replications(replay: BaselineReplay) -> bool:
    """Whether some recording was replayed more than once on some system."""
    return any(len(runs) > 1 for runs in _grouped(replay).values())


def replication_notes(before: BaselineReplay, after: BaselineReplay, *, paired: bool) -> Iterator[str]:
    """What replications cannot tell."""
    old, new = _grouped(before), _grouped(after)
    for recording, system in dict.fromkeys([*new, *old]):
        if (recording, system) not in old or (recording, system) not in new:
            yield gettext(
                "%(recording)s on %(system)s is on one side only.", recording=recording, system=system
            )
    for name, digest in after["digests"].items():
        if before["digests"].get(name, digest) != digest:
            yield gettext("The recording %(name)s has changed.", name=name)
    pairs = [pair for pair in _pairs(before, after, paired=paired) if pair.can_differ]
    confidence = corrected_confidence(len(pairs))
    too_few = [min(len(pair.before), len(pair.after)) for pair in pairs if not pair.enough(confidence)]
    if too_few:
        yield ngettext(
            "With %(num)s run only nothing can be told from luck: replay more.",
            "With %(num)s runs only nothing can be told from luck: replay more.",
            min(too_few),
        )


def replication_effects(before: BaselineReplay, after: BaselineReplay, *, paired: bool) -> list[Effect]:
    """The effect on every figure of each recording on each system; one value a run.

    Paired by the number of the run where seeds are equal, for then both sides had the same luck, and runs are enough.
    """
    pairs = _pairs(before, after, paired=paired)
    confidence = corrected_confidence(sum(pair.can_differ for pair in pairs))
    return [
        effect_of(
            pair.before,
            pair.after,
            Mean(),
            group=pair.group,
            name=pair.name,
            unit=pair.unit,
            threshold=pair.threshold,
            confidence=confidence,
            paired=pair.by_pairs(confidence),
        )
        for pair in pairs
    ]


def _pairs(before: BaselineReplay, after: BaselineReplay, *, paired: bool) -> list[_Pair]:
    old, new = _grouped(before), _grouped(after)
    found = []
    for key in new:
        if key not in old:
            continue
        pairs = paired and set(old[key]) == set(new[key])
        for name, (unit, threshold, value) in _figures().items():
            left = [told for run in old[key].values() if (told := value(run)) is not None]
            right = [told for run in new[key].values() if (told := value(run)) is not None]
            if left and right:
                both = pairs and len(left) == len(right) == len(new[key])
                found.append(_Pair(f"{key[0]}: {key[1]}", name, unit, threshold, left, right, both))
    return found


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
