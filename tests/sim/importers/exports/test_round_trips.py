"""Round trips: a synthetic day, written as each program writes it, comes back with equal arrivals."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, NamedTuple

import pytest

from sim.importers.base import Importer
from sim.importers.formats.chatwoot import ChatwootMessages
from sim.importers.formats.console.importer import ConsoleLogs
from sim.importers.formats.evolution_table import EvolutionTable
from sim.importers.formats.n8n import N8nExecutions
from sim.importers.formats.supabase import SupabaseLogs
from sim.importers.formats.telegram import TelegramExports
from sim.importers.formats.whatsapp_chat.importer import WhatsAppChats
from sim.synthetic.day import SyntheticSettings, synthesize
from tests.sim.importers.exports.reading import imported

DAY = synthesize(
    SyntheticSettings(messages=400, hours=6, seed=5, instance="loja", language="mixed", redeliveries=0)
)
EPOCH_MS = DAY.epoch_ms + 12 * 3_600_000
ZONE = timezone(timedelta(hours=-3))


class Sent(NamedTuple):
    """A message of the day, as it is written and as it must come back."""

    at_ms: int
    phone: str
    id: str
    text: str


def day() -> list[Sent]:
    """Return the texts of the day, with phones of digits, as providers write them."""
    phones: dict[str, str] = {}
    return [
        Sent(
            EPOCH_MS + arrival.at_ms,
            phones.setdefault(arrival.phone, f"55479{len(phones):08d}"),
            arrival.id,
            arrival.text or "…",
        )
        for arrival in DAY.arrivals
    ]


def raw(sent: Sent) -> dict[str, Any]:
    """Return a message as Baileys has it."""
    return {
        "key": {"remoteJid": f"{sent.phone}@s.whatsapp.net", "fromMe": False, "id": sent.id},
        "pushName": "Nome 'com' \"aspas\"",
        "message": {"conversation": sent.text},
        "messageType": "conversation",
        "messageTimestamp": sent.at_ms // 1000,
    }


def body(sent: Sent) -> dict[str, Any]:
    """Return a webhook of the Evolution API."""
    return {"event": "messages.upsert", "instance": "loja", "data": raw(sent)}


def inspected(value: Any, indent: int = 0) -> str:
    """Write a value as util.inspect does: single quotes where they fit, keys without quotes where they may."""
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace("\n", "\\n")
        quote = next((quote for quote in "'\"`" if quote not in value), "'")
        return quote + (escaped.replace("'", "\\'") if quote == "'" else escaped) + quote
    if value is None or isinstance(value, bool | int):
        return "undefined" if value is None else str(value).lower()
    pad = " " * (indent + 2)
    lines = [
        f"{pad}{key if key.isidentifier() else inspected(key)}: {inspected(inner, indent + 2)}"
        for key, inner in value.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n" + " " * indent + "}"


def local(at_ms: int, form: str) -> str:
    """Write a time in the zone of the writers."""
    return datetime.fromtimestamp(at_ms / 1000, ZONE).strftime(form)


def console(messages: list[Sent]) -> Iterator[str]:
    """Write what `docker logs --timestamps` shows of the Evolution API."""
    for sent in messages:
        stamp = (
            datetime.fromtimestamp(sent.at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.")
            + f"{sent.at_ms % 1000:03d}000000Z "
        )
        header = f"\x1b[1m[Evolution API]\x1b[0m  [loja]  v2.3.6  184   -  {local(sent.at_ms, '%a %b %d %Y %H:%M:%S')}     VERBOSE   [ChannelStartupService]  [object]  "
        yield "".join(f"{stamp}{line}\n" for line in (header, *inspected(raw(sent)).split("\n"), ""))


def table_csv(messages: list[Sent]) -> Iterator[str]:
    """Write the table Message as psql does."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["id", "key", "pushName", "messageType", "message", "messageTimestamp", "instanceId"])
    for sent in messages:
        row = raw(sent)
        writer.writerow(
            [
                "c",
                json.dumps(row["key"]),
                row["pushName"],
                "conversation",
                json.dumps(row["message"]),
                row["messageTimestamp"],
                "loja",
            ]
        )
    yield file.getvalue()


def table_copy(messages: list[Sent]) -> Iterator[str]:
    """Write the table Message as pg_dump does."""
    yield '--\n-- PostgreSQL database dump\n--\nCOPY public."Message" (id, key, message, "messageTimestamp", "instanceId") FROM stdin;\n'
    for sent in messages:
        row = raw(sent)
        values = [
            "c",
            json.dumps(row["key"]),
            json.dumps(row["message"], ensure_ascii=False),
            str(row["messageTimestamp"]),
            "loja",
        ]
        yield (
            "\t".join(
                value.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t") for value in values
            )
            + "\n"
        )
    yield "\\.\n"


