"""What the page of a comparison shows: everything chosen, cut and counted, nothing yet drawn or escaped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

from reports.compare.comparison import Change, Check, Comparison, Effect, Figures, Level, Origin
from reports.drawing.plots import Plot
from reports.pages.csv_links import CsvLink
from reports.pages.regression.downloads import regression_downloads
from reports.text import cut, with_units
from reports.words.figures import figure_name, in_unit, quantile_of, relative, unit_of
from reports.words.language import gettext, ngettext
from reports.words.numbers import MINUS, share, signed

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Row = TypeVar("_Row", bound="DataclassInstance")

ROWS_OPEN_MAX = 30
"""So many rows of differences stand open; the rest is folded."""
WORSE_BYTES_MAX = 140_000
LIST_BYTES_MAX = 50_000
"""Bytes that a table may take of the page; what is worse may take more."""
ROW_BYTES = 300
"""About what the markup of a row takes."""
EFFECT_BYTES = 1000
NOTES_MAX = 40
TEXT_LENGTH_MAX = 200
BAR_PX = 160
"""Width of an interval's drawing; its middle is no change."""


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One difference, in words."""

    recording: str
    system: str
    subject: str
    before: str
    after: str
    cause: str


@dataclass(frozen=True, slots=True)
class ChangeList:
    """Differences of one level; `left_out` are counted only."""

    rows: Sequence[ChangeRow]
    number: int

    @property
    def left_out(self) -> int:
        """How many are not shown."""
        return self.number - len(self.rows)


@dataclass(frozen=True, slots=True)
class Bar:
    """An interval drawn around no change: its ends, its middle, and the band of what does not count; in px."""

    left: float
    width: float
    at: float
    band_left: float
    band_width: float


@dataclass(frozen=True, slots=True)
class EffectRow:
    """One figure that was compared by its interval; `place` is empty where there is but one."""

    name: str
    place: str
    before: str
    after: str
    relative: str
    interval: str
    delta: str
    threshold: str
    samples: str
    kind: str
    outcome: str
    bar: Bar


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One figure of one system on both sides."""

    system: str
    name: str
    before: str
    after: str
    relative: str
    kind: str


@dataclass(frozen=True, slots=True)
class FigureGroup:
    """One system's figures."""

    system: str
    rows: Sequence[FigureRow]


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting on both sides."""

    name: str
    before: str
    after: str
    differs: bool


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One thing that had to hold."""

    group: str
    name: str
    detail: str
    kind: str
    flag: str


@dataclass(frozen=True, slots=True)
class RegressionPage:
    """The whole page."""

    state: str
    verdict_first: str
    verdict_rest: str
    short_verdict: str
    description: str
    kind: str
    notes: Sequence[str]
    worse: ChangeList
    better: ChangeList
    changed: ChangeList
    broken: Sequence[CheckRow]
    held: Sequence[CheckRow]
    checks: int
    broken_number: int
    held_number: int
    moved_number: int
    unmoved_number: int
    figures: Sequence[FigureGroup]
    effects: Sequence[EffectRow]
    unmoved: Sequence[EffectRow]
    confidence: str
    trend: Sequence[Plot]
    downloads: Sequence[tuple[str, CsvLink]]
    settings: Sequence[SettingRow]
    commands: tuple[str, str]
    bar_px: int = BAR_PX
    rows_open: int = ROWS_OPEN_MAX


def regression_page_of(comparison: Comparison, trend: Sequence[Plot]) -> RegressionPage:
    """The page that shows `comparison`."""
    verdict = comparison.verdict
    effect_row = partial(_effect_row, is_replay=comparison.kind == "replay")
    broken = [one for one in comparison.checks if one.ok is False]
    others = [one for one in comparison.checks if one.ok is not False]
    moved = [one for one in comparison.effects if one.level != "same"]
    still = [one for one in comparison.effects if one.level == "same"]
    return RegressionPage(
        state="bad" if comparison.is_worse else "ok",
        verdict_first=_words(verdict.first, 400),
        verdict_rest=_words(verdict.rest, 400),
        short_verdict=_words(verdict.first, 120),
        description=_words(str(verdict), 300),
        kind=gettext("replay") if comparison.kind == "replay" else gettext("load test"),
        notes=[cut(with_units(note), TEXT_LENGTH_MAX) for note in comparison.notes[:NOTES_MAX]],
        worse=_list(comparison, "worse", WORSE_BYTES_MAX),
        better=_list(comparison, "better", LIST_BYTES_MAX),
        changed=_list(comparison, "changed", LIST_BYTES_MAX),
        broken=_fitting(map(_check_row, broken), LIST_BYTES_MAX),
        held=_fitting(map(_check_row, others), LIST_BYTES_MAX),
        checks=len(comparison.checks),
        broken_number=len(broken),
        held_number=len(others),
        moved_number=len(moved),
        unmoved_number=len(still),
        figures=list(_figure_groups(comparison.figures)),
        effects=_fitting(map(effect_row, moved), LIST_BYTES_MAX, EFFECT_BYTES),
        unmoved=_fitting(map(effect_row, still), LIST_BYTES_MAX, EFFECT_BYTES),
        confidence=share(comparison.effects[0].confidence) if comparison.effects else "",
        trend=trend,
        downloads=regression_downloads(comparison),
        settings=list(_setting_rows(comparison.before, comparison.after)),
        commands=(_words(comparison.before.command, 1000), _words(comparison.after.command, 1000)),
    )


