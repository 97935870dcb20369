"""A server on the store whose network and data fail as the faults of a run say."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import redis.exceptions

from reports.results.faults import FaultName
from sim.engine.injector import Injector
from sim.engine.store.request import Request
from sim.engine.store.server import INSPECTOR, StoreServer
from sim.faults import AWAY_MS, Fault

HTTP_TIMEOUT_S = 10.0
"""Time after which a caller over HTTP gives up. Other clients have timeouts of their own."""
LATE_MS = (50.0, 20_000.0)
"""Shortest and longest time until a request is carried out once more (`late-copies`)."""
WRITES_BEFORE_ABORT_MAX = 4
SECOND_WORKER = "worker-2"
OF_NETWORK: tuple[FaultName, ...] = (
    "requests-lost",
    "answers-lost",
    "late-copies",
    "connection-resets",
    "worker-cut-off",
    "web-cut-off",
    "worker-dies",
    "web-dies",
)
"""Faults that strike requests, or processes that send them."""
OF_SERVER: tuple[FaultName, ...] = (
    "redis-away",
    "redis-hangs",
    "redis-restarts",
    "redis-loses-writes",
    "redis-fails-over",
    "redis-readonly",
    "redis-full",
    "scripts-abort",
    "clock-forward",
    "clock-back",
)


class FaultyServer(StoreServer):
    """A StoreServer that fails.

    `took_step` is called for each request while its process runs. `lost_writes` is called when the data went back to an
    earlier state.
    """

    may_fail = True

    def __init__(
        self,
        *arguments: Any,
        clock_us: Callable[[], int],
        stream: Callable[[str], Random],
        faults: Injector,
        took_step: Callable[[], None],
        lost_writes: Callable[[], None],
        **options: Any,
    ) -> None:
        self._ahead_us = 0
        super().__init__(*arguments, clock_us=lambda: clock_us() + self._ahead_us, stream=stream, **options)
        self._faults = faults
        self._took_step = took_step
        self._lost_writes = lost_writes
        self._draws = stream("network faults")
        self._broken: set[Request] = set()
        """Requests that are carried out, and whose connection breaks before the answer comes."""
        for fault in faults.of(*OF_SERVER, "connection-resets"):
            self._plan(fault)

    # The network.

    def send(self, request: Request) -> None:
        """Send a request, which may be lost, broken, or come twice."""
        if request.client == INSPECTOR:
            super().send(request)
            return
        strikes = self._faults.strikes
        self._took_step()
        if strikes("requests-lost") or self._is_cut_off(request):
            self._lose(request)
            return
        if strikes("connection-resets"):
            if self._draws.random() < 0.5:
                self.later(request.half_s, request.fail, _reset())
                return
            self._broken.add(request)
        super().send(request)
        if strikes("late-copies"):
            self.later(self._draws.uniform(*LATE_MS) / 1000, self._execute_copy, request)

    def _arrive(self, request: Request) -> None:
        if self._outage == "hangs" and request.is_over_http:
            self._time_out(request)
        super()._arrive(request)

    def _serve(self, request: Request) -> None:
        fault = self._faults.drawn("scripts-abort")
        if fault is None:
            super()._serve(request)
            return
        self.store.abort_after(self._draws.randint(1, WRITES_BEFORE_ABORT_MAX))
        super()._serve(request)
        if not self.store.abort_after(None):
            self._faults.struck(fault)

    def _answer(self, request: Request) -> None:
        if request.client == INSPECTOR:
            super()._answer(request)
        elif request in self._broken:
            self._broken.remove(request)
            self._under_way.pop(request, None)
            request.fail(_reset())
        elif self._faults.strikes("answers-lost") or self._is_cut_off(request):
            self._lose(request)
        else:
            super()._answer(request)

    def _lose(self, request: Request) -> None:
        """Leave a request without an answer. Its connection is open, and may break later."""
        self._under_way[request] = None
        if request.is_over_http:
            self._time_out(request)

    def _time_out(self, request: Request) -> None:
        self.later(HTTP_TIMEOUT_S, request.fail, redis.exceptions.TimeoutError("The HTTP request timed out."))

    def _execute_copy(self, request: Request) -> None:
        if not self._outage:
            request.execute()

    def _is_cut_off(self, request: Request) -> bool:
        """Return True if this client cannot reach the server: the web process, the first worker, or all of a bot."""
        client, strikes = request.client, self._faults.strikes
        if client.startswith("worker"):
            return not client.startswith(SECOND_WORKER) and strikes("worker-cut-off")
        if client.startswith("web"):
            return strikes("web-cut-off")
        return strikes("worker-cut-off") or strikes("web-cut-off")

    # The server.

    def _plan(self, fault: Fault) -> None:
        at_s, end_s = fault.at_ms / 1000, (fault.at_ms + fault.lasts_ms) / 1000
        if fault.name in ("redis-loses-writes", "redis-fails-over"):
            self.later(max(0.0, at_s - fault.length_ms / 1000), self._keep_copy, fault)
        self.later(at_s, self._begin, fault)
        if fault.lasts_ms and fault.name not in ("scripts-abort", "connection-resets"):
            self.later(end_s, self._end)

    def _begin(self, fault: Fault) -> None:
        if fault.name == "scripts-abort":
            return
        self._faults.struck(fault)
        if fault.name in ("redis-away", "redis-hangs"):
            self.begin_outage(fault.name.removeprefix("redis-"))
        elif fault.name in ("redis-readonly", "redis-full"):
            self.store.set_state(
                is_full=fault.name == "redis-full", is_replica=fault.name == "redis-readonly"
            )
        elif fault.name in ("clock-forward", "clock-back"):
            self._ahead_us += round(fault.length_ms * 1000) * (1 if fault.name == "clock-forward" else -1)
        elif fault.name == "connection-resets":
            self.break_connections()
        else:
            self._restart(fault)

    def _end(self) -> None:
        self.store.set_state()
        self.end_outage()

    def _restart(self, fault: Fault) -> None:
        """Restart, or fail over: connections break, scripts are forgotten, and data may go back."""
        if fault.name == "redis-fails-over":
            self.break_connections()
            self.store.set_state(is_replica=True)
        else:
            self.begin_outage("away")
        self.store.forget_scripts()
        if fault.name != "redis-restarts":
            self.store.restore(str(fault))
            self._lost_writes()
        self.later(AWAY_MS / 1000, self._end)

    def _keep_copy(self, fault: Fault) -> None:
        self.store.keep_copy(str(fault))


def _reset() -> Exception:
    return redis.exceptions.ConnectionError("Connection reset by peer")
