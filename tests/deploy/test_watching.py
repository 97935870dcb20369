"""Alert rules and dashboard: each metric and label in them is one that `/metrics` prints."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from queue_core.queue.health.health import HealthReport
from queue_core.server.metrics import Metrics
from tests.docs.documents import ROOT

PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana" / "burstqueue.json").read_text("utf-8"))
LABELS_OF_PROMETHEUS = {"job", "instance"}
"""Labels that Prometheus adds."""


def printed() -> dict[str, dict[str, set[str]]]:
    """Return the values of each label of each sample that a process prints once something has happened."""
    metrics = Metrics()
    metrics.undelivered("131026")
    metrics.health(HealthReport(checked_at_ms=1, reachable=True))
    values: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(metrics.exposition()[0].decode()):
        for sample in family.samples:
            labels = values.setdefault(sample.name, defaultdict(set))
            for label, value in sample.labels.items():
                labels[label].add(value)
    return values


PRINTED = printed()


def faults(expression: str, texts: str = "") -> Iterator[str]:
    """Yield each metric, label and value of an expression that no process prints, and unknown labels in its texts."""
    labels = set(LABELS_OF_PROMETHEUS)
    for name, matchers in re.findall(r"\b(burstqueue_\w+)(?:\{([^}]*)\})?", expression):
        known = PRINTED.get(name)
        if known is None:
            yield name
            continue
        labels |= set(known)
        for label, values in re.findall(r'(\w+)=~?"([^"]*)"', matchers):
            if label not in known and label not in LABELS_OF_PROMETHEUS:
                yield f"{name}{{{label}}}"
            elif not values.startswith("$"):
                yield from (f"{label}={value}" for value in values.split("|") if value not in known[label])
    named = ",".join(re.findall(r"\bby \(([^)]*)\)", expression)).replace(" ", "").split(",")
    named += re.findall(r"\{\{ ?(?:\$labels\.)?(\w+) ?\}\}", texts)
    yield from (label for label in named if label and label not in labels)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_reads_what_is_printed_and_says_what_to_do(rule: dict[str, Any]) -> None:
    annotations = rule["annotations"]
    assert list(faults(rule["expr"], " ".join(annotations.values()))) == []
    assert set(annotations) == {"summary", "description"}
    assert rule["labels"]["severity"] in ("critical", "warning")


@pytest.mark.parametrize("panel", DASHBOARD["panels"], ids=lambda panel: str(panel["title"]))
def test_a_panel_reads_what_is_printed(panel: dict[str, Any]) -> None:
    assert [
        fault for target in panel["targets"] for fault in faults(target["expr"], target["legendFormat"])
    ] == []


def test_the_dashboard_chooses_the_job_by_a_metric_that_is_printed() -> None:
    (query,) = [each["query"] for each in DASHBOARD["templating"]["list"] if each["name"] == "job"]
    assert query == "label_values(burstqueue_redis_up, job)"
    assert list(faults(query)) == []


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("max(burstqueue_dept)", "burstqueue_dept"),
        ('burstqueue_depth{kind="ai"}', "burstqueue_depth{kind}"),
        ('burstqueue_batches_total{outcome=~"completed|sent"}', "outcome=sent"),
        ("sum by (job, code) (burstqueue_retries_total)", "code"),
    ],
)
def test_a_wrong_name_is_found(expression: str, fault: str) -> None:
    assert list(faults(expression)) == [fault]


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool, of Prometheus, is not on this machine")
def test_each_alert_fires_on_what_it_is_for() -> None:
    command = ["promtool", "test", "rules", "alerts_test.yml"]
    done = subprocess.run(command, cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
