"""Executions of n8n: from its API, from its database, and items of its Webhook node."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from sim.importers.formats.n8n import NO_DATA, NO_WEBHOOK, NOT_BEGUN, PERHAPS_SENT, N8nExecutions, unflatted
from tests.sim.importers.exports.reading import Outcome, detected, imported, utc_ms

STARTED = "2025-03-01T12:15:20.911Z"
STARTED_MS = utc_ms(STARTED)


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
        "date_time": "2025-03-01T09:15:20.700Z",
        "apikey": "SECRET",
    }


def item(body: Any) -> dict[str, Any]:
    return {
        "headers": {"host": "n8n"},
        "params": {},
        "query": {},
        "body": body,
        "webhookUrl": "https://n8n/w",
        "executionMode": "production",
    }


def node(value: Any, *, start: int = 0, took: int = 5) -> list[dict[str, Any]]:
    return [
        {
            "startTime": STARTED_MS + start,
            "executionTime": took,
            "executionStatus": "success",
            "source": [],
            "data": {"main": [[{"json": value, "pairedItem": {"item": 0}}]]},
        }
    ]


SENT = {
    "key": {"remoteJid": "5547911112222@s.whatsapp.net", "fromMe": True, "id": "B1"},
    "pushName": "",
    "status": "PENDING",
    "message": {"conversation": "posso ajudar?"},
    "messageType": "conversation",
    "messageTimestamp": 1740831330,
    "instanceId": "x",
}


def execution(
    number: int = 1, *, mode: str = "webhook", body: Any = None, started: str = STARTED, **nodes: Any
) -> dict[str, Any]:
    body = webhook() if body is None else body
    runs = {
        "Send": node(SENT, start=9_000, took=400),
        "Edit Fields": node({"phone": "5547911112222", "text": "oi", "body": body}, start=12),
        "Webhook": node(item(body), start=1),
        **nodes,
    }
    return {
        "id": number,
        "finished": True,
        "mode": mode,
        "retryOf": None,
        "status": "success",
        "startedAt": started,
        "stoppedAt": started,
        "workflowId": "w1",
        "data": {"startData": {}, "resultData": {"runData": runs, "lastNodeExecuted": "Send"}},
    }


def flatted(value: Any) -> str:
    """Write a value as the library `flatted` does, which n8n uses for its database."""
    flat: list[Any] = []

    def place(part: Any) -> Any:
        if not isinstance(part, str | dict | list):
            return part
        index = len(flat)
        flat.append(part)
        if isinstance(part, dict):
            flat[index] = {name: place(inner) for name, inner in part.items()}
        elif isinstance(part, list):
            flat[index] = [place(inner) for inner in part]
        return str(index)

    place(value)
    return json.dumps(flat)


def read(value: Any, **given: Any) -> Outcome:
    return imported(N8nExecutions(), value if isinstance(value, str) else json.dumps(value), **given)


def _copy(rows: list[dict[str, Any]]) -> str:
    def escaped(text: str) -> str:
        return text.replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n")

    entities = "".join(
        f"{row['id']}\tt\t{row['mode']}\t\\N\t\\N\t{row['startedAt'].replace('T', ' ').replace('Z', '+00')}\tw1\n"
        for row in rows
    )
    data = "".join(f"{row['id']}\t{{}}\t{escaped(flatted(row['data']))}\n" for row in rows)
    return (
        "--\n-- PostgreSQL database dump\n--\n"
        'COPY public.execution_data ("executionId", "workflowData", data) FROM stdin;\n'
        f"{data}\\.\n"
        'COPY public.execution_entity (id, finished, mode, "retryOf", "retrySuccessId", "startedAt", "workflowId") FROM stdin;\n'
        f"{entities}\\.\n"
    )


ROWS = [execution(1), execution(2, body=webhook("de novo", id="A2"), started="2025-03-01T12:16:00.100Z")]
FORMATS = {
    "the API": {"data": ROWS, "nextCursor": None},
    "a list": ROWS,
    "JSON lines": "".join(json.dumps(row) + "\n" for row in ROWS),
    "flatted": [{**row, "data": flatted(row["data"])} for row in ROWS],
    "a dump": _copy(ROWS),
}


@pytest.mark.parametrize("name", FORMATS)
def test_the_webhook_of_each_execution_counts_once(name: str) -> None:
    outcome = read(FORMATS[name])
    assert [(message.text, message.id) for message in outcome.messages] == [("oi", "A1"), ("de novo", "A2")]
    assert [message.at for message in outcome.messages] == [STARTED_MS, utc_ms("2025-03-01T12:16:00.100Z")]
    assert outcome.precisions == {"ms"}
    assert "SECRET" not in repr(outcome)


@pytest.mark.parametrize("name", FORMATS)
def test_each_form_is_recognised(name: str) -> None:
    content = FORMATS[name]
    assert detected(content if isinstance(content, str) else json.dumps(content))[0] == "n8n"


def test_a_table_in_csv_is_read() -> None:
    """SQLite, which n8n uses by default, keeps times in UTC without a zone."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["id", "mode", "startedAt", "workflowId", "data"])
    writer.writerow(
        [1, "webhook", STARTED.replace("T", " ").removesuffix("Z"), "w", flatted(execution()["data"])]
    )
    outcome = read(file.getvalue())
    assert [(message.text, message.at) for message in outcome.messages] == [("oi", STARTED_MS)]
    assert detected(file.getvalue())[0] == "n8n"


