"""Webhooks of the Evolution API become messages: every kind, every event, every shape seen in practice."""

from __future__ import annotations

import json
from typing import Any

import pytest

from queue_core.channels.base import Inbound, InvalidWebhookError
from queue_core.channels.evolution.parser import parse_evolution
from tests.queue_core.channels.anything import LIMIT, PHONE, only
from tests.queue_core.channels.kinds_web import WEB, WEB_SKIPPED
from tests.queue_core.channels.shapes import event, evolution


def parsed(payload: Any, **options: Any) -> Inbound:
    return parse_evolution(payload, **{"media_bytes_max": LIMIT, **options})


@pytest.mark.parametrize("name", WEB)
def test_each_kind_becomes_a_message_with_its_words(name: str) -> None:
    content, kind, words = WEB[name]
    message = only(parsed(evolution(content)))
    data = message.message_data
    assert (data["kind"], message.message) == (kind, words)
    assert (message.instance_name, message.user_phone) == ("shop", PHONE)
    assert message.timestamp == 1_767_225_600_000
    assert (data["channel"], data["name"], data["addresses"]) == ("evolution", "Sara", {"phone": PHONE})
    assert data["webhook"]["message"] == content
    assert "secret-of-the-api" not in json.dumps(data)
    if kind not in ("edit", "deletion"):
        assert (message.id, "change" in data) == ("3EB0", False)


@pytest.mark.parametrize("name", WEB_SKIPPED)
def test_what_no_user_wrote_is_counted(name: str) -> None:
    content, reason = WEB_SKIPPED[name]
    assert parsed(evolution(content)) == Inbound(skipped={reason: 1})


@pytest.mark.parametrize(
    ("content", "facts"),
    [
        (
            {"imageMessage": {"mimetype": "image/png", "fileLength": "52046"}, "mediaUrl": "http://s3/1"},
            {"media": {"mimetype": "image/png", "bytes": 52_046, "url": "http://s3/1"}},
        ),
        (
            WEB["a form"].content,
            {
                "form": {
                    "name": "flow",
                    "fields": {"day": "Monday", "guests": 4, "extras": ["cot", "sea view"]},
                }
            },
        ),
        (WEB["a row of a list"].content, {"choice": {"id": "r3", "title": "Sea view"}}),
        (WEB["a reaction"].content, {"reaction": {"emoji": "👍", "id": "M1"}}),
        (WEB["a poll"].content, {"poll": {"name": "When?", "options": ["Mon", "Tue"]}}),
        (WEB["a contact"].content, {"contacts": [{"name": "Omar", "phones": ["+966 51 234 5678"]}]}),
        (WEB["a voice message that Evolution wrote down"].content, {"transcription": "a table for two"}),
        (WEB["a text in answer to another"].content, {"quoted": {"id": "Q1", "text": "Are you there?"}}),
        (
            WEB["a text after an ad"].content,
            {
                "referral": {
                    "source": "ad",
                    "id": "77",
                    "title": "Two rooms by the sea",
                    "body": "From 450 a night",
                    "click_id": "c1",
                }
            },
        ),
        (WEB["an unknown kind"].content, {"unknown": "hologramMessage"}),
    ],
)
def test_a_message_has_the_facts_of_its_content(content: Any, facts: dict[str, Any]) -> None:
    data = only(parsed(evolution(content))).message_data
    assert {name: data[name] for name in facts} == facts


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("an order", {"id": "O1"}),
        ("a planned call", {"title": "Review", "start_ms": 1_767_290_400_000}),
    ],
)
def test_an_order_and_a_call_have_their_facts(name: str, facts: dict[str, Any]) -> None:
    (part,) = WEB[name].content.values()
    content = {kind: {**part, "orderId": "O1"} for kind in WEB[name].content}
    data = only(parsed(evolution(content))).message_data
    assert facts.items() <= data[data["kind"]].items()


@pytest.mark.parametrize("name", ["~", "-", " . ", "", None, "‼"])
def test_punctuation_is_not_the_name_of_a_user(name: Any) -> None:
    """Programs put punctuation where a user has not chosen a name."""
    assert "name" not in only(parsed(evolution({"conversation": "x"}, pushName=name))).message_data


@pytest.mark.parametrize("name", ["Sara", "سارة", "~ Sara", "🌸", "7"])
def test_the_name_of_a_user_is_kept(name: str) -> None:
    assert only(parsed(evolution({"conversation": "x"}, pushName=name))).message_data["name"] == name


