"""The command that searches whole deployments, by default until Ctrl-C."""

from __future__ import annotations

import pytest

from tests.queue_core.searches.deployment import bugs
from tests.queue_core.searches.deployment.__main__ import RUNS_IN_PACKET, Packet, main, packets, search_packet


def test_a_seed_draws_the_same_runs_again() -> None:
    first, again = (search_packet(Packet(7, 0, 10)) for _ in range(2))
    assert first == again
    assert first.broken == ""
    assert first.events["acknowledges"] > 0
    assert search_packet(Packet(8, 0, 10)).events != first.events


def test_runs_are_cut_into_packets() -> None:
    assert [packet.runs for packet in packets(1, RUNS_IN_PACKET + 1)] == [RUNS_IN_PACKET, 1]


def test_a_broken_promise_comes_with_the_smallest_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    bugs.steps_back_are_not_noticed(monkeypatch)
    broken = next(
        findings.broken for number in (1, 3, 5) if (findings := search_packet(Packet(1, number, 100))).broken
    )
    assert "clock is set" in broken
    assert "Plan(" in broken


def test_the_command_counts_runs_and_events(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--runs", "20", "--seed", "1", "--jobs", "1"]) == 0
    output = capsys.readouterr()
    assert output.out.startswith("20 runs of seed 1 broke no promise.")
    assert "  acknowledges: " in output.out
    assert "20 runs, " in output.err
