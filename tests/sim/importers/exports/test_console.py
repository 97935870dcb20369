"""Logs with printed objects: the Evolution API's console as Docker, pm2 and terminals show it."""

from __future__ import annotations

import json
from datetime import timedelta, timezone
from typing import Any

import pytest

from sim.importers.base import UNKNOWN_TEXT
from sim.importers.formats.console.bodies import CUT_MESSAGE, NO_WEBHOOK, PRINTED_AGAIN
from sim.importers.formats.console.importer import ConsoleLogs
from sim.importers.formats.console.objects import CUT_OFF, NO_OBJECT
from tests.sim.importers.exports.reading import Outcome, detected, imported, utc_ms

HEADER = "[Evolution API]  [loja]  v2.3.6  184   -  Sat Mar 01 2025 09:15:20     {level}   [ChannelStartupService]  [object]  "
MESSAGE = """{{
  key: {{
    remoteJid: '5547911112222@s.whatsapp.net',
    fromMe: {own},
    id: '{id}',
    senderPn: undefined
  }},
  pushName: 'Rita',
  status: 'DELIVERY_ACK',
  message: {{
    conversation: '{text}',
    messageContextInfo: {{ deviceListMetadata: [Object], messageSecret: [Uint8Array] }}
  }},
  contextInfo: undefined,
  messageType: 'conversation',
  messageTimestamp: {seconds},
  instanceId: '0c5f8f4e-5a3c-4b8e-9a51-0d8e7f6a5b4c',
  source: '{source}'
}}\x20
"""
SECONDS = 1740831320  # 2025-03-01T12:15:20Z, so the console is three hours behind UTC


def printed(
    text: str = "bom dia",
    *,
    own: str = "false",
    message_id: str = "A1",
    seconds: int = SECONDS,
    source: str = "android",
) -> str:
    return MESSAGE.format(own=own, id=message_id, text=text, seconds=seconds, source=source)


def record(text: str = "bom dia", *, level: str = "VERBOSE", **fields: Any) -> str:
    return HEADER.format(level=level) + "\n" + printed(text, **fields) + "\n"


def read(log: str, **given: Any) -> Outcome:
    return imported(ConsoleLogs(), log, **given)


def test_a_message_is_read_and_the_zone_of_the_console_is_found() -> None:
    outcome = read(record("bom dia, tudo bem?"))
    (message,) = outcome.messages
    assert (message.instance, message.phone, message.id) == ("loja", "5547911112222", "A1")
    assert (message.text, message.kind) == ("bom dia, tudo bem?", "text")
    assert message.at == utc_ms("2025-03-01T12:15:20Z")
    assert outcome.precisions == {"s"}
    assert any("UTC-03:00" in note for note in outcome.notes)


def test_own_messages_are_replies() -> None:
    outcome = read(
        record()
        + record("oi! em que posso ajudar?", own="true", message_id="B1", seconds=SECONDS + 4, source="web")
    )
    assert [reply.text for reply in outcome.replies] == ["oi! em que posso ajudar?"]
    assert outcome.replies[0].phone == outcome.messages[0].phone


def test_colours_do_not_matter() -> None:
    coloured = record().replace("[Evolution API]", "\x1b[1m\x1b[37m[Evolution API]\x1b[0m \x1b[1m\x1b[37m")
    coloured = coloured.replace("'bom dia'", "\x1b[32m'bom dia'\x1b[39m").replace(
        "false", "\x1b[33mfalse\x1b[39m"
    )
    without_escapes = record().replace("[Evolution API]", "[1m[37m[Evolution API][0m [1m")
    for log in (coloured, without_escapes):
        assert [message.text for message in read(log).messages] == ["bom dia"]


@pytest.mark.parametrize(
    ("before", "at"),
    [
        ("2025-03-01T12:15:20.345678901Z ", "2025-03-01T12:15:20.345Z"),
        ("evolution_api  | 2025-03-01T12:15:20.345678901Z ", "2025-03-01T12:15:20.345Z"),
        ("evolution-api-1  | ", "2025-03-01T12:15:20Z"),
        ("0|evolution  | ", "2025-03-01T12:15:20Z"),
        ("4|evo | 2025-03-01T09:15:20: ", "2025-03-01T12:15:20Z"),
        ("2025-03-01T09:15:20.345678901-03:00 stdout F ", "2025-03-01T12:15:20.345Z"),
        ("Mar  1 09:15:20 host evolution[184]: ", "2025-03-01T12:15:20Z"),
    ],
)
def test_a_prefix_of_each_line_is_removed(before: str, at: str) -> None:
    log = "".join(f"{before}{line}\n" for line in record().splitlines())
    outcome = read(log)
    assert [message.text for message in outcome.messages] == ["bom dia"]
    assert outcome.messages[0].at == utc_ms(at)


