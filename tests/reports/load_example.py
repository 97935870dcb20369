"""Results of load tests, made up: one with faults, one that is invalid, one that is empty, one full of hostile text."""

from __future__ import annotations

import random

from reports.results.load import (
    LOAD_SCHEMA_VERSION,
    Batches,
    BusyMachine,
    Double,
    FaultTimes,
    LoadLatency,
    LoadLedger,
    LoadResult,
    Second,
    Send,
    Threshold,
)
from tests.reports.example import HOSTILE


def lag(measured: float | None, *, ok: bool) -> Threshold:
    """Return the threshold of the generator's delay behind its schedule."""
    return Threshold(code="generator_lag_p99", limit=200.0, measured=measured, unit="ms", ok=ok)


def empty() -> LoadResult:
    """Return a valid result of a run in which nothing was sent."""
    return LoadResult(
        schema=LOAD_SCHEMA_VERSION,
        kind="load",
        ok=True,
        valid=True,
        generator_lag=lag(None, ok=True),
        seed=1,
        scenario="steady",
        started_at="2026-01-02T03:04:05Z",
        duration_s=0.0,
        drain_s=0.0,
        settings={},
        system={},
        command="",
        thresholds=[],
        ledger=LoadLedger(
            sent=0,
            answered=0,
            dead=0,
            waiting=0,
            lost=0,
            unsure=0,
            duplicates=0,
            worker_died=0,
            out_of_order=0,
            failed_requests=0,
        ),
        lost_ids=[],
        doubles=[],
        batches=Batches(count=0, by_trigger={}, sizes={}),
        latency_ms=LoadLatency(
            acknowledgement=[], dispatch_lag=[], ai=[], reply=[], reply_from_first=[], generator_lag=[]
        ),
        timeline=[],
        faults=[],
    )


def double(message_id: str, *, worker_died: bool) -> Double:
    """Return a message that was sent twice: by a worker that was killed, or by one that lives."""
    died_s = 20.0 if worker_died else None
    return Double(
        id=message_id,
        worker_died=worker_died,
        sends=[
            Send(at_s=19.2, answered_s=20.4, caller="worker-1.1", is_caller_gone=worker_died, died_s=died_s),
            Send(at_s=36.0, answered_s=37.1, caller="worker-2.1", is_caller_gone=False, died_s=None),
        ],
    )


def second(at: int, rate: int = 160, depth: int | None = 900) -> Second:
    """Return one second of a steady run with four processes."""
    cpu = {"web": 0.62, "worker-1": 0.41, "redis": 0.13, "sink": 0.22}
    return Second(
        t_s=at,
        sent=rate,
        acknowledged=rate,
        replied=rate,
        failed=0,
        depth=depth,
        redis_bytes=9_000_000 + 10_000 * at,
        cpu=cpu,
    )


def latency(chance: random.Random) -> LoadLatency:
    """Return samples of every latency of a load of 10,000 messages."""
    return LoadLatency(
        acknowledgement=sorted(chance.lognormvariate(1.2, 0.6) for _ in range(10_000)),
        dispatch_lag=sorted(chance.expovariate(1 / 20) for _ in range(4000)),
        ai=sorted(chance.lognormvariate(7.6, 0.4) for _ in range(4000)),
        reply=sorted(8000 + chance.lognormvariate(7.6, 0.4) for _ in range(4000)),
        reply_from_first=sorted(9000 + chance.lognormvariate(8.2, 0.5) for _ in range(4000)),
        generator_lag=sorted(chance.expovariate(2) for _ in range(10_000)),
    )


