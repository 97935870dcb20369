"""Replays take files of any kind: recordings as they are, a live recorder's folder as one, all else imported."""

from __future__ import annotations

import gzip
import json
import zipfile
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from queue_core import QueueMessage
from queue_core.recording.format import DEFAULT_EPOCH_MS, Arrival, Recording
from queue_core.recording.reader import RecordingError
from queue_core.recording.recorder import Recorder
from queue_core.recording.writer import dump
from sim.cli import main
from sim.commands.import_words import unread_lines
from sim.importers.base import ImportFailedError
from sim.importers.importing import Import
from sim.importers.loading import load_any
from sim.importers.sources import STANDARD_INPUT
from sim.importers.taking import ImportOptions
from tests.sim.importers.writers import SHAPES, bodies

RECORDING = (
    '{"event":"recording","version":2,"settings":{"ai":"constant:1s"},"expect":{"queue":{"lost":[]}}}\n'
    '{"event":"message","at":0,"instance":"bot","phone":"a","id":"m1","text":"hello"}\n'
)
NO_OPTIONS = ImportOptions()


def write_dump(path: Path, day: Recording, name: str = "waha") -> Path:
    path.write_text("".join(f"{body}\n" for _, body in bodies(day, SHAPES[name])), "utf-8")
    return path


def arrivals_by_name(*paths: Path, options: ImportOptions = NO_OPTIONS) -> dict[str, int]:
    return {recording.name: len(recording.arrivals) for recording in load_any(paths, options).recordings}


def test_a_recording_keeps_its_settings_packed_or_not(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(RECORDING)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(RECORDING.encode()))
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("one.jsonl", RECORDING)
        archive.writestr("two.jsonl", RECORDING)
    paths = [tmp_path / name for name in ("a.jsonl", "b.jsonl.gz", "c.zip")]
    recordings = load_any(paths, NO_OPTIONS).recordings
    assert [recording.name for recording in recordings] == ["a.jsonl", "b.jsonl.gz", "one.jsonl", "two.jsonl"]
    for recording in recordings:
        assert recording.settings == {"ai": "constant:1s"}
        assert recording.arrivals[0].text == "hello"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_may_have_two_recordings_of_one_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("one.jsonl", RECORDING)
        archive.writestr("one.jsonl", RECORDING.replace("hello", "bye"))
    recordings = load_any([tmp_path / "c.zip"], NO_OPTIONS).recordings
    texts = {recording.name: recording.arrivals[0].text for recording in recordings}
    assert texts == {"one.jsonl": "hello", "one.jsonl (2)": "bye"}


def test_each_recording_in_a_folder_stays_a_recording_of_its_own(tmp_path: Path, day: Recording) -> None:
    (tmp_path / "a.jsonl").write_text(RECORDING)
    (tmp_path / "b.jsonl").write_text(RECORDING)
    (tmp_path / "README.md").write_text("about them")
    write_dump(tmp_path / "dump.jsonl", day)
    assert arrivals_by_name(tmp_path) == {"a.jsonl": 1, "b.jsonl": 1, tmp_path.name: len(day.arrivals)}


def test_a_folder_of_other_files_is_one_recording(tmp_path: Path, day: Recording) -> None:
    (tmp_path / "logs").mkdir()
    write_dump(tmp_path / "logs" / "a.log", day)
    write_dump(tmp_path / "logs" / "b.log", day, "cloud")
    loaded = load_any([tmp_path], NO_OPTIONS)
    (recording,) = loaded.recordings
    assert len(recording.arrivals) == 2 * len(day.arrivals)
    assert [file.format for file in loaded.imports[0].files] == ["webhooks", "webhooks"]


def test_progress_is_reported_for_many_small_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.importers.importing.PROGRESS_EVERY", 3)
    for number in range(7):
        (tmp_path / f"{number}.jsonl").write_text(RECORDING)
    reports: list[None] = []
    list(Import([tmp_path], NO_OPTIONS, progress=lambda: reports.append(None)).events())
    assert len(reports) == 2


