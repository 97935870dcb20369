"""Faults while the load runs: the plan as people write it, and carrying it out on the stack."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from queue_core.durations import DurationError, parse_duration_ms
from reports.results.load import FaultCode

FAULTS: dict[FaultCode, bool] = {
    "kill-worker": False,
    "pause-redis": True,
    "restart-redis": False,
    "ai-errors": True,
}
"""Each fault, and whether it lasts for a time that must be given."""
FAULTS_MAX = 100
LAST_MS_MAX = 3_600_000.0
EXAMPLE = "kill-worker@20s,pause-redis@30s:5s,restart-redis@40s,ai-errors@50s:10s"

_FAULT = re.compile(r"([a-z-]+)@([^:@]+)(?::([^:@]+))?")


class PlanError(ValueError):
    """A plan that cannot be carried out; the message says what is wrong with which part."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: seconds from the start of the load, and how long it is kept up (0: it is over by itself)."""

    code: FaultCode
    at_s: float
    lasts_s: float = 0.0

    def __str__(self) -> str:
        return f"{self.code}@{self.at_s:g}s" + (f":{self.lasts_s:g}s" if self.lasts_s else "")


class FeltFault(msgspec.Struct, frozen=True):
    """A fault that began, in seconds from the start of the load; `end_s` is None until the part works again."""

    code: FaultCode
    start_s: float
    end_s: float | None = None


class Target(Protocol):
    """A deployment that faults strike, such as a Stack. Each method returns when it is done."""

    @property
    def workers(self) -> int:
        """How many workers there are."""
        ...

    def kill_worker(self, number: int) -> None:
        """Kills worker 1 … `workers` and starts it again; returns when it is ready."""

    def pause_redis(self) -> None:
        """Freezes Redis."""

    def resume_redis(self) -> None:
        """Undoes that."""

    def restart_redis(self) -> None:
        """Stops Redis and starts it again; returns when it answers."""

    def ai_errors(self, seconds: float) -> None:
        """The AI answers with errors for so long; 0 ends that."""


def parse_plan(text: str) -> tuple[Fault, ...]:
    """The faults of a plan such as `kill-worker@20s,pause-redis@30s:5s`, in the order of their times.

    Raises PlanError.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > FAULTS_MAX:
        raise PlanError(f"the plan has {len(parts)} faults; {FAULTS_MAX} is the limit")
    plan = tuple(sorted((_parse_fault(part) for part in parts), key=lambda fault: fault.at_s))
    pauses = [fault for fault in plan if fault.code == "pause-redis"]
    for pause in pauses:
        for other in plan:
            is_of_redis = other is not pause and other.code in ("pause-redis", "restart-redis")
            if is_of_redis and pause.at_s <= other.at_s <= pause.at_s + pause.lasts_s:
                raise PlanError(f"{other} falls into {pause}: one server cannot do both at once")
    return plan


def _parse_fault(text: str) -> Fault:
    match = _FAULT.fullmatch(text)
    if not match:
        raise PlanError(f"{text!r} is not a fault: write NAME@TIME or NAME@TIME:DURATION, as in {EXAMPLE}")
    name, at, lasts = match.groups()
    code = next((known for known in FAULTS if known == name), None)
    if code is None:
        raise PlanError(f"{text!r}: there is no fault {name!r}; known are {', '.join(FAULTS)}")
    if FAULTS[code] and lasts is None:
        raise PlanError(f"{text!r}: how long? Write {code}@{at}:5s")
    if not FAULTS[code] and lasts is not None:
        raise PlanError(f"{text!r}: {code} takes no duration; write {code}@{at}")
    try:
        at_ms = parse_duration_ms(at)
        lasts_ms = parse_duration_ms(lasts, is_above_0=True, at_most_ms=LAST_MS_MAX) if lasts else 0.0
    except DurationError as error:
        raise PlanError(f"{text!r}: {error}") from None
    return Fault(code, at_ms / 1000, lasts_ms / 1000)


class Chaos:
    """Carries out a plan, each fault in a thread of its own, since one may be waiting while the next one is due.

    Args:
        plan: What is to be done.
        target: On what.
        changed: Is given all faults that began, in the order of their starts, whenever one begins or is over.
        now: Unix time in seconds.
        wait: Sleeps for so many seconds; returns True at once when `stop` was called. None: really sleeps.
    """

    def __init__(
        self,
        plan: Iterable[Fault],
        target: Target,
        *,
        changed: Callable[[list[FeltFault]], None],
        now: Callable[[], float] = time.time,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._plan = tuple(plan)
        self._target = target
        self._changed = changed
        self._now = now
        self._stopped = threading.Event()
        self._wait = wait or self._stopped.wait
        self._lock = threading.Lock()
        self._felt: dict[int, FeltFault] = {}  # by number in the plan, which may hold equal faults
        self._threads: list[threading.Thread] = []
        self.errors: list[str] = []
        """Faults that could not be carried out, and why."""

    @property
    def missed(self) -> list[Fault]:
        """Faults whose time never came."""
        with self._lock:
            return [fault for number, fault in enumerate(self._plan) if number not in self._felt]

    def start(self, load_started_at: float) -> None:
        """Begins; times of the plan count from `load_started_at`, Unix time in seconds."""
        kills = 0
        for number, fault in enumerate(self._plan):
            kills += fault.code == "kill-worker"
            worker = (kills - 1) % self._target.workers + 1  # they take turns
            thread = threading.Thread(
                target=self._carry_out,
                args=(number, worker, load_started_at),
                name=str(fault),
                daemon=True,
            )
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """No more faults; those that last are ended. Returns when all is as it was."""
        self._stopped.set()
        self.join()

    def join(self) -> None:
        """Returns when every fault that was begun is over."""
        for thread in self._threads:
            thread.join()

    def _carry_out(self, number: int, worker: int, load_started_at: float) -> None:
        fault = self._plan[number]
        delay_s = load_started_at + fault.at_s - self._now()
        if delay_s > 0 and self._wait(delay_s):
            return
        felt = FeltFault(fault.code, round(self._now() - load_started_at, 3))
        with self._lock:
            self._felt[number] = felt
            self._tell()
        try:
            self._strike(fault, worker)
        except Exception as error:  # noqa: BLE001 - whatever it is, the run is told that this fault failed
            with self._lock:
                self.errors.append(f"{fault}: {error}")
        with self._lock:
            end_s = round(self._now() - load_started_at, 3)
            self._felt[number] = msgspec.structs.replace(felt, end_s=end_s)
            self._tell()

    def _tell(self) -> None:
        self._changed(sorted(self._felt.values(), key=lambda felt: felt.start_s))

    def _strike(self, fault: Fault, worker: int) -> None:
        if fault.code == "kill-worker":
            self._target.kill_worker(worker)
        elif fault.code == "restart-redis":
            self._target.restart_redis()
        elif fault.code == "pause-redis":
            self._target.pause_redis()
            try:
                self._wait(fault.lasts_s)
            finally:
                self._target.resume_redis()
        else:
            self._target.ai_errors(fault.lasts_s)
            if self._wait(fault.lasts_s):
                self._target.ai_errors(0)
