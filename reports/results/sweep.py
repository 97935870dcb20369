"""The result file of a sweep: the same recordings, replayed on the queue under many settings.

Times are integer milliseconds. `schema` is raised whenever a key changes its meaning or goes away.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypedDict

from reports.results.replay import Quantiles

SWEEP_SCHEMA_VERSION = 3

TURNS_NEEDED = 200
"""Minimum number of turns of several messages for a recommendation. With fewer, shares are uncertain by more than 7
points, which is as much as good settings differ."""

NoRecommendation: TypeAlias = Literal["none_clean", "one_choice", "few_turns"]
"""Reason to recommend nothing: no choice is clean (see `is_clean`), there is only one, or too few turns have several
messages."""


class SweepRow(TypedDict):
    """One choice of settings with its figures, over all recordings and runs.

    `turns_of_several` counts turns of several messages, `split_turns` those whose user wrote again after the hand-over
    and before the reply. `reply_ms` has the times from a turn's first message to its reply, ascending and evenly
    thinned, for a curve; `first_ms` has the figures of all of them.
    `is_best` is true if every choice that is better in waiting (p95 from the first message), AI calls or split turns
    is worse in another of the three.
    """

    window_ms: int
    max_messages: int
    idle_ms: int
    sent: int
    lost: int
    twice: int
    order: int
    dead: int
    waiting: int
    came_to_rest: bool
    ai_calls: int
    turns: int
    turns_of_several: int
    split_turns: int
    first_ms: Quantiles
    last_ms: Quantiles
    lag_ms: Quantiles
    reply_ms: list[int]
    is_best: bool


class SweepResult(TypedDict):
    """The whole result of `python -m sim sweep`.

    `recommended` is the index of a row, None if `no_recommendation` gives the reason. `turns_of_several` is the largest
    number that a choice has, as the mean of its runs. `ok` says that the queue lost, duplicated and
    reordered nothing and came to rest under every choice.
    """

    schema: int
    kind: Literal["sweep"]
    seed: int
    settings: dict[str, Any]
    recordings: list[str]
    runs: int
    rows: list[SweepRow]
    turns_of_several: int
    recommended: int | None
    no_recommendation: NoRecommendation | None
    ok: bool
    command: str


def is_clean(row: SweepRow) -> bool:
    """Return whether the queue harmed no message and came to rest under this choice."""
    return row["came_to_rest"] and not (row["lost"] or row["twice"] or row["order"])