@pytest.mark.parametrize(
    ("key", "phone", "reply_to"),
    [
        ({"remoteJid": f"{PHONE}:12@s.whatsapp.net"}, PHONE, None),
        ({"remoteJid": f"{PHONE}@c.us"}, PHONE, None),
        ({"remoteJid": f"{PHONE}@hosted"}, PHONE, None),
        ({"remoteJid": "11690@lid", "remoteJidAlt": f"{PHONE}@s.whatsapp.net"}, PHONE, None),
        ({"remoteJid": "11690@lid", "senderPn": f"{PHONE}@s.whatsapp.net"}, PHONE, None),
        ({"remoteJid": f"{PHONE}@s.whatsapp.net", "remoteJidAlt": "11690@lid"}, PHONE, None),
        ({"remoteJid": "11690@lid"}, "11690@lid", "11690@lid"),
        ({"remoteJid": "11690:4@lid"}, "11690@lid", "11690@lid"),
        ({"remoteJid": "somebody@interop"}, "somebody@interop", "somebody@interop"),
    ],
)
def test_the_user_of_a_message_is_found(key: dict[str, Any], phone: str, reply_to: str | None) -> None:
    """One user, by phone or by linked id, is one conversation."""
    message = only(parsed(evolution({"conversation": "x"}, key=key)))
    assert (message.user_phone, message.message_data.get("reply_to")) == (phone, reply_to)


def test_both_addresses_of_a_user_are_told() -> None:
    key = {"remoteJid": "11690:4@lid", "remoteJidAlt": f"{PHONE}@s.whatsapp.net"}
    data = only(parsed(evolution({"conversation": "x"}, key=key))).message_data
    assert data["addresses"] == {"phone": PHONE, "lid": "11690@lid"}


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ({"fromMe": True}, "own"),
        ({"remoteJid": "123-456@g.us"}, "group"),
        ({"remoteJid": "status@broadcast"}, "status"),
        ({"remoteJid": "1234@broadcast"}, "broadcast"),
        ({"remoteJid": "123@newsletter"}, "newsletter"),
        ({"remoteJid": "867051314767696@bot"}, "meta ai"),
        ({"remoteJid": "13135550002@s.whatsapp.net"}, "meta ai"),
        ({"remoteJid": "0@s.whatsapp.net"}, "system"),
        ({"remoteJid": "16505361212@c.us"}, "system"),
    ],
)
def test_chats_that_are_never_answered_are_counted(key: dict[str, Any], reason: str) -> None:
    inbound = parsed(evolution({"conversation": "x"}, key=key))
    assert (inbound.messages, inbound.unreadable, inbound.skipped) == ((), (), {reason: 1})
    expected = [("shop", "3EB0", "966500000001")] if reason == "own" else []
    assert [(own.instance_name, own.message_id, own.user_phone) for own in inbound.own_messages] == expected


@pytest.mark.parametrize(
    ("stub", "reason"),
    [
        (2, "undecrypted"),
        ("CIPHERTEXT", "undecrypted"),
        (40, "call"),
        ("CALL_MISSED_VIDEO", "call"),
        (42, "system"),
        ("E2E_IDENTITY_CHANGED", "system"),
        ({}, "undecrypted"),
    ],
)
def test_a_stub_is_not_a_message(stub: Any, reason: str) -> None:
    """The id belongs to the message that follows."""
    assert parsed(evolution(None, messageStubType=stub)) == Inbound(skipped={reason: 1})


def test_a_stub_that_says_deleted_is_a_deletion() -> None:
    message = only(parsed(evolution(None, messageStubType="REVOKE")))
    assert message.message_data["change"] == {"what": "deletion", "id": "3EB0"}
    assert message.id == "3EB0:deleted"


# Edits and deletions.

CHAT = f"{PHONE}@s.whatsapp.net"
OUR_CHAT = "15550000000@s.whatsapp.net"


@pytest.mark.parametrize(
    ("content", "message_id", "change"),
    [
        (
            WEB["an edit"].content,
            "3EB0",
            {"what": "edit", "id": "M1", "text": "at five", "kind": "text"},
        ),
        (
            WEB["an edit that does not say of what"].content,
            "3EB0",
            {"what": "edit", "id": "", "text": "two", "kind": "text"},
        ),
        (WEB["an encrypted edit"].content, "3EB0", {"what": "edit", "id": "M1"}),
        (WEB["a deletion"].content, "M1:deleted", {"what": "deletion", "id": "M1"}),
    ],
)
def test_a_change_names_the_message_and_has_an_id_of_its_own(
    content: Any, message_id: str, change: dict[str, str]
) -> None:
    message = only(parsed(evolution(content)))
    assert (message.id, message.message_data["change"]) == (message_id, change)


