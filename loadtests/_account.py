"""The account of a run: the schedule, everybody's samples, what the sink saw, and what the deployment still holds."""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from collections import Counter
from pathlib import Path
from typing import Any

import gevent
import requests
from gevent.event import Event

from loadtests import _ledger
from loadtests._ledger import Sample
from loadtests._options import plan_of, seconds
from loadtests._ramp import ramp_of
from loadtests._result import result_of, tell, write
from loadtests._schedule import arrivals_of, steps_of

LEAD_S = 2.0
"""From when the schedule is dealt out to its first message."""
LOOK_EVERY_S = 1.0
HTTP_TIMEOUT_S = 10.0

Job = tuple[float, int, str, str]

_log = logging.getLogger("loadtests")


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
        self.timeline: list[dict[str, Any]] = []
        self.drain_s = 0.0
        self._sink = options.sink.rstrip("/")
        self._events: list[dict[str, Any]] = []
        self._missing = 1
        self._is_complete = Event()
        _log.info("drawing the schedule: %s", self.plan.scenario)
        numbers: dict[str, int] = {}
        run = f"{int(time.time()):x}"
        self.jobs: list[Job] = [
            (one.at_s, numbers.setdefault(one.phone, len(numbers)), f"{run}-{number}", one.text)
            for number, one in enumerate(arrivals_of(self.plan))
        ]
        self._post("/sink/reset")
        _, self._dead_before = self._held_for_sure()
        self.start_at = time.time() + LEAD_S
        (self.folder / "started").write_text(f"{self.start_at:.3f}\n")
        _log.info("%d messages of %d users in %.0f s", len(self.jobs), len(numbers), self.jobs[-1][0])

    def expect_from(self, processes: int) -> None:
        """So many processes send."""
        self._missing = processes

    def add(self, samples: list[Sample], *, is_last: bool) -> None:
        """What a process has sent since it last said so."""
        self.samples += samples
        if is_last:
            self._missing -= 1
            if self._missing == 0:
                self._is_complete.set()

    def run(self) -> None:
        """Returns when everything was sent and answered, dead, or the drain's time is over."""
        gevent.sleep(max(0.0, self.start_at - time.time()))
        while not self._is_complete.wait(self._until_next_look()):
            self._look()
        sent_at = time.time()
        limit_s = seconds(self.options.drain)
        while time.time() - sent_at < limit_s and not self._is_all_answered():
            gevent.sleep(self._until_next_look())
            self._look()
        self.drain_s = time.time() - sent_at

    def settle(self) -> dict[str, Any]:
        """Closes the account: writes result, samples and report, tells the verdict, returns the result."""
        # In this order: what is answered between the two looks must not be missing from both.
        waiting, dead = self._held_for_sure()
        self._read_sink()
        ledger = _ledger.ledger_of(
            self.samples,
            _ledger.replies_of(self._events),
            dead=max(0, dead - self._dead_before),
            waiting=waiting,
        )
        times = _ledger.times_of(self.samples, self._events)
        result = result_of(self, ledger, times, _ledger.batches_of(self._events))
        write(result, self.samples, self.folder)
        tell(result, self.folder)
        return result

    # Looking.

    def _until_next_look(self) -> float:
        elapsed = time.time() - self.start_at
        return max(0.05, LOOK_EVERY_S * (len(self.timeline) + 1) - elapsed)

    def _look(self) -> None:
        """One line of the timeline: rates are filled in at the end, depth and memory as they are now."""
        try:
            held = self._held()
        except requests.RequestException:
            held = dict.fromkeys(("waiting", "redis_bytes"))
        self.timeline.append({"depth": held["waiting"], "redis_bytes": held["redis_bytes"]})

    def rates(self) -> list[dict[str, Any]]:
        """The timeline, one entry a second: messages sent, acknowledged, refused, replied."""
        sent, acknowledged, replied, failed = (Counter[int]() for _ in range(4))
        for sample in self.samples:
            sent[int(sample.sent_at - self.start_at)] += 1
            if sample.acknowledged_at is not None:
                acknowledged[int(sample.acknowledged_at - self.start_at)] += 1
            failed[int(sample.sent_at - self.start_at)] += sample.failures
        for event in self._events:
            if event["event"] == "sent":
                replied[int(event["at"] / 1000 - self.start_at)] += len(event["ids"])
        seconds_in_all = max([len(self.timeline), *sent, *acknowledged, *replied], default=0) + 1
        nothing: dict[str, Any] = {"depth": None, "redis_bytes": None}
        return [
            {
                "t_s": at,
                "sent": sent[at],
                "acknowledged": acknowledged[at],
                "replied": replied[at],
                "failed": failed[at],
                **(self.timeline[at] if at < len(self.timeline) else nothing),
                "cpu": None,
            }
            for at in range(seconds_in_all)
        ]

    def ramp(self) -> list[dict[str, Any]]:
        """The steps of a ramp and what they came to; nothing for any other scenario."""
        if self.plan.scenario != "ramp":
            return []
        return ramp_of(self.options, steps_of(self.plan), self.samples, self._events, self.start_at)

    def _is_all_answered(self) -> bool:
        self._read_sink()
        answered = {one for event in self._events if event["event"] == "sent" for one in event["ids"]}
        return all(sample.id in answered for sample in self.samples if sample.acknowledged_at is not None)

    def _read_sink(self) -> None:
        after = self._events[-1]["n"] if self._events else 0
        answer = requests.get(f"{self._sink}/sink/events", params={"after": after}, timeout=HTTP_TIMEOUT_S)
        answer.raise_for_status()
        self._events += [json.loads(line) for line in answer.text.splitlines() if line]

    def _held(self) -> dict[str, int | None]:
        """What the deployment holds: messages that are not finished, dead letters, Redis's memory."""
        answer = requests.get(f"{self.host}/metrics", timeout=HTTP_TIMEOUT_S)
        answer.raise_for_status()
        figures: dict[str, float] = {}
        for line in answer.text.splitlines():
            name, _, value = line.rpartition(" ")
            if name.startswith("burstqueue_") and "{" not in name:
                figures[name.removeprefix("burstqueue_")] = float(value)
        depth, in_flight = _known(figures, "depth"), _known(figures, "in_flight")
        return {
            "waiting": None if depth is None or in_flight is None else depth + in_flight,
            "dead": _known(figures, "dead_letters_waiting"),
            "redis_bytes": _known(figures, "redis_memory_used_bytes"),
        }

    def _held_for_sure(self) -> tuple[int, int]:
        """Messages that wait, and dead letters. Raises ValueError when the deployment cannot say."""
        held = self._held()
        if held["waiting"] is None or held["dead"] is None:
            raise ValueError(f"{self.host} cannot say what it holds: its Redis is away")
        return held["waiting"], held["dead"]

    def _post(self, path: str) -> None:
        try:
            requests.post(f"{self._sink}{path}", timeout=HTTP_TIMEOUT_S).raise_for_status()
        except requests.RequestException as error:
            raise ValueError(
                f"no sink at {self._sink} ({type(error).__name__}): start one with `python -m loadtests stack`, "
                "or name yours by --sink"
            ) from None


def _known(figures: dict[str, float], name: str) -> int | None:
    """None for what is not there, or NaN, which stands for what is not known."""
    value = figures.get(name, math.nan)
    return None if math.isnan(value) else int(value)
