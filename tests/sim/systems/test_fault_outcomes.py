"""The tables in docs/faults.md: what each fault does to each system. UPDATE_DOCS=1 writes them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import cache

import pytest

from queue_core.recording.format import Recording
from queue_core.recording.reader import load
from reports.results.faults import FaultName
from reports.results.replay import Run
from sim.cli import main
from sim.engine.settings import SimSettings, with_options
from sim.faults import FAULTS, parse_faults
from sim.replay import replay
from sim.systems import all_systems
from tests.docs.documents import ROOT, made_table

PAGE, RECORDING = ROOT / "docs" / "faults.md", ROOT / "docs" / "planted.jsonl"
LATE_MS = 2000
SAME = "same"
SYSTEMS = ("buffer-v1", "buffer-v2", "list-v1", "list-v2", "queue")
MARKET = (
    "no-buffer",
    "n8n-wait",
    "n8n-debounce-node",
    "evolution-debounce",
    "chat-sdk",
    "chat-sdk-debounce",
    "bull-delay",
)
REPLAYED = (
    "requests-lost@38s:3s",
    "requests-lost=0.1",
    "answers-lost@38s:3s",
    "answers-lost=0.1",
    "late-copies=0.3",
    "connection-resets@38010ms",
    "connection-resets=0.1",
    "redis-away@35s:10s",
    "redis-hangs@35s:20s",
    "redis-restarts@40s",
    "redis-loses-writes@33s:2s",
    "redis-loses-writes@46s:2s",
    "redis-fails-over@33s:2s",
    "redis-fails-over@46s:2s",
    "redis-readonly@31s:10s",
    "redis-full@31s:10s",
    "scripts-abort=0.3",
    "clock-forward@35s:1h",
    "clock-back@35s:1h",
    "process-restarts@34s",
    "process-restarts@41s",
    "worker-dies@41s",
    "worker-freezes@41s:30s",
    "worker-cut-off@41s:30s",
    "web-dies@34s",
    "web-freezes@31s:20s",
    "web-cut-off@31s:20s",
    "timer-dies=0.5",
    "http-fails=0.5",
    "ai-fails@35s:20s",
    "ai-slow=0.3",
    "channel-fails@35s:20s",
    "acknowledgements-lost=0.3",
)
SLOW = (
    "answers-lost=0.1",
    "connection-resets=0.1",
    "redis-loses-writes@46s:2s",
    "redis-fails-over@46s:2s",
    "process-restarts@41s",
    "worker-dies@41s",
    "worker-cut-off@41s:30s",
)
"""Faults after which the lists wait half an hour for their monitor; in `make test` only the queue is replayed."""
QUICK = ("redis-away@35s:10s", "process-restarts@34s", "ai-fails@35s:20s", "acknowledgements-lost=0.3")
ALLOWED: Mapping[FaultName, Sequence[str]] = {
    "redis-loses-writes": ("lost", "twice"),
    "redis-fails-over": ("lost", "twice"),
    "scripts-abort": ("twice",),
}
"""Outcomes of the queue that docs/guarantees.md and docs/faults.md allow."""


@cache
def turns() -> Recording:
    """Load the recording of the page, of which no system loses anything by itself."""
    return load([RECORDING])[0]


def replayed(system: str, *faults: str) -> Run:
    """Replay the recording with faults, as `sim replay` does."""
    settings = SimSettings(faults=parse_faults(faults, "sim") if faults else ())
    return replay(turns(), all_systems()[system], with_options(settings, turns().settings))


@cache
def usual(system: str) -> dict[str, int]:
    """Return the times of the answers without faults."""
    run = replayed(system)
    assert [run["lost"], run["duplicated"], run["reordered"]] == [[], [], []], (
        "without faults nothing goes wrong"
    )
    return answers(run)


def answers(run: Run) -> dict[str, int]:
    """Return the time of the first answer to each message that has one."""
    return {entry["id"]: entry["answered_at_ms"] for entry in run["ledger"] if entry["answered_at_ms"]}


def outcome(system: str, fault: str) -> str:
    """Return what a fault does to a system."""
    run = replayed(system, fault)
    assert run["came_to_rest"], system
    assert all(cause["code"] != "vanished" for cause in run["causes"].values()), run["causes"]
    (struck,) = run["faults"]
    if not struck["struck"]:
        assert system in MARKET or _cannot_strike(system, struck["name"]), f"{fault} never struck {system}"
        return "never"
    is_late = any(at_ms > usual(system)[name] + LATE_MS for name, at_ms in answers(run).items())
    outcomes = {
        "lost": run["lost"],
        "twice": run["duplicated"],
        "dead": run["dead_lettered"],
        "waiting": run["pending"],
        "late": is_late or run["reordered"],
    }
    return ", ".join(word for word, has_it in outcomes.items() if has_it) or SAME


def _cannot_strike(system: str, fault: FaultName) -> bool:
    """Return True for a fault of something that the system does not have."""
    return {
        "timer-dies": not system.startswith("buffer"),
        "http-fails": system == "queue",
        "scripts-abort": system != "queue",
    }.get(fault, False)


def row(fault: str, systems: Sequence[str]) -> str:
    """Make the row of a fault."""
    return f"| `{fault}` | {' | '.join(outcome(system, fault) for system in systems)} |\n"


def _read(systems: Sequence[str], mark: str) -> dict[str, str]:
    """Read a table on the page, which is written first with UPDATE_DOCS."""
    head = f"| fault | {' | '.join(systems)} |\n|---|{'---|' * len(systems)}\n"
    write = "UPDATE_DOCS" in os.environ
    made = head + "".join(row(fault, systems) for fault in REPLAYED) if write else ""
    table = made_table(PAGE, f"tests/sim/systems/test_fault_outcomes.py{mark}", made, write=write)
    assert table.startswith(head)
    return {line.split("`")[1]: f"{line}\n" for line in table.splitlines()[2:]}


@pytest.fixture(scope="module")
def rows() -> dict[str, str]:
    """Read the rows of the bot's systems."""
    return _read(SYSTEMS, "")


