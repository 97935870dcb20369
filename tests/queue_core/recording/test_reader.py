"""Reading and writing recordings: every error names file, line and reason."""

from __future__ import annotations

import gzip
import json
import os
import shlex
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from queue_core.recording import reader
from queue_core.recording.format import (
    DEFAULT_EPOCH_MS,
    LINE_BYTES_MAX,
    Arrival,
    BadLine,
    Expectation,
    Recording,
)
from queue_core.recording.reader import RecordingError, load
from queue_core.recording.writer import dump

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write lines (objects become JSON) to a file and return its path."""

    def write_lines(*lines: object, name: str = "x.jsonl") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(_bytes(line) + b"\n" for line in lines))
        return path

    return write_lines


def _bytes(line: object) -> bytes:
    if isinstance(line, bytes):
        return line
    return line.encode() if isinstance(line, str) else json.dumps(line).encode()


def message(**fields: Any) -> dict[str, Any]:
    """Make a message event; a field set to `...` is left out."""
    event = {"event": "message", "at": 0, "instance": "bot", "phone": "a", "id": "m1", "text": "hi"} | fields
    return {name: value for name, value in event.items() if value is not ...}


def header(**fields: Any) -> dict[str, Any]:
    """Make a recording event."""
    return {"event": "recording", "version": 1} | fields


def load_one(path: Path, *, skip_bad_lines: bool = False) -> Recording:
    """Load a single file."""
    (recording,) = load([path], skip_bad_lines=skip_bad_lines)
    return recording


def error_of(path: Path) -> RecordingError:
    """Return the error that loading raises."""
    with pytest.raises(RecordingError) as caught:
        load([path])
    return caught.value


def reason_at(path: Path, line: int | None) -> str:
    """Return the reason of the error, which must be at that line."""
    error = error_of(path)
    assert error.line == line
    assert error.path == str(path)
    assert str(error).startswith(f"{path}: " if line is None else f"{path}:{line}: ")
    assert error.reason.isprintable()
    return error.reason


def test_a_message_and_its_defaults(write: Write) -> None:
    """Only event, at, instance, phone and id are required."""
    loaded = load_one(write(message(at=250, text=...)))
    assert loaded == Recording(name="x.jsonl", arrivals=(Arrival(250, "bot", "a", "m1", "", "text", 250),))
    assert loaded.epoch_ms == DEFAULT_EPOCH_MS == 1_767_225_600_000


def test_the_recording_event(write: Write) -> None:
    """All fields of the first line are read."""
    expect = {
        "buffer-v1": {"lost": ["m1"], "log": [{"event": "buffer.read", "messageCount": 3, "timespan": 6649}]},
        "queue": {"lost": [], "duplicated": [], "reordered": [], "dead_lettered": []},
        "list-v1": {},
    }
    first = header(title="T", source="S", notes="N", settings={"ai": "constant:7s"}, expect=expect)
    loaded = load_one(write(first, message()))
    assert (loaded.title, loaded.source, loaded.notes) == ("T", "S", "N")
    assert loaded.settings == {"ai": "constant:7s"}
    assert loaded.expect == {
        "buffer-v1": Expectation(
            lost=("m1",), log=({"event": "buffer.read", "messageCount": 3, "timespan": 6649},)
        ),
        "queue": Expectation(lost=(), duplicated=(), reordered=(), dead_lettered=()),
        "list-v1": Expectation(),
    }


def test_iso_times_count_from_the_earliest(write: Write) -> None:
    """Other zones are converted, digits beyond the millisecond dropped, the date kept as the epoch."""
    loaded = load_one(
        write(
            message(id="b", at="2026-03-01T10:00:01.2509Z", timestamp="2026-03-01T09:59:58Z"),
            message(id="a", at="2026-03-01T13:00:00.05+03:00"),
            message(id="c", at="2026-03-01 09:30:02-00:30"),
        )
    )
    assert [(arrival.id, arrival.at_ms, arrival.timestamp_ms) for arrival in loaded.arrivals] == [
        ("a", 0, 0),
        ("b", 1200, -2050),
        ("c", 1950, 1950),
    ]
    assert loaded.epoch_ms == 1_772_359_200_050


def test_arrivals_are_sorted_and_ties_keep_their_order(write: Write) -> None:
    """Recordings of concurrent webhooks interleave; that is not an error."""
    events = [message(id=name, at=at) for name, at in (("c", 5), ("a", 1), ("d", 5), ("b", 1))]
    assert [arrival.id for arrival in load_one(write(*events)).arrivals] == ["a", "b", "c", "d"]


def test_a_second_delivery_has_the_first_ones_timestamp(write: Write) -> None:
    """All deliveries of a message have the same provider's time; the same id of another user is another message."""
    path = write(
        message(at=9000), message(at=100, timestamp=90), message(at=5000), message(at=7000, phone="b")
    )
    assert [arrival.timestamp_ms for arrival in load_one(path).arrivals] == [90, 90, 7000, 90]


