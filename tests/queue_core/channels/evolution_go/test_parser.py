"""Webhooks of Evolution Go become messages: the kinds of WhatsApp Web in whatsmeow's names."""

from __future__ import annotations

from typing import Any

import pytest

from queue_core.channels.base import Inbound, InvalidWebhookError
from queue_core.channels.evolution.parser import parse_evolution
from queue_core.channels.evolution_go.parser import parse_evolution_go
from tests.queue_core.channels.anything import LIMIT, PHONE, only
from tests.queue_core.channels.kinds_web import WEB, WEB_SKIPPED
from tests.queue_core.channels.shapes import evolution_go

CHAT = f"{PHONE}@s.whatsapp.net"


def parsed(payload: Any) -> Inbound:
    return parse_evolution_go(payload, media_bytes_max=LIMIT)


@pytest.mark.parametrize("name", WEB)
def test_each_kind_becomes_a_message_with_its_words(name: str) -> None:
    content, kind, words = WEB[name]
    message = only(parsed(evolution_go(content)))
    assert (message.message_data["kind"], message.message) == (kind, words)
    assert (message.instance_name, message.user_phone, message.timestamp) == (
        "shop",
        PHONE,
        1_767_225_600_000,
    )
    assert (message.message_data["channel"], message.message_data["name"]) == ("evolution_go", "Sara")


@pytest.mark.parametrize("name", WEB_SKIPPED)
def test_what_no_user_wrote_is_counted(name: str) -> None:
    content, reason = WEB_SKIPPED[name]
    assert parsed(evolution_go(content)) == Inbound(skipped={reason: 1})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            {"buttonsResponseMessage": {"Response": {"SelectedDisplayText": "Yes"}, "selectedButtonID": "y"}},
            "Yes",
        ),
        (
            {
                "interactiveResponseMessage": {
                    "InteractiveResponseMessage": {
                        "NativeFlowResponseMessage": {"name": "flow", "paramsJSON": '{"day": "Monday"}'}
                    }
                }
            },
            "[form: day: Monday]",
        ),
        (
            {"templateMessage": {"Format": {"HydratedFourRowTemplate": {"hydratedContentText": "Hi"}}}},
            "[message with buttons] Hi",
        ),
    ],
)
def test_a_oneof_of_protobuf_is_read_one_level_deeper(content: Any, words: str) -> None:
    assert only(parsed(evolution_go({}, Message=content))).message == words


@pytest.mark.parametrize(
    ("info", "phone", "reply_to"),
    [
        ({"SenderAlt": "1544@lid"}, PHONE, None),
        ({"Chat": "1544@lid", "Sender": "1544:3@lid", "SenderAlt": CHAT}, PHONE, None),
        ({"Chat": "1544@lid", "Sender": "1544:3@lid"}, "1544@lid", "1544@lid"),
    ],
)
def test_the_user_of_a_message_is_found(info: dict[str, Any], phone: str, reply_to: str | None) -> None:
    message = only(parsed(evolution_go({"conversation": "x"}, info=info)))
    assert (message.user_phone, message.message_data.get("reply_to")) == (phone, reply_to)


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        ({"IsFromMe": True}, "own"),
        ({"Chat": "1-2@g.us", "IsGroup": True}, "group"),
        ({"IsGroup": True}, "group"),
        ({"Chat": "status@broadcast"}, "status"),
        ({"Chat": "1@newsletter"}, "newsletter"),
        ({"Chat": "867051314767696@bot"}, "meta ai"),
    ],
)
def test_chats_that_are_never_answered_are_counted(info: dict[str, Any], reason: str) -> None:
    inbound = parsed(evolution_go({"conversation": "x"}, info=info))
    assert (inbound.messages, inbound.unreadable, inbound.skipped) == ((), (), {reason: 1})
    expected = [("shop", "3EB0", "966500000001")] if reason == "own" else []
    assert [(own.instance_name, own.message_id, own.user_phone) for own in inbound.own_messages] == expected


@pytest.mark.parametrize("payload", [{"IsEdit": True}, {"info": {"Edit": "1"}}])
def test_an_edit_that_is_told_beside_the_content_is_an_edit(payload: dict[str, Any]) -> None:
    message = only(parsed(evolution_go({"conversation": "two"}, **payload)))
    change = {"what": "edit", "id": "", "text": "two", "kind": "text"}
    assert (message.message, message.message_data["change"]) == ("[edited] two", change)


def test_a_quoted_message_beside_the_content_is_read() -> None:
    quoted = {"stanzaID": "Q1", "quotedMessage": {"conversation": "which?"}}
    message = only(parsed(evolution_go({"conversation": "this"}, quoted=quoted)))
    assert message.message == "[in answer to: which?]\nthis"
    assert message.message_data["quoted"] == {"id": "Q1", "text": "which?"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Receipt", Inbound(skipped={"receipt": 1})),
        ("SendMessage", Inbound(skipped={"own": 1})),
        ("Presence", Inbound(skipped={"event": 1}, events={"Presence": 1})),
    ],
)
def test_other_events_are_counted(name: str, expected: Inbound) -> None:
    assert parsed({"event": name, "instanceName": "shop", "data": {}}) == expected


def test_its_webhooks_are_known_at_the_address_of_the_evolution_api_too() -> None:
    message = only(parse_evolution(evolution_go({"conversation": "x"}), media_bytes_max=LIMIT))
    assert (message.message, message.message_data["channel"]) == ("x", "evolution_go")


@pytest.mark.parametrize("data", [None, 7, {}, {"Info": []}])
def test_a_message_that_cannot_be_read_is_kept(data: Any) -> None:
    (item,) = parsed({"event": "Message", "instanceName": "shop", "data": data}).unreadable
    assert item.message.message_data["webhook"] == data


@pytest.mark.parametrize("chat", ["777@lid", f"{PHONE}:12@s.whatsapp.net"])
def test_a_message_that_cannot_be_read_is_kept_under_its_user(chat: str) -> None:
    info = {"Chat": chat, "Sender": chat, "ID": "3EB0"}
    webhook = {
        "event": "Message",
        "instanceName": "shop",
        "data": {"Info": info, "Message": {"conversation": "x"}},
    }
    readable = only(parsed(webhook))
    (item,) = parsed(webhook | {"data": {"Info": info, "Message": {"conversation": 5}}}).unreadable
    assert item.message.user_phone == readable.user_phone


@pytest.mark.parametrize("payload", [None, [], {}, {"event": 7}, {"event": "Message", "data": {}}])
def test_what_is_not_a_webhook_is_refused(payload: Any) -> None:
    with pytest.raises(InvalidWebhookError):
        parsed(payload)
