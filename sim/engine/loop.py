"""asyncio on SimPy's clock: production code runs unmodified, and waiting costs no time.

Rules for the passing of time, and for the order of events at one instant:

1. While a callback or task is ready, it runs, and time stands still.
2. When nothing is ready, SimPy takes its next step if it is due before asyncio's next timer, or at the same time
   (within TIE_MS, because one clock counts milliseconds and the other seconds). Tasks that the step made ready
   run before the next step.
3. Otherwise the clock moves to asyncio's next timer. Timers of one instant fire in the order of their times, and
   timers of exactly one time in the order in which they were set.
4. When there is neither a step nor a timer, the loop raises SimulationDeadlock, with the names of the tasks that
   still wait, because nothing can happen any more.

No real input or output is possible on this loop; attempts raise RealInputOutputError.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import math
import signal
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from heapq import heappop, heappush
from typing import Any, NoReturn, TypeVar

import simpy

T = TypeVar("T")

TIE_MS = 1e-5
"""Ten nanoseconds: a SimPy event and a timer are simultaneous up to this distance."""
TURNS_WITHOUT_TIME_MAX = 1_000_000
"""Limit on turns of the loop at one instant; more of them count as an endless loop."""
_RESOLUTION_S = 1e-8
_FINE_UNTIL_S = 2.0**24
"""Time until which a float has the resolution."""
_Event = tuple[float, int, Callable[[Any], None], Any]
"""Time, number, function and argument of a call that cannot be cancelled."""


class SimulationError(RuntimeError):
    """Error after which the simulation cannot continue."""


class SimulationDeadlock(SimulationError):  # noqa: N818 - "deadlock" is the usual term
    """Raised for a deadlock: tasks wait for events that can no longer happen; the message names the tasks."""


class SimulationStalled(SimulationError):  # noqa: N818 - as above
    """Raised when tasks keep each other busy at one instant without end."""


class RealInputOutputError(SimulationError):
    """Raised when simulated code tries to use sockets, threads, processes or signals."""


class SimEnvironment(simpy.Environment):
    """SimPy's environment, in milliseconds, whose clock the loop moves between events."""

    def step(self) -> None:
        """Process the next event. An exception of a process that nobody waits for is raised as it is.

        SimPy itself raises a copy, which fails for exceptions whose constructor takes more than a message.
        """
        try:
            super().step()
        except BaseException as error:
            cause = error.__cause__
            if cause is not None and type(cause) is type(error) and cause.args == error.args:
                raise cause from None
            raise


