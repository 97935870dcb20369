"""Plans of faults: reading them, and making each fault begin and end at its time."""

from __future__ import annotations

import threading

import pytest

from loadtests.stack.chaos import EXAMPLE, Chaos, InjectedFault
from sim.faults import Fault, FaultError, parse_faults

PATIENCE_S = 30.0


class Recorder:
    """A target that records the calls of its methods."""

    def __init__(self, workers: int = 2) -> None:
        self.workers = workers
        self.done: list[str] = []
        self.paused = threading.Event()

    def kill_worker(self, number: int) -> str:
        self.done.append(f"kill {number}")
        return f"worker-{number}.1"

    def await_worker(self, number: int) -> None:
        self.done.append(f"await {number}")

    def stop_redis(self) -> None:
        self.done.append("stop")

    def start_redis(self) -> None:
        self.done.append("start")

    def pause_redis(self) -> None:
        self.done.append("pause")
        self.paused.set()

    def resume_redis(self) -> None:
        self.done.append("resume")

    def restart_redis(self) -> None:
        self.done.append("restart")

    def ai_errors(self, seconds: float) -> None:
        self.done.append(f"ai-errors {seconds:g}")

    def channel_errors(self, seconds: float) -> None:
        self.done.append(f"channel-errors {seconds:g}")


