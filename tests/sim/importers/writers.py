"""Writers of webhook dumps: a synthetic day as each provider posts it and as people log it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from queue_core.channels.cloud import example as cloud
from queue_core.channels.evolution import example as evolution
from queue_core.channels.evolution_go import example as evolution_go
from queue_core.channels.waha import example as waha
from queue_core.recording.format import Arrival, Precision, Recording
from sim.importers.importing import Import

Importing = Callable[..., tuple[Recording, Import]]
ZONE_MS = -3 * 3600 * 1000
"""Zone of the server that writes local times: São Paulo."""
Body = dict[str, Any]


class Shape(NamedTuple):
    """Shape of a dump: the body of one message, and the known part of its time."""

    body: Callable[[Arrival, int], Body]
    """Body of a message that arrives at a Unix time in ms."""
    precision: Precision


def _facts(arrival: Arrival, at_ms: int) -> dict[str, Any]:
    return {"phone": arrival.phone, "instance": arrival.instance, "unix_s": at_ms // 1000}


def iso(at_ms: int, zone: str = "Z", separator: str = "T") -> str:
    """Write a Unix time as UTC; `zone` is only the text at its end."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
    return f"{moment:%Y-%m-%d}{separator}{moment:%H:%M:%S}.{at_ms % 1000:03d}{zone}"


def evolution_v1(arrival: Arrival, at_ms: int) -> Body:
    """Version 1: no time in the envelope, the time of the message as a text."""
    body = evolution.example_webhook(arrival.id, arrival.text, **_facts(arrival, at_ms))
    body["data"]["messageTimestamp"] = str(at_ms // 1000)
    return {**body, "event": "MESSAGES_UPSERT", "apikey": None}


def evolution_v2(arrival: Arrival, at_ms: int) -> Body:
    """Version 2: the envelope has the server's local time with a false Z."""
    body = evolution.example_webhook(arrival.id, arrival.text, **_facts(arrival, at_ms))
    return {**body, "date_time": iso(at_ms + ZONE_MS), "sender": "15550000000@s.whatsapp.net"}


def evolution_go_body(arrival: Arrival, at_ms: int) -> Body:
    """Evolution Go: times in ISO, whole seconds."""
    moment = datetime.fromtimestamp(at_ms // 1000, UTC)
    return evolution_go.example_webhook(
        arrival.id,
        arrival.text,
        phone=arrival.phone,
        instance=arrival.instance,
        time=f"{moment:%Y-%m-%dT%H:%M:%SZ}",
    )


def waha_body(arrival: Arrival, at_ms: int) -> Body:
    """WAHA: the envelope has milliseconds."""
    body = waha.example_webhook(arrival.id, arrival.text, **_facts(arrival, at_ms))
    return {**body, "timestamp": at_ms}


def cloud_body(arrival: Arrival, at_ms: int) -> Body:
    """The Cloud API: whole seconds."""
    return cloud.example_webhook(arrival.id, arrival.text, **_facts(arrival, at_ms))


SHAPES = {
    "evolution v1": Shape(evolution_v1, "s"),
    "evolution v2": Shape(evolution_v2, "ms"),
    "evolution go": Shape(evolution_go_body, "s"),
    "waha": Shape(waha_body, "ms"),
    "cloud": Shape(cloud_body, "s"),
}


def bodies(day: Recording, shape: Shape) -> Iterator[tuple[int, str]]:
    """Yield the time of each arrival of a day in Unix ms, and the JSON of its webhook, which is of a text."""
    for arrival in day.arrivals:
        at_ms = day.epoch_ms + arrival.at_ms
        worded = replace(arrival, text=arrival.text or f"({arrival.kind})")
        yield at_ms, json.dumps(shape.body(worded, at_ms), ensure_ascii=False)