def n8n(messages: list[Sent]) -> Iterator[str]:
    """Write what n8n's API gives."""
    executions = []
    for number, sent in enumerate(messages, 1):
        output = [
            [{"json": {"headers": {}, "params": {}, "query": {}, "body": body(sent), "webhookUrl": "x"}}]
        ]
        runs = {"Webhook": [{"startTime": sent.at_ms + 1, "executionTime": 1, "data": {"main": output}}]}
        started = (
            datetime.fromtimestamp(sent.at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.")
            + f"{sent.at_ms % 1000:03d}Z"
        )
        executions.append(
            {
                "id": number,
                "mode": "webhook",
                "startedAt": started,
                "workflowId": "w",
                "data": {"resultData": {"runData": runs}},
            }
        )
    yield json.dumps({"data": executions, "nextCursor": None})


def chatwoot(messages: list[Sent]) -> Iterator[str]:
    """Write Chatwoot's table of messages, with the phone of each contact."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(
        [
            "id",
            "content",
            "message_type",
            "private",
            "created_at",
            "conversation_id",
            "inbox_id",
            "source_id",
            "contact_phone",
        ]
    )
    for number, sent in enumerate(messages, 1):
        at = (
            datetime.fromtimestamp(sent.at_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.")
            + f"{sent.at_ms % 1000:03d}000"
        )
        writer.writerow([number, sent.text, 0, "f", at, 1, "loja", sent.id, sent.phone])
    yield file.getvalue()


def supabase(messages: list[Sent]) -> Iterator[str]:
    """Write the Logs Explorer's JSON, the newest first."""
    lines = [
        {
            "event_message": f"webhook {inspected(body(sent))}\n",
            "timestamp": sent.at_ms * 1000,
            "function_id": sent.id,
        }
        for sent in reversed(messages)
    ]
    yield json.dumps(lines, ensure_ascii=False)


WRITERS: dict[str, tuple[Importer, Callable[[list[Sent]], Iterator[str]], int]] = {
    "console": (ConsoleLogs(), console, 1),
    "table in CSV": (EvolutionTable(), table_csv, 1000),
    "table in a dump": (EvolutionTable(), table_copy, 1000),
    "n8n": (N8nExecutions(), n8n, 1),
    "chatwoot": (ChatwootMessages(), chatwoot, 1),
    "supabase": (SupabaseLogs(), supabase, 1),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_day_comes_back(name: str) -> None:
    importer, write, precision_ms = WRITERS[name]
    messages = day()
    outcome = imported(importer, "".join(write(messages)))
    assert not outcome.omitted
    back = sorted(Sent(message.at, message.phone, message.id, message.text) for message in outcome.messages)
    assert back == sorted(sent._replace(at_ms=sent.at_ms // precision_ms * precision_ms) for sent in messages)


def android(messages: list[Sent]) -> str:
    """Write the chat of one user as phones with Android do."""
    lines = [
        "17/06/2020 10:00 - Nobody outside of this chat, not even WhatsApp, can read it: end-to-end encryption."
    ]
    for sent in messages:
        lines += [
            f"{local(sent.at_ms, '%d/%m/%Y %H:%M')} - {sent.phone}: {sent.text}",
            f"{local(sent.at_ms + 60_000, '%d/%m/%Y %H:%M')} - Loja: já vejo",
        ]
    return "\n".join(lines) + "\n"


def ios(messages: list[Sent]) -> str:
    """Write the chat of one user as phones with iOS do in the United States."""
    lines = []
    for sent in messages:
        for at_ms, author, text in (
            (sent.at_ms, sent.phone, sent.text),
            (sent.at_ms + 5_000, "Loja", "já vejo"),
        ):
            moment = datetime.fromtimestamp(at_ms / 1000, ZONE)
            half = f"{moment.hour % 12 or 12}:{moment:%M:%S}\u202f{moment:%p}"
            lines.append(f"[{moment.month}/{moment.day}/{moment:%y}, {half}] {author}: {text}")
    return "\r\n".join(lines) + "\r\n"


def telegram(messages: list[Sent]) -> str:
    """Write the chat of one user as Telegram Desktop does."""
    written = [
        {
            "id": number,
            "type": "message",
            "date": local(sent.at_ms, "%Y-%m-%dT%H:%M:%S"),
            "date_unixtime": str(sent.at_ms // 1000),
            "from": "Nome",
            "from_id": f"user{sent.phone}",
            "text": sent.text,
            "text_entities": [],
        }
        for number, sent in enumerate(messages)
    ]
    owner = {**written[0], "id": 9999, "from": "Loja", "from_id": "user1", "text": "já vejo"}
    return json.dumps(
        {"name": "Nome", "type": "personal_chat", "id": int(messages[0].phone), "messages": [*written, owner]}
    )


CHATS: dict[str, tuple[Importer, Callable[[list[Sent]], str], int, str, dict[str, Any]]] = {
    "Android": (WhatsAppChats(), android, 60_000, "", {"date_order": "dmy"}),
    "iOS": (WhatsAppChats(), ios, 1000, "", {"date_order": "mdy"}),
    "Telegram": (TelegramExports(), telegram, 1000, "user", {}),
}


@pytest.mark.parametrize("name", CHATS)
def test_the_chats_of_a_day_come_back(name: str) -> None:
    importer, write, precision_ms, prefix, given = CHATS[name]
    by_phone = defaultdict(list)
    for sent in day():
        by_phone[sent.phone].append(sent)
    assert len(by_phone) > 20
    for phone, messages in by_phone.items():
        outcome = imported(importer, write(messages), bots=frozenset({"Loja"}), zone=ZONE, **given)
        back = [(message.at, message.phone, message.text) for message in outcome.messages]
        assert back == [
            (sent.at_ms // precision_ms * precision_ms, prefix + phone, sent.text) for sent in messages
        ]
        assert {reply.phone for reply in outcome.replies} == {prefix + phone}
