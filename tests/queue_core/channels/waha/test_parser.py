"""Webhooks of WAHA become messages, whatever its engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from queue_core.channels.base import Inbound, InvalidWebhookError
from queue_core.channels.waha.parser import parse_waha
from tests.queue_core.channels.anything import LIMIT, PHONE, only
from tests.queue_core.channels.kinds_web import WAHA, WEB, WEB_SKIPPED
from tests.queue_core.channels.shapes import waha, waha_gows, waha_noweb


def parsed(payload: Any) -> Inbound:
    return parse_waha(payload, media_bytes_max=LIMIT)


@pytest.mark.parametrize("name", WAHA)
def test_each_kind_is_read_by_the_fields_of_waha(name: str) -> None:
    payload, kind, words = WAHA[name]
    message = only(parsed(waha(**payload)))
    data = message.message_data
    assert (data["kind"], message.message) == (kind, words)
    assert (message.instance_name, message.user_phone, message.id) == ("shop", PHONE, "3EB0")
    assert (data["channel"], data["name"], data["reply_to"]) == ("waha", "Sara", f"{PHONE}@c.us")
    assert "_data" not in data["webhook"], "the engine's message repeats what is there"


@pytest.mark.parametrize("make", [waha_noweb, waha_gows])
@pytest.mark.parametrize("name", WEB)
def test_each_kind_is_read_by_the_message_of_the_engine(
    name: str, make: Callable[[Any], dict[str, Any]]
) -> None:
    content, kind, words = WEB[name]
    message = only(parsed(make(content)))
    assert (message.message_data["kind"], message.message, message.message_data["name"]) == (
        kind,
        words,
        "Sara",
    )


def test_media_has_the_address_that_waha_gives_it() -> None:
    data = {"message": {"imageMessage": {"mimetype": "image/png"}}}
    message = only(parsed(waha(media={"url": "http://w/1.png", "mimetype": "image/x"}, _data=data)))
    assert message.message_data["media"] == {"url": "http://w/1.png", "mimetype": "image/png"}


@pytest.mark.parametrize("make", [waha_noweb, waha_gows])
@pytest.mark.parametrize("name", [name for name, (content, _) in WEB_SKIPPED.items() if content])
def test_what_no_user_wrote_is_counted(name: str, make: Callable[[Any], dict[str, Any]]) -> None:
    content, reason = WEB_SKIPPED[name]
    assert parsed(make(content)) == Inbound(skipped={reason: 1})


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"fromMe": True}, "own"),
        ({"from": "1-2@g.us"}, "group"),
        ({"from": "status@broadcast"}, "status"),
        ({"id": "false_1@newsletter_AB", "from": ""}, "newsletter"),
        ({"body": "", "_data": {"type": "e2e_notification"}}, "system"),
        ({"body": "", "_data": {"type": "ciphertext"}}, "undecrypted"),
        ({"body": "", "_data": {"type": "call_log"}}, "call"),
        ({"body": ""}, "empty"),
        ({"body": None, "_data": {"messageStubType": 2}}, "undecrypted"),
        ({"body": None, "_data": {"message": None}}, "undecrypted"),
    ],
)
def test_what_is_not_for_the_bot_is_counted(payload: dict[str, Any], reason: str) -> None:
    inbound = parsed(waha(**{"body": "x", **payload}))
    assert (inbound.messages, inbound.unreadable, inbound.skipped) == ((), (), {reason: 1})
    expected = [("shop", "3EB0", "966500000001")] if reason == "own" else []
    assert [(own.instance_name, own.message_id, own.user_phone) for own in inbound.own_messages] == expected


@pytest.mark.parametrize(
    ("payload", "phone", "reply_to"),
    [
        ({"from": "77@lid"}, "77@lid", "77@lid"),
        (
            {"from": "77@lid", "_data": {"key": {"remoteJidAlt": f"{PHONE}@s.whatsapp.net"}}},
            PHONE,
            f"{PHONE}@c.us",
        ),
        (
            {"from": "77@lid", "_data": {"Info": {"SenderAlt": f"{PHONE}@s.whatsapp.net"}}},
            PHONE,
            f"{PHONE}@c.us",
        ),
    ],
)
def test_the_user_of_a_message_is_found(payload: dict[str, Any], phone: str, reply_to: str) -> None:
    message = only(parsed(waha(body="x", **payload)))
    assert (message.user_phone, message.message_data["reply_to"]) == (phone, reply_to)


@pytest.mark.parametrize(
    ("event", "payload", "words", "facts"),
    [
        (
            "message.reaction",
            {"reaction": {"text": "👍", "messageId": f"true_{PHONE}@c.us_M1"}},
            "[reaction: 👍]",
            {"reaction": {"emoji": "👍", "id": "M1"}},
        ),
        (
            "message.edited",
            {"body": "at five", "editedMessageId": "M1"},
            "[edited] at five",
            {"change": {"what": "edit", "id": "M1", "text": "at five", "kind": "text"}},
        ),
        (
            "message.edited",
            {
                "body": "two",
                "editedMessageId": "M1",
                "_data": {
                    "message": {
                        "protocolMessage": {
                            "key": {"id": "M1"},
                            "type": 14,
                            "editedMessage": {"imageMessage": {"caption": "two"}},
                        }
                    }
                },
            },
            "[edited] [image] two",
            {"change": {"what": "edit", "id": "M1", "text": "[image] two", "kind": "image"}},
        ),
        (
            "message.edited",
            {
                "body": "two",
                "editedMessageId": "M1",
                "_data": {"Info": {"Edit": "1"}, "Message": {"imageMessage": {"caption": "two"}}},
            },
            "[edited] [image] two",
            {"change": {"what": "edit", "id": "M1", "text": "[image] two", "kind": "image"}},
        ),
        (
            "message.edited",
            {"body": "two", "editedMessageId": "M1", "_data": {"messageStubType": 2}},
            "[edited] two",
            {"change": {"what": "edit", "id": "M1", "text": "two", "kind": "text"}},
        ),
        (
            "message.revoked",
            {"after": {"id": f"false_{PHONE}@c.us_M2", "from": f"{PHONE}@c.us"}, "revokedMessageId": "M1"},
            "[deleted a message]",
            {"change": {"what": "deletion", "id": "M1"}},
        ),
        (
            "message.revoked",
            {
                "after": None,
                "before": {"id": f"false_{PHONE}@c.us_M1", "from": f"{PHONE}@c.us", "body": "my pin"},
            },
            "[deleted a message]",
            {"change": {"what": "deletion", "id": "M1"}},
        ),
        (
            "poll.vote",
            {
                "poll": {"id": f"true_{PHONE}@c.us_P1"},
                "vote": {
                    "id": f"false_{PHONE}@c.us_V1",
                    "from": f"{PHONE}@c.us",
                    "selectedOptions": ["Mon", "Tue"],
                },
            },
            "[voted in a poll: Mon, Tue]",
            {"vote": {"options": ["Mon", "Tue"], "id": "P1"}},
        ),
        (
            "poll.vote.failed",
            {
                "poll": {"id": f"true_{PHONE}@c.us_P1"},
                "vote": {"id": f"false_{PHONE}@c.us_V1", "from": f"{PHONE}@c.us", "selectedOptions": None},
            },
            "[voted in a poll]",
            {"vote": {"id": "P1"}},
        ),
        (
            "message.edited",
            {"body": "at five", "editedMessageId": f"false_{PHONE}@c.us_M1"},
            "[edited] at five",
            {"change": {"what": "edit", "id": "M1", "text": "at five", "kind": "text"}},
        ),
        (
            "message",
            {"body": "yes", "replyTo": {"id": f"true_{PHONE}@c.us_Q1", "body": ""}},
            "yes",
            {"quoted": {"id": "Q1", "text": ""}},
        ),
        (
            "poll.vote.failed",
            {"vote": {"id": f"false_{PHONE}@c.us_V1", "from": f"{PHONE}@c.us", "selectedOptions": []}},
            "[voted in a poll]",
            {},
        ),
        ("event.response", {"eventResponse": {"response": "GOING"}}, "[answered an invitation: going]", {}),
        (
            "event.response",
            {"eventResponse": {"response": "GOING", "extraGuestCount": 2}},
            "[answered an invitation: going, plus 2]",
            {},
        ),
        ("event.response.failed", {"eventResponse": None}, "[answered an invitation]", {}),
    ],
)
def test_an_event_that_brings_a_message_is_read(
    event: str, payload: dict[str, Any], words: str, facts: dict[str, Any]
) -> None:
    message = only(parsed(waha(**payload) | {"event": event}))
    assert (message.user_phone, message.message) == (PHONE, words)
    assert {name: message.message_data[name] for name in facts} == facts
    assert "my pin" not in str(message), "what was deleted is not kept"


@pytest.mark.parametrize(
    ("event", "payload", "skipped"),
    [
        ("message.reaction", {"reaction": {"text": ""}}, {"reaction removed": 1}),
        ("message.waiting", {}, {"undecrypted": 1}),
        ("message.ack", {"ack": 3, "ackName": "READ"}, {"receipt": 1}),
        ("poll.vote", {"vote": {"from": f"{PHONE}@c.us", "selectedOptions": []}}, {"vote removed": 1}),
    ],
)
def test_an_event_that_brings_no_message_is_counted(
    event: str, payload: dict[str, Any], skipped: dict[str, int]
) -> None:
    assert parsed(waha(**payload) | {"event": event}) == Inbound(skipped=skipped)


def test_other_events_are_counted_by_name() -> None:
    payload = {"event": "session.status", "session": "shop", "payload": {}}
    assert parsed(payload) == Inbound(skipped={"event": 1}, events={"session.status": 1})


@pytest.mark.parametrize("status", [{"ack": -1}, {"ackName": "ERROR"}])
@pytest.mark.parametrize("to", [f"{PHONE}@c.us", "15550000000@c.us", None])
def test_a_reply_that_failed_later_is_a_failure(status: dict[str, Any], to: str | None) -> None:
    """Some engines name the bot's own number in `to`; the chat stands in the id."""
    body = {"id": f"true_{PHONE}@c.us_R1", "to": to, "fromMe": True, **status}
    inbound = parsed({"event": "message.ack", "session": "shop", "payload": body})
    (failure,) = inbound.failures
    assert (failure.instance_name, failure.message_id, failure.user_phone) == ("shop", "R1", PHONE)


@pytest.mark.parametrize("body", [None, 7, {"body": "x"}])
def test_a_message_that_cannot_be_read_is_kept(body: Any) -> None:
    (item,) = parsed({"event": "message", "session": "shop", "payload": body}).unreadable
    assert item.message.message_data["webhook"] == body


@pytest.mark.parametrize("chat", ["777@lid", f"{PHONE}:12@s.whatsapp.net"])
def test_a_message_that_cannot_be_read_is_kept_under_its_user(chat: str) -> None:
    body = {"id": f"false_{chat}_3EB0", "from": chat, "_data": {"message": {"conversation": "x"}}}
    webhook = {"event": "message", "session": "shop", "payload": body}
    readable = only(parsed(webhook))
    damaged = body | {"_data": {"message": {"conversation": 5}}}
    (item,) = parsed(webhook | {"payload": damaged}).unreadable
    assert item.message.user_phone == readable.user_phone


@pytest.mark.parametrize("payload", [None, [], {}, {"event": 7}, {"event": "message", "payload": {}}])
def test_what_is_not_a_webhook_is_refused(payload: Any) -> None:
    with pytest.raises(InvalidWebhookError):
        parsed(payload)
