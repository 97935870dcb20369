"""Logs of Supabase's Edge Functions: JSON and CSV of the Logs Explorer."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from queue_core.recording.format import Fault
from sim.importers.formats.supabase import NO_LINE, NO_OBJECT, SupabaseLogs
from tests.sim.importers.exports.reading import Outcome, detected, imported, utc_ms

MICROSECONDS = 1740831320_911_000


def webhook(text: str = "oi", *, id: str = "A1") -> dict[str, Any]:  # noqa: A002 - the field's name
    return {
        "event": "messages.upsert",
        "instance": "loja",
        "data": {
            "key": {"remoteJid": "5547911112222@s.whatsapp.net", "fromMe": False, "id": id},
            "pushName": "Rita",
            "message": {"conversation": text},
            "messageType": "conversation",
            "messageTimestamp": 1740831320,
        },
    }


def line(message: str, *, at: int | str = MICROSECONDS, **fields: Any) -> dict[str, Any]:
    return {
        "event_message": message,
        "event_type": "Log",
        "function_id": "f1",
        "id": "x",
        "level": "info",
        "timestamp": at,
        **fields,
    }


INSPECTED = """📨 webhook {
  event: "messages.upsert",
  instance: "loja",
  data: {
    key: { remoteJid: "5547911112222@s.whatsapp.net", fromMe: false, id: "A2" },
    message: { conversation: 'diz "oi"' },
    messageType: "conversation",
    messageTimestamp: 1740831325
  }
}
"""
LINES = [
    line("booted (time: 34ms)", event_type="Boot"),
    line(INSPECTED, at=MICROSECONDS + 5_000_000),
    line("webhook: " + json.dumps(webhook()) + "\n"),
    line("buffer read: 2 messages\n", at=MICROSECONDS - 1_000_000),
]


def as_csv(lines: list[dict[str, Any]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["id", "timestamp", "event_message", "metadata"])
    for each in lines:
        metadata = json.dumps(
            [{"event_type": each["event_type"], "function_id": each["function_id"], "level": each["level"]}]
        )
        writer.writerow([each["id"], each["timestamp"], each["event_message"], metadata])
    return file.getvalue()


def read(value: Any, **given: Any) -> Outcome:
    return imported(SupabaseLogs(), value if isinstance(value, str) else json.dumps(value), **given)


FORMATS = {
    "newest first": json.dumps(LINES, indent=2),
    "CSV": as_csv(LINES),
    "the management API": json.dumps({"result": LINES, "error": None}),
    "JSON lines": "".join(json.dumps(each) + "\n" for each in LINES),
}


@pytest.mark.parametrize("name", FORMATS)
def test_webhooks_that_a_function_printed_are_read(name: str) -> None:
    outcome = read(FORMATS[name])
    messages = sorted(outcome.messages, key=lambda message: message.at)
    assert [(message.text, message.id) for message in messages] == [("oi", "A1"), ('diz "oi"', "A2")]
    assert [message.at for message in messages] == [MICROSECONDS // 1000, MICROSECONDS // 1000 + 5_000]
    assert outcome.precisions == {"ms"}
    assert outcome.omitted == {NO_OBJECT: 2}
    assert detected(FORMATS[name])[0] == "supabase"


@pytest.mark.parametrize(
    "at",
    [
        "2025-03-01T12:15:20.911000",
        "2025-03-01T12:15:20.911Z",
        str(MICROSECONDS),
        "2025-03-01T12:15:20.911+00:00",
    ],
)
def test_times_are_utc_with_and_without_a_zone(at: str) -> None:
    outcome = read([line(json.dumps(webhook()), at=at)])
    assert [message.at for message in outcome.messages] == [utc_ms("2025-03-01T12:15:20.911Z")]
    assert outcome.precisions == {"ms"}


def test_a_line_cut_at_its_limit_is_read_as_far_as_it_goes() -> None:
    whole = "got " + json.dumps(webhook("a " * 8_000))
    outcome = read([line(whole[:10_000])])
    (message,) = outcome.messages
    assert message.text.startswith("a a a")
    assert len(message.text) < 10_000
    assert any("10,000 characters" in note for note in outcome.notes)


def test_a_short_broken_object_is_not_read() -> None:
    outcome = read([line('got {"event": "messages.upsert", "instance": "loja", "data": {"key": {')])
    assert not outcome.messages
    assert outcome.omitted == {NO_OBJECT: 1}


@pytest.mark.parametrize("backwards", [False, True])
def test_a_burst_that_may_be_cut_is_noted(backwards: bool) -> None:
    quiet = [line(f"step {number}\n", at=MICROSECONDS + number * 1_000_000) for number in range(120)]
    assert not read(quiet).notes
    loud = [line(f"step {number}\n", at=MICROSECONDS + number * 80_000) for number in range(120)]
    outcome = read(loud[::-1] if backwards else loud)
    (note,) = outcome.notes
    assert note.startswith("1 time the log has 100 lines or more")
    assert "2025-03-01 12:15:20" in note
    faults = outcome.others(Fault)
    assert [(fault.fault, fault.state) for fault in faults] == [("cut", "begins"), ("cut", "ends")]
    assert faults[0].at < faults[1].at


def test_lines_of_several_functions_are_not_one_burst() -> None:
    loud = [
        line(f"step {number}\n", at=MICROSECONDS + number * 80_000, function_id=f"f{number % 2}")
        for number in range(120)
    ]
    assert not read(loud).notes


def test_as_many_rows_as_the_explorer_shows_are_noted() -> None:
    lines = [line("x\n", at=MICROSECONDS + number * 1_000_000) for number in range(100)]
    assert any("exactly 100 rows" in note for note in read(lines).notes)
    assert not read(lines[1:]).notes


def test_rows_without_a_line_are_counted() -> None:
    assert read([line("x\n"), {"timestamp": MICROSECONDS, "event_message": None}]).omitted == {
        NO_OBJECT: 1,
        NO_LINE: 1,
    }
