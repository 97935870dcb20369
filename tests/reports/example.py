"""Results of replays to render: realistic, hostile and large ones, made here and not by the simulator."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from reports.results.causes import Cause
from reports.results.replay import (
    SCHEMA_VERSION,
    BatchRecord,
    ExpectationResult,
    LedgerEntry,
    LossEstimate,
    RecordedMessage,
    RecordingInfo,
    ReplayResult,
    Run,
    Step,
)

ARABIC = ("ممكن أعرف اسمك؟", "عبدالرحيم", "من القوي", "وجبة واحدة", "لايف ستايل")
CAUSE = Cause(code="marked_unread", at_ms=15_066, answering=["m1", "m2", "m3"])
WHY = (
    "Messages 4 and 5 arrived while the AI was answering 1\u20133. buffer-v1 then marked the whole buffer as done, and "
    "nobody read it again."
)
TURN_MS = 14_000
HOSTILE = (
    "<script>alert(1)</script>",
    "</title></svg><script src=//evil.example/x.js></script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "\u202egnp.exe \u2066 \x00\x07\x1b[31m \ud800 \uffff",
    "javascript:alert(1)&lt;script&gt;]]>--><!--",
    "$x^{2}$ %s {0} \\N",
)


def message(
    number: int, at_ms: int, text: str, *, phone: str = "966500001234", instance: str = "bot", name: str = ""
) -> RecordedMessage:
    return {
        "instance": instance,
        "phone": phone,
        "id": name or f"m{number}",
        "at_ms": at_ms,
        "kind": "text",
        "text": text,
    }


def recording(name: str, messages: Sequence[RecordedMessage], **more: Any) -> RecordingInfo:
    info: RecordingInfo = {
        "name": name,
        "title": f"Title of {name}",
        "source": "Made for a test",
        "notes": "",
        "settings": {},
        "skipped_lines": 0,
        "messages": list(messages),
    }
    info.update(more)  # type: ignore[typeddict-item] # the keys are the caller's to get right
    return info


def run(
    recorded: RecordingInfo,
    system: str,
    *,
    lost: Iterable[tuple[str, str]] = (),
    cause: Cause = CAUSE,
    trigger: str = "window",
    number: int = 0,
) -> Run:
    """Make a run that takes each turn in one batch, 8 s after its first message, and answers it 7 s later.

    `lost` are (phone, id) of messages that vanish when the batch is answered.
    """
    lost_keys = set(lost)
    first: dict[tuple[str, str, str], RecordedMessage] = {}
    for delivery in recorded["messages"]:
        first.setdefault((delivery["instance"], delivery["phone"], delivery["id"]), delivery)
    by_conversation: dict[tuple[str, str], list[RecordedMessage]] = {}
    for delivery in first.values():
        by_conversation.setdefault((delivery["instance"], delivery["phone"]), []).append(delivery)
    batches: list[BatchRecord] = []
    ledger: list[LedgerEntry] = []
    for (instance, phone), deliveries in by_conversation.items():
        for turn in _turns(deliveries):
            claimed = turn[0]["at_ms"] + 8000
            replied = max(claimed + 7000, turn[-1]["at_ms"] + 1)
            kept = [delivery["id"] for delivery in turn if (phone, delivery["id"]) not in lost_keys]
            if kept:
                batches.append(_batch(instance, phone, kept, trigger, claimed, replied))
            ledger += [_entry(delivery, replied, (phone, delivery["id"]) in lost_keys) for delivery in turn]
    return _run(recorded["name"], system, number, batches, ledger, cause)


def _turns(messages: Sequence[RecordedMessage]) -> list[list[RecordedMessage]]:
    turns: list[list[RecordedMessage]] = []
    for delivery in messages:
        if turns and delivery["at_ms"] - turns[-1][0]["at_ms"] <= TURN_MS:
            turns[-1].append(delivery)
        else:
            turns.append([delivery])
    return turns


def _batch(
    instance: str, phone: str, ids: list[str], trigger: str, claimed_at_ms: int, replied_at_ms: int
) -> BatchRecord:
    return {
        "instance": instance,
        "phone": phone,
        "ids": ids,
        "trigger": trigger,
        "claimed_at_ms": claimed_at_ms,
        "due_at_ms": claimed_at_ms,
        "replied_at_ms": replied_at_ms,
        "ai_ms": [(claimed_at_ms, replied_at_ms - 47)],
    }


def _entry(delivery: RecordedMessage, replied_at_ms: int, is_lost: bool) -> LedgerEntry:
    return {
        "instance": delivery["instance"],
        "phone": delivery["phone"],
        "id": delivery["id"],
        "fate": "lost" if is_lost else "answered",
        "stored_at_ms": delivery["at_ms"],
        "claimed_at_ms": None if is_lost else replied_at_ms - 7000,
        "answered_at_ms": None if is_lost else replied_at_ms,
        "lost_at_ms": replied_at_ms if is_lost else None,
        "story": [
            Step(at_ms=delivery["at_ms"], code="sent"),
            Step(at_ms=replied_at_ms, code="lost" if is_lost else "answered"),
        ],
    }


def _run(
    name: str, system: str, number: int, batches: list[BatchRecord], ledger: list[LedgerEntry], cause: Cause
) -> Run:
    lost = [entry["id"] for entry in ledger if entry["fate"] == "lost"]
    quantiles = (
        {"p50": 15_047, "p95": 15_047, "max": 15_047} if batches else {"p50": None, "p95": None, "max": None}
    )
    made: dict[str, Any] = {
        "recording": name,
        "system": system,
        "run": number,
        "seed": 1,
        "sent": len(ledger),
        "answered": len(ledger) - len(lost),
        "lost": lost,
        "duplicated": [],
        "reordered": [],
        "dead_lettered": [],
        "pending": [],
        "causes": dict.fromkeys(lost, cause),
        "ai_calls": len(batches),
        "batches": batches,
        "log": [],
        "latency_ms": {"first": quantiles, "last": quantiles},
        "dispatch_lag_ms": {"p50": 4, "p95": 9, "max": 850} if batches else quantiles,
        "faults": [],
        "ledger": ledger,
        "at_rest_ms": 20_000,
        "came_to_rest": True,
    }
    return made  # type: ignore[return-value] # built key by key from what Run names


def result(recordings: Sequence[RecordingInfo], runs: Sequence[Run], **more: Any) -> ReplayResult:
    made: ReplayResult = {
        "schema": SCHEMA_VERSION,
        "kind": "replay",
        "seed": 7,
        "settings": {"ai": "constant:7s", "window_ms": 8000, "idle_ms": 0, "faults": ["timer-dies=0.05"]},
        "systems": list(dict.fromkeys(run["system"] for run in runs)),
        "recordings": list(recordings),
        "runs": list(runs),
        "loss": [],
        "expectations": [],
        "ok": True,
        "command": "python -m sim replay logs/ --seed 7",
    }
    made.update(more)  # type: ignore[typeddict-item] # the keys are the caller's to get right
    return made


def expectation(system: str, **more: Any) -> ExpectationResult:
    """Return the result of an expected outcome of `system` in the incident: nothing lost, unless `more` says so."""
    made: ExpectationResult = {
        "recording": "incident.jsonl",
        "system": system,
        "outcome": "lost",
        "held": True,
        "expected": [],
        "actual": [],
        "changes": [],
    }
    made.update(more)  # type: ignore[typeddict-item] # the keys are the caller's to get right
    return made


def incident(**more: Any) -> ReplayResult:
    """Return a result of five messages in Arabic, two of them lost on buffer-v1 and none on the queue."""
    times = (0, 3100, 6649, 10_976, 13_200)
    messages = [
        message(index + 1, at_ms, text) for index, (at_ms, text) in enumerate(zip(times, ARABIC, strict=True))
    ]
    recorded = recording("incident.jsonl", messages, title="The incident")
    lost = [("966500001234", "m4"), ("966500001234", "m5")]
    runs = [run(recorded, "buffer-v1", lost=lost, trigger="timer"), run(recorded, "queue")]
    checks = [
        expectation("buffer-v1", held=True, expected=["m4", "m5"], actual=["m4", "m5"]),
        expectation("queue", held=False, actual=["m1"], run=0, seed=7),
        expectation(
            "queue", held=None, changes=[{"setting": "ai", "now": "constant:1s", "then": "constant:7s"}]
        ),
    ]
    return result([recorded], runs, **{"expectations": checks, **more})


def hostile() -> ReplayResult:
    """Return a result in which every text, name, id and cause is one of HOSTILE."""
    recordings, runs = [], []
    for number, evil in enumerate(HOSTILE):
        messages = [
            message(1, 0, evil, phone=f"{evil}966500{number}77123", instance=evil, name=evil),
            message(2, 400, evil * 60, phone=f"{evil}966500{number}77123", instance=evil, name=f"{evil}-2"),
        ]
        recorded = recording(
            f"{number}{evil}.jsonl",
            messages,
            title=evil,
            source=evil,
            notes=evil,
            settings={evil: evil},
            skipped_lines=1,
        )
        recordings.append(recorded)
        runs += [
            run(
                recorded,
                name,
                lost=[(messages[0]["phone"], evil)],
                cause=Cause(code="overwritten_by_webhook", at_ms=9, writers=[evil, messages[0]["phone"]]),
                trigger=evil,
            )
            for name in (f"system {HOSTILE[0]}", f"system {HOSTILE[3]}", "queue")
        ]
    return result(
        recordings,
        runs,
        ok=False,
        command=HOSTILE[1],
        settings={HOSTILE[2]: HOSTILE[0], "faults": [HOSTILE[3]]},
        expectations=[
            expectation(
                HOSTILE[0],
                recording=recorded["name"],
                held=held,
                expected=[HOSTILE[1], recorded["messages"][0]["phone"]],
                changes=[{"setting": HOSTILE[2], "now": HOSTILE[3], "then": HOSTILE[0]}],
            )
            for recorded in recordings
            for held in (False, None)
        ],
    )


def estimate(lost: int, sent: int, **more: Any) -> LossEstimate:
    made: LossEstimate = {
        "recording": "incident.jsonl",
        "system": "buffer-v1",
        "runs": 20,
        "runs_with_loss": 3,
        "sent": sent,
        "lost": lost,
        "probability": lost / sent,
        "low": 0.0123,
        "high": 0.4567,
    }
    made.update(more)  # type: ignore[typeddict-item] # the keys are the caller's to get right
    return made


def big_day(messages: int = 2000, users: int = 300, systems: int = 5) -> ReplayResult:
    """Return a result in which every ninth message is lost on all systems but the last."""
    deliveries = [
        message(
            index, index * 43_000, ARABIC[index % 5] * (1 + index % 4), phone=f"96650000{index % users:04}"
        )
        for index in range(messages)
    ]
    recorded = recording("day.jsonl", deliveries)
    lost = [(delivery["phone"], delivery["id"]) for delivery in deliveries[::9]]
    runs = [
        run(recorded, f"system-{index}", lost=lost if index < systems - 1 else ()) for index in range(systems)
    ]
    return result([recorded], runs)


def faulty_day() -> ReplayResult:
    """Return the big day with 100 messages, two faults at a time and one at random."""
    made = big_day(messages=100, users=20)
    for each in made["runs"]:
        each["faults"] = [
            {"name": "redis-away", "start_ms": 300_000, "end_ms": 900_000, "struck": 3},
            {"name": "process-restarts", "start_ms": 1_800_000, "end_ms": 1_800_000, "struck": 1},
            {"name": "ai-fails", "rate": 0.1, "struck": 5},
        ]
    return made


def drop_answer(run: Run, *, at_ms: int = 15_000) -> None:
    """Change a run so that the answer to its first turn was dropped, and a second turn has its messages."""
    first = run["batches"][0]
    second = first.copy()
    first["replied_at_ms"], first["superseded_at_ms"] = None, at_ms
    first["ai_ms"] = [(at_ms - 7000, at_ms)]
    second["claimed_at_ms"] = second["due_at_ms"] = at_ms
    second["replied_at_ms"], second["ai_ms"] = at_ms + 7000, [(at_ms, at_ms + 6953)]
    run["batches"].insert(1, second)
    run["ai_calls"] += 1
    run["superseded"], run["superseded_ai_ms"] = 1, 7000


def incident_with_profiles() -> ReplayResult:
    """Return the incident with the queue twice; with the rules of `quick` it dropped an answer."""
    made = incident(expectations=[])
    quick = run(made["recordings"][0], "queue (quick)")
    drop_answer(quick)
    made["runs"].append(quick)
    made["systems"].append("queue (quick)")
    made["settings"]["queue (quick)"] = {"window_ms": 8000, "max_messages": 0, "idle_ms": 3000}
    return made
