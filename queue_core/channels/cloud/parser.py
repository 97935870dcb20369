"""Webhooks of the WhatsApp Cloud API: up to 1000 updates of several users in one POST."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from queue_core.channels import placeholders
from queue_core.channels.base import Inbound, InvalidWebhookError, SkippedError
from queue_core.channels.media import without_media
from queue_core.message import QueueMessage

_Content = Mapping[str, Any]


def parse_cloud(payload: Any, *, media_bytes_max: int) -> Inbound:
    """Reads the messages of a webhook, in order. Raises InvalidWebhookError for JSON that can never hold any."""
    if not isinstance(payload, dict) or not isinstance(payload.get("entry"), list):
        raise InvalidWebhookError("a webhook of the Cloud API is a JSON object with a list `entry`")
    items: list[tuple[Any, _Content]] = []
    skipped = Counter[str]()
    for field, value in _changes(payload["entry"]):
        if field not in ("", "messages"):
            skipped["event"] += 1
            continue
        skipped["receipt"] += _count(value.get("statuses"))
        skipped["error"] += _count(value.get("errors"))
        messages = value.get("messages")
        items += [(message, value) for message in messages] if isinstance(messages, list) else ()
    return Inbound.of(items, lambda item: _message(item[0], item[1], media_bytes_max), skipped)


def _changes(entries: list[Any]) -> Iterator[tuple[str, _Content]]:
    for entry in entries:
        changes = entry.get("changes") if isinstance(entry, dict) else None
        for change in changes if isinstance(changes, list) else ():
            if isinstance(change, dict) and isinstance(change.get("value"), dict):
                yield placeholders.text(change.get("field")), change["value"]


def _count(value: Any) -> int:
    return len(value) if isinstance(value, list) else 0


def _message(message: Any, value: _Content, media_bytes_max: int) -> QueueMessage:
    metadata = value.get("metadata")
    instance = placeholders.text(metadata.get("phone_number_id")) if isinstance(metadata, dict) else ""
    phone = placeholders.text(message.get("from")) if isinstance(message, dict) else ""
    if not instance.strip() or not phone.strip():
        raise InvalidWebhookError("no message has both metadata.phone_number_id and from")
    kind, text = _kind_and_text(message)
    contact = _contact_of(value, phone)
    data: dict[str, Any] = {
        "channel": "cloud",
        "kind": kind,
        "webhook": without_media(
            {"metadata": metadata, "contact": contact, "message": message}, media_bytes_max
        ),
    }
    profile = contact.get("profile")
    if name := placeholders.name(profile.get("name") if isinstance(profile, dict) else ""):
        data["name"] = name
    context = message.get("context")
    if isinstance(context, dict) and (quoted := placeholders.text(context.get("id"))):
        data["quoted"] = {"id": quoted, "text": ""}
    return QueueMessage(
        id=placeholders.text(message.get("id")),
        instance_name=instance,
        user_phone=phone,
        message=text,
        message_data=data,
        timestamp=placeholders.timestamp_ms(message.get("timestamp")),
    )


def _contact_of(value: _Content, phone: str) -> _Content:
    contacts = value.get("contacts")
    cards = [card for card in contacts if isinstance(card, dict)] if isinstance(contacts, list) else []
    return next((card for card in cards if card.get("wa_id") == phone), cards[0] if len(cards) == 1 else {})


def _kind_and_text(message: _Content) -> tuple[str, str]:
    kind = placeholders.name(message.get("type")) or "unsupported"
    content = message.get(kind)
    if kind == "contacts":
        return kind, _contacts(content)
    text_of = _KINDS.get(kind)
    if text_of is None:
        return "unsupported", placeholders.unsupported(kind if kind != "unsupported" else _real_kind(message))
    return kind, text_of(content if isinstance(content, dict) else {})


def _real_kind(message: _Content) -> str:
    content = message.get("unsupported")
    return placeholders.name(content.get("type")) if isinstance(content, dict) else ""


def _media(kind: str) -> Callable[[_Content], str]:
    return lambda content: placeholders.media(kind, content)


def _reaction(content: _Content) -> str:
    emoji = placeholders.name(content.get("emoji"))
    if not emoji:
        raise SkippedError("reaction removed")
    return placeholders.described("reaction", emoji)


def _interactive(content: _Content) -> str:
    """Returns the choice of a user: a button, an entry of a list, or a filled-in flow."""
    for name in ("button_reply", "list_reply", "nfm_reply", "call_permission_reply"):
        reply = content.get(name)
        if isinstance(reply, dict):
            chosen = reply.get("title") or reply.get("body") or reply.get("name") or reply.get("id")
            return placeholders.text(chosen) or "[chose something]"
    return "[chose something]"


def _contacts(cards: Any) -> str:
    names = []
    for card in cards if isinstance(cards, list) else ():
        name = card.get("name") if isinstance(card, dict) else None
        names.append(placeholders.name(name.get("formatted_name")) if isinstance(name, dict) else "")
    return placeholders.contacts(names)


def _order(content: _Content) -> str:
    items = content.get("product_items")
    counted = f"{_count(items)} items" if _count(items) != 1 else "1 item"
    text = placeholders.text(content.get("text"))
    return f"[order: {counted}]" + (f" {text}" if text else "")


def _system(content: _Content) -> str:
    return placeholders.described("system", placeholders.name(content.get("body")))


# Kinds of messages, and the words for each. Contacts are a list, so they are handled apart.
_KINDS: dict[str, Callable[[_Content], str]] = {
    "text": lambda content: placeholders.text(content.get("body")),
    "image": _media("image"),
    "video": _media("video"),
    "audio": _media("audio"),
    "voice": _media("audio"),
    "document": _media("document"),
    "sticker": _media("sticker"),
    "location": placeholders.location,
    "button": lambda content: placeholders.text(content.get("text")) or "[chose something]",
    "interactive": _interactive,
    "reaction": _reaction,
    "order": _order,
    "system": _system,
    "request_welcome": lambda _: "[opened the chat]",
}