class Clock:
    """A clock that a wait moves, for one thread at a time."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def now(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> bool:
        self.now_s += seconds
        return False


def carried_out(plan: str, target: Recorder) -> tuple[Chaos, list[InjectedFault]]:
    """Carry out a plan on a clock that its waits move."""
    reports: list[list[InjectedFault]] = [[]]
    clock = Clock()
    chaos = Chaos(
        parse_faults([plan], "load"), target, changed=reports.append, now=clock.now, wait=clock.wait
    )
    chaos.start(1000.0)
    chaos.join()
    return chaos, reports[-1]


def test_the_plan_of_the_help_is_read_in_the_order_of_its_times() -> None:
    expected = (
        Fault("worker-dies", 20_000),
        Fault("redis-hangs", 30_000, 5000),
        Fault("redis-restarts", 40_000),
        Fault("ai-fails", 50_000, 10_000),
    )
    assert parse_faults([EXAMPLE], "load") == expected
    assert parse_faults(reversed(EXAMPLE.split(",")), "load") == expected
    assert ",".join(map(str, expected)) == EXAMPLE


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ("", "is not a fault"),
        ("worker-dies", "is not a fault"),
        ("worker-dies@20s,", "is not a fault"),
        ("worker-dies@20", "20 has no unit"),
        ("worker-dies@-1s", "-1s is negative"),
        ("worker-dies@nans", "is not a duration"),
        ("worker-dies@20s:5s", "takes no duration"),
        ("redis-hangs@20s", "how long"),
        ("redis-hangs@20s:0s", "more than 0"),
        ("ai-fails@20s:2h", "at most"),
        ("unplug@20s", "there is no fault 'unplug'"),
        ("redis-hangs@20s:5s,redis-restarts@22s", "falls into"),
        ("redis-hangs@20s:5s,redis-hangs@24s:5s", "falls into"),
        ("redis-away@20s", "how long"),
        ("redis-away@20s:5s,redis-restarts@25s", "redis-restarts@25s falls into redis-away@20s:5s"),
        ("redis-hangs@24s:5s,redis-away@20s:20s", "falls into"),
        ("redis-hangs@20s:5s,redis-away@24s:20s", "falls into"),
        ("redis-restarts@20s,redis-restarts@20s", "falls into"),
        (",".join(["worker-dies@1s"] * 101), "100 is the limit"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused_with_the_reason(plan: str, words: str) -> None:
    with pytest.raises(FaultError, match=words):
        parse_faults([plan], "load")


def test_redis_may_fail_again_as_soon_as_it_is_back() -> None:
    plan = "redis-hangs@20s:5s,redis-away@26s:20s,redis-restarts@47s,redis-restarts@48s"
    assert ",".join(map(str, parse_faults([plan], "load"))) == plan


def test_other_faults_may_come_while_redis_is_paused() -> None:
    assert (
        len(parse_faults(["redis-hangs@20s:5s,worker-dies@22s,ai-fails@21s:3s,redis-restarts@26s"], "load"))
        == 4
    )


@pytest.mark.parametrize(
    ("plan", "done", "lasts_s"),
    [
        ("worker-dies@20s", ["kill 1", "await 1"], 0),
        ("redis-away@20s:5s", ["stop", "start"], 5),
        ("redis-restarts@20s", ["restart"], 0),
        ("redis-hangs@20s:5s", ["pause", "resume"], 5),
        ("ai-fails@20s:10s", ["ai-errors 10"], 10),
        ("channel-fails@20s:10s", ["channel-errors 10"], 10),
    ],
)
def test_a_fault_strikes_at_its_time_and_lasts_as_long_as_planned(
    plan: str, done: list[str], lasts_s: float
) -> None:
    target = Recorder()
    chaos, injected = carried_out(plan, target)
    assert target.done == done
    (fault,) = injected
    assert (fault.code, fault.start_s, fault.end_s) == (
        parse_faults([plan], "load")[0].name,
        20.0,
        20.0 + lasts_s,
    )
    assert (chaos.missed, chaos.errors) == ([], [])


def test_workers_are_killed_in_turn() -> None:
    target = Recorder(workers=2)
    carried_out("worker-dies@1s,worker-dies@2s,worker-dies@3s", target)
    kills = sorted(done for done in target.done if done.startswith("kill"))
    assert kills == ["kill 1", "kill 1", "kill 2"]


def test_a_killed_worker_is_named_with_the_moment_of_its_death_before_the_new_one_is_ready() -> None:
    clock, reports = Clock(), list[InjectedFault]()

    class Slow(Recorder):
        def await_worker(self, number: int) -> None:
            assert reports[-1] == InjectedFault("worker-dies", 20.0, None, "worker-1.1", 20.0)
            clock.now_s += 3

    def changed(faults: list[InjectedFault]) -> None:
        reports.extend(faults)

    chaos = Chaos(
        parse_faults(["worker-dies@20s"], "load"), Slow(), changed=changed, now=clock.now, wait=clock.wait
    )
    chaos.start(1000.0)
    chaos.join()
    assert chaos.errors == []
    assert reports[-1] == InjectedFault("worker-dies", 20.0, 23.0, "worker-1.1", 20.0)


def test_stopping_ends_faults_that_last_and_lists_those_that_never_began() -> None:
    target = Recorder()
    reports: list[list[InjectedFault]] = []
    plan = parse_faults(["redis-hangs@0s:1h,worker-dies@1h"], "load")
    chaos = Chaos(plan, target, changed=reports.append, now=lambda: 1000.0)
    chaos.start(1000.0)
    assert target.paused.wait(PATIENCE_S)
    assert reports[-1] == [InjectedFault("redis-hangs", 0.0, None)], "it is not over"
    chaos.stop()
    assert target.done == ["pause", "resume"]
    assert reports[-1] == [InjectedFault("redis-hangs", 0.0, 0.0)]
    assert [fault.name for fault in chaos.missed] == ["worker-dies"]


def test_a_fault_that_fails_is_reported_and_does_not_stop_another() -> None:
    class Broken(Recorder):
        def restart_redis(self) -> None:
            raise RuntimeError("it does not come back")

    target = Broken()
    chaos, injected = carried_out("redis-restarts@1s,worker-dies@2s", target)
    assert chaos.errors == ["redis-restarts@1s: it does not come back"]
    assert target.done == ["kill 1", "await 1"]
    assert all(fault.end_s is not None for fault in injected)
    assert len(injected) == 2


def test_all_faults_of_a_plan_that_was_not_started_are_missed() -> None:
    chaos = Chaos(parse_faults([EXAMPLE], "load"), Recorder(), changed=lambda _: None)
    chaos.stop()
    assert ",".join(map(str, chaos.missed)) == EXAMPLE
