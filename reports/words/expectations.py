"""Expected outcomes in words: what was expected, and what happened."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from reports.results.replay import ExpectationResult, Outcome, SettingChange
from reports.text import cut, one_line
from reports.words.language import gettext, marked

IDS_MAX = 20
VALUE_LENGTH_MAX = 60
_NAMES: Mapping[Outcome, str] = {
    "lost": marked("lost"),
    "duplicated": marked("duplicated"),
    "reordered": marked("out of order"),
    "dead_lettered": marked("dead-lettered"),
    "logged": marked("log line %(number)s"),
}


def expectation_name(result: ExpectationResult) -> str:
    """Name the expected outcome in a word or two: `lost`, `log line 2`."""
    return gettext(_NAMES[result["outcome"]], number=result.get("line"))


def expectation_words(result: ExpectationResult, hide: Callable[[str], str] = str) -> str:
    """Describe the expected and the actual outcome; `hide` removes phone numbers from ids and fields."""
    name = expectation_name(result)
    if result["held"] is None:
        changes = gettext(", ").join(map(_change, result["changes"]))
        return gettext(
            "%(outcome)s: other settings were used: %(changes)s",
            outcome=name,
            changes=changes,
        )
    words = gettext("%(outcome)s: %(detail)s", outcome=name, detail=_detail(result, hide))
    if result["held"] or "run" not in result:
        return words
    return gettext(
        "%(detail)s (run %(run)s, seed %(seed)s)",
        detail=words,
        run=result["run"],
        seed=result.get("seed", ""),
    )


def _detail(result: ExpectationResult, hide: Callable[[str], str]) -> str:
    if result["outcome"] == "logged":
        pairs = (f"{name} {value}" for name, value in result.get("fields", {}).items())
        fields = ", ".join(cut(one_line(hide(pair)), VALUE_LENGTH_MAX) for pair in pairs)
        if result["held"]:
            return gettext("%(fields)s, as expected", fields=fields)
        return gettext("expected, but never logged: %(fields)s", fields=fields)
    if result["held"]:
        return gettext("%(ids)s, as expected", ids=_listed(result["expected"], hide))
    return gettext(
        "%(ids)s, but expected: %(expected)s",
        ids=_listed(result["actual"], hide),
        expected=_listed(result["expected"], hide),
    )


def _listed(ids: Sequence[str], hide: Callable[[str], str]) -> str:
    """List ids; beyond IDS_MAX they are only counted."""
    shown = ", ".join(cut(one_line(hide(name)), VALUE_LENGTH_MAX) for name in ids[:IDS_MAX])
    if len(ids) > IDS_MAX:
        return gettext("%(ids)s and %(number)s more", ids=shown, number=len(ids) - IDS_MAX)
    return shown or gettext("none")


def _change(change: SettingChange) -> str:
    name, now, then = (
        cut(one_line(_value(change[key])), VALUE_LENGTH_MAX) for key in ("setting", "now", "then")
    )
    if change["setting"] == "fault":
        return gettext("the fault %(fault)s", fault=now)
    return gettext("%(name)s %(now)s instead of %(then)s", name=name, now=now, then=then)


def _value(value: str | float) -> str:
    """Write a value; whole numbers in result files are read as floats, and are written without decimals."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
