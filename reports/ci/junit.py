"""A comparison as JUnit XML, which CI servers read: a test case for each check, each run and each figure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from reports.compare.comparison import Change, Check, Comparison, Effect
from reports.text import cut, one_line, printable
from reports.words.figures import in_unit
from reports.words.language import gettext, ngettext

LINES_MAX = 200
"""Maximum number of differences listed in one failure."""
NAME_LENGTH_MAX = 200
LINE_LENGTH_MAX = 1000
_OUTCOMES: dict[bool | None, Literal["passed", "failed", "skipped"]] = {
    True: "passed",
    False: "failed",
    None: "skipped",
}


@dataclass(frozen=True, slots=True)
class Case:
    """One test case; `details` is the body of a failure."""

    group: str
    name: str
    outcome: Literal["passed", "failed", "skipped"]
    message: str = ""
    details: str = ""


def junit_xml(comparison: Comparison) -> str:
    """Return the document. It has no times and no host, so equal comparisons give equal bytes.

    It has at least one test case, since CI servers treat a file without test cases as a failed run.
    """
    suites: dict[str, list[Case]] = {
        gettext("expectations and thresholds"): [_check_case(check) for check in comparison.checks],
        gettext("differences"): list(_change_cases(comparison.changes)),
        gettext("intervals"): [_effect_case(effect) for effect in comparison.effects],
    }
    if not any(suites.values()):
        name = gettext("comparison")
        suites = {name: [Case(name, str(comparison.verdict), "passed")]}
    root = Element("testsuites", name="burstqueue regression")
    for name, cases in suites.items():
        if cases:
            _add_suite(root, name, cases)
    _count(root, [case for cases in suites.values() for case in cases])
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _check_case(check: Check) -> Case:
    return Case(check.group, check.name, _OUTCOMES[check.ok], check.detail, check.detail)


def _change_cases(changes: Sequence[Change]) -> Iterator[Case]:
    """Make a case for each recording and system with a difference; it fails when something is worse."""
    grouped: dict[tuple[str, str], list[Change]] = {}
    for change in changes:
        grouped.setdefault((change.recording, change.system), []).append(change)
    for (recording, system), group in grouped.items():
        worse = sum(change.level == "worse" for change in group)
        lines = [_line(change) for change in group[:LINES_MAX]]
        if len(group) > LINES_MAX:
            lines.append(gettext("and %(num)s more", num=len(group) - LINES_MAX))
        message = ngettext("%(num)s worse", "%(num)s worse", worse)
        yield Case(recording, system, "failed" if worse else "passed", message, "\n".join(lines))


def _line(change: Change) -> str:
    cause = f" ({change.cause})" if change.cause else ""
    line = f"{change.level}: {change.subject}: {change.before} → {change.after}{cause}"
    return cut(one_line(line), LINE_LENGTH_MAX)


def _effect_case(effect: Effect) -> Case:
    details = gettext(
        "%(before)s → %(after)s, difference from %(low)s to %(high)s",
        before=in_unit(effect.before, effect.unit),
        after=in_unit(effect.after, effect.unit),
        low=in_unit(effect.low, effect.unit),
        high=in_unit(effect.high, effect.unit),
    )
    return Case(
        effect.group, effect.name, "failed" if effect.level == "worse" else "passed", details, details
    )


def _add_suite(root: Element, title: str, cases: list[Case]) -> None:
    suite = SubElement(root, "testsuite", name=title)
    _count(suite, cases)
    taken = Counter[tuple[str, str]]()
    for case in cases:
        group, name = _clean(case.group), _clean(case.name)
        taken[group, name] += 1
        if taken[group, name] > 1:
            name = f"{name} ({taken[group, name]})"
        element = SubElement(suite, "testcase", classname=group, name=name, time="0")
        if case.outcome == "failed":
            failure = SubElement(element, "failure", message=_clean(case.message), type="regression")
            failure.text = printable(case.details)
        elif case.outcome == "skipped":
            SubElement(element, "skipped", message=_clean(case.message))


def _count(element: Element, cases: list[Case]) -> None:
    element.set("tests", str(len(cases)))
    element.set("failures", str(sum(case.outcome == "failed" for case in cases)))
    element.set("errors", "0")
    element.set("skipped", str(sum(case.outcome == "skipped" for case in cases)))
    element.set("time", "0")


def _clean(text: str) -> str:
    return cut(one_line(text), NAME_LENGTH_MAX) or "-"