def test_blank_lines_crlf_byte_order_mark_and_a_missing_last_newline(tmp_path: Path) -> None:
    """Marks that editors and other systems leave in text files change nothing."""
    first, second = _bytes(message()), _bytes(message(id="m2"))
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\xef\xbb\xbf\r\n \t\r\n" + _bytes(header()) + b"\r\n" + first + b"\r\n\n\n" + second)
    assert [arrival.id for arrival in load_one(path).arrivals] == ["m1", "m2"]


@pytest.mark.parametrize(
    "instance", ["bot:eu", "{bot}", "a b", "*", "بوت", "👩‍👩‍👧", "'; --", "\\", "\u200f1"]
)
def test_names_are_anything_a_user_may_be_called(write: Write, instance: str) -> None:
    """Colons, braces and invisible marks are allowed."""
    assert load_one(write(message(instance=instance))).arrivals[0].instance == instance


@pytest.mark.parametrize("before", [message(), header(), {"event": "note"}])
def test_the_recording_event_comes_first_and_once(write: Write, before: dict[str, Any]) -> None:
    """A header holds for all lines that follow it."""
    reason = reason_at(write(b"", before, header(), message()), 3)
    assert reason == "the recording event must come first, before line 2"


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (0, "2026-03-01T10:00:00Z", '"at" is an ISO time here and milliseconds in line 1'),
        ("2026-03-01T10:00:00Z", 0, '"at" is milliseconds here and an ISO time in line 1'),
        ("2026-03-01T10:00:00Z", "1970-01-01T00:00:00Z", '"at" is more than 20 years from line 1'),
    ],
)
def test_times_of_one_file_belong_together(write: Write, first: object, second: object, reason: str) -> None:
    """Two scales in one file have no common start."""
    assert reason_at(write(message(at=first), message(at=second)), 2) == reason


