"""The account of a run: the schedule, everybody's samples, what the sink saw, and what the deployment still holds."""

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
from loadtests.options import plan_of, seconds_of
from loadtests.schedule import arrivals_of
from loadtests.sink.event import Event
from reports.results.load import Second

LEAD_S = 2.0
"""From when the schedule is dealt out to its first message."""
LOOK_EVERY_S = 1.0
HTTP_TIMEOUT_S = 10.0

Job = tuple[float, int, str, str]
"""When (seconds from the start), conversation, message id, text."""

_EVENTS = msgspec.json.Decoder(Event)
_log = logging.getLogger("loadtests")


class _Held(NamedTuple):
    """Amounts that the deployment holds: unfinished messages, dead letters, Redis's memory. None: not known."""

    waiting: int | None = None
    dead: int | None = None
    redis_bytes: int | None = None


class Account:
    """Kept in one process, also where many send.

    Raises ScheduleError, ValueError or OSError when it cannot be opened.
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
        self.is_settled = False
        self._drain_s_max = seconds_of(options, "drain")
        seconds_of(options, "redeliver")  # the generator needs it later: what is wrong with it is said now
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
        self._post("/sink/reset")
        _, self._dead_before = self._held_for_sure()
        self.start_at = time.time() + LEAD_S
        (self.folder / "started").write_text(f"{self.start_at:.3f}\n")
        _log.info("%d messages of %d users in %.0f s", len(self.jobs), len(numbers), self.jobs[-1][0])

    def expect_from(self, processes: int) -> None:
        """Take note that so many processes send."""
        self._missing = processes

    def add(self, samples: list[Sample], *, is_last: bool) -> None:
        """Take what a process has sent since it last said so."""
        self.samples += samples
        if is_last:
            self._missing -= 1
            if self._missing == 0:
                self._is_complete.set()

    def run(self) -> None:
        """Return when everything was sent and answered, dead, or the drain's time is over."""
        gevent.sleep(max(0.0, self.start_at - time.time()))
        while not self._is_complete.wait(self._until_next_look()):
            self._look()
        sent_at = time.time()
        while time.time() - sent_at < self._drain_s_max and not self._is_all_answered():
            gevent.sleep(self._until_next_look())
            self._look()
        self.drain_s = time.time() - sent_at

    def settle(self) -> Ledger:
        """Close the account. Raises ValueError when the deployment cannot say what it holds."""
        # In this order: what is answered between the two looks must not be missing from both.
        waiting, dead = self._held_for_sure()
        self._read_sink()
        self.is_settled = True
        return ledger_of(self.samples, self.events, dead=max(0, dead - self._dead_before), waiting=waiting)

    def timeline(self) -> list[Second]:
        """Return the run second by second; of CPU nothing is known here."""
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

    # Looking.

    def _until_next_look(self) -> float:
        elapsed = time.time() - self.start_at
        return max(0.05, LOOK_EVERY_S * (len(self._looks) + 1) - elapsed)

    def _look(self) -> None:
        try:
            self._looks.append(self._held())
        except requests.RequestException:
            self._looks.append(_Held())

    def _is_all_answered(self) -> bool:
        self._read_sink()
        answered = answered_ids(self.events)
        return all(sample.id in answered for sample in self.samples if sample.acknowledged_at is not None)

    def _read_sink(self) -> None:
        after = self.events[-1].n if self.events else 0
        answer = requests.get(f"{self._sink}/sink/events", params={"after": after}, timeout=HTTP_TIMEOUT_S)
        answer.raise_for_status()
        self.events += _EVENTS.decode_lines(answer.content)

    def _held(self) -> _Held:
        answer = requests.get(f"{self.host}/metrics", timeout=HTTP_TIMEOUT_S)
        answer.raise_for_status()
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
        """Return messages that wait, and dead letters. Raises ValueError when the deployment cannot say."""
        held = self._held()
        if held.waiting is None or held.dead is None:
            raise ValueError(f"{self.host} cannot say what it holds: its Redis is away")
        return held.waiting, held.dead

    def _post(self, path: str) -> None:
        try:
            requests.post(f"{self._sink}{path}", timeout=HTTP_TIMEOUT_S).raise_for_status()
        except requests.RequestException as error:
            raise ValueError(
                f"no sink at {self._sink} ({type(error).__name__}): start one with `python -m loadtests stack`, "
                "or name yours by --sink"
            ) from None


def _known(figures: dict[str, float], name: str) -> int | None:
    """Return None for what is not there, or NaN, which stands for what is not known."""
    value = figures.get(name, math.nan)
    return None if math.isnan(value) else int(value)