def _words(text: str, length: int = TEXT_LENGTH_MAX) -> str:
    return cut(with_units(text), length)


def _list(comparison: Comparison, level: Level, bytes_max: int) -> ChangeList:
    own = [one for one in comparison.changes if one.level == level]
    return ChangeList(_fitting(map(_change_row, own), bytes_max), len(own))


def _fitting(rows: Iterable[_Row], bytes_max: int, row_bytes: int = ROW_BYTES) -> list[_Row]:
    """The first rows, as far as there is room."""
    kept: list[_Row] = []
    for row in rows:
        bytes_max -= row_bytes + sum(
            len(str(getattr(row, one.name)).encode("utf-8", "replace")) for one in fields(row)
        )
        if bytes_max < 0:
            break
        kept.append(row)
    return kept


def _change_row(change: Change) -> ChangeRow:
    return ChangeRow(
        _words(change.recording),
        _words(change.system),
        _words(change.subject),
        _words(change.before),
        _words(change.after),
        _words(change.cause),
    )


def _check_row(check: Check) -> CheckRow:
    kind, flag = {True: ("held", "✓"), False: ("failed", "✗"), None: ("unchecked", "?")}[check.ok]
    return CheckRow(_words(check.group), _words(check.name), _words(check.detail), kind, flag)


def _figure_groups(figures: Sequence[Figures]) -> Iterator[FigureGroup]:
    """Systems of which something changed first, as far as there is room."""
    ordered = sorted(figures, key=lambda one: all(old == new for old, new in one.values.values()))
    rows = _fitting(_figure_rows(ordered), LIST_BYTES_MAX)
    for system, own in groupby(rows, key=lambda row: row.system):
        yield FigureGroup(system, list(own))


def _figure_rows(figures: Sequence[Figures]) -> Iterator[FigureRow]:
    """All figures; which of a change is bad is not for this table to say, for more messages may just have been sent."""
    for one in figures:
        for name, (before, after) in one.values.items():
            unit = unit_of(name)
            yield FigureRow(
                _words(one.name),
                _words(figure_name(name)),
                in_unit(before, unit),
                in_unit(after, unit),
                relative(before, after),
                "" if before == after else "warn",
            )


def _effect_row(effect: Effect, *, is_replay: bool) -> EffectRow:
    kinds = {
        "worse": ("bad", f"✗ {gettext('worse')}"),
        "better": ("ok", f"✓ {gettext('better')}"),
        "changed": ("warn", f"~ {gettext('changed')}"),
        "same": ("zero", f"= {gettext('same')}"),
    }
    kind, outcome = kinds[effect.level]
    return EffectRow(
        name=_words(effect.name if is_replay else quantile_of(effect.group, effect.name)),
        place=_words(effect.group) if is_replay else "",
        before=in_unit(effect.before, effect.unit),
        after=in_unit(effect.after, effect.unit),
        relative=relative(effect.before, effect.after),
        interval=gettext(
            "%(low)s to %(high)s",
            low=in_unit(effect.low, effect.unit),
            high=in_unit(effect.high, effect.unit),
        ),
        delta=signed("+" if effect.delta >= 0 else MINUS, f"{abs(effect.delta):.2f}"),
        threshold=_words(effect.threshold),
        samples=ngettext("%(num)s sample", "%(num)s samples", min(effect.samples)),
        kind=kind,
        outcome=outcome,
        bar=_bar(effect),
    )


def _bar(effect: Effect) -> Bar:
    """Drawn on a scale of the effect's own, on which the interval and the band have room."""
    band = max(abs(effect.before) * effect.relative_min, effect.absolute_min)
    reach = max(abs(effect.low), abs(effect.high), band * 1.2) or 1.0
    middle, scale = BAR_PX / 2, (BAR_PX / 2 - 4) / reach
    left, right = middle + effect.low * scale, middle + effect.high * scale
    return Bar(
        left=left,
        width=max(right - left, 1.5),
        at=middle + effect.difference * scale,
        band_left=middle - band * scale,
        band_width=2 * band * scale,
    )


def _setting_rows(before: Origin, after: Origin) -> Iterator[SettingRow]:
    old, new = dict(before.settings), dict(after.settings)
    yield SettingRow(gettext("seed"), str(before.seed), str(after.seed), before.seed != after.seed)
    for name in list(dict.fromkeys([*old, *new]))[:60]:
        one, other = old.get(name, ""), new.get(name, "")
        yield SettingRow(_words(name.replace("_", " ")), _words(one), _words(other), one != other)
