"""Contents of the page of a comparison, before rendering."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import accumulate, groupby, takewhile
from typing import TYPE_CHECKING, Generic, TypeVar

from reports.compare.comparison import Change, Check, Comparison, Effect, Figures, Origin
from reports.drawing.plots import Plot
from reports.pages.csv_links import CsvLink
from reports.pages.page import words
from reports.pages.regression.downloads import regression_downloads
from reports.words.figures import figure_name, quantile_of, setting_words, unit_of
from reports.words.language import gettext
from reports.words.numbers import MINUS, share, signed
from reports.words.verdicts import Verdict

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = TypeVar("Row", bound="DataclassInstance")

ROWS_OPEN_MAX = 30
"""Maximum number of rows of differences that are not folded."""
WORSE_BYTES_MAX = 140_000
LIST_BYTES_MAX = 50_000
"""Limit on the size of a table in the page; the table of changes for the worse may be larger."""
ROW_BYTES = 300
"""Approximate size of the markup of a row."""
EFFECT_BYTES = 1300
NOTES_MAX = 40
SETTINGS_MAX = 60
VERDICT_LENGTH_MAX = 400
BAR_PX = 160
"""Width of an interval's drawing; its middle stands for no change."""


@dataclass(frozen=True, slots=True)
class Part(Generic[Row]):
    """First rows of `number` rows, as many as there is room for."""

    rows: Sequence[Row]
    number: int

    @property
    def left_out(self) -> int:
        """Number of rows that are not shown."""
        return self.number - len(self.rows)


@dataclass(frozen=True, slots=True)
class Bar:
    """Drawing of an interval around zero: its ends, its middle, and the band of changes that do not count; in px."""

    left: float
    width: float
    at: float
    band_left: float
    band_width: float


@dataclass(frozen=True, slots=True)
class EffectRow:
    """Figure that was compared by its interval; `group` is empty on the page of a load test."""

    effect: Effect
    name: str
    group: str
    delta: str
    bar: Bar


@dataclass(frozen=True, slots=True)
class FigureRow:
    """Figure of a system on both sides."""

    system: str
    name: str
    unit: str
    before: float | None
    after: float | None


@dataclass(frozen=True, slots=True)
class RegressionPage:
    """Contents of the whole page. `figures` are grouped by system.

    Each of `settings` is a name, its value on each side, and True if both sides name it and differ.
    """

    state: str
    verdict: Verdict
    comparison: Comparison
    heading: str
    worse: Part[Change]
    better: Part[Change]
    changed: Part[Change]
    broken: Part[Check]
    held: Part[Check]
    moved: Part[Effect]
    unmoved: Part[Effect]
    figures: Sequence[tuple[str, Sequence[FigureRow]]]
    confidence: str
    trend: Sequence[Plot]
    downloads: Sequence[tuple[str, CsvLink]]
    settings: Sequence[tuple[str, str, str, bool]]
    notes_max: int = NOTES_MAX
    bar_px: int = BAR_PX
    rows_open: int = ROWS_OPEN_MAX

    def effect_rows(self, effects: Sequence[Effect]) -> list[EffectRow]:
        """Return the rows of a table of effects."""
        return [_effect_row(effect, is_replay=self.comparison.kind == "replay") for effect in effects]


def regression_page_of(comparison: Comparison, trend: Sequence[Plot]) -> RegressionPage:
    """Make the contents of the page that shows `comparison`."""
    verdict = comparison.verdict
    changes, effects, checks = comparison.changes, comparison.effects, comparison.checks
    return RegressionPage(
        state="bad" if comparison.is_worse else "ok",
        verdict=Verdict(words(verdict.first, VERDICT_LENGTH_MAX), words(verdict.rest, VERDICT_LENGTH_MAX)),
        comparison=comparison,
        heading=_heading(comparison),
        worse=_part([change for change in changes if change.level == "worse"], WORSE_BYTES_MAX),
        better=_part([change for change in changes if change.level == "better"]),
        changed=_part([change for change in changes if change.level == "changed"]),
        broken=_part([check for check in checks if check.ok is False]),
        held=_part([check for check in checks if check.ok is not False]),
        moved=_part([effect for effect in effects if effect.level != "same"], row_bytes=EFFECT_BYTES),
        unmoved=_part([effect for effect in effects if effect.level == "same"], row_bytes=EFFECT_BYTES),
        figures=_figure_groups(comparison.figures),
        confidence=share(effects[0].confidence) if effects else "",
        trend=trend,
        downloads=regression_downloads(comparison),
        settings=list(_settings(comparison.before, comparison.after)),
    )


def _heading(comparison: Comparison) -> str:
    is_replay = comparison.kind == "replay"
    if not comparison.before.is_baseline:
        return gettext("Comparison of two replays") if is_replay else gettext("Comparison of two load tests")
    kind = gettext("replay") if is_replay else gettext("load test")
    return gettext("Comparison of a %(kind)s with the baseline", kind=kind)


def _part(rows: Sequence[Row], bytes_max: int = LIST_BYTES_MAX, row_bytes: int = ROW_BYTES) -> Part[Row]:
    sizes = accumulate(row_bytes + _text_bytes(row) for row in rows)
    shown = sum(1 for _ in takewhile(lambda size: size <= bytes_max, sizes))
    return Part(rows[:shown], len(rows))


def _text_bytes(row: DataclassInstance) -> int:
    texts = (getattr(row, field.name) for field in fields(row))
    return sum(len(words(text).encode("utf-8", "replace")) for text in texts if isinstance(text, str))


def _figure_groups(figures: Sequence[Figures]) -> list[tuple[str, list[FigureRow]]]:
    """Return the figures by system, first systems with changes, as far as there is room."""
    ordered = sorted(figures, key=lambda system: all(old == new for old, new in system.values.values()))
    rows = [
        FigureRow(system.name, figure_name(name), unit_of(name), before, after)
        for system in ordered
        for name, (before, after) in system.values.items()
    ]
    return [(name, list(group)) for name, group in groupby(_part(rows).rows, key=lambda row: row.system)]


def _effect_row(effect: Effect, *, is_replay: bool) -> EffectRow:
    return EffectRow(
        effect=effect,
        name=effect.name if is_replay else quantile_of(effect.group, effect.name),
        group=effect.group if is_replay else "",
        delta=signed("+" if effect.delta >= 0 else MINUS, f"{abs(effect.delta):.2f}"),
        bar=_bar(effect),
    )


def _bar(effect: Effect) -> Bar:
    """Draw an interval on its own scale, wide enough for the interval and the band."""
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


def _settings(before: Origin, after: Origin) -> Iterator[tuple[str, str, str, bool]]:
    """Yield each setting: its name, its value on each side, and True if both sides name it and differ."""
    yield gettext("seed"), str(before.seed), str(after.seed), before.seed != after.seed
    old, new = dict(before.settings), dict(after.settings)
    for name in list(dict.fromkeys([*old, *new]))[:SETTINGS_MAX]:
        differs = name in old and name in new and old[name] != new[name]
        yield name.replace("_", " "), setting_words(old.get(name)), setting_words(new.get(name)), differs
