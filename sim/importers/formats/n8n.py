"""Importer of n8n's executions, from its API or its database, and of the output of a Webhook node.

The data of an execution have the output of every node. The webhook is in the output of the node that began it: `body`,
beside `headers`. Further nodes repeat it, so it counts once for each execution. The answer that a node got to a send is
a reply. If no node has such an answer, the output of an AI node is taken as the reply.

In the database, and in exports of it, the data are "flatted": one list, in which strings are indexes into that list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from queue_core.channels.values import at, label, mapping, objects, text
from queue_core.recording.format import MessageEvent, Reply
from sim.importers.base import Context, Evidence, ImportedEvent, Importer, Omission, Sample
from sim.importers.formats.chatwoot import events_in
from sim.importers.formats.tables.dumps import is_dump
from sim.importers.formats.tables.rows import Row, json_of, rows_in, rows_of
from sim.importers.formats.webhooks.bodies import Body, bodies_in
from sim.importers.formats.webhooks.reading import BodyReader
from sim.importers.sources import Source
from sim.importers.times import Moment, moment_of

NOT_BEGUN = "executions that no webhook began: retries, parts of others, or handlers of errors"
NO_WEBHOOK = "executions without a webhook of a known provider"
NO_DATA = "executions without their data (export them with includeData=true)"
NOT_EXECUTION = "rows that are not executions"
PERHAPS_SENT = "answers of an AI in executions that failed: nothing shows that they were sent"
_FAILED = frozenset({"error", "crashed", "canceled"})
_OTHER_MODES = frozenset({"retry", "integration", "internal", "error", "evaluation"})
_ENTITY = "execution_entity"
_TABLES = frozenset({"", "data", "execution_data", "results"})
_FLATTED_CHARACTERS_MAX = 64 * 1024 * 1024
_STARTED_MAX = 1_000_000


class _Output(NamedTuple):
    """Item in the output of a node."""

    value: Mapping[str, Any]
    started: Moment | None
    finished: Moment | None


class N8nExecutions(Importer):
    """Executions of n8n, and items of its Webhook node."""

    name = "n8n"
    title = "executions of n8n"

    def recognise(self, sample: Sample) -> Evidence | None:
        """See Importer.recognise."""
        rows = [row for row in rows_in(sample) if row.table.lower() in _TABLES]
        executions = sum(_is_execution(row.fields) for row in rows)
        if executions:
            return Evidence(96, f"{executions} of the first {len(rows)} rows are executions of n8n")
        items = sum(_is_item(_inner(row.fields)) for row in rows)
        if items:
            return Evidence(93, f"{items} of the first {len(rows)} values are items of n8n's Webhook node")
        signs = ('"runData"', '\\"runData\\"', "execution_entity", "execution_data")
        seen = [sign for sign in signs if sign in sample.text]
        return Evidence(88, f"it has {' and '.join(seen)}, as n8n's executions do") if seen else None

    def read(self, source: Source, context: Context) -> Iterator[ImportedEvent | Omission]:
        """See Importer.read."""
        reader = _Executions(context, dict(_starts(source)))
        for row in rows_of(source):
            if isinstance(row, Omission):
                yield row
            elif row.table.lower() != _ENTITY:
                yield from reader.read(row)


def _starts(source: Source) -> Iterator[tuple[str, tuple[str, Any]]]:
    """Yield mode and start of the executions of a dump, which has them in a separate table, after the data."""
    if is_dump(source.sample()):
        entities = (row for row in rows_of(source) if isinstance(row, Row) and row.table.lower() == _ENTITY)
        for row in islice(entities, _STARTED_MAX):
            fields = row.fields
            yield (
                label(fields.get("id")),
                (text(fields.get("mode")), fields.get("startedAt") or fields.get("createdAt")),
            )


def _is_execution(fields: Mapping[str, Any]) -> bool:
    has_data = "resultData" in mapping(fields.get("data")) or "resultData" in text(fields.get("data"))
    return (
        has_data
        or ("startedAt" in fields and ("workflowId" in fields or "mode" in fields))
        or "executionId" in fields
    )


def _inner(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an item without n8n's wrapper `json`."""
    return mapping(fields["json"]) if isinstance(fields.get("json"), dict) else fields


