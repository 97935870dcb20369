"""Faults while the load runs, made to happen to the stack. `sim.faults` has their names and their grammar."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from reports.results.faults import FaultName
from sim.faults import Fault

EXAMPLE = "worker-dies@20s,redis-hangs@30s:5s,redis-restarts@40s,ai-fails@50s:10s"


class InjectedFault(msgspec.Struct, frozen=True):
    """A fault that has begun. Times count from the start of the load; `end_s` is None until the fault has ended.

    `killed` is the process that died at `killed_s`, by the name that the sink knows; "" before, and for other faults.
    `error` says why the fault could not be carried out; "" if it could.
    """

    code: FaultName
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
            kills += fault.name == "worker-dies"
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
        delay_s = load_started_at + fault.at_ms / 1000 - self._now()
        if delay_s > 0 and self._wait(delay_s):
            return
        with self._lock:
            self._injected[number] = InjectedFault(fault.name, self._since(load_started_at))
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
        if fault.name == "worker-dies":
            killed = self._target.kill_worker(worker)
            self._change(number, killed=killed, killed_s=self._since(load_started_at))
            self._target.await_worker(worker)
        elif fault.name == "redis-restarts":
            self._target.restart_redis()
        elif fault.name == "redis-hangs":
            self._begin_and_end(number, self._target.pause_redis, self._target.resume_redis, load_started_at)
        elif fault.name == "redis-away":
            self._begin_and_end(number, self._target.stop_redis, self._target.start_redis, load_started_at)
        elif fault.name == "ai-fails":
            self._begin_errors(number, self._target.ai_errors, load_started_at)
        else:
            self._begin_errors(number, self._target.channel_errors, load_started_at)

    def _begin_errors(self, number: int, errors: Callable[[float], None], load_started_at: float) -> None:
        """Begin errors that end by themselves, or earlier when the load is over."""
        lasts_s = self._plan[number].lasts_ms / 1000
        errors(lasts_s)
        self._change(number, start_s=self._since(load_started_at))  # the request took some time
        if self._wait(lasts_s):
            errors(0)

    def _begin_and_end(
        self, number: int, begin: Callable[[], None], end: Callable[[], None], load_started_at: float
    ) -> None:
        """Begin a fault, and end it after its duration, or earlier when the load is over."""
        begin()
        try:
            self._change(number, start_s=self._since(load_started_at))
            self._wait(self._plan[number].lasts_ms / 1000)
        finally:
            end()
