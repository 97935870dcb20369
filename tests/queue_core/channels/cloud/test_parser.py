"""Webhooks of the WhatsApp Cloud API become messages: every kind, every user, and what is not a message."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from queue_core.channels.base import Inbound, InvalidWebhookError
from queue_core.channels.cloud.errors import meaning_of
from queue_core.channels.cloud.parser import parse_cloud
from tests.queue_core.channels.anything import LIMIT, PHONE, only
from tests.queue_core.channels.kinds_cloud import CLOUD, CLOUD_SKIPPED
from tests.queue_core.channels.shapes import cloud, cloud_message

BSUID = "SA.9000000000000000017"


def parsed(payload: Any, **options: Any) -> Inbound:
    return parse_cloud(payload, **{"media_bytes_max": LIMIT, **options})


@pytest.mark.parametrize("name", CLOUD)
def test_each_kind_becomes_a_message_with_its_words(name: str) -> None:
    example = CLOUD[name]
    message = only(parsed(cloud(cloud_message(example.type, example.content, **example.beside))))
    data = message.message_data
    assert (data["kind"], message.message) == (example.kind, example.words)
    assert (message.instance_name, message.user_phone, message.id) == ("1001", PHONE, "wamid.1")
    assert message.timestamp == 1_767_225_600_000
    assert data["webhook"]["message"]["type"] == example.type
    assert (data["channel"], data["name"], data["addresses"]) == ("cloud", "Sara", {"phone": PHONE})


@pytest.mark.parametrize("name", CLOUD_SKIPPED)
def test_what_no_user_wrote_to_the_bot_is_counted(name: str) -> None:
    message, reason = CLOUD_SKIPPED[name]
    inbound = parsed(cloud(cloud_message("text", None) | message))
    assert (inbound.messages, inbound.unreadable, inbound.skipped) == ((), (), {reason: 1})
    assert bool(inbound.own_messages) == (reason == "own")


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("a text in answer to another", {"quoted": {"id": "wamid.0", "text": ""}}),
        ("a text about a product", {"product": {"id": "SHOE-42", "catalog": "1"}}),
        ("a form", {"form": {"name": "flow", "fields": {"day": "Monday", "guests": 4}}}),
        ("a row of a list", {"choice": {"id": "r3", "title": "Sea view"}}),
        ("a button of a template", {"choice": {"id": "y", "title": "Yes"}}),
        ("a contact", {"contacts": [{"name": "Omar", "phones": ["+966 51 234 5678"]}]}),
        ("an edit", {"change": {"what": "edit", "id": "wamid.0", "text": "at five", "kind": "text"}}),
        ("a deletion", {"change": {"what": "deletion", "id": "wamid.0"}}),
        ("an unknown kind", {"unknown": "hologram"}),
        ("a photo", {"media": {"id": "1", "mimetype": "image/jpeg"}}),
    ],
)
def test_a_message_has_the_facts_of_its_content(name: str, facts: dict[str, Any]) -> None:
    example = CLOUD[name]
    data = only(parsed(cloud(cloud_message(example.type, example.content, **example.beside)))).message_data
    assert {fact: data[fact] for fact in facts} == facts


def test_an_order_has_its_items() -> None:
    data = only(parsed(cloud(cloud_message("order", CLOUD["an order"].content)))).message_data
    assert data["order"]["items"][0] == {"id": "SHOE-42", "quantity": "2", "price": "30", "currency": "USD"}


def test_receipts_errors_and_other_fields_are_counted() -> None:
    payload = cloud(statuses=[{}, {"status": "delivered"}, 7], errors=[{}])
    payload["entry"][0]["changes"] += [
        {"field": "account_update", "value": {}},
        {"field": "standby", "value": {"messages": [cloud_message("text", {"body": "x"})]}},
        {"field": "smb_message_echoes", "value": {"message_echoes": [{}]}},
    ]
    skipped = {"receipt": 3, "error": 1, "event": 3}
    events = {"account_update": 1, "standby": 1, "smb_message_echoes": 1}
    assert parsed(payload) == Inbound(skipped=skipped, events=events)


@pytest.mark.parametrize(
    ("entry", "events"),
    [
        ([{"messaging": [{"message": {"text": "x"}}]}], {"page": 1}),
        ([7, {"changes": []}, {"changes": {}}], {"page": 3}),
        (
            [{"changes": [{"field": "account_update", "value": None}, {"field": 7}]}],
            {"account_update": 1, "page": 1},
        ),
        ([{"changes": [{"field": "messages", "value": {}}]}], {"messages": 1}),
        ([{"changes": [{"field": "messages", "value": "x"}]}], {"messages": 1}),
        ([{"changes": [{"value": {"messages": []}}]}], {"unnamed": 1}),
    ],
)
def test_what_has_another_form_is_counted(entry: Any, events: dict[str, int]) -> None:
    count = sum(events.values())
    assert parsed({"object": "page", "entry": entry}) == Inbound(skipped={"event": count}, events=events)


@pytest.mark.parametrize("item", ["x", {"type": "text"}])
def test_a_value_in_the_place_of_a_list_is_an_item(item: Any) -> None:
    inbound = parsed(cloud(messages=item, statuses=item, errors=item))
    assert len(inbound.unreadable) == 1
    assert inbound.skipped == {"error": 1, "receipt": 1}


def test_a_reply_that_failed_later_is_a_failure() -> None:
    status = {
        "id": "wamid.R",
        "status": "failed",
        "timestamp": "1793600000",
        "recipient_id": PHONE,
        "errors": [{"code": 131047, "title": "Re-engagement message", "error_data": {"details": "24 hours"}}],
    }
    by_user_id = {key: value for key, value in status.items() if key != "recipient_id"} | {
        "recipient_user_id": BSUID,
        "errors": [],
    }
    inbound = parsed(cloud(statuses=[status, by_user_id, status | {"status": "read"}]))
    first, second = inbound.failures
    assert msgspec.to_builtins(first) == {
        "instance_name": "1001",
        "message_id": "wamid.R",
        "user_phone": PHONE,
        "code": "131047",
        "reason": f"{meaning_of(131047).words}: Re-engagement message: 24 hours",
        "at_ms": 1_793_600_000_000,
    }
    assert (second.user_phone, second.code, second.reason) == (BSUID, "", "")
    assert inbound.skipped == {"failed delivery": 2, "receipt": 1}


# Who wrote.


def text(**message: Any) -> dict[str, Any]:
    """Return a text message with a sender of its own."""
    return {"id": "wamid.1", "type": "text", "text": {"body": "x"}, **message}


@pytest.mark.parametrize(
    ("message", "contact", "user", "addresses"),
    [
        ({"from_user_id": BSUID}, {"user_id": BSUID}, BSUID, {"user_id": BSUID}),
        ({"from": BSUID}, {}, BSUID, {"user_id": BSUID}),
        ({}, {"user_id": BSUID}, BSUID, {"user_id": BSUID}),
        ({"from": PHONE}, {"wa_id": PHONE, "user_id": BSUID}, PHONE, {"phone": PHONE, "user_id": BSUID}),
        ({"from": PHONE, "from_user_id": BSUID}, {}, PHONE, {"phone": PHONE, "user_id": BSUID}),
        (
            {"from_user_id": BSUID},
            {"user_id": BSUID, "wa_id": PHONE},
            PHONE,
            {"phone": PHONE, "user_id": BSUID},
        ),
        ({"from": PHONE}, {"wa_id": "5521999990000"}, PHONE, {"phone": PHONE}),
        (
            {"from_user_id": BSUID, "from_parent_user_id": "SA.ENT.1"},
            {"user_id": BSUID, "profile": {"username": "sami.x"}},
            BSUID,
            {"user_id": BSUID, "parent_user_id": "SA.ENT.1", "username": "sami.x"},
        ),
    ],
)
def test_the_user_of_a_message_is_found(
    message: dict[str, Any], contact: dict[str, Any], user: str, addresses: dict[str, str]
) -> None:
    """The phone number if the webhook tells it, else the id that Meta made for this business."""
    payload = cloud(messages=[text(**message)], contacts=[contact])
    read = only(parsed(payload))
    assert (read.user_phone, read.message_data["addresses"]) == (user, addresses)


def test_a_message_from_the_number_of_the_business_is_an_echo_only_if_it_says_so() -> None:
    """Better to answer an echo, which Meta sends elsewhere, than to drop a user."""
    message = text(**{"from": "15550000000"})
    assert only(parsed(cloud(messages=[message], contacts=[]))).message == "x"
    inbound = parsed(cloud(messages=[message | {"to": PHONE}], contacts=[]))
    assert (inbound.messages, inbound.skipped) == ((), {"own": 1})
    (own,) = inbound.own_messages
    assert (own.instance_name, own.message_id, own.user_phone) == ("1001", "wamid.1", PHONE)


def test_what_the_business_writes_in_the_app_is_its_own() -> None:
    echo = {"from": "15550000000", "to": f"+{PHONE}", "id": "wamid.app", "timestamp": "1793600000"}
    payload = cloud(messages=[], contacts=[])
    change = payload["entry"][0]["changes"][0]
    change |= {"field": "smb_message_echoes"}
    change["value"] |= {"message_echoes": [echo, {"to": PHONE}, 7]}
    inbound = parsed(payload)
    assert (inbound.messages, inbound.unreadable, inbound.skipped) == ((), (), {"event": 1})
    (own,) = inbound.own_messages
    assert (own.instance_name, own.message_id, own.user_phone) == ("1001", "wamid.app", PHONE)
    assert own.at_ms == 1_793_600_000_000


def test_users_with_and_without_a_number_in_one_webhook_are_told_apart() -> None:
    messages = [text(from_user_id=BSUID), text(**{"from": PHONE}, id="wamid.2")]
    inbound = parsed(cloud(messages=messages, contacts=[{"wa_id": PHONE, "profile": {"name": "Sara"}}]))
    assert [message.user_phone for message in inbound.messages] == [BSUID, PHONE]
    assert "name" not in inbound.messages[0].message_data, "the card is of the other user"


def test_a_post_for_several_users_is_a_message_for_each() -> None:
    messages = [
        cloud_message("text", {"body": str(n)}, f"m{n}") | {"from": f"96650{n % 3}"} for n in range(9)
    ]
    inbound = parsed(cloud(*messages))
    assert [(message.user_phone, message.message) for message in inbound.messages] == [
        (f"96650{n % 3}", str(n)) for n in range(9)
    ]
    assert all(len(json.dumps(message.message_data)) < 700 for message in inbound.messages), (
        "a message holds its part of the post only"
    )


# What cannot be read.


@pytest.mark.parametrize(
    "bad",
    [
        cloud_message("text", {"body": "x"}) | {"from": None},
        cloud_message("text", {"body": 7}),
        cloud_message("text", None),
        "text",
        None,
    ],
)
def test_a_message_that_cannot_be_read_does_not_take_the_others_with_it(bad: Any) -> None:
    payload = cloud(messages=[bad, cloud_message("text", {"body": "y"})], contacts=[])
    inbound = parsed(payload)
    assert [message.message for message in inbound.messages] == ["y"]
    (item,) = inbound.unreadable
    assert item.message.message_data["webhook"]["message"] == bad
    assert (item.message.instance_name, item.message.message) == ("1001", "[unreadable message]")


def test_what_is_kept_of_a_message_has_a_limit() -> None:
    bad = cloud_message("text", {"body": "x"}) | {"from": None, "note": "مذكرة " * 20_000}
    (item,) = parsed(cloud(messages=[bad], contacts=[])).unreadable
    assert len(msgspec.json.encode(item.message)) < 20_000
    assert item.message.message_data["webhook"]["omitted"] == "too large"


@pytest.mark.parametrize("payload", [None, [], {}, {"entry": {}}, {"object": "page"}])
def test_what_is_not_a_webhook_is_refused(payload: Any) -> None:
    with pytest.raises(InvalidWebhookError):
        parsed(payload)


def test_placeholders_may_be_in_arabic() -> None:
    assert only(parsed(cloud(cloud_message("image", {})), language="ar")).message == "[صورة]"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"code": 131026}, meaning_of(131026).words),
        ({"code": "131053", "message": "Upload"}, f"{meaning_of(131053).words}: Upload"),
        ({"code": 987_654, "title": "New"}, "New"),
        ({"code": -1}, ""),
        ({"code": [131026], "title": "x"}, "x"),
    ],
)
def test_the_reason_of_a_failed_delivery_says_what_its_code_means(error: dict[str, Any], reason: str) -> None:
    status = {"id": "wamid.R", "status": "failed", "recipient_id": PHONE, "errors": [error]}
    (failure,) = parsed(cloud(statuses=[status])).failures
    assert failure.reason == reason


@pytest.mark.parametrize(
    ("message", "names"),
    [
        (
            {"from": PHONE, "system": {"type": "user_changed_number", "wa_id": "966500000099"}},
            {PHONE: "phone", "966500000099": "phone"},
        ),
        (
            {"from": PHONE, "system": {"type": "customer_changed_number", "new_wa_id": "966500000099"}},
            {PHONE: "phone", "966500000099": "phone"},
        ),
        (
            {
                "from": f"+{PHONE}",
                "from_user_id": "SA.1",
                "system": {"type": "user_changed_number", "wa_id": "966500000099", "user_id": "SA.2"},
            },
            {PHONE: "phone", "SA.1": "user_id", "966500000099": "phone", "SA.2": "user_id"},
        ),
        (
            {"system": {"type": "user_changed_user_id", "previous_user_id": "SA.1", "user_id": "SA.2"}},
            {"SA.1": "user_id", "SA.2": "user_id"},
        ),
        (
            {"system": {"type": "user_changed_user_id", "body": "User Sara B. changed from SA.1 to SA.2"}},
            {"SA.1": "user_id", "SA.2": "user_id"},
        ),
    ],
    ids=["number", "number, older", "number and id", "id", "id, in the text only"],
)
def test_another_number_or_id_of_a_user_is_an_address_change(
    message: dict[str, Any], names: dict[str, str]
) -> None:
    (change,) = parsed(cloud({"from": "", "type": "system", "id": "wamid.1", **message})).address_changes
    assert (change.instance_name, change.event_id, change.names) == ("1001", "wamid.1", names)
    assert list(change.names) == list(names), "the old ones come first"


@pytest.mark.parametrize(
    "message",
    [
        {"from": PHONE, "system": {"type": "user_changed_number"}},
        {"from": PHONE, "system": {"type": "user_changed_number", "wa_id": PHONE}},
        {"system": {"type": "user_changed_user_id", "user_id": "SA.2"}},
        {"from": PHONE, "system": {"type": "customer_identity_changed", "wa_id": "966500000099"}},
        {"from": PHONE, "system": {"type": "user_changed_number", "wa_id": {"a": 1}, "user_id": "nonsense"}},
        {"from": PHONE, "system": None},
    ],
)
def test_a_report_without_an_old_and_a_new_address_changes_nothing(message: dict[str, Any]) -> None:
    assert parsed(cloud({"from": "", "type": "system", "id": "wamid.1", **message})).address_changes == ()
