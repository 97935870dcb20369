"""Compares two replays exactly: which message, what changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from reports.analysis.statistics import Quantile
from reports.compare.comparison import Change, Check, Figures, Level
from reports.compare.messages import (
    QUANTILES,
    exact_ms,
    message_changes,
    now_ms,
    paired_messages,
    wait_changes,
    waits_ms,
)
from reports.compare.thresholds import EXACT_CALLS, EXACT_TIME
from reports.results.baseline import BaselineReplay, BaselineRun
from reports.results.files import ResultError
from reports.results.replay import ReplayResult
from reports.text import Phones, cut, one_line
from reports.words.expectations import expectation_name, expectation_words
from reports.words.figures import quantile_of
from reports.words.language import gettext, ngettext

QUEUE = "queue"
_COUNTS = ("lost", "twice", "order", "dead", "waiting")
_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Trust:
    """Whether a run's times and AI calls, when they change, say something about the code.

    With fewer messages answered there is less to wait for and less to ask, and with more of them more.
    """

    fewer: bool
    more: bool

    def level(self, level: Level | None) -> Level:
        """The level that a change of a figure has in this run."""
        if (level == "better" and self.fewer) or (level == "worse" and self.more):
            return "changed"
        return level or "changed"


def changed_recordings(before: BaselineReplay, after: BaselineReplay) -> list[str]:
    """The names of those that are on both sides and do not hold the same messages."""
    return [
        name for name, digest in after["digests"].items() if before["digests"].get(name, digest) != digest
    ]


def replay_notes(before: BaselineReplay, after: BaselineReplay) -> Iterator[str]:
    """Recordings that are not what they were."""
    for name in changed_recordings(before, after):
        yield gettext(
            "The recording %(name)s has changed: of it, only how many messages go wrong is judged.",
            name=name,
        )


def replay_changes(before: BaselineReplay, after: BaselineReplay, result: ReplayResult) -> list[Change]:
    """Every difference between two replays of one run each.

    Raises:
        ResultError: they have no recording on a system in common, or differ in what one and the same recording holds.
    """
    old, new = by_key(before), by_key(after)
    refuse_nothing_in_common(old.keys(), new.keys())
    runs = {(run["recording"], run["system"]): run for run in result["runs"]}
    recordings = {recording["name"]: recording for recording in result["recordings"]}
    changed = changed_recordings(before, after)
    messages = {
        key: paired_messages(old[key], new[key]) for key in new if key in old and key[0] not in changed
    }
    changes = [*_overall_changes(messages, is_all=old.keys() == new.keys() and not changed)]
    changes += recording_changes(changed)
    for key, run in new.items():
        if key in messages:
            own = message_changes(messages[key], runs[key], recordings[key[0]])
            changes += [*_run_changes(old[key], run, messages[key], own), *own]
        elif key in old:
            changes += _changes_of_another(old[key], run)
        else:
            told = ngettext("%(num)s message lost", "%(num)s messages lost", run["lost"])
            changes.append(
                Change("changed", *key, gettext("run"), gettext("not replayed"), told, topic="run")
            )
    return changes + missing_runs(old.keys(), new.keys())


def refuse_nothing_in_common(old: Iterable[_Key], new: Iterable[_Key]) -> None:
    """Raises ResultError where both sides have runs, but none of a recording on a system that the other has."""
    one, other = set(old), set(new)
    if one and other and not one & other:
        raise ResultError(
            gettext("the two have no recording and system in common: there is nothing to compare")
        )


def recording_changes(names: Iterable[str]) -> Iterator[Change]:
    """Recordings that changed, as differences that are neither for the worse nor for the better."""
    for name in names:
        yield Change(
            "changed",
            name,
            gettext("all systems"),
            gettext("recording"),
            gettext("as accepted"),
            gettext("other messages"),
            topic="run",
        )


def missing_runs(old: Iterable[_Key], new: Iterable[_Key]) -> list[Change]:
    """What is no longer replayed: a recording or a system that is gone altogether is told once."""
    there = set(new)
    recordings, systems = {key[0] for key in there}, {key[1] for key in there}
    gone: dict[_Key, list[_Key]] = {}
    for key in old:
        if key in there:
            continue
        whole = key
        if key[0] not in recordings:
            whole = key[0], gettext("all systems")
        elif key[1] not in systems:
            whole = gettext("all recordings"), key[1]
        gone.setdefault(whole, []).append(key)
    return [
        Change(
            "worse",
            *(keys[0] if len(keys) == 1 else whole),
            gettext("run"),
            gettext("replayed"),
            gettext("missing"),
            topic="run",
        )
        for whole, keys in gone.items()
    ]


def by_key(replay: BaselineReplay) -> dict[_Key, BaselineRun]:
    """The runs by recording and system."""
    return {(run["recording"], run["system"]): run for run in replay["runs"]}


def _overall_changes(messages: Mapping[_Key, pd.DataFrame], *, is_all: bool) -> Iterator[Change]:
    """How long each system's messages waited, over all recordings that both sides have alike."""
    of_system: dict[str, list[pd.DataFrame]] = {}
    for (_, system), own in messages.items():
        of_system.setdefault(system, []).append(own)
    for system, parts in of_system.items():
        yield from wait_changes(
            pd.concat(parts, ignore_index=True),
            gettext("all recordings"),
            system,
            are_all_compared=is_all,
        )


