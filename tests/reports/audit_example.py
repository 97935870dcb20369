"""Results of audits, made up: a bad day, a perfect one, one of hostile text."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from queue_core.recording.format import Arrival, Recording, Reply
from reports.results.audit import AuditResult
from sim.audit.audit import audit
from sim.audit.fates import Limits
from tests.reports.example import HOSTILE

FRIDAY_MS = 1_772_791_200_000
"""2026-03-06T10:00:00Z."""


def arrival(
    at_s: float, message_id: str, *, phone: str = "966500000001", text: str = "", kind: str = "text"
) -> Arrival:
    at_ms = round(1000 * at_s)
    return Arrival(at_ms, "bot", phone, message_id, text or message_id, kind, at_ms)


def reply(at_s: float, text: str = "", *, phone: str = "966500000001", **fields: object) -> Reply:
    made = Reply(at=round(1000 * at_s), instance="bot", phone=phone, who="bot", text=text)
    return msgspec.structs.replace(made, **fields)


def recording(*events: Arrival | Reply, **fields: object) -> Recording:
    made = Recording(
        name="friday.jsonl",
        arrivals=tuple(event for event in events if isinstance(event, Arrival)),
        others=tuple(event for event in events if isinstance(event, Reply)),
        epoch_ms=FRIDAY_MS,
    )
    return replace(made, **fields)  # type: ignore[arg-type] # fields of Recording


def bad_day() -> AuditResult:
    """Return a day with a message of each kind of trouble."""
    other = "966500000002"
    day = recording(
        arrival(0, "m1", text="hello"),
        arrival(2, "m2", text="are you open?"),
        arrival(14, "m3", text="on friday too?"),
        reply(15, "Yes, we are"),
        arrival(17, "m4", text="until when?"),
        arrival(3600, "n1", phone=other, text="مرحبا"),
        reply(3612, "السعر 50", phone=other),
        reply(3613, "السعر 50", phone=other),
        arrival(7200, "n2", phone=other, text="thanks"),
        reply(8412, "You are welcome", phone=other, who="human"),
    )
    return audit(
        [day], Limits(within_ms=300_000), zone="Asia/Riyadh", command="python -m sim audit friday.jsonl"
    )


def perfect() -> AuditResult:
    """Return a day on which every message was answered once."""
    return audit([recording(arrival(0, "m1"), reply(9, "Hello!"))], Limits())


def hostile() -> AuditResult:
    """Return an audit whose every name and text is hostile."""
    events: list[Arrival | Reply] = []
    for number, text in enumerate(HOSTILE):
        event = replace(arrival(number, text, phone=text, text=text), instance=text, kind=f"kind-{number}")
        answer = msgspec.structs.replace(reply(number + 0.5, text, phone=text), instance=text)
        events += [event, answer, replace(event, id=f"{text}again", at_ms=2_000_000 + number)]
    events.append(arrival(9000, "end", phone="z"))
    words = "".join(HOSTILE)
    day = recording(*events, name=words, title=words, source=words, left_out={words: 3})
    return audit([day], Limits(), command=words)
