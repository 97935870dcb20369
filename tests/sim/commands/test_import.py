"""`python -m sim import`: its options, what it prints, where it writes, and the estimate before a long replay."""

from __future__ import annotations

import argparse
import io
import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from queue_core.recording.format import Recording
from queue_core.recording.reader import load
from sim.cli import main
from sim.commands.import_options import parse_zone
from sim.commands.recordings import say_estimate
from sim.study import Contender
from sim.synthetic.day import SyntheticSettings, synthesize
from tests.sim.importers.writers import SHAPES, bodies, iso


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    """A dump of 40 webhooks of the Cloud API, and a line that is not a webhook."""
    day = synthesize(SyntheticSettings(messages=40, hours=1, seed=2, instance="shop", redeliveries=0))
    path = tmp_path / "dump.log"
    lines = [body for _, body in bodies(day, SHAPES["cloud"])]
    path.write_text("\n".join([*lines, "a remark"]), "utf-8")
    return path


def test_the_summary_says_what_was_read_left_out_and_written(
    dump: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = dump.with_name("x.jsonl")
    assert main(["import", str(dump), "-o", str(target), "--explain", "--title", "Monday"]) == 0
    first, taken, left_out, seconds, explained, written = capsys.readouterr().out.splitlines()
    assert first.startswith(
        f"{dump}: webhooks (40 of the first 41 lines or values hold webhooks of the WhatsApp Cloud API)"
    )
    assert taken.strip().startswith("40 messages of ")
    period = r", \d{4}-\d\d-\d\d \d\d:\d\d:\d\d to \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    assert re.search(period, taken), "seconds, since all of it is within minutes"
    assert left_out == "  left out: 1 of: no webhook in the line"
    assert seconds == (
        "  40 events with a time known only to the second: the moment within it is drawn by the seed; --keep-seconds "
        "keeps the time of the file"
    )
    assert explained == f"{dump}: 1 of: no webhook in the line (at 41)"
    assert written == f"{target}: written; replay it with: python -m sim replay {target}"
    assert load([target])[0].title == "Monday"
    assert load([target])[0].left_out == {"no webhook in the line": 1}
    assert main(["import", str(dump), "-o", str(target)]) == 0
    again = capsys.readouterr().out.splitlines()[-1]
    assert again == f"{target}: written (replaced); replay it with: python -m sim replay {target}"


def test_where_no_moment_is_drawn_the_summary_does_not_say_so(
    dump: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = "  40 events with a time known only to the second, which is kept as the file has it"
    target = dump.with_name("x.jsonl")
    assert main(["import", str(dump), "-o", str(target), "--keep-seconds"]) == 0
    assert kept in capsys.readouterr().out.splitlines()
    assert main(["import", str(dump), "-o", str(target)]) == 0  # draws moments, which the recording then has
    capsys.readouterr()
    assert main(["import", str(target), "-o", str(dump.with_name("y.jsonl"))]) == 0
    assert kept in capsys.readouterr().out.splitlines()


def test_standard_output_has_the_recording_alone(
    dump: Path, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    assert main(["import", str(dump)]) == 0
    said = capfdbinary.readouterr()
    lines = said.out.splitlines()
    assert json.loads(lines[0])["event"] == "recording"
    assert len(lines) == 41
    assert b"40 messages" in said.err
    assert main(["import", str(dump), "-o", str(tmp_path / "x.jsonl"), "--quiet"]) == 0
    assert capfdbinary.readouterr() == (b"", b"")
    assert (tmp_path / "x.jsonl").read_bytes() == said.out


def test_webhooks_are_read_from_standard_input(
    dump: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(dump.read_bytes())))
    assert main(["import", "-", "-o", str(tmp_path / "x.jsonl"), "--quiet"]) == 0
    assert len(load([tmp_path / "x.jsonl"])[0].arrivals) == 40


def test_a_file_to_import_is_never_overwritten(dump: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = dump.read_bytes()
    assert main(["import", str(dump), "-o", str(dump)]) == 2
    assert "is a file to import; write the recording to another file" in capsys.readouterr().err
    assert dump.read_bytes() == content


def test_a_failed_import_leaves_the_old_file_and_no_other(
    dump: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = dump.with_name("x.jsonl")
    target.write_text("before")
    assert main(["import", str(dump), "-o", str(target), "--from", "2030-01-01"]) == 2
    assert "holds no message" in capsys.readouterr().err
    assert target.read_text() == "before"
    assert main(["import", str(dump), "-o", str(dump / "x.jsonl")]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert sorted(path.name for path in dump.parent.iterdir()) == ["dump.log", "x.jsonl"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "webhook"], "--format: there is no format 'webhook'; did you mean \"webhooks\"?"),
        (
            ["--from", "yesterday"],
            "--from: write a date as in 2026-03-01 or 2026-03-01T18:00, not 'yesterday'",
        ),
        (["--to", "2026-02-30"], "--to: write a date as in"),
    ],
)
def test_options_that_cannot_be_used_are_refused_with_what_to_write(
    options: list[str], words: str, dump: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", str(dump), *options]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "hours"),
    [("UTC", 0), ("z", 0), ("-03:00", -3), ("+0530", 5.5), ("UTC+2", 2), ("Asia/Riyadh", 3)],
)
def test_a_zone_is_a_name_or_an_offset(text: str, hours: float) -> None:
    assert parse_zone(text).utcoffset(None) in (timedelta(hours=hours), None)


@pytest.mark.parametrize("text", ["America/Sao_Paul", "Nowhere", "+25:00", "../etc/passwd", "", "America"])
def test_a_zone_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="there is no time zone"):
        parse_zone(text)


def test_a_zone_may_begin_with_a_minus(dump: Path) -> None:
    assert (
        main(["import", str(dump), "-o", str(dump.with_name("x.jsonl")), "--zone", "-03:00", "--quiet"]) == 0
    )


def test_dates_are_in_the_zone(dump: Path) -> None:
    day = synthetic_day()
    start_ms = day.epoch_ms + 1800_000
    target = dump.with_name("x.jsonl")
    counts = []
    for options in (
        ["--from", iso(start_ms, "")],
        ["--from", iso(start_ms - 3 * 3600_000, ""), "--zone", "-03:00"],
    ):
        assert main(["import", str(dump), "-o", str(target), "--quiet", *options]) == 0
        counts.append(len(load([target])[0].arrivals))
    assert counts[0] == counts[1] < 40


def synthetic_day() -> Recording:
    return synthesize(SyntheticSettings(messages=40, hours=1, seed=2, instance="shop", redeliveries=0))


def test_a_long_replay_is_announced_with_what_shortens_it(capsys: pytest.CaptureFixture[str]) -> None:
    contenders = [Contender("queue", "queue"), Contender("list-v1", "list-v1")]
    options = argparse.Namespace(quiet=False, jobs=1)
    say_estimate([synthetic_day()] * 1000, contenders, 10, options)
    said = capsys.readouterr().err
    assert said.startswith("40,000 messages on 2 systems, 10 runs each: about 17 minutes; ")
    assert "--system NAME replays one system, --from and --to replay a part of the time" in said
    assert "is not split" not in said
    say_estimate([synthetic_day()], contenders, 1, options)
    say_estimate([synthetic_day()] * 1000, contenders, 10, argparse.Namespace(quiet=True, jobs=1))
    assert capsys.readouterr().err == ""


def test_a_large_run_that_cannot_use_all_processes_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    day = synthetic_day()
    large = replace(day, arrivals=day.arrivals * 2500)
    contenders = [Contender("queue", "queue")]
    say_estimate([large], contenders, 1, argparse.Namespace(quiet=False, jobs=2))
    assert "1 of 2 processes can work: a run is not split" in capsys.readouterr().err
    say_estimate([large], contenders, 2, argparse.Namespace(quiet=False, jobs=2))
    assert "is not split" not in capsys.readouterr().err
