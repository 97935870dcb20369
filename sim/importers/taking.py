"""Taking of events into a recording, in the same way for all formats."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import lru_cache
from typing import Any

from msgspec.structs import replace

from queue_core.message import well_formed
from queue_core.recording.format import (
    IDS_MAX,
    LENGTH_MAX,
    SPAN_MS_MAX,
    TEXT_LENGTH_MAX,
    BatchTaken,
    Delete,
    Edit,
    Fault,
    GivenUp,
    MessageEvent,
    OtherEvent,
    RecordedEvent,
    Reply,
)
from queue_core.recording.pseudonyms import Pseudonyms, without_numbers
from sim.importers.base import UNKNOWN_TEXT, Context, DateOrder, ImportedEvent, Omission
from sim.importers.replies import ReplyKey, ReplyReports
from sim.importers.spreading import Spreader
from sim.importers.summary import FileSummary, Summary

NO_INSTANCE = "bot"
"""Instance if neither the file nor the user names one."""
TIME_MS_MIN, TIME_MS_MAX = 0, 7_258_118_400_000
"""Limits on times: 1970 to 2199, as in a recording."""
_KIND = re.compile(r"(?!.*[0-9]{4})[A-Za-z][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class ImportOptions:
    """Options of the user for an import."""

    format: str = ""
    """Name of the format; "": found from the content."""
    instance: str = ""
    """Instance for formats that do not name one; for other formats, only events of this instance are taken."""
    zone: tzinfo | None = None
    date_order: DateOrder | None = None
    bots: frozenset[str] = frozenset()
    shows_text: bool = False
    key: bytes | None = None
    """Key of the hashes; None: made from the beginning of the first file, so that equal files give equal hashes."""
    from_ms: int | None = None
    to_ms: int | None = None
    """Range in Unix milliseconds: from `from_ms` on, and before `to_ms`. None means no limit."""
    keeps_seconds: bool = False
    seed: int = 0
    as_they_are: bool = field(default=False)
    """True to keep names and texts, for recordings of this project that are only joined."""

    def context(self, state: dict[str, Any]) -> Context:
        """Return the context of an importer for one file; `state` is kept for the whole import."""
        return Context(
            zone=self.zone,
            date_order=self.date_order,
            bots=self.bots,
            instance=self.instance,
            state=state,
        )


class EventTaker:
    """Taker of events, which applies range and instance, hashes, drops texts, spreads whole seconds, and counts.

    It takes each reply with an id once, but those of recordings as often as they stand there.
    """

    def __init__(self, options: ImportOptions, key: bytes, summary: Summary) -> None:
        self._options = options
        self._pseudonyms = {keeps: Pseudonyms(key, keeps_hashes=keeps) for keeps in (False, True)}
        self._summary = summary
        self._spreader = Spreader(options.seed)
        self._replies = ReplyReports()
        self._unnamed = 0
        """Number of messages without an id."""

    def take(
        self, imported: ImportedEvent, file: FileSummary, *, keeps_hashes: bool = False
    ) -> Iterator[RecordedEvent]:
        """Take an event; yields the events that are ready to be written."""
        event = imported.event
        if isinstance(event, Reply) and event.id and not keeps_hashes:
            key = self._key_of(event, self._pseudonyms[keeps_hashes])
            if self._replies.is_known(key):
                file.omit(Omission("another report of a reply", imported.place))
                yield from self._replies.complete(key, event.who)
                return
            yield from self._replies.add(key, event.who)
        if reason := self._refusal(event):
            file.omit(Omission(reason, imported.place))
            return
        if not self._options.as_they_are:
            event = self._private(event, self._pseudonyms[keeps_hashes])
        file.events[event.name] += 1
        is_exact = imported.precision == "ms" or imported.is_drawn or self._options.keeps_seconds
        self._summary.take(event, imported.precision, is_drawn=not is_exact)
        if is_exact and not self._spreader.waits:
            yield from self._replies.ready(event)
            return
        for spread in self._spreader.add(event, "ms" if is_exact else imported.precision):
            yield from self._replies.ready(spread)

    def rest(self) -> Iterator[RecordedEvent]:
        """Yield the remaining events at the end."""
        for spread in self._spreader.rest():
            yield from self._replies.ready(spread)
        yield from self._replies.rest()

    def _refusal(self, event: RecordedEvent) -> str:
        """Return the reason why an event is left out; "" if it is taken."""
        options = self._options
        if not TIME_MS_MIN <= event.at < TIME_MS_MAX:
            return "a time outside the years 1970 to 2199"
        if options.from_ms is not None and event.at < options.from_ms:
            return "before --from"
        if options.to_ms is not None and event.at >= options.to_ms:
            return "not before --to"
        if options.instance and event.instance and event.instance != options.instance:
            return "of another instance than --instance"
        return ""

    def _key_of(self, reply: Reply, names: Pseudonyms) -> ReplyKey:
        """Return instance, phone and id of a reply as they are recorded."""
        return self._instance(reply, names), names.phone(reply.phone), names.message_id(reply.id)

    def _instance(self, event: RecordedEvent, names: Pseudonyms) -> str:
        return names.instance(event.instance or self._options.instance or NO_INSTANCE)

    def _private(self, event: RecordedEvent, names: Pseudonyms) -> RecordedEvent:
        """Return the event with hashed names and, unless they are asked for, without texts."""
        instance = self._instance(event, names)
        phone = names.phone(event.phone) if event.phone or not isinstance(event, Fault) else ""
        if isinstance(event, MessageEvent):
            message_id = names.message_id(event.id) if event.id else self._new_id(names)
            timestamp = event.timestamp
            if timestamp is not None and not 0 < abs(timestamp - event.at) < SPAN_MS_MAX:
                timestamp = None
            text, characters = self._text(event.text, event.characters)
            return MessageEvent(
                event.at, True, instance, phone, message_id, text, _kind(event.kind), timestamp, characters
            )
        return self._other(event, instance, phone, names)

    def _new_id(self, names: Pseudonyms) -> str:
        """Make an id for a message without one; a repetition of the message cannot be recognised."""
        self._unnamed += 1
        return f"none-{names.message_id(f'message {self._unnamed} without an id')}"

    def _other(self, event: OtherEvent, instance: str, phone: str, names: Pseudonyms) -> OtherEvent:
        if isinstance(event, Reply):
            text, characters = self._text(event.text, event.characters)
            return Reply(
                at=event.at,
                instance=instance,
                phone=phone,
                who=event.who,
                id=names.message_id(event.id) if event.id else "",
                ids=_ids(event.ids, names),
                text=text,
                characters=characters,
                kind=_kind(event.kind),
            )
        if isinstance(event, BatchTaken | GivenUp):
            event = replace(event, ids=_ids(event.ids, names))
        if isinstance(event, Edit | Delete):
            by = names.message_id(event.by) if event.by else ""
            event = replace(event, id=names.message_id(event.id), by=by)
        if isinstance(event, Edit):
            text, characters = self._text(event.text, event.characters)
            event = replace(event, text=text, characters=characters)
        if isinstance(event, GivenUp | Fault) and not self._options.shows_text:
            event = replace(event, reason=without_numbers(event.reason))
        return replace(event, instance=instance, phone=phone)

    def _text(self, text: str, characters: int | None) -> tuple[str, int | None]:
        """Return the text to record, and the original length if the text is left out or cut and its length is known."""
        if UNKNOWN_TEXT in text:
            return "", None
        length = len(text) if characters is None else characters
        if not self._options.shows_text:
            return "", min(length, LENGTH_MAX) if length else None
        kept = text if text.isprintable() else well_formed(text).replace("\0", "\N{REPLACEMENT CHARACTER}")
        kept = kept[:TEXT_LENGTH_MAX]
        return kept, None if len(kept) == length else min(length, LENGTH_MAX)


@lru_cache(1024)
def _kind(kind: str) -> str:
    """Return a kind in a form that a recording allows."""
    return kind if _KIND.fullmatch(kind) else "other"


def _ids(ids: tuple[str, ...], names: Pseudonyms) -> tuple[str, ...]:
    return tuple(names.message_id(each) for each in ids[:IDS_MAX])