@pytest.mark.parametrize(
    ("extra", "is_read"), [(0, True), (1, False), (2, False), (3 * LINE_BYTES_MAX, False)]
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_the_limit_of_a_line(tmp_path: Path, extra: int, is_read: bool, end: bytes) -> None:
    """A line may have exactly the limit, without its end; a longer one is never held whole."""
    line = _bytes({"event": "note", "x": ""})
    line = line[:-2] + b"x" * (LINE_BYTES_MAX + extra - len(line)) + line[-2:]
    path = tmp_path / "x.jsonl"
    path.write_bytes(_bytes(message()) + b"\n" + line + end)
    loaded = load_one(path, skip_bad_lines=True)
    bad = () if is_read else (BadLine(2, "is longer than 1,048,576 bytes"),)
    assert loaded.skipped == bad
    assert len(loaded.arrivals) == 1


def test_lines_after_an_overlong_one_keep_their_numbers(write: Write) -> None:
    """The rest of an overlong line is not taken for further lines."""
    path = write(b"x" * (2 * LINE_BYTES_MAX + 5), message(), b"broken")
    assert [bad.line for bad in load_one(path, skip_bad_lines=True).skipped] == [1, 3]


@pytest.mark.parametrize("outcome", ["lost", "duplicated", "reordered", "dead_lettered"])
def test_expectations_name_messages_of_the_file(write: Write, outcome: str) -> None:
    """An outcome with an id that no message has can never match."""
    path = write(header(expect={"queue": {outcome: ["m1", "m9"]}}), message())
    assert reason_at(path, 1) == 'expect.queue names "m9", which no message has'


def test_skipped_lines_are_collected(write: Write) -> None:
    """Each skipped line is reported, and the other lines are read."""
    path = write(b"{", header(title="T"), message(), message(at=-1), b"[]", message(id="m2", at="now"))
    loaded = load_one(path, skip_bad_lines=True)
    assert loaded.title == "T"
    assert [arrival.id for arrival in loaded.arrivals] == ["m1"]
    assert [bad.line for bad in loaded.skipped] == [1, 4, 5, 6]
    assert loaded.skipped[2].reason == "must be a JSON object, not a list"


def test_expectations_that_name_a_skipped_message_are_dropped_and_reported(write: Write) -> None:
    """An expectation can no longer hold when its message is gone."""
    path = write(header(title="T", expect={"queue": {"lost": ["m2"]}}), message(), message(id="m2", at=-1))
    loaded = load_one(path, skip_bad_lines=True)
    assert loaded.expect == {}
    assert loaded.title == "T"
    assert [bad.line for bad in loaded.skipped] == [1, 3]


def test_too_many_broken_lines_are_an_error_even_when_skipping(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of rubbish is not a recording."""
    monkeypatch.setattr(reader, "BAD_LINES_MAX", 2)
    path = write(message(), b"1", b"2", b"3")
    with pytest.raises(RecordingError, match=r"x\.jsonl:4: more than 2 broken lines; the last: must be"):
        load([path], skip_bad_lines=True)


def test_too_many_messages(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit on what is held in memory is an error with advice."""
    monkeypatch.setattr(reader, "MESSAGES_MAX", 2)
    assert len(load_one(write(message(), message())).arrivals) == 2
    assert "more than 2 messages; split" in reason_at(write(message(), message(), message()), 3)


@pytest.mark.parametrize("skip_bad_lines", [True, False])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\n\r\n \n", "is empty"),
        (b'{"event":"recording","version":1}\n', "has no messages"),
    ],
)
def test_files_that_are_not_recordings(
    tmp_path: Path, content: bytes, reason: str, skip_bad_lines: bool
) -> None:
    """They are errors whether broken lines are skipped or not."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    with pytest.raises(RecordingError) as caught:
        load([path], skip_bad_lines=skip_bad_lines)
    assert (caught.value.line, caught.value.reason) == (None, reason)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (gzip.compress(b"{}", mtime=0), "is compressed by gzip; convert it first: gzip -dc {}"),
        (b"PK\x03\x04\x14\0", "is a zip archive; convert it first: unzip -p {}"),
        (b"\x28\xb5\x2f\xfd\x04\0", "is compressed by zstd; convert it first: zstd -dc {}"),
        (b"\xfd7zXZ\0\0", "is compressed by xz; convert it first: xz -dc {}"),
        (b"BZh91AY", "is compressed by bzip2; convert it first: bzip2 -dc {}"),
        ("{}".encode("utf-16"), "UTF-8; convert it first: iconv -f UTF-16 -t UTF-8 {}"),
        ("{}".encode("utf-16-le"), "UTF-8; convert it first: iconv -f UTF-16LE -t UTF-8 {}"),
        ("{}".encode("utf-16-be"), "UTF-8; convert it first: iconv -f UTF-16BE -t UTF-8 {}"),
    ],
)
@pytest.mark.parametrize("name", ["a file.jsonl", "a.jsonl.gz"])
@pytest.mark.parametrize("skip_bad_lines", [True, False])
def test_files_of_other_kinds_are_named_with_the_command_that_converts_them(
    tmp_path: Path, content: bytes, reason: str, name: str, skip_bad_lines: bool
) -> None:
    """They are recognised under any name, and never counted as a broken line."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(RecordingError) as caught:
        load([path], skip_bad_lines=skip_bad_lines)
    assert caught.value.line is None
    assert caught.value.reason.endswith(f"{reason.format(shlex.quote(str(path)))} > recording.jsonl")


def test_a_file_of_broken_lines_only(write: Write) -> None:
    """With every line skipped there is nothing to replay."""
    with pytest.raises(RecordingError, match="has no messages"):
        load([write(b"1", b"2")], skip_bad_lines=True)


