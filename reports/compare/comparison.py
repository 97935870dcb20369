"""What a comparison of two results found: the contract between what compares (`compare.py`) and what shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from reports.words.verdicts import Verdict

Level = Literal["worse", "better", "changed"]
LEVELS: Sequence[Level] = ("worse", "better", "changed")
"""In the order in which they are told. What is neither worse nor better has changed."""
Topic = Literal["loss", "fate", "run", "figure"]
TOPICS: Sequence[Topic] = ("loss", "fate", "run", "figure")
"""What a change is about, the gravest first: a message lost, one that fared otherwise, a whole run, a figure."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one side of a comparison comes from."""

    command: str
    seed: int
    settings: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two deterministic runs, exact.

    `subject` says of what: a message, a quantile of times, an expectation. `before` and `after` are in words.
    """

    level: Level
    recording: str
    system: str
    subject: str
    before: str
    after: str
    cause: str = ""
    """Why a message was lost, where it was."""
    topic: Topic = "figure"


@dataclass(frozen=True, slots=True)
class Effect:
    """One figure of samples on both sides: a change only if its interval excludes zero and it is large enough.

    `before`, `after`, `difference`, `low` and `high` have the unit `unit` (`ms`, `share` from 0 to 1, or empty);
    `difference` is after less before, and [low, high] its interval at the corrected level `confidence`. `delta` is
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
    """A change counts that is more than this share of `before`, and at least so much."""
    threshold: str
    """The same in words."""

    @property
    def relative(self) -> float | None:
        """The difference as a share of what was before; None where that was zero."""
        return self.difference / self.before if self.before else None


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that had to hold in the new result: a threshold or an expected outcome. None: it was not checked."""

    group: str
    name: str
    ok: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Figures:
    """One system's (or one load test's) figures on both sides, for the table: name of the figure to (before, after).

    None where there is nothing to tell. Those that end in `_ms` are times.
    """

    name: str
    values: dict[str, tuple[float | None, float | None]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that is known of how `after` differs from `before`."""

    kind: Literal["replay", "load"]
    verdict: Verdict
    before: Origin
    after: Origin
    notes: Sequence[str]
    """What makes the two sides hard to compare: other settings, recordings that changed."""
    changes: Sequence[Change]
    effects: Sequence[Effect]
    checks: Sequence[Check]
    figures: Sequence[Figures] = field(default=())

    @property
    def is_worse(self) -> bool:
        """Whether something got worse, or something that had to hold did not."""
        return (
            any(one.level == "worse" for one in self.changes)
            or any(one.level == "worse" for one in self.effects)
            or any(one.ok is False for one in self.checks)
        )

    @property
    def is_different(self) -> bool:
        """Whether anything changed at all."""
        return self.is_worse or bool(self.changes) or any(one.level != "same" for one in self.effects)

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return {**asdict(self), "verdict": str(self.verdict)}