@pytest.fixture(scope="module")
def market_rows() -> dict[str, str]:
    """Read the rows of the systems that people run today."""
    return _read(MARKET, ", market")


def test_the_tables_have_every_fault_and_every_system() -> None:
    assert {fault.name for text in REPLAYED for fault in parse_faults([text], "sim")} == set(FAULTS)
    assert {*SYSTEMS, *MARKET} == set(all_systems())


UPDATE = "run this test with UPDATE_DOCS=1, and look at the difference"


@pytest.mark.parametrize(
    "fault", [pytest.param(fault, marks=pytest.mark.soak if fault in SLOW else ()) for fault in REPLAYED]
)
def test_the_page_says_what_a_fault_does_to_each_system(fault: str, rows: dict[str, str]) -> None:
    assert row(fault, SYSTEMS) == rows[fault], UPDATE


@pytest.mark.parametrize(
    "fault", [pytest.param(fault, marks=() if fault in QUICK else pytest.mark.soak) for fault in REPLAYED]
)
def test_the_page_says_what_a_fault_does_to_the_market(fault: str, market_rows: dict[str, str]) -> None:
    assert row(fault, MARKET) == market_rows[fault], UPDATE


def test_the_command_on_the_page_replays_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    fault = "redis-away@35s:10s"
    command = f".venv/bin/python -m sim replay docs/planted.jsonl --fault {fault}"
    assert f"    {command} " in PAGE.read_text("utf-8")
    main(["replay", str(RECORDING), "--fault", fault, "--no-report", "--quiet", "--json", "-"])
    result = json.loads(capsys.readouterr().out)
    runs = {run["system"]: run for run in result["runs"]}
    assert runs.keys() == set(SYSTEMS)
    for system, run in runs.items():
        expected = replayed(system, fault)
        for name in ("lost", "duplicated", "dead_lettered", "ledger"):
            assert run[name] == json.loads(json.dumps(expected[name])), (system, name)


def test_the_page_says_what_slow_faults_do_to_the_queue(rows: dict[str, str]) -> None:
    for fault in SLOW:
        assert rows[fault].endswith(f"| {outcome('queue', fault)} |\n"), fault


def test_the_queue_loses_or_doubles_a_message_only_where_the_guarantees_allow_it(
    rows: dict[str, str],
) -> None:
    for text in REPLAYED:
        (fault,) = parse_faults([text], "sim")
        words = rows[text].rsplit("|", 2)[1].replace(",", " ").split()
        assert set(words) <= {*ALLOWED.get(fault.name, ()), "late", SAME, "never"}, rows[text]


@pytest.mark.parametrize(
    "faults", [["worker-dies@41s:20s"], ["worker-dies@41s", "worker-dies@41s"], ["web-dies@31s:5s"]]
)
def test_a_death_at_a_time_strikes_once(faults: Sequence[str]) -> None:
    run = replayed("queue", *faults)
    assert [fault["struck"] for fault in run["faults"]] == [1] * len(faults)