def test_paths_that_are_not_recordings(tmp_path: Path) -> None:
    """Missing paths, empty folders, folders named like files, sockets and impossible names."""
    assert reason_at(tmp_path / "missing.jsonl", None) == "does not exist"
    assert (
        reason_at(tmp_path, None)
        == "is a folder without *.jsonl files; the name of a recording must end in .jsonl"
    )
    assert "cannot be read: File name too long" in reason_at(tmp_path / ("x" * 5000), None)
    error = error_of(Path("a\0\nb"))
    assert error.path == r"a\x00\nb"
    assert error.reason == "cannot be read: a name cannot hold a NUL character"


def test_a_folder_named_like_a_recording(tmp_path: Path) -> None:
    """The error names that folder, not the one around it."""
    (tmp_path / "x.jsonl").mkdir()
    error = error_of(tmp_path)
    assert (error.path, error.reason) == (str(tmp_path / "x.jsonl"), "is a folder; a recording is a file")


def test_what_is_neither_file_nor_folder(tmp_path: Path) -> None:
    """Reading a socket or a pipe could wait for ever."""
    path = Path(os.path.relpath(tmp_path / "s.jsonl"))
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
        assert reason_at(path, None) == "is neither a file nor a folder"


def test_an_unreadable_file_and_a_dangling_link(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operating system's words are passed on."""
    path = write(message())

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert reason_at(path, None) == "cannot be read: Permission denied"
    link = path.parent / "link.jsonl"
    link.symlink_to("nowhere")
    assert error_of(path.parent).path == str(link)


def test_folders_are_read_by_name(write: Write, tmp_path: Path) -> None:
    """Only *.jsonl, not hidden ones, not folders inside; each file once."""
    for name in ("b.jsonl", "a.jsonl", ".c.jsonl", "d.json", "inside/e.jsonl"):
        write(message(), name=name)
    (tmp_path / "z.jsonl").symlink_to(tmp_path / "a.jsonl")
    more = [tmp_path / "b.jsonl", tmp_path / "inside" / ".." / "a.jsonl", tmp_path / "inside" / "e.jsonl"]
    loaded = load([tmp_path, *more])
    assert [recording.name for recording in loaded] == ["a.jsonl", "b.jsonl", "e.jsonl"]


def test_files_of_the_same_name_get_different_names(write: Write, tmp_path: Path) -> None:
    """Results are listed by name, so two recordings never share one."""
    for name in ("mon/p/x.jsonl", "tue/p/x.jsonl", "tue/q/x.jsonl", "tue/q/y.jsonl"):
        write(message(), name=name)
    loaded = load([tmp_path / "mon/p", tmp_path / "tue/p", tmp_path / "tue/q"])
    assert [recording.name for recording in loaded] == [
        "mon/p/x.jsonl",
        "tue/p/x.jsonl",
        "q/x.jsonl",
        "y.jsonl",
    ]


def test_a_path_that_comes_twice_has_one_name() -> None:
    paths = [Path("/mon/x.jsonl"), Path("/tue/x.jsonl"), Path("/mon/x.jsonl")]
    assert reader.short_names(paths) == ["mon/x.jsonl", "tue/x.jsonl", "mon/x.jsonl"]


def test_dump_is_canonical() -> None:
    """Keys in the format's order, defaults left out, no escapes, one newline per line."""
    recording = Recording(
        name="x",
        title="عنوان",
        arrivals=(
            Arrival(0, "bot", "a", "m1", "نعم", "text", -5),
            Arrival(9, "bot", "a", "m1", "", "image", -5),
            Arrival(9, "bot", "b", "m1", "", "image", 9),
        ),
        settings={"ai": "constant:7s"},
        expect={"queue": Expectation(lost=())},
    )
    assert list(dump(recording)) == [
        (
            '{"event":"recording","version":2,"title":"عنوان","settings":{"ai":"constant:7s"},'
            '"expect":{"queue":{"lost":[]}}}\n'
        ),
        '{"event":"message","at":0,"instance":"bot","phone":"a","id":"m1","text":"نعم","timestamp":-5}\n',
        '{"event":"message","at":9,"instance":"bot","phone":"a","id":"m1","kind":"image"}\n',
        '{"event":"message","at":9,"instance":"bot","phone":"b","id":"m1","kind":"image"}\n',
    ]
