"""Results of sweeps, made up: one to choose from, one in which every choice lost something, one of hostile text."""

from __future__ import annotations

from reports.results.sweep import SWEEP_SCHEMA_VERSION, SweepResult, SweepRow
from tests.reports.example import HOSTILE


def choice(window_s: int, messages: int, *, lost: int = 0, idle_s: int = 0, is_best: bool = True) -> SweepRow:
    """Return a choice; longer windows wait longer and ask the AI less."""
    waits_ms = [1000 * window_s + 40 * index for index in range(200)]
    return SweepRow(
        window_ms=1000 * window_s,
        max_messages=messages,
        idle_ms=1000 * idle_s,
        sent=1000,
        lost=lost,
        twice=0,
        order=0,
        dead=0,
        waiting=0,
        came_to_rest=True,
        ai_calls=900 - 30 * window_s - messages,
        turns=900 - 30 * window_s - messages,
        turns_of_several=300,
        split_turns=120 - 8 * window_s,
        first_ms={"p50": waits_ms[99], "p95": waits_ms[189], "max": waits_ms[-1]},
        last_ms={"p50": waits_ms[50], "p95": waits_ms[180], "max": waits_ms[-2]},
        lag_ms={"p50": 4, "p95": 8, "max": 14},
        reply_ms=waits_ms,
        is_best=is_best,
    )


def sweep(rows: list[SweepRow], recommended: int | None) -> SweepResult:
    """Return a result of these rows."""
    return SweepResult(
        schema=SWEEP_SCHEMA_VERSION,
        kind="sweep",
        seed=1,
        settings={"ai": "lognormal:4.5s:9s", "redis_latency": "lognormal:5ms:15ms"},
        recordings=["incident.jsonl", "day.jsonl"],
        runs=1,
        rows=rows,
        turns_of_several=300,
        recommended=recommended,
        no_recommendation="none_clean" if recommended is None else None,
        ok=recommended is not None,
        command="python -m sim sweep logs --seed 1",
    )


def nine() -> SweepResult:
    """Return three windows by three sizes, the middle one recommended."""
    return sweep(
        [choice(window_s, size, is_best=size == 5) for window_s in (4, 8, 12) for size in (3, 5, 8)], 4
    )


def lossy() -> SweepResult:
    """Return a result in which every choice lost something."""
    return sweep([choice(8, 5, lost=3), choice(12, 5, lost=1, idle_s=3)], None)


def nothing() -> SweepResult:
    """Return a result without choices, as from a folder without messages."""
    return sweep([], None)


def short() -> SweepResult:
    """Return a result in which every choice was clean, but turns are too few to recommend one."""
    result = sweep([choice(8, 5), choice(12, 5)], None)
    return {**result, "ok": True, "turns_of_several": 1, "no_recommendation": "few_turns"}


def single() -> SweepResult:
    """Return a result of a single choice."""
    result = sweep([choice(12, 8)], None)
    return {**result, "ok": True, "no_recommendation": "one_choice"}


def hostile() -> SweepResult:
    """Return a result in which every text is one of HOSTILE."""
    result = nine()
    result["command"] = HOSTILE[1]
    result["settings"] = {"ai": HOSTILE[0], "redis_latency": HOSTILE[4], HOSTILE[2]: HOSTILE[0]}
    result["recordings"] = list(HOSTILE)
    return result


def endless() -> SweepResult:
    """Return a result of a thousand choices."""
    return sweep([choice(1 + index % 30, 1 + index // 30) for index in range(1000)], 0)
