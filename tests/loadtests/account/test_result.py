"""The result: samples of latencies, and faults that did not happen."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from loadtests.account.result import result_of, thinned
from loadtests.account.surroundings import USAGE_LOG, Surroundings, write_faults
from loadtests.options import Limits
from loadtests.stack.chaos import InjectedFault
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
    options = {**limits, "channel": "mixed", "surroundings": str(tmp_path)}
    outside = Outside(iter([0]))
    account = opened(outside, tmp_path, monkeypatch, **options)
    for sample in account.samples:
        sample.intended_at = sample.sent_at
    outside.events = [sent(account, 1, 1)]
    Surroundings("", {}, {}, plan=list(parse_faults(["worker-dies@100ms"], "load"))).write(tmp_path)
    write_faults(injected, tmp_path)
    (tmp_path / USAGE_LOG).write_bytes(b"")
    result = result_of(account, account.settle())
    happened = error == ""
    assert (result["valid"], result["ok"]) == (happened, happened)
    missed = [{"code": "worker-dies", "at_s": 0.1, "error": error}]
    assert result.get("missed_faults", []) == ([] if happened else missed)


def test_a_negative_time_becomes_0() -> None:
    assert thinned([3.0, -0.2, 1.0]) == [0.0, 1.0, 3.0]
