"""Faults while the load runs: reading a plan of them, and making them happen to the stack."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Protocol

import msgspec

from queue_core.durations import DurationError, parse_duration_ms
from reports.results.load import FaultCode


class FaultKind(NamedTuple):
    """A kind of fault. `has_duration` is True if it lasts for a time that the plan must give."""

    has_duration: bool
    meaning: str


FAULTS: dict[FaultCode, FaultKind] = {
    "kill-worker": FaultKind(False, "a worker is killed and started again; workers take turns"),
    "pause-redis": FaultKind(True, "Redis stands still: connections stay open, nothing answers"),
    "stop-redis": FaultKind(True, "Redis is killed: connections are refused until it starts on its data"),
    "restart-redis": FaultKind(False, "Redis is stopped in good order and started at once"),
    "ai-errors": FaultKind(True, "the AI answers 500"),
    "channel-errors": FaultKind(True, "WhatsApp answers each send with 503"),
}
REDIS_FAULTS: tuple[FaultCode, ...] = ("pause-redis", "stop-redis", "restart-redis")
"""Faults during which Redis answers nobody."""
FAULTS_MAX = 100
LAST_MS_MAX = 3_600_000.0
EXAMPLE = "kill-worker@20s,pause-redis@30s:5s,restart-redis@40s,ai-errors@50s:10s"

_FAULT = re.compile(r"([a-z-]+)@([^:@]+)(?::([^:@]+))?")


class PlanError(ValueError):
    """A plan that cannot be carried out; the message quotes the wrong part."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of a plan. `at_s` counts from the start of the load; `lasts_s` is 0 for a fault that ends by itself."""

    code: FaultCode
    at_s: float
    lasts_s: float = 0.0

    def __str__(self) -> str:
        return f"{self.code}@{self.at_s:g}s" + (f":{self.lasts_s:g}s" if self.lasts_s else "")


class InjectedFault(msgspec.Struct, frozen=True):
    """A fault that has begun. Times count from the start of the load; `end_s` is None until the fault has ended.

    `killed` is the process that died at `killed_s`, by the name that the sink knows; "" before, and for other faults.
    `error` says why the fault could not be carried out; "" if it could.
    """

    code: FaultCode
    start_s: float
    end_s: float | None = None
    killed: str = ""
    killed_s: float | None = None
    error: str = ""


class Target(Protocol):
    """A deployment to break, such as a Stack. Each method returns when it is done."""

    workers: int

    def kill_worker(self, number: int) -> str:
        """Kill worker 1 … `workers` and start it again; return the name of the dead process."""

    def await_worker(self, number: int) -> None:
        """Return when a worker that was started again is ready."""

    def pause_redis(self) -> None:
        """Freeze Redis."""

    def resume_redis(self) -> None:
        """Let Redis go on after pause_redis."""

    def stop_redis(self) -> None:
        """Kill Redis."""

    def start_redis(self) -> None:
        """Start Redis again after stop_redis."""

    def restart_redis(self) -> None:
        """Stop Redis in good order and start it again."""

    def ai_errors(self, seconds: float) -> None:
        """Make the AI answer with errors for some seconds; 0 ends that."""

    def channel_errors(self, seconds: float) -> None:
        """Make WhatsApp refuse all sends for some seconds; 0 ends that."""


