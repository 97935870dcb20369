"""Compares two replays exactly: which message, what changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import pandas as pd

from reports.comparison import LEVELS, Change, Check, Figures, Level, Topic
from reports.conversations import cause_of
from reports.figures import quantile_of, relative
from reports.files import ResultError
from reports.lane_words import fate_words
from reports.language import gettext, ngettext
from reports.prose import translated_prose
from reports.schema import Fate, RecordingInfo, ReplayResult, Run
from reports.schema_baseline import BaselineReplay, BaselineRun
from reports.statistics import Quantile
from reports.text import Phones, cut, one_line
from reports.thresholds import EXACT_CALLS, EXACT_TIME

QUEUE = "queue"
ID_LENGTH_MAX = 60
CAUSE_LENGTH_MAX = 300
_BADNESS: Mapping[str, int] = {"answered": 0, "unsent": 1, "dead_lettered": 2, "pending": 3, "lost": 4}
_COUNTS = ("lost", "twice", "order", "dead", "waiting")
_Key = tuple[str, str]


def replay_notes(before: BaselineReplay, after: BaselineReplay) -> Iterator[str]:
    """Recordings that are not what they were."""
    for name, digest in after["digests"].items():
        if before["digests"].get(name, digest) != digest:
            yield gettext(
                "The recording %(name)s has changed: its messages are not compared one by one.", name=name
            )


def replay_changes(before: BaselineReplay, after: BaselineReplay, result: ReplayResult) -> list[Change]:
    """Every difference between two replays of one run each.

    Raises:
        ResultError: they have no recording on a system in common, or differ in what one and the same recording holds.
    """
    old, new = _by_key(before), _by_key(after)
    if old and new and not old.keys() & new.keys():
        raise ResultError(
            gettext("the two have no recording and system in common: there is nothing to compare")
        )
    runs = {(run["recording"], run["system"]): run for run in result["runs"]}
    recordings = {recording["name"]: recording for recording in result["recordings"]}
    changes: list[Change] = []
    for key in dict.fromkeys([*new, *old]):
        if key not in new:
            changes.append(
                Change("worse", *key, gettext("run"), gettext("replayed"), gettext("missing"), topic="run")
            )
        elif key not in old:
            told = ngettext("%(num)s message lost", "%(num)s messages lost", new[key]["lost"])
            changes.append(
                Change("changed", *key, gettext("run"), gettext("not replayed"), told, topic="run")
            )
        else:
            is_same = before["digests"].get(key[0]) == after["digests"].get(key[0])
            changes += _run_changes(old[key], new[key], with_counts=not is_same)
            if is_same:
                changes += _message_changes(old[key], new[key], runs[key], recordings[key[0]])
    return changes


def _by_key(replay: BaselineReplay) -> dict[_Key, BaselineRun]:
    return {(run["recording"], run["system"]): run for run in replay["runs"]}


def _run_changes(before: BaselineRun, after: BaselineRun, *, with_counts: bool) -> Iterator[Change]:
    """Differences of a run as a whole; counts of fates only where messages are not compared one by one."""
    where = after["recording"], after["system"]
    if before["came_to_rest"] != after["came_to_rest"]:
        rest = {True: gettext("yes"), False: gettext("no")}
        level: Level = "better" if after["came_to_rest"] else "worse"
        subject = gettext("came to rest")
        yield Change(
            level, *where, subject, rest[before["came_to_rest"]], rest[after["came_to_rest"]], topic="run"
        )
    for name, subject in _count_words().items():
        old: int = before[name]  # type: ignore[literal-required] # a count of a BaselineRun
        new: int = after[name]  # type: ignore[literal-required]
        if old == new or (name in _COUNTS and not with_counts):
            continue
        level = ("worse" if new > old else "better") if name in _COUNTS else "changed"
        if name == "ai_calls":
            level = EXACT_CALLS.level(old, new - old) or "changed"
        topic: Topic = "run" if name in _COUNTS else "figure"
        yield Change(level, *where, subject, f"{old:,}", f"{new:,}", topic=topic)
    yield from _time_changes(before, after)


def _count_words() -> dict[str, str]:
    return {
        "lost": gettext("messages lost"),
        "twice": gettext("messages answered twice"),
        "order": gettext("messages out of order"),
        "dead": gettext("messages dead-lettered"),
        "waiting": gettext("messages still waiting"),
        "sent": gettext("messages sent"),
        "ai_calls": gettext("AI calls"),
        "turns": gettext("turns"),
    }


def _time_changes(before: BaselineRun, after: BaselineRun) -> Iterator[Change]:
    times = {
        "first_ms": gettext("first message to reply"),
        "last_ms": gettext("last message to reply"),
        "lag_ms": gettext("dispatch lag"),
    }
    for name, words in times.items():
        for quantile in ("p50", "p95", "max"):
            old: int | None = before[name][quantile]  # type: ignore[literal-required] # Quantiles of a BaselineRun
            new: int | None = after[name][quantile]  # type: ignore[literal-required]
            if old == new:
                continue
            level: Level = "changed"
            if old is not None and new is not None:
                level = EXACT_TIME.level(old, new - old) or "changed"
            subject = quantile_of(words, quantile)
            yield Change(level, after["recording"], after["system"], subject, _ms(old), _now(old, new))


def _ms(time_ms: int | None) -> str:
    """Exactly: in other units a millisecond would not be seen."""
    return gettext("none") if time_ms is None else gettext("%(number)s ms", number=f"{time_ms:,}")


def _now(old: float | None, new: float | None) -> str:
    """The new time, and how much more or less it is."""
    change = relative(old, new)
    return _ms(None if new is None else int(new)) + (f" ({change})" if change else "")


def _message_changes(
    before: BaselineRun, after: BaselineRun, run: Run, recording: RecordingInfo
) -> Iterator[Change]:
    """Each message that fared otherwise, the worst first. Raises ResultError where these are not the same messages."""
    old, new = _words(before), _words(after)
    if not old[["place", "number"]].equals(new[["place", "number"]]):
        raise ResultError(
            gettext(
                "the baseline has other messages of %(recording)s on %(system)s than the recording: make it again",
                recording=cut(one_line(after["recording"]), ID_LENGTH_MAX),
                system=cut(one_line(after["system"]), ID_LENGTH_MAX),
            )
        )
    both = old.merge(new, on=["place", "number"], suffixes=("_before", "_after"))
    differing = both[both["word_before"] != both["word_after"]]
    if differing.empty:
        return
    names = _Names(run, recording)
    columns = (differing[name].tolist() for name in ("place", "number", "word_before", "word_after"))
    found = [names.change(*row) for row in zip(*columns, strict=True)]
    yield from sorted(found, key=lambda one: LEVELS.index(one.level))


def _words(run: BaselineRun) -> pd.DataFrame:
    """The run's messages: place of the conversation, number of the message, and what became of it."""
    rows = [
        (place, number, word)
        for place, line in enumerate(run["messages"], 1)
        for number, word in enumerate(line.split(), 1)
    ]
    return pd.DataFrame(rows, columns=["place", "number", "word"])


