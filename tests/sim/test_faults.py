"""Faults as they are typed, for the simulator and the load test: one grammar, one table."""

from __future__ import annotations

import pytest

from sim.engine.settings import SettingsError, SimSettings
from sim.faults import FAULTS, Fault, FaultError, Tool, faults_in_words, kinds_of, parse_faults

TYPED = ["redis-away@20s:5s", "worker-dies@500ms", "ai-fails=0.1", "process-restarts@1m:10s"]


def test_faults_are_read_in_the_order_of_their_times_and_written_as_they_are_typed() -> None:
    faults = parse_faults(TYPED, "sim")
    assert faults == parse_faults([",".join(TYPED)], "sim")
    assert faults == (
        Fault("ai-fails", rate=0.1),
        Fault("worker-dies", 500),
        Fault("redis-away", 20_000, 5000),
        Fault("process-restarts", 60_000, 10_000),
    )
    assert sorted(map(str, faults)) == sorted(TYPED)
    assert SimSettings(faults=faults).as_json()["faults"] == list(map(str, faults))


@pytest.mark.parametrize(
    ("tool", "text", "words"),
    [
        ("sim", "", "'' is not a fault: write NAME@TIME, NAME@TIME:DURATION or NAME=RATE"),
        ("sim", "redis-away", "is not a fault"),
        ("sim", "redis-awy@20s:5s", "there is no fault 'redis-awy'; did you mean \"redis-away\"?"),
        ("sim", "redis-away@20s", "how long? Write redis-away@20s:5s"),
        ("sim", "redis-away@20s:5", "5 has no unit"),
        ("sim", "redis-away@20s:0s", "more than 0"),
        ("sim", "redis-away=0.1", "redis-away has no rate; write redis-away@TIME:DURATION"),
        ("sim", "redis-restarts@20s:5s", "redis-restarts takes no duration; write redis-restarts@20s"),
        ("sim", "timer-dies=1.5", "the rate must be a number from 0 to 1"),
        ("sim", "timer-dies=often", "the rate must be a number from 0 to 1"),
        ("sim", "away@20s:5s", "away is now redis-away: write redis-away@20s:5s"),
        ("sim", "redis-away@5s:5s,redis-hangs@9s:1s", "redis-hangs@9s:1s falls into redis-away@5s:5s"),
        ("sim", "redis-restarts@5s,redis-hangs@6s:20s", "redis-hangs@6s:20s falls into redis-restarts@5s"),
        ("sim", "redis-fails-over@5s:9s,redis-full@5500ms:1s", "falls into redis-fails-over@5s:9s"),
        ("sim", "ai-fails@5s:5s,ai-fails@9s:1s", "ai-fails@9s:1s falls into ai-fails@5s:5s"),
        ("sim", "ai-fails@5s:5s,ai-fails=0.1", "ai-fails is given more than once"),
        ("load", "kill-worker@20s", "kill-worker is now worker-dies: write worker-dies@20s"),
        ("load", "clock-back@20s:1h", "the load test has no clock-back; it has redis-away"),
        ("load", "ai-fails=0.1", "ai-fails has no rate"),
        ("load", "worker-dies@20s:5s", "worker-dies takes no duration"),
    ],
)
def test_a_fault_that_cannot_be_used_is_refused_with_what_to_write(tool: Tool, text: str, words: str) -> None:
    with pytest.raises(FaultError) as caught:
        parse_faults([text], tool)
    assert words in str(caught.value)


def test_workers_may_die_together_and_one_fault_may_follow_another() -> None:
    assert (
        len(parse_faults(["worker-dies@5s,worker-dies@5s,redis-away@5s:5s,redis-hangs@11s:1s"], "load")) == 4
    )


def test_a_fault_of_redis_may_follow_a_restart_once_redis_is_back() -> None:
    assert len(parse_faults(["redis-restarts@5s,redis-hangs@6001ms:1s"], "sim")) == 2


def test_the_help_of_each_tool_lists_its_faults() -> None:
    for tool in ("sim", "load"):
        listed = [line.split()[0] for line in faults_in_words(tool).splitlines()[::2]]
        assert listed == list(kinds_of(tool))
    assert list(kinds_of("sim")) == list(FAULTS)


def test_the_engine_fakeredis_refuses_faults_of_redis_and_of_processes() -> None:
    for fault in parse_faults(TYPED, "sim"):
        if fault.name == "ai-fails":
            SimSettings(engine="fakeredis", faults=(fault,))
            continue
        with pytest.raises(SettingsError, match=f"engine: fakeredis has no {fault.name}"):
            SimSettings(engine="fakeredis", faults=(fault,))