def _is_item(fields: Mapping[str, Any]) -> bool:
    return "body" in fields and any(
        name in fields for name in ("headers", "webhookUrl", "executionMode", "params")
    )


class _Executions:
    """Reader of the executions of one file."""

    def __init__(self, context: Context, starts: Mapping[str, tuple[str, Any]]) -> None:
        self._context = context
        self._bodies = BodyReader(context)
        self._starts = starts
        """Mode and start of executions whose rows do not have them."""

    def read(self, row: Row) -> Iterator[ImportedEvent | Omission]:
        """Yield the events in an execution, or in an item of a node."""
        fields = row.fields
        if row.table.lower() not in _TABLES:
            yield Omission(NOT_EXECUTION, row.place)
            return
        if _is_item(_inner(fields)):
            yield from self._item(fields, row.place)
            return
        if not _is_execution(fields):
            yield Omission(NOT_EXECUTION, row.place)
            return
        execution = label(fields.get("executionId")) or label(fields.get("id"))
        mode, started_at = text(fields.get("mode")), fields.get("startedAt") or fields.get("createdAt")
        if execution in self._starts:
            mode, started_at = self._starts[execution]
        if mode in _OTHER_MODES:
            yield Omission(NOT_BEGUN, row.place)
            return
        data = _data(fields.get("data"))
        if not mapping(at(data, "resultData", "runData")):
            yield Omission(NO_DATA, row.place)
            return
        yield from self._execution(
            mapping(at(data, "resultData", "runData")), moment_of(started_at), row.place, fields
        )

    def _item(self, fields: Mapping[str, Any], place: int) -> Iterator[ImportedEvent | Omission]:
        bodies = list(bodies_in(_inner(fields), place, None))
        if not bodies:
            yield from self._of_chatwoot([_Output(_inner(fields), None, None)], None, place)
        for body in bodies:
            yield from self._bodies.read(body)

    def _execution(
        self, runs: Mapping[str, Any], started: Moment | None, place: int, fields: Mapping[str, Any]
    ) -> Iterator[ImportedEvent | Omission]:
        outputs = sorted(_outputs(runs), key=lambda output: output.started.ms if output.started else 0)
        webhook: Mapping[str, Any] | None = None
        messages: list[MessageEvent] = []
        for output in outputs:
            bodies = [body for body in bodies_in(output.value, place, None) if not _is_own(body.body)]
            if bodies:
                webhook = bodies[0].body
                for body in bodies:
                    for piece in self._bodies.read(Body(body.body, place, started or output.started)):
                        if isinstance(piece, ImportedEvent) and isinstance(piece.event, MessageEvent):
                            messages.append(piece.event)
                        yield piece
                break
        if webhook is None:
            yield from self._of_chatwoot(outputs, started, place)
            return
        replies = [piece for output in outputs for piece in self._replies(output, webhook, place)]
        has_failed = text(fields.get("status")) in _FAILED or any(map(_is_error, _runs(runs)))
        yield from replies or self._answer(outputs, messages, place, has_failed=has_failed)

    def _answer(
        self, outputs: list[_Output], messages: list[MessageEvent], place: int, *, has_failed: bool
    ) -> Iterator[ImportedEvent | Omission]:
        """Yield the output of an AI node as the reply, if no node shows that a reply was sent."""
        answers = [(text(output.value.get("output")), output.finished) for output in outputs]
        answers = [(words, finished) for words, finished in answers if words and finished]
        if not answers or not messages:
            return
        if has_failed:
            yield Omission(PERHAPS_SENT, place)
            return
        self._context.note(
            "Some executions do not show that a reply was sent: the output of their AI is taken as sent."
        )
        last = answers[-1][0]
        finished = next(finished for words, finished in answers if words == last and finished)
        user = messages[-1]
        reply = Reply(at=finished.ms, instance=user.instance, phone=user.phone, who="bot", text=last)
        yield ImportedEvent(reply, place)

    def _of_chatwoot(
        self, outputs: list[_Output], started: Moment | None, place: int
    ) -> Iterator[ImportedEvent | Omission]:
        """Yield the message of a webhook of Chatwoot, with which many workflows begin; an Omission without one."""
        for output in outputs:
            body = output.value.get("body")
            events = events_in(
                mapping(body) if isinstance(body, dict) else output.value, place, self._context
            )
            for event in events:
                yield _at(event, started) if isinstance(event, ImportedEvent) and started else event
            if events:
                return
        yield Omission(NO_WEBHOOK, place)

    def _replies(
        self, output: _Output, webhook: Mapping[str, Any], place: int
    ) -> Iterator[ImportedEvent | Omission]:
        """Yield replies from the answers that a node got to a send, of the Evolution API or the Cloud API."""
        value = output.value
        if at(value, "key", "fromMe") is True and "event" not in value:
            body = {"event": "send.message", "instance": webhook.get("instance"), "data": value}
            yield from self._bodies.read(Body(body, place, output.finished))
            return
        contacts, messages = objects(value.get("contacts")), objects(value.get("messages"))
        is_answer = (
            value.get("messaging_product") == "whatsapp" and contacts and messages and "metadata" not in value
        )
        if not is_answer or output.finished is None:
            return
        number = next(
            (
                text(at(mapping(change), "value", "metadata", "phone_number_id"))
                for entry in objects(webhook.get("entry"))
                for change in objects(entry.get("changes"))
            ),
            "",
        )
        phone, message_id = label(contacts[0].get("wa_id")), label(messages[0].get("id"))
        if phone:
            event = Reply(at=output.finished.ms, instance=number, phone=phone, who="bot", id=message_id)
            yield ImportedEvent(event, place)