def test_the_event_of_an_edit_is_a_message() -> None:
    data = {
        "key": {"remoteJid": CHAT, "fromMe": False, "id": "M1"},
        "type": "MESSAGE_EDIT",
        "editedMessage": {"conversation": "at five"},
        "timestampMs": "1793600009000",
    }
    message = only(parsed(event("messages.edited", data)))
    assert (message.user_phone, message.message, message.id) == (
        PHONE,
        "[edited] at five",
        "M1:edited:1793600009000",
    )
    assert message.timestamp == 1_793_600_009_000
    again = only(parsed(event("messages.edited", data | {"timestampMs": None})))
    other = only(
        parsed(
            event("messages.edited", {**data, "timestampMs": None, "editedMessage": {"conversation": "six"}})
        )
    )
    assert again.id != other.id, "two edits of one message are two messages"


EDITED = {"editedMessage": {"message": {"extendedTextMessage": {"text": "at five"}}}}


def update(*, key: dict[str, Any] | None = None, **data: Any) -> dict[str, Any]:
    """Return the event of an update, as version 2 posts it."""
    return event(
        "messages.update", {"keyId": "M1", "remoteJid": CHAT, "fromMe": False, **(key or {}), **data}
    )


@pytest.mark.parametrize(
    "webhook",
    [
        update(status="SERVER_ACK", message=EDITED),
        update(status="DELETED", message=EDITED),
        event("messages.update", [{"key": {"remoteJid": CHAT, "id": "M1"}, "update": {"message": EDITED}}]),
    ],
)
def test_an_edit_that_comes_as_an_update_is_a_message(webhook: Any) -> None:
    message = only(parsed(webhook))
    assert (message.user_phone, message.message) == (PHONE, "[edited] at five")
    assert message.message_data["change"] == {"what": "edit", "id": "M1", "text": "at five", "kind": "text"}
    assert message.id.startswith("M1:edited:")


def test_a_content_that_comes_later_has_the_id_of_its_message() -> None:
    message = only(parsed(update(status="SERVER_ACK", message={"conversation": "hello"})))
    assert (message.id, message.message) == ("M1", "hello")


def votes(**voters: list[str]) -> list[dict[str, Any]]:
    return [{"name": name, "voters": who} for name, who in voters.items()]


def test_votes_that_come_as_an_update_are_the_users_although_the_poll_is_ours() -> None:
    first, again, other = (
        only(parsed(update(key={"fromMe": True}, status="SERVER_ACK", pollUpdates=chosen)))
        for chosen in (
            votes(Mon=[CHAT], Tue=[]),
            votes(Mon=[CHAT, OUR_CHAT], Tue=[]),
            votes(Mon=[CHAT], Tue=[CHAT]),
        )
    )
    assert (first.user_phone, first.message) == (PHONE, "[voted in a poll: Mon]")
    assert first.message_data["vote"] == {"options": ["Mon"], "id": "M1"}
    assert other.message == "[voted in a poll: Mon, Tue]"
    assert first.id == again.id != other.id


@pytest.mark.parametrize(
    ("webhook", "reason"),
    [
        (update(key={"fromMe": True}, message=EDITED), "own"),
        (update(key={"remoteJid": "1-2@g.us"}, message=EDITED), "group"),
        (update(key={"fromMe": True}, pollUpdates=votes(Mon=[OUR_CHAT])), "vote removed"),
        (update(pollUpdates=votes(Mon=[])), "vote removed"),
        (update(status="DELETED"), "receipt"),
    ],
)
def test_updates_that_are_not_a_users_are_counted(webhook: Any, reason: str) -> None:
    assert parsed(webhook) == Inbound(skipped={reason: 1})


def test_an_update_that_cannot_be_read_is_kept_and_costs_no_receipt() -> None:
    items = [{"keyId": "M1", "message": 7}, {"keyId": "R1", "remoteJid": CHAT, "status": "ERROR"}]
    inbound = parsed(event("messages.update", items))
    assert len(inbound.unreadable) == len(inbound.failures) == 1
    assert inbound.skipped == {"failed delivery": 1}


def test_a_deletion_told_by_the_message_and_by_the_event_is_one() -> None:
    by_message = only(parsed(evolution(WEB["a deletion"].content)))
    for data in ({"remoteJid": CHAT, "fromMe": False, "id": "M1"}, {"key": {"remoteJid": CHAT, "id": "M1"}}):
        by_event = only(parsed(event("messages.delete", data)))
        assert (by_event.id, by_event.message) == (by_message.id, by_message.message)


