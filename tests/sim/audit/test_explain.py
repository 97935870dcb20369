"""Explanations: what really happened, compared with what each system does in a replay."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from queue_core.recording.format import Recording, Reply
from queue_core.recording.reader import load
from reports.results.replay import Explanation, Run
from reports.words.explanations import explanation_words
from sim.audit.audit import audit
from sim.audit.explain import explain, overlap
from sim.audit.fates import Limits
from sim.engine.settings import SimSettings
from sim.replay import replay
from sim.systems import all_systems
from tests.sim.command_line import INCIDENT, REPOSITORY, sim
from tests.sim.commands.test_audit_command import DAY


def runs_of(recording: Recording, *systems: str, runs: int = 1) -> list[Run]:
    known = all_systems()
    return [
        replay(recording, known[name], SimSettings(ai="constant:7s"), number)
        for name in systems
        for number in range(runs)
    ]


def as_answered_by(run: Run, recording: Recording) -> Recording:
    """Return the recording with the replies of a run, so that what really happened is known."""
    replies = [
        Reply(
            at=batch["replied_at_ms"],
            instance=batch["instance"],
            phone=batch["phone"],
            who="bot",
            ids=tuple(batch["ids"]),
        )
        for batch in run["batches"]
        if batch["replied_at_ms"] is not None
    ]
    end = Reply(at=10_000_000, instance="bot", phone="another", who="bot")
    return replace(recording, others=(*sorted(replies, key=lambda reply: reply.at), end))


def test_the_system_that_answered_explains_its_own_losses() -> None:
    recording = load([REPOSITORY / "logs" / "storm-100-in-10-s.jsonl"])[0]
    runs = runs_of(recording, "buffer-v1", "queue")
    real = as_answered_by(runs[0], recording)
    of_buffer, of_queue = explain([real], runs, ["buffer-v1", "queue"])
    lost = len(runs[0]["lost"])
    assert lost > 5
    counts = of_buffer["unanswered"]
    assert (counts["actual"], counts["predicted"], counts["both"]) == (lost, lost, lost)
    assert counts["probability"] < 1e-6
    assert of_queue["unanswered"]["both"] == 0
    assert explanation_words([of_buffer, of_queue]).startswith(
        f"buffer-v1 explains {lost} of {lost}\u00a0messages"
    )


def test_a_message_counts_as_predicted_if_half_of_the_runs_lose_it() -> None:
    recording = load([INCIDENT])[0]
    runs = runs_of(recording, "buffer-v1", runs=2)
    real = as_answered_by(runs[0], recording)
    runs[1]["ledger"] = [{**entry, "fate": "answered"} for entry in runs[1]["ledger"]]
    assert explain([real], runs, ["buffer-v1"])[0]["unanswered"]["predicted"] == 2
    third = {**runs[1], "run": 2}
    assert explain([real], [*runs, third], ["buffer-v1"])[0]["unanswered"]["predicted"] == 0  # type: ignore[list-item]


def test_a_message_that_comes_while_a_reply_is_made_is_predicted_to_cut_the_turn() -> None:
    recording = load([INCIDENT])[0]
    runs = runs_of(recording, "queue")
    explanation = explain([as_answered_by(runs[0], recording)], runs, ["queue"])[0]
    first = runs[0]["batches"][0]
    later = [entry["id"] for entry in runs[0]["ledger"] if entry["id"] not in first["ids"]]
    assert explanation["cut"]["predicted"] == len(later) == 2


def test_a_recording_without_replies_is_left_out() -> None:
    recording = load([INCIDENT])[0]
    assert explain([recording], runs_of(recording, "queue"), ["queue"]) == []


@pytest.mark.parametrize(("actual", "predicted"), [(3, 4), (5, 2), (1, 1), (6, 6), (0, 3), (3, 0)])
def test_the_probability_is_that_of_drawing_at_random(actual: int, predicted: int) -> None:
    messages = 9
    real = {("bot", "a", f"m{number}") for number in range(actual)}
    for both in range(min(actual, predicted) + 1):
        if predicted - both > messages - actual:
            continue
        guess = {
            ("bot", "a", f"m{number}") for number in (*range(both), *range(actual, actual + predicted - both))
        }
        draws = list(combinations(range(messages), predicted))
        as_good = sum(sum(number < actual for number in draw) >= both for draw in draws)
        counts = overlap(real, guess, messages)
        assert counts["both"] == both
        assert math.isclose(counts["probability"], as_good / len(draws), rel_tol=1e-3)


def test_a_coincidence_is_not_an_explanation() -> None:
    counts = overlap({("b", "a", "1")}, {("b", "a", str(number)) for number in range(8)}, 10)
    coincidence = Explanation(recording="r", system="s", messages=10, unanswered=counts, cut=counts)
    assert counts["both"] == 1
    assert explanation_words([coincidence]).startswith(
        "No system here explains the 1\u00a0message that got no reply or was probably not read"
    )
    nothing = overlap(set(), set(), 10)
    calm = Explanation(recording="r", system="s", messages=10, unanswered=nothing, cut=nothing)
    assert explanation_words([calm]).startswith("No message counts as left without a reply")


def test_an_explanation_counts_what_an_audit_counts_under_those_words(tmp_path: Path) -> None:
    (tmp_path / "day.jsonl").write_text(DAY, "utf-8")
    recording = load([tmp_path / "day.jsonl"])[0]
    audited = audit([recording], Limits())["total"]
    assert (audited["unanswered"], audited["too_soon"]) == (1, 1)
    explained = explain([recording], runs_of(recording, "buffer-v1"), ["buffer-v1"])
    assert explained[0]["unanswered"]["actual"] == 2
    assert "2\u00a0messages that got no reply or were probably not read" in explanation_words(explained)


def test_the_command_explains_on_console_page_and_json(tmp_path: Path) -> None:
    day = (
        INCIDENT.read_text("utf-8").splitlines()[1:],
        [
            '{"event":"reply","at":15000,"instance":"bot","phone":"user-1","who":"bot","text":"Hello"}',
            '{"event":"reply","at":9000000,"instance":"bot","phone":"end","who":"bot","text":"Hello"}',
        ],
    )
    (tmp_path / "day.jsonl").write_text("\n".join([*day[0], *day[1]]) + "\n", "utf-8")
    done = sim(
        "replay", "day.jsonl", "--explain-loss", "--ai", "constant:7s", "--system", "buffer-v1", cwd=tmp_path
    )
    assert "what really happened" in done.stdout, done.stderr
    page = (tmp_path / "reports" / "out" / "replay.html").read_text("utf-8")
    assert "<h3>What really happened</h3>" in page
    assert "--explain-loss" in page
    refused = sim("replay", INCIDENT, "--explain-loss", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("sim: --explain-loss: the recordings have no replies")
