"""Comparison of two replays of many runs each: only changes beyond luck count."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from reports.analysis.statistics import Mean, corrected_confidence, enough_to_tell
from reports.compare.comparison import Change, Check, Effect
from reports.compare.effects import effect_of
from reports.compare.replay import (
    changed_recordings,
    missing_runs,
    recording_changes,
    refuse_nothing_in_common,
)
from reports.compare.thresholds import ANY, CALLS, EXACT_TIME, Threshold
from reports.results.baseline import BaselineReplay, BaselineRun
from reports.results.systems import is_queue
from reports.words.language import gettext, ngettext

_Key = tuple[str, str]
_Figure = tuple[str, Threshold, Callable[[BaselineRun], float | None]]


@dataclass(frozen=True, slots=True)
class FigurePair:
    """One figure of one recording on one system: a value for each run that has one, on both sides.

    `runs` counts the runs of both sides, `paired` says that they belong together in pairs, `is_comparable` that both
    sides replayed equal messages, and `answers_fewer` that fewer messages were answered than before, which by itself
    makes times and AI calls fall. `is_of_fates` marks a share of messages by fate, which does not fall by itself.
    """

    group: str
    name: str
    unit: str
    threshold: Threshold
    before: Sequence[float]
    after: Sequence[float]
    runs: tuple[int, int]
    paired: bool
    is_comparable: bool
    answers_fewer: bool
    is_of_fates: bool

    @property
    def can_differ(self) -> bool:
        """True if any two values differ; luck cannot change equal values."""
        return len({*self.before, *self.after}) > 1

    def by_pairs(self, confidence: float) -> bool:
        """Return whether to compare run by run. Too few pairs show less than both sides as a whole do."""
        number = len(self.before)
        return self.paired and enough_to_tell(number, number, confidence=confidence, paired=True)

    def enough(self, confidence: float) -> bool:
        """Return whether these runs can show a difference without pairing, which fewer runs are enough for."""
        return enough_to_tell(*self.runs, confidence=confidence, paired=False)

    def judged(self, effect: Effect) -> Effect:
        """Return the effect; its level is `changed`, not worse or better, if it says nothing about the code."""
        if effect.level == "better":
            says_nothing = not self.is_comparable or (self.answers_fewer and not self.is_of_fates)
        else:
            says_nothing = effect.level == "worse" and not self.is_comparable and not self.is_of_fates
        return replace(effect, level="changed") if says_nothing else effect


def has_replications(replay: BaselineReplay) -> bool:
    """Return whether some recording was replayed more than once on some system."""
    return any(len(runs) > 1 for runs in _grouped(replay).values())


def replication_changes(before: BaselineReplay, after: BaselineReplay) -> list[Change]:
    """List runs that are on one side only, and recordings that changed.

    Raises:
        ResultError: they have no recording and system in common.
    """
    old, new = _grouped(before), _grouped(after)
    refuse_nothing_in_common(old, new)
    added = [
        Change("changed", *key, gettext("run"), gettext("not replayed"), gettext("replayed"), topic="run")
        for key in new
        if key not in old
    ]
    return [*missing_runs(old, new), *added, *recording_changes(changed_recordings(before, after))]


def replication_notes(pairs: Sequence[FigurePair]) -> Iterator[str]:
    """Yield a note if the runs are too few to tell a change from luck."""
    confidence = _confidence_of(pairs)
    too_few = [min(pair.runs) for pair in pairs if pair.before != pair.after and not pair.enough(confidence)]
    if too_few:
        yield ngettext(
            "With only %(num)s run no change can be told from luck: replay %(wanted)s runs on both sides.",
            "With only %(num)s runs no change can be told from luck: replay %(wanted)s runs on both sides.",
            min(too_few),
            wanted=_runs_wanted(len(pairs)),
        )


def replication_checks(pairs: Sequence[FigurePair], effects: Sequence[Effect]) -> list[Check]:
    """Make a failed check if figures grew by more than their thresholds in runs that are too few to judge them."""
    confidence = _confidence_of(pairs)
    unjudged = [
        pair.name
        for pair, effect in zip(pairs, effects, strict=True)
        if pair.threshold.level(effect.before, effect.difference) == "worse"
        and (pair.is_comparable or pair.is_of_fates)
        and not pair.enough(confidence)
    ]
    if not unjudged:
        return []
    detail = ngettext(
        "%(num)s figure grew by more than its threshold, but so few runs do not show whether that is luck",
        "%(num)s figures grew by more than their thresholds, but so few runs do not show whether that is luck",
        len(unjudged),
    )
    return [Check(gettext("replay"), gettext("enough runs to judge a change"), ok=False, detail=detail)]


def replication_effects(pairs: Sequence[FigurePair]) -> list[Effect]:
    """Compare every figure, at a confidence that is corrected for their number."""
    confidence = _confidence_of(pairs)
    return [
        pair.judged(
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
        )
        for pair in pairs
    ]


def _confidence_of(pairs: Sequence[FigurePair]) -> float:
    return corrected_confidence(sum(pair.can_differ for pair in pairs))


def _runs_wanted(figures: int) -> int:
    """Return the number of runs on both sides that shows a change even if all figures differ."""
    confidence = corrected_confidence(figures)
    return next(
        number
        for number in itertools.count(2)
        if enough_to_tell(number, number, confidence=confidence, paired=False)
    )


def figure_pairs(before: BaselineReplay, after: BaselineReplay, *, paired: bool) -> list[FigurePair]:
    """Return every figure of each recording on each system, those of the queue first.

    `paired` says that the seeds are equal, so that runs with equal numbers had the same luck.
    """
    old, new = _grouped(before), _grouped(after)
    changed = set(changed_recordings(before, after))
    pairs = []
    for key in sorted((key for key in new if key in old), key=lambda key: not is_queue(key[1])):
        same_numbers = paired and set(old[key]) == set(new[key])
        answers_fewer = _unanswered(new[key].values()) > _unanswered(old[key].values())
        for name, (unit, threshold, figure) in _figures().items():
            left = [value for run in old[key].values() if (value := figure(run)) is not None]
            right = [value for run in new[key].values() if (value := figure(run)) is not None]
            if left and right:
                pairs.append(
                    FigurePair(
                        group=f"{key[0]}: {key[1]}",
                        name=name,
                        unit=unit,
                        threshold=threshold,
                        before=left,
                        after=right,
                        runs=(len(old[key]), len(new[key])),
                        paired=same_numbers and len(left) == len(right) == len(new[key]),
                        is_comparable=key[0] not in changed,
                        answers_fewer=answers_fewer,
                        is_of_fates=unit == "share",
                    )
                )
    return pairs


def _grouped(replay: BaselineReplay) -> Mapping[_Key, Mapping[int, BaselineRun]]:
    grouped: dict[_Key, dict[int, BaselineRun]] = {}
    for run in sorted(replay["runs"], key=lambda run: run["run"]):
        grouped.setdefault((run["recording"], run["system"]), {})[run["run"]] = run
    return grouped


def _figures() -> Mapping[str, _Figure]:
    """Return the figures of a run that are compared: unit, threshold, and a function that reads them."""
    return {
        gettext("share of messages lost"): ("share", ANY, lambda run: _share(run, run["lost"])),
        gettext("share answered twice"): ("share", ANY, lambda run: _share(run, run["twice"])),
        gettext("share out of order"): ("share", ANY, lambda run: _share(run, run["order"])),
        gettext("share dead-lettered"): ("share", ANY, lambda run: _share(run, run["dead"])),
        gettext("share still waiting"): ("share", ANY, lambda run: _share(run, run["waiting"])),
        gettext("first message to reply, mean"): ("ms", EXACT_TIME, lambda run: run["mean_first_ms"]),
        gettext("first message to reply, p95"): ("ms", EXACT_TIME, lambda run: run["first_ms"]["p95"]),
        gettext("dispatch lag, p95"): ("ms", EXACT_TIME, lambda run: run["lag_ms"]["p95"]),
        gettext("AI calls"): ("", CALLS, lambda run: run["ai_calls"]),
    }


def _share(run: BaselineRun, number: int) -> float:
    return number / run["sent"] if run["sent"] else 0.0


def _unanswered(runs: Collection[BaselineRun]) -> float:
    """Return the share of messages without an answer, over all the runs."""
    sent = sum(run["sent"] for run in runs)
    return 1 - sum(run["answered"] for run in runs) / sent if sent else 0.0
