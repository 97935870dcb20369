"""Baseline file: what later results are compared with. It holds no texts, phone numbers or ids.

Times are integer milliseconds. `schema` is raised whenever a key changes its meaning or goes away.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from reports.results.load import LoadLedger
from reports.results.replay import Quantiles

BASELINE_SCHEMA_VERSION = 1


class Counts(TypedDict):
    """Counts of one run: messages by fate, AI calls, turns, and dropped answers with the time of their AI calls."""

    sent: int
    answered: int
    lost: int
    twice: int
    order: int
    dead: int
    waiting: int
    ai_calls: int
    turns: int
    superseded: NotRequired[int]
    superseded_ai_ms: NotRequired[int]


class BaselineRun(Counts):
    """One replay of one recording on one system.

    `messages` has a line for each conversation, by first arrival, with a word for each message, by arrival: the time to
    the reply in ms, or the fate; then `+twice` if it was answered twice, and `+order` if out of order. `messages` is
    empty for replications, of which only the figures are kept.
    """

    recording: str
    system: str
    run: int
    first_ms: Quantiles
    last_ms: Quantiles
    lag_ms: Quantiles
    mean_first_ms: float | None
    came_to_rest: bool
    messages: list[str]


class BaselineReplay(TypedDict):
    """Part of a replay that a baseline keeps. `digests` has a digest of each recording's messages, by its name."""

    systems: list[str]
    digests: dict[str, str]
    runs: list[BaselineRun]


class BaselineLoad(TypedDict):
    """Part of a load test that a baseline keeps. `latency_ms` has ascending samples by name, evenly thinned."""

    scenario: str
    valid: bool
    ledger: LoadLedger
    latency_ms: dict[str, list[float]]


class Baseline(TypedDict):
    """The whole baseline. `of` says which of `replay` and `load` is present; the other is None."""

    schema: int
    kind: Literal["baseline"]
    of: Literal["replay", "load"]
    seed: int
    command: str
    settings: dict[str, str]
    replay: BaselineReplay | None
    load: BaselineLoad | None
