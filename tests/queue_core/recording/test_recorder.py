"""The recorder: the simulator replays its files, they show no user's identity, and its failures do no harm."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_core import Batch, QueueMessage
from queue_core.durations import DAY_MS
from queue_core.recording.files import RETRY_AFTER_MS
from queue_core.recording.format import (
    TEXT_LENGTH_MAX,
    BatchTaken,
    Delete,
    Edit,
    Fault,
    GivenUp,
    Reply,
)
from queue_core.recording.reader import load
from queue_core.recording.recorder import Recorder

REPOSITORY = Path(__file__).parents[3]
PHONE = "966500001234"
START_MS = 1_772_360_400_060  # 2026-03-01T10:20:00.060Z
KEY = b"a key of the tests"


class Clock:
    def __init__(self) -> None:
        self.ms = START_MS

    def __call__(self) -> int:
        return self.ms


def message(message_id: str = "m1", text: str = "hello", **values: Any) -> QueueMessage:
    fields = {"instance_name": "bot", "user_phone": PHONE, "message": text, **values}
    return QueueMessage(id=message_id, **fields)


def batch(*messages: QueueMessage) -> Batch:
    return Batch(
        instance_name=messages[0].instance_name,
        user_phone=messages[0].user_phone,
        messages=messages,
        token=1,
        processor_id="worker",
        attempt=1,
        trigger="window",
        due_at_ms=START_MS + 8_000,
        claimed_at_ms=START_MS + 8_003,
    )


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def record_a_life(recorder: Recorder, clock: Clock) -> None:
    """Record a burst of three, a redelivery, another user's picture, and every outcome that they can have."""
    burst = [message("m1", "one meal"), message("m2", "for two"), message("m3", "how much?")]
    for number, delivery in enumerate([*burst, burst[0]]):
        clock.ms = START_MS + number * 300
        recorder.message(delivery, "text")
        recorder.acknowledged(delivery, "duplicate" if number == 3 else "queued")
    picture = message(f"picture-{PHONE}", "[image]", user_phone="966500009999", timestamp=START_MS - 2_000)
    recorder.message(picture, "image")
    recorder.fallback(picture)
    recorder.acknowledged(picture, "answered")
    clock.ms = START_MS + 8_003
    turn = batch(*burst)
    recorder.superseded(batch(*burst[:2]))
    recorder.batch(turn)
    recorder.reply(turn, "it is 20", True, ("name", "city"))
    recorder.sent(turn)
    recorder.dead_letter(picture, "late")
    recorder.note("the operator was here")
    recorder.close()


def test_a_burst_is_read_back_by_the_simulator(tmp_path: Path) -> None:
    clock = Clock()
    record_a_life(Recorder(tmp_path, show_text=True, now_ms=clock), clock)
    (recording,) = load([tmp_path])
    assert recording.epoch_ms == START_MS
    assert [arrival.at_ms for arrival in recording.arrivals] == [0, 300, 600, 900, 900]
    assert [arrival.text for arrival in recording.arrivals] == [
        "one meal",
        "for two",
        "how much?",
        "one meal",
        "[image]",
    ]
    ids = [arrival.id for arrival in recording.arrivals]
    assert ids[0] == ids[3], "delivered again: the same id twice"
    assert len(set(ids)) == 4
    assert len({arrival.phone for arrival in recording.arrivals}) == 2
    assert recording.arrivals[4].kind == "image"
    assert recording.arrivals[4].timestamp_ms == -2_000


