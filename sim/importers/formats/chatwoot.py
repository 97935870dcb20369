"""Importer of messages of Chatwoot: its API's JSON, its webhooks, its table `messages` in CSV or a dump."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from queue_core.channels.values import at, label, mapping, objects, text
from queue_core.recording.format import MessageEvent, Precision, Reply, Who
from queue_core.text import quantity, visible
from sim.importers.base import Context, Evidence, ImportedEvent, Importer, Omission, Sample
from sim.importers.formats.tables.rows import Row, flag, json_of, rows_in, rows_of, whole
from sim.importers.sources import Source
from sim.importers.times import in_zone, moment_of

ACTIVITY = "notes of Chatwoot on the conversation, such as of its assignment"
PRIVATE = "private notes of agents"
SURVEY = "surveys and forms that Chatwoot sends by itself"
FAILED = "a reply that was not sent: its status is failed"
NO_TIME = "a message without a time"
NO_CONVERSATION = "a message without a conversation"
OTHER_ROW = "rows that are not messages"
_INCOMING, _OUTGOING, _ACTIVITY, _TEMPLATE = "0", "1", "2", "3"
_TYPES = {"incoming": _INCOMING, "outgoing": _OUTGOING, "activity": _ACTIVITY, "template": _TEMPLATE}
_FORMS = frozenset({"input_csat", "9", "input_email", "3"})
"""Content types of surveys and of the question for an address."""
_FILE_KINDS = {
    "file": "document",
    "contact": "contacts",
    "0": "image",
    "1": "audio",
    "2": "video",
    "3": "document",
}
_PHONE_COLUMNS = (
    "contact_phone_number",
    "contact_phone",
    "phone_number",
    "contact_identifier",
    "contact_email",
)
"""Columns that name the user in every row, in exports of joined tables."""
_TABLES = frozenset({"", "messages", "payload", "data", "results"})
_NAMES_MAX = 1_000_000
_NAMES_SHOWN = 10


class _MessageRow(NamedTuple):
    """Row that has a message, and the names that belong to it."""

    fields: Mapping[str, Any]
    kind: str
    """Type of the message: incoming, outgoing, activity or template."""
    conversation: str
    """Phone of the user if every row has it, else the number of the conversation."""
    instance: str
    place: int


class ChatwootMessages(Importer):
    """Messages of Chatwoot, incoming and outgoing."""

    name = "chatwoot"
    title = "messages of Chatwoot"

    def recognise(self, sample: Sample) -> Evidence | None:
        """See Importer.recognise."""
        rows = [row for row in rows_in(sample) if row.table.lower() in _TABLES]
        messages = sum(bool(list(_messages_in(row))) for row in rows)
        if not messages:
            is_dump = "COPY public.messages (" in sample.text and "COPY public.conversations (" in sample.text
            return Evidence(85, "a dump of Chatwoot's database") if is_dump else None
        words = f"{messages} of the first {len(rows)} rows have message_type, a conversation and created_at"
        return Evidence(94 if messages * 2 > len(rows) else 60, words)

    def read(self, source: Source, context: Context) -> Iterator[ImportedEvent | Omission]:
        """See Importer.read."""
        yield from self._read(source, context)
        if context.bots:
            _writers(context).conclude(context)

    def _read(self, source: Source, context: Context) -> Iterator[ImportedEvent | Omission]:
        joins = _Joins()
        for row in rows_of(source):
            if isinstance(row, Omission):
                yield row
            elif row.table.lower() not in _TABLES:
                joins.add(row)
                yield Omission(OTHER_ROW, row.place)
            else:
                messages = list(_messages_in(row))
                if not messages:
                    yield Omission(OTHER_ROW, row.place)
                for fields in messages:
                    yield _event(_message_row(fields, row, joins), context)


def events_in(fields: Mapping[str, Any], place: int, context: Context) -> list[ImportedEvent | Omission]:
    """Return the events in a webhook of Chatwoot; [] for any other value."""
    row = Row("", fields, place, {})
    return [_event(_message_row(message, row, _Joins()), context) for message in _messages_in(row)]


class _Writers:
    """Names of those who wrote replies, in all files of an import."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}
        self._bots: set[str] = set()
        self._note: tuple[dict[str, int], str] | None = None

    def add(self, name: str, bots: set[str]) -> None:
        """Remember the name of a writer, and which names of `--bot` it has."""
        self._bots |= bots
        if len(self._names) < _NAMES_MAX:
            self._names[name] = None

    def conclude(self, context: Context) -> None:
        """Note after a file which names of `--bot` have not occurred so far; replaces the note on earlier files."""
        if self._note:
            notes, sentence = self._note
            notes.pop(sentence)
            self._note = None
        if missing := sorted(bot for bot in context.bots if bot and bot.casefold() not in self._bots):
            sentence = f"--bot {_listed(missing)}: wrote no reply here; replies were written by {_listed(self._names)}."
            context.note(sentence)
            self._note = context.notes, sentence


