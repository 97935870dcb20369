"""Account of a load test: the schedule, the samples of all processes, the sink's events, and the waiting messages."""

from __future__ import annotations

import argparse
import logging
import math
import time
from bisect import bisect_right
from collections import Counter
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import gevent
import msgspec
import requests
from gevent.event import Event as Signal

from loadtests.account.doubles import Deaths, deaths_of
from loadtests.account.ledger import Ledger, Sample, answered_ids, ledger_of
from loadtests.account.stack_facts import STARTED, read_injected
from loadtests.options import plan_of, seconds_of
from loadtests.schedule import arrivals_of
from loadtests.sink.event import Event
from queue_core.command_lines import typed
from reports.results.load import Second
from reports.results.writing import write_whole

LEAD_S = 2.0
"""Time between distributing the schedule and its first message."""
MEASURE_EVERY_S = 1.0
MEASUREMENTS_PER_PROGRESS = 10
HTTP_TIMEOUT_S = 10.0
COUNT_TIMEOUT_S = 60.0
"""Time within which a Redis that is up must be fast enough for a count of what waits."""

COUNT_AGE_S_MAX = 2.5
"""Age of a count of what waits, at most: `/metrics` shows a count for 2 s."""

_EVENTS = msgspec.json.Decoder(Event)
_HOST_HINT = typed("start a stack with `python -m loadtests stack`, or name your web process with --host")
_SINK_HINT = typed("start a stack with `python -m loadtests stack`, or name your sink with --sink")
_log = logging.getLogger("loadtests")


class Job(NamedTuple):
    """Message to send. `at_s` counts from the start of the load."""

    at_s: float
    conversation: int
    message_id: str
    text: str


class AccountError(Exception):
    """Raised when the deployment or the sink does not answer; the message says which, and what to do."""


class _Measurement(NamedTuple):
    """Numbers of unfinished messages and dead letters, and Redis's memory in bytes; None: unknown."""

    waiting: int | None = None
    dead: int | None = None
    redis_bytes: int | None = None
    is_up: bool = False
    """True when Redis answers, though perhaps too slowly for a count."""
    is_estimated: bool = False
    """True when only a part of what waits was counted, and the number was scaled up."""