def test_a_readme_is_not_imported_and_not_counted_unless_it_is_named(tmp_path: Path, day: Recording) -> None:
    folder = tmp_path / "monday"
    (folder / "older").mkdir(parents=True)
    write_dump(folder / "dump.log", day)
    (folder / "README.md").write_text("about them")
    (folder / "older" / "LICENSE").write_text("do as you like")
    with zipfile.ZipFile(folder / "more.zip", "w") as archive:
        archive.write(folder / "dump.log", "dump.log")
        archive.writestr("README.txt", "about them")
    work = Import([folder], NO_OPTIONS)
    work.recording("monday")
    assert [file.name for file in work.summary.files] == [
        str(folder / "dump.log"),
        str(folder / "more.zip" / "dump.log"),
    ]
    assert not work.summary.left_out
    assert arrivals_by_name(folder) == {"monday": 2 * len(day.arrivals)}
    named = write_dump(folder / "README.log", day)
    assert arrivals_by_name(named) == {"README.log": len(day.arrivals)}


def test_an_archive_of_recordings_may_have_a_readme(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "days.zip", "w") as archive:
        archive.writestr("one.jsonl", RECORDING)
        archive.writestr("README.md", "about it")
    assert arrivals_by_name(tmp_path / "days.zip") == {"days.zip": 1}


def test_an_archive_without_files_to_read_is_an_error(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "days.zip", "w") as archive:
        archive.writestr("README.md", "about nothing")
    with pytest.raises(ImportFailedError, match="holds no message"):
        arrivals_by_name(tmp_path / "days.zip")


CHAT = "".join(
    f"12/03/2025, 10:1{minute} - {who}: oi\n" for minute, who in enumerate(("Rita", "Loja", "Rita"))
)


@pytest.mark.parametrize("has_recording", [True, False])
def test_a_folder_of_several_formats_is_a_recording_of_each_and_says_what_it_left_out(
    tmp_path: Path, day: Recording, *, has_recording: bool
) -> None:
    folder = tmp_path / "monday"
    (folder / "older").mkdir(parents=True)
    (folder / "WhatsApp Chat with Rita.txt").write_text(CHAT)
    write_dump(folder / "dump.log", day)
    write_dump(folder / "older" / "dump.log", day)
    (folder / "notes.txt").write_text("remember the milk\n")
    (folder / "README.md").write_text(RECORDING)
    (folder / "packed.gz").write_bytes(gzip.compress(RECORDING.encode()))
    if has_recording:
        (folder / "a.jsonl").write_text(RECORDING)
    loaded = load_any([folder], ImportOptions(bots=frozenset({"Loja"})))
    dumps = 1 if has_recording else 2
    assert {recording.name: len(recording.arrivals) for recording in loaded.recordings} == {
        **({"a.jsonl": 1} if has_recording else {}),
        "packed.gz": 1,
        "whatsapp-chat": 2,
        "webhooks": dumps * len(day.arrivals),
    }
    lines = list(unread_lines(loaded.unknown, loaded.below))
    left_out = "no known format, left out; if you know it, name the file alone, with --format"
    assert lines[0] == f"{folder / 'notes.txt'}: {left_out}"
    below = "not read, since a folder above has recordings; to read these files, name their subfolder"
    assert lines[1:] == [f"{folder / 'older' / 'dump.log'}: {below}"] * has_recording


def test_an_import_of_several_formats_warns_that_they_become_one_recording(
    tmp_path: Path, day: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "chat.txt").write_text(CHAT)
    (tmp_path / "notes.txt").write_text("remember the milk\n")
    write_dump(tmp_path / "dump.log", day)
    target = tmp_path.with_name("all.jsonl")
    assert main(["import", str(tmp_path), "--bot", "Loja", "-o", str(target)]) == 0
    said = capsys.readouterr().out
    assert f"{tmp_path / 'notes.txt'}: no known format, left out" in said
    assert (
        "one recording of 2 formats (chats exported from WhatsApp, webhooks): a message that stands in two files"
        in said
    )
    assert main(["import", str(tmp_path / "dump.log"), "-o", str(target)]) == 0
    assert "formats" not in capsys.readouterr().out


