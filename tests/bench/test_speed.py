"""Tests of the benchmark's ratios, tables and worktree; its run is a soak test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.speed import figures, tables, worktree
from tests.bench.speed.contenders import FLOOR, OURS, REPOSITORY, TURNS
from tests.bench.speed.figures import Results
from tests.bench.speed.measuring import Measured
from tests.bench.speed.webhooks import BARE, Acknowledged


def results() -> Results:
    """Make results in which the machine was ten times slower in the second of three repeats."""
    made = Results("Redis", 1_000, peers=("BullMQ", "groupmq"))
    rates = {OURS: 300.0, "BullMQ": 200.0, "groupmq": 250.0, FLOOR: 900.0}
    for name, rate in rates.items():
        for case in TURNS if name == OURS else ("enqueue", "turns of one"):
            cpu = (10.0 if name == OURS else 20.0, 0.0 if case == "enqueue" else 20.0, 30.0)
            made.queues.setdefault(name, {})[case] = [
                Measured(rate / slow, *cpu, [0.4, 0.4, 2.0]) for slow in (1, 10, 1)
            ]
    made.webhooks = {OURS: [Acknowledged(200, [1.0])] * 3, BARE: [Acknowledged(100, [1.0])] * 3}
    return made


def test_ratios_hold_within_each_repeat_and_aims_compare_with_the_better_peer() -> None:
    aims = {aim.name: aim for aim in figures.aims(results())}
    assert aims["enqueues, times those of the faster peer"].figure == pytest.approx(1.2)
    assert aims["turns of three, times the turns of one of the faster peer"].figure == pytest.approx(1.2)
    assert aims["CPU of a message in turns of one, times the more frugal peer's"].figure == pytest.approx(
        60 / 70
    )
    reached = {name: aim.is_reached for name, aim in aims.items()}
    assert reached["turns of one, times those of the faster peer"]
    assert not reached["turns of three, times the turns of one of the faster peer"]
    assert reached["pickup in the median, ms"]
    assert not reached["95 % picked up within, ms"]
    assert not reached["CPU of a webhook, times the bare handler's"]


def test_tables_have_a_row_for_each_case_and_the_same_number_of_cells() -> None:
    made = results()
    rows = tables.queue_rows(made)
    assert [row[0] for row in rows[1:]] == [
        f"{OURS}, turns of one",
        f"{OURS}, turns of three",
        "BullMQ",
        "groupmq",
        FLOOR,
    ]
    assert rows[3][1:5] == ["0.67", "20 + 30 = 50", "0.67", "20 + 20 + 30 = 70"]
    for table in (rows, tables.webhook_rows(made), tables.aim_rows(made)):
        assert len({len(row) for row in table}) == 1
        assert len({line.count("|") for line in tables.markdown(table).splitlines()}) == 1


def test_another_commit_is_checked_out_for_as_long_as_it_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git = ("git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@example.org")
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    for text in ("before", "after"):
        (tmp_path / "file").write_text(text)
        subprocess.run([*git, "add", "file"], check=True)
        subprocess.run([*git, "commit", "--quiet", "--message", text], check=True)
    monkeypatch.setattr(worktree, "REPOSITORY", tmp_path)
    with worktree.worktree("HEAD~1") as checkout:
        assert (checkout / "file").read_text() == "before"
    assert not checkout.exists()
    assert not list((tmp_path / ".git").glob("worktrees/*"))
    with pytest.raises(worktree.UnknownCommitError, match="no-such"), worktree.worktree("no-such"):
        raise AssertionError("there is no such commit")


@pytest.mark.soak
def test_the_benchmark_measures_every_case(tmp_path: Path) -> None:
    facts = tmp_path / "facts.json"
    words = ["--messages", "1200", "--webhooks", "1000", "--repeats", "1", "--markdown", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.speed", *words, str(facts)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("|  | enqueue |")
    measured = json.loads(facts.read_text())
    assert set(measured["results"]["queues"][OURS]) == set(TURNS)
    assert set(measured["results"]["webhooks"]) == {OURS, BARE}
    shown = subprocess.run(
        [sys.executable, "-m", "tests.bench.speed", "--show", str(facts), "--markdown"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == done.stdout