def test_the_files_that_docker_keeps_are_read() -> None:
    log = "".join(
        json.dumps(
            {"log": line + "\n", "stream": "stdout", "time": "2025-03-01T12:15:20.5Z"}, separators=(",", ":")
        )
        + "\n"
        for line in record().splitlines()
    )
    assert [message.at for message in read(log).messages] == [utc_ms("2025-03-01T12:15:20.500Z")]


def test_lines_that_tools_keep_in_objects_are_read() -> None:
    whole = {
        "message": record(),
        "timestamp": "2025-03-01T12:15:20.911Z",
        "type": "out",
        "process_id": 0,
        "app_name": "evolution",
    }
    loki = [
        {"line": line, "timestamp": "2025-03-01T12:15:20.911Z", "fields": {}}
        for line in record().splitlines()
    ]
    for log in (json.dumps(whole) + "\n", "".join(json.dumps(line) + "\n" for line in loki)):
        assert [message.at for message in read(log).messages] == [utc_ms("2025-03-01T12:15:20.911Z")]
        assert detected(log)[0] == "console"


def test_version_1_names_the_instance_in_the_message() -> None:
    log = record().replace("  [loja]  ", "    ").replace("  source:", "  owner: 'loja',\n  source:")
    assert [message.instance for message in read(log).messages] == ["loja"]


def test_version_1_prints_names_of_classes() -> None:
    log = (
        "[Evolution API]  v1.6.0  1   -  Sat Mar 01 2025 09:15:20     LOG   [WAStartupService]  [object]   \n"
        "{\n  key: MessageKey {\n    remoteJid: '5547911112222@s.whatsapp.net',\n    fromMe: false,\n    id: 'A1'\n  },\n"
        "  message: { extendedTextMessage: ExtendedTextMessage { text: 'oi' } },\n  messageType: 'extendedTextMessage',\n"
        "  messageTimestamp: Long { low: 1740831320, high: 0, unsigned: true },\n  owner: 'loja'\n} \n\n"
    )
    assert [(message.text, message.instance) for message in read(log).messages] == [("oi", "loja")]


def test_lines_of_two_containers_may_mix() -> None:
    first = [f"a  | {line}\n" for line in record("um", message_id="A1").splitlines()]
    second = [f"b  | {line}\n" for line in record("dois", message_id="A2").splitlines()]
    log = "".join(line for pair in zip(first, second, strict=True) for line in pair)
    assert {message.text for message in read(log).messages} == {"um", "dois"}


def test_an_object_may_begin_in_the_line_of_the_header() -> None:
    """Without colours, the Evolution API prints both at once."""
    header = (
        "[Evolution API] [loja] 184 - Sat Mar 01 2025 09:15:20   VERBOSE  [ChannelStartupService] [object] "
    )
    assert [message.text for message in read(header + printed("junto")).messages] == ["junto"]


def test_a_message_that_is_printed_with_its_webhook_counts_once() -> None:
    data = printed("uma vez").rstrip()
    webhook = "{\n  local: '%s',\n  url: 'http://n8n/webhook',\n  event: 'messages.upsert',\n  instance: 'loja',\n  data: %s,\n  date_time: '2025-03-01T09:15:20.911Z',\n  sender: '5547@s.whatsapp.net',\n  apikey: null\n} \n"
    log = record("uma vez")
    for local in ("p.sendData-Webhook", "p.sendData-Webhook-Global"):
        log += HEADER.format(level="LOG") + "\n" + webhook % (local, data) + "\n"
    outcome = read(log)
    assert [message.text for message in outcome.messages] == ["uma vez"]
    assert outcome.omitted[PRINTED_AGAIN] == 2


def test_the_same_form_again_is_a_second_delivery() -> None:
    assert [message.id for message in read(record() + record()).messages] == ["A1", "A1"]


def test_what_the_printer_cut_is_noted() -> None:
    text_cut = record().replace(
        "message: {\n    conversation: 'bom dia',", "message: {\n    extendedTextMessage: [Object],"
    )
    outcome = read(text_cut)
    assert [message.text for message in outcome.messages] == [UNKNOWN_TEXT]
    assert any("[Object]" in note for note in outcome.notes)
    picture = (
        record()
        .replace("conversation: 'bom dia',", "imageMessage: [Object],")
        .replace("'conversation'", "'imageMessage'")
    )
    assert [message.kind for message in read(picture).messages] == ["image"]
    whole_cut = read(record().replace("message: {", "message: [Object], other: {"))
    assert [message.kind for message in whole_cut.messages] == ["text"]
    for cut in (
        "{ event: 'messages.upsert', instance: 'loja', data: [Object] }\n",
        "{ object: 'whatsapp_business_account', entry: [ [Object] ] }\n",
    ):
        assert read(cut).omitted == {CUT_MESSAGE: 1}