def test_the_files_of_a_live_recorder_are_one_recording(tmp_path: Path) -> None:
    """Two processes recorded, and a worker noted what became of the messages: arrivals_by_name and texts stay."""
    now_ms = [1_772_360_400_060]
    web, worker = (
        Recorder(tmp_path, show_text=True, hash_key=b"k", now_ms=lambda: now_ms[0]) for _ in range(2)
    )
    outcomes = Recorder(tmp_path, kind="outcomes", hash_key=b"k", now_ms=lambda: now_ms[0])
    messages = [
        QueueMessage(id=f"m{number}", instance_name="bot", user_phone="1", message=f"text {number}")
        for number in range(3)
    ]
    for recorder, message in zip((web, worker, web), messages, strict=True):
        now_ms[0] += 400
        recorder.message(message, "text")
    outcomes.dead_letter(messages[2], "late")
    for recorder in (web, worker, outcomes):
        recorder.close()
    (recording,) = load_any([tmp_path], NO_OPTIONS).recordings
    assert recording.name == tmp_path.name
    assert [(arrival.at_ms, arrival.text) for arrival in recording.arrivals] == [
        (0, "text 0"),
        (400, "text 1"),
        (800, "text 2"),
    ]
    assert [event.name for event in recording.others] == ["dead_letter"]
    with (broken := next(tmp_path.glob("recording-*"))).open("a") as file:
        file.write('{"event":"message","at":\n')
    line = len(broken.read_text().splitlines())
    with pytest.raises(
        ImportFailedError,
        match=rf"{broken.name}:{line}: a line that is not an event of a recording; --skip-bad-lines",
    ):
        load_any([tmp_path], NO_OPTIONS)
    assert load_any([tmp_path], NO_OPTIONS, skip_bad_lines=True).recordings[0].arrivals


def test_from_to_and_instance_take_a_part_of_the_files_of_a_live_recorder(tmp_path: Path) -> None:
    for process, instance in ((17, "bot"), (18, "shop")):
        text = RECORDING.replace('"bot"', f'"{instance}"').replace('"at":0', f'"at":{process}')
        (tmp_path / f"recording-20260301T102000Z-{process}.jsonl").write_text(text)
    start_ms = DEFAULT_EPOCH_MS + 18
    for options in (
        ImportOptions(instance="shop"),
        ImportOptions(from_ms=start_ms),
        ImportOptions(to_ms=start_ms),
    ):
        assert arrivals_by_name(tmp_path, options=options) == {tmp_path.name: 1}


@pytest.mark.parametrize("has_dump", [True, False])
def test_recordings_in_subfolders_stay_recordings_of_their_own(
    tmp_path: Path, day: Recording, *, has_dump: bool
) -> None:
    """A file of another format beside the subfolder changes nothing."""
    folder = tmp_path / "week"
    (folder / "mon").mkdir(parents=True)
    (folder / "mon" / "a.jsonl").write_text(RECORDING)
    (folder / "mon" / "b.jsonl").write_text(RECORDING)
    if has_dump:
        write_dump(folder / "dump.log", day)
    loaded = load_any([folder, folder / "mon" / "..", tmp_path / "week" / "mon"], NO_OPTIONS)
    assert {recording.name: len(recording.arrivals) for recording in loaded.recordings} == {
        "a.jsonl": 1,
        "b.jsonl": 1,
        **({"week": len(day.arrivals)} if has_dump else {}),
    }
    assert all(r.settings == {"ai": "constant:1s"} for r in loaded.recordings if r.name.endswith(".jsonl"))


@pytest.mark.timeout(10)
@pytest.mark.parametrize("below", ["", "host"])
def test_files_of_a_live_recorder_beside_a_dump_are_a_recording_of_their_own(
    tmp_path: Path, day: Recording, below: str
) -> None:
    folder = tmp_path / "week" / below
    folder.mkdir(parents=True)
    for process in (17, 18):
        text = RECORDING.replace('"m1"', f'"m{process}"')
        (folder / f"recording-20260301T102000Z-{process}.jsonl").write_text(text)
    write_dump(folder / "dump.log", day)
    assert arrivals_by_name(tmp_path / "week") == {"recording": 2, "webhooks": len(day.arrivals)}


