"""Faults in words: what was wrong, when or how often."""

from __future__ import annotations

from collections.abc import Mapping

from reports.results.faults import FaultName, StruckFault
from reports.words.language import gettext, marked
from reports.words.numbers import moment, round_duration, share

_NAMES: Mapping[FaultName, str] = {
    "requests-lost": marked("requests to Redis lost"),
    "answers-lost": marked("answers of Redis lost"),
    "late-copies": marked("old copies of requests delivered late"),
    "connection-resets": marked("connections to Redis reset"),
    "redis-away": marked("Redis away"),
    "redis-hangs": marked("Redis stalled"),
    "redis-restarts": marked("Redis restarted"),
    "redis-loses-writes": marked("Redis restarted without its last writes"),
    "redis-fails-over": marked("Redis failed over to a replica that lags"),
    "redis-readonly": marked("Redis read-only"),
    "redis-full": marked("Redis full"),
    "scripts-abort": marked("scripts aborted"),
    "clock-forward": marked("clock of Redis set forward"),
    "clock-back": marked("clock of Redis set back"),
    "process-restarts": marked("all processes restarted"),
    "worker-dies": marked("worker killed"),
    "worker-freezes": marked("worker frozen"),
    "worker-cut-off": marked("worker cut off from Redis"),
    "web-dies": marked("web process killed"),
    "web-freezes": marked("web process frozen"),
    "web-cut-off": marked("web process cut off from Redis"),
    "timer-dies": marked("timer dead"),
    "http-fails": marked("HTTP calls failing"),
    "ai-fails": marked("AI failing"),
    "ai-slow": marked("AI slow"),
    "channel-fails": marked("WhatsApp failing"),
    "acknowledgements-lost": marked("acknowledgements lost"),
}


def fault_name(name: FaultName) -> str:
    """Name a fault."""
    return gettext(_NAMES[name])


def fault_words(fault: StruckFault) -> str:
    """Say what a fault was, and when it was there, or with which probability."""
    name = fault_name(fault["name"])
    if "start_ms" not in fault or "end_ms" not in fault:
        return gettext("%(fault)s (%(rate)s)", fault=name, rate=share(fault.get("rate", 0.0)))
    at = moment(fault["start_ms"])
    lasts_ms = fault["end_ms"] - fault["start_ms"]
    if not lasts_ms:
        return gettext("%(fault)s at %(time)s", fault=name, time=at)
    return gettext(
        "%(fault)s at %(time)s for %(duration)s", fault=name, time=at, duration=round_duration(lasts_ms)
    )
