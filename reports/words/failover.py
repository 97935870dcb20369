"""Words for runs under failovers: what struck the servers, what was set, what broke a promise."""

from __future__ import annotations

from collections.abc import Sequence

from reports.results.failover import (
    OTHERS_PAUSE_MS_MAX,
    RESUMED_MS_MAX,
    BrokenPromise,
    FailoverCase,
    FailoverResult,
    FailoverRow,
    broken_promises,
    promises_no_loss,
)
from reports.words.language import gettext, marked, ngettext
from reports.words.numbers import duration
from reports.words.verdicts import Verdict

_CASES: dict[FailoverCase, str] = {
    "steady": marked("Nothing fails"),
    "primary_killed": marked("A primary is killed and comes back as a replica"),
    "slots_moved": marked("Slots move to another node, one of them slowly"),
    "failovers": marked("Failover by command"),
    "primary_frozen": marked("A primary freezes for several seconds"),
    "all_down": marked("All servers are killed and come back after several seconds"),
    "links_cut_and_killed": marked("The links to the replicas break, then the primary is killed"),
    "newest_replica_away": marked("The replica with the newest data freezes, then the primary is killed"),
}
_BROKEN_PROMISES: dict[BrokenPromise, str] = {
    "lost": marked("acknowledged messages were lost"),
    "twice": marked("messages were answered twice although Redis lost nothing"),
    "dead": marked("messages became dead letters"),
    "waiting": marked("messages still waited at the end"),
    "other_errors": marked("callers got errors other than “unavailable”"),
    "died": marked("a worker died"),
    "others_paused": marked("a server that no fault struck paused for over %(time)s"),
    "slow": marked("traffic came later than %(time)s after the election of a primary"),
}
_LIMITS_MS: dict[BrokenPromise, int] = {"others_paused": OTHERS_PAUSE_MS_MAX, "slow": RESUMED_MS_MAX}


def case_words(case: FailoverCase) -> str:
    """Say what struck the servers."""
    return gettext(_CASES[case])


def settings_words(row: FailoverRow) -> list[str]:
    """Say what was set, in a few words each."""
    words = [gettext("cluster") if row["deployment"] == "cluster" else gettext("Sentinel")]
    if row["through_intake"]:
        words.append(gettext("through Intake"))
    words.append(
        gettext(
            "waits for %(count)s of %(replicas)s replicas",
            count=row["wait_for_replicas"],
            replicas=row["replicas"],
        )
    )
    if row["min_replicas"]:
        words.append(f"min-replicas-to-write {row['min_replicas']}")
    return words


def broken_promise_words(row: FailoverRow) -> list[str]:
    """Say which promises the row broke."""
    return [_promise_words(promise) for promise in broken_promises(row)]


def _promise_words(promise: BrokenPromise) -> str:
    if limit_ms := _LIMITS_MS.get(promise):
        return gettext(_BROKEN_PROMISES[promise], time=duration(limit_ms))
    return gettext(_BROKEN_PROMISES[promise])


def failover_verdict(result: FailoverResult) -> Verdict:
    """Sum up all rows."""
    rows = result["rows"]
    broken = [row for row in rows if broken_promises(row)]
    if broken:
        words = dict.fromkeys(promise for row in broken for promise in broken_promise_words(row))
        return Verdict(
            ngettext("%(num)s run broke a promise", "%(num)s runs broke a promise", len(broken)),
            gettext("; ").join(words) + ".",
        )
    safe = [row for row in rows if promises_no_loss(row)]
    others = [row for row in rows if row not in safe]
    if not safe:
        lost = sum(row["lost"] for row in others)
        return Verdict(
            gettext("The queue waited for enough replicas in no run"),
            ngettext("the runs lost %(num)s message.", "the runs lost %(num)s messages.", lost),
        )
    return Verdict(
        gettext(
            "No message was lost where the queue waited for enough replicas (runs: %(runs)s)", runs=len(safe)
        ),
        _rest(safe, others),
    )


def _rest(safe: Sequence[FailoverRow], others: Sequence[FailoverRow]) -> str:
    answered = sum(row["acknowledged"] for row in safe)
    sentence = ngettext(
        "%(num)s message was acknowledged in these runs.",
        "%(num)s messages were acknowledged in these runs.",
        answered,
    )
    return f"{sentence} {_lost(others)}" if others else sentence


def _lost(rows: Sequence[FailoverRow]) -> str:
    return ngettext(
        "The runs in which the queue did not wait for enough replicas lost %(num)s message.",
        "The runs in which the queue did not wait for enough replicas lost %(num)s messages.",
        sum(row["lost"] for row in rows),
    )
