"""Processes in one event loop on simulated time: each may freeze, or die at any await; then none of its code runs."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any, Literal

from sim.engine.loop import SimLoop

BURIAL_ROUNDS_MAX = 200
"""Limit of tries to end the tasks of a process; some swallow a few cancellations."""

_current: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


class ProcessLoop(SimLoop):
    """Event loop that runs the callbacks of a process only while the process is running."""

    def now_ms(self) -> float:
        """Return simulated time."""
        return self.time() * 1000

    def later(self, delay_ms: float, callback: Callable[..., Any], *args: Any) -> None:
        """Call back outside of all processes."""
        self.call_later(delay_ms / 1000, callback, *args, context=self.outside)

    def call_soon(  # type: ignore[override]  # the base class has narrower types
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Schedule a callback, which waits while its process is frozen."""
        process = _process_in(context)
        if process is None:
            return super().call_soon(callback, *args, context=context)
        step = _Step(process, callback, args)
        step.handle = super().call_soon(step, context=context)
        return step.handle

    def call_at(  # type: ignore[override]  # the base class has narrower types
        self,
        when: float,
        callback: Callable[..., Any],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Schedule a callback at a time; it waits on while its process is frozen."""
        process = _process_in(context)
        if process is None:
            return super().call_at(when, callback, *args, context=context)
        step = _Step(process, callback, args)
        step.handle = handle = super().call_at(when, step, context=context)
        return handle

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        """Create a task, which belongs to the process in whose context it runs."""
        task = super().create_task(coro, **options)
        process = _process_in(options.get("context"))
        if process is not None:
            process.tasks.add(task)
            task.add_done_callback(process.tasks.discard, context=self.outside)
        return task

    def resume(self, steps: list[_Step]) -> None:
        """Run steps that waited, in their order."""
        for step in steps:
            super().call_soon(step, context=step.handle._context)  # type: ignore[attr-defined]


class _Step:
    """Callback of a process."""

    handle: asyncio.Handle

    def __init__(self, process: Process, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._process = process
        self._callback = callback
        self._args = args

    def __call__(self) -> None:
        if self.handle.cancelled():
            return
        if self._process.state == "running":
            self._callback(*self._args)
        else:
            self._process.held.append(self)


class Process:
    """Process whose tasks run only while its state is "running"."""

    def __init__(self, loop: ProcessLoop, name: str) -> None:
        self.name = name
        self.state: Literal["running", "frozen", "dead"] = "running"
        self.is_buried = False
        self.is_stopping = False
        """True after it was told to stop in good order; only tests do so."""
        self.makes_passes = False
        """True for a worker that a scheduler calls now and then, only in tests."""
        self.tasks: set[asyncio.Task[Any]] = set()
        self.held: list[_Step] = []
        self.started_ms = loop.now_ms()
        self.stopped_ms: float | None = None
        """Time at which it was told to stop."""
        self.died_ms: float | None = None
        """Time of its end, whether it was killed or ended in good order."""
        self.frozen_ms: list[tuple[float, float]] = []
        """Spans for which it stood still."""
        self.ended: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._context = contextvars.Context()
        self._context.run(_current.set, self)

    def start(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Start a task in this process."""
        return self._loop.create_task(coroutine, name=f"{self.name} {name}", context=self._context.copy())

    def freeze(self, for_ms: float) -> None:
        """Stand still from now on, at the next await of every task."""
        now_ms = self._loop.now_ms()
        self.state = "frozen"
        self.frozen_ms.append((now_ms, now_ms + for_ms))

    def thaw(self) -> None:
        """Go on as if no time had passed."""
        self.state = "running"
        held, self.held = self.held, []
        self._loop.resume(held)

    def die(self) -> None:
        """End at once, without any clean-up."""
        if self.state == "dead":
            return
        self.state = "dead"
        self.died_ms = self._loop.now_ms()
        self.ended.set_result(None)

    async def bury(self) -> None:
        """End the tasks, after the run. What is outside may look at `is_buried`, and refuse what they still try."""
        self.is_buried = True
        for task in list(self.tasks):
            task.cancel()
        self.thaw()
        for _ in range(BURIAL_ROUNDS_MAX):
            tasks = sorted(self.tasks, key=hash)
            if not tasks:
                return
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=1)
        raise AssertionError(f"tasks of {self.name} never ended: {self.tasks}")


def current_process() -> Process | None:
    """Return the process whose code runs now; None outside of all processes."""
    return _current.get()


def _process_in(context: contextvars.Context | None) -> Process | None:
    return _current.get() if context is None else context.get(_current)