class _Names:
    """Names messages by their place in a recording, and knows why they were lost in a run."""

    def __init__(self, run: Run, recording: RecordingInfo) -> None:
        self._run = run
        self._phones = Phones(message["phone"] for message in recording["messages"])
        ids: dict[tuple[str, str], dict[str, None]] = {}
        for message in recording["messages"]:
            ids.setdefault((message["instance"], message["phone"]), {})[message["id"]] = None
        self._conversations = [(key, list(own)) for key, own in ids.items()]
        self._entries = {(one["instance"], one["phone"], one["id"]): one for one in run["ledger"]}

    def change(self, place: int, number: int, before: str, after: str) -> Change:
        """The change of a message from one word of a baseline to another."""
        (instance, phone), ids = self._conversations[place - 1]
        message_id = ids[number - 1]
        subject = gettext(
            "conversation %(place)s, message %(number)s (%(id)s)",
            place=place,
            number=number,
            id=cut(one_line(self._phones.hide(message_id)), ID_LENGTH_MAX),
        )
        cause = ""
        entry = self._entries.get((instance, phone, message_id))
        if after == "lost" and entry is not None:
            cause = translated_prose(one_line(self._phones.hide(cause_of(self._run, entry))))
        return Change(
            _message_level(before, after),
            self._run["recording"],
            self._run["system"],
            subject,
            _told(before),
            _told(after),
            cut(cause, CAUSE_LENGTH_MAX),
            topic="loss" if after == "lost" else "fate",
        )


def _message_level(before: str, after: str) -> Level:
    old, new = _badness(before), _badness(after)
    if old == new:
        return "changed"
    return "worse" if new > old else "better"


def _badness(word: str) -> tuple[int, int]:
    head, *flaws = word.split("+")
    return _BADNESS.get(head, 0), len(flaws)


def _told(word: str) -> str:
    """A word of a baseline for people."""
    head, *flaws = word.split("+")
    if head.isdecimal():
        told = gettext("answered after %(time)s", time=_ms(int(head)))
    elif head == "unsent":
        told = gettext("not sent")
    else:
        known: dict[str, Fate] = {"lost": "lost", "dead_lettered": "dead_lettered", "pending": "pending"}
        told = fate_words(known[head]) if head in known else one_line(head)
    words = {"twice": gettext("twice"), "order": gettext("out of order")}
    return gettext(", ").join([told, *(words.get(flaw, flaw) for flaw in flaws)])


def replay_checks(result: ReplayResult) -> list[Check]:
    """What the queue promises, and every outcome on record."""
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
        detail = translated_prose(one_line(phones.hide(one["detail"])))
        group = f"{one_line(one['recording'])}: {one_line(one['system'])}"
        checks.append(Check(group, cut(detail.split(":")[0], ID_LENGTH_MAX), one["held"], cut(detail, 300)))
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


def overall_changes(
    before: BaselineReplay, after: BaselineReplay, figures: Sequence[Figures]
) -> Iterator[Change]:
    """How each system's reply times went over all recordings; nothing where those are not the same on both sides."""
    if before["digests"] != after["digests"] or _by_key(before).keys() != _by_key(after).keys():
        return
    words = {
        "wait_p50_ms": gettext("message to reply, p50"),
        "wait_p95_ms": gettext("message to reply, p95"),
        "wait_max_ms": gettext("message to reply, max"),
    }
    for one in figures:
        for name, subject in words.items():
            old, new = one.values[name]
            if old is None or new is None or old == new:
                continue
            level = EXACT_TIME.level(old, new - old) or "changed"
            yield Change(level, gettext("all recordings"), one.name, subject, _ms(int(old)), _now(old, new))


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
        for name, share in _SHARES.items():
            values[name] = Quantile(share).of(times[system]) if system in times else None
        values["lag_max_ms"] = longest.get(system)
    return found


_SHARES = {"wait_p50_ms": 0.5, "wait_p95_ms": 0.95, "wait_max_ms": 1.0}


def _reply_times(runs: Iterable[BaselineRun]) -> pd.DataFrame:
    rows = [
        (run["system"], int(head))
        for run in runs
        for line in run["messages"]
        for word in line.split()
        if (head := word.split("+")[0]).isdecimal()
    ]
    return pd.DataFrame(rows, columns=["system", "ms"]).astype({"ms": float})
