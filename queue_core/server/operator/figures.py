"""Figures and findings of a health report, as `check` and `status` write them."""

from __future__ import annotations

from collections.abc import Sequence

from queue_core.durations import age
from queue_core.queue.health.health import HealthReport, NodeShare
from queue_core.queue.layout import PREVIOUS_RELEASE_MS
from queue_core.queue.outages import Outage
from queue_core.server.operator.output import moment, write, write_item
from queue_core.text import quantity, visible


def figures(report: HealthReport) -> list[tuple[str, str]]:
    """Return the facts of the report with names and words for people."""
    if not report.reachable:
        return [("Redis", "not reachable")]
    latency = "unknown" if report.latency_ms is None else f"{report.latency_ms:.1f} ms"
    role = f"{report.role or 'role unknown'}{' of a cluster' if report.is_cluster else ''}"
    about = "about " if report.is_estimated else ""
    return [
        ("Redis", visible(f"{report.version or 'version unknown'}, {role}, answers in {latency}")),
        ("memory", f"{_memory(report)}; eviction policy {visible(report.eviction_policy) or 'unknown'}"),
        ("persistence", _persistence(report)),
        ("layout", _layout(report)),
        ("active", _counted(report.active_conversations, "conversation")),
        *(("node", _node(node)) for node in report.nodes),
        ("waiting", about + _counted(report.waiting, "message")),
        ("being answered", about + _counted(report.in_flight, "message")),
        ("oldest", _oldest(report)),
        *((("held", held_since(report.held_since_ms)),) if report.held_since_ms is not None else ()),
        ("dead letters", _counted(report.dead_letters)),
        ("damaged", _counted(report.damaged_keys, "key")),
        ("expired leases", _counted(report.expired_leases)),
        *(("outage", _outage(outage, report.checked_at_ms)) for outage in report.outages or ()),
        ("stranded", _counted(report.stranded_conversations, "conversation")),
    ]


def held_since(since_ms: int) -> str:
    """Say since when the queue is held; 0 stands for an unknown time."""
    return (
        f"since {moment(since_ms)}" if since_ms else "since when is unknown: the key of the hold is damaged"
    )


def in_conversations(messages: int, conversations: int) -> str:
    """Write a number of messages and of their conversations: "3 messages of 2 conversations"."""
    return f"{quantity(messages, 'message')} of {quantity(conversations, 'conversation')}"


def write_findings(errors: Sequence[str], warnings: Sequence[str]) -> None:
    """Write the errors, which break the guarantees, then the warnings."""
    if errors or warnings:
        write()
    for word, findings in (("ERROR", errors), ("warning", warnings)):
        for finding in findings:
            write_item(f"{word:<9}", visible(finding))


def _counted(count: int | None, noun: str = "") -> str:
    """Write a count, with the noun of what was counted; a count that was not made is not 0."""
    if count is None:
        return "not counted"
    return quantity(count, noun) if noun else f"{count:,}"


def _oldest(report: HealthReport) -> str:
    if report.waiting is None:
        return "not counted"
    return "no message waits" if report.oldest_age_ms is None else age(report.oldest_age_ms)


def _memory(report: HealthReport) -> str:
    used = (
        "unknown" if report.memory_used_bytes is None else f"{report.memory_used_bytes / 1_048_576:,.1f} MiB"
    )
    if not report.memory_limit_bytes:
        return f"{used}, {'limit unknown' if report.memory_limit_bytes is None else 'no limit'}"
    return f"{used} of {report.memory_limit_bytes / 1_048_576:,.1f} MiB"


def _layout(report: HealthReport) -> str:
    """Say since when data is written in this layout, and until when the previous release may run beside this one."""
    if report.is_held is None:
        return f"{report.layout}"
    since_ms = report.layout_since_ms
    if not since_ms:
        return f"{report.layout}" if since_ms == 0 else f"{report.layout}, from the first message on"
    until_ms = since_ms + PREVIOUS_RELEASE_MS
    is_open = report.checked_at_ms < until_ms
    way_back = f"; the previous release may run beside this one until {moment(until_ms)}" if is_open else ""
    return f"{report.layout} since {moment(since_ms)}{way_back}"


def _node(node: NodeShare) -> str:
    partitions = quantity(node.partitions, "partition")
    if node.conversations is None:
        return f"{visible(node.name)}: away, {partitions} left out"
    return f"{visible(node.name)}: {partitions}, {quantity(node.conversations, 'conversation')}"


def _outage(outage: Outage, now_ms: int) -> str:
    waiting = quantity(outage.waiting, "conversation")
    if outage.is_away:
        since = age(now_ms - outage.since_ms)
        words = (
            f"{outage.name} has been away for {since}; waiting for it: {waiting}; last error: {outage.error}"
        )
    else:
        words = f"{outage.name} is back; still waiting for it: {waiting}"
    return visible(words)


def _persistence(report: HealthReport) -> str:
    if report.append_only is None:
        return "unknown"
    if not report.append_only:
        return "no append-only file"
    return f"append-only file, appendfsync {visible(report.append_fsync) or 'unknown'}"
