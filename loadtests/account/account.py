"""The account of a run: the schedule, the samples of all processes, the sink's events, and the deployment's rest."""

from __future__ import annotations

import argparse
import logging
import math
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import gevent
import msgspec
import requests
from gevent.event import Event as Signal

from loadtests.account.ledger import Ledger, Sample, answered_ids, ledger_of
from loadtests.account.surroundings import STARTED
from loadtests.options import plan_of, seconds_of
from loadtests.schedule import arrivals_of
from loadtests.sink.event import Event
from reports.results.load import Second
from reports.results.writing import write_whole

LEAD_S = 2.0
"""Time between dealing out the schedule and its first message."""
LOOK_EVERY_S = 1.0
PROGRESS_EVERY_LOOKS = 10
HTTP_TIMEOUT_S = 10.0

Job = tuple[float, int, str, str]
"""Moment in seconds from the start, conversation, message id, text."""

_EVENTS = msgspec.json.Decoder(Event)
_HOST_HINT = "start a stack with `python -m loadtests stack`, or name your web process with --host"
_SINK_HINT = "start a stack with `python -m loadtests stack`, or name your sink with --sink"
_log = logging.getLogger("loadtests")


class AccountError(Exception):
    """A deployment or a sink that cannot be asked; the message says which, and what to do."""


class _Held(NamedTuple):
    """Amounts in the deployment: unfinished messages, dead letters, bytes of Redis's memory. None: not known."""

    waiting: int | None = None
    dead: int | None = None
    redis_bytes: int | None = None


