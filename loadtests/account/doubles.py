"""Messages that were sent more than once, and the deaths of workers that explain it.

After a send, the worker notes it in Redis. If it dies before the note, it is unknown whether the reply was sent, and
the next worker sends the reply again, unless `unsure_sends` forbids that. Nothing else explains a second send.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from loadtests.sink.event import Event
from loadtests.stack.chaos import InjectedFault
from reports.results.load import Double, Send
from sim.faults import FAULTS, OF_REDIS

NOTING_S = 1.0
"""Longest time from the answer to a send until the worker has noted it in Redis.

The note takes a round trip of a few milliseconds, on a busy machine some hundred. A worker that dies later had noted
the send, so its death does not explain a second send.
"""
NOTING_AFTER_OUTAGE_S = 3.0
"""Longest time from the return of Redis until a worker has noted a send: it tries again within 2 s."""


@dataclass(frozen=True, slots=True)
class Deaths:
    """Time of death of each process that died, and the outages of Redis, oldest first. Times are Unix seconds."""

    died_at: Mapping[str, float] = field(default_factory=dict)
    outages: tuple[tuple[float, float], ...] = ()

    def explain(self, send: Event) -> bool:
        """Return True if the sender died before it could note the send.

        No earliest moment is needed, since a process that died sends nothing afterwards.
        """
        died_at = self.died_at.get(send.caller)
        return died_at is not None and died_at <= self._noted_by(_answered_at(send))

    def _noted_by(self, answered_at: float) -> float:
        """Return the latest moment by which a send is noted; an outage of Redis delays it."""
        noted_by = answered_at + NOTING_S
        for start, end in self.outages:
            if start <= noted_by and answered_at <= end:
                noted_by = max(noted_by, end + NOTING_AFTER_OUTAGE_S)
        return noted_by


def deaths_of(faults: Iterable[InjectedFault], start_at: float, until: float) -> Deaths:
    """Find deaths and outages in the faults of a load that began at `start_at`; an open outage ends at `until`."""
    faults = sorted(faults, key=lambda fault: fault.start_s)
    return Deaths(
        {fault.killed: start_at + fault.killed_s for fault in faults if fault.killed_s is not None},
        tuple(
            (start_at + fault.start_s, until if fault.end_s is None else start_at + fault.end_s)
            for fault in faults
            if FAULTS[fault.code].group == OF_REDIS
        ),
    )


def doubles_of(
    events: Iterable[Event], known: Container[str], deaths: Deaths, start_at: float
) -> list[Double]:
    """Return the messages of this load that were sent more than once.

    Messages whose repetition is not explained by deaths come first; both kinds are sorted by time. A repetition is
    explained if the sender of each send but the last died.
    """
    sends: defaultdict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.event == "sent":
            for message_id in event.ids:
                sends[message_id].append(event)
    doubles = []
    for message_id, repeated in sends.items():
        if len(repeated) > 1 and message_id in known:
            ordered = sorted(repeated, key=lambda send: send.at)
            doubles.append(
                Double(
                    id=message_id,
                    worker_died=all(map(deaths.explain, ordered[:-1])),
                    sends=[_send_of(send, deaths, start_at) for send in ordered],
                )
            )
    return sorted(
        doubles, key=lambda double: (double["worker_died"], double["sends"][0]["at_s"], double["id"])
    )


def _send_of(send: Event, deaths: Deaths, start_at: float) -> Send:
    died_at = deaths.died_at.get(send.caller)
    return Send(
        at_s=_since(start_at, send.at / 1000),
        answered_s=_since(start_at, _answered_at(send)),
        caller=send.caller,
        is_caller_gone=send.is_caller_gone,
        died_s=None if died_at is None else _since(start_at, died_at),
    )


def _since(start_at: float, moment: float) -> float:
    return round(max(0.0, moment - start_at), 3)


def _answered_at(send: Event) -> float:
    return (send.at if send.answered_at is None else send.answered_at) / 1000
