"""Verdicts: a whole result in one sentence, which begins with the most important part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports.results.replay import ExpectationResult, ReplayResult, Run
from reports.results.sweep import TURNS_NEEDED, SweepResult, SweepRow, is_clean
from reports.results.systems import is_queue, profile_of
from reports.text import cut, one_line
from reports.words.language import gettext, isolated, ngettext
from reports.words.numbers import seconds, share

NAME_LENGTH_MAX = 60


@dataclass(frozen=True, slots=True)
class Verdict:
    """Sentence in two parts, each of which can stand alone; `rest` may be empty."""

    first: str
    rest: str = ""

    def __str__(self) -> str:
        return gettext("; ").join(part for part in (self.first, self.rest) if part)


def replay_verdict(result: ReplayResult) -> Verdict:
    """Sum up a replay: first outcomes that did not match, then each system's losses, then outcomes that matched."""
    by_system: dict[str, list[Run]] = {}
    for run in result["runs"]:
        by_system.setdefault(run["system"], []).append(run)
    parts, expected = _expectations(result["expectations"])
    of_queue = {name: by_system.pop(name) for name in [*by_system] if is_queue(name)}
    for name, runs in sorted(of_queue.items(), key=lambda queue: not _harms(queue[1])):
        parts.append(_queue(name, runs, is_first=not parts))
    if by_system:
        parts.append(_others(by_system))
    parts += expected
    first, *rest = parts or [gettext("Nothing was replayed")]
    return Verdict(first, gettext("; ").join(rest) + ".") if rest else Verdict(first + ".")


def _queue(system: str, runs: Sequence[Run], *, is_first: bool) -> str:
    parts, profile = _harms(runs), profile_of(system)
    if not parts and profile:
        return gettext("%(system)s lost, duplicated and reordered none", system=system)
    if not parts and is_first:
        return gettext("The queue lost, duplicated and reordered none %(of)s", of=_scope(runs))
    if not parts:
        return gettext("the queue lost, duplicated and reordered none %(of)s", of=_scope(runs))
    harms = gettext(" and ").join(parts)
    if profile:
        return gettext(
            "THE QUEUE (%(profile)s) %(harms)s %(of)s", profile=profile, harms=harms, of=_scope(runs)
        )
    return gettext("THE QUEUE %(harms)s %(of)s", harms=harms, of=_scope(runs))


def _harms(runs: Sequence[Run]) -> list[str]:
    counts = {name: sum(len(run[name]) for run in runs) for name in ("lost", "duplicated", "reordered")}
    unfinished = sum(not run["came_to_rest"] for run in runs)
    harms = {
        gettext("lost %(number)s", number=f"{counts['lost']:,}"): counts["lost"],
        gettext("duplicated %(number)s", number=f"{counts['duplicated']:,}"): counts["duplicated"],
        gettext("reordered %(number)s", number=f"{counts['reordered']:,}"): counts["reordered"],
        ngettext(
            "did not finish its work in %(num)s run", "did not finish its work in %(num)s runs", unfinished
        ): unfinished,
    }
    return [words for words, number in harms.items() if number]


