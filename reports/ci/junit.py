"""A comparison as JUnit XML, which CI servers read: one test case for each thing that had to hold or was compared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from reports.compare.comparison import Change, Check, Comparison, Effect
from reports.text import cut, printable
from reports.words.figures import in_unit
from reports.words.language import gettext, ngettext

LINES_MAX = 200
"""Differences that are listed in one failure."""
NAME_LENGTH_MAX = 200
LINE_LENGTH_MAX = 1000
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Case:
    """One test case; `details` is the body of a failure."""

    group: str
    name: str
    outcome: Literal["passed", "failed", "skipped"]
    message: str = ""
    details: str = ""


def junit_xml(comparison: Comparison) -> str:
    """The document. It has no time and no host, so that equal comparisons give equal bytes.

    There is at least one test case: CI servers take a file without any for a run that failed to report.
    """
    suites: dict[str, list[Case]] = {
        "expectations and thresholds": [_check_case(one) for one in comparison.checks],
        "differences": list(_change_cases(comparison.changes)),
        "effects": [_effect_case(one) for one in comparison.effects],
    }
    if not any(suites.values()):
        suites = {"comparison": [Case("comparison", str(comparison.verdict), "passed")]}
    root = Element("testsuites", name="burstqueue regression")
    for name, cases in suites.items():
        if cases:
            _add_suite(root, name, cases)
    _count(root, [case for cases in suites.values() for case in cases])
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _check_case(check: Check) -> Case:
    outcome: dict[bool | None, Literal["passed", "failed", "skipped"]] = {
        True: "passed",
        False: "failed",
        None: "skipped",
    }
    return Case(check.group, check.name, outcome[check.ok], check.detail, check.detail)


def _change_cases(changes: Sequence[Change]) -> Iterator[Case]:
    """One case for each recording and system with a difference, which fails when something got worse."""
    grouped: dict[tuple[str, str], list[Change]] = {}
    for one in changes:
        grouped.setdefault((one.recording, one.system), []).append(one)
    for (recording, system), own in grouped.items():
        worse = [one for one in own if one.level == "worse"]
        lines = [_line(one) for one in own[:LINES_MAX]]
        if len(own) > LINES_MAX:
            lines.append(gettext("and %(num)s more", num=len(own) - LINES_MAX))
        message = ngettext(
            "%(num)s difference for the worse", "%(num)s differences for the worse", len(worse)
        )
        yield Case(recording, system, "failed" if worse else "passed", message, "\n".join(lines))


def _line(change: Change) -> str:
    cause = f" ({change.cause})" if change.cause else ""
    told = f"{change.level}: {change.subject}: {change.before} → {change.after}{cause}"
    return cut(_unbroken(told), LINE_LENGTH_MAX)


def _effect_case(effect: Effect) -> Case:
    told = gettext(
        "%(before)s → %(after)s, difference from %(low)s to %(high)s",
        before=in_unit(effect.before, effect.unit),
        after=in_unit(effect.after, effect.unit),
        low=in_unit(effect.low, effect.unit),
        high=in_unit(effect.high, effect.unit),
    )
    return Case(effect.group, effect.name, "failed" if effect.level == "worse" else "passed", told, told)


def _add_suite(root: Element, name: str, cases: list[Case]) -> None:
    suite = SubElement(root, "testsuite", name=name)
    _count(suite, cases)
    taken: dict[tuple[str, str], int] = {}
    for case in cases:
        key = _clean(case.group), _clean(case.name)
        taken[key] = taken.get(key, 0) + 1
        shown = key[1] if taken[key] == 1 else f"{key[1]} ({taken[key]})"
        element = SubElement(suite, "testcase", classname=key[0], name=shown, time="0")
        if case.outcome == "failed":
            failure = SubElement(element, "failure", message=_clean(case.message), type="regression")
            failure.text = _FORBIDDEN.sub("\ufffd", printable(case.details))
        elif case.outcome == "skipped":
            SubElement(element, "skipped", message=_clean(case.message))


def _count(element: Element, cases: list[Case]) -> None:
    element.set("tests", str(len(cases)))
    element.set("failures", str(sum(case.outcome == "failed" for case in cases)))
    element.set("errors", "0")
    element.set("skipped", str(sum(case.outcome == "skipped" for case in cases)))
    element.set("time", "0")


def _clean(text: str) -> str:
    return cut(_FORBIDDEN.sub("\ufffd", _unbroken(text)), NAME_LENGTH_MAX) or "-"


def _unbroken(text: str) -> str:
    return printable(text).replace("\n", " ")
