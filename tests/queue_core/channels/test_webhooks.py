"""Webhooks become messages: every kind, every shape seen in the wild, and anything else without a crash."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_core import InvalidMessageError, QueueMessage
from queue_core.channels.base import Inbound, InvalidWebhookError
from queue_core.channels.cloud.webhook import parse_cloud, signature_is_valid, verify_subscription
from queue_core.channels.evolution.webhook import parse_evolution
from queue_core.message import encode

PHONE = "966500000001"
LIMIT = 64


def evolution(content: Any, *, key: dict[str, Any] | None = None, **item: Any) -> dict[str, Any]:
    named = {"remoteJid": f"{PHONE}@s.whatsapp.net", "fromMe": False, "id": "3EB0", **(key or {})}
    data = {"key": named, "pushName": "Sara", "message": content, "messageTimestamp": 1_767_225_600, **item}
    return {"event": "messages.upsert", "instance": "shop", "data": data, "apikey": "secret"}


def parsed(payload: Any, **options: Any) -> Inbound:
    return parse_evolution(payload, **{"media_bytes_max": LIMIT, **options})


def only(inbound: Inbound) -> QueueMessage:
    assert inbound.skipped == {}
    (message,) = inbound.messages
    return message


EVOLUTION_KINDS: dict[str, tuple[Any, str, str]] = {
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


@pytest.mark.parametrize("name", EVOLUTION_KINDS)
def test_evolution_kinds(name: str) -> None:
    content, kind, text = EVOLUTION_KINDS[name]
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
def test_whose_a_message_is(key: dict[str, Any], phone: str, reply_to: str | None) -> None:
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
    one, two = evolution({"conversation": "1"})["data"], evolution({"conversation": "2"})["data"]
    own = evolution({"conversation": "3"}, key={"fromMe": True})["data"]
    for data in ([one, own, two], {"messages": [one, own, two], "type": "notify"}):
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


def test_an_empty_id_is_no_id() -> None:
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


# The Cloud API.


def cloud(*messages: Any, **value: Any) -> dict[str, Any]:
    content = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "1555", "phone_number_id": "1001"},
        "contacts": [{"profile": {"name": "Sara"}, "wa_id": PHONE}],
        **({"messages": list(messages)} if messages else {}),
        **value,
    }
    return {
        "object": "whatsapp_business_account",
        "entry": [{"changes": [{"field": "messages", "value": content}]}],
    }


def cloud_message(kind: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"from": PHONE, "id": "wamid.1", "timestamp": "1767225600", "type": kind, kind: content, **more}


CLOUD_KINDS: dict[str, tuple[str, Any, str]] = {
    "text": ("text", {"body": "مرحبا"}, "مرحبا"),
    "image": ("image", {"id": "1"}, "[image]"),
    "image with caption": ("image", {"caption": "this?"}, "this?"),
    "voice": ("audio", {"voice": True}, "[voice message]"),
    "audio": ("audio", {"voice": False}, "[audio]"),
    "video": ("video", {}, "[video]"),
    "document": ("document", {"filename": "a.pdf"}, "[document: a.pdf]"),
    "sticker": ("sticker", {"animated": True}, "[sticker]"),
    "location": ("location", {"latitude": 1.5, "longitude": 2}, "[location: (1.5,2)]"),
    "contacts": ("contacts", [{"name": {"formatted_name": "Omar"}}], "[contact: Omar]"),
    "button": ("button", {"text": "Yes", "payload": "y"}, "Yes"),
    "button reply": (
        "interactive",
        {"type": "button_reply", "button_reply": {"id": "1", "title": "Yes"}},
        "Yes",
    ),
    "list reply": ("interactive", {"type": "list_reply", "list_reply": {"id": "1", "title": "Two"}}, "Two"),
    "flow": ("interactive", {"nfm_reply": {"body": "Sent", "response_json": "{}"}}, "Sent"),
    "reaction": ("reaction", {"message_id": "x", "emoji": "😮"}, "[reaction: 😮]"),
    "order": ("order", {"product_items": [{}, {}], "text": "today"}, "[order: 2 items] today"),
    "system": ("system", {"body": "User changed number"}, "[system: User changed number]"),
    "unsupported": ("unsupported", {"type": "poll"}, "[unsupported message: poll]"),
    "of a kind to come": ("hologram", {}, "[unsupported message: hologram]"),
    "broken": ("text", None, ""),
}


@pytest.mark.parametrize("name", CLOUD_KINDS)
def test_cloud_kinds(name: str) -> None:
    kind, content, text = CLOUD_KINDS[name]
    message = only(parse_cloud(cloud(cloud_message(kind, content)), media_bytes_max=LIMIT))
    expected = "unsupported" if kind == "hologram" else kind
    assert (message.message_data["kind"], message.message) == (expected, text)
    assert (message.instance_name, message.user_phone, message.id) == ("1001", PHONE, "wamid.1")
    assert message.timestamp == 1_767_225_600_000
    assert message.message_data["webhook"]["message"]["type"] == kind
    assert (message.message_data["channel"], message.message_data["name"]) == ("cloud", "Sara")


def test_cloud_receipts_errors_and_other_fields_are_counted() -> None:
    payload = cloud(cloud_message("reaction", {"message_id": "x"}), statuses=[{}, {}], errors=[{}])
    payload["entry"][0]["changes"].append({"field": "account_update", "value": {}})
    skipped = {"receipt": 2, "error": 1, "reaction removed": 1, "event": 1}
    assert parse_cloud(payload, media_bytes_max=LIMIT) == Inbound(skipped=skipped)


def test_cloud_one_post_for_several_users() -> None:
    messages = [
        cloud_message("text", {"body": str(n)}, id=f"m{n}") | {"from": f"96650{n % 3}"} for n in range(9)
    ]
    inbound = parse_cloud(cloud(*messages), media_bytes_max=LIMIT)
    assert [(one.user_phone, one.message) for one in inbound.messages] == [
        (f"96650{n % 3}", str(n)) for n in range(9)
    ]
    assert all(len(json.dumps(one.message_data)) < 600 for one in inbound.messages), (
        "each holds its own part only"
    )


def test_cloud_a_reply_names_what_it_answers() -> None:
    message = cloud_message("text", {"body": "yes"}, context={"id": "wamid.0", "from": "1555"})
    assert only(parse_cloud(cloud(message), media_bytes_max=LIMIT)).message_data["quoted"] == {
        "id": "wamid.0",
        "text": "",
    }


def test_cloud_a_message_of_nobody_is_counted_among_others_and_refused_alone() -> None:
    bad = cloud_message("text", {"body": "x"}) | {"from": None}
    inbound = parse_cloud(cloud(bad, cloud_message("text", {"body": "y"})), media_bytes_max=LIMIT)
    assert (len(inbound.messages), inbound.skipped) == (1, {"invalid": 1})
    with pytest.raises(InvalidWebhookError):
        parse_cloud(cloud(bad), media_bytes_max=LIMIT)


def test_signatures() -> None:
    body, secret = b'{"a": "\xd8\xb9"}', "app secret"
    good = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    assert signature_is_valid(body, good, secret)
    assert signature_is_valid(body, good.upper(), secret)
    for bad in (
        None,
        "",
        "sha256=",
        good[:-1],
        good + "0",
        good.removeprefix("sha256="),
        "sha256=سر",
        good.replace("sha256", "sha1"),
    ):
        assert not signature_is_valid(body, bad, secret)
    assert not signature_is_valid(body + b" ", good, secret)
    assert not signature_is_valid(body, good, "other")


def test_subscriptions() -> None:
    asked = {"hub.mode": "subscribe", "hub.verify_token": "token", "hub.challenge": "123"}
    assert verify_subscription(asked, "token") == "123"
    for wrong in ({"hub.verify_token": "سر"}, {"hub.mode": "unsubscribe"}, {"hub.verify_token": ""}):
        assert verify_subscription(asked | wrong, "token") is None
    assert verify_subscription({}, "token") is None


# Anything.

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4)
    ),
    max_leaves=12,
)
_NAMES = sorted(
    [
        "key",
        "remoteJid",
        "remoteJidAlt",
        "fromMe",
        "id",
        "message",
        "conversation",
        "extendedTextMessage",
        "text",
        "imageMessage",
        "caption",
        "reactionMessage",
        "protocolMessage",
        "type",
        "editedMessage",
        "contextInfo",
        "quotedMessage",
        "ephemeralMessage",
        "pushName",
        "messageTimestamp",
        "contactsArrayMessage",
        "contacts",
        "locationMessage",
        "degreesLatitude",
        "audioMessage",
        "seconds",
        "metadata",
        "phone_number_id",
        "messages",
        "from",
        "timestamp",
        "interactive",
        "button_reply",
        "reaction",
        "emoji",
        "order",
        "product_items",
        "location",
        "latitude",
        "name",
        "profile",
        "statuses",
        "errors",
        "context",
        "body",
    ]
)
likely = st.recursive(
    json_values
    | st.sampled_from([f"{PHONE}@s.whatsapp.net", "1@lid", "text", "image", "contacts", "REVOKE"]),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), children, max_size=6)
    ),
    max_leaves=25,
)


def storable(inbound: Inbound) -> None:
    for message in inbound.messages:
        try:
            encode(message, 1_000_000)
        except InvalidMessageError:
            continue


@given(likely | json_values)
def test_evolution_takes_anything(data: Any) -> None:
    for payload in (data, {"event": "messages.upsert", "instance": "shop", "data": data}, evolution(data)):
        try:
            storable(parsed(payload))
        except InvalidWebhookError:
            continue


@given(likely | json_values)
def test_cloud_takes_anything(data: Any) -> None:
    for payload in (data, {"entry": data}, {"entry": [{"changes": [{"value": data}]}]}, cloud(data)):
        try:
            storable(parse_cloud(payload, media_bytes_max=LIMIT))
        except InvalidWebhookError:
            continue
