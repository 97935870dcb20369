"""Words about an import: the events taken, the parts left out with reasons, and the precision of times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from queue_core.text import quantity
from sim.importers.summary import LeftOut, Summary

REASONS_SHOWN = 6
FILES_SHOWN = 5
PLACES_SHOWN = 20
_ALONE = "to import them apart, name the files of one format only"
_NAME_FORMAT = "if you know it, name the file alone, with --format"
_HOUR_MS = 3_600_000
_NOUNS = {
    "reply": "reply",
    "presence": "sign of presence",
    "human": "takeover",
    "edit": "edit",
    "delete": "deletion",
    "batch": "turn",
    "dead_letter": "dead letter",
    "fault": "fault",
}


def summary_lines(summary: Summary) -> Iterator[str]:
    """Yield the lines that summarise an import."""
    known = [file for file in summary.files if file.format]
    for file in known[:FILES_SHOWN]:
        yield f"{file.name}: {file.title} ({file.evidence}); --format NAME sets another format"
    if len(known) > FILES_SHOWN:
        yield f"and {quantity(len(known) - FILES_SHOWN, 'more file')}"
    if unknown := [file.name for file in summary.files if not file.format]:
        yield f"{_listed(unknown)}: no known format, left out; {_NAME_FORMAT}"
    yield "  " + _taken(summary)
    if len(titles := dict.fromkeys(file.title for file in known)) > 1:
        formats = f"one recording of {len(titles)} formats ({', '.join(titles)})"
        yield f"  {formats}: a message that stands in two files counts twice; replay keeps formats apart; {_ALONE}"
    if others := [_count(number, _NOUNS[name]) for name, number in summary.events.items() if name in _NOUNS]:
        yield f"  also {', '.join(others)}"
    if summary.left_out:
        yield f"  left out: {_reasons(summary)}"
    yield from (f"  {note}" for note in _notes(summary))


def unread_lines(unknown: Sequence[Path], below: Sequence[Path]) -> Iterator[str]:
    """Yield a line on the files of unknown format in folders, and a line on those in subfolders of recordings."""
    if unknown:
        yield f"{_listed([str(file) for file in unknown])}: no known format, left out; {_NAME_FORMAT}"
    if below:
        words = "not read, since a folder above has recordings; to read these files, name their subfolder"
        yield f"{_listed([str(file) for file in below])}: {words}"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - FILES_SHOWN
    return ", ".join(names[:FILES_SHOWN]) + (f" and {quantity(more, 'more file')}" if more > 0 else "")


def explanation_lines(summary: Summary) -> Iterator[str]:
    """Yield a line for each reason in each file, with the numbers of the lines that were left out."""
    for file in summary.files:
        for reason, entry in sorted(file.left_out.items(), key=lambda item: -item[1].number):
            yield f"{file.name}: {entry.number:,} of: {reason}{_places(entry)}"


def _taken(summary: Summary) -> str:
    messages = quantity(summary.events["message"], "message")
    conversations = quantity(len(summary.conversations), "conversation")
    instances = quantity(len(summary.instances), "instance")
    words = f"{messages} of {conversations} on {instances}"
    if summary.first_ms is not None and summary.last_ms is not None:
        words += f", {_period(summary.first_ms, summary.last_ms)} UTC"
    return words


def _reasons(summary: Summary) -> str:
    reasons = [f"{number:,} of: {reason}" for reason, number in summary.left_out.items()]
    more = len(reasons) - REASONS_SHOWN
    shown = "; ".join(reasons[:REASONS_SHOWN])
    return f"{shown}; and {quantity(more, 'other reason')}" if more > 0 else shown


def _notes(summary: Summary) -> Iterator[str]:
    yield from dict.fromkeys(note for file in summary.files for note in file.notes)
    if summary.coarse:
        unit = "minute" if summary.precision == "min" else "second"
        events = f"{quantity(summary.coarse, 'event')} with a time known only to the {unit}"
        if summary.drawn:
            yield f"{events}: the moment within it is drawn by the seed; --keep-seconds keeps the time of the file"
        else:
            yield f"{events}, which is kept as the file has it"


def _places(entry: LeftOut) -> str:
    """Return the places of omissions in words: numbers of lines or values."""
    shown = ", ".join(f"{place:,}" for place in entry.places[:PLACES_SHOWN])
    more = len(entry.places) > PLACES_SHOWN or entry.number > len(entry.places)
    return f" (at {shown}{' and further on' if more else ''})"


def _count(number: int, noun: str) -> str:
    if noun == "reply":
        return f"{number:,} {'reply' if number == 1 else 'replies'}"
    if noun == "sign of presence":
        return f"{number:,} {'sign' if number == 1 else 'signs'} of presence"
    return quantity(number, noun)


def _period(first_ms: int, last_ms: int) -> str:
    """Write a period, with seconds if it is shorter than an hour."""
    form = "%Y-%m-%d %H:%M" if last_ms - first_ms >= _HOUR_MS else "%Y-%m-%d %H:%M:%S"
    first, last = (datetime.fromtimestamp(ms / 1000, UTC).strftime(form) for ms in (first_ms, last_ms))
    return f"{first} to {last}" if first != last else first