def parse_plan(text: str) -> tuple[Fault, ...]:
    """Read a plan such as `kill-worker@20s,pause-redis@30s:5s`, in the order of its times. Raises PlanError."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > FAULTS_MAX:
        raise PlanError(f"the plan has {len(parts)} faults; {FAULTS_MAX} is the limit")
    plan = tuple(sorted((_parse_fault(part) for part in parts), key=lambda fault: fault.at_s))
    of_redis = [fault for fault in plan if fault.code in REDIS_FAULTS]
    for fault, later in pairwise(of_redis):
        if later.at_s <= fault.at_s + fault.lasts_s:
            raise PlanError(f"{later} falls into {fault}: one server cannot do both at once")
    return plan


def _parse_fault(text: str) -> Fault:
    match = _FAULT.fullmatch(text)
    if not match:
        raise PlanError(f"{text!r} is not a fault: write NAME@TIME or NAME@TIME:DURATION, as in {EXAMPLE}")
    name, at, lasts = match.groups()
    code = next((known for known in FAULTS if known == name), None)
    if code is None:
        raise PlanError(f"{text!r}: there is no fault {name!r}; known are {', '.join(FAULTS)}")
    if FAULTS[code].has_duration and lasts is None:
        raise PlanError(f"{text!r}: how long? Write {code}@{at}:5s")
    if not FAULTS[code].has_duration and lasts is not None:
        raise PlanError(f"{text!r}: {code} takes no duration; write {code}@{at}")
    try:
        at_ms = parse_duration_ms(at)
        lasts_ms = parse_duration_ms(lasts, is_above_0=True, at_most_ms=LAST_MS_MAX) if lasts else 0.0
    except DurationError as error:
        raise PlanError(f"{text!r}: {error}") from None
    return Fault(code, at_ms / 1000, lasts_ms / 1000)


class Chaos:
    """A plan that is carried out, each fault in its own thread, so that faults may overlap.

    Args:
        plan: The faults.
        target: The deployment.
        changed: Function that takes all faults that have begun, oldest first; called when a fault begins or ends.
        now: Function that returns the Unix time in seconds.
        wait: Function that sleeps for some seconds, or returns True at once after `stop`; tests replace it.
    """

    def __init__(
        self,
        plan: Iterable[Fault],
        target: Target,
        *,
        changed: Callable[[list[InjectedFault]], None],
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
        self._injected: dict[int, InjectedFault] = {}  # by number in the plan, since faults may be equal
        self._threads: list[threading.Thread] = []
        self.errors: list[str] = []
        """Faults that could not be carried out, each with the reason."""

    @property
    def missed(self) -> list[Fault]:
        """Faults that have not begun."""
        with self._lock:
            return [fault for number, fault in enumerate(self._plan) if number not in self._injected]

    def start(self, load_started_at: float) -> None:
        """Begin; the times of the plan count from `load_started_at`, Unix time in seconds."""
        kills = 0
        for number, fault in enumerate(self._plan):
            kills += fault.code == "kill-worker"
            worker = (kills - 1) % self._target.workers + 1  # workers take turns
            arguments = (number, worker, load_started_at)
            thread = threading.Thread(target=self._carry_out, args=arguments, name=str(fault), daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Begin no more faults, end those that last, and return when everything works again."""
        self._stopped.set()
        self.join()

    def join(self) -> None:
        """Wait until every fault has ended."""
        for thread in self._threads:
            thread.join()

    def _carry_out(self, number: int, worker: int, load_started_at: float) -> None:
        fault = self._plan[number]
        delay_s = load_started_at + fault.at_s - self._now()
        if delay_s > 0 and self._wait(delay_s):
            return
        with self._lock:
            self._injected[number] = InjectedFault(fault.code, self._since(load_started_at))
            self._report()
        try:
            self._strike(number, worker, load_started_at)
        except Exception as error:  # noqa: BLE001 - of any kind: the run reports that this fault failed
            with self._lock:
                self.errors.append(f"{fault}: {error}")
            self._change(number, error=str(error) or type(error).__name__)
        self._change(number, end_s=self._since(load_started_at))

    def _since(self, load_started_at: float) -> float:
        return round(self._now() - load_started_at, 3)

    def _change(self, number: int, **facts: str | float) -> None:
        """Note and report more facts about a fault that has begun."""
        with self._lock:
            self._injected[number] = msgspec.structs.replace(self._injected[number], **facts)
            self._report()

    def _report(self) -> None:
        self._changed(sorted(self._injected.values(), key=lambda injected: injected.start_s))

    def _strike(self, number: int, worker: int, load_started_at: float) -> None:
        fault = self._plan[number]
        if fault.code == "kill-worker":
            killed = self._target.kill_worker(worker)
            self._change(number, killed=killed, killed_s=self._since(load_started_at))
            self._target.await_worker(worker)
        elif fault.code == "restart-redis":
            self._target.restart_redis()
        elif fault.code == "pause-redis":
            self._last(fault, self._target.pause_redis, self._target.resume_redis)
        elif fault.code == "stop-redis":
            self._last(fault, self._target.stop_redis, self._target.start_redis)
        elif fault.code == "ai-errors":
            self._fail(fault, self._target.ai_errors)
        else:
            self._fail(fault, self._target.channel_errors)

    def _fail(self, fault: Fault, errors: Callable[[float], None]) -> None:
        """Begin errors that end by themselves, or earlier when the load is over."""
        errors(fault.lasts_s)
        if self._wait(fault.lasts_s):
            errors(0)

    def _last(self, fault: Fault, begin: Callable[[], None], end: Callable[[], None]) -> None:
        """Begin a fault, and end it after its duration, or earlier when the load is over."""
        begin()
        try:
            self._wait(fault.lasts_s)
        finally:
            end()
