"""Validations in words: the trials, their outcomes, and the sentence that sums them up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reports.results.validation import (
    CountName,
    RunProblem,
    Trial,
    TrialName,
    TrialVerdict,
    ValidationResult,
)
from reports.words.language import gettext, marked, ngettext
from reports.words.numbers import duration
from reports.words.verdicts import Verdict

_TRIALS: Mapping[TrialName, tuple[str, str]] = {
    "steady": (marked("steady"), marked("Single messages at random moments, each from a new user")),
    "bursts": (marked("bursts"), marked("Messages as people write them, several in a row")),
    "storm": (marked("storm"), marked("Storms of 100 messages of 8 users in 10 s; one begins every 5 s")),
    "legacy": (marked("legacy buffer"), marked("The bursts on the legacy buffer, which loses messages")),
    "redis-away": (
        marked("Redis away"),
        marked("Steady messages; Redis is killed, and starts again on its data"),
    ),
    "ai-fails": (marked("AI failing"), marked("Steady messages; the AI answers with errors for some time")),
}
_VERDICTS: Mapping[TrialVerdict, str] = {
    "within": marked("✓ agrees"),
    "curves_differ": marked("✗ curves differ"),
    "counts_differ": marked("✗ counts differ"),
    "invalid": marked("not valid"),
}
_COUNTS: Mapping[CountName, str] = {
    "lost": marked("lost"),
    "twice": marked("answered twice"),
    "dead": marked("dead letters"),
}
_PROBLEMS: Mapping[RunProblem, str] = {
    "generator_late": marked("the load generator was behind its schedule"),
    "fault_missing": marked("the fault did not happen as planned"),
    "no_reply": marked("no message was answered"),
}


def trial_name(name: TrialName) -> str:
    """Name a trial."""
    return gettext(_TRIALS[name][0])


def trial_meaning(name: TrialName) -> str:
    """Say what is sent to what in a trial."""
    return gettext(_TRIALS[name][1])


def trial_outcome(trial: Trial) -> str:
    """Say how a trial ended."""
    return gettext(_VERDICTS[trial["verdict"]])


def count_name(name: CountName) -> str:
    """Name a count."""
    return gettext(_COUNTS[name])


def problem_words(trial: Trial) -> list[str]:
    """Say for each live run why it was not the planned one."""
    return [
        gettext("live %(number)s: %(problem)s", number=number, problem=gettext(_PROBLEMS[problem]))
        for number, run in enumerate(trial["live"], 1)
        for problem in run["problems"]
    ]


def delay_words(trial: Trial) -> str:
    """Say which delays were measured in the live runs; "" if none were."""
    known = [run["delays_ms"] for run in trial["live"] if run["delays_ms"] is not None]
    if not known:
        return ""
    return gettext(
        "Measured delays, median of each live run: a webhook's way to the server: %(webhook)s; from the claim of a "
        "turn to its reply, without the AI's own time: %(ai)s.",
        webhook=gettext(", ").join(duration(each["webhook"]) for each in known),
        ai=gettext(", ").join(duration(each["ai"]) for each in known),
    )


def validation_verdict(result: ValidationResult) -> Verdict:
    """Sum up a validation: first the trials that say nothing, or in which the simulator differs."""
    trials = result["trials"]
    invalid = [trial["name"] for trial in trials if trial["verdict"] == "invalid"]
    differing = [trial["name"] for trial in trials if trial["verdict"] in ("curves_differ", "counts_differ")]
    agreeing = len(trials) - len(invalid) - len(differing)
    parts = []
    if differing:
        parts.append(
            ngettext(
                "The simulator differs from the deployment in %(num)s of %(all)s trials: %(names)s",
                "The simulator differs from the deployment in %(num)s of %(all)s trials: %(names)s",
                len(differing),
                all=len(trials),
                names=_listed(differing),
            )
        )
    if invalid:
        parts.append(
            ngettext(
                "%(num)s trial is not valid: %(names)s",
                "%(num)s trials are not valid: %(names)s",
                len(invalid),
                names=_listed(invalid),
            )
        )
    if not parts:
        return Verdict(
            ngettext(
                "The simulator agrees with the deployment in %(num)s trial.",
                "The simulator agrees with the deployment in all %(num)s trials.",
                len(trials),
            )
        )
    if agreeing:
        parts.append(ngettext("%(num)s trial agrees", "%(num)s trials agree", agreeing))
    first, *rest = parts
    return Verdict(first, gettext("; ").join(rest) + ".") if rest else Verdict(first + ".")


def _listed(names: Sequence[TrialName]) -> str:
    return gettext(", ").join(trial_name(name) for name in names)
