"""Plans of faults: reading them, and making each fault begin and end at its time."""

from __future__ import annotations

import threading

import pytest

from loadtests.stack.chaos import EXAMPLE, Chaos, Fault, InjectedFault, PlanError, parse_plan

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
    chaos = Chaos(parse_plan(plan), target, changed=reports.append, now=clock.now, wait=clock.wait)
    chaos.start(1000.0)
    chaos.join()
    return chaos, reports[-1]


def test_the_plan_of_the_help_is_read_in_the_order_of_its_times() -> None:
    expected = (
        Fault("kill-worker", 20),
        Fault("pause-redis", 30, 5),
        Fault("restart-redis", 40),
        Fault("ai-errors", 50, 10),
    )
    assert parse_plan(EXAMPLE) == expected
    assert parse_plan(",".join(reversed(EXAMPLE.split(",")))) == expected
    assert ",".join(map(str, expected)) == EXAMPLE


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ("", "is not a fault"),
        ("kill-worker", "is not a fault"),
        ("kill-worker@20s,", "is not a fault"),
        ("kill-worker@20", "20 has no unit"),
        ("kill-worker@-1s", "-1s is negative"),
        ("kill-worker@nans", "is not a duration"),
        ("kill-worker@20s:5s", "takes no duration"),
        ("pause-redis@20s", "how long"),
        ("pause-redis@20s:0s", "more than 0"),
        ("ai-errors@20s:2h", "at most"),
        ("unplug@20s", "known are kill-worker"),
        ("pause-redis@20s:5s,restart-redis@22s", "both at once"),
        ("pause-redis@20s:5s,pause-redis@24s:5s", "both at once"),
        ("stop-redis@20s", "how long"),
        ("stop-redis@20s:5s,restart-redis@25s", "restart-redis@25s falls into stop-redis@20s:5s"),
        ("pause-redis@24s:5s,stop-redis@20s:20s", "both at once"),
        ("pause-redis@20s:5s,stop-redis@24s:20s", "both at once"),
        ("restart-redis@20s,restart-redis@20s", "both at once"),
        (",".join(["kill-worker@1s"] * 101), "100 is the limit"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused_with_the_reason(plan: str, words: str) -> None:
    with pytest.raises(PlanError, match=words):
        parse_plan(plan)


def test_redis_may_fail_again_as_soon_as_it_is_back() -> None:
    plan = "pause-redis@20s:5s,stop-redis@26s:20s,restart-redis@47s,restart-redis@48s"
    assert ",".join(map(str, parse_plan(plan))) == plan


def test_other_faults_may_come_while_redis_is_paused() -> None:
    assert len(parse_plan("pause-redis@20s:5s,kill-worker@22s,ai-errors@21s:3s,restart-redis@26s")) == 4


@pytest.mark.parametrize(
    ("plan", "done", "lasts_s"),
    [
        ("kill-worker@20s", ["kill 1", "await 1"], 0),
        ("stop-redis@20s:5s", ["stop", "start"], 5),
        ("restart-redis@20s", ["restart"], 0),
        ("pause-redis@20s:5s", ["pause", "resume"], 5),
        ("ai-errors@20s:10s", ["ai-errors 10"], 10),
        ("channel-errors@20s:10s", ["channel-errors 10"], 10),
    ],
)
def test_a_fault_strikes_at_its_time_and_lasts_as_long_as_planned(
    plan: str, done: list[str], lasts_s: float
) -> None:
    target = Recorder()
    chaos, injected = carried_out(plan, target)
    assert target.done == done
    (fault,) = injected
    assert (fault.code, fault.start_s, fault.end_s) == (parse_plan(plan)[0].code, 20.0, 20.0 + lasts_s)
    assert (chaos.missed, chaos.errors) == ([], [])


def test_workers_are_killed_in_turn() -> None:
    target = Recorder(workers=2)
    carried_out("kill-worker@1s,kill-worker@2s,kill-worker@3s", target)
    kills = sorted(done for done in target.done if done.startswith("kill"))
    assert kills == ["kill 1", "kill 1", "kill 2"]


def test_a_killed_worker_is_named_with_the_moment_of_its_death_before_the_new_one_is_ready() -> None:
    clock, reports = Clock(), list[InjectedFault]()

    class Slow(Recorder):
        def await_worker(self, number: int) -> None:
            assert reports[-1] == InjectedFault("kill-worker", 20.0, None, "worker-1.1", 20.0)
            clock.now_s += 3

    def changed(faults: list[InjectedFault]) -> None:
        reports.extend(faults)

    chaos = Chaos(parse_plan("kill-worker@20s"), Slow(), changed=changed, now=clock.now, wait=clock.wait)
    chaos.start(1000.0)
    chaos.join()
    assert chaos.errors == []
    assert reports[-1] == InjectedFault("kill-worker", 20.0, 23.0, "worker-1.1", 20.0)


def test_stopping_ends_faults_that_last_and_lists_those_that_never_began() -> None:
    target = Recorder()
    reports: list[list[InjectedFault]] = []
    plan = parse_plan("pause-redis@0s:1h,kill-worker@1h")
    chaos = Chaos(plan, target, changed=reports.append, now=lambda: 1000.0)
    chaos.start(1000.0)
    assert target.paused.wait(PATIENCE_S)
    assert reports[-1] == [InjectedFault("pause-redis", 0.0, None)], "it is not over"
    chaos.stop()
    assert target.done == ["pause", "resume"]
    assert reports[-1] == [InjectedFault("pause-redis", 0.0, 0.0)]
    assert [fault.code for fault in chaos.missed] == ["kill-worker"]


def test_a_fault_that_fails_is_reported_and_does_not_stop_another() -> None:
    class Broken(Recorder):
        def restart_redis(self) -> None:
            raise RuntimeError("it does not come back")

    target = Broken()
    chaos, injected = carried_out("restart-redis@1s,kill-worker@2s", target)
    assert chaos.errors == ["restart-redis@1s: it does not come back"]
    assert target.done == ["kill 1", "await 1"]
    assert all(fault.end_s is not None for fault in injected)
    assert len(injected) == 2


def test_all_faults_of_a_plan_that_was_not_started_are_missed() -> None:
    chaos = Chaos(parse_plan(EXAMPLE), Recorder(), changed=lambda _: None)
    chaos.stop()
    assert ",".join(map(str, chaos.missed)) == EXAMPLE
