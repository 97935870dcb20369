"""Webhooks of the Evolution API become messages: every kind, every shape seen in practice, and random JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from queue_core.channels.base import Inbound, InvalidWebhookError
from queue_core.channels.evolution.example import example_webhook
from queue_core.channels.evolution.parser import parse_evolution
from tests.queue_core.channels.anything import LIMIT, PHONE, json_values, likely, only, storable


def evolution(content: Any, *, key: dict[str, Any] | None = None, **item: Any) -> dict[str, Any]:
    """Returns the example webhook with another content; `key` and `item` replace parts of its key and its data."""
    webhook = example_webhook("3EB0", "", phone=PHONE, instance="shop", unix_s=1_767_225_600, name="Sara")
    webhook["data"] |= {"message": content, **item}
    webhook["data"]["key"] |= key or {}
    return webhook | {"apikey": "secret"}


def parsed(payload: Any, **options: Any) -> Inbound:
    return parse_evolution(payload, **{"media_bytes_max": LIMIT, **options})


KINDS: dict[str, tuple[Any, str, str]] = {
    "conversation": ({"conversation": "مرحبا"}, "text", "مرحبا"),
    "extended text": ({"extendedTextMessage": {"text": "see http://x"}}, "text", "see http://x"),
    "image with caption": ({"imageMessage": {"caption": "this one?"}}, "image", "this one?"),
    "image": ({"imageMessage": {"mimetype": "image/jpeg"}}, "image", "[image]"),
    "video": ({"videoMessage": {}}, "video", "[video]"),
    "round video": ({"ptvMessage": {}}, "video", "[video]"),
    "voice": ({"audioMessage": {"ptt": True, "seconds": 12}}, "audio", "[voice message, 12 s]"),
    "audio": ({"audioMessage": {"seconds": "61"}}, "audio", "[audio, 61 s]"),
    "document": ({"documentMessage": {"fileName": "a b.pdf"}}, "document", "[document: a b.pdf]"),
    "sticker": ({"stickerMessage": {}}, "sticker", "[sticker]"),
    "location": (
        {
            "locationMessage": {
                "degreesLatitude": 24.7,
                "degreesLongitude": 46.6,
                "name": "Shop",
                "address": "Riyadh",
            }
        },
        "location",
        "[location: Shop, Riyadh (24.7,46.6)]",
    ),
    "live location": (
        {"liveLocationMessage": {"degreesLatitude": 1, "degreesLongitude": 2}},
        "location",
        "[location: (1,2)]",
    ),
    "contact": ({"contactMessage": {"displayName": "Omar"}}, "contacts", "[contact: Omar]"),
    "contacts": (
        {"contactsArrayMessage": {"contacts": [{"displayName": "Omar"}, {"displayName": "Ali"}, 3]}},
        "contacts",
        "[contacts: Omar, Ali]",
    ),
    "reaction": ({"reactionMessage": {"text": "👍", "key": {"id": "x"}}}, "reaction", "[reaction: 👍]"),
    "deleted": (
        {"protocolMessage": {"type": "REVOKE", "key": {"id": "x"}}},
        "protocol",
        "[deleted a message]",
    ),
    "deleted, by number": ({"protocolMessage": {"type": 0}}, "protocol", "[deleted a message]"),
    "edited": (
        {"protocolMessage": {"type": "MESSAGE_EDIT", "editedMessage": {"conversation": "two"}}},
        "protocol",
        "[edited] two",
    ),
    "edited, wrapped": ({"editedMessage": {"message": {"conversation": "two"}}}, "text", "two"),
    "button": ({"buttonsResponseMessage": {"selectedDisplayText": "Yes"}}, "button", "Yes"),
    "template button": ({"templateButtonReplyMessage": {"selectedId": "yes"}}, "button", "yes"),
    "list": ({"listResponseMessage": {"singleSelectReply": {"selectedRowId": "3"}}}, "list", "3"),
    "interactive": ({"interactiveResponseMessage": {"body": {"text": "Pay"}}}, "interactive", "Pay"),
    "poll": ({"pollCreationMessageV3": {"name": "When?"}}, "poll", "[poll: When?]"),
    "order": ({"orderMessage": {"itemCount": 2}}, "order", "[order]"),
    "disappearing": ({"ephemeralMessage": {"message": {"conversation": "gone soon"}}}, "text", "gone soon"),
    "seen once": ({"viewOnceMessageV2": {"message": {"imageMessage": {}}}}, "image", "[image]"),
    "document with caption": (
        {"documentWithCaptionMessage": {"message": {"documentMessage": {"caption": "the bill"}}}},
        "document",
        "the bill",
    ),
    "of a kind to come": ({"hologramMessage": {}}, "unsupported", "[unsupported message: hologram]"),
    "not decrypted": (None, "unsupported", "[unsupported message]"),
    "with context only": ({"messageContextInfo": {}}, "unsupported", "[unsupported message]"),
}


@pytest.mark.parametrize("name", KINDS)
def test_kinds(name: str) -> None:
    content, kind, text = KINDS[name]
    message = only(parsed(evolution(content)))
    assert (message.message_data["kind"], message.message) == (kind, text)
    assert (message.instance_name, message.user_phone, message.id) == ("shop", PHONE, "3EB0")
    assert message.timestamp == 1_767_225_600_000
    assert (message.message_data["channel"], message.message_data["name"]) == ("evolution", "Sara")
    assert message.message_data["webhook"]["message"] == content
    assert "secret" not in json.dumps(message.message_data)


@pytest.mark.parametrize(
    ("key", "phone", "reply_to"),
    [
        ({"remoteJid": f"{PHONE}:12@s.whatsapp.net"}, PHONE, None),
        ({"remoteJid": f"{PHONE}@c.us"}, PHONE, None),
        (
            {"remoteJid": "11690@lid", "remoteJidAlt": f"{PHONE}@s.whatsapp.net", "addressingMode": "lid"},
            PHONE,
            None,
        ),
        ({"remoteJid": "11690@lid", "senderPn": f"{PHONE}@s.whatsapp.net"}, PHONE, None),
        ({"remoteJid": f"{PHONE}@s.whatsapp.net", "remoteJidAlt": "11690@lid"}, PHONE, None),
        ({"remoteJid": "11690@lid"}, "11690@lid", "11690@lid"),
    ],
)
def test_the_user_of_a_message(key: dict[str, Any], phone: str, reply_to: str | None) -> None:
    """One user, by phone or by linked id, is one conversation."""
    message = only(parsed(evolution({"conversation": "x"}, key=key)))
    assert (message.user_phone, message.message_data.get("reply_to")) == (phone, reply_to)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ({"fromMe": True}, "own"),
        ({"remoteJid": "123-456@g.us"}, "group"),
        ({"remoteJid": "status@broadcast"}, "status"),
        ({"remoteJid": "123@newsletter"}, "newsletter"),
    ],
)
def test_what_is_not_for_the_bot_is_counted(key: dict[str, Any], reason: str) -> None:
    assert parsed(evolution({"conversation": "x"}, key=key)) == Inbound(skipped={reason: 1})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"reactionMessage": {"text": ""}}, "reaction removed"),
        ({"protocolMessage": {"type": "EPHEMERAL_SETTING"}}, "protocol"),
        ({"senderKeyDistributionMessage": {}}, "protocol"),
    ],
)
def test_what_no_user_wrote_is_counted(content: Any, reason: str) -> None:
    assert parsed(evolution(content)) == Inbound(skipped={reason: 1})


@pytest.mark.parametrize("event", ["messages.upsert", "MESSAGES_UPSERT", "messages-upsert"])
def test_the_event_however_it_is_written(event: str) -> None:
    assert only(parsed(evolution({"conversation": "x"}) | {"event": event})).id == "3EB0"
    assert only(parsed(evolution({"conversation": "x"}) | {"event": None}, event=event)).id == "3EB0"


@pytest.mark.parametrize(
    ("event", "reason"),
    [("messages.update", "receipt"), ("connection.update", "event"), ("presence.update", "event")],
)
def test_other_events_are_counted(event: str, reason: str) -> None:
    assert parsed({"event": event, "instance": "shop", "data": []}) == Inbound(skipped={reason: 1})


def test_several_messages_in_one_webhook() -> None:
    first, second = evolution({"conversation": "1"})["data"], evolution({"conversation": "2"})["data"]
    sent_by_bot = evolution({"conversation": "3"}, key={"fromMe": True})["data"]
    for data in ([first, sent_by_bot, second], {"messages": [first, sent_by_bot, second], "type": "notify"}):
        inbound = parsed(evolution({}) | {"data": data})
        assert [message.message for message in inbound.messages] == ["1", "2"]
        assert inbound.skipped == {"own": 1}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1767225600", 1_767_225_600_000),
        ({"low": 1_767_225_600, "high": 0, "unsigned": True}, 1_767_225_600_000),
        (1_767_225_600.0, 1_767_225_600_000),
        (1_767_225_600_123, 1_767_225_600_123),
        (None, 0),
        ("soon", 0),
        (-5, 0),
        (True, 0),
        (10**30, 0),
        ("9" * 500, 0),
    ],
)
def test_times_however_they_are_written(value: Any, expected: int) -> None:
    assert only(parsed(evolution({"conversation": "x"}, messageTimestamp=value))).timestamp == expected


def test_a_quoted_message_is_kept() -> None:
    context = {"stanzaId": "Q1", "quotedMessage": {"imageMessage": {"caption": "this?"}}}
    inside = only(parsed(evolution({"extendedTextMessage": {"text": "yes", "contextInfo": context}})))
    beside = only(parsed(evolution({"conversation": "yes"}, contextInfo=context)))
    assert inside.message_data["quoted"] == beside.message_data["quoted"] == {"id": "Q1", "text": "this?"}


def test_an_empty_id_counts_as_missing() -> None:
    for message_id in ("", None, 5):
        assert only(parsed(evolution({"conversation": "x"}, key={"id": message_id}))).id == ""


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        "text",
        {},
        {"event": "messages.upsert"},
        {"event": "messages.upsert", "instance": "shop"},
        {"event": "messages.upsert", "instance": "shop", "data": []},
        {"event": "messages.upsert", "instance": "shop", "data": {"key": {}}},
        {"event": "messages.upsert", "instance": " ", "data": {"key": {"remoteJid": "1@c.us"}}},
        {"event": 7, "instance": "shop"},
    ],
)
def test_what_can_never_be_a_message(payload: Any) -> None:
    with pytest.raises(InvalidWebhookError):
        parsed(payload)


@given(likely | json_values)
def test_anything_is_taken(data: Any) -> None:
    for payload in (data, {"event": "messages.upsert", "instance": "shop", "data": data}, evolution(data)):
        try:
            storable(parsed(payload))
        except InvalidWebhookError:
            continue