def chaos() -> LoadResult:
    """Return a result of 10,000 messages with four faults; two were lost, so a threshold was missed."""
    chance = random.Random(4)
    made = empty()
    made["ok"] = False
    made["generator_lag"] = lag(2.25, ok=True)
    made.update({"scenario": "bursts", "seed": 7, "duration_s": 60.0, "drain_s": 9.1})
    made["settings"] = {
        "rate_per_min": 10_000,
        "workers": 2,
        "drain_s": 60.0,
        "system": "queue",
        "recording": "",
    }
    made["system"] = {"python": "3.11.7", "cores": "2", "redis": "8.2.1"}
    made["command"] = "python -m loadtests run --scenario bursts --rate 10000 --seed 7"
    made["thresholds"] = [
        Threshold(code="answered", limit=100, measured=99.98, ok=False, unit="%"),
        Threshold(code="acknowledgement_p99", limit=250.0, measured=31.4, ok=True, unit="ms"),
        Threshold(code="dispatch_lag_p99", limit=250.0, measured=None, ok=True, unit="ms"),
        Threshold(code="lost", limit=0, measured=2, ok=False, unit=""),
    ]
    made["ledger"].update(
        {
            "sent": 10_000,
            "answered": 9998,
            "lost": 2,
            "unsure": 3,
            "duplicates": 1,
            "worker_died": 2,
            "failed_requests": 41,
        }
    )
    made["lost_ids"] = ["m-17", "m-4711"]
    made["doubles"] = [
        double("m-9", worker_died=False),
        double("m-33", worker_died=True),
        double("m-34", worker_died=True),
    ]
    made["batches"] = Batches(
        count=4000,
        by_trigger={"window": 3000, "max_wait": 100, "idle": 900},
        sizes={"1": 1000, "2": 1500, "3": 1000, "7": 300, "12": 150, "300": 50},
    )
    made["latency_ms"] = latency(chance)
    made["timeline"] = [second(at, chance.randint(130, 200), 1500 - abs(at - 30) * 30) for at in range(70)]
    for at in range(60, 70):
        made["timeline"][at].update({"sent": 0, "acknowledged": 0})
    for at in range(30, 35):
        made["timeline"][at].update({"failed": 8, "replied": 0, "depth": None, "redis_bytes": None})
    made["timeline"][0]["cpu"] = None
    made["faults"] = [
        FaultTimes(code="worker-dies", start_s=20.0, end_s=20.02),
        FaultTimes(code="redis-hangs", start_s=30.0, end_s=35.0),
        FaultTimes(code="redis-restarts", start_s=40.1, end_s=40.9),
        FaultTimes(code="ai-fails", start_s=50.0, end_s=60.0),
    ]
    return made


def invalid() -> LoadResult:
    """Return a result that proves nothing, because the generator fell behind its schedule."""
    made = chaos()
    made.update({"valid": False, "ok": False, "generator_lag": lag(812.0, ok=False)})
    return made


def busy() -> LoadResult:
    """Return a result whose only fault is that other programs left no CPU time, so that turns came late."""
    made = chaos()
    made.update({"valid": False, "ok": False, "lost_ids": [], "doubles": [], "faults": []})
    made["thresholds"] = [
        Threshold(code="lost", limit=0, measured=0, ok=True, unit=""),
        Threshold(code="dispatch_lag_p99", limit=250.0, measured=912.0, ok=False, unit="ms"),
    ]
    made["ledger"].update({"answered": 10_000, "lost": 0, "duplicates": 0, "worker_died": 0})
    made["busy_machine"] = BusyMachine(busy_s=41.0, others=0.58)
    return made


def hostile() -> LoadResult:
    """Return a result in which every text from outside is an attack on the page."""
    made = chaos()
    evil = HOSTILE
    made.update({"scenario": evil[0], "started_at": evil[1], "command": " ".join(evil)})
    made["settings"] = {**dict.fromkeys(evil, "value"), **{f"k{at}": text for at, text in enumerate(evil)}}
    made["system"] = {text: text for text in evil}
    made["lost_ids"] = list(evil)
    made["doubles"] = [double(text, worker_died=bool(at % 2)) for at, text in enumerate(evil)]
    for send, text in zip((send for each in made["doubles"] for send in each["sends"]), evil, strict=False):
        send["caller"] = text
    made["batches"]["by_trigger"] = {text: at + 1 for at, text in enumerate(evil)}
    for moment in made["timeline"]:
        moment["cpu"] = dict.fromkeys(evil, 0.1)
    return made


def huge() -> LoadResult:
    """Return twelve hours with everything at its limit: samples, faults, processes, ids and settings."""
    made = chaos()
    samples = [0.001 * at * at for at in range(20_000)]
    made.update({"duration_s": 43_000.0, "drain_s": 200.0, "command": "c" * 50_000})
    made["latency_ms"] = LoadLatency(
        acknowledgement=samples,
        dispatch_lag=samples,
        ai=samples,
        reply=samples,
        reply_from_first=samples,
        generator_lag=samples,
    )
    made["timeline"] = [second(at, 100 + at * 7919 % 400, at * 7907 % 5000) for at in range(43_200)]
    for moment in made["timeline"]:
        moment["cpu"] = {f"worker-{number}": (moment["t_s"] * number % 97) / 97 for number in range(1, 40)}
    made["faults"] = [
        FaultTimes(code="redis-hangs", start_s=at * 100.0, end_s=at * 100.0 + 50) for at in range(400)
    ]
    made["lost_ids"] = ["i" * 5000] * 100
    made["doubles"] = [double("i" * 5000, worker_died=at >= 50) for at in range(100)]
    made["settings"] = {f"{at}" * 100: "x" * 5000 for at in range(400)}
    made["thresholds"] = [
        Threshold(code="redis_memory", limit=1e15, measured=1e15, ok=True, unit="MB"),
    ] * 400
    made["batches"] = Batches(
        count=10**7,
        by_trigger={f"{at}" * 40: at + 1 for at in range(900)},
        sizes={str(at): at for at in range(1, 3000)},
    )
    return made