def test_a_single_execution_is_read() -> None:
    content = json.dumps(execution())
    assert len(read(content).messages) == 1
    assert detected(content)[0] == "n8n"


def test_what_a_node_got_back_from_sending_is_a_reply() -> None:
    (reply,) = read([execution()]).replies
    assert (reply.text, reply.who, reply.phone, reply.instance) == (
        "posso ajudar?",
        "bot",
        "5547911112222",
        "loja",
    )
    assert reply.at == STARTED_MS + 9_400


def test_an_ai_s_text_is_the_reply_where_nothing_shows_that_it_was_sent() -> None:
    agents: dict[str, Any] = {
        "Send": [],
        "Classifier": node({"output": "sales"}, start=1_000),
        "AI Agent": node({"output": "pode sim"}, start=2_000, took=900),
        "Edit": node({"output": "pode sim"}, start=3_000),
    }
    outcome = read([execution(**agents)])
    assert [(reply.text, reply.at, reply.phone, reply.instance, reply.who) for reply in outcome.replies] == [
        ("pode sim", STARTED_MS + 2_900, "5547911112222", "loja", "bot")
    ]
    assert any("is taken as sent" in note for note in outcome.notes)
    assert [
        reply.text for reply in read([execution(**(agents | {"Send": node(SENT, start=9_000)}))]).replies
    ] == ["posso ajudar?"]


def test_an_ai_s_text_is_not_a_reply_where_the_execution_failed() -> None:
    agent = node({"output": "pode sim"}, start=2_000)
    failed_node = [{"startTime": STARTED_MS + 3_000, "executionStatus": "error", "error": {"message": "400"}}]
    for failed in (
        execution(**dict[str, Any]({"Send": failed_node, "AI Agent": agent})),
        execution(**dict[str, Any]({"Send": [], "AI Agent": agent})) | {"status": "error"},
    ):
        outcome = read([failed])
        assert len(outcome.messages) == 1
        assert not outcome.replies
        assert outcome.omitted == {PERHAPS_SENT: 1}


