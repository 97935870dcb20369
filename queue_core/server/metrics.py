"""Metrics for Prometheus: counts and times of this process, and the state of the queue as last examined.

Names begin with `burstqueue_`. Counters and histograms belong to one process; sum them over processes. Gauges come from
a HealthReport, describe the whole queue, and are equal in every process. A gauge with an unknown value is NaN, so that
alerts do not take it for 0. While Redis answers too slowly for a count, the gauge keeps its last value, so that alerts
go on; `burstqueue_counted` is 0 then.
"""

from __future__ import annotations

import math
import re
import time
from collections import deque
from collections.abc import Callable, Iterable
from itertools import product
from typing import Literal, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from queue_core.message import BackendKind, Batch, Trigger
from queue_core.queue.health.health import HealthReport
from queue_core.queue.outages import OutageNews
from queue_core.queue.processing.processor import Outcome
from queue_core.server.fitting import Part

SIZE_BUCKETS = (1, 2, 3, 4, 5, 6, 8, 10, 20, 50, 100)
LAG_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
AI_BUCKETS_S = (0.1, 0.25, 0.5, 1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 60, 120)
SEND_BUCKETS_S = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30)
ACKNOWLEDGEMENT_BUCKETS_S = (
    *(0.001, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075),
    *(0.1, 0.15, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10),
)

RECENT_S = 60.0
RECENT_SAMPLES_MAX = 5_000
QUANTILES = (0.5, 0.99)

OTHER = "other"
"""Label value for all further values, once a label has FURTHER_VALUES_MAX values that were not known from the start."""
REJECTED_REASONS = (
    *("body", "channel", "older message waits", "payload", "secret", "signature"),
    *("unavailable", "verify token"),
)
SKIPPED_REASONS = (
    *(
        "album",
        "broadcast",
        "call",
        "change of an unknown user",
        "empty",
        "error",
        "event",
        "failed delivery",
        "group",
    ),
    *("ignored kind", "meta ai", "newsletter", "own", "protocol", "reaction removed", "receipt", "status"),
    *("system", "undecrypted", "user changed number", "user changed user id", "vote removed"),
)
FURTHER_VALUES_MAX = 20
OwnSender = Literal["bot", "others", "unknown"]
"""Sender of a message of the bot's number; unknown if it may be a reply whose id was lost."""

_LABEL_WORD = re.compile(r"[A-Za-z][A-Za-z0-9 _.-]{0,47}")


