"""CSV files embedded in a page."""

from __future__ import annotations

import base64
import csv
import io
import re

import pandas as pd
import pytest

from reports.analysis.figures import COUNTS
from reports.analysis.replay import AnalysedReplay
from reports.pages.csv_links import BOM, BYTES_MAX, CELL_LENGTH_MAX, csv_link
from reports.pages.replay.downloads import downloads
from reports.pages.replay.page import render_replay_report
from tests.reports import example

HEAD = "data:text/csv;charset=utf-8;base64,"
URIS_BYTES_MAX = 60_000


def _text(address: str) -> str:
    assert address.startswith(HEAD)
    text = base64.b64decode(address.removeprefix(HEAD), validate=True).decode("utf-8")
    assert text.startswith(BOM), "a spreadsheet would not take it for UTF-8"
    return text.removeprefix(BOM)


def _read(address: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(_text(address), newline=""), strict=True))


def test_a_file_comes_back_as_it_was() -> None:
    rows: list[list[object]] = [
        ["a,b", 'say "x"', "one\nline", "نعم", 1],
        ["", " x", "a;b", "'", -5],
        ["-", "1e5", "007", "نص «طويل»", None],
    ]
    link = csv_link("x.csv", ["a", "b", "c", "d", "e"], rows)
    assert (link.name, link.rows_shown, link.left_out) == ("x.csv", 3, 0)
    lines = _read(link.address)
    assert lines[0] == ["a", "b", "c", "d", "e"]
    assert lines[1] == ["a,b", 'say "x"', "one\nline", "نعم", "1"]
    assert lines[2] == ["", " x", "a;b", "'", "-5"]
    assert lines[3] == ["'-", "1e5", "007", "نص «طويل»", ""]
    assert _text(link.address).endswith("\r\n")
    frame = pd.read_csv(io.StringIO(_text(link.address)), dtype={"c": str})
    assert frame["a"].tolist()[0] == "a,b"
    assert frame["c"].tolist() == ["one\nline", "a;b", "007"]
    assert frame["e"].tolist()[:2] == [1, -5]


@pytest.mark.parametrize(
    "evil",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        '=HYPERLINK("http://evil.example")',
        "\uff1d1+1",
    ],
)
def test_nothing_that_was_written_is_taken_for_a_formula(evil: str) -> None:
    (_, (cell, number)) = _read(csv_link("x.csv", ["a", "b"], [[evil, -1]]).address)
    assert cell.startswith("'")
    assert cell.replace("'", "") == evil.replace("\r", "\n")
    assert number == "-1"


@pytest.mark.parametrize("separator", [";", "|", "\t", "\n", "; ", "\r\n"])
@pytest.mark.parametrize("evil", ["=1+1", "@SUM(A1)", "\uff1d1", "+1", "-1"])
def test_no_formula_begins_after_another_separator(separator: str, evil: str) -> None:
    (_, (cell, second_cell)) = _read(
        csv_link("x.csv", ["a", "b"], [[f"a{separator}{evil}", "a;b = c; (-1)"]]).address
    )
    assert not re.search(r"[;|\t\n]\s*[=+\-@\uff1d]", cell)
    assert cell.endswith(evil)
    assert second_cell == "a;b = c; (-1)"


def test_control_characters_in_a_file_are_made_visible() -> None:
    (_, (cell,)) = _read(csv_link("x.csv", ["a"], [["\x00\x1b \u202egnp \ud800"]]).address)
    assert cell == "␀␛ [U+202E]gnp \ufffd"


def test_a_long_file_is_cut_and_says_so() -> None:
    link = csv_link("x.csv", ["a"], [["ن" * 50]] * 1000)
    rows = _read(link.address)
    assert rows[-1] == [link.note]
    assert len(rows) - 2 == link.rows_shown > 100
    assert link.rows_shown + link.left_out == 1000
    assert link.note == (
        f"rows left out: {link.left_out}; python -m reports build RESULT.json writes whole files with --csv-dir FOLDER"
    )
    assert len(_text(link.address).encode()) <= BYTES_MAX + 100
    assert len(list(csv.reader(io.StringIO(link.whole)))) == 1001


def test_one_long_text_does_not_cost_the_other_rows() -> None:
    link = csv_link("x.csv", ["a"], [["ن" * 1_000_000], ["b"]])
    assert [len(row[0]) for row in _read(link.address)] == [1, CELL_LENGTH_MAX, 1]


def test_a_file_may_have_no_rows() -> None:
    assert _read(csv_link("x.csv", ["a", "b"], []).address) == [["a", "b"]]


WHY = example.WHY.replace("Messages 4 and 5", "Message {}")


def test_lost_messages_are_listed_with_their_cause_and_without_phone_numbers() -> None:
    result = example.incident()
    result["runs"][0]["ledger"][3]["lost_at_ms"] = None
    links = dict(downloads(AnalysedReplay(result)))
    assert [link.name for link in links.values()] == ["systems.csv", "runs.csv", "lost.csv"]
    head, *rows = _read(links["Lost messages"].address)
    assert head == ["recording", "system", "run", "instance", "user", "id", "lost_at_ms", "cause", "why"]
    assert rows == [
        ["incident.jsonl", "buffer-v1", "0", "bot", "…1234", "m4", "", "marked_unread", WHY.format(4)],
        ["incident.jsonl", "buffer-v1", "0", "bot", "…1234", "m5", "15000", "marked_unread", WHY.format(5)],
    ]
    assert all("966500001234" not in _text(link.address) for link in links.values())


def test_the_figures_of_systems_and_runs_can_be_read_back() -> None:
    result = example.incident()
    links = dict(downloads(AnalysedReplay(result)))
    systems = pd.read_csv(io.StringIO(_text(links["Figures by system"].address)))
    assert systems["system"].tolist() == ["buffer-v1", "queue"]
    assert systems[["sent", "answered", "lost"]].to_numpy().tolist() == [[5, 3, 2], [5, 5, 0]]
    assert (
        systems[["reply_p50_ms", "reply_max_ms", "lag_p95_ms"]].to_numpy().tolist()
        == [[15_000, 15_000, 0]] * 2
    )
    runs = pd.read_csv(io.StringIO(_text(links["Figures by recording and system"].address)))
    assert runs.columns.tolist() == ["recording", "system", "run", *COUNTS]
    assert runs["lost"].tolist() == [2, 0]


def test_all_files_of_a_page_together_stay_small() -> None:
    messages = [example.message(user, user * 1000, "a", phone=f"9665{user:08}") for user in range(5000)]
    recordings = [example.recording(f"{day}-{'x' * 60}", messages[day * 20 :][:20]) for day in range(250)]
    lost = [(message["phone"], message["id"]) for message in messages]
    runs = [example.run(recorded, name, lost=lost) for recorded in recordings for name in ("old", "older")]
    result = example.result(recordings, runs)
    links = [link for _, link in downloads(AnalysedReplay(result))]
    assert sum(len(link.address) for link in links) <= URIS_BYTES_MAX
    assert [link.rows_shown + link.left_out for link in links] == [2, 500, 10_000]
    assert all(link.left_out for link in links[1:])
    html = render_replay_report(result)
    assert html.count("python -m reports build RESULT.json writes whole files") == 2, (
        "it stands beside both links"
    )


def test_hostile_names_stay_cells() -> None:
    result = example.hostile()
    for words, link in downloads(AnalysedReplay(result)):
        head, *rows = _read(link.address)
        assert rows, words
        assert {len(row) for row in rows} == {len(head)}
        assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "@", "\t"))]