class Account:
    """Account of one load test. A single process keeps it, even when several processes send.

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
        self.was_stopped = False
        """True if somebody ended the load before its time."""
        self.settled = Signal()
        """Signal that is set when the result is written, or when nothing waits for the result any more."""
        self._drain_s_max = seconds_of(options, "drain")
        seconds_of(options, "redeliver")  # checked here, used by the generator
        self._sink = options.sink.rstrip("/")
        self._measurements: list[_Measurement] = []
        self._senders_left = 1
        self._is_complete = Signal()
        _log.info("drawing the schedule: %s", self.plan.scenario)
        numbers: dict[str, int] = {}
        run = f"{int(time.time()):x}"
        self.jobs: list[Job] = [
            Job(arrival.at_s, numbers.setdefault(arrival.user, len(numbers)), f"{run}-{number}", arrival.text)
            for number, arrival in enumerate(arrivals_of(self.plan))
        ]
        _ask("POST", f"{self._sink}/sink/reset", _SINK_HINT)
        self._dead_before = self._waiting_and_dead()[1]
        self.start_at = time.time() + LEAD_S
        if options.stack_facts:
            write_whole(f"{self.start_at:.3f}\n", Path(options.stack_facts, STARTED))
        counts = f"messages: {len(self.jobs):,}, users: {len(numbers):,}"
        _log.info("%s, time: %.0f s", counts, self.jobs[-1].at_s)

    @property
    def unsent(self) -> int:
        """Number of scheduled messages that were not sent because the load was ended early."""
        return len(self.jobs) - len(self.samples)

    @property
    def was_given_up(self) -> bool:
        """True if the generator did not send the rest of the load, since it was too far behind its schedule."""
        return bool(self.unsent) and not self.was_stopped

    @property
    def load_s(self) -> float:
        """Scheduled time of the last sent message, in seconds from the start."""
        return max((sample.intended_at - self.start_at for sample in self.samples), default=0.0)

    def set_senders(self, processes: int) -> None:
        """Set the number of processes that send."""
        self._senders_left = processes

    def add(self, samples: list[Sample], *, is_last: bool) -> None:
        """Add the samples that a process made since its last report."""
        self.samples += samples
        if is_last:
            self._senders_left -= 1
            if self._senders_left == 0:
                self._is_complete.set()

    def run(self) -> None:
        """Wait until the load has ended, and then, at most for the drain time, until everything is at rest."""
        gevent.sleep(max(0.0, self.start_at - time.time()))
        while not self._is_complete.wait(self._until_next_measurement()):
            self._measure()
        sent_at = time.time()
        while time.time() - sent_at < self._drain_s_max and not self._is_at_rest():
            gevent.sleep(self._until_next_measurement())
            self._measure()
        self.drain_s = time.time() - sent_at
        gevent.sleep(max(0.0, sent_at + COUNT_AGE_S_MAX - time.time()))  # else the newest messages look lost

    def settle(self) -> Ledger:
        """Make the ledger. Raises AccountError when the deployment or the sink does not answer."""
        # First the queue, then the sink: a message that is answered in between is then in one of them at least.
        waiting, dead = self._waiting_and_dead()
        self._read_sink()
        return ledger_of(
            self.samples,
            self.events,
            dead=max(0, dead - self._dead_before),
            waiting=waiting,
            deaths=self._deaths(),
            start_at=self.start_at,
        )

    def timeline(self) -> list[Second]:
        """Return the figures of each second, without CPU usage."""
        sent, acknowledged, replied, failed = (Counter[int]() for _ in range(4))
        for sample in self.samples:
            sent[int(sample.sent_at - self.start_at)] += 1
            if sample.acknowledged_at is not None:
                acknowledged[int(sample.acknowledged_at - self.start_at)] += 1
            failed[int(sample.sent_at - self.start_at)] += sample.failures
        for event in self.events:
            if event.event == "sent":
                replied[int(event.at / 1000 - self.start_at)] += len(event.ids)
        length = max([len(self._measurements), *sent, *acknowledged, *replied], default=0) + 1
        measurements = [*self._measurements, *[_Measurement()] * (length - len(self._measurements))]
        return [
            Second(
                t_s=second,
                sent=sent[second],
                acknowledged=acknowledged[second],
                replied=replied[second],
                failed=failed[second],
                depth=measurement.waiting,
                redis_bytes=measurement.redis_bytes,
                cpu=None,
            )
            for second, measurement in enumerate(measurements)
        ]

    def _deaths(self) -> Deaths:
        """Return the deaths in the stack of this run; in any other deployment no faults are made."""
        folder = self.options.stack_facts
        return deaths_of(read_injected(Path(folder)), self.start_at, time.time()) if folder else Deaths()

    def _until_next_measurement(self) -> float:
        elapsed = time.time() - self.start_at
        return max(0.05, MEASURE_EVERY_S * (len(self._measurements) + 1) - elapsed)

    def _measure(self) -> None:
        try:
            self._measurements.append(self._measured())
        except AccountError:
            self._measurements.append(_Measurement())
        if len(self._measurements) % MEASUREMENTS_PER_PROGRESS == 0:
            waiting = self._measurements[-1].waiting
            queue = ", the queue was not counted" if waiting is None else f", {waiting:,} in the queue"
            _log.info("%.0f s: messages: %s%s", time.time() - self.start_at, self._progress(), queue)

    def _progress(self) -> str:
        """Return the number of messages that were sent; while the processes still send, the number that were due.

        Processes report once a second, and only messages whose deliveries have ended, so their count is older than
        the queue's.
        """
        whole = f"{len(self.jobs):,}"
        if self._is_complete.is_set():
            return f"{len(self.samples):,} of {whole} sent"
        due = bisect_right(self.jobs, time.time() - self.start_at, key=attrgetter("at_s"))
        return f"{due:,} of {whole} due"

    def _is_at_rest(self) -> bool:
        """Return True if all messages are answered and none waits, since a waiting message may be sent once more."""
        if not self._measurements or self._measurements[-1].waiting != 0:
            return False
        self._read_sink()
        answered = answered_ids(self.events)
        return all(sample.id in answered for sample in self.samples if sample.acknowledged_at is not None)

    def _read_sink(self) -> None:
        after = self.events[-1].n if self.events else 0
        answer = _ask("GET", f"{self._sink}/sink/events?after={after}", _SINK_HINT)
        self.events += _EVENTS.decode_lines(answer.content)

    def _measured(self) -> _Measurement:
        answer = _ask("GET", f"{self.host}/metrics", _HOST_HINT)
        figures: dict[str, float] = {}
        for line in answer.text.splitlines():
            name, _, value = line.rpartition(" ")
            if name.startswith("burstqueue_") and "{" not in name:
                figures[name.removeprefix("burstqueue_")] = float(value)
        depth, in_flight = _known(figures, "depth"), _known(figures, "in_flight")
        is_counted = (
            figures.get("counted", 1) == 1
        )  # else depth and dead letters are those of an earlier count
        return _Measurement(
            waiting=depth + in_flight if is_counted and depth is not None and in_flight is not None else None,
            dead=_known(figures, "dead_letters_waiting") if is_counted else None,
            redis_bytes=_known(figures, "redis_memory_used_bytes"),
            is_up=figures.get("redis_up") == 1,
            is_estimated=figures.get("estimated") == 1,
        )

    def _waiting_and_dead(self) -> tuple[int, int]:
        """Return the numbers of waiting messages and of dead letters. Raises AccountError when they are unknown.

        While there is only an estimate, all messages of the load count as waiting, so that none looks lost.
        """
        until = time.time() + COUNT_TIMEOUT_S
        measured = self._measured()
        while measured.is_up and measured.waiting is None and time.time() < until:
            gevent.sleep(MEASURE_EVERY_S)
            measured = self._measured()
        if measured.waiting is None or measured.dead is None:
            why = "is fast enough to count them" if measured.is_up else "runs"
            raise AccountError(
                f"{self.host}/metrics does not say how many messages wait: check that the Redis of this process {why}"
            )
        return len(self.jobs) if measured.is_estimated else measured.waiting, measured.dead


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
    """Return a figure, or None when it is missing or NaN, which stands for unknown."""
    value = figures.get(name, math.nan)
    return None if math.isnan(value) else int(value)