def _writers(context: Context) -> _Writers:
    writers: _Writers = context.state.setdefault("writers of Chatwoot", _Writers())
    return writers


def _listed(names: Collection[str]) -> str:
    shown = [f'"{visible(name)}"' for name in islice(names, _NAMES_SHOWN)]
    more = len(names) - len(shown)
    return (", ".join(shown) or "nobody with a name") + (f" and {quantity(more, 'other')}" if more else "")


class _Joins:
    """Names from the other tables of a dump, which stand before the messages."""

    def __init__(self) -> None:
        self._phones: dict[str, str] = {}
        self._contacts: dict[str, str] = {}
        self._inboxes: dict[str, str] = {}

    def add(self, row: Row) -> None:
        """Remember a contact, a conversation or an inbox."""
        row_id, fields = label(row.fields.get("id")), row.fields
        if len(self._phones) + len(self._contacts) > _NAMES_MAX:
            return
        if row.table == "contacts":
            self._phones[row_id] = text(fields.get("phone_number")) or text(fields.get("identifier"))
        elif row.table == "conversations":
            self._contacts[row_id] = label(fields.get("contact_id"))
        elif row.table == "inboxes":
            self._inboxes[row_id] = text(fields.get("name"))

    def user(self, conversation: str) -> str:
        """Return the phone of a conversation's contact; the conversation itself if it is unknown."""
        return self._phones.get(self._contacts.get(conversation, ""), "") or conversation

    def inbox(self, inbox: str) -> str:
        """Return the name of an inbox, or its number."""
        return self._inboxes.get(inbox) or inbox


def _messages_in(row: Row) -> Iterator[Mapping[str, Any]]:
    """Yield the messages in a row: the row itself, those of a conversation from the API, or that of a webhook."""
    fields = row.fields
    if _is_message(fields):
        yield fields
        return
    for message in objects(fields.get("messages")):
        if _is_message(message):
            yield {"conversation": {"id": fields.get("id"), "meta": fields.get("meta")}, **message}


def _is_message(fields: Mapping[str, Any]) -> bool:
    if fields.get("event") not in (None, "message_created"):
        return False
    return (
        _type(fields) in _TYPES.values()
        and "created_at" in fields
        and any(key in fields for key in ("conversation_id", "conversation", "conversation_display_id"))
        and any(key in fields for key in ("content", "content_type", "private"))
    )


def _type(fields: Mapping[str, Any]) -> str:
    written = label(whole(fields.get("message_type"))).lower()
    return _TYPES.get(written, written)


