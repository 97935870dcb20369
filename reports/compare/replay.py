"""Comparison of two replays of one run each, which is exact: every difference is listed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from reports.analysis.figures import QUANTILES, quantiles, total
from reports.analysis.recording import recordings_of
from reports.compare.comparison import Change, Check, Figures, Level
from reports.compare.messages import (
    MessagePair,
    exact_ms,
    message_changes,
    paired_messages,
    time_after,
    wait_changes,
    wait_ms,
)
from reports.compare.thresholds import CALLS, EXACT_TIME
from reports.results.baseline import BaselineReplay, BaselineRun
from reports.results.files import ResultError
from reports.results.replay import ReplayResult
from reports.results.systems import QUEUE, is_queue
from reports.text import Phones, cut, one_line
from reports.words.expectations import expectation_name, expectation_words
from reports.words.figures import count_name, figure_name, quantile_of, relative, unit_of
from reports.words.language import gettext, ngettext

_Key = tuple[str, str]
_DROPPED = ("superseded", "superseded_ai_ms")
"""Counts that are shown only where answers were dropped."""


@dataclass(frozen=True, slots=True)
class _AnsweredChange:
    """Change of the messages that a run answers, which by itself changes its times and AI calls.

    `loses`: a message has a worse fate, so that fewer AI calls or shorter times are not better. `gains`: a message is
    newly answered, so that more AI calls or longer times are not worse.
    """

    loses: bool
    gains: bool

    @classmethod
    def of(cls, messages: Sequence[MessagePair]) -> _AnsweredChange:
        """Return the change between the messages of a run on both sides."""
        loses = any(message.level == "worse" for message in messages)
        return cls(loses, gains=any(message.is_newly_answered for message in messages))

    def level(self, level: Level | None) -> Level:
        """Return the level that a change of a figure has in this run."""
        if (level == "better" and self.loses) or (level == "worse" and self.gains):
            return "changed"
        return level or "changed"


def changed_recordings(before: BaselineReplay, after: BaselineReplay) -> list[str]:
    """Name the recordings that are on both sides with different messages."""
    return [
        name for name, digest in after["digests"].items() if before["digests"].get(name, digest) != digest
    ]


def replay_notes(before: BaselineReplay, after: BaselineReplay) -> Iterator[str]:
    """Yield a note for each recording that changed."""
    for name in changed_recordings(before, after):
        yield gettext(
            "The recording %(name)s has changed: only the number of messages that went wrong is compared.",
            name=name,
        )


def replay_changes(before: BaselineReplay, after: BaselineReplay, result: ReplayResult) -> list[Change]:
    """List every difference between two replays of one run each.

    Raises:
        ResultError: they have no recording and system in common, or other messages of an unchanged recording.
    """
    old, new = by_key(before), by_key(after)
    refuse_nothing_in_common(old, new)
    recordings = {recording.name: recording for recording in recordings_of(result)}
    changed = changed_recordings(before, after)
    messages = {
        key: paired_messages(old[key], new[key]) for key in new if key in old and key[0] not in changed
    }
    is_all = old.keys() == new.keys() and not changed
    changes = [*_overall_changes(messages, old, new, is_all=is_all), *recording_changes(changed)]
    overall = {(change.recording, change.system, change.subject) for change in changes}
    for key, run in new.items():
        recording, system = key
        if key in messages:
            of_run = _run_changes(old[key], run, messages[key])
            changes += (change for change in of_run if (*key, change.subject) not in overall)
            changes += message_changes(messages[key], recordings[recording], system)
        elif key in old:
            changes += _changes_by_counts(old[key], run)
        else:
            lost = ngettext("%(num)s message lost", "%(num)s messages lost", run["lost"])
            changes.append(
                Change("changed", *key, gettext("run"), gettext("not replayed"), lost, topic="run")
            )
    return changes + missing_runs(old, new)


def refuse_nothing_in_common(old: Iterable[_Key], new: Iterable[_Key]) -> None:
    """Raise ResultError if both sides have runs, but no recording and system in common."""
    before, after = set(old), set(new)
    if before and after and not before & after:
        raise ResultError(
            gettext("the two have no recording and system in common: compare results of the same recordings")
        )


def recording_changes(names: Iterable[str]) -> Iterator[Change]:
    """Yield a change, neither worse nor better, for each recording that changed."""
    for name in names:
        yield Change(
            "changed",
            name,
            gettext("all systems"),
            gettext("recording"),
            gettext("earlier messages"),
            gettext("other messages"),
            topic="run",
        )


def missing_runs(old: Iterable[_Key], new: Iterable[_Key]) -> list[Change]:
    """Make a change for each missing run, or one for a recording or a system that is missing altogether."""
    present = set(new)
    recordings, systems = {key[0] for key in present}, {key[1] for key in present}
    missing: dict[_Key, list[_Key]] = {}
    for key in old:
        if key in present:
            continue
        whole = key
        if key[0] not in recordings:
            whole = key[0], gettext("all systems")
        elif key[1] not in systems:
            whole = gettext("all recordings"), key[1]
        missing.setdefault(whole, []).append(key)
    return [
        Change(
            "worse",
            *(keys[0] if len(keys) == 1 else whole),
            gettext("run"),
            gettext("replayed"),
            gettext("missing"),
            topic="run",
        )
        for whole, keys in missing.items()
    ]


def by_key(replay: BaselineReplay) -> dict[_Key, BaselineRun]:
    """Return the runs by recording and system."""
    return {(run["recording"], run["system"]): run for run in replay["runs"]}


def _overall_changes(
    messages: Mapping[_Key, Sequence[MessagePair]],
    old: Mapping[_Key, BaselineRun],
    new: Mapping[_Key, BaselineRun],
    *,
    is_all: bool,
) -> Iterator[Change]:
    """Compare each system's waits and AI calls over all recordings that are equal on both sides.

    Each newly answered message may have taken one AI call. If there is only one recording, the changes name it.
    """
    recordings = {recording for recording, _ in messages}
    overall = recordings.pop() if len(recordings) == 1 else gettext("all recordings")
    for system in dict.fromkeys(system for _, system in messages):
        keys = [key for key in messages if key[1] == system]
        pairs = [pair for key in keys for pair in messages[key]]
        yield from wait_changes(pairs, overall, system, are_all_compared=is_all)
        before, after = (sum(runs[key]["ai_calls"] for key in keys) for runs in (old, new))
        if before != after:
            newly_answered = sum(pair.is_newly_answered for pair in pairs)
            level = CALLS.level(before, after - before)
            if level == "worse":
                level = CALLS.level(before, max(after - before - newly_answered, 0))
            elif level == "better":
                level = _AnsweredChange.of(pairs).level(level)
            yield Change(
                level or "changed",
                overall,
                system,
                gettext("AI calls"),
                f"{before:,}",
                f"{after:,} ({relative(before, after)})",
            )


def _run_changes(
    before: BaselineRun, after: BaselineRun, messages: Sequence[MessagePair]
) -> Iterator[Change]:
    """Compare a run's effort and times, and whether it finished; `message_changes` compares the fates of messages."""
    answered = _AnsweredChange.of(messages)
    yield from _finished_change(before, after)
    yield from _effort_changes(before, after, answered)
    yield from _time_changes(before, after, answered)
    if any((wait_ms(pair.before) is None) != (wait_ms(pair.after) is None) for pair in messages):
        waits = wait_changes(messages, after["recording"], after["system"])
        yield from (change for change in waits if change.level != "changed")