class Account:
    """The account of one run, kept in a single process also where many send.

    Raises ScheduleError, AccountError, ValueError or OSError when the run cannot begin.
    """

    def __init__(self, options: argparse.Namespace, host: str) -> None:
        self.options = options
        self.host = host.rstrip("/")
        self.plan = plan_of(options)
        self.folder = Path(options.out)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.samples: list[Sample] = []
        self.events: list[Event] = []
        self.drain_s = 0.0
        self.settled = Signal()
        """Set when the result is written, or when nobody waits for it any more."""
        self._drain_s_max = seconds_of(options, "drain")
        seconds_of(options, "redeliver")  # for the generator; a mistake in it is reported here
        self._sink = options.sink.rstrip("/")
        self._looks: list[_Held] = []
        self._missing = 1
        self._is_complete = Signal()
        _log.info("drawing the schedule: %s", self.plan.scenario)
        numbers: dict[str, int] = {}
        run = f"{int(time.time()):x}"
        self.jobs: list[Job] = [
            (arrival.at_s, numbers.setdefault(arrival.user, len(numbers)), f"{run}-{number}", arrival.text)
            for number, arrival in enumerate(arrivals_of(self.plan))
        ]
        _ask("POST", f"{self._sink}/sink/reset", _SINK_HINT)
        _, self._dead_before = self._held_for_sure()
        self.start_at = time.time() + LEAD_S
        if options.surroundings:
            write_whole(f"{self.start_at:.3f}\n", Path(options.surroundings, STARTED))
        counts = f"messages: {len(self.jobs):,}, users: {len(numbers):,}"
        _log.info("%s, time: %.0f s", counts, self.jobs[-1][0])

    @property
    def unsent(self) -> int:
        """Messages of the schedule that were not sent, because the load was ended before."""
        return len(self.jobs) - len(self.samples)

    @property
    def load_s(self) -> float:
        """Seconds from the start to the last message that was sent, by the schedule."""
        return max((sample.intended_at - self.start_at for sample in self.samples), default=0.0)

    def expect_from(self, processes: int) -> None:
        """Set the number of processes that send."""
        self._missing = processes

    def add(self, samples: list[Sample], *, is_last: bool) -> None:
        """Take the samples of a process since its last report."""
        self.samples += samples
        if is_last:
            self._missing -= 1
            if self._missing == 0:
                self._is_complete.set()

    def run(self) -> None:
        """Wait until the load has ended, and then for the replies, at most for the time of the drain."""
        gevent.sleep(max(0.0, self.start_at - time.time()))
        while not self._is_complete.wait(self._until_next_look()):
            self._look()
        sent_at = time.time()
        while time.time() - sent_at < self._drain_s_max and not self._is_all_answered():
            gevent.sleep(self._until_next_look())
            self._look()
        self.drain_s = time.time() - sent_at

    def settle(self) -> Ledger:
        """Close the account. Raises AccountError when the deployment or the sink cannot be asked."""
        # In this order, so that a message answered in between is not missing from both.
        waiting, dead = self._held_for_sure()
        self._read_sink()
        return ledger_of(self.samples, self.events, dead=max(0, dead - self._dead_before), waiting=waiting)

    def timeline(self) -> list[Second]:
        """Return the run second by second, without the CPU."""
        sent, acknowledged, replied, failed = (Counter[int]() for _ in range(4))
        for sample in self.samples:
            sent[int(sample.sent_at - self.start_at)] += 1
            if sample.acknowledged_at is not None:
                acknowledged[int(sample.acknowledged_at - self.start_at)] += 1
            failed[int(sample.sent_at - self.start_at)] += sample.failures
        for event in self.events:
            if event.event == "sent":
                replied[int(event.at / 1000 - self.start_at)] += len(event.ids)
        length = max([len(self._looks), *sent, *acknowledged, *replied], default=0) + 1
        looks = [*self._looks, *[_Held()] * (length - len(self._looks))]
        return [
            Second(
                t_s=at,
                sent=sent[at],
                acknowledged=acknowledged[at],
                replied=replied[at],
                failed=failed[at],
                depth=look.waiting,
                redis_bytes=look.redis_bytes,
                cpu=None,
            )
            for at, look in enumerate(looks)
        ]

    def _until_next_look(self) -> float:
        elapsed = time.time() - self.start_at
        return max(0.05, LOOK_EVERY_S * (len(self._looks) + 1) - elapsed)

    def _look(self) -> None:
        try:
            self._looks.append(self._held())
        except AccountError:
            self._looks.append(_Held())
        if len(self._looks) % PROGRESS_EVERY_LOOKS == 0:
            waiting = self._looks[-1].waiting
            queue = "" if waiting is None else f", {waiting:,} in the queue"
            counts = f"{len(self.samples):,} of {len(self.jobs):,} sent"
            _log.info("%d s: messages: %s%s", len(self._looks), counts, queue)

    def _is_all_answered(self) -> bool:
        self._read_sink()
        answered = answered_ids(self.events)
        return all(sample.id in answered for sample in self.samples if sample.acknowledged_at is not None)

    def _read_sink(self) -> None:
        after = self.events[-1].n if self.events else 0
        answer = _ask("GET", f"{self._sink}/sink/events?after={after}", _SINK_HINT)
        self.events += _EVENTS.decode_lines(answer.content)

    def _held(self) -> _Held:
        answer = _ask("GET", f"{self.host}/metrics", _HOST_HINT)
        figures: dict[str, float] = {}
        for line in answer.text.splitlines():
            name, _, value = line.rpartition(" ")
            if name.startswith("burstqueue_") and "{" not in name:
                figures[name.removeprefix("burstqueue_")] = float(value)
        depth, in_flight = _known(figures, "depth"), _known(figures, "in_flight")
        return _Held(
            waiting=None if depth is None or in_flight is None else depth + in_flight,
            dead=_known(figures, "dead_letters_waiting"),
            redis_bytes=_known(figures, "redis_memory_used_bytes"),
        )

    def _held_for_sure(self) -> tuple[int, int]:
        """Return the numbers of waiting messages and of dead letters. Raises AccountError when they are not known."""
        held = self._held()
        if held.waiting is None or held.dead is None:
            raise AccountError(f"{self.host}/metrics has no depth of the queue: does its Redis run?")
        return held.waiting, held.dead


def _ask(method: str, url: str, hint: str) -> requests.Response:
    """Send a request without a body and return the answer. Raises AccountError."""
    try:
        answer = requests.request(method, url, timeout=HTTP_TIMEOUT_S)
    except (requests.RequestException, ValueError):
        raise AccountError(f"nothing answers at {url}: {hint}") from None
    if not answer.ok:
        raise AccountError(f"{url} answered {answer.status_code}: {hint}")
    return answer


def _known(figures: dict[str, float], name: str) -> int | None:
    """Return a figure, or None when it is missing or NaN, the sign for an unknown one."""
    value = figures.get(name, math.nan)
    return None if math.isnan(value) else int(value)
