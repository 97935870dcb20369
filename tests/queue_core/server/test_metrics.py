"""Metrics: the samples that Prometheus reads after events."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from queue_core import Batch, QueueMessage
from queue_core.queue.health.health import HealthReport
from queue_core.queue.outages import Outage, OutageNews
from queue_core.queue.processing.processor import ProcessingObserver
from queue_core.server.metrics import RECENT_SAMPLES_MAX, Metrics


class Clock:
    def __init__(self) -> None:
        self.s = 1_000.0

    def __call__(self) -> float:
        return self.s


def batch(size: int = 3, **values: Any) -> Batch:
    messages = tuple(
        QueueMessage(id=f"m{number}", instance_name="bot", user_phone="1", message="hello")
        for number in range(size)
    )
    turn = Batch(
        instance_name="bot",
        user_phone="1",
        messages=messages,
        token=1,
        processor_id="worker",
        attempt=1,
        trigger="window",
        due_at_ms=10_000,
        claimed_at_ms=10_020,
    )
    return msgspec.structs.replace(turn, **values)


def scrape(metrics: Metrics) -> dict[str, float]:
    """Return every sample by its name in Prometheus, `name{label="value",…}`, without the prefix."""
    samples = {}
    for family in text_string_to_metric_families(metrics.exposition()[0].decode()):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            name = sample.name.removeprefix("burstqueue_")
            samples[f"{name}{{{labels}}}" if labels else name] = sample.value
    return samples


def test_each_kind_of_acknowledgement_is_counted_and_timed() -> None:
    metrics = Metrics()
    for how in ("queued", "queued", "duplicate", "late", "answered", "buffered", "an unknown kind"):
        metrics.acknowledged(how, 0.004)
    samples = scrape(metrics)
    names = ("enqueued", "duplicates", "late", "fallback", "legacy_buffered")
    assert [samples[f"messages_{name}_total"] for name in names] == [2, 1, 1, 1, 1]
    assert samples["dead_letters_total"] == 1, "a late message is a dead letter"
    assert samples["acknowledgement_seconds_count"] == 7
    assert samples['acknowledgement_seconds_bucket{le="0.003"}'] == 0
    assert samples['acknowledgement_seconds_bucket{le="0.004"}'] == 7


def test_recent_quantiles_are_exact_and_forget_after_a_minute() -> None:
    clock = Clock()
    metrics = Metrics(clock_s=clock)
    p50, p99 = (f'acknowledgement_recent_seconds{{quantile="{quantile}"}}' for quantile in (0.5, 0.99))
    assert math.isnan(scrape(metrics)[p50])
    for number in range(1, 101):
        metrics.acknowledged("queued", number / 1000)
    assert (scrape(metrics)[p50], scrape(metrics)[p99]) == (0.050, 0.099)
    clock.s += 59
    metrics.acknowledged("queued", 7.0)
    assert scrape(metrics)[p99] == 0.100
    clock.s += 2
    assert (scrape(metrics)[p50], scrape(metrics)[p99]) == (7.0, 7.0)
    clock.s += 60
    assert math.isnan(scrape(metrics)[p99])


def test_recent_samples_are_bounded() -> None:
    metrics = Metrics(clock_s=Clock())
    for _ in range(RECENT_SAMPLES_MAX):
        metrics.acknowledged("queued", 9.0)
    for _ in range(RECENT_SAMPLES_MAX):
        metrics.acknowledged("queued", 0.001)
    assert scrape(metrics)['acknowledgement_recent_seconds{quantile="0.99"}'] == 0.001


def test_a_turn_is_counted_by_size_lag_trigger_and_outcome() -> None:
    metrics = Metrics()
    observer: ProcessingObserver = metrics
    observer.claimed(batch(3))
    observer.ended(batch(3), "completed", "", 0)
    observer.claimed(batch(5, trigger="size", claimed_at_ms=9_990))
    observer.ended(batch(5, trigger="size"), "lost", "the lease ran out", 0)
    samples = scrape(metrics)
    assert samples['batches_total{outcome="completed",trigger="window"}'] == 1
    assert samples['batches_total{outcome="lost",trigger="size"}'] == 1
    assert samples['batches_total{outcome="handed back",trigger="retry"}'] == 0, "exported before it happens"
    assert (samples["batch_size_sum"], samples["batch_size_count"]) == (8, 2)
    assert (samples['batch_size_bucket{le="3.0"}'], samples['batch_size_bucket{le="5.0"}']) == (1, 2)
    assert samples["dispatch_lag_seconds_sum"] == pytest.approx(0.020), "a wrong clock makes no negative lag"
    assert samples["retries_total"] == 0


def test_a_failed_attempt_is_a_retry_unless_all_of_it_is_dead() -> None:
    metrics = Metrics()
    metrics.ended(batch(3), "failed", "503", 0)
    metrics.ended(batch(3), "failed", "503", 1)
    metrics.ended(batch(3), "failed", "400", 3)
    metrics.given_up(2)
    samples = scrape(metrics)
    assert samples["retries_total"] == 2
    assert samples["dead_letters_total"] == 6


def test_the_ai_and_the_channel_are_timed_by_outcome() -> None:
    metrics = Metrics()
    metrics.ai("dify", "ok", 4.5)
    metrics.ai("dify", "RetryLaterError", 60.0)
    metrics.send("evolution", "ok", 0.2)
    samples = scrape(metrics)
    assert samples['ai_seconds_sum{backend="dify",outcome="ok"}'] == 4.5
    assert samples['ai_seconds_count{backend="dify",outcome="RetryLaterError"}'] == 1
    assert samples['send_seconds_count{channel="evolution",outcome="ok"}'] == 1


def test_reasons_from_outside_do_not_fill_the_memory() -> None:
    metrics = Metrics()
    for number in range(10_000):
        word = "".join(chr(ord("a") + int(digit)) for digit in str(number))
        for value in (f"hostile {word}", f"{number}", "\n" * number, '"} 1\n', "x" * 1_000):
            metrics.skipped(value)
            metrics.rejected(value)
        metrics.ai(word, word, 1.0)
        metrics.send(word, word, 1.0)
    metrics.skipped("own", 3)
    metrics.rejected("signature")
    samples = scrape(metrics)
    assert samples['messages_skipped_total{reason="own"}'] == 3, "a known reason keeps its label"
    assert samples['messages_rejected_total{reason="signature"}'] == 1
    assert sum(name.startswith("messages_skipped_total") for name in samples) < 50
    assert samples['messages_skipped_total{reason="other"}'] > 40_000
    assert len(samples) < 2_000


def report(**values: Any) -> HealthReport:
    return HealthReport(checked_at_ms=0, **values)


def test_outages_by_kind() -> None:
    metrics = Metrics()
    assert scrape(metrics)['outages_total{kind="channel"}'] == 0, "exported before it happens"
    away: dict[str, Any] = {"since_ms": 1, "error": "503", "is_away": True}
    for _ in range(2):
        metrics.backend_changed(OutageNews(kind="channel", instance_name="bot", **away))
    metrics.backend_changed(OutageNews(kind="ai", instance_name="", **(away | {"is_away": False})))
    outages = (
        Outage(kind="channel", instance_name="bot", waiting=3, **away),
        Outage(kind="channel", instance_name="shop", waiting=4, **(away | {"is_away": False})),
    )
    metrics.health(report(reachable=True, outages=outages))
    samples = scrape(metrics)
    assert (samples['outages_total{kind="channel"}'], samples['outages_total{kind="ai"}']) == (2, 0)
    assert (samples['backends_away{kind="channel"}'], samples['backends_away{kind="ai"}']) == (1, 0)
    waiting = [samples[f'waiting_for_backend{{kind="{kind}"}}'] for kind in ("channel", "ai")]
    assert waiting == [7, 0]
    metrics.health(report(reachable=False))
    assert math.isnan(scrape(metrics)['backends_away{kind="ai"}'])


def test_gauges_show_the_health_report() -> None:
    metrics = Metrics()
    metrics.health(
        report(
            reachable=True,
            latency_ms=1.5,
            memory_used_bytes=1_000_000,
            active_conversations=4,
            waiting=9,
            in_flight=3,
            oldest_age_ms=7_500,
            dead_letters=2,
            dead_letters_share=0.25,
            expired_leases=1,
            stranded_conversations=6,
            is_held=True,
            held_since_ms=1,
        )
    )
    samples = scrape(metrics)
    expected = {
        "redis_up": 1,
        "redis_latency_seconds": 0.0015,
        "redis_memory_used_bytes": 1_000_000,
        "depth": 9,
        "in_flight": 3,
        "oldest_age_seconds": 7.5,
        "active_conversations": 4,
        "dead_letters_waiting": 2,
        "dead_letters_share": 0.25,
        "expired_leases": 1,
        "stranded_conversations": 6,
        "held": 1,
        "counted": 1,
        "estimated": 0,
    }
    assert {name: samples[name] for name in expected} == expected
    metrics.health(report(reachable=True, latency_ms=1.5, waiting=0))
    assert scrape(metrics)["oldest_age_seconds"] == 0


def test_gauges_keep_their_values_while_redis_is_too_slow_for_a_count() -> None:
    metrics = Metrics()
    outage = Outage(kind="ai", instance_name="", since_ms=1, error="503", is_away=True, waiting=3)
    values = (
        "waiting",
        "in_flight",
        "dead_letters",
        "active_conversations",
        "expired_leases",
        "damaged_keys",
    )
    counts = dict.fromkeys((*values, "oldest_age_ms"), 9)
    state: dict[str, Any] = {"outages": (outage,), "is_held": True, "is_estimated": True, "held_since_ms": 1}
    metrics.health(report(reachable=True, latency_ms=1.5, **counts, **state))
    before = scrape(metrics)
    metrics.health(report(reachable=True, latency_ms=1.5))
    after = scrape(metrics)
    assert (before["counted"], after["counted"]) == (1, 0)
    gauges = ("depth", "in_flight", "dead_letters_waiting", "oldest_age_seconds", "held", "estimated")
    for name in (*gauges, 'backends_away{kind="ai"}', 'waiting_for_backend{kind="ai"}'):
        assert after[name] == before[name] > 0, name


def test_gauges_of_an_unreachable_redis_are_unknown_and_not_zero() -> None:
    metrics = Metrics()
    metrics.health(report(reachable=True, latency_ms=1.5, memory_used_bytes=5, waiting=9))
    metrics.health(report())
    samples = scrape(metrics)
    assert samples["redis_up"] == 0
    unknown = (
        "depth",
        "in_flight",
        "dead_letters_waiting",
        "oldest_age_seconds",
        "redis_latency_seconds",
        "counted",
    )
    assert all(math.isnan(samples[name]) for name in unknown)


def test_each_process_has_metrics_of_itself_in_a_separate_registry() -> None:
    first, second = Metrics(), Metrics()
    first.rejected("body")
    assert scrape(second)['messages_rejected_total{reason="body"}'] == 0
    body, content_type = first.exposition()
    assert content_type.startswith("text/plain; version=")
    for name in (b"process_cpu_seconds_total", b"python_gc_collections_total", b"python_info"):
        assert name in body
