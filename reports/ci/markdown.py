"""Summary of a comparison in Markdown, for a CI server's page: the verdict first, and at most LINES_MAX lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from reports.compare.comparison import Change, Check, Comparison, Effect
from reports.text import cut, one_line
from reports.words.figures import figure_name, in_unit, relative, unit_of
from reports.words.language import gettext, ngettext

LINES_MAX = 59
ROWS_MAX = 5
NOTES_MAX = 4
CELL_LENGTH_MAX = 160
_SPECIAL = re.compile(r"[\\`*_{}\[\]|<>&~$]|:(?=//)|w(?=ww\.)", re.IGNORECASE)
_MENTION = re.compile(r"[@#]|\bgh-(?=\d)", re.IGNORECASE)
_LIST_OR_RULE = re.compile(r"(?:[-+]|\d+[.)])(?:\s|$)|--")
_WORD_JOINER = "\u2060"


def markdown_summary(comparison: Comparison) -> str:
    """Return the summary. Text of a result cannot become a link, a mention, a picture or HTML in it.

    No line begins with such text either, since CI servers obey lines that begin with a command.
    """
    sign = "❌" if comparison.is_worse else "✅"
    lines = [f"## {sign} {_plain(str(comparison.verdict), 400)}", ""]
    lines += _notes(comparison.notes)
    lines += _table(
        gettext("What is worse"),
        (
            gettext("Recording"),
            gettext("System"),
            gettext("What"),
            gettext("Before"),
            gettext("Now"),
            gettext("Why"),
        ),
        [_change_row(change) for change in comparison.changes if change.level == "worse"],
    )
    lines += _table(
        gettext("Figures that are worse"),
        (gettext("Where"), gettext("Figure"), gettext("Before"), gettext("Now"), gettext("Change")),
        [_effect_row(effect) for effect in comparison.effects if effect.level == "worse"],
    )
    lines += _table(
        gettext("What failed"),
        (gettext("Where"), gettext("What"), gettext("Detail")),
        [_check_row(check) for check in comparison.checks if check.ok is False],
    )
    lines += _table(
        gettext("Figures that changed"),
        (gettext("System"), gettext("Figure"), gettext("Before"), gettext("Now"), gettext("Change")),
        list(_figure_rows(comparison)),
    )
    lines += _counts(comparison)
    return "\n".join(lines[:LINES_MAX]) + "\n"


def _notes(notes: Sequence[str]) -> list[str]:
    shown = notes if len(notes) <= NOTES_MAX else notes[: NOTES_MAX - 1]
    lines = [f"- {_plain(note)}" for note in shown]
    return lines + [f"- {_more(len(notes) - len(shown))}"] * (len(shown) < len(notes))


def _more(number: int) -> str:
    return ngettext("%(num)s more is in the report.", "%(num)s more are in the report.", number)


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    lines = ["", f"### {title}", "", f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)]
    lines += [f"| {' | '.join(map(_plain, row))} |" for row in rows[:ROWS_MAX]]
    if len(rows) > ROWS_MAX:
        lines += ["", _more(len(rows) - ROWS_MAX)]
    return lines


def _change_row(change: Change) -> tuple[str, ...]:
    return change.recording, change.system, change.subject, change.before, change.after, change.cause


def _effect_row(effect: Effect) -> tuple[str, ...]:
    before, after = in_unit(effect.before, effect.unit), in_unit(effect.after, effect.unit)
    return effect.group, effect.name, before, after, relative(effect.before, effect.after)


def _check_row(check: Check) -> tuple[str, ...]:
    return check.group, check.name, check.detail


def _figure_rows(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    for figures in comparison.figures:
        for name, (before, after) in figures.values.items():
            if before != after:
                unit = unit_of(name)
                cells = in_unit(before, unit), in_unit(after, unit), relative(before, after)
                yield figures.name, figure_name(name), *cells


def _counts(comparison: Comparison) -> list[str]:
    outcomes = Counter(check.ok for check in comparison.checks)
    return [
        "",
        gettext(
            "Checks: %(passed)s passed, %(failed)s failed, %(unchecked)s not made; "
            "%(effects)s figures compared by their intervals; %(changes)s exact differences.",
            passed=outcomes[True],
            failed=outcomes[False],
            unchecked=outcomes[None],
            effects=len(comparison.effects),
            changes=f"{len(comparison.changes):,}",
        ),
    ]


def _plain(text: str, length: int = CELL_LENGTH_MAX) -> str:
    """Escape a text, so that it cannot be markup, a link, a mention or an issue number in Markdown."""
    shown = cut(one_line(text), length)
    if _LIST_OR_RULE.match(shown):
        shown = "\0" + shown
    shown = _MENTION.sub(lambda match: match[0] + "\0", shown)
    escaped = _SPECIAL.sub(lambda match: f"&#{ord(match[0])};", shown)
    return escaped.replace("\0", _WORD_JOINER)