def _at(imported: ImportedEvent, moment: Moment) -> ImportedEvent:
    return imported._replace(event=msgspec.structs.replace(imported.event, at=moment.ms), precision="ms")


def _is_own(body: Mapping[str, Any]) -> bool:
    """Return True for the Evolution API's answer to a send, which has the shape of a message."""
    return "instance" not in body and at(body, "data", "key", "fromMe") is True


def _outputs(runs: Mapping[str, Any]) -> Iterator[_Output]:
    """Yield the items in the output of an execution's nodes."""
    for run in _runs(runs):
        started = moment_of(run.get("startTime"))
        duration = run.get("executionTime")
        finished = started
        if started is not None and isinstance(duration, int | float) and not isinstance(duration, bool):
            finished = Moment(started.ms + round(duration), has_zone=True, is_whole_second=False)
        for branch in _lists(at(run, "data", "main")):
            for item in objects(branch):
                value = item.get("json")
                if isinstance(value, dict):
                    yield _Output(value, started, finished)


def _runs(runs: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield each run of each node of an execution."""
    for node in runs.values():
        yield from objects(node)


def _is_error(run: Mapping[str, Any]) -> bool:
    return run.get("executionStatus") == "error" or bool(run.get("error"))


def _lists(value: Any) -> list[Any]:
    return [part for part in value if isinstance(part, list)] if isinstance(value, list) else []


def _data(value: Any) -> Any:
    """Return the data of an execution, which may be an object, JSON as a text, or flatted."""
    if isinstance(value, str) and len(value) > _FLATTED_CHARACTERS_MAX:
        return None
    decoded = json_of(value)
    return unflatted(decoded) if isinstance(decoded, list) else decoded


def unflatted(flat: list[Any]) -> Any:
    """Return the value of a flatted list: its first element, with all indexes replaced by the elements there."""
    values = [
        dict(part) if isinstance(part, dict) else list(part) if isinstance(part, list) else part
        for part in flat
    ]

    def whole(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return values[int(value)] if value.isdecimal() and int(value) < len(values) else None

    for value in values:
        if isinstance(value, dict):
            for name in value:
                value[name] = whole(value[name])
        elif isinstance(value, list):
            value[:] = [whole(part) for part in value]
    return values[0] if values else None
