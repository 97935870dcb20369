"""Importer of the Evolution API's table of messages: PostgreSQL, MySQL or MongoDB, in CSV, JSON or a dump."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from queue_core.channels.values import label, mapping, text
from sim.importers.base import Context, Evidence, ImportedEvent, Importer, ImportFailedError, Omission, Sample
from sim.importers.formats.tables.rows import Row, flag, is_json, json_of, rows_in, rows_of, whole
from sim.importers.formats.webhooks.bodies import Body
from sim.importers.formats.webhooks.reading import BodyReader
from sim.importers.sources import Source

OTHER_TABLE = "rows of other tables"
WITHOUT_KEY = "a row without a readable key"
_TABLES = frozenset({"", "message", "messages", "records"})
_INSTANCES_MAX = 100_000
_KEY_COLUMNS = {
    "keyremotejid": "remoteJid",
    "keyid": "id",
    "keyfromme": "fromMe",
    "keyparticipant": "participant",
}
"""Columns of versions that store the parts of the key separately."""


class EvolutionTable(Importer):
    """Rows of the table `Message` of the Evolution API."""

    name = "evolution-table"
    title = "messages in the Evolution API's database"
    aliases = ("evolution-db", "evolution-postgres", "pg-dump")

    def recognise(self, sample: Sample) -> Evidence | None:
        """See Importer.recognise."""
        rows = [row for row in rows_in(sample) if row.table.lower() in _TABLES]
        keys = sum(_key(_lowered(row)) is not None for row in rows)
        if not keys:
            is_dump = (
                'COPY public."Message" (' in sample.text or 'CREATE TABLE public."Message" (' in sample.text
            )
            return Evidence(85, "a dump of the Evolution API's database") if is_dump else None
        stored = sum("instanceid" in fields or "owner" in fields for fields in map(_lowered, rows))
        words = f"{keys} of the first {len(rows)} rows have the key of a message"
        if is_json(sample):
            return Evidence(93, f"{words}, and {stored} an instance") if stored * 2 > len(rows) else None
        return Evidence(95 if keys * 2 > len(rows) else 60, words)

    def read(self, source: Source, context: Context) -> Iterator[ImportedEvent | Omission]:
        """See Importer.read."""
        reader = BodyReader(context)
        names: dict[str, str] = {}
        counts: Counter[str] = Counter()
        for row in rows_of(source):
            if isinstance(row, Omission):
                yield row
                continue
            fields = _lowered(row)
            if row.table.lower() == "instance" and len(names) < _INSTANCES_MAX:
                names[text(fields.get("id"))] = text(fields.get("name"))
                continue
            if row.table.lower() not in _TABLES:
                yield Omission(OTHER_TABLE, row.place)
                continue
            counts["rows"] += 1
            key = _key(fields)
            if key is None:
                counts["without key"] += 1
                yield Omission(WITHOUT_KEY, row.place)
                continue
            yield from reader.read(Body(_body(fields, key, names), row.place, None))
        if counts["rows"] and counts["rows"] == counts["without key"]:
            raise ImportFailedError(
                f"{source.name}: no row has a column `key` with remoteJid and id; export the table Message with the "
                "names of its columns in the first line (in psql: \\copy \"Message\" TO 'messages.csv' CSV HEADER)"
            )


def _lowered(row: Row) -> dict[str, Any]:
    """Return the fields with names in lower case, and values without MongoDB's wrappers."""
    return {name.lower(): _unwrapped(value) for name, value in row.fields.items()}


def _unwrapped(value: Any) -> Any:
    if isinstance(value, dict) and len(value) == 1:
        name, inner = next(iter(value.items()))
        if name in ("$numberLong", "$numberInt", "$numberDouble", "$oid"):
            return inner
        if name == "$date":
            return _unwrapped(inner)
    return value


def _key(fields: Mapping[str, Any]) -> dict[str, Any] | None:
    key = json_of(fields.get("key"))
    if not isinstance(key, dict):
        key = {
            name: fields[column] for column, name in _KEY_COLUMNS.items() if fields.get(column) is not None
        }
    if not text(key.get("remoteJid")) or "messagetimestamp" not in fields:
        return None
    return {**key, "fromMe": flag(key.get("fromMe"))}


def _body(fields: Mapping[str, Any], key: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return a webhook with the row's message."""
    stored = label(fields.get("instanceid")) or label(fields.get("owner"))
    message = json_of(fields.get("message", fields.get("content")))
    kind = text(fields.get("messagetype")) or text(fields.get("contenttype"))
    if isinstance(message, str):
        message = {"conversation": message}
    data = {
        "key": key,
        "pushName": fields.get("pushname"),
        "message": message,
        "messageType": kind,
        "messageTimestamp": whole(fields["messagetimestamp"]),
        "source": fields.get("source", fields.get("device")),
        "contextInfo": mapping(json_of(fields.get("contextinfo"))),
    }
    instance = text(fields.get("instancename")) or names.get(stored) or stored
    body: dict[str, Any] = {"event": "messages.upsert", "data": data}
    return {**body, "instance": instance} if instance else body