def test_a_text_of_the_cloud_api_that_the_printer_cut_is_unknown() -> None:
    value = (
        "{\n  messaging_product: 'whatsapp',\n  metadata: { phone_number_id: '777' },\n"
        "  messages: [\n    {\n      from: '5547911112222',\n      id: 'wamid.1',\n      timestamp: '1740820520',\n"
        "      text: [Object],\n      type: 'text'\n    }\n  ]\n}\n"
    )
    outcome = read(value)
    assert [message.text for message in outcome.messages] == [UNKNOWN_TEXT]
    assert any("[Object]" in note for note in outcome.notes)


@pytest.mark.parametrize(
    ("fields", "message", "expected"),
    [
        ("body: 'oi',", "[Object]", ("text", "oi")),
        ("body: 'oi',", "{ extendedTextMessage: [Object] }", ("text", "oi")),
        (
            "body: 'oi', hasMedia: true, media: { mimetype: 'image/jpeg' },",
            "[Object]",
            ("image", "[image] oi"),
        ),
        ("body: null,", "[Object]", ("text", UNKNOWN_TEXT)),
    ],
)
def test_a_payload_of_waha_has_the_text_that_the_printer_cut_elsewhere(
    fields: str, message: str, expected: tuple[str, str]
) -> None:
    webhook = (
        "{\n  event: 'message',\n  session: 'default',\n  payload: {\n    id: 'false_5547911112222@c.us_AA',\n"
        f"    timestamp: 1740820520,\n    from: '5547911112222@c.us',\n    fromMe: false,\n    {fields}\n"
        f"    _data: {{ key: [Object], message: {message} }}\n  }}\n}}\n"
    )
    outcome = read(webhook)
    assert [(each.kind, each.text) for each in outcome.messages] == [expected]
    assert bool(outcome.notes) == (UNKNOWN_TEXT in expected)


def test_everything_else_is_counted() -> None:
    log = (
        HEADER.format(level="INFO").replace("[object]", "[string]") + "Group Ignore: true \n"
        "listening on 8080\n"
        + HEADER.format(level="LOG")
        + "\n{ cacheKey: 'x', ttl: 5 }\n"
        + HEADER.format(level="LOG")
        + "\n{\n  key: {\n    remoteJid: 'x@s.whatsapp.net',\n"
        + record()
        + HEADER.format(level="ERROR")
        + "\n{\n  local: 'end"
    )
    outcome = read(log)
    assert len(outcome.messages) == 1
    assert outcome.omitted == {NO_OBJECT: 2, NO_WEBHOOK: 1, CUT_OFF: 2}


def test_webhooks_printed_by_a_handler_are_read() -> None:
    """A handler's `console.log("webhook", body)` needs no header of the Evolution API."""
    body = "{\n  event: 'messages.upsert',\n  instance: 'loja',\n  data: %s,\n  date_time: '2025-03-01T09:15:20.911Z'\n}\n"
    log = "server up\nwebhook " + body % printed("do meu servidor").rstrip() + "answered in 3 ms\n"
    outcome = read(log)
    assert [message.text for message in outcome.messages] == ["do meu servidor"]
    assert outcome.messages[0].at == utc_ms("2025-03-01T12:15:20.911Z")
    assert detected(log)[0] == "console"


def test_a_zone_that_is_given_wins() -> None:
    outcome = read(record(), zone=timezone(timedelta(hours=-5)))
    assert outcome.messages[0].at == utc_ms("2025-03-01T14:15:20Z")


def test_the_console_is_recognised_and_webhooks_in_json_are_not_taken_for_it() -> None:
    assert detected(record())[0] == "console"
    assert (
        detected("Booting\n" * 50 + HEADER.format(level="INFO").replace("[object]", "[string]") + "ready\n")[
            0
        ]
        == "console"
    )
    body = {
        "event": "messages.upsert",
        "instance": "loja",
        "data": {"key": {"remoteJid": "1@s.whatsapp.net", "id": "A"}, "message": {"conversation": "x"}},
    }
    assert detected((json.dumps(body) + "\n") * 3)[0] == "webhooks"


def test_an_object_that_never_ends_does_not_swallow_what_follows() -> None:
    log = "{\n" + "  a: 1,\n" * 30_000 + record()
    assert [message.text for message in read(log).messages] == ["bom dia"]