@pytest.mark.parametrize(
    ("name", "key", "reason"),
    [
        ("messages.edited", {"remoteJid": OUR_CHAT, "fromMe": True}, "change of an unknown user"),
        ("messages.edited", {"remoteJid": CHAT, "fromMe": True}, "own"),
        ("messages.edited", {"remoteJid": "1-2@g.us", "fromMe": False}, "group"),
        ("messages.delete", {"remoteJid": CHAT, "fromMe": True}, "own"),
        ("messages.delete", {"remoteJid": "1-2@g.us", "fromMe": False}, "group"),
    ],
)
def test_changes_that_are_not_a_users_are_counted(name: str, key: dict[str, Any], reason: str) -> None:
    """Evolution writes a user's edit as if it were ours, in the chat with ourselves."""
    data = {"key": {**key, "id": "M1"}, "type": "MESSAGE_EDIT", "editedMessage": {"conversation": "x"}}
    assert parsed(event(name, data)) == Inbound(skipped={reason: 1})


# Events.


@pytest.mark.parametrize("name", ["messages.upsert", "MESSAGES_UPSERT", "messages-upsert"])
def test_the_name_of_an_event_may_be_written_in_several_ways(name: str) -> None:
    assert only(parsed(evolution({"conversation": "x"}) | {"event": name})).id == "3EB0"
    assert only(parsed(evolution({"conversation": "x"}) | {"event": None}, event=name)).id == "3EB0"


@pytest.mark.parametrize("name", ["connection.update", "PRESENCE_UPDATE", "an.event.to.come"])
def test_other_events_are_counted_by_name(name: str) -> None:
    expected = name.lower().replace("_", ".")
    assert parsed({"event": name, "data": []}) == Inbound(skipped={"event": 1}, events={expected: 1})


@pytest.mark.parametrize("name", ["messages.update", "messages.delete", "message", "messages.edited"])
def test_an_event_without_items_is_counted(name: str) -> None:
    assert parsed(event(name, [])) == Inbound(skipped={"event": 1}, events={name: 1})


@pytest.mark.parametrize(
    "data",
    [
        {"keyId": "R1", "remoteJid": CHAT, "fromMe": True, "status": "ERROR"},
        {"id": "R1", "remoteJid": CHAT, "fromMe": True, "status": "ERROR", "datetime": 1_793_600_000_000},
        {"key": {"remoteJid": CHAT, "fromMe": True, "id": "R1"}, "update": {"status": 0}},
        [{"key": {"remoteJid": CHAT, "fromMe": True, "id": "R1"}, "status": "ERROR"}],
    ],
)
def test_a_reply_that_failed_later_is_a_failure(data: Any) -> None:
    inbound = parsed(event("messages.update", data))
    (failure,) = inbound.failures
    assert (failure.instance_name, failure.message_id, failure.user_phone) == ("shop", "R1", PHONE)
    assert (inbound.messages, inbound.skipped) == ((), {"failed delivery": 1})


def test_a_failure_has_the_code_of_the_provider() -> None:
    data = {"key": {"id": "R1", "fromMe": True}, "update": {"status": 0, "messageStubParameters": ["463"]}}
    (failure,) = parsed(event("messages.update", data)).failures
    assert failure.code == "463"


@pytest.mark.parametrize(
    "data",
    [
        {"keyId": "R1", "remoteJid": CHAT, "fromMe": True, "status": "DELIVERY_ACK"},
        {"keyId": "R1", "remoteJid": CHAT, "fromMe": False, "status": "DELETED"},
        {"key": {"remoteJid": CHAT, "fromMe": True, "id": "R1"}, "update": {"status": 3}},
        {"keyId": "R1", "status": False},
        None,
    ],
)
def test_receipts_are_counted(data: Any) -> None:
    """An edit brings a receipt with the status DELETED, so that status says nothing."""
    assert parsed(event("messages.update", data)) == Inbound(skipped={"receipt": 1})


# Shapes.


