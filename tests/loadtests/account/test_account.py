"""The account of a load, with made-up answers of the deployment and of the sink."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests

from loadtests.account import account as module
from loadtests.account.account import Account, AccountError
from loadtests.account.ledger import Sample
from loadtests.account.stack_facts import write_faults
from loadtests.sink.event import Event
from loadtests.stack.chaos import InjectedFault


class Outside:
    """A deployment and a sink. `waiting` has the depth of the queue at each measurement; the last one stays.

    Where `waiting` has None, the queue was not counted, and the gauges keep their values.
    """

    def __init__(self, waiting: Iterator[int | None], *, estimated: int = 0) -> None:
        self.waiting = waiting
        self.depth = 0
        self.estimated = estimated
        self.events: list[Event] = []

    def ask(self, method: str, url: str, hint: str) -> requests.Response:
        """Answer a request of the account."""
        answer = requests.Response()
        body = b""
        if url.endswith("/metrics"):
            depth = next(self.waiting, self.depth)
            self.depth = self.depth if depth is None else depth
            figures = {"depth": self.depth, "in_flight": 0, "dead_letters_waiting": 0, "redis_up": 1}
            figures |= {"counted": int(depth is not None), "estimated": self.estimated}
            body = "".join(f"burstqueue_{name} {value}\n" for name, value in figures.items()).encode()
        elif "/sink/events" in url:
            after = int(url.rpartition("=")[2])
            body = b"".join(msgspec.json.encode(event) + b"\n" for event in self.events[after:])
        answer._content = body
        return answer


def opened(outside: Outside, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Account:
    """Open the account of a load of which everything is sent and answered."""
    monkeypatch.setattr(module, "_ask", outside.ask)
    monkeypatch.setattr(module, "LEAD_S", 0.0)
    monkeypatch.setattr(module, "COUNT_AGE_S_MAX", 0.0)
    monkeypatch.setattr(module, "MEASURE_EVERY_S", 0.01)
    given = {"scenario": "storm", "rate": 600.0, "duration": "1s", "seed": 1, "storm_users": 3, "speed": 1.0}
    given |= {"recording": "", "drain": "60s", "redeliver": "2s", "sink": "", "stack_facts": ""}
    account = Account(argparse.Namespace(out=str(folder), **(given | options)), "")
    now = time.time()
    account.add(
        [Sample(job.message_id, job.conversation, now, now, now, 200) for job in account.jobs], is_last=True
    )
    return account


def sent(account: Account, number: int, at_s: float, caller: str = "") -> Event:
    """Return a send of all messages, at a time in seconds from the start of the load."""
    at = 1000 * (account.start_at + at_s)
    ids = [sample.id for sample in account.samples]
    return Event(n=number, event="sent", at=at, turn=1, ids=ids, answered_at=at, caller=caller)


def test_the_drain_goes_on_while_an_answered_message_waits_since_it_may_be_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = Outside(iter([0, 3, 3, 3, 0]))
    account = opened(outside, tmp_path, monkeypatch)
    outside.events = [sent(account, 1, 0)]
    account.run()
    assert list(outside.waiting) == []
    assert account.drain_s < 30


def test_the_progress_never_counts_more_messages_in_the_queue_than_were_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Processes report what they sent later than the queue has it."""
    monkeypatch.setattr(module, "MEASUREMENTS_PER_PROGRESS", 1)
    caplog.set_level("INFO", "loadtests")
    account = opened(Outside(iter([0, 2, 2, 1])), tmp_path, monkeypatch)
    reported, account.samples = account.samples, []
    account._is_complete.clear()
    monkeypatch.setattr(time, "time", lambda: account.start_at + account.jobs[1].at_s + 0.001)
    account._measure()
    assert caplog.messages[-1] == "0 s: messages: 2 of 3 due, 2 in the queue"
    # The progress shows the time, and not the number of measurements, which may take long.
    monkeypatch.setattr(time, "time", lambda: account.start_at + 128)
    account.add(reported, is_last=False)
    account._is_complete.set()
    account._measure()
    assert caplog.messages[-1] == "128 s: messages: 3 of 3 sent, 2 in the queue"


def test_messages_are_not_lost_because_the_queue_was_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MEASUREMENTS_PER_PROGRESS", 1)
    caplog.set_level("INFO", "loadtests")
    account = opened(Outside(iter([0, None, None, 3])), tmp_path, monkeypatch)
    account._measure()
    assert caplog.messages[-1].endswith(", the queue was not counted")
    assert account.timeline()[0]["depth"] is None
    counts = account.settle().counts
    assert (counts["waiting"], counts["lost"]) == (3, 0)


def test_messages_are_not_lost_because_their_number_is_estimated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = opened(Outside(iter([0, 1]), estimated=1), tmp_path, monkeypatch)
    counts = account.settle().counts
    assert (counts["waiting"], counts["lost"]) == (3, 0)


def test_a_queue_that_is_never_counted_has_no_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COUNT_TIMEOUT_S", 0.0)
    account = opened(Outside(iter([0, None])), tmp_path, monkeypatch)
    with pytest.raises(AccountError, match="Redis of this process is fast enough to count them"):
        account.settle()


def test_the_drain_ends_after_its_longest_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = Outside(iter([0, 3]))
    account = opened(outside, tmp_path, monkeypatch, drain="50ms")
    outside.events = [sent(account, 1, 0)]
    account.run()
    assert outside.depth == 3


def test_messages_are_not_lost_because_the_count_is_older_than_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted_at = time.time() + 0.3
    outside = Outside(3 if time.time() >= counted_at else 0 for _ in count())
    account = opened(outside, tmp_path, monkeypatch, drain="0")
    monkeypatch.setattr(module, "COUNT_AGE_S_MAX", 0.4)
    account.run()
    counts = account.settle().counts
    assert (counts["waiting"], counts["lost"]) == (3, 0)


def test_the_deaths_are_those_of_the_faults_in_the_facts_about_the_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = Outside(iter([0]))
    for stack_facts, worker_died in ((str(tmp_path), 3), ("", 0)):
        account = opened(outside, tmp_path, monkeypatch, stack_facts=stack_facts)
        outside.events = [sent(account, 1, 5, "worker-1.1"), sent(account, 2, 20, "worker-2.1")]
        write_faults([InjectedFault("worker-dies", 5.0, 6.0, "worker-1.1", 5.2)], tmp_path)
        counts = account.settle().counts
        assert (counts["worker_died"], counts["duplicates"]) == (worker_died, 3 - worker_died)
