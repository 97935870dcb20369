"""Work spread over processes that can be stopped at any moment.

The executor of `concurrent.futures` reads results in a separate thread: when a process is killed while it writes, that
thread waits forever, and the program never ends. Here each process has its own pipe, which the caller reads; when the
process ends, its pipe is closed.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

Shared = TypeVar("Shared")
Task = TypeVar("Task")
Result = TypeVar("Result")


class ChildProcessDiedError(Exception):
    """Raised when a process was killed before it returned a result."""


def spread(
    function: Callable[[Shared, Task], Result], shared: Shared, tasks: Sequence[Task], *, jobs: int
) -> Generator[tuple[int, Result], None, None]:
    """Call `function(shared, task)` for every task in `jobs` fresh processes, each of which is sent `shared` once.

    Yields the index and the result of each task when it ends. Closing the iterator, and any exception, ends the
    processes at once. Only the caller, which must be the main thread, receives SIGINT.

    Raises:
        ChildProcessDiedError: a process was killed.
        Exception: an exception of `function`, with its traceback as a note.
    """
    rest = iter(enumerate(tasks))
    with _processes(function, shared, jobs) as started:
        busy: dict[Connection, int] = {}
        free = started
        while True:
            for connection, (index, task) in zip(free, rest, strict=False):
                _give(connection, task)
                busy[connection] = index
            if not busy:
                return
            free = [connection for connection in wait(list(busy)) if isinstance(connection, Connection)]
            for connection in free:
                yield busy.pop(connection), _answer(connection)


def _give(connection: Connection, task: object) -> None:
    try:
        connection.send(task)
    except (BrokenPipeError, ConnectionResetError):
        raise _died() from None


def _answer(connection: Connection) -> Any:
    try:
        result, error = connection.recv()
    except (EOFError, ConnectionResetError):
        raise _died() from None
    if error is not None:
        raise error
    return result


def _died() -> ChildProcessDiedError:
    return ChildProcessDiedError("a process was killed; if memory ran out, use fewer processes: --jobs 1")


@contextlib.contextmanager
def _processes(
    function: Callable[[Shared, Task], Result], shared: Shared, jobs: int
) -> Iterator[list[Connection]]:
    """Start processes that wait for tasks; yields our end of the pipe to each."""
    context = multiprocessing.get_context("spawn")
    started = []
    connections: list[Connection] = []
    try:
        with _children_without_sigint():
            for _ in range(jobs):
                parent_end, child_end = context.Pipe()
                connections.append(parent_end)
                with child_end:  # closed here, so that the end of the child closes the pipe
                    process = context.Process(target=_work, args=(function, shared, child_end), daemon=True)
                    process.start()
                started.append(process)
        yield connections
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.join()
        for connection in connections:
            connection.close()


@contextlib.contextmanager
def _children_without_sigint() -> Iterator[None]:
    """Block SIGINT in processes started inside the block; in this process it takes effect after the block."""
    received: list[int] = []
    resource_tracker.ensure_running()  # starting it later would lift the block
    before = signal.signal(signal.SIGINT, lambda number, _: received.append(number))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, before)
    if received and before is not signal.SIG_IGN:
        raise KeyboardInterrupt


def _work(function: Callable[[Shared, Task], Result], shared: Shared, connection: Connection) -> None:
    """Do tasks until the pipe is closed. The process ends with its parent, even in the middle of a task."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            task = connection.recv()
            try:
                answer: tuple[Result | None, Exception | None] = function(shared, task), None
            except Exception as error:  # noqa: BLE001 - the parent process raises it
                error.add_note("".join(traceback.format_exception(error)))
                answer = None, error
            connection.send(answer)


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
    os._exit(1)
