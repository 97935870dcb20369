"""The result file of a sweep: the same recordings, replayed on the queue under many settings.

Times are integer milliseconds. `schema` is raised whenever a key changes its meaning or goes away.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from reports.results.replay import Quantiles

SWEEP_SCHEMA_VERSION = 2


class SweepRow(TypedDict):
    """One choice of settings with its figures, over all recordings and runs.

    `split_turns` are turns during which their user wrote on: after the hand-over, before the reply. `reply_ms` has the
    times from a turn's first message to its reply, ascending, evenly thinned. `is_best` says that no other choice is
    better in one of waiting (p95 from the first message), AI calls and split turns without being worse in another.
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
    split_turns: int
    first_ms: Quantiles
    last_ms: Quantiles
    lag_ms: Quantiles
    reply_ms: list[int]
    is_best: bool


class SweepResult(TypedDict):
    """The whole result of `python -m sim sweep`.

    `recommended` is the index of a row, None where none can be recommended. `ok` says that the queue lost, duplicated
    and reordered nothing under any of the settings.
    """

    schema: int
    kind: Literal["sweep"]
    seed: int
    settings: dict[str, Any]
    recordings: list[str]
    runs: int
    rows: list[SweepRow]
    recommended: int | None
    ok: bool
    command: str


def is_clean(row: SweepRow) -> bool:
    """Return whether the queue harmed no message and came to rest under this choice."""
    return row["came_to_rest"] and not (row["lost"] or row["twice"] or row["order"])
