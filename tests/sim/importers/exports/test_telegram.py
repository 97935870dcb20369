"""Telegram's exports in JSON."""

from __future__ import annotations

import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from queue_core.recording.format import Edit
from sim.importers.base import ImportFailedError
from sim.importers.formats.telegram import (
    NO_TIME,
    NOBODY,
    NOT_WITH_USERS,
    OWN_NOTES,
    SERVICE,
    TelegramExports,
)
from tests.sim.importers.exports.reading import Outcome, detected, imported, utc_ms

SECONDS = 1740831320
RITA, SHOP, HELPER = ("Rita", "user77"), ("Loja", "user1"), ("Helper Bot", "user9")


def written(number: int, author: tuple[str, str], text: Any, **fields: Any) -> dict[str, Any]:
    return {
        "id": number,
        "type": "message",
        "date": "2025-03-01T09:15:20",
        "date_unixtime": str(SECONDS + number),
        "from": author[0],
        "from_id": author[1],
        "text": text,
        "text_entities": [],
        **fields,
    }


SERVICE_MESSAGE = {"id": 99, "type": "service", "date": "2025-03-01T09:15:20", "date_unixtime": str(SECONDS), "actor": "Rita", "actor_id": "user77", "action": "phone_call", "text": "", "text_entities": []}  # fmt: skip
MESSAGES = [
    SERVICE_MESSAGE,
    written(1, RITA, "oi"),
    written(
        2,
        RITA,
        ["veja ", {"type": "link", "text": "https://x.example"}, " e ", {"type": "bold", "text": "isto"}],
    ),
    written(3, RITA, "", photo="(File not included.)", width=1, height=1),
    written(4, RITA, "", media_type="voice_message", file="(File not included.)", mime_type="audio/ogg"),
    written(5, SHOP, "já vejo"),
    written(6, RITA, "corrigido", edited="2025-03-01T09:16:00", edited_unixtime=str(SECONDS + 40)),
]


def chat(messages: list[dict[str, Any]] | None = None, **fields: Any) -> dict[str, Any]:
    return {
        "name": "Rita",
        "type": "personal_chat",
        "id": 77,
        "messages": MESSAGES if messages is None else messages,
    } | fields


def read(value: Any, **given: Any) -> Outcome:
    return imported(
        TelegramExports(), value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), **given
    )


def test_a_single_chat_is_read() -> None:
    outcome = read(chat())
    assert [(message.text, message.kind) for message in outcome.messages] == [
        ("oi", "text"),
        ("veja https://x.example e isto", "text"),
        ("", "image"),
        ("", "audio"),
        ("corrigido", "text"),
    ]
    assert {message.phone for message in outcome.messages} == {"user77"}
    assert [message.at for message in outcome.messages][:2] == [(SECONDS + 1) * 1000, (SECONDS + 2) * 1000]
    assert [(reply.text, reply.who, reply.phone) for reply in outcome.replies] == [
        ("já vejo", "bot", "user77")
    ]
    assert outcome.omitted == {SERVICE: 1}
    assert outcome.precisions == {"s"}
    assert len({message.id for message in outcome.messages}) == 5


def test_an_edit_is_an_event_at_its_own_time() -> None:
    (edit,) = read(chat()).others(Edit)
    assert (edit.at, edit.id, edit.text) == ((SECONDS + 40) * 1000, "77/6", "corrigido")


def test_the_owner_of_the_account_is_the_bot_unless_another_is_named() -> None:
    assert any('"Loja"' in note and "--bot" in note for note in read(chat()).notes)
    turned = read(chat(), bots=frozenset({"rita"}))
    assert [message.text for message in turned.messages] == ["já vejo"]
    by_id = read(chat(), bots=frozenset({"user1"}))
    assert len(by_id.messages) == 5


def test_the_replies_of_a_chat_with_a_bot_are_by_that_bot() -> None:
    messages = [written(1, SHOP, "/start"), written(2, HELPER, "welcome")]
    outcome = read(chat(messages, type="bot_chat", name="Helper Bot", id=9))
    assert [message.text for message in outcome.messages] == ["/start"]
    assert [reply.text for reply in outcome.replies] == ["welcome"]


