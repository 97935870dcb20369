"""Runs of a trial: simulated, and live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from loadtests.account.result import thinned
from loadtests.run import INVALID, LoadRun, carry_out
from loadtests.schedule import ScheduleError
from loadtests.sink.server import SinkSettings
from loadtests.stack.deployment import StackError, StackSettings
from loadtests.validation.trials import TRIALS, Load, faults_of
from queue_core.recording.format import Recording
from queue_core.settings import RULE_OPTIONS
from reports.results.files import ResultError, read_result
from reports.results.load import Delays, LoadResult
from reports.results.replay import Run
from reports.results.validation import RunProblem, TrialName, TrialRun
from sim.engine.settings import SettingsError, SimSettings, with_options
from sim.faults import Fault
from sim.replay import replay
from sim.systems import all_systems
from sim.systems.queue import CONCURRENCY, WORKERS

LOOPBACK_REDIS = "lognormal:0.3ms:1ms"
"""Round trip to a Redis on the same machine."""
REDELIVER = "5s"
"""First wait of a refused message, as in `sim.replay.DELIVER_AGAIN_S`."""
LEGACY_DRAIN = "30s"
"""Longest wait for replies of the legacy buffer. A longer wait would be in vain, since the buffer loses messages."""
_SIMULATED = {"queue": "queue", "legacy": "buffer-v2"}
"""Systems of the simulator by those of the stack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The deployment that is simulated and run. `environ` is the environment, with the queue's rules (QUEUE_…)."""

    ai: str
    redis_memory: str
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StackMeasurements:
    """Facts about the stack that the simulator is given: its delays, and the times of its faults."""

    delays: Delays
    faults: tuple[Fault, ...]


def measurements_of(live: Sequence[TrialRun], planned: Sequence[Fault]) -> StackMeasurements:
    """Return the means of the live runs; the planned faults if a fault did not strike in a live run."""
    known = [run["delays_ms"] for run in live if run["delays_ms"] is not None]
    delays = Delays(
        webhook=fmean(each["webhook"] for each in known) if known else 0.0,
        ai=fmean(each["ai"] for each in known) if known else 0.0,
    )
    if any([fault["code"] for fault in run["faults"]] != [fault.name for fault in planned] for run in live):
        return StackMeasurements(delays, tuple(planned))
    struck = [
        Fault(
            fault.name,
            round(1000 * fmean(times["start_s"] for times in each), 3),
            round(1000 * fmean(times["end_s"] - times["start_s"] for times in each), 3),
        )
        for fault, each in zip(planned, zip(*(run["faults"] for run in live), strict=True), strict=True)
    ]
    return StackMeasurements(delays, tuple(struck))


def simulate(
    recording: Recording, name: TrialName, deployment: Deployment, load: Load, measured: StackMeasurements
) -> TrialRun:
    """Simulate a trial. Raises ScheduleError."""
    settings = replace(
        settings_of(name, deployment, load),
        webhook_delay_ms=measured.delays["webhook"],
        ai_delay_ms=measured.delays["ai"],
        faults=measured.faults,
    )
    system = all_systems()[_SIMULATED[TRIALS[name].system]]
    return simulated_run(replay(recording, system, settings), recording)


def settings_of(name: TrialName, deployment: Deployment, load: Load) -> SimSettings:
    """Return the settings of a simulation. Raises ScheduleError for settings that cannot be simulated."""
    options = {"ai": _ai_of(name, deployment), "redis-latency": LOOPBACK_REDIS, **_rules(deployment.environ)}
    try:
        return with_options(SimSettings(seed=load.seed, ai_by_turn=True), options)
    except SettingsError as error:
        raise ScheduleError(f"the simulation is not possible: {error}") from None


def _ai_of(name: TrialName, deployment: Deployment) -> str:
    return TRIALS[name].ai or deployment.ai


def _rules(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the queue's rules that the environment sets, as options of the simulator."""
    rules = {}
    for option, rule in RULE_OPTIONS.items():
        if value := environ.get(f"QUEUE_{rule.upper()}"):
            rules[option] = f"{value}ms" if rule.endswith("_ms") else value
    return rules


def simulated_run(run: Run, recording: Recording) -> TrialRun:
    """Read the fates and the reply times from the result of a simulation."""
    arrived = {(each.instance, each.phone, each.id): each.at_ms for each in recording.arrivals}
    times = [
        batch["replied_at_ms"]
        - max(arrived[batch["instance"], batch["phone"], name] for name in batch["ids"])
        for batch in run["batches"]
        if batch["replied_at_ms"] is not None
    ]
    return TrialRun(
        sent=run["sent"],
        answered=run["answered"],
        lost=len(run["lost"]),
        dead=len(run["dead_lettered"]),
        waiting=len(run["pending"]),
        twice=len(run["duplicated"]),
        reply_ms=thinned(times),
        delays_ms=None,
        faults=[],
        problems=[],
    )


def measure(recording: Path, name: TrialName, deployment: Deployment, load: Load, out: Path) -> TrialRun:
    """Run a trial live; `out` gets the report of the load test and its logs. Raises the errors of `carry_out`.

    The stack has as many workers as the simulated one, and each takes as many turns at a time.
    """
    kind, faults = TRIALS[name], faults_of(TRIALS[name], load)
    ai = _ai_of(name, deployment)
    sink = SinkSettings(ai=ai, seed=load.seed)
    run = LoadRun(
        stack=StackSettings(
            workers=WORKERS,
            is_legacy=kind.system == "legacy",
            port=0,
            sink_port=0,
            redis_memory=deployment.redis_memory,
            sink=sink,
        ),
        plan=faults,
        out=out,
        locust_options=(
            *(["--drain", LEGACY_DRAIN] if kind.system == "legacy" else []),
            "--scenario=recorded",
            f"--recording={recording.absolute()}",
            f"--redeliver={REDELIVER}",
        ),
        command="",
        settings={
            "system": kind.system,
            "workers": WORKERS,
            "ai": ai,
            "faults": ",".join(map(str, faults)),
        },
        is_quiet=True,
    )
    out.mkdir(parents=True, exist_ok=True)
    result_file = out / "result.json"
    result_file.unlink(missing_ok=True)
    code = carry_out(run, {**deployment.environ, "CONCURRENCY": str(CONCURRENCY)})
    try:
        result = read_result(result_file)
    except ResultError as error:
        raise StackError(
            f"the load test of {name} ended with code {code} and has no result: {error}"
        ) from None
    assert result["kind"] == "load"
    return live_run(result, is_carried_out=code != INVALID)


def live_run(result: LoadResult, *, is_carried_out: bool = True) -> TrialRun:
    """Read the fates and the reply times from the result of a load test."""
    ledger = result["ledger"]
    problems: list[RunProblem] = []
    if not result["generator_lag"]["ok"] or result.get("unsent"):  # nobody ends these runs by hand
        problems.append("generator_late")
    if result.get("missed_faults") or not (is_carried_out or problems or "busy_machine" in result):
        problems.append("fault_missing")
    return TrialRun(
        sent=ledger["sent"],
        answered=ledger["answered"],
        lost=ledger["lost"],
        dead=ledger["dead"],
        waiting=ledger["waiting"],
        twice=ledger["duplicates"] + ledger["worker_died"],
        reply_ms=result["latency_ms"]["reply"],
        delays_ms=result.get("delays_ms"),
        faults=result["faults"],
        problems=problems,
    )
