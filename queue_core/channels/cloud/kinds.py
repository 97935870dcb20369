"""Kinds of messages of the WhatsApp Cloud API, in one table: their words for the AI, and their structure.

Kinds and fields: developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from queue_core.channels import content as contents
from queue_core.channels.base import InvalidWebhookError, SkippedError
from queue_core.channels.cloud.identity import CHANGES
from queue_core.channels.content import Content
from queue_core.channels.phrases import Phrases
from queue_core.channels.values import Object, at, filled, json_object, label, mapping, name, objects, text
from queue_core.channels.vcard import read_vcard

Reader = Callable[[Phrases, Object], Content]
"""Function that reads messages of one kind, given the phrases and the message."""
DEPTH_MAX = 4
"""Limit on nesting when a product is searched for."""
_SAYS_NOTHING = (131051, 501)
"""Error codes for "unknown type of message", now and in older versions."""
_CALL_ANSWERS = {"accept": "accepted", "reject": "rejected"}


def _text(_: Phrases, message: Object) -> Content:
    body = at(message, "text", "body")
    if not isinstance(body, str):
        raise InvalidWebhookError("a text message without text.body")
    return Content(kind="text", text=body)


def _media(kind: str) -> Reader:
    def read(phrases: Phrases, message: Object) -> Content:
        part = mapping(message.get(text(message.get("type"))))
        facts = filled(
            id=text(part.get("id")),
            mimetype=name(part.get("mime_type")),
            filename=name(part.get("filename")),
            sha256=text(part.get("sha256")),
            url=text(part.get("url")),
        )
        is_voice = kind == "audio" and (part.get("voice") is True or message.get("type") == "voice")
        return contents.media(
            phrases, kind, caption=text(part.get("caption")), is_voice=is_voice, facts=facts
        )

    return read


def _location(phrases: Phrases, message: Object) -> Content:
    return contents.location(phrases, mapping(message.get("location")))


def _contacts(phrases: Phrases, message: Object) -> Content:
    return contents.contacts(phrases, [_card(card) for card in objects(message.get("contacts"))])


def _card(card: Object) -> dict[str, Any]:
    """Read a contact. If a user shared a number on request, a vCard replaces most fields."""
    known = filled(
        name=_name_of(card),
        phones=_several(card.get("phones"), "phone", "wa_id"),
        emails=_several(card.get("emails"), "email"),
        organisation=name(at(card, "org", "company")),
    )
    return {**read_vcard(text(card.get("vcard"))), **known}


def _name_of(card: Object) -> str:
    parts = mapping(card.get("name"))
    return name(parts.get("formatted_name")) or contents.joined(
        name(parts.get("first_name")), name(parts.get("last_name"))
    )


def _several(entries: Any, *fields: str) -> list[str]:
    values = [
        next((name(entry[field]) for field in fields if entry.get(field)), "") for entry in objects(entries)
    ]
    return [value for value in values if value]


def _button(phrases: Phrases, message: Object) -> Content:
    part = mapping(message.get("button"))
    return contents.choice(
        phrases, "button", title=text(part.get("text")), chosen_id=text(part.get("payload"))
    )


def _interactive(phrases: Phrases, message: Object) -> Content:
    """Describe an interactive message: what the user chose, filled in or asks about."""
    part = mapping(message.get("interactive"))
    for kind, read in _INTERACTIVE.items():
        if isinstance(part.get(kind), dict):
            return read(phrases, part[kind])
    if retailer_id := _product_in(part):
        facts = filled(id=retailer_id, catalog=text(at(part, "action", "catalog_id")))
        return contents.product(phrases, facts, note=text(at(part, "body", "text")))
    words = text(at(part, "body", "text"))
    if words or (part and not part.get("type")):
        return contents.choice(phrases, "interactive", title=words)
    kind = name(part.get("type")) or "interactive"
    return contents.unsupported(phrases, kind, unknown=kind, part=part.get(kind))


def _reply(kind: str) -> Reader:
    return lambda phrases, part: contents.choice(
        phrases,
        kind,
        title=text(part.get("title")),
        chosen_id=text(part.get("id")),
        description=text(part.get("description")),
    )


def _flow(phrases: Phrases, part: Object) -> Content:
    """Describe a filled-in flow. Other forms have a text of their own in their body."""
    body, fields = text(part.get("body")), json_object(part.get("response_json"))
    if not fields and not contents.is_default_body(body):
        return contents.choice(phrases, "interactive", title=body)
    return contents.form(phrases, name(part.get("name")), fields, body=body)


def _call_permission(phrases: Phrases, part: Object) -> Content:
    answer = name(part.get("response"))
    word = phrases.word(_CALL_ANSWERS[answer]) if answer in _CALL_ANSWERS else answer
    content = contents.placeholder(phrases, "interactive", "call permission", word)
    return contents.with_notes(content, [], {"choice": filled(id=answer)})


_INTERACTIVE: Mapping[str, Reader] = {
    "button_reply": _reply("interactive"),
    "list_reply": _reply("interactive"),
    "nfm_reply": _flow,
    "call_permission_reply": _call_permission,
}
"""Kinds inside an interactive message."""


def _product_in(part: Any, depth: int = 0) -> str:
    if not isinstance(part, dict) or depth > DEPTH_MAX:
        return ""
    retailer_id = label(part.get("product_retailer_id"))
    return retailer_id or next(
        (inner for value in part.values() if (inner := _product_in(value, depth + 1))), ""
    )


def _reaction(phrases: Phrases, message: Object) -> Content:
    part = mapping(message.get("reaction"))
    emoji = name(part.get("emoji"))
    if not emoji:
        raise SkippedError("reaction removed")
    return contents.reaction(phrases, emoji, text(part.get("message_id")))


def _order(phrases: Phrases, message: Object) -> Content:
    part = mapping(message.get("order"))
    items = [
        filled(
            id=label(item.get("product_retailer_id")),
            quantity=label(item.get("quantity")),
            price=label(item.get("item_price")),
            currency=name(item.get("currency")),
        )
        for item in objects(part.get("product_items"))
    ]
    return contents.order(phrases, items, note=text(part.get("text")))


def _edit(phrases: Phrases, message: Object) -> Content:
    target = text(at(message, "edit", "original_message_id"))
    new = at(message, "edit", "message")
    if not isinstance(new, dict) or new.get("type") == "edit":
        return contents.edit(phrases, target, None)
    return contents.edit(phrases, target, read_kind(phrases, new))


def _deletion(phrases: Phrases, message: Object) -> Content:
    return contents.deletion(phrases, text(at(message, "revoke", "original_message_id")))


def _opened(phrases: Phrases, _: Object) -> Content:
    return contents.placeholder(phrases, "request_welcome", "opened")


def _system(_: Phrases, message: Object) -> Content:
    """Raise SkippedError, since no user wrote a system text: it says that a number, an id or a key changed."""
    raise SkippedError(CHANGES.get(text(at(message, "system", "type")), "system"))


KINDS: Mapping[str, Reader] = {
    "text": _text,
    "image": _media("image"),
    "video": _media("video"),
    "audio": _media("audio"),
    "voice": _media("audio"),
    "document": _media("document"),
    "sticker": _media("sticker"),
    "location": _location,
    "contacts": _contacts,
    "button": _button,
    "interactive": _interactive,
    "reaction": _reaction,
    "order": _order,
    "edit": _edit,
    "revoke": _deletion,
    "system": _system,
    "request_welcome": _opened,
}
"""Kinds of messages, by Meta's names."""


def read_kind(phrases: Phrases, message: Object) -> Content:
    """Return the content of a message. Raises SkippedError for a message that no user wrote."""
    kind = name(message.get("type"))
    if reader := KINDS.get(kind):
        return reader(phrases, message)
    if kind in ("unsupported", "unknown", ""):
        error = next(iter(objects(message.get("errors"))), {})
        known = name(at(message, "unsupported", "type"))
        return contents.unsupported(phrases, known if known not in ("", "unknown") else _described(error))
    return contents.unsupported(phrases, kind, unknown=kind, part=message.get(kind))


def _described(error: Object) -> str:
    """Return the words of an error, "" if it only says "unknown", as for all kinds that Meta does not pass on."""
    return "" if error.get("code") in _SAYS_NOTHING else name(error.get("title"))