def _run_changes(
    before: BaselineRun, after: BaselineRun, messages: pd.DataFrame, of_messages: Sequence[Change]
) -> Iterator[Change]:
    """Differences of a run as a whole whose messages are compared one by one, so that counts of fates need not be."""
    old, new = waits_ms(messages["before"]).notna(), waits_ms(messages["after"]).notna()
    trust = _Trust(fewer=any(one.level == "worse" for one in of_messages), more=bool((new & ~old).any()))
    yield from _rest_change(before, after)
    yield from _effort_changes(before, after, trust)
    yield from _time_changes(before, after, trust)
    if not old.equals(new):
        waits = wait_changes(messages, after["recording"], after["system"])
        yield from (one for one in waits if one.level != "changed")


def _changes_of_another(before: BaselineRun, after: BaselineRun) -> Iterator[Change]:
    """Differences of a run of a recording that changed: only how many messages went wrong can be better or worse."""
    where = after["recording"], after["system"]
    yield from _rest_change(before, after)
    words = {
        "lost": gettext("messages lost"),
        "twice": gettext("messages answered twice"),
        "order": gettext("messages out of order"),
        "dead": gettext("messages dead-lettered"),
        "waiting": gettext("messages still waiting"),
    }
    for name in _COUNTS:
        old: int = before[name]  # type: ignore[literal-required] # a count of a BaselineRun
        new: int = after[name]  # type: ignore[literal-required]
        if old != new:
            is_worse = new * before["sent"] > old * after["sent"]
            level: Level = "worse" if is_worse else "changed"
            yield Change(level, *where, words[name], f"{old:,}", f"{new:,}", topic="run")
    trust = _Trust(fewer=True, more=True)
    yield from _effort_changes(before, after, trust)
    yield from _time_changes(before, after, trust)


def _rest_change(before: BaselineRun, after: BaselineRun) -> Iterator[Change]:
    if before["came_to_rest"] != after["came_to_rest"]:
        rest = {True: gettext("yes"), False: gettext("no")}
        yield Change(
            "better" if after["came_to_rest"] else "worse",
            after["recording"],
            after["system"],
            gettext("came to rest"),
            rest[before["came_to_rest"]],
            rest[after["came_to_rest"]],
            topic="run",
        )


def _effort_changes(before: BaselineRun, after: BaselineRun, trust: _Trust) -> Iterator[Change]:
    words = {"sent": gettext("messages sent"), "ai_calls": gettext("AI calls"), "turns": gettext("turns")}
    for name, subject in words.items():
        old: int = before[name]  # type: ignore[literal-required] # a count of a BaselineRun
        new: int = after[name]  # type: ignore[literal-required]
        if old != new:
            level = trust.level(EXACT_CALLS.level(old, new - old)) if name == "ai_calls" else "changed"
            yield Change(level, after["recording"], after["system"], subject, f"{old:,}", f"{new:,}")


