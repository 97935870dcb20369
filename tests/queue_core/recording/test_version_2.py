"""Events of version 2: each is read as it was written, and version 1 is read for ever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from queue_core.recording.checks import LineError
from queue_core.recording.format import (
    OTHER_EVENTS,
    BatchTaken,
    Delete,
    Edit,
    Fault,
    GivenUp,
    Header,
    Human,
    MessageEvent,
    OtherEvent,
    Presence,
    Reply,
)
from queue_core.recording.line import parse_line
from queue_core.recording.reader import RecordingError, load
from queue_core.recording.writer import dump, header_line, message_line, other_line

WHO: dict[str, Any] = {"instance": "bot", "phone": "a"}
EVENTS: list[OtherEvent] = [
    Reply(at=9, is_iso=False, **WHO),
    Reply(at=9, is_iso=False, **WHO, who="human", id="r", ids=("m1", "m2"), text="yes", kind="image"),
    Reply(at=-9, is_iso=False, **WHO, who="bot", characters=12),
    Presence(at=9, is_iso=False, **WHO, state="composing"),
    Human(at=9, is_iso=False, **WHO, does="takes_over"),
    Human(at=9, is_iso=False, **WHO, does="hands_back"),
    Edit(at=9, is_iso=False, **WHO, id="m1", by="m2", text="no", characters=200_000),
    Delete(at=9, is_iso=False, **WHO, id="m1"),
    BatchTaken(at=9, is_iso=False, **WHO, ids=(), trigger="window", attempt=1),
    GivenUp(at=9, is_iso=False, **WHO, ids=("m1",), reason="late"),
    Fault(at=9, is_iso=False, instance="", phone="", fault="redis", state="begins", reason="away"),
]


def line(event: dict[str, Any]) -> bytes:
    return json.dumps({"at": 0, **WHO, **event}).encode()


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_what_is_written_is_read(event: OtherEvent) -> None:
    assert parse_line(other_line(event).encode()) == event


def test_every_event_is_tried() -> None:
    assert {type(event) for event in EVENTS} == set(OTHER_EVENTS)


def test_lengths_precision_and_what_was_left_out() -> None:
    message = MessageEvent(0, False, "bot", "a", "m1", "", "text", None, 17)
    assert parse_line(message_line(message).encode()) == message
    header = Header(title="T", precision="min", left_out={"groups": 3})
    assert parse_line(header_line(header).encode()) == header


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"event": "reply", "who": "cat"}, '"who" must be bot or human, not "cat"'),
        ({"event": "reply", "ids": "m1"}, '"ids" must be a list of ids, not text'),
        ({"event": "reply", "ids": ["m"] * 2001}, '"ids" has 2,001 ids; at most 2,000'),
        ({"event": "reply", "characters": -1}, '"characters" must be from 0 to 10,000,000, not -1'),
        ({"event": "reply", "characters": True}, '"characters" must be a whole number, not true'),
        ({"event": "reply", "length": 4}, 'unknown field "length"'),
        ({"event": "presence"}, 'has no "state"'),
        ({"event": "presence", "state": "typing"}, '"state" must be available or composing or'),
        ({"event": "human", "does": "sleeps"}, '"does" must be hands_back or takes_over, not "sleeps"'),
        ({"event": "edit"}, 'has no "id"'),
        ({"event": "delete", "id": " "}, '"id" is empty'),
        ({"event": "batch"}, 'has no "ids"'),
        ({"event": "dead_letter", "reason": 4}, '"reason" must be text, not a number'),
        ({"event": "fault"}, 'has no "fault"'),
        ({"event": "fault", "fault": "ai", "state": "maybe"}, '"state" must be begins or ends, not "maybe"'),
        ({"event": "fault", "fault": "ai", "at": 10**15}, '"at" must be at most'),
        ({"event": "message", "id": "m", "characters": "4"}, '"characters" must be a whole number, not text'),
        (
            {"event": "recording", "version": 2, "precision": "h"},
            '"precision" must be min or ms or s, not "h"',
        ),
        ({"event": "recording", "version": 2, "left_out": {"a": -1}}, '"left_out.a" must be a whole number'),
        ({"event": "recording", "version": 1, "precision": "s"}, 'unknown field "precision"'),
    ],
)
def test_words_for_what_breaks_the_format(event: dict[str, Any], words: str) -> None:
    content = json.dumps(event).encode() if event["event"] == "recording" else line(event)
    with pytest.raises(LineError) as raised:
        parse_line(content)
    assert words in str(raised.value)


def recording(path: Path, *events: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


MESSAGE = {"event": "message", "at": 100, **WHO, "id": "m1"}


def test_other_events_are_in_the_recording_in_order(tmp_path: Path) -> None:
    events = [{"event": "delete", "at": 900, **WHO, "id": "m1"}, {"event": "reply", "at": 50, **WHO}]
    (loaded,) = load(
        [recording(tmp_path / "x.jsonl", {"event": "recording", "version": 2}, MESSAGE, *events)]
    )
    assert [(event.name, event.at) for event in loaded.others] == [("reply", 50), ("delete", 900)]
    again = tmp_path / "again.jsonl"
    again.write_text("".join(dump(loaded)))
    assert load([again])[0].others == loaded.others


def test_times_count_from_the_first_message(tmp_path: Path) -> None:
    path = recording(
        tmp_path / "x.jsonl",
        {"event": "recording", "version": 2},
        {"event": "presence", "at": "2026-03-01T10:19:59.000Z", **WHO, "state": "composing"},
        {**MESSAGE, "at": "2026-03-01T10:20:00.000Z"},
        {"event": "reply", "at": "2026-03-01T10:20:09.500Z", **WHO},
    )
    (loaded,) = load([path])
    assert [event.at for event in loaded.others] == [-1_000, 9_500]
    assert "".join(dump(loaded)).count("2026-03-01T10:") == 3


def test_mixed_times_are_refused_in_version_2(tmp_path: Path) -> None:
    reply = {"event": "reply", "at": "2026-03-01T10:20:09.500Z", **WHO}
    path = recording(tmp_path / "x.jsonl", {"event": "recording", "version": 2}, MESSAGE, reply)
    with pytest.raises(RecordingError, match=':3: "at" is an ISO time here and milliseconds in line 2'):
        load([path])


def test_version_1_is_read_for_ever(tmp_path: Path) -> None:
    """Outcomes had free fields in it: those that fit version 2 are read, the others ignored, and none is an error."""
    outcomes: list[dict[str, Any]] = [
        {"event": "reply", "at": 900, **WHO, "ids": ["m1"], "characters": 8, "requested": 0},
        {"event": "dead_letter", "at": 950, **WHO, "id": "m1", "reason": "late"},
        {"event": "batch", "whatever": [1.5, None]},
        {"event": "reply", "at": "2026-03-01T10:20:09.500Z", **WHO},
        {"event": "note", "text": "the operator was here"},
    ]
    for header in ([{"event": "recording", "version": 1, "title": "T"}], []):
        (loaded,) = load([recording(tmp_path / "x.jsonl", *header, MESSAGE, *outcomes)])
        assert [event.name for event in loaded.others] == ["reply", "dead_letter"]
        assert loaded.others[0] == Reply(at=900, is_iso=False, **WHO, ids=("m1",), characters=8)
        assert loaded.others[1] == GivenUp(at=950, is_iso=False, **WHO, ids=("m1",), reason="late")
    strict = recording(tmp_path / "y.jsonl", {"event": "recording", "version": 2}, MESSAGE, outcomes[0])
    with pytest.raises(RecordingError, match='unknown field "requested"'):
        load([strict])
