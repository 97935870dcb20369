"""The result of a replay in one sentence, and whether it is a good one."""

from __future__ import annotations

from collections.abc import Sequence

from reports.results.replay import ExpectationResult, Run

QUEUE = "queue"


def is_clean(runs: Sequence[Run], expectations: Sequence[ExpectationResult]) -> bool:
    """Whether the queue lost, duplicated and reordered nothing and came to rest, and every expectation held."""
    of_queue = [run for run in runs if run["system"] == QUEUE]
    return all(_harmless(run) for run in of_queue) and all(
        result["held"] is not False for result in expectations
    )


def verdict(runs: Sequence[Run], expectations: Sequence[ExpectationResult]) -> str:
    """One sentence: the queue first, then what the others lost, then what is on record."""
    by_system: dict[str, list[Run]] = {}
    for run in runs:
        by_system.setdefault(run["system"], []).append(run)
    parts = []
    if QUEUE in by_system:
        parts.append(_queue_words(by_system[QUEUE]))
    others = [f"{name} {_loss_words(group)}" for name, group in by_system.items() if name != QUEUE]
    if others:
        parts.append(", ".join(others))
    parts.append(_expectation_words(expectations))
    return "; ".join(part for part in parts if part) + "."


def _queue_words(runs: Sequence[Run]) -> str:
    sent = sum(run["sent"] for run in runs)
    of = f"of {sent:,} messages in {_recordings(runs)}"
    if all(_harmless(run) for run in runs):
        return f"The queue lost, duplicated and reordered none {of}"
    counts = {
        "lost": sum(len(run["lost"]) for run in runs),
        "duplicated": sum(len(run["duplicated"]) for run in runs),
        "reordered": sum(len(run["reordered"]) for run in runs),
    }
    told = [f"{word} {count:,}" for word, count in counts.items() if count]
    restless = sum(not run["came_to_rest"] for run in runs)
    if restless:
        told.append(f"did not come to rest in {restless:,} runs")
    return f"THE QUEUE {' and '.join(told)} {of}"


def _loss_words(runs: Sequence[Run]) -> str:
    sent, lost = sum(run["sent"] for run in runs), sum(len(run["lost"]) for run in runs)
    return f"lost {lost:,} of {sent:,} ({_percent(lost, sent)})"


def _percent(part: int, whole: int) -> str:
    """A share, such that some is never shown as none, nor less than all as all."""
    if part in (0, whole):
        return "0 %" if part == 0 else "100 %"
    return (
        f"{min(max(100 * part / whole, 0.01), 99.99):.2g} %"
        if part < whole / 10
        else f"{100 * part / whole:.1f} %"
    )


def _recordings(runs: Sequence[Run]) -> str:
    recordings = len({run["recording"] for run in runs})
    words = "1 recording" if recordings == 1 else f"{recordings:,} recordings"
    repeats = len(runs) // recordings
    return words if repeats == 1 else f"{words}, {repeats:,} runs each"


def _expectation_words(expectations: Sequence[ExpectationResult]) -> str:
    held = sum(result["held"] is True for result in expectations)
    broken = sum(result["held"] is False for result in expectations)
    unchecked = len(expectations) - held - broken
    if not expectations:
        return ""
    if broken:
        words = f"{broken:,} of {held + broken:,} OUTCOMES ON RECORD DID NOT COME OUT"
    elif held == 0:
        words = ""
    elif held == 1:
        words = "the one outcome on record came out as recorded"
    else:
        words = f"all {held:,} outcomes on record came out as recorded"
    left_out = f"{unchecked:,} on record not checked under these settings" if unchecked else ""
    return "; ".join(part for part in (words, left_out) if part)


def _harmless(run: Run) -> bool:
    return run["came_to_rest"] and not (run["lost"] or run["duplicated"] or run["reordered"])