def _changes_by_counts(before: BaselineRun, after: BaselineRun) -> Iterator[Change]:
    """Compare a run of a recording that changed: only how many messages went wrong can be worse."""
    yield from _finished_change(before, after)
    for name in ("lost", "twice", "order", "dead", "waiting"):
        old: int = before[name]
        new: int = after[name]
        if old != new:
            level: Level = "worse" if new * before["sent"] > old * after["sent"] else "changed"
            where = after["recording"], after["system"]
            yield Change(level, *where, count_name(name), f"{old:,}", f"{new:,}", topic="run")
    answered = _AnsweredChange(loses=True, gains=True)
    yield from _effort_changes(before, after, answered)
    yield from _time_changes(before, after, answered)


def _finished_change(before: BaselineRun, after: BaselineRun) -> Iterator[Change]:
    if before["came_to_rest"] != after["came_to_rest"]:
        rest = {True: gettext("yes"), False: gettext("no")}
        yield Change(
            "better" if after["came_to_rest"] else "worse",
            after["recording"],
            after["system"],
            gettext("finished its work"),
            rest[before["came_to_rest"]],
            rest[after["came_to_rest"]],
            topic="run",
        )


def _effort_changes(before: BaselineRun, after: BaselineRun, answered: _AnsweredChange) -> Iterator[Change]:
    where = after["recording"], after["system"]
    for name in ("sent", "ai_calls", "turns", *_DROPPED):
        old: int = before.get(name, 0)  # type: ignore[assignment] # a count
        new: int = after.get(name, 0)  # type: ignore[assignment]
        if old != new:
            level = answered.level(CALLS.level(old, new - old)) if name == "ai_calls" else "changed"
            write = exact_ms if unit_of(name) == "ms" else "{:,}".format
            yield Change(level, *where, figure_name(name), write(old), write(new))