class SimTask(asyncio.Task[Any]):
    """Task whose hash is its number, so that the order of a set of tasks is the same in every run.

    asyncio and its users iterate over sets of tasks; by default their order depends on addresses in memory.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any], *, sequence: int, **options: Any) -> None:
        self.sequence = sequence
        super().__init__(coroutine, **options)

    def __hash__(self) -> int:
        return self.sequence

    def __eq__(self, other: object) -> bool:
        return self is other


class _Handle(asyncio.TimerHandle):
    """A callback that waits for its turn or for its time, with no more than a simulation needs."""

    __slots__ = ()

    def __init__(
        self,
        when_s: float,
        callback: Callable[..., Any],
        args: tuple[Any, ...],
        context: contextvars.Context | None,
    ) -> None:
        self._when = when_s
        self._callback: Callable[..., Any] | None = callback
        self._args = args
        self._context = contextvars.copy_context() if context is None else context
        self._cancelled = False
        self._repr = self._source_traceback = None

    def cancel(self) -> None:
        self._cancelled = True
        self._callback, self._args = None, ()


class SimLoop(asyncio.BaseEventLoop):
    """An asyncio event loop in simulated time. `time()` is `env.now / 1000`, in seconds.

    Its callbacks, timers and turns replace those of BaseEventLoop, which do much that a simulation does not need.
    """

    def __init__(self, env: SimEnvironment | None = None) -> None:
        super().__init__()
        self.env = env or SimEnvironment()
        self.outside = contextvars.Context()
        """Context of what belongs to no simulated process: Redis, the AI, the send API, the provider."""
        self.errors: list[BaseException] = []
        """Exceptions of callbacks, and of tasks that nobody awaits."""
        self.get_debug = bool  # type: ignore[method-assign]  # asyncio asks for each future
        self.create_future = partial(asyncio.Future, loop=self)  # type: ignore[method-assign]  # as above
        self._ready: deque[_Handle | _Event] = deque()
        self._timers: list[tuple[float, int, _Handle] | _Event] = []
        """A heap; the numbers keep timers of one time in the order in which they were set."""
        self._timers_made = 0
        self._now_s = self.env.now / 1000
        self._resolution_s = _RESOLUTION_S
        self._tasks_made = 0
        self.interrupted = False
        """True makes the loop raise KeyboardInterrupt before time moves; a signal handler may set it."""
        self.set_exception_handler(self._keep_error)

    def time(self) -> float:
        """Return simulated seconds, not less than the time of the last timer, even after rounding ms to s."""
        return self._now_s

    def call_soon(  # type: ignore[override]  # the base class has narrower types
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Schedule a callback for the next turn."""
        if self._closed:  # type: ignore[attr-defined]  # of BaseEventLoop
            raise RuntimeError("Event loop is closed")
        handle = _Handle(self._now_s, callback, args, context)
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]  # as above
        self,
        delay: float,
        callback: Callable[..., Any],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Schedule a callback after some seconds."""
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]  # as above
        self,
        when: float,
        callback: Callable[..., Any],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Schedule a callback at a time of `time()`."""
        handle = _Handle(when, callback, args, context)
        self._timers_made = number = self._timers_made + 1
        heappush(self._timers, (when, number, handle))
        return handle

    def at(self, when_s: float, callback: Callable[[Any], None], argument: Any) -> None:
        """Call back at a time of `time()`, outside of all processes. Cheaper than `call_at`; cannot be cancelled."""
        self._timers_made = number = self._timers_made + 1
        heappush(self._timers, (when_s, number, callback, argument))

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        """Make a task that starts in the next turn."""
        self._tasks_made = sequence = self._tasks_made + 1
        return SimTask(coro, loop=self, sequence=sequence, **options)

    def waiting_timers(self) -> int:
        """Count the timers that still run."""
        return sum(len(timer) == 4 or not timer[2].cancelled() for timer in self._timers)

    def _run_once(self) -> None:
        """Take turns until the loop is stopped."""
        ready, timers = self._ready, self._timers
        turns, turns_at_s = 0, self._now_s
        while not self._stopping:  # type: ignore[attr-defined]  # of BaseEventLoop
            if not ready:
                self._let_time_pass()
            turns = turns + 1 if self._now_s == turns_at_s else 1
            turns_at_s = self._now_s
            if turns > TURNS_WITHOUT_TIME_MAX:
                raise SimulationStalled(self._stalled_message())
            if timers and timers[0][0] < self._now_s + self._resolution_s:
                self._take_timers()
            for _ in range(len(ready)):
                due = ready.popleft()
                try:
                    if isinstance(due, tuple):
                        due[2](due[3])
                    elif not due._cancelled:
                        due._context.run(due._callback, *due._args)  # type: ignore[arg-type]  # it is not cancelled
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:  # noqa: BLE001 - as in asyncio
                    self.call_exception_handler(
                        {"message": f"Exception in callback {due!r}", "exception": error}
                    )

    def _take_timers(self) -> None:
        """Let the timers that are due take their turns."""
        timers, ready, latest_s = self._timers, self._ready, self._now_s + self._resolution_s
        while timers and timers[0][0] < latest_s:
            timer = heappop(timers)
            if len(timer) == 4:
                ready.append(timer)
            elif not timer[2]._cancelled:
                ready.append(timer[2])

    def _let_time_pass(self) -> None:
        """Take SimPy's steps, or move the clock to the next timer, by rules 2 to 4 above."""
        if self.interrupted:
            self.interrupted = False
            raise KeyboardInterrupt
        env, timers, ready, events = self.env, self._timers, self._ready, self.env._queue
        while not ready:
            while timers and len(timers[0]) == 3 and timers[0][2]._cancelled:
                heappop(timers)
            if events and (not timers or events[0][0] <= timers[0][0] * 1000 + TIE_MS):
                event_s = events[0][0] / 1000
                self._now_s = max(self._now_s, event_s)
                env.step()
            elif timers:
                timer_s = timers[0][0]
                env._now = max(env._now, timer_s * 1000)
                if timer_s > self._now_s:
                    self._now_s = timer_s
                    if timer_s > _FINE_UNTIL_S:
                        self._resolution_s = 4 * math.ulp(timer_s)
                return
            else:
                raise SimulationDeadlock(self._deadlock_message())

    def until(self, event: simpy.Event) -> asyncio.Future[Any]:
        """Make a future of a SimPy event: `value = await loop.until(env.process(...))` also raises its failure."""
        future = self.create_future()

        def fire(fired: Any) -> None:  # an Event; SimPy's type of `ok` is wrong
            if future.done():
                return
            if fired.ok:
                future.set_result(fired.value)
            else:
                fired.defused = True
                future.set_exception(fired.value)

        callbacks: list[Any] | None = event.callbacks  # None once the event has been processed
        if callbacks is None:
            fire(event)
        else:
            callbacks.append(fire)
        return future

    def start(self, coroutine: Coroutine[Any, Any, Any], *, name: str) -> simpy.Event:
        """Start a coroutine from a SimPy process, which may `yield` the returned event to wait for its result."""
        event = self.env.event()

        def finish(task: asyncio.Task[Any]) -> None:
            if task.cancelled():
                event.fail(SimulationError(f"the task {name!r} was cancelled"))
            elif error := task.exception():
                event.fail(error)  # type: ignore[arg-type]  # SimPy only asks that it can be raised
            else:
                event.succeed(task.result())

        self.create_task(coroutine, name=name).add_done_callback(finish)
        return event

    def shut_down(self) -> None:
        """Cancel all running tasks, oldest first, wait for their cleanup, and close. Safe after any error."""
        try:
            with contextlib.suppress(SimulationError):
                tasks = self._tasks()
                for task in tasks:
                    task.cancel()
                if tasks:
                    self.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
                self.run_until_complete(self.shutdown_asyncgens())
        finally:
            self.close()

    def call_soon_threadsafe(  # type: ignore[override]  # the base class has narrower types
        self, callback: Callable[..., Any], *args: Any, **options: Any
    ) -> asyncio.Handle:
        """Schedule the callback as `call_soon` does. Raises RealInputOutputError in another thread."""
        if self.is_running() and threading.get_ident() != self._thread_id:  # type: ignore[attr-defined]
            raise RealInputOutputError(
                "call_soon_threadsafe from another thread: a simulation has one thread"
            )
        return self.call_soon(callback, *args, **options)

    def _keep_error(self, loop: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.errors.append(error if error is not None else SimulationError(context["message"]))

    def _stalled_message(self) -> str:
        return (
            f"{TURNS_WITHOUT_TIME_MAX} turns of the loop at {self.env.now:.3f} ms: tasks keep each other busy "
            f"without ever waiting: {self._waiting_tasks()}"
        )

    def _tasks(self) -> list[SimTask]:
        tasks = [task for task in asyncio.all_tasks(self) if isinstance(task, SimTask)]
        return sorted(tasks, key=lambda task: task.sequence)

    def _deadlock_message(self) -> str:
        return (
            f"deadlock at {self.env.now:.3f} ms: no task is ready, no timer runs, and SimPy has no event. "
            f"Still waiting: {self._waiting_tasks()}"
        )

    def _waiting_tasks(self) -> str:
        tasks = []
        for task in self._tasks():
            stack = task.get_stack(limit=1)
            location = f" in {stack[0].f_code.co_qualname}, line {stack[0].f_lineno}" if stack else ""
            tasks.append(f"{task.get_name()}{location}")
        return "; ".join(tasks) or "no task"


def _forbidden(name: str) -> Callable[..., NoReturn]:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise RealInputOutputError(
            f"{name}() in a simulation: there are no sockets, threads, processes or signals here; "
            "use the methods of World"
        )

    return refuse


for _name in (
    "add_reader",
    "add_signal_handler",
    "add_writer",
    "connect_accepted_socket",
    "connect_read_pipe",
    "connect_write_pipe",
    "create_connection",
    "create_datagram_endpoint",
    "create_server",
    "create_unix_connection",
    "create_unix_server",
    "getaddrinfo",
    "getnameinfo",
    "run_in_executor",
    "sendfile",
    "sock_accept",
    "sock_connect",
    "sock_recv",
    "sock_recv_into",
    "sock_recvfrom",
    "sock_sendall",
    "sock_sendfile",
    "sock_sendto",
    "start_tls",
    "subprocess_exec",
    "subprocess_shell",
):
    setattr(SimLoop, _name, _forbidden(_name))


def run(main: Callable[[SimLoop], Coroutine[Any, Any, T]], loop: SimLoop | None = None) -> T:
    """Run `main(loop)` in simulated time and return its result; `loop` is a new one by default.

    Raises the exceptions of `main`, SimulationDeadlock, SimulationStalled, and the first exception of a SimPy process,
    callback or task that nobody waits for.
    """
    loop = loop or SimLoop()
    with _interrupting(loop):
        try:
            result = loop.run_until_complete(main(loop))
        finally:
            loop.shut_down()
    if loop.errors:
        raise loop.errors[0]
    return result


@contextlib.contextmanager
def _interrupting(loop: SimLoop) -> Generator[None, None, None]:
    """Let Ctrl-C end the simulation between two steps.

    Python may raise KeyboardInterrupt at any line, also where it gets lost, such as inside Redis's Lua.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    ):
        yield
        return

    def interrupt(*_: object) -> None:
        loop.interrupted = True

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