def test_the_simulator_replays_a_recording(tmp_path: Path) -> None:
    clock = Clock()
    record_a_life(Recorder(tmp_path / "live", now_ms=clock), clock)
    command = [sys.executable, "-m", "sim", "replay", str(only_file(tmp_path / "live"))]
    done = subprocess.run(
        [*command, "--report", str(tmp_path / "report.html"), "--system", "queue"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert "none of 4 messages" in " ".join(done.stdout.split())
    assert "</html>" in (tmp_path / "report.html").read_text("utf-8")


def test_lines_say_when_in_utc_and_the_first_is_about_the_file(tmp_path: Path) -> None:
    clock = Clock()
    record_a_life(Recorder(tmp_path, now_ms=clock), clock)
    path = only_file(tmp_path)
    assert re.fullmatch(rf"recording-20260301T102000Z-{os.getpid()}\.jsonl", path.name)
    header, *events = lines_of(path)
    assert (header["event"], header["version"]) == ("recording", 2)
    assert "a number of seven digits or more in their names are keyed hashes" in header["notes"]
    assert [event["at"] for event in events[:3:2]] == [
        "2026-03-01T10:20:00.060Z",
        "2026-03-01T10:20:00.360Z",
    ]
    outcomes = [event for event in events if event["event"] not in ("message", "note")]
    assert [event["event"] for event in outcomes] == ["fallback", "batch", "reply", "sent", "dead_letter"]
    ids = [event["id"] for event in events if event["event"] == "message"]
    assert outcomes[1]["ids"] == ids[:3], "an id is the same wherever it stands"
    assert outcomes[2]["x_requested"] == 2
    assert outcomes[2]["x_needs_data_collection"] is True
    (superseded,) = (event for event in events if event.get("what") == "superseded")
    assert (superseded["event"], superseded["ids"]) == ("note", ids[:2])


def test_all_that_becomes_of_messages_is_read_back(tmp_path: Path) -> None:
    clock = Clock()
    record_a_life(Recorder(tmp_path, now_ms=clock), clock)
    (recording,) = load([tmp_path])
    taken, reply, dead = recording.others
    ids = [arrival.id for arrival in recording.arrivals[:3]]
    assert isinstance(taken, BatchTaken)
    assert (list(taken.ids), taken.trigger, taken.attempt) == (ids, "window", 1)
    assert isinstance(reply, Reply)
    assert (reply.who, list(reply.ids), reply.text, reply.characters) == ("bot", ids, "", 8)
    assert isinstance(dead, GivenUp)
    assert (dead.ids, dead.reason) == ((recording.arrivals[4].id,), "late")
    assert [arrival.characters for arrival in recording.arrivals] == [8, 7, 9, 8, 7]


def test_edits_deletions_and_faults_are_events(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, hash_key=KEY, show_text=True)
    recorder.message(message("m1", "one"), "text")
    recorder.message(message("m2", "two", message_data={"change": {"what": "edit", "id": "m1"}}), "text")
    recorder.message(message("m3", "gone", message_data={"change": {"what": "deletion", "id": "m1"}}), "text")
    recorder.message(message("m4", "what?", message_data={"change": {"what": "edit", "id": ""}}), "text")
    recorder.fault("channel", "begins", f"no answer for {PHONE}", instance="bot")
    recorder.close()
    (recording,) = load([tmp_path])
    ids = [arrival.id for arrival in recording.arrivals]
    edit, deletion, fault = recording.others
    assert isinstance(edit, Edit)
    assert (edit.id, edit.by, edit.text) == (ids[0], ids[1], "two")
    assert isinstance(deletion, Delete)
    assert (deletion.id, deletion.by) == (ids[0], ids[2])
    assert isinstance(fault, Fault)
    assert (fault.fault, fault.state, fault.instance, fault.phone) == ("channel", "begins", "bot", "")


def test_nothing_in_a_recording_shows_who_wrote_or_what(tmp_path: Path) -> None:
    clock = Clock()
    recorder = Recorder(tmp_path, now_ms=clock)
    instances = ("bot", "+966 50 000 1234", "١٢٣٤٥٦٧٨", f"shop-{PHONE}", "a\nb", "", "x" * 300, "\ud800")
    for number, instance in enumerate(instances):
        secret = message(f"{PHONE}@s.whatsapp.net-{number}", "my secret", instance_name=instance)
        recorder.message(secret, "secret 966500001234")
        recorder.batch(batch(secret))
        recorder.reply(batch(secret), "you said my secret", requested_fields=("my secret",))
        for reason in (
            "handle: ValueError: my secret",
            "the AI choked on: my secret",
            f"no such user {PHONE} or +966 50-000 1234",
        ):
            recorder.dead_letter(batch(secret), reason)
    recorder.close()
    content = only_file(tmp_path).read_text("utf-8")
    for event in content.splitlines():
        assert "secret" not in event
        assert not re.search(r"\d{5,}", re.sub(r'"at":"[^"]+"', "", event)), event
    assert "50-000" not in content
    (recording,) = load([tmp_path])
    assert len({arrival.instance for arrival in recording.arrivals}) == len(instances)
    assert len({arrival.phone for arrival in recording.arrivals}) == 1
    assert {arrival.kind for arrival in recording.arrivals} == {"other"}
    reasons = {event["reason"] for event in lines_of(only_file(tmp_path)) if event["event"] == "dead_letter"}
    assert reasons == {"handle: ValueError", "withheld: it quotes the message", "no such user # or +#"}


def test_texts_are_shown_when_asked_for_and_phones_are_not(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, show_text=True)
    recorder.message(message(text="one meal"), "text")
    recorder.reply(batch(message()), "20 riyals", requested_fields=("name",))
    recorder.dead_letter(message(), "handle: ValueError: one meal")
    recorder.close()
    _, arrival, reply, dead = lines_of(only_file(tmp_path))
    assert arrival["text"] == "one meal"
    assert (reply["text"], reply["x_requested_fields"]) == ("20 riyals", ["name"])
    assert dead["reason"] == "handle: ValueError: one meal"
    assert PHONE not in only_file(tmp_path).read_text("utf-8")


def test_only_with_a_key_is_a_user_the_same_in_several_files(tmp_path: Path) -> None:
    def phone_by(name: str, key: bytes | None) -> str:
        recorder = Recorder(tmp_path / name, hash_key=key)
        recorder.message(message(), "text")
        recorder.close()
        return str(lines_of(only_file(tmp_path / name))[1]["phone"])

    with_key = {phone_by("a", KEY), phone_by("b", KEY)}
    without = {phone_by("c", None), phone_by("d", None), phone_by("e", b"another")}
    assert len(with_key) == 1
    assert len(without) == 3
    assert not with_key & without


def test_each_message_without_an_id_is_a_new_message(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    for _ in range(3):
        recorder.message(message(""), "text")
        recorder.acknowledged(message(""), "queued")
    recorder.close()
    (recording,) = load([tmp_path])
    assert len({arrival.id for arrival in recording.arrivals}) == 3


anything = st.text(st.characters(), max_size=20)  # NUL, control characters and lone surrogates included


@given(
    st.lists(
        st.tuples(anything, anything, anything, anything, anything, st.integers(-(2**63), 2**63)), min_size=1
    )
)
def test_whatever_arrives_makes_a_recording(
    tmp_path_factory: pytest.TempPathFactory, arrivals: list[tuple[str, str, str, str, str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("recordings")
    recorder = Recorder(folder, show_text=True)
    for instance, phone, message_id, text, kind, timestamp in arrivals:
        hostile = message(message_id, text, instance_name=instance, user_phone=phone, timestamp=timestamp)
        recorder.message(hostile, kind)
        recorder.dead_letter(hostile, text)
    recorder.close()
    (recording,) = load([folder])
    assert len(recording.arrivals) == len(arrivals)


def test_a_text_that_is_too_long_is_cut(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, show_text=True)
    recorder.message(message(text="\x01" * 200_000), "text")
    recorder.close()
    assert len(load([tmp_path])[0].arrivals[0].text) == TEXT_LENGTH_MAX


def test_what_became_of_older_messages_makes_no_recording_without_messages(tmp_path: Path) -> None:
    """After a restart turns are answered before anything arrives: a replay of the folder must not fail at it."""
    recorder = Recorder(tmp_path)
    assert list(tmp_path.iterdir()) == [], "a file is made when there is something to write"
    recorder.sent(batch(message("before the restart")))
    assert only_file(tmp_path).suffix == ".ndjson"
    recorder.message(message(), "text")
    recorder.sent(batch(message()))
    recorder.close()
    outcomes, recording = sorted(tmp_path.iterdir())
    assert [event["event"] for event in lines_of(outcomes)] == ["recording", "sent"]
    assert [event["event"] for event in lines_of(recording)] == ["recording", "message", "sent"]
    assert len(load([tmp_path])) == 1


def test_a_worker_writes_outcomes(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, kind="outcomes", hash_key=KEY)
    recorder.batch(batch(message("m1"), message("m2")))
    recorder.close()
    assert re.fullmatch(r"outcomes-\d{8}T\d{6}Z-\d+\.ndjson", only_file(tmp_path).name)
    header, taken = lines_of(only_file(tmp_path))
    assert header["event"] == "recording"
    assert (taken["trigger"], taken["attempt"], len(taken["ids"])) == ("window", 1, 2)


def test_two_recorders_of_one_process_write_two_files(tmp_path: Path) -> None:
    clock = Clock()
    recorders = [Recorder(tmp_path, now_ms=clock) for _ in range(3)]
    for number in range(6):
        recorders[number % 3].message(message(f"m{number}"), "text")
    for recorder in recorders:
        recorder.close()
    assert [len(recording.arrivals) for recording in load([tmp_path])] == [2, 2, 2]


_CHILD = """
import sys
from queue_core import QueueMessage
from queue_core.recording.recorder import Recorder
recorder = Recorder(sys.argv[1], show_text=True)
for number in range(int(sys.argv[2])):
    text = "x" * (number % 2_000)
    recorder.message(QueueMessage(id=f"m{number}", instance_name="bot", user_phone="1", message=text), "text")
    if number == 50:
        print("started", flush=True)
"""


def child(folder: Path, messages: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _CHILD, str(folder), str(messages)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def test_after_a_restart_another_file_is_written(tmp_path: Path) -> None:
    for _ in range(2):
        with child(tmp_path, 60) as process:
            assert process.wait(60) == 0
    assert [len(recording.arrivals) for recording in load([tmp_path])] == [60, 60]


def test_a_killed_process_cuts_the_last_line_at_most(tmp_path: Path) -> None:
    with child(tmp_path, 10**9) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        path = only_file(tmp_path)
        size = path.stat().st_size
        while path.stat().st_size < size + 100_000:  # until it is writing; the test's timeout ends the loop
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    (recording,) = load([tmp_path], skip_bad_lines=True)
    assert len(recording.arrivals) > 50
    lines = path.read_bytes().split(b"\n")
    assert [bad.line for bad in recording.skipped] == ([len(lines)] if lines[-1] else [])


def test_nobody_else_may_read_a_recording(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        recorder = Recorder(tmp_path / "new")
        recorder.message(message(), "text")
        recorder.close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert stat.S_IMODE(only_file(tmp_path / "new").stat().st_mode) == 0o600


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("folder", ["file", "file/below", "a\0b"])
def test_a_folder_that_cannot_be_written_is_one_warning(
    folder: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    clock = Clock()
    recorder = Recorder(tmp_path / folder, now_ms=clock)
    for minute in range(5):
        clock.ms = START_MS + minute * 60_000
        recorder.message(message(), "text")
        recorder.sent(batch(message()))
    recorder.close()
    assert len(warnings_of(caplog)) == 1
    assert "messages are not affected" in warnings_of(caplog)[0]


class FullDisk:
    """A substitute for os.write on a disk with `free` bytes left."""

    def __init__(self, free: int) -> None:
        self.free = free
        self._write = os.write
        self.attempts = 0

    def __call__(self, descriptor: int, data: bytes) -> int:
        self.attempts += 1
        if not self.free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fits = data[: self.free]
        self.free -= len(fits)
        return self._write(descriptor, fits)


@pytest.mark.parametrize("free", [0, 10, 600])
def test_a_full_disk_is_one_warning_and_leaves_whole_lines(
    free: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    disk = FullDisk(free)
    monkeypatch.setattr("queue_core.recording.files.os.write", disk)
    clock = Clock()
    recorder = Recorder(tmp_path, now_ms=clock)
    for number in range(50):
        recorder.message(message(f"m{number}"), "text")
    assert len(warnings_of(caplog)) == 1
    assert disk.attempts < 10, "a disk that is full is left alone for a while"
    kept = sum(len(recording.arrivals) for recording in load([tmp_path])) if any(tmp_path.iterdir()) else 0
    assert (kept > 0) == (free == 600)

    disk.free = 10**9
    clock.ms += RETRY_AFTER_MS
    recorder.message(message("after"), "text")
    recorder.close()
    newest = max(tmp_path.iterdir(), key=lambda path: path.name)
    assert [event["event"] for event in lines_of(newest)] == ["recording", "note", "message"]
    assert lines_of(newest)[1]["text"] == f"{50 - kept} events before this could not be recorded"
    assert sum(len(recording.arrivals) for recording in load([tmp_path])) == kept + 1
    assert len(warnings_of(caplog)) == 1


def test_it_stops_at_its_limit_before_the_disk_is_full(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(tmp_path, max_bytes=2_000)
    for number in range(100):
        recorder.message(message(f"m{number}"), "text")
    assert only_file(tmp_path).stat().st_size <= 2_000
    assert len(load([tmp_path])[0].arrivals) > 5
    assert len(warnings_of(caplog)) == 1


def test_a_long_recording_is_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("queue_core.recording.files.FILE_BYTES_MAX", 2_000)
    recorder = Recorder(tmp_path, hash_key=KEY)
    for number in range(100):
        recorder.message(message(f"m{number}"), "text")
        recorder.sent(batch(message(f"m{number}")))
    recorder.close()
    recordings = load([tmp_path])
    assert len(recordings) > 5
    assert sum(len(recording.arrivals) for recording in recordings) == 100


def test_a_message_that_cannot_be_recorded_is_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(tmp_path)
    broken: Any = message(user_phone=5, text=PHONE)
    for _ in range(3):
        recorder.message(broken, "text")
        recorder.dead_letter(broken, "reason")
    recorder.message(message(), "text")
    recorder.close()
    recorder.message(message("after the end"), "text")
    assert len(load([tmp_path])[0].arrivals) == 1
    (warning,) = warnings_of(caplog)
    assert PHONE not in warning


def test_old_files_of_all_recorders_are_deleted(tmp_path: Path) -> None:
    clock = Clock()
    files = {
        "recording-20250101T000000Z-7.jsonl": 30 * DAY_MS,
        "outcomes-20250101T000000Z-7-2.ndjson": 31 * DAY_MS,
        "recording-20260201T000000Z-7.jsonl": 30 * DAY_MS - 1_000,
        "notes-of-somebody-else.jsonl": 400 * DAY_MS,
    }
    for name, age_ms in files.items():
        (tmp_path / name).write_text("{}\n", encoding="utf-8")
        at_s = (clock.ms - age_ms - 1) / 1000
        os.utime(tmp_path / name, (at_s, at_s))
    assert Recorder(tmp_path, now_ms=clock).expire(30 * DAY_MS) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "notes-of-somebody-else.jsonl",
        "recording-20260201T000000Z-7.jsonl",
    ]
    assert Recorder(tmp_path / "not there").expire(DAY_MS) == 0


def test_a_file_that_began_a_day_ago_ends_so_that_it_can_grow_old(tmp_path: Path) -> None:
    clock = Clock()
    recorder = Recorder(tmp_path, hash_key=KEY, now_ms=clock)
    recorder.message(message("m1"), "text")
    clock.ms += round(DAY_MS) - 1
    recorder.expire(DAY_MS)
    recorder.message(message("m2"), "text")
    clock.ms += 1
    recorder.expire(DAY_MS)
    recorder.message(message("m3"), "text")
    recorder.close()
    assert [len(recording.arrivals) for recording in load([tmp_path])] == [2, 1]


def test_a_file_that_is_still_written_is_not_deleted(tmp_path: Path) -> None:
    clock = Clock()
    recorder = Recorder(tmp_path, hash_key=KEY, now_ms=clock)
    recorder.message(message("m1"), "text")
    (file,) = tmp_path.iterdir()
    os.utime(file, (clock.ms / 1000, clock.ms / 1000))
    clock.ms += 2 * 3_600_000
    assert recorder.expire(3_600_000) == 0
    recorder.message(message("m2"), "text")
    recorder.close()
    assert [len(recording.arrivals) for recording in load([tmp_path])] == [2]