def test_a_broken_recording_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(RECORDING + '{"event":"mesage"}\n')
    with pytest.raises(RecordingError, match='unknown event "mesage"; did you mean "message"'):
        load_any([path], NO_OPTIONS)
    path.write_text("hello\n")
    with pytest.raises(RecordingError, match="is not JSON"):
        load_any([path], NO_OPTIONS)


@pytest.mark.parametrize("packed", [False, True])
def test_standard_input_is_read_once(
    tmp_path: Path, day: Recording, monkeypatch: pytest.MonkeyPatch, *, packed: bool
) -> None:
    content = write_dump(tmp_path / "dump.log", day).read_bytes()
    stream = BytesIO(gzip.compress(content) if packed else content)
    monkeypatch.setattr("sys.stdin", TextIOWrapper(stream))
    assert arrivals_by_name(STANDARD_INPUT) == {"-": len(day.arrivals)}


def test_a_dump_with_the_ending_of_a_recording_does_not_hide_the_folders_below(
    tmp_path: Path, day: Recording
) -> None:
    folder = tmp_path / "week"
    (folder / "mon").mkdir(parents=True)
    write_dump(folder / "sunday.jsonl", day)
    write_dump(folder / "mon" / "monday.jsonl", day)
    loaded = load_any([folder], NO_OPTIONS)
    assert [len(recording.arrivals) for recording in loaded.recordings] == [2 * len(day.arrivals)]
    assert not loaded.below


def test_from_to_and_instance_take_a_part_of_a_recording(tmp_path: Path, day: Recording) -> None:
    path = tmp_path / "day.jsonl"
    path.write_text("".join(dump(day)))
    middle_ms = day.epoch_ms + 3600_000
    first = arrivals_by_name(path, options=ImportOptions(to_ms=middle_ms))["day.jsonl"]
    second = arrivals_by_name(path, options=ImportOptions(from_ms=middle_ms))["day.jsonl"]
    assert 0 < first < len(day.arrivals) == first + second
    with pytest.raises(ImportFailedError, match="has no messages that match --from"):
        arrivals_by_name(path, options=ImportOptions(instance="other"))


def test_a_bot_with_a_phone_number_as_its_name_can_be_selected_and_is_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    message = Arrival(0, "5547988887777", "966500000001", "m1", "hello", "text", 0)
    Path("dump.log").write_text(json.dumps(SHAPES["evolution v2"].body(message, 1_772_360_400_500)))
    options = [
        "--instance",
        "5547988887777",
        "--bot",
        "+55 47 98888-7777",
        "--no-report",
        "--json",
        "out.json",
    ]
    assert main(["replay", "dump.log", "--system", "queue", *options]) == 0, capsys.readouterr().err
    assert "--instance '#' --bot '+#'" in json.loads(Path("out.json").read_text())["command"]


def test_a_replay_says_what_it_made_of_a_dump(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    body = SHAPES["evolution v2"].body
    message = Arrival(0, "shop", "966500000001", "m1", "hello", "text", 0)
    own = body(message, 1_772_360_409_000)
    own["data"]["key"] |= {"fromMe": True, "id": "r1"}
    Path("dump.log").write_text(f"{json.dumps(body(message, 1_772_360_400_500))}\n{json.dumps(own)}\n")
    Path("notes.txt").write_text("remember the milk\n")
    Path("one.jsonl").write_text(RECORDING)
    assert main(["replay", ".", "--system", "queue", "--no-report"]) == 0
    assert "notes.txt: no known format, left out" in capsys.readouterr().err
    options = ["replay", "dump.log", "--system", "queue", "--no-report", "--json", "out.json"]
    assert main(options) == 0
    said = capsys.readouterr()
    assert "dump.log: webhooks (2 of the first 2 lines" in said.err
    assert "1 message of 1 conversation on 1 instance" in said.err
    assert "also 1 reply" in said.err
    result = json.loads(Path("out.json").read_text())
    assert result["recordings"][0]["messages"][0]["text"] == ""
    assert "966500000001" not in Path("out.json").read_text()
    assert main([*options, "--text", "--key", "secret", "--zone", "-03:00", "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    result = json.loads(Path("out.json").read_text())
    assert result["recordings"][0]["messages"][0]["text"] == "hello"
    assert "--zone UTC-03:00 --text" in result["command"]
    assert "secret" not in result["command"]
