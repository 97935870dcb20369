"""`python -m sim audit`: tables, page, JSON, exit codes, and bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reports.results.files import read_result
from tests.docs.documents import block
from tests.sim.command_line import INCIDENT, sim

DAY = block("docs/audit.md", "json")


@pytest.fixture
def day(tmp_path: Path) -> Path:
    path = tmp_path / "day.jsonl"
    path.write_text(DAY, "utf-8")
    return path


def test_an_audit_says_first_what_was_left_unanswered(day: Path, tmp_path: Path) -> None:
    done = sim(
        "audit", "day.jsonl", "--within", "5m", "--zone", "Asia/Riyadh", "--json", "out.json", cwd=tmp_path
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[-1] == (
        "On 2026-03-06, 1 of 4 messages from 2 users got no reply (25.0 %), written by 1 user; 1 got its reply after "
        "more than 5 min; 1 came so shortly before a reply that it was probably not read; 1 turn was cut in two "
        "by a reply."
    )
    assert "  2026-03-06 13:00:17  …0001  no reply: when?\n" in done.stdout
    assert "Not known: Replies do not say which messages they answer" in done.stdout
    page = (tmp_path / "reports" / "out" / "audit.html").read_text("utf-8")
    assert "What became of the messages" in page
    assert "966500000001" not in page
    result = read_result(tmp_path / "out.json")
    assert result["kind"] == "audit"
    assert result["command"] == "python -m sim audit day.jsonl --within 5m --zone Asia/Riyadh"


def test_a_day_without_trouble_ends_with_exit_code_0(day: Path, tmp_path: Path) -> None:
    day.write_text("".join(DAY.splitlines(keepends=True)[:4]), "utf-8")
    done = sim("audit", day, "--quiet", "--no-report", "--ai-takes", "1s", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (
        0,
        "On 2026-03-06, all of 2 messages from 1 user got a reply.\n",
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((INCIDENT,), "incident.jsonl: has no replies"),
        (("day.jsonl", "--zone", "Mars/Base"), "--zone: there is no time zone 'Mars/Base'"),
        (("day.jsonl", "--zone", "../etc"), "--zone: there is no time zone"),
        (("day.jsonl", "--within", "0s"), "--within: 0s is too short"),
        (("day.jsonl", "--within", "5"), "--within: 5 has no unit"),
        (("day.jsonl", "--ai-takes", "soon"), "--ai-takes: 'soon' is not a duration"),
    ],
)
def test_bad_input_is_refused_in_one_line_with_exit_code_2(
    day: Path, tmp_path: Path, arguments: tuple[str | Path, ...], words: str
) -> None:
    done = sim("audit", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"sim: {words}")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_the_page_can_be_made_again_in_arabic(day: Path, tmp_path: Path) -> None:
    sim("audit", day, "--no-report", "--json", "-", "--quiet", cwd=tmp_path)
    done = sim("audit", day, "--lang", "ar", "--report", "ar.html", "--json", "out.json", cwd=tmp_path)
    assert done.returncode == 1
    assert 'dir="rtl"' in (tmp_path / "ar.html").read_text("utf-8")
    assert json.loads((tmp_path / "out.json").read_text())["total"]["unanswered"] == 1


@pytest.mark.parametrize("command", ["replay", "audit"])
def test_the_number_in_the_name_of_a_chat_is_not_shown(tmp_path: Path, command: str) -> None:
    """WhatsApp names the export of a chat by the number of somebody who is not in the contacts."""
    chat = "[06/03/2026, 10:00:00] +55 47 9000-00001: hello\n[06/03/2026, 10:00:15] My shop: Hello!\n"
    names = [
        "WhatsApp Chat with +55 47 9000-00001.txt",
        "WhatsApp Chat with +55\u00a0(47)\u00a08000-00001.txt",
    ]
    for name in names:
        tmp_path.joinpath(name).write_text(chat, "utf-8")
    outputs = ["--report", "page.html", "--json", "result.json"]
    sim(command, *names, "--bot", "My shop", "--zone", "UTC", *outputs, cwd=tmp_path)
    shown = "".join((tmp_path / output).read_text("utf-8") for output in ("page.html", "result.json"))
    assert "+…0001.txt" in shown
    assert "+…0001.txt (2)" in shown
    assert "000-0000" not in shown
