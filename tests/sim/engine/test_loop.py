"""asyncio on SimPy's clock: time, order, ends, and errors."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import simpy

from sim.engine.loop import (
    RealInputOutputError,
    SimEnvironment,
    SimLoop,
    SimulationDeadlock,
    SimulationStalled,
    run,
)

REPOSITORY = Path(__file__).parents[3]


def test_waiting_takes_simulated_time_and_no_real_time() -> None:
    async def main(loop: SimLoop) -> float:
        await asyncio.sleep(86_400)
        return loop.time()

    began = time.perf_counter()
    assert run(main) == 86_400
    assert time.perf_counter() - began < 10


def test_timers_fire_in_the_order_of_their_times() -> None:
    async def main(loop: SimLoop) -> list[tuple[str, float]]:
        fired: list[tuple[str, float]] = []

        async def sleeper(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            fired.append((name, loop.env.now))

        async with asyncio.TaskGroup() as group:
            for name, seconds in (("c", 0.3), ("a", 0.1), ("b", 0.2), ("a2", 0.1)):
                group.create_task(sleeper(name, seconds))
        return fired

    assert run(main) == [("a", 100), ("a2", 100), ("b", 200), ("c", 300)]


@pytest.mark.parametrize("steps", [10, 3_000])
def test_many_small_waits_add_up_and_always_make_progress(steps: int) -> None:
    """0.1 s has no exact binary form: rounding between ms and s must neither stall nor skip a timer."""

    async def main(loop: SimLoop) -> float:
        await asyncio.sleep(20 * 86_400)
        for _ in range(steps):
            await asyncio.sleep(0.1)
        return loop.env.now - 20 * 86_400_000

    assert run(main) == pytest.approx(steps * 100, abs=0.01)


def test_timeouts_cancel_what_takes_too_long() -> None:
    async def main(loop: SimLoop) -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await asyncio.sleep(10)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 3)
        return loop.time()

    assert run(main) == 5


def test_events_and_queues_work_between_tasks() -> None:
    async def main(loop: SimLoop) -> list[int]:
        queue: asyncio.Queue[int] = asyncio.Queue(maxsize=1)

        async def produce() -> None:
            for number in range(3):
                await queue.put(number)
                await asyncio.sleep(1)

        producer = asyncio.create_task(produce())
        got = [await queue.get() for _ in range(3)]
        await producer
        return [*got, round(loop.time())]

    assert run(main) == [0, 1, 2, 3]


def test_simpy_and_asyncio_wait_for_each_other() -> None:
    async def main(loop: SimLoop) -> tuple[str, float]:
        async def work() -> str:
            await asyncio.sleep(2)
            return "from asyncio"

        def process(env: simpy.Environment) -> Generator[simpy.Event, Any, str]:
            yield env.timeout(1_000)
            answer: str = yield loop.start(work(), name="work")
            yield env.timeout(500)
            return answer

        value = await loop.until(loop.env.process(process(loop.env)))
        return value, loop.env.now

    assert run(main) == ("from asyncio", 3_500)


def test_a_simpy_event_at_the_same_instant_comes_before_the_timer() -> None:
    async def main(loop: SimLoop) -> list[str]:
        order: list[str] = []

        def process(env: simpy.Environment) -> Generator[simpy.Event, Any, None]:
            yield env.timeout(100)
            order.append("simpy")

        loop.env.process(process(loop.env))
        await asyncio.sleep(0.1)
        order.append("asyncio")
        return order

    assert run(main) == ["simpy", "asyncio"]


def test_an_event_that_already_happened_can_be_awaited() -> None:
    async def main(loop: SimLoop) -> object:
        event = loop.env.event().succeed("done")
        await asyncio.sleep(1)
        return await loop.until(event)

    assert run(main) == "done"


def test_a_deadlock_is_reported_with_the_names_of_those_who_wait() -> None:
    async def main(loop: SimLoop) -> None:
        forgotten = asyncio.create_task(asyncio.Event().wait(), name="the forgotten one")
        assert not forgotten.done()
        await asyncio.Event().wait()

    with pytest.raises(SimulationDeadlock, match="the forgotten one"):
        run(main)


def test_an_endless_loop_at_one_instant_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.engine.loop.TURNS_WITHOUT_TIME_MAX", 1_000)

    async def main(loop: SimLoop) -> None:
        while True:  # noqa: ASYNC110 - an endless loop is what this is about
            await asyncio.sleep(0)

    with pytest.raises(SimulationStalled, match="without ever waiting"):
        run(main)


def test_an_exception_in_a_simpy_process_that_nobody_awaits_surfaces() -> None:
    async def main(loop: SimLoop) -> None:
        def process(env: simpy.Environment) -> Generator[simpy.Event, Any, None]:
            yield env.timeout(1)
            raise LookupError("in a process")

        loop.env.process(process(loop.env))
        await asyncio.sleep(1)

    with pytest.raises(LookupError, match="in a process"):
        run(main)


def test_a_failed_process_raises_where_it_is_awaited() -> None:
    async def main(loop: SimLoop) -> str:
        def process(env: simpy.Environment) -> Generator[simpy.Event, Any, None]:
            yield env.timeout(1)
            raise LookupError

        try:
            await loop.until(loop.env.process(process(loop.env)))
        except LookupError:
            return "caught"
        return "missed"

    assert run(main) == "caught"


def test_an_exception_of_a_dropped_task_surfaces() -> None:
    async def main(loop: SimLoop) -> None:
        async def fail() -> None:
            raise LookupError("dropped")

        dropped = asyncio.create_task(fail())
        await asyncio.sleep(1)
        del dropped

    with pytest.raises(LookupError, match="dropped"):
        run(main)


def test_tasks_left_over_are_cancelled_and_may_clean_up() -> None:
    cleaned: list[str] = []

    async def main(loop: SimLoop) -> None:
        async def endless(name: str) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(1)
                cleaned.append(name)

        left_over = [asyncio.create_task(endless(name)) for name in ("first", "second")]
        await asyncio.sleep(1)
        assert not any(task.done() for task in left_over)

    run(main)
    assert cleaned == ["first", "second"]


def test_real_input_and_output_is_refused() -> None:
    async def main(loop: SimLoop) -> None:
        with pytest.raises(RealInputOutputError, match="create_connection"):
            await asyncio.open_connection("127.0.0.1", 1)
        with pytest.raises(RealInputOutputError):
            await asyncio.to_thread(time.time)
        with socket.socket() as unused, pytest.raises(RealInputOutputError):
            loop.add_reader(unused, print)

    run(main)


def test_two_loops_in_a_row_share_nothing() -> None:
    async def main(loop: SimLoop) -> float:
        await asyncio.sleep(5)
        return loop.env.now

    assert [run(main), run(main, SimLoop(SimEnvironment()))] == [5_000, 5_000]


def test_ctrl_c_ends_a_simulation() -> None:
    code = (
        "import asyncio, sim.engine.loop\n"
        "async def main(loop):\n"
        "    print('running', flush=True)\n"
        "    while True: await asyncio.sleep(1)\n"
        "try: sim.engine.loop.run(main)\n"
        "except KeyboardInterrupt: print('interrupted')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "running\n"
        child.send_signal(signal.SIGINT)
        output, _ = child.communicate(timeout=30)
    assert output == "interrupted\n"
