"""Compares two replays of a recording message by message: which one fared otherwise, and how long each waited."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from reports.analysis.conversations import cause_of
from reports.analysis.statistics import Quantile
from reports.compare.comparison import LEVELS, Change, Level
from reports.compare.thresholds import EXACT_TIME
from reports.results.baseline import BaselineRun
from reports.results.files import ResultError
from reports.results.replay import Fate, RecordingInfo, Run
from reports.text import Phones, cut, one_line
from reports.words.causes import cause_words
from reports.words.codes import fate_words
from reports.words.figures import quantile_of, relative
from reports.words.language import gettext

ID_LENGTH_MAX = 60
QUANTILES: Mapping[str, float] = {"p50": 0.5, "p95": 0.95, "max": 1.0}
_BADNESS: Mapping[str, int] = {"answered": 0, "unsent": 1, "dead_lettered": 2, "pending": 3, "lost": 4}


def paired_messages(before: BaselineRun, after: BaselineRun) -> pd.DataFrame:
    """What became of each message on both sides: `place` and `number`, `before` and `after` as words of a baseline.

    `place` is that of its conversation in the recording, `number` its own in the conversation; both count from 1.

    Raises:
        ResultError: the two hold different messages.
    """
    old, new = _words(before), _words(after)
    if not old[["place", "number"]].equals(new[["place", "number"]]):
        raise ResultError(
            gettext(
                "the baseline has other messages of %(recording)s on %(system)s than the recording: make it again",
                recording=cut(one_line(after["recording"]), ID_LENGTH_MAX),
                system=cut(one_line(after["system"]), ID_LENGTH_MAX),
            )
        )
    return old.rename(columns={"word": "before"}).assign(after=new["word"])


def _words(run: BaselineRun) -> pd.DataFrame:
    rows = [
        (place, number, word)
        for place, line in enumerate(run["messages"], 1)
        for number, word in enumerate(line.split(), 1)
    ]
    return pd.DataFrame(rows, columns=["place", "number", "word"])


def waits_ms(words: pd.Series[str]) -> pd.Series[float]:
    """How long each message waited for its reply, in ms; nothing for one that has none."""
    heads = words.str.partition("+")[0] if len(words) else words
    return pd.to_numeric(heads, errors="coerce").astype(float)


def wait_changes(
    messages: pd.DataFrame, recording: str, system: str, *, are_all_compared: bool = True
) -> Iterator[Change]:
    """How the waits of the messages that were answered on both sides changed, as quantiles.

    Waits of all that were answered would fall when the slow ones are lost. Where not the same messages were answered
    on both sides, or `are_all_compared` is not so, the words say that it is of some. Nothing gets better where messages
    are no longer answered: the others may have been spared a wait for them.
    """
    old, new = waits_ms(messages["before"]), waits_ms(messages["after"])
    both = old.notna() & new.notna()
    if not both.any():
        return
    is_whole = are_all_compared and old.notna().equals(new.notna())
    is_fewer = bool((old.notna() & new.isna()).any())
    words = (
        gettext("message to reply") if is_whole else gettext("message to reply, where answered both times")
    )
    for name, share in QUANTILES.items():
        one, other = (Quantile(share).of(np.asarray(side[both], dtype=np.float64)) for side in (old, new))
        if one != other:
            level = EXACT_TIME.level(one, other - one) or "changed"
            if level == "better" and is_fewer:
                level = "changed"
            yield Change(
                level, recording, system, quantile_of(words, name), exact_ms(one), now_ms(one, other)
            )


def message_changes(messages: pd.DataFrame, run: Run, recording: RecordingInfo) -> list[Change]:
    """Each of the paired messages that fared otherwise, the worst first."""
    differing = messages[messages["before"] != messages["after"]]
    if differing.empty:
        return []
    names = _Names(run, recording)
    columns = (differing[name].tolist() for name in ("place", "number", "before", "after"))
    found = [names.change(*row) for row in zip(*columns, strict=True)]
    return sorted(found, key=lambda one: LEVELS.index(one.level))


def exact_ms(time_ms: float | None) -> str:
    """Exactly: in other units a millisecond would not be seen."""
    return gettext("none") if time_ms is None else gettext("%(number)s ms", number=f"{int(time_ms):,}")


def now_ms(old: float | None, new: float | None) -> str:
    """The new time, and how much more or less it is."""
    change = relative(old, new)
    return exact_ms(new) + (f" ({change})" if change else "")


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
        if _head(after) == "lost" and entry is not None:
            numbers = {name: place for place, name in enumerate(ids, 1)}
            cause = cause_words(cause_of(self._run, entry), self._run["system"], [number], numbers)
        was_answered = _badness(before)[0] == _BADNESS["answered"]
        return Change(
            _message_level(before, after),
            self._run["recording"],
            self._run["system"],
            subject,
            _told(before),
            _told(after),
            cause,
            topic="loss" if _head(after) == "lost" and was_answered else "fate",
        )


def _message_level(before: str, after: str) -> Level:
    old, new = _badness(before), _badness(after)
    if old == new:
        return "changed"
    return "worse" if new > old else "better"


def _head(word: str) -> str:
    return word.partition("+")[0]


def _badness(word: str) -> tuple[int, int]:
    head, *flaws = word.split("+")
    return _BADNESS.get(head, 0), len(flaws)


def _told(word: str) -> str:
    """A word of a baseline for people."""
    head, *flaws = word.split("+")
    if head.isdecimal():
        told = gettext("answered after %(time)s", time=exact_ms(int(head)))
    elif head == "unsent":
        told = gettext("not sent")
    else:
        known: dict[str, Fate] = {"lost": "lost", "dead_lettered": "dead_lettered", "pending": "pending"}
        told = fate_words(known[head]) if head in known else one_line(head)
    words = {"twice": gettext("twice"), "order": gettext("out of order")}
    parts: Sequence[str] = [told, *(words.get(flaw, flaw) for flaw in flaws)]
    return gettext(", ").join(parts)
