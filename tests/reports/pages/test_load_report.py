"""The page of a load test: what it says, that it is inert, small, and the same for the same result."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

import pytest

from reports.pages.load.downloads import load_downloads
from reports.pages.load.page import render_load_report
from reports.results.load import LoadResult, MissedFault, RampStep, Threshold
from tests.reports.load_example import busy, chaos, empty, hostile, huge, invalid
from tests.reports.pages.test_replay_report import Page, without_script

ALL = (busy, chaos, empty, hostile, invalid)


@pytest.mark.parametrize("example", ALL)
def test_the_page_is_one_file_without_script_or_network_and_small(example: Callable[[], LoadResult]) -> None:
    page = render_load_report(example())
    assert page == render_load_report(example())
    assert len(page.encode()) < 500_000
    for forbidden in ("<script", "<img", "<link", "http://", "@import", "onerror=alert(1)>"):
        assert forbidden not in without_script(page).replace("http://www.w3.org", "").lower(), forbidden


def test_it_says_what_was_missed_and_who_was_lost() -> None:
    page = render_load_report(chaos())
    assert "10,000 acknowledged = 9,998 answered + 0 dead-lettered + 0 waiting + 2 lost" in page
    assert page.count("✗ missed") == 2
    for words in ("m-4711", "Redis stalled", "--seed 7", "The equation holds"):
        assert words in page


def test_messages_that_were_sent_twice_are_shown_with_each_send_and_whether_a_worker_died() -> None:
    page = without_script(render_load_report(chaos()))
    unexplained, _, explained = page.partition(
        "Messages that were sent twice: a worker died while sending (2)"
    )
    assert "Messages that were answered twice (1)" in unexplained
    rows = [
        re.findall("<t[hd][^>]*>(?:<bdi>)?([^<]*)", row)
        for row in re.findall(r"<tr>.*?worker-[12]\..*?</tr>", page)
    ]
    assert [row[0] for row in rows] == ["m-9", "m-9", "m-33", "m-33", "m-34", "m-34"]
    assert ("m-9" in unexplained, "m-9" in explained) == (True, False)
    words = [cell.replace("\u00a0", " ") for cell in rows[2]]
    assert words == ["m-33", "19.20 s", "20.40 s", "worker-1.1", "yes", "20.00 s"]
    assert rows[0][3:] == ["worker-1.1", "no", "\u2013"]


def test_a_dead_letter_is_not_called_lost() -> None:
    """A result has the ids of all unanswered messages, since nobody knows which of them are the dead letters."""
    result = chaos()
    assert "Ids of lost messages (2)" in _plain(render_load_report(result))
    result["ledger"].update({"lost": 1, "dead": 1})
    page = _plain(render_load_report(result))
    assert "Ids of messages without an answer: lost, dead-lettered or waiting (2)" in page
    assert "Ids of lost messages" not in page
    (ids,) = [link for _, link in load_downloads(result) if link.name == "messages.csv"]
    assert ids.whole.splitlines()[1] == "unanswered,m-17"


def _plain(page: str) -> str:
    return "".join(Page(page).text).replace("\u00a0", " ")


def test_a_ledger_that_does_not_add_up_is_reported() -> None:
    result = chaos()
    result["ledger"]["answered"] -= 5
    page = render_load_report(result).replace("\u00a0", " ").replace("\u202f", " ")
    assert "The equation does not hold: 5 messages too few" in page


def test_an_invalid_run_proves_nothing() -> None:
    assert "This run is invalid" in render_load_report(invalid())
    assert "This run is invalid" not in render_load_report(chaos())


def test_times_on_a_busy_machine_prove_nothing_and_counts_do() -> None:
    page = render_load_report(busy())
    assert "The times below prove nothing about the system; the numbers of messages are true." in page
    assert "it was not the planned one" not in page


def test_a_run_against_the_legacy_buffer_says_so_in_its_heading() -> None:
    result = chaos()
    assert "<h1>Load test: " in render_load_report(result)
    result["settings"]["system"] = "legacy"
    assert "<h1>Load test of the legacy buffer: " in render_load_report(result)


def test_a_run_without_messages_has_a_page() -> None:
    page = render_load_report(empty())
    assert "There is no timeline." in page


def test_a_ramp_is_a_table() -> None:
    def step(rate: int, lag: Threshold) -> RampStep:
        ack = Threshold(code="acknowledgement_p99", limit=250, measured=12.5, unit="ms", ok=True)
        return RampStep(rate=rate, from_s=0, to_s=10, sent=rate // 6, thresholds=[ack, lag])

    result = chaos()
    result["ramp"] = [
        step(6_000, Threshold(code="dispatch_lag_max", limit=250, measured=44.5, unit="ms", ok=True)),
        step(9_000, Threshold(code="dispatch_lag_p99", limit=250, measured=912, unit="ms", ok=False)),
    ]
    page = render_load_report(result).replace("\u00a0", " ")
    assert "44.5 ms (max)" in page
    assert "✗ <bdi>dispatch lag p99</bdi>" in page


def test_a_threshold_that_could_not_be_measured_is_named_above_the_table() -> None:
    result = chaos()
    result["thresholds"] = [threshold for threshold in result["thresholds"] if threshold["ok"]]
    seen = "".join(Page(render_load_report(result)).text).replace("\u00a0", " ")
    assert "All 1 met. 1 threshold could not be measured: dispatch lag p99." in seen


def test_a_fault_of_the_plan_that_did_not_happen_makes_the_page_invalid_and_is_named() -> None:
    result = chaos()
    result["valid"] = False
    result["missed_faults"] = [MissedFault(code="worker-dies", at_s=200.0, error=None)]
    seen = "".join(Page(render_load_report(result)).text).replace("\u00a0", " ")
    assert (
        "1 fault of the plan did not happen, since the run ended before: worker killed at 3 min 20 s." in seen
    )
    assert "This run is invalid" in seen


def test_nothing_measured_is_said_without_a_unit_and_is_not_met() -> None:
    page = render_load_report(chaos())
    row = re.search("<tr>[^\n]*nothing measured[^\n]*</tr>", page)
    assert row
    assert "dispatch lag p99" in row[0]
    assert "met" not in row[0]
    assert "ms nothing" not in page


@pytest.mark.parametrize("example", [*ALL, pytest.param(huge, marks=pytest.mark.soak)])
def test_the_page_in_arabic_runs_from_right_to_left_and_is_as_sound(
    example: Callable[[], LoadResult],
) -> None:
    html = render_load_report(example(), "ar")
    page, english = Page(html), Page(render_load_report(example()))
    assert dict(next(attrs for tag, attrs in page.elements if tag == "html")) == {"lang": "ar", "dir": "rtl"}
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in english.elements]
    assert page.ids == english.ids
    assert html == render_load_report(example(), "ar")
    assert len(html.encode()) < 500_000


def test_a_page_in_arabic_holds_latin_letters_in_data_only() -> None:
    result = chaos()
    html = render_load_report(result, "ar")
    main = html[html.index("<main") : html.index("</main>")]
    texts = re.sub(r"<[^>]*>", "\n", re.sub(r"<pre.*?</pre>|<bdi>[^<]*</bdi>", "", main, flags=re.DOTALL))
    texts = re.sub("\u2068[^\u2066-\u2069]*\u2069", "", texts)
    assert set(re.findall(r"[A-Za-z][A-Za-z0-9]+", texts)) <= {"Redis", "xx", "p99", "CSV"}
    assert "الرسائل المفقودة" in texts


def test_plots_run_from_left_to_right_in_arabic_too_and_their_words_stand_in_order() -> None:
    html = render_load_report(chaos(), "ar")
    plots = re.findall(r'<div([^>]*)>\s*<svg class="plot"', html)
    assert len(plots) == 6
    assert all('dir="ltr"' in around for around in plots)
    ticks = re.findall(r'<text class="middle"[^>]*>([^<]*)</text>', html)
    named = [tick for tick in ticks if re.search("[\u0621-\u064a]", tick)]
    assert len(named) >= 20
    assert all(tick.startswith("\u2068") and tick.endswith("\u2069") for tick in named)


def test_a_verdict_in_arabic_has_its_numbers() -> None:
    html = render_load_report(chaos(), "ar")
    words = re.sub("[\u2068\u2069]", "", html)
    assert "أُكِّد استلام 10,000 من الرسائل" in words
    assert "حدود لم تتحقّق: أُجيب عنها: 99.98 %، الرسائل المفقودة: 2." in words.replace("\u00a0", " ")
    assert "Missed" not in words


def test_the_seconds_the_latencies_and_what_went_wrong_can_be_downloaded() -> None:
    result = chaos()
    html = render_load_report(result)
    files = {
        name: base64.b64decode(data).decode("utf-8-sig").splitlines()
        for name, data in re.findall(
            r'download="([^"]*)" href="data:text/csv;charset=utf-8;base64,([^"]*)"', html
        )
    }
    assert list(files) == ["seconds.csv", "latencies.csv", "messages.csv"]
    assert files["seconds.csv"][0].startswith("t_s,sent,acknowledged,replied,failed,depth,redis_bytes,cpu ")
    assert len(files["seconds.csv"]) == 1 + len(result["timeline"])
    assert files["latencies.csv"][0] == "latency,samples,p50_ms,p90_ms,p95_ms,p99_ms,max_ms"
    assert len(files["latencies.csv"]) == 1 + len(result["latency_ms"])
    assert len(files["messages.csv"]) == 1 + len(result["lost_ids"]) + len(result["doubles"])
