"""Messages of Chatwoot: the API's JSON, webhooks, the table in CSV and in a dump."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sim.importers.formats.chatwoot import (
    ACTIVITY,
    FAILED,
    NO_TIME,
    OTHER_ROW,
    PRIVATE,
    SURVEY,
    ChatwootMessages,
)
from sim.importers.importing import Import
from sim.importers.taking import ImportOptions
from tests.sim.importers.exports.reading import Outcome, detected, imported, utc_ms

SECONDS = 1740831320
CONTACT = {"id": 7, "name": "Rita", "phone_number": "+5547911112222", "type": "contact"}
AGENT = {"id": 3, "name": "Carla", "available_name": "Carla", "type": "user"}
BOT = {"id": 2, "name": "Assistente", "type": "agent_bot"}


def message(number: int, kind: int, content: str | None, sender: Any = None, **fields: Any) -> dict[str, Any]:
    return {
        "id": 100 + number,
        "content": content,
        "inbox_id": 5,
        "conversation_id": 42,
        "message_type": kind,
        "content_type": "text",
        "status": "sent",
        "content_attributes": {},
        "created_at": SECONDS + number,
        "private": False,
        "source_id": f"wamid.{number}",
        "sender": sender,
        **fields,
    }


MESSAGES = [
    message(1, 0, "oi", CONTACT),
    message(2, 2, "Conversation was marked open by Carla", source_id=None),
    message(3, 1, "olá! já verifico", BOT),
    message(4, 0, None, CONTACT, attachments=[{"id": 1, "file_type": "audio", "data_url": "https://x"}]),
    message(5, 1, "só entre nós", AGENT, private=True),
    message(6, 1, "aqui é a Carla", AGENT),
    message(7, 3, "Como foi o atendimento?", None, source_id=None, content_type="input_csat"),
    message(8, 1, "não saiu", AGENT, status="failed"),
    message(9, 0, "This message was deleted", CONTACT, content_attributes={"deleted": True}),
]
API = {"meta": {"labels": [], "contact": CONTACT, "assignee": AGENT}, "payload": MESSAGES}


def read(value: Any, **given: Any) -> Outcome:
    return imported(ChatwootMessages(), value if isinstance(value, str) else json.dumps(value), **given)


def test_messages_of_the_api_are_read() -> None:
    outcome = read(API)
    assert [(each.text, each.kind, each.id) for each in outcome.messages] == [
        ("oi", "text", "wamid.1"),
        ("", "audio", "wamid.4"),
        ("", "deleted", "wamid.9"),
    ]
    assert {each.phone for each in outcome.messages} == {"+5547911112222"}
    assert [(each.text, each.who) for each in outcome.replies] == [
        ("olá! já verifico", "bot"),
        ("aqui é a Carla", "human"),
    ]
    assert {each.phone for each in outcome.replies} == {"+5547911112222"}
    assert outcome.omitted == {ACTIVITY: 1, PRIVATE: 1, FAILED: 1, SURVEY: 1}
    assert outcome.messages[0].at == (SECONDS + 1) * 1000
    assert outcome.precisions == {"s"}
    assert {each.instance for each in outcome.messages} == {"5"}


def test_a_name_of_the_bot_that_does_not_occur_is_named_with_those_that_do() -> None:
    (note,) = read(API, bots=frozenset({"Carlos", "CARLA"})).notes
    assert note == '--bot "Carlos": wrote no reply here; replies were written by "Assistente", "Carla".'
    assert read(API, bots=frozenset({"carla"})).notes == []


def test_a_name_of_the_bot_may_occur_in_one_file_of_an_import_only(tmp_path: Path) -> None:
    for name, number, sender in (("1.json", 1, AGENT), ("2.json", 3, BOT)):
        messages = [message(number, 0, "oi", CONTACT), message(number + 1, 1, "bom dia", sender)]
        tmp_path.joinpath(name).write_text(json.dumps(messages), "utf-8")
    work = Import([tmp_path], ImportOptions(bots=frozenset({"Assistente", "nobody"})))
    assert len(list(work.events())) == 4
    note = '--bot "nobody": wrote no reply here; replies were written by "Carla", "Assistente".'
    assert [list(file.notes) for file in work.summary.files] == [[], [note]]


def test_the_user_says_under_which_name_the_bot_writes() -> None:
    """Bots that send through the API write with the access token of a person."""
    outcome = read(API, bots=frozenset({"carla"}))
    assert [each.who for each in outcome.replies] == ["bot", "bot"]


def test_conversations_of_the_api_are_read() -> None:
    conversations = {
        "data": {
            "meta": {"all_count": 1},
            "payload": [{"id": 42, "meta": {"sender": CONTACT}, "messages": MESSAGES[:3]}],
        }
    }
    outcome = read(conversations)
    assert [(each.text, each.phone) for each in outcome.messages] == [("oi", "+5547911112222")]
    assert len(outcome.replies) == 1


def test_webhooks_of_chatwoot_are_read() -> None:
    webhook = {
        "event": "message_created",
        "id": 101,
        "content": "oi",
        "message_type": "incoming",
        "created_at": "2025-03-01T12:15:20.123Z",
        "private": False,
        "sender": {"id": 7, "name": "Rita", "phone_number": "+5547911112222"},
        "inbox": {"id": 5, "name": "WhatsApp"},
        "conversation": {"id": 42, "meta": {"sender": {"phone_number": "+5547911112222"}}},
    }
    updated = {**webhook, "event": "message_updated"}
    content = json.dumps(webhook) + "\n" + json.dumps(updated) + "\n"
    outcome = read(content)
    assert [(each.text, each.instance, each.at) for each in outcome.messages] == [
        ("oi", "WhatsApp", utc_ms("2025-03-01T12:15:20.123Z"))
    ]
    assert outcome.omitted == {OTHER_ROW: 1}
    assert detected(content)[0] == "chatwoot"


CSV = """\
id,content,account_id,inbox_id,conversation_id,message_type,created_at,updated_at,private,status,source_id,content_type,content_attributes,sender_type,sender_id
101,"oi, tudo bem?",1,5,42,0,2025-03-01 12:15:21.123456,2025-03-01 12:15:22,f,0,wamid.1,0,{},Contact,7
102,"linha um
linha dois",1,5,42,1,2025-03-01 12:15:25.5,2025-03-01 12:15:26,f,0,,0,{},AgentBot,2
103,nota,1,5,42,1,2025-03-01 12:15:27,2025-03-01 12:15:27,t,0,,0,{},User,3
104,da Carla,1,5,42,1,2025-03-01 12:15:29.25,2025-03-01 12:15:29,f,0,,0,{},User,3
105,da API,1,5,42,1,2025-03-01 12:15:31.25,2025-03-01 12:15:31,f,0,,0,{},,
106,não saiu,1,5,42,1,2025-03-01 12:15:33,2025-03-01 12:15:33,f,3,,0,{},User,3
107,sem hora,1,5,42,0,,,f,0,,0,{},Contact,7
"""


def test_the_table_in_csv_is_read() -> None:
    outcome = read(CSV)
    assert [(each.text, each.phone) for each in outcome.messages] == [("oi, tudo bem?", "42")]
    assert [(each.text, each.who) for each in outcome.replies] == [
        ("linha um\nlinha dois", "bot"),
        ("da Carla", "human"),
        ("da API", ""),
    ]
    assert outcome.messages[0].at == utc_ms("2025-03-01T12:15:21.123Z")
    assert "ms" in outcome.precisions
    assert outcome.omitted == {PRIVATE: 1, FAILED: 1, NO_TIME: 1}


def test_a_dump_names_users_and_inboxes() -> None:
    dump = (
        "--\n-- PostgreSQL database dump\n--\n"
        "COPY public.contacts (id, name, phone_number, identifier) FROM stdin;\n7\tRita\t+5547911112222\t\\N\n\\.\n"
        "COPY public.conversations (id, account_id, contact_id, display_id) FROM stdin;\n42\t1\t7\t9\n\\.\n"
        "COPY public.inboxes (id, name) FROM stdin;\n5\tWhatsApp\n\\.\n"
        "COPY public.messages (id, content, conversation_id, inbox_id, message_type, private, created_at, sender_type) FROM stdin;\n"
        "101\toi\\nde novo\t42\t5\t0\tf\t2025-03-01 12:15:21.123456\tContact\n"
        "102\tolá\t42\t5\t1\tf\t2025-03-01 12:15:25\tUser\n\\.\n"
    )
    outcome = read(dump)
    assert [(each.text, each.phone, each.instance) for each in outcome.messages] == [
        ("oi\nde novo", "+5547911112222", "WhatsApp")
    ]
    assert [(each.phone, each.who) for each in outcome.replies] == [("+5547911112222", "human")]
    assert outcome.omitted == {OTHER_ROW: 3}
    assert detected(dump)[0] == "chatwoot"


@pytest.mark.parametrize("content", [json.dumps(API), json.dumps(MESSAGES), CSV])
def test_each_form_is_recognised(content: str) -> None:
    assert detected(content)[0] == "chatwoot"