def test_several_messages_in_one_webhook_are_all_read() -> None:
    first, second = evolution({"conversation": "1"})["data"], evolution({"conversation": "2"})["data"]
    sent_by_bot = evolution({"conversation": "3"}, key={"fromMe": True})["data"]
    for data in ([first, sent_by_bot, second], {"messages": [first, sent_by_bot, second], "type": "notify"}):
        inbound = parsed(evolution({}) | {"data": data})
        assert [message.message for message in inbound.messages] == ["1", "2"]
        assert inbound.skipped == {"own": 1}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("not an object", "the content of the message is not an object"),
        (5, "the content of the message is not an object"),
        ({"conversation": {"a": 1}}, "the conversation is not a text"),
        ({"imageMessage": "x"}, "the imageMessage is not an object"),
        ({"extendedTextMessage": {"text": ["x"]}}, "the field `text` of extendedTextMessage is not a text"),
    ],
)
def test_content_of_another_form_is_kept_for_people(content: Any, reason: str) -> None:
    data = evolution({})["data"] | {"message": content}
    (item,) = parsed(evolution({}) | {"data": data}).unreadable
    assert item.reason.endswith(reason)


def test_a_message_that_cannot_be_read_does_not_take_the_others_with_it() -> None:
    good = evolution({"conversation": "1"})["data"]
    bad = [{"key": {"id": "x"}, "message": {"conversation": "who?"}}, 7, {"message": {}}]
    inbound = parsed(evolution({}) | {"data": [bad[0], good, *bad[1:]]})
    assert [message.message for message in inbound.messages] == ["1"]
    assert [item.message.message_data["webhook"] for item in inbound.unreadable] == bad
    assert "its user is unknown" in inbound.unreadable[0].reason
    assert {item.message.instance_name for item in inbound.unreadable} == {"shop"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1767225600", 1_767_225_600_000),
        ({"low": 1_767_225_600, "high": 0, "unsigned": True}, 1_767_225_600_000),
        (1_767_225_600.0, 1_767_225_600_000),
        (1_767_225_600_123, 1_767_225_600_123),
        ("2026-01-01T03:00:00+03:00", 1_767_225_600_000),
        ("2026-01-01T00:00:00.123456789Z", 1_767_225_600_123),
        ("2026-01-01T00:00:00", 1_767_225_600_000),
        ("Tuesday", 0),
        (None, 0),
        ("soon", 0),
        (-5, 0),
        (True, 0),
        (10**30, 0),
        ("9" * 500, 0),
        ({"low": {"low": {}}}, 0),
    ],
)
def test_a_time_is_read_however_it_is_written(value: Any, expected: int) -> None:
    assert only(parsed(evolution({"conversation": "x"}, messageTimestamp=value))).timestamp == expected


def test_a_quoted_message_inside_or_beside_the_content_is_read() -> None:
    context = {"stanzaId": "Q1", "quotedMessage": {"imageMessage": {"caption": "this?"}}}
    inside = only(parsed(evolution({"extendedTextMessage": {"text": "yes", "contextInfo": context}})))
    beside = only(parsed(evolution({"conversation": "yes"}, contextInfo=context)))
    assert inside.message_data["quoted"] == {"id": "Q1", "text": "[image] this?"}
    assert (beside.message_data["quoted"], beside.message) == (inside.message_data["quoted"], inside.message)


def test_a_quoted_message_of_which_only_the_id_is_told_has_no_text() -> None:
    message = only(parsed(evolution({"conversation": "yes", "contextInfo": {"stanzaId": "wamid.0"}})))
    assert (message.message, message.message_data["quoted"]) == ("yes", {"id": "wamid.0", "text": ""})


def test_quotes_of_quotes_are_left_out() -> None:
    content: dict[str, Any] = {"conversation": "0"}
    for number in range(1, 40):
        context = {"stanzaId": str(number), "quotedMessage": content}
        content = {"extendedTextMessage": {"text": str(number), "contextInfo": context}}
    assert only(parsed(evolution(content))).message == "[in answer to: 38]\n39"


def test_an_empty_id_counts_as_missing() -> None:
    for message_id in ("", None, 5):
        assert only(parsed(evolution({"conversation": "x"}, key={"id": message_id}))).id == ""


def test_placeholders_may_be_in_arabic() -> None:
    content = {"audioMessage": {"ptt": True, "seconds": 12}}
    assert only(parsed(evolution(content), language="ar")).message == "[رسالة صوتية، 12 ث]"


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        "text",
        {},
        {"event": "messages.upsert"},
        {"event": "messages.upsert", "instance": "shop", "data": []},
        {"event": "messages.upsert", "instance": " ", "data": {"key": {"remoteJid": "1@c.us"}}},
        {"event": 7, "instance": "shop"},
    ],
)
def test_what_is_not_a_webhook_is_refused(payload: Any) -> None:
    with pytest.raises(InvalidWebhookError):
        parsed(payload)