class Metrics:
    """Metrics of one process, in a separate registry. Not thread-safe; methods do not raise."""

    def __init__(self, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.registry = CollectorRegistry()
        self._recent = _Recent(clock_s)
        self._make_intake()
        self._make_work()
        self._health = _HealthGauges(self.registry)
        for collector in (ProcessCollector, GCCollector, PlatformCollector):
            collector(registry=self.registry)

    def _make_intake(self) -> None:
        count = self._counter
        self._by_acknowledgement = {
            "queued": count("messages_enqueued", "Messages stored in the queue"),
            "changed": count(
                "messages_changed",
                "Edits and deletions that change a message in the queue, or are only noted",
            ),
            "duplicate": count("messages_duplicates", "Repeated deliveries of a message"),
            "late": count(
                "messages_late", "Messages delivered so late that they became dead letters at once"
            ),
            "answered": count("messages_fallback", "Messages answered directly, since Redis was away"),
            "buffered": count("messages_legacy_buffered", "Messages taken by the legacy buffer"),
        }
        self._rejected = count("messages_rejected", "Webhooks or messages refused", "reason")
        self._skipped = count("messages_skipped", "Items in webhooks that are not a user's message", "reason")
        self._events = count("events", "Events in webhooks without messages", "event")
        self._unknown_kinds = count("messages_of_unknown_kind", "Messages of an unknown kind", "kind")
        self._unreadable = count("messages_unreadable", "Messages that cannot be read: dead letters now")
        self._undelivered = count(
            "replies_undelivered", "Replies that the provider accepted and later reported as failed", "code"
        )
        self._own_messages = count(
            "own_messages", "Messages of the bot's number in webhooks, by who sent them", "sender"
        )
        for sender in get_args(OwnSender):
            self._own_messages.labels(sender)
        self._event_names, self._kind_names, self._codes = _LabelValues(), _LabelValues(), _LabelValues()
        self._cut = count(
            "messages_cut", "Messages too large for the queue, by the part that was left out or cut", "part"
        )
        for part in get_args(Part):
            self._cut.labels(part)
        self._rejected_reasons = _LabelValues(REJECTED_REASONS)
        self._skipped_reasons = _LabelValues(SKIPPED_REASONS)
        for counter, reasons in ((self._rejected, REJECTED_REASONS), (self._skipped, SKIPPED_REASONS)):
            for reason in reasons:  # Prometheus computes rates only for series that existed before
                counter.labels(reason)
        self._acknowledgement = self._histogram(
            "acknowledgement_seconds",
            "Time from the arrival of a webhook until its message was safe",
            ACKNOWLEDGEMENT_BUCKETS_S,
        )
        self.registry.register(self._recent)

    def _make_work(self) -> None:
        self._batches = self._counter(
            "batches", "Attempts to answer a turn, counted when they end", "trigger", "outcome"
        )
        for trigger, outcome in product(get_args(Trigger), get_args(Outcome)):
            self._batches.labels(trigger, outcome)
        self._size = self._histogram("batch_size", "Messages in a turn, at each attempt", SIZE_BUCKETS)
        self._lag = self._histogram(
            "dispatch_lag_seconds",
            "Time from the moment a turn was due until a worker took it",
            LAG_BUCKETS_S,
        )
        self._ai = self._histogram(
            "ai_seconds", "Time the AI took to answer or to fail", AI_BUCKETS_S, "backend", "outcome"
        )
        self._ai_dropped = self._counter(
            "ai_dropped_seconds",
            "Time the AI took for answers that were dropped: a newer message joined the turn",
        )
        self._send = self._histogram(
            "send_seconds", "Time a channel took to send or to fail", SEND_BUCKETS_S, "channel", "outcome"
        )
        self._backends, self._channels = _LabelValues(), _LabelValues()
        self._ai_outcomes, self._send_outcomes = _LabelValues(("ok",)), _LabelValues(("ok",))
        self._outages = self._counter(
            "outages", "Outages of the AI or a channel, counted when they begin", "kind"
        )
        for kind in get_args(BackendKind):
            self._outages.labels(kind)
        self._retries = self._counter("retries", "Attempts that failed and are followed by another")
        self._dead_letters = self._counter("dead_letters", "Messages that became dead letters")

    # Events at the webhook.

    def acknowledged(self, how: str, seconds: float) -> None:
        """Count a message that is safe, by how it was acknowledged: "queued", "changed", "duplicate" and so on."""
        if counter := self._by_acknowledgement.get(how):
            counter.inc()
        if how == "late":
            self._dead_letters.inc()
        self._acknowledgement.observe(seconds)
        self._recent.observe(seconds)

    def rejected(self, reason: str) -> None:
        """Count a webhook or message that was answered with 4xx, or with 503.

        The reasons of a 503 are "unavailable" and "older message waits".
        """
        self._rejected.labels(self._rejected_reasons.bounded(reason)).inc()

    def skipped(self, reason: str, count: int = 1) -> None:
        """Count items in a webhook that are not a user's message."""
        self._skipped.labels(self._skipped_reasons.bounded(reason)).inc(count)

    def event(self, name: str, count: int = 1) -> None:
        """Count events without messages, by name."""
        self._events.labels(self._event_names.bounded(name)).inc(count)

    def unknown_kind(self, name: str) -> None:
        """Count a message of an unknown kind, by the provider's name of the kind."""
        self._unknown_kinds.labels(self._kind_names.bounded(name)).inc()

    def unreadable(self) -> None:
        """Count a message that cannot be read, and is a dead letter now."""
        self._unreadable.inc()
        self._dead_letters.inc()

    def undelivered(self, code: str) -> None:
        """Count a reply that did not reach its user, by the provider's code."""
        self._undelivered.labels(self._codes.bounded(f"error {code}" if code else "none")).inc()

    def own_message(self, sender: OwnSender) -> None:
        """Count a message of the bot's number, by who sent it."""
        self._own_messages.labels(sender).inc()

    def cut(self, part: Part) -> None:
        """Count a message that was stored without its webhook, or with its text cut."""
        self._cut.labels(part).inc()

    # Events at the worker: the methods of a ProcessingObserver, and the two slow calls.

    def claimed(self, batch: Batch) -> None:
        """Count a turn that a worker took."""
        self._size.observe(len(batch.messages))
        self._lag.observe(max(0, batch.claimed_at_ms - batch.due_at_ms) / 1000)

    def ended(self, batch: Batch, outcome: Outcome, reason: str, dead_lettered: int) -> None:
        """Count an attempt that ended; `dead_lettered` of its messages became dead letters."""
        self._batches.labels(batch.trigger, outcome).inc()
        self._dead_letters.inc(dead_lettered)
        if outcome == "failed" and dead_lettered < len(batch.messages):
            self._retries.inc()

    def given_up(self, messages: int) -> None:
        """Count messages that became dead letters when their turn came."""
        self._dead_letters.inc(messages)

    def backend_changed(self, news: OutageNews) -> None:
        """Count an outage of the AI or a channel when it begins."""
        if news.is_away:
            self._outages.labels(news.kind).inc()

    def ai(self, backend: str, outcome: str, seconds: float) -> None:
        """Record the duration of a call of the AI, by outcome: "ok" or the kind of error."""
        labels = self._backends.bounded(backend), self._ai_outcomes.bounded(outcome)
        self._ai.labels(*labels).observe(seconds)

    def ai_dropped(self, seconds: float) -> None:
        """Add the time of an answer that was dropped, since a newer message joined the turn."""
        self._ai_dropped.inc(seconds)

    def send(self, channel: str, outcome: str, seconds: float) -> None:
        """Record the duration of a send, by outcome: "ok" or the kind of error."""
        labels = self._channels.bounded(channel), self._send_outcomes.bounded(outcome)
        self._send.labels(*labels).observe(seconds)

    # State of the queue.

    def health(self, report: HealthReport) -> None:
        """Set the gauges from a report."""
        self._health.set(report)

    def exposition(self) -> tuple[bytes, str]:
        """Return all metrics in Prometheus's text format, and the content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"burstqueue_{name}", about, labels, registry=self.registry)

    def _histogram(self, name: str, about: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"burstqueue_{name}", about, labels, buckets=buckets, registry=self.registry)


class _LabelValues:
    """Values of one label: those known from the start, then FURTHER_VALUES_MAX others, then OTHER.

    Each value stays a time series for ever, and some values come from outside, so their number must be limited.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._values = set(known)
        self._values_max = len(self._values) + FURTHER_VALUES_MAX

    def bounded(self, value: str) -> str:
        if value in self._values:
            return value
        if len(self._values) >= self._values_max or not _LABEL_WORD.fullmatch(value):
            return OTHER
        self._values.add(value)
        return value


class _Recent(Collector):
    """Exact quantiles of the newest acknowledgements: at most RECENT_SAMPLES_MAX, of the last RECENT_S."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._samples: deque[tuple[float, float]] = deque(maxlen=RECENT_SAMPLES_MAX)

    def observe(self, seconds: float) -> None:
        self._samples.append((self._clock_s(), seconds))

    def collect(self) -> Iterable[Metric]:
        """Compute the quantiles; NaN without samples, as for any summary."""
        oldest = self._clock_s() - RECENT_S
        while self._samples and self._samples[0][0] <= oldest:
            self._samples.popleft()
        seconds = sorted(sample for _, sample in self._samples)
        name = "burstqueue_acknowledgement_recent_seconds"
        metric = Metric(name, f"Acknowledgement time over the last {RECENT_S:.0f} s", "summary")
        for quantile in QUANTILES:
            value = seconds[math.ceil(quantile * len(seconds)) - 1] if seconds else math.nan
            metric.add_sample(name, {"quantile": str(quantile)}, value)
        return [metric]


class _HealthGauges:
    """Gauges of the queue and of Redis."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def new(name: str, about: str) -> Gauge:
            gauge = Gauge(f"burstqueue_{name}", about, registry=registry)
            gauge.set(math.nan)
            return gauge

        def labelled(name: str, about: str) -> dict[str, Gauge]:
            gauge = Gauge(f"burstqueue_{name}", about, ("kind",), registry=registry)
            gauges = {kind: gauge.labels(kind) for kind in get_args(BackendKind)}
            for each in gauges.values():
                each.set(math.nan)
            return gauges

        self._up = new("redis_up", "1 when Redis answers, else 0")
        self._counted = new(
            "counted", "1 when the last examination counted the messages, 0 when their numbers are older"
        )
        self._estimated = new(
            "estimated", "1 when only a part was counted and the numbers were scaled up, else 0"
        )
        self._held = new("held", "1 while the queue is held, so that no worker takes a turn, else 0")
        self._latency = new("redis_latency_seconds", "Round trip of a PING to Redis")
        self._memory = new("redis_memory_used_bytes", "Memory that Redis uses")
        self._oldest_age = new(
            "oldest_age_seconds", "Age of the oldest waiting message; 0 when no message waits"
        )
        self._away = labelled("backends_away", "AIs and channels that are away")
        self._waiting = labelled("waiting_for_backend", "Conversations that wait for an AI or a channel")
        self._counts = {
            "waiting": new("depth", "Messages that wait"),
            "in_flight": new("in_flight", "Messages that workers are working on"),
            "active_conversations": new("active_conversations", "Conversations with messages"),
            "dead_letters": new(
                "dead_letters_waiting", "Dead letters that nobody has requeued or dropped yet"
            ),
            "dead_letters_share": new(
                "dead_letters_share",
                "Share of the room for dead letters that is taken, from 0 to 1, in the fullest partition",
            ),
            "damaged_keys": new(
                "damaged_keys", "Keys that were damaged and moved aside; always 0 if all is well"
            ),
            "expired_leases": new(
                "expired_leases", "Leases that ran out and that no worker has taken over yet"
            ),
            "stranded_conversations": new(
                "stranded_conversations", "Conversations that no worker will look at; always 0 if all is well"
            ),
        }

    def set(self, report: HealthReport) -> None:
        is_up = report.reachable
        self._up.set(1 if is_up else 0)
        is_counted = report.waiting is not None
        self._counted.set(_or_nan(is_up, is_counted))
        if is_counted or not is_up:
            self._estimated.set(_or_nan(is_up, report.is_estimated))
            self._oldest_age.set(_or_nan(is_up, report.oldest_age_ms or 0) / 1000)
        _set_if_known(self._held, is_up, report.is_held)
        self._latency.set(_or_nan(is_up, report.latency_ms) / 1000)
        self._memory.set(_or_nan(is_up, report.memory_used_bytes))
        for kind in get_args(BackendKind):
            outages, is_known = (
                [each for each in report.outages or () if each.kind == kind],
                report.outages is not None,
            )
            away, waiting = sum(each.is_away for each in outages), sum(each.waiting for each in outages)
            _set_if_known(self._away[kind], is_up, away if is_known else None)
            _set_if_known(self._waiting[kind], is_up, waiting if is_known else None)
        for name, gauge in self._counts.items():
            _set_if_known(gauge, is_up, getattr(report, name))


def _set_if_known(gauge: Gauge, is_up: bool, value: float | None) -> None:
    """Set a gauge; while Redis is up, a gauge whose count was not made keeps its value."""
    if value is not None or not is_up:
        gauge.set(_or_nan(is_up, value))


def _or_nan(is_up: bool, value: float | None) -> float:
    return value if is_up and value is not None else math.nan
