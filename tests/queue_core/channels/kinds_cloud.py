"""One example of every kind of message of the Cloud API, with what the AI reads in English."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from tests.queue_core.channels.kinds_web import VCARD


class CloudExample(NamedTuple):
    """Type and content of a message, what stands beside them, our name of its kind, and the words for the AI."""

    type: str
    content: Any
    kind: str
    words: str
    beside: Mapping[str, Any] = MappingProxyType({})


def interactive(kind: str, content: Any) -> dict[str, Any]:
    """Return the content of an interactive message."""
    return {"type": kind, kind: content}


CLOUD: dict[str, CloudExample] = {
    "a text": CloudExample("text", {"body": "مرحبا"}, "text", "مرحبا"),
    "a text in answer to another": CloudExample(
        "text", {"body": "yes"}, "text", "yes", {"context": {"id": "wamid.0", "from": "1555"}}
    ),
    "a text about a product": CloudExample(
        "text",
        {"body": "in blue?"},
        "text",
        "[about the product: SHOE-42]\nin blue?",
        {
            "context": {
                "id": "wamid.0",
                "referred_product": {"catalog_id": "1", "product_retailer_id": "SHOE-42"},
            }
        },
    ),
    "a text after an ad": CloudExample(
        "text",
        {"body": "Hello!"},
        "text",
        "[from an ad: Two rooms by the sea; From 450 a night]\nHello!",
        {
            "referral": {
                "source_type": "ad",
                "source_id": "77",
                "headline": "Two rooms by the sea",
                "body": "From 450 a night",
            }
        },
    ),
    "a text after a post": CloudExample(
        "text",
        {"body": "Hello!"},
        "text",
        "[from a post: Open again]\nHello!",
        {"referral": {"source_type": "post", "headline": "Open again"}},
    ),
    "a photo": CloudExample("image", {"id": "1", "mime_type": "image/jpeg"}, "image", "[image]"),
    "a photo with a caption": CloudExample(
        "image", {"id": "1", "caption": "this?"}, "image", "[image] this?"
    ),
    "a voice message": CloudExample("audio", {"id": "1", "voice": True}, "audio", "[voice message]"),
    "a sound file": CloudExample("audio", {"id": "1", "voice": False}, "audio", "[audio]"),
    "a video": CloudExample("video", {"id": "1", "caption": "the leak"}, "video", "[video] the leak"),
    "a document": CloudExample("document", {"filename": "a.pdf"}, "document", "[document: a.pdf]"),
    "a sticker": CloudExample("sticker", {"animated": True}, "sticker", "[sticker]"),
    "a location": CloudExample(
        "location",
        {"latitude": 1.5, "longitude": 2, "name": "Shop", "address": "Riyadh"},
        "location",
        "[location: Shop, Riyadh (1.5,2)]",
    ),
    "a contact": CloudExample(
        "contacts",
        [
            {
                "name": {"formatted_name": "Omar"},
                "phones": [{"phone": "+966 51 234 5678", "wa_id": "966512345678"}],
            }
        ],
        "contacts",
        "[contact: Omar, +966 51 234 5678]",
    ),
    "the own number, on request": CloudExample(
        "contacts",
        [{"vcard": VCARD, "phones": [{"phone": "+966 51 234 5678"}]}],
        "contacts",
        "[contact: Omar Haddad, +966 51 234 5678]",
        {"origin": "contact_request/other"},
    ),
    "several contacts": CloudExample(
        "contacts",
        [{"name": {"first_name": "Omar", "last_name": "H."}}, {"emails": [{"email": "a@b.example"}]}],
        "contacts",
        "[contacts: Omar H.; a@b.example]",
    ),
    "a button of a template": CloudExample("button", {"text": "Yes", "payload": "y"}, "button", "Yes"),
    "a button": CloudExample(
        "interactive", interactive("button_reply", {"id": "b1", "title": "Yes"}), "interactive", "Yes"
    ),
    "a row of a list": CloudExample(
        "interactive",
        interactive("list_reply", {"id": "r3", "title": "Sea view", "description": "two beds"}),
        "interactive",
        "Sea view (two beds)",
    ),
    "a form": CloudExample(
        "interactive",
        interactive(
            "nfm_reply",
            {
                "name": "flow",
                "body": "Sent",
                "response_json": '{"flow_token": "t", "day": "Monday", "guests": 4}',
            },
        ),
        "interactive",
        "[form: day: Monday; guests: 4]",
    ),
    "a form that cannot be read": CloudExample(
        "interactive",
        interactive("nfm_reply", {"name": "flow", "body": "Sent", "response_json": '{"day": '}),
        "interactive",
        "[form]",
    ),
    "a form with a photo": CloudExample(
        "interactive",
        interactive(
            "nfm_reply",
            {
                "response_json": '{"photo": [{"file_name": "a.jpg", "sha256": "x", "id": 7}], "note": "scratched"}'
            },
        ),
        "interactive",
        "[form: photo: a.jpg; note: scratched]",
    ),
    "an address": CloudExample(
        "interactive",
        interactive(
            "nfm_reply",
            {
                "name": "address_message",
                "body": "Omar\nRiyadh",
                "response_json": '{"values": {"name": "Omar", "city": "Riyadh"}}',
            },
        ),
        "interactive",
        "[form: values.name: Omar; values.city: Riyadh] Omar\nRiyadh",
    ),
    "a permission to call": CloudExample(
        "interactive",
        interactive("call_permission_reply", {"response": "accept"}),
        "interactive",
        "[permission to call: accepted]",
    ),
    "a product": CloudExample(
        "interactive",
        {"type": "product", "body": {"text": "this?"}, "action": {"product_retailer_id": "SHOE-42"}},
        "product",
        "[product: SHOE-42] this?",
    ),
    "a reaction": CloudExample(
        "reaction", {"message_id": "wamid.0", "emoji": "😮"}, "reaction", "[reaction: 😮]"
    ),
    "an order": CloudExample(
        "order",
        {
            "text": "by noon",
            "product_items": [
                {"product_retailer_id": "SHOE-42", "quantity": 2, "item_price": 30, "currency": "USD"},
                {"product_retailer_id": "SOCKS", "quantity": 1, "item_price": 4.5, "currency": "USD"},
            ],
        },
        "order",
        "[order: 2 x SHOE-42 (30 USD); 1 x SOCKS (4.5 USD)] by noon",
    ),
    "an edit": CloudExample(
        "edit",
        {"original_message_id": "wamid.0", "message": {"type": "text", "text": {"body": "at five"}}},
        "edit",
        "[edited] at five",
    ),
    "an edit of a caption": CloudExample(
        "edit",
        {"original_message_id": "wamid.0", "message": {"type": "image", "image": {"caption": "two"}}},
        "edit",
        "[edited] [image] two",
    ),
    "a deletion": CloudExample(
        "revoke", {"original_message_id": "wamid.0"}, "deletion", "[deleted a message]"
    ),
    "the first opening of the chat": CloudExample(
        "request_welcome", {}, "request_welcome", "[opened the chat]"
    ),
    "a kind that Meta does not pass on": CloudExample(
        "unsupported", {"type": "poll"}, "unsupported", "[unsupported message: poll]"
    ),
    "a message that Meta cannot get": CloudExample(
        "unsupported",
        None,
        "unsupported",
        "[unsupported message: This message is unavailable]",
        {"errors": [{"code": 131060, "title": "This message is unavailable"}]},
    ),
    "a kind that Meta does not name": CloudExample(
        "unknown",
        None,
        "unsupported",
        "[unsupported message]",
        {"errors": [{"code": 501, "title": "Unknown message type"}]},
    ),
    "an unknown kind": CloudExample(
        "hologram", {"id": "1"}, "unsupported", "[unsupported message: hologram]"
    ),
    "an unknown kind with a caption": CloudExample(
        "hologram", {"caption": "turn it"}, "unsupported", "[unsupported message: hologram] turn it"
    ),
}
"""Messages of the Cloud API."""

CLOUD_SKIPPED: dict[str, tuple[dict[str, Any], str]] = {
    "a text without words": ({"type": "text", "text": {"body": ""}, "context": {"id": "wamid.0"}}, "empty"),
    "a removed reaction": ({"type": "reaction", "reaction": {"message_id": "wamid.0"}}, "reaction removed"),
    "a new phone number": (
        {"type": "system", "system": {"type": "user_changed_number", "wa_id": "966500000002"}},
        "user changed number",
    ),
    "a new BSUID": (
        {"type": "system", "system": {"type": "user_changed_user_id", "user_id": "SA.2"}},
        "user changed user id",
    ),
    "a new key": ({"type": "system", "system": {"type": "customer_identity_changed"}}, "system"),
    "a message in a group": ({"type": "text", "text": {"body": "x"}, "group_id": "Z3JvdXA="}, "group"),
    "a message of the business itself": (
        {"type": "text", "text": {"body": "x"}, "from": "15550000000", "to": "966500000001"},
        "own",
    ),
}
"""Messages that no user wrote to the bot: a message, and the reason under which it is counted."""
