"""The baseline: the part of an accepted result that later ones are compared with, without texts, phone numbers, ids.

Times are integer milliseconds. `schema` is raised whenever a key changes its meaning or goes away.
"""

from __future__ import annotations

from typing import Literal, TypedDict

from reports.results.load import LoadLedger
from reports.results.replay import Quantiles

BASELINE_SCHEMA_VERSION = 1


class Counts(TypedDict):
    """Counts of one run: its messages by what became of them, its AI calls, and its turns."""

    sent: int
    answered: int
    lost: int
    twice: int
    order: int
    dead: int
    waiting: int
    ai_calls: int
    turns: int


class BaselineRun(Counts):
    """One recording on one system, once.

    `messages` has a line for each conversation, in the order of first arrivals; in it, one word for each message in
    the order of arrival: the time from its arrival to the reply, or its fate, with `+twice` or `+order` where it was
    answered twice or out of order. It is empty for replications, of which only the figures are kept.
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
    """The part of a replay that is kept. `digests` are of the recordings' messages, by name."""

    systems: list[str]
    digests: dict[str, str]
    runs: list[BaselineRun]


class BaselineLoad(TypedDict):
    """The part of a load test that is kept. `latency_ms` has ascending samples by name, evenly thinned."""

    scenario: str
    valid: bool
    ledger: LoadLedger
    latency_ms: dict[str, list[float]]


class Baseline(TypedDict):
    """The whole baseline. `of` names the one of `replay` and `load` that is there; the other is None."""

    schema: int
    kind: Literal["baseline"]
    of: Literal["replay", "load"]
    seed: int
    command: str
    settings: dict[str, str]
    replay: BaselineReplay | None
    load: BaselineLoad | None