def test_in_a_group_the_bot_must_be_named() -> None:
    group = chat(
        [written(1, RITA, "oi"), written(2, ("Ana", "user78"), "olá"), written(3, HELPER, "bem-vindas")],
        type="private_supergroup",
        name="Clientes",
        id=500,
    )
    with pytest.raises(ImportFailedError, match=r'--bot NAME.*"Rita" \(1\)'):
        read(group)
    with pytest.raises(ImportFailedError, match="no author in this export has the name"):
        read(group, bots=frozenset({"nobody"}))
    outcome = read(group, bots=frozenset({"Helper Bot"}))
    assert [message.phone for message in outcome.messages] == ["user77", "user78"]
    assert [reply.phone for reply in outcome.replies] == ["user78"]
    early = chat(
        [written(3, HELPER, "bem-vindas"), written(4, RITA, "oi")],
        type="private_supergroup",
        name="Clientes",
        id=500,
    )
    assert read(early, bots=frozenset({"Helper Bot"})).omitted == {NOBODY: 1}


def test_a_full_export_is_read() -> None:
    everything = {
        "about": "Here is the data you requested.",
        "personal_information": {"user_id": 1, "first_name": "Loja"},
        "contacts": {"about": "x", "list": [{"user_id": 77}]},
        "chats": {
            "about": "x",
            "list": [
                chat(),
                chat(
                    [written(1, ("Ana", "user78"), "bom dia"), written(2, SHOP, "bom dia!")],
                    name="Ana",
                    id=78,
                ),
                {"type": "saved_messages", "id": 1, "messages": [written(1, SHOP, "nota")]},
            ],
        },
        "left_chats": {"about": "x", "list": []},
    }
    outcome = read(everything)
    assert {message.phone for message in outcome.messages} == {"user77", "user78"}
    assert [reply.phone for reply in outcome.replies] == ["user77", "user78"]
    assert outcome.omitted == {SERVICE: 1, OWN_NOTES: 1}
    assert detected(json.dumps(everything))[0] == "telegram"


def test_old_exports_have_local_times_only() -> None:
    messages = [
        {key: value for key, value in written(1, author, "oi").items() if key != "date_unixtime"}
        for author in (RITA, SHOP)
    ]
    outcome = read(chat(messages), zone=ZoneInfo("America/Sao_Paulo"))
    assert outcome.messages[0].at == utc_ms("2025-03-01T12:15:20Z")
    without = read(chat(messages))
    assert without.messages[0].at == utc_ms("2025-03-01T09:15:20Z")
    assert any("--zone" in note for note in without.notes)


def test_a_message_without_a_time_is_counted() -> None:
    messages = [*MESSAGES, {**written(7, RITA, "x"), "date": "", "date_unixtime": ""}]
    assert read(chat(messages)).omitted == {SERVICE: 1, NO_TIME: 1}


def test_a_cut_file_gives_what_is_whole() -> None:
    content = json.dumps(chat())
    outcome = read(content[: len(content) - 60])
    assert len(outcome.messages) == 4
    assert sum(outcome.omitted.values()) == 2


def test_a_chat_is_recognised() -> None:
    assert detected(json.dumps(chat(), indent=1))[0] == "telegram"


def test_in_an_export_of_an_account_only_personal_chats_are_with_users() -> None:
    """A chat with somebody else's bot does not make that bot the author of the replies."""
    group = chat([written(1, RITA, "festa?")], type="private_group", name="Festas", id=500)
    helper = chat(
        [written(1, SHOP, "/start"), written(2, HELPER, "welcome")], type="bot_chat", name="Helper Bot", id=9
    )
    deleted = chat(
        [written(1, ("", "user80"), "oi") | {"from": None}, written(2, SHOP, "olá")], name=None, id=80
    )
    everything = {
        "personal_information": {"user_id": 1, "first_name": "Loja"},
        "chats": {"about": "x", "list": [helper, group, deleted, chat(MESSAGES[1:3])]},
    }
    outcome = read(everything)
    assert [message.phone for message in outcome.messages] == ["user80", "user77", "user77"]
    assert [reply.text for reply in outcome.replies] == ["olá"]
    assert outcome.omitted == {NOT_WITH_USERS: 3}
    assert any('"Loja", is taken as the bot' in note for note in outcome.notes)
    assert {reply.text for reply in read(everything, bots=frozenset({"Helper Bot"})).replies} == {"welcome"}