def _message_row(fields: Mapping[str, Any], row: Row, joins: _Joins) -> _MessageRow:
    conversation = label(whole(fields.get("conversation_id")) or fields.get("conversation_display_id"))
    conversation = conversation or label(at(fields, "conversation", "id")) or label(row.outer.get("id"))
    user = next((phone for column in _PHONE_COLUMNS if (phone := label(fields.get(column)))), "")
    user = user or text(at(fields, "conversation", "meta", "sender", "phone_number"))
    user = user or text(at(row.outer, "meta", "contact", "phone_number"))
    user = user or text(at(row.outer, "meta", "sender", "phone_number"))
    user = user or (joins.user(conversation) if conversation else "")
    inbox = (
        text(fields.get("inbox_name"))
        or text(at(fields, "inbox", "name"))
        or label(whole(fields.get("inbox_id")))
    )
    return _MessageRow(fields, _type(fields), user, joins.inbox(inbox), row.place)


def _event(row: _MessageRow, context: Context) -> ImportedEvent | Omission:
    fields = row.fields
    at_ms, precision = _time(fields.get("created_at"), context)
    if reason := _refusal(row):
        return Omission(reason, row.place)
    if at_ms is None:
        return Omission(NO_TIME, row.place)
    message_id = label(fields.get("source_id")) or label(fields.get("id"))
    words, kind = _content(fields)
    if row.kind == _INCOMING:
        event = MessageEvent(at_ms, True, row.instance, row.conversation, message_id, words, kind, None)
        return ImportedEvent(event, row.place, precision)
    reply = Reply(
        at=at_ms,
        instance=row.instance,
        phone=row.conversation,
        who=_who(row, context),
        id=message_id,
        text=words,
        kind=kind,
    )
    return ImportedEvent(reply, row.place, precision)


def _refusal(row: _MessageRow) -> str:
    """Return the reason why a row is neither a message nor a reply; "" if it is one."""
    if row.kind == _ACTIVITY:
        return ACTIVITY
    if flag(row.fields.get("private")):
        return PRIVATE
    if row.kind == _TEMPLATE and label(whole(row.fields.get("content_type"))).lower() in _FORMS:
        return SURVEY
    if row.kind != _INCOMING and label(row.fields.get("status")) in ("failed", "3"):
        return FAILED
    return "" if row.conversation else NO_CONVERSATION


def _time(value: Any, context: Context) -> tuple[int | None, Precision]:
    """Return the Unix milliseconds of a time; Chatwoot's database keeps UTC without a zone."""
    moment = moment_of(whole(value))
    if moment is None:
        return None, "s"
    is_local = not moment.has_zone and context.zone is not None
    at_ms = in_zone(moment.ms, context.zone) if is_local and context.zone else moment.ms
    return at_ms, "s" if moment.is_whole_second else "ms"


def _who(row: _MessageRow, context: Context) -> Who:
    """Return the writer of a reply. An agent's user is a person, unless `--bot` names it."""
    sender = mapping(row.fields.get("sender"))
    kind = (text(row.fields.get("sender_type")) or text(sender.get("type"))).replace("_", "").lower()
    names = [text(sender.get(key)) for key in ("name", "available_name", "email")]
    names += [label(row.fields.get(key)) for key in ("sender_name", "agent_name", "sender_id")]
    names.append(label(sender.get("id")))
    if context.bots and (known := [name for name in names if name]):
        bots = {bot.casefold() for bot in context.bots} & {name.casefold() for name in known}
        _writers(context).add(known[0], bots)
        if bots:
            return "bot"
    if row.kind == _TEMPLATE or "bot" in kind or "captain" in kind or "assistant" in kind:
        return "bot"
    return "human" if kind in ("user", "agent", "administrator") else ""


def _content(fields: Mapping[str, Any]) -> tuple[str, str]:
    """Return the text and the kind of a message."""
    words = text(fields.get("content"))
    attributes = mapping(json_of(fields.get("content_attributes")))
    if flag(attributes.get("deleted")):
        return "", "deleted"
    if flag(attributes.get("is_reaction")):
        return words, "reaction"
    files = objects(json_of(fields.get("attachments")))
    if files:
        file_kind = label(files[0].get("file_type")).lower()
        return words, _FILE_KINDS.get(file_kind, file_kind) or "media"
    return (words, "text") if words else ("", "media")
