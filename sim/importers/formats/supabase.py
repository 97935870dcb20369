"""Importer of the logs of Supabase's Edge Functions: JSON or CSV of the Logs Explorer, with the function's output.

Supabase keeps at most 10,000 characters of a line and 100 lines in 10 seconds
(supabase.com/docs/guides/functions/limits). A webhook whose end was cut is read as far as it goes. If lines seem to be
missing, a note says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from queue_core.channels.values import label, mapping, objects
from queue_core.recording.format import Fault
from queue_core.text import quantity
from sim.importers.base import Context, Evidence, ImportedEvent, Importer, Omission, Sample
from sim.importers.formats.console.bodies import PrintedBodies
from sim.importers.formats.console.inspected import InspectedError, read_value
from sim.importers.formats.console.objects import LogObject
from sim.importers.formats.tables.rows import Row, json_of, rows_in, rows_of
from sim.importers.formats.webhooks.reading import BodyReader
from sim.importers.sources import Source
from sim.importers.times import Moment, moment_of

MESSAGE_CHARACTERS_MAX = 10_000
BURST_LINES, BURST_MS = 100, 10_000
ROWS_MAX = (100, 1_000, 10_000)
"""Numbers of rows at which the Logs Explorer cuts its output."""
NO_OBJECT = "lines of the log without an object"
NO_LINE = "a row without event_message"
_STARTS_MAX = 12
_CUT_FROM = MESSAGE_CHARACTERS_MAX - 100


class SupabaseLogs(Importer):
    """Logs of Edge Functions."""

    name = "supabase"
    title = "logs of Supabase's Edge Functions"
    aliases = ("supabase-logs",)

    def recognise(self, sample: Sample) -> Evidence | None:
        """See Importer.recognise."""
        rows = rows_in(sample)
        lines = sum("event_message" in row.fields and "timestamp" in row.fields for row in rows)
        if not lines:
            return None
        return Evidence(96, f"{lines} of the first {len(rows)} rows have event_message and timestamp")

    def read(self, source: Source, context: Context) -> Iterator[ImportedEvent | Omission]:
        """See Importer.read."""
        reader, bodies, bursts = BodyReader(context), PrintedBodies(context), _Bursts()
        number = 0
        for row in rows_of(source):
            if isinstance(row, Omission):
                yield row
                continue
            number += 1
            written, moment = row.fields.get("event_message"), _moment(row.fields)
            if not isinstance(written, str):
                yield Omission(NO_LINE, row.place)
                continue
            if moment is not None:
                bursts.add(moment.ms, _function(row))
            for body in bodies.among(_objects(written, row.place, moment, context)):
                if isinstance(body, Omission):
                    yield body
                else:
                    yield from reader.read(body)
        yield from bursts.faults(context)
        if number in ROWS_MAX:
            context.note(
                f"The log has exactly {number:,} rows, which is a limit of the Logs Explorer: rows may be missing."
            )


def _moment(fields: Mapping[str, Any]) -> Moment | None:
    """Return the time of a line: microseconds, or an ISO time, which is UTC with and without its Z."""
    value = fields.get("timestamp")
    moment = moment_of(value)
    if moment is not None:
        moment.has_zone = True
        # The time is kept in microseconds, even where it ends in zeros.
        moment.is_whole_second = moment.is_whole_second and isinstance(value, str) and "." not in value
    return moment


def _function(row: Row) -> str:
    metadata = json_of(row.fields.get("metadata"))
    inner = objects(metadata)[0] if objects(metadata) else mapping(metadata)
    return label(row.fields.get("function_id")) or label(inner.get("function_id"))


def _objects(
    written: str, place: int, logged: Moment | None, context: Context
) -> Iterator[LogObject | Omission]:
    """Yield the objects in one output of a function."""
    at, is_empty = 0, True
    is_cut = len(written) >= _CUT_FROM
    for _ in range(_STARTS_MAX):
        starts = [start for bracket in "{[" if (start := written.find(bracket, at)) >= 0]
        if not starts:
            break
        start = min(starts)
        try:
            value, at = read_value(written, start)
        except InspectedError:
            value = _cut_value(written, start) if is_cut else None
            at = len(written) if value is not None else start + 1
            if value is not None:
                context.note(
                    "Some lines have about 10,000 characters, where Supabase cuts: webhooks in them are read as far as "
                    "they go, and the ends of their texts may be missing."
                )
        if (isinstance(value, dict) and value) or (isinstance(value, list) and objects(value)):
            is_empty = False
            yield LogObject(value, place, logged, "")
    if is_empty:
        yield Omission(NO_OBJECT, place)


def _cut_value(written: str, start: int) -> Any:
    try:
        value, end = read_value(written, start, is_cut=True)
    except InspectedError:
        return None
    return value if end >= len(written.rstrip()) else None


class _Bursts:
    """Times at which a function printed as many lines as Supabase keeps."""

    def __init__(self) -> None:
        self._recent: dict[str, deque[int]] = {}
        self._bursts: list[tuple[int, int]] = []
        self._number = 0

    def add(self, at_ms: int, function: str) -> None:
        """Count a line. Lines must come in order of time, forwards or backwards."""
        if function not in self._recent and len(self._recent) > 1_000:
            return
        recent = self._recent.setdefault(function, deque(maxlen=BURST_LINES))
        recent.append(at_ms)
        if len(recent) == BURST_LINES and abs(recent[-1] - recent[0]) < BURST_MS:
            begin, end = min(recent[0], recent[-1]), max(recent[0], recent[-1])
            if self._bursts and self._bursts[-1][0] <= end and begin <= self._bursts[-1][1]:
                last = self._bursts.pop()
                begin, end = min(begin, last[0]), max(end, last[1])
            else:
                self._number += 1
            self._bursts.append((begin, end))

    def faults(self, context: Context) -> Iterator[ImportedEvent]:
        """Yield a fault at each burst, and note them all."""
        if self._bursts:
            first = datetime.fromtimestamp(min(self._bursts)[0] / 1000, UTC)
            context.note(
                f"{quantity(self._number, 'time')} the log has 100 lines or more within 10 seconds, where Supabase "
                f"drops the rest, first at {first:%Y-%m-%d %H:%M:%S} UTC: messages may be missing there."
            )
        for begin, end in self._bursts:
            reason = "100 lines within 10 seconds: Supabase drops the rest"
            yield ImportedEvent(
                Fault(at=begin, instance="", phone="", fault="cut", state="begins", reason=reason), 1
            )
            yield ImportedEvent(Fault(at=end, instance="", phone="", fault="cut", state="ends"), 1)
