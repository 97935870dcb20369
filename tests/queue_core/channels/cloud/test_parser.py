"""Webhooks of the WhatsApp Cloud API become messages: every kind, every shape, and anything else without a crash."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from queue_core.channels.base import Inbound, InvalidWebhookError
from queue_core.channels.cloud.example import example_message, webhook_of
from queue_core.channels.cloud.parser import parse_cloud
from tests.queue_core.channels.anything import LIMIT, PHONE, json_values, likely, only, storable


def cloud(*messages: Any, **value: Any) -> dict[str, Any]:
    """Returns the example webhook with these messages; `value` replaces keys beside them."""
    webhook = webhook_of(*messages, instance="1001", name="Sara")
    webhook["entry"][0]["changes"][0]["value"] |= value
    return webhook


def message_of(kind: str, content: Any, message_id: str = "wamid.1", **more: Any) -> dict[str, Any]:
    return example_message(message_id, kind, content, phone=PHONE, unix_s=1_767_225_600) | more


def parsed(payload: Any) -> Inbound:
    return parse_cloud(payload, media_bytes_max=LIMIT)


KINDS: dict[str, tuple[str, Any, str]] = {
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


@pytest.mark.parametrize("name", KINDS)
def test_kinds(name: str) -> None:
    kind, content, text = KINDS[name]
    message = only(parsed(cloud(message_of(kind, content))))
    expected = "unsupported" if kind == "hologram" else kind
    assert (message.message_data["kind"], message.message) == (expected, text)
    assert (message.instance_name, message.user_phone, message.id) == ("1001", PHONE, "wamid.1")
    assert message.timestamp == 1_767_225_600_000
    assert message.message_data["webhook"]["message"]["type"] == kind
    assert (message.message_data["channel"], message.message_data["name"]) == ("cloud", "Sara")


def test_receipts_errors_and_other_fields_are_counted() -> None:
    payload = cloud(message_of("reaction", {"message_id": "x"}), statuses=[{}, {}], errors=[{}])
    payload["entry"][0]["changes"].append({"field": "account_update", "value": {}})
    skipped = {"receipt": 2, "error": 1, "reaction removed": 1, "event": 1}
    assert parsed(payload) == Inbound(skipped=skipped)


def test_one_post_for_several_users() -> None:
    messages = [message_of("text", {"body": str(n)}, f"m{n}") | {"from": f"96650{n % 3}"} for n in range(9)]
    inbound = parsed(cloud(*messages))
    assert [(message.user_phone, message.message) for message in inbound.messages] == [
        (f"96650{n % 3}", str(n)) for n in range(9)
    ]
    assert all(len(json.dumps(message.message_data)) < 600 for message in inbound.messages), (
        "a message holds its part of the post only"
    )


def test_a_reply_names_what_it_answers() -> None:
    message = message_of("text", {"body": "yes"}, context={"id": "wamid.0", "from": "1555"})
    assert only(parsed(cloud(message))).message_data["quoted"] == {
        "id": "wamid.0",
        "text": "",
    }


def test_a_message_without_a_user_is_counted_among_others_and_refused_alone() -> None:
    bad = message_of("text", {"body": "x"}) | {"from": None}
    inbound = parsed(cloud(bad, message_of("text", {"body": "y"})))
    assert (len(inbound.messages), inbound.skipped) == (1, {"invalid": 1})
    with pytest.raises(InvalidWebhookError):
        parsed(cloud(bad))


@given(likely | json_values)
def test_anything_is_taken(data: Any) -> None:
    among_others = cloud(message_of("text", {}), messages=[data])
    for payload in (data, {"entry": data}, {"entry": [{"changes": [{"value": data}]}]}, among_others):
        try:
            storable(parsed(payload))
        except InvalidWebhookError:
            continue
