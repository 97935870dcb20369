"""Types of a comparison of two results: the contract between `compare.py` and pages, JUnit, Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from reports.words.verdicts import Verdict

Level = Literal["worse", "better", "changed"]
LEVELS: Sequence[Level] = ("worse", "better", "changed")
"""Levels in the order in which they are shown; changed is neither worse nor better."""
Topic = Literal["loss", "fate", "run", "figure"]
TOPICS: Sequence[Topic] = ("loss", "fate", "run", "figure")
"""Topics of changes, the gravest first: a message lost, another fate of a message, a whole run, a figure."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Origin of one side of a comparison: its command, seed and settings."""

    command: str
    seed: int
    settings: Sequence[tuple[str, str]]
    is_baseline: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One difference that is listed by itself, such as the fate of a message in a replay or a count of a load test.

    `subject` names a message, a quantile of times or a count. `before` and `after` are in words.
    """

    level: Level
    recording: str
    system: str
    subject: str
    before: str
    after: str
    cause: str = ""
    """Cause of the loss, where a message was lost."""
    topic: Topic = "figure"


@dataclass(frozen=True, slots=True)
class Effect:
    """One figure of samples on both sides: changed if the interval excludes zero and the difference is large enough.

    `before`, `after`, `difference`, `low` and `high` have the unit `unit` (`ms`, `share` from 0 to 1, or empty);
    `difference` is after minus before, and [low, high] its interval at the corrected level `confidence`. `delta` is
    Cliff's delta, from -1 (every sample fell) to 1 (every sample rose). For all figures less is better.
    """

    level: Level | Literal["same"]
    group: str
    name: str
    unit: str
    before: float
    after: float
    difference: float
    low: float
    high: float
    confidence: float
    delta: float
    samples: tuple[int, int]
    relative_min: float
    absolute_min: float
    """Smallest change that counts: more than `relative_min` of `before`, and at least `absolute_min`."""
    threshold: str
    """Both minimums in words."""

    @property
    def relative(self) -> float | None:
        """The difference as a share of what was before; None where that was zero."""
        return self.difference / self.before if self.before else None


@dataclass(frozen=True, slots=True)
class Check:
    """One check of the new result: a threshold or an expected outcome. `ok` is None where it was not checked."""

    group: str
    name: str
    ok: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Figures:
    """One system's (or one load test's) figures on both sides, for the table: name of the figure to (before, after).

    A value is None where there is nothing to measure. Figures whose names end in `_ms` are times.
    """

    name: str
    values: dict[str, tuple[float | None, float | None]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All differences of `after` from `before`."""

    kind: Literal["replay", "load"]
    verdict: Verdict
    before: Origin
    after: Origin
    notes: Sequence[str]
    """Reasons why the two sides are hard to compare: other settings, recordings that changed."""
    changes: Sequence[Change]
    effects: Sequence[Effect]
    checks: Sequence[Check]
    figures: Sequence[Figures] = field(default=())

    @property
    def is_worse(self) -> bool:
        """True where something is worse, or a check failed."""
        return (
            any(change.level == "worse" for change in self.changes)
            or any(effect.level == "worse" for effect in self.effects)
            or any(check.ok is False for check in self.checks)
        )

    @property
    def is_different(self) -> bool:
        """True where anything changed, or a check failed."""
        return self.is_worse or bool(self.changes) or any(effect.level != "same" for effect in self.effects)

    def as_json(self) -> dict[str, Any]:
        """Return everything as values that JSON can hold."""
        values = asdict(self)
        return {"kind": "comparison", "of": values.pop("kind"), **values, "verdict": str(self.verdict)}