def _time_changes(before: BaselineRun, after: BaselineRun, answered: _AnsweredChange) -> Iterator[Change]:
    times = {
        "first_ms": gettext("first message to reply"),
        "last_ms": gettext("last message to reply"),
        "lag_ms": gettext("dispatch lag"),
    }
    for name, words in times.items():
        for quantile_name in QUANTILES:
            old: int | None = before[name][quantile_name]  # type: ignore[literal-required] # Quantiles of a BaselineRun
            new: int | None = after[name][quantile_name]  # type: ignore[literal-required]
            if old == new:
                continue
            level: Level = "changed"
            if old is not None and new is not None:
                level = answered.level(EXACT_TIME.level(old, new - old))
            where = after["recording"], after["system"]
            subject = quantile_of(words, quantile_name)
            yield Change(level, *where, subject, exact_ms(old), time_after(old, new))


def replay_checks(result: ReplayResult) -> list[Check]:
    """Make a check for each promise of the queue, and for each expected outcome."""
    of_queue = [run for run in result["runs"] if is_queue(run["system"])]
    promises = {
        gettext("loses no message"): sum(len(run["lost"]) for run in of_queue),
        gettext("answers no message twice"): sum(len(run["duplicated"]) for run in of_queue),
        gettext("hands messages over in order"): sum(len(run["reordered"]) for run in of_queue),
        gettext("comes to rest"): sum(not run["came_to_rest"] for run in of_queue),
    }
    checks = [
        Check(
            QUEUE,
            name,
            not broken,
            ngettext("broken %(num)s time", "broken %(num)s times", broken) if broken else "",
        )
        for name, broken in promises.items()
        if of_queue
    ]
    phones = Phones(message["phone"] for info in result["recordings"] for message in info["messages"])
    for expected in result["expectations"]:
        group = f"{one_line(expected['recording'])}: {one_line(expected['system'])}"
        detail = cut(expectation_words(expected, phones.hide), 300)
        checks.append(Check(group, expectation_name(expected), expected["held"], detail))
    return checks


def replay_figures(before: BaselineReplay, after: BaselineReplay) -> list[Figures]:
    """Return each system's figures over all recordings, on both sides."""
    old, new = _totals(before["runs"]), _totals(after["runs"])
    return [
        Figures(
            system,
            {
                name: pair
                for name in new.get(system) or old[system]
                if any(pair := (old.get(system, {}).get(name), new.get(system, {}).get(name)))
                or name not in _DROPPED
            },
        )
        for system in dict.fromkeys([*before["systems"], *after["systems"]])
        if system in old or system in new
    ]


def _totals(runs: Iterable[BaselineRun]) -> dict[str, dict[str, float | None]]:
    """Return the figures of each system."""
    by_system: dict[str, list[BaselineRun]] = {}
    for run in runs:
        by_system.setdefault(run["system"], []).append(run)
    return {system: _figures(of_system) for system, of_system in by_system.items()}


def _figures(runs: Sequence[BaselineRun]) -> dict[str, float | None]:
    """Return sums of the counts, and quantiles of the time from each message to the reply to it."""
    waits = [wait_ms(word) for run in runs for line in run["messages"] for word in line.split()]
    lags = [lag for run in runs if (lag := run["lag_ms"]["max"]) is not None]
    return {
        **total(runs),
        **{f"wait_{name}_ms": wait for name, wait in quantiles(waits).items()},
        "lag_max_ms": max(lags, default=None),
    }