def _time_changes(before: BaselineRun, after: BaselineRun, trust: _Trust) -> Iterator[Change]:
    times = {
        "first_ms": gettext("first message to reply"),
        "last_ms": gettext("last message to reply"),
        "lag_ms": gettext("dispatch lag"),
    }
    for name, words in times.items():
        for quantile in QUANTILES:
            old: int | None = before[name][quantile]  # type: ignore[literal-required] # Quantiles of a BaselineRun
            new: int | None = after[name][quantile]  # type: ignore[literal-required]
            if old == new:
                continue
            level: Level = "changed"
            if old is not None and new is not None:
                level = trust.level(EXACT_TIME.level(old, new - old))
            subject = quantile_of(words, quantile)
            yield Change(level, after["recording"], after["system"], subject, exact_ms(old), now_ms(old, new))


def replay_checks(result: ReplayResult) -> list[Check]:
    """Return what the queue promises, and every expected outcome."""
    of_queue = [run for run in result["runs"] if run["system"] == QUEUE]
    checks = []
    if of_queue:
        promises = {
            gettext("loses no message"): sum(len(run["lost"]) for run in of_queue),
            gettext("answers no message twice"): sum(len(run["duplicated"]) for run in of_queue),
            gettext("hands no message over out of order"): sum(len(run["reordered"]) for run in of_queue),
            gettext("comes to rest"): sum(not run["came_to_rest"] for run in of_queue),
        }
        checks += [
            Check(
                QUEUE,
                name,
                not broken,
                ngettext("%(num)s time otherwise", "%(num)s times otherwise", broken) if broken else "",
            )
            for name, broken in promises.items()
        ]
    phones = Phones(message["phone"] for one in result["recordings"] for message in one["messages"])
    for one in result["expectations"]:
        group = f"{one_line(one['recording'])}: {one_line(one['system'])}"
        detail = cut(expectation_words(one, phones.hide), 300)
        checks.append(Check(group, expectation_name(one), one["held"], detail))
    return checks


def replay_figures(before: BaselineReplay, after: BaselineReplay) -> list[Figures]:
    """Each system's figures over all recordings, on both sides."""
    old, new = _totals(before["runs"]), _totals(after["runs"])
    return [
        Figures(
            system,
            {
                name: (old.get(system, {}).get(name), new.get(system, {}).get(name))
                for name in dict.fromkeys([*old.get(system, {}), *new.get(system, {})])
            },
        )
        for system in dict.fromkeys([*before["systems"], *after["systems"]])
        if system in old or system in new
    ]


def _totals(runs: Sequence[BaselineRun]) -> dict[str, dict[str, float | None]]:
    """By system: sums of the counts, and quantiles of the times from each message to the reply to it."""
    if not runs:
        return {}
    counts = ["sent", "answered", *_COUNTS, "ai_calls", "turns"]
    frame = pd.DataFrame([{name: run[name] for name in ("system", *counts)} for run in runs])  # type: ignore[literal-required]
    sums = frame.groupby("system", sort=False)[counts].sum()
    found: dict[str, dict[str, float | None]] = {
        str(system): {name: int(row[name]) for name in counts}
        for system, row in sums.to_dict(orient="index").items()
    }
    times = {
        str(system): own.to_numpy() for system, own in _reply_times(runs).groupby("system", sort=False)["ms"]
    }
    lags = pd.DataFrame(
        [(run["system"], run["lag_ms"]["max"]) for run in runs], columns=["system", "ms"]
    ).astype({"ms": float})
    longest = lags.dropna().groupby("system", sort=False)["ms"].max().to_dict()
    for system, values in found.items():
        for name, share in QUANTILES.items():
            values[f"wait_{name}_ms"] = Quantile(share).of(times[system]) if system in times else None
        values["lag_max_ms"] = longest.get(system)
    return found


def _reply_times(runs: Iterable[BaselineRun]) -> pd.DataFrame:
    rows = [
        (run["system"], int(head))
        for run in runs
        for line in run["messages"]
        for word in line.split()
        if (head := word.split("+")[0]).isdecimal()
    ]
    return pd.DataFrame(rows, columns=["system", "ms"]).astype({"ms": float})