def _scope(runs: Sequence[Run]) -> str:
    recordings = len({run["recording"] for run in runs})
    messages = ngettext("of %(num)s message", "of %(num)s messages", sum(run["sent"] for run in runs))
    parts = [f"{messages} {ngettext('in %(num)s recording', 'in %(num)s recordings', recordings)}"]
    if (repeats := len(runs) // recordings) > 1:
        parts.append(ngettext("%(num)s run each", "%(num)s runs each", repeats))
    return gettext(", ").join(parts)


def _others(by_system: Mapping[str, Sequence[Run]]) -> str:
    """Say how much each system lost, with one phrase for all systems that lost nothing."""
    losers = {name: runs for name, runs in by_system.items() if any(run["lost"] for run in runs)}
    parts = [_losses(name, runs) for name, runs in losers.items()]
    if without := [
        isolated(cut(one_line(name), NAME_LENGTH_MAX)) for name in by_system if name not in losers
    ]:
        parts.append(
            gettext("%(systems)s lost none", systems=gettext(" and ").join(_joined_before_and(without)))
        )
    return gettext(", ").join(parts)


def _joined_before_and(names: Sequence[str]) -> list[str]:
    """Join all names but the last by commas, for a list with "and" before the last."""
    return [gettext(", ").join(names[:-1]), names[-1]] if len(names) > 1 else list(names)


def _losses(system: str, runs: Sequence[Run]) -> str:
    sent, lost = sum(run["sent"] for run in runs), sum(len(run["lost"]) for run in runs)
    return gettext(
        "%(system)s lost %(lost)s of %(sent)s (%(share)s)",
        system=cut(one_line(system), NAME_LENGTH_MAX),
        lost=f"{lost:,}",
        sent=f"{sent:,}",
        share=share(lost / sent if sent else 0.0),
    )


def _expectations(results: Sequence[ExpectationResult]) -> tuple[list[str], list[str]]:
    """Describe the expected outcomes that did not match, and the others."""
    held, broken = (sum(result["held"] is value for result in results) for value in (True, False))
    alarm, others = [], []
    if broken:
        alarm.append(
            gettext(
                "%(broken)s OF %(checked)s EXPECTED OUTCOMES DID NOT MATCH",
                broken=f"{broken:,}",
                checked=f"{held + broken:,}",
            )
        )
    elif held:
        others.append(ngettext("the expected outcome matched", "all %(num)s expected outcomes matched", held))
    if unchecked := len(results) - held - broken:
        others.append(
            ngettext(
                "%(num)s expected outcome not checked under these settings",
                "%(num)s expected outcomes not checked under these settings",
                unchecked,
            )
        )
    return alarm, others


def sweep_verdict(result: SweepResult) -> Verdict:
    """Sum up a sweep: the recommended settings with their costs, or the reason why none are recommended."""
    if result["no_recommendation"] == "one_choice":
        return Verdict(
            gettext(
                "Nothing to recommend: there is one choice of settings, and a recommendation compares several"
            ),
            gettext("give more values, such as %(values)s.", values="--window 4s,8s,12s"),
        )
    if result["no_recommendation"] == "few_turns":
        return Verdict(
            ngettext(
                "Too little to recommend settings: %(num)s turn of several messages",
                "Too little to recommend settings: %(num)s turns of several messages",
                result["turns_of_several"],
            ),
            gettext(
                "at least %(least)s are needed: replay longer recordings, or more of them.",
                least=TURNS_NEEDED,
            ),
        )
    if result["recommended"] is None:
        return Verdict(
            gettext("With every choice of settings, the queue harmed messages or did not finish its work"),
            gettext("the table shows what each choice lost, duplicated or reordered."),
        )
    rows = result["rows"]
    row = rows[result["recommended"]]
    sentences = [
        gettext(
            "95 %% of the turns are answered within %(waited)s of their first message, by %(calls)s AI calls for "
            "%(sent)s messages, and in %(split)s of %(turns)s turns the user wrote again before the reply.",
            waited=seconds(f"{(row['first_ms']['p95'] or 0) / 1000:.1f}"),
            calls=f"{row['ai_calls']:,}",
            sent=f"{row['sent']:,}",
            split=f"{row['split_turns']:,}",
            turns=f"{row['turns']:,}",
        )
    ]
    if lossy := sum(not is_clean(choice) for choice in rows):
        sentences.append(
            gettext(
                "%(lossy)s of %(choices)s choices lost, duplicated or reordered something.",
                lossy=lossy,
                choices=len(rows),
            )
        )
    return Verdict(
        gettext(
            "%(choice)s is recommended: the best compromise of waiting, AI calls and split turns",
            choice=_choice(row),
        ),
        " ".join(sentences),
    )


def _choice(row: SweepRow) -> str:
    window, messages = seconds(f"{row['window_ms'] / 1000:g}"), row["max_messages"]
    if not messages:
        silence = [gettext("%(time)s of silence", time=seconds(f"{row['idle_ms'] / 1000:g}"))]
        words = gettext("A window of %(window)s", window=window)
        return gettext(", ").join([words, *silence * bool(row["idle_ms"])])
    if not row["idle_ms"]:
        return gettext("A window of %(window)s and %(messages)s messages", window=window, messages=messages)
    return gettext(
        "A window of %(window)s and %(messages)s messages, %(idle)s of silence",
        window=window,
        messages=messages,
        idle=seconds(f"{row['idle_ms'] / 1000:g}"),
    )
