"""The result: samples of latencies, and faults that did not happen."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import pytest

from loadtests.account.result import result_of, thinned
from loadtests.account.stack_facts import USAGE_LOG, StackFacts, write_faults
from loadtests.options import Limits
from loadtests.stack.chaos import InjectedFault
from loadtests.stack.usage import MachineUsage, Usage, UsageLog
from sim.faults import parse_faults
from tests.loadtests.account.test_account import Outside, opened, sent


def test_thinning_keeps_the_extremes() -> None:
    values = thinned([float(value) for value in range(100_000)])
    assert (len(values), values[0], values[-1]) == (20_000, 0.0, 99_999.0)


@pytest.mark.parametrize(
    ("injected", "error"),
    [
        ([], None),
        ([InjectedFault("worker-dies", 0.1, 0.2, error="there is no worker")], "there is no worker"),
        ([InjectedFault("worker-dies", 0.1, 0.2)], ""),
    ],
)
def test_a_fault_of_the_plan_that_did_not_happen_makes_the_result_invalid(
    injected: list[InjectedFault], error: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {limit.name: limit.default for limit in dataclasses.fields(Limits)}
    options = {**limits, "channel": "mixed", "stack_facts": str(tmp_path)}
    outside = Outside(iter([0]))
    account = opened(outside, tmp_path, monkeypatch, **options)
    for sample in account.samples:
        sample.intended_at = sample.sent_at
    outside.events = [sent(account, 1, 1)]
    StackFacts("", {}, {}, plan=list(parse_faults(["worker-dies@100ms"], "load"))).write(tmp_path)
    write_faults(injected, tmp_path)
    (tmp_path / USAGE_LOG).write_bytes(b"")
    result = result_of(account, account.settle())
    happened = error == ""
    assert (result["valid"], result["ok"]) == (happened, happened)
    missed = [{"code": "worker-dies", "at_s": 0.1, "error": error}]
    assert result.get("missed_faults", []) == ([] if happened else missed)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"scenario": "steady"}, {"rate_per_min", "duration_s"}),
        ({"scenario": "storm"}, {"storm_users"}),
        ({"scenario": "storm", "storm_users": 0}, set[str]()),
    ],
)
def test_a_result_has_the_options_that_its_scenario_uses(
    options: dict[str, str | int], names: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {limit.name: limit.default for limit in dataclasses.fields(Limits)}
    account = opened(Outside(iter([0])), tmp_path, monkeypatch, **limits, channel="mixed", **options)
    settings = result_of(account, account.settle())["settings"]
    assert settings.keys() == {"scenario", "channel", "drain_s", "redeliver_s", *names}


@pytest.mark.parametrize("is_one_lost", [False, True])
def test_a_busy_machine_makes_a_slow_load_invalid_unless_a_message_was_lost(
    is_one_lost: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {limit.name: limit.default for limit in dataclasses.fields(Limits)}
    outside = Outside(iter([0]))
    account = opened(outside, tmp_path, monkeypatch, **limits, channel="mixed", stack_facts=str(tmp_path))
    for sample in account.samples:
        sample.intended_at = sample.sent_at = account.start_at
        sample.acknowledged_at = account.start_at + 0.9
    answered = sent(account, 1, 1)
    outside.events = [msgspec.structs.replace(answered, ids=answered.ids[is_one_lost:])]
    account.drain_s = 1.0
    StackFacts("", {}, {}).write(tmp_path)
    log = UsageLog(tmp_path / USAGE_LOG)
    for t_s in (0.0, 1.0):
        log.add(t_s, Usage({}, 7, MachineUsage(total_s=2 * t_s, busy_s=2 * t_s, idle_s=0.0, own_s={1: t_s})))
    result = result_of(account, account.settle())
    assert (result["ok"], result["valid"]) == (False, is_one_lost)
    assert result.get("busy_machine") == (None if is_one_lost else {"busy_s": 1.0, "others": 0.5})


@pytest.mark.parametrize("was_stopped", [False, True])
def test_a_load_that_the_generator_gave_up_is_invalid_and_one_that_somebody_stopped_is_not(
    was_stopped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {limit.name: limit.default for limit in dataclasses.fields(Limits)}
    outside = Outside(iter([0]))
    account = opened(outside, tmp_path, monkeypatch, **limits, channel="mixed")
    del account.samples[2:]
    for sample in account.samples:
        sample.intended_at = sample.sent_at
    account.was_stopped = was_stopped
    outside.events = [sent(account, 1, 1)]
    result = result_of(account, account.settle())
    assert (result["unsent"], result["valid"], result["ok"]) == (1, was_stopped, was_stopped)


def test_a_negative_time_becomes_0() -> None:
    assert thinned([3.0, -0.2, 1.0]) == [0.0, 1.0, 3.0]
