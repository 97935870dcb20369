"""Figures of a health report, as `check` and `status` show them."""

from __future__ import annotations

import sys
from importlib.resources import files

import pytest

from queue_core import HealthReport
from queue_core.queue.layout import PREVIOUS_RELEASE_MS
from queue_core.queue.outages import Outage
from queue_core.server.operator.figures import figures, write_findings

DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("counted", "shown"), [(None, "not counted"), (0, "0 conversations"), (1, "1 conversation")]
)
def test_a_search_that_was_not_made_is_not_shown_as_0(counted: int | None, shown: str) -> None:
    report = HealthReport(checked_at_ms=0, reachable=True, stranded_conversations=counted)
    assert dict(figures(report))["stranded"] == shown


def test_a_report_without_counts_shows_not_counted() -> None:
    shown = dict(figures(HealthReport(checked_at_ms=0, reachable=True)))
    names = ("active", "waiting", "being answered", "oldest", "dead letters", "damaged", "expired leases")
    assert {name: shown[name] for name in names} == dict.fromkeys(names, "not counted")
    assert shown["layout"] == "2", "since when is unknown"


def test_outages_are_shown_with_their_reason() -> None:
    away = Outage(
        kind="channel", instance_name="shop", is_away=True, since_ms=1_000, error="503\n", waiting=2
    )
    back = Outage(kind="ai", instance_name="", is_away=False, since_ms=1_000, error="500", waiting=1)
    report = HealthReport(checked_at_ms=61_000, reachable=True, outages=(away, back))
    assert [shown for name, shown in figures(report) if name == "outage"] == [
        "the channel of shop has been away for 1 min; waiting for it: 2 conversations; last error: 503\\n",
        "the AI is back; still waiting for it: 1 conversation",
    ]


@pytest.mark.parametrize(
    ("since_ms", "shown"),
    [
        (None, "2, from the first message on"),
        (0, "2"),
        (1, "2 since 1970-01-01 00:00:00Z"),
        (
            DAY_MS + 1,
            "2 since 1970-01-02 00:00:00Z; the previous release may run beside this one until 1970-01-03 00:00:00Z",
        ),
    ],
)
def test_the_layout_says_until_when_the_previous_release_may_run(since_ms: int | None, shown: str) -> None:
    report = HealthReport(checked_at_ms=DAY_MS + 1, reachable=True, is_held=False, layout_since_ms=since_ms)
    assert dict(figures(report))["layout"] == shown


def test_the_script_writes_for_the_previous_release_for_as_long_as_the_figures_say() -> None:
    script = (files("queue_core.redis.scripts") / "seen.lua").read_text("utf-8")
    assert f"ROLLING_MS = {PREVIOUS_RELEASE_MS // 3_600_000} * 3600 * 1000" in script


def test_findings_are_wrapped_and_indented_on_a_terminal_but_not_in_a_pipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = "maxmemory is not set, so a Redis that fills the machine's memory is killed"
    write_findings([], [finding])
    assert capsys.readouterr().out == f"\nwarning  {finding}\n"
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    write_findings([], [finding])
    assert capsys.readouterr().out.splitlines() == [
        "",
        "warning  maxmemory is not set, so a Redis that",
        "         fills the machine's memory is killed",
    ]