def test_an_answer_of_the_cloud_api_is_a_reply() -> None:
    body = {
        "object": "whatsapp_business_account",
        "entry": [
            {
                "id": "1",
                "changes": [
                    {
                        "field": "messages",
                        "value": {
                            "messaging_product": "whatsapp",
                            "metadata": {"display_phone_number": "554730000000", "phone_number_id": "1050"},
                            "contacts": [{"profile": {"name": "Rita"}, "wa_id": "5547911112222"}],
                            "messages": [
                                {
                                    "from": "5547911112222",
                                    "id": "wamid.A",
                                    "timestamp": "1740831320",
                                    "type": "text",
                                    "text": {"body": "oi"},
                                }
                            ],
                        },
                    }
                ],
            }
        ],
    }
    answer = {
        "messaging_product": "whatsapp",
        "contacts": [{"input": "5547911112222", "wa_id": "5547911112222"}],
        "messages": [{"id": "wamid.B"}],
    }
    outcome = read([execution(body=body, Send=node(answer, start=5_000, took=300))])
    assert [(message.text, message.instance) for message in outcome.messages] == [("oi", "1050")]
    (reply,) = outcome.replies
    assert (reply.id, reply.phone, reply.instance, reply.at) == (
        "wamid.B",
        "5547911112222",
        "1050",
        STARTED_MS + 5_300,
    )


def test_webhooks_of_chatwoot_are_read_too() -> None:
    incoming = {
        "event": "message_created",
        "id": 7,
        "content": "oi",
        "message_type": "incoming",
        "created_at": "2025-03-01T12:15:20.123Z",
        "private": False,
        "conversation": {"id": 42, "meta": {"sender": {"phone_number": "+5547911112222"}}},
        "inbox": {"id": 5, "name": "WhatsApp"},
    }
    outgoing = {
        **incoming,
        "id": 8,
        "message_type": "outgoing",
        "content": "olá",
        "sender": {"name": "Carla", "type": "user"},
    }
    only = {"Send": node({"ok": True}), "Edit Fields": node({"ok": True})}
    rows = [execution(number, body=body) for number, body in enumerate((incoming, outgoing), 1)]
    for row in rows:
        row["data"]["resultData"]["runData"] |= only
    outcome = read(rows)
    assert [(message.text, message.phone, message.at) for message in outcome.messages] == [
        ("oi", "+5547911112222", STARTED_MS)
    ]
    assert [(reply.text, reply.who) for reply in outcome.replies] == [("olá", "human")]
    assert not outcome.omitted


def test_items_of_the_webhook_node_are_read() -> None:
    for content in ([item(webhook())], [{"json": item(webhook())}], item(webhook())):
        outcome = read(content)
        assert [message.text for message in outcome.messages] == ["oi"]
        assert outcome.messages[0].at == utc_ms("2025-03-01T12:15:20.700Z")
        assert detected(json.dumps(content))[0] == "n8n"


def test_executions_that_no_webhook_began_are_counted() -> None:
    rows = [
        execution(1, mode="retry"),
        execution(2, mode="integration"),
        execution(3, body={"order": 5}, Send=node({"ok": True})),
        {key: value for key, value in execution(4).items() if key != "data"},
        execution(5, mode="manual"),
    ]
    outcome = read(rows)
    assert len(outcome.messages) == 1
    assert outcome.omitted == {NOT_BEGUN: 2, NO_WEBHOOK: 1, NO_DATA: 1}


def test_a_dump_says_which_executions_were_tried_again() -> None:
    """pg_dump writes the data of executions before the table with their modes."""
    outcome = read(_copy([execution(1), execution(2, mode="retry")]))
    assert len(outcome.messages) == 1
    assert outcome.omitted == {NOT_BEGUN: 1}


def test_a_flatted_value_with_circles_and_places_that_do_not_exist_is_read() -> None:
    assert unflatted([["1", "2"], {"one": 1, "me": "1"}, "text"])[1] == "text"
    circle = unflatted([["1"], {"me": "1", "no": "77", "word": "x"}])[0]
    assert circle["me"] is circle
    assert circle["no"] is None
    assert circle["word"] is None
    assert unflatted([]) is None


def test_a_cut_file_gives_what_is_whole() -> None:
    content = json.dumps(ROWS)
    outcome = read(content[: len(content) - 400])
    assert [message.id for message in outcome.messages] == ["A1"]
    assert sum(outcome.omitted.values()) == 1
