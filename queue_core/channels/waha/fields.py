"""Content of a message from WAHA's own fields. With the engine WEBJS there is nothing else, except a message type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from queue_core.channels import content as contents
from queue_core.channels.base import SkippedError
from queue_core.channels.content import Content
from queue_core.channels.phrases import Phrases
from queue_core.channels.values import Object, at, filled, mapping, name, objects, text
from queue_core.channels.vcard import read_vcard

_UNWRITTEN = {
    "e2e_notification": "system",
    "notification": "system",
    "notification_template": "system",
    "gp2": "system",
    "broadcast_notification": "system",
    "debug": "system",
    "protocol": "protocol",
    "reaction": "protocol",
    "ciphertext": "undecrypted",
    "call_log": "call",
    "album": "album",
}
"""Types of WEBJS for messages that no user wrote, with the reason under which they are counted."""
_MEDIA = {
    "ptt": "audio",
    "audio": "audio",
    "image": "image",
    "video": "video",
    "ptv": "video",
    "gif": "video",
    "document": "document",
}
"""Our names of media, by the type of WEBJS or by the family of the MIME type."""


def id_parts(message_id: Any) -> tuple[str, str]:
    """Return chat and id in `false_966500000001@c.us_3EB0`; "" as the chat of a plain id."""
    parts = text(message_id).split("_")
    return (
        (parts[1], parts[2]) if len(parts) >= 3 and parts[0] in ("true", "false") else ("", text(message_id))
    )


def read_fields(phrases: Phrases, body: Object) -> Content:
    """Return the content of a message. Raises SkippedError for a message that no user wrote."""
    kind = text(at(body, "_data", "type"))
    if kind in _UNWRITTEN:
        raise SkippedError(_UNWRITTEN[kind])
    content = _content(phrases, body, kind)
    quoted = mapping(body.get("replyTo"))
    if not quoted.get("id"):
        return content
    words = text(quoted.get("body"))
    notes = [phrases.bracketed("answers", name(words))] if name(words) else []
    return contents.with_notes(
        content, notes, {"quoted": {"id": id_parts(quoted.get("id"))[1], "text": words}}
    )


def _content(phrases: Phrases, body: Object, kind: str) -> Content:
    if body.get("location"):
        return _location(phrases, body)
    if body.get("vCards"):
        return _contacts(phrases, body)
    if reader := _READERS.get(kind):
        return reader(phrases, body)
    if body.get("hasMedia") is True or isinstance(body.get("media"), dict):
        return _media(phrases, body, kind)
    if words := text(body.get("body")):
        return Content(kind="text", text=words)
    if kind in ("", "chat"):
        raise SkippedError("empty")
    return contents.unsupported(phrases, kind, unknown=kind)


def _deletion(phrases: Phrases, body: Object) -> Content:
    return contents.deletion(phrases, id_parts(body.get("id"))[1])


def _contacts(phrases: Phrases, body: Object) -> Content:
    cards = body.get("vCards") or [body.get("body")]
    cards = cards if isinstance(cards, list) else []
    return contents.contacts(phrases, [read_vcard(text(card)) for card in cards[: contents.ITEMS_MAX]])


def _poll(phrases: Phrases, body: Object) -> Content:
    data = mapping(body.get("_data"))
    options = [name(option.get("name")) for option in objects(data.get("pollOptions"))]
    return contents.poll(phrases, name(data.get("pollName")) or name(body.get("body")), options)


def media_facts(body: Object) -> dict[str, Any]:
    """Return the known facts about a message's media; {} without media."""
    media = mapping(body.get("media"))
    return filled(
        mimetype=name(media.get("mimetype")), filename=name(media.get("filename")), url=text(media.get("url"))
    )


def _media(phrases: Phrases, body: Object, kind: str) -> Content:
    facts = media_facts(body)
    family = facts.get("mimetype", "").partition("/")[0]
    ours = "sticker" if kind == "sticker" else _MEDIA.get(kind) or _MEDIA.get(family, "document")
    return contents.media(phrases, ours, caption=text(body.get("body")), is_voice=kind == "ptt", facts=facts)


def _location(phrases: Phrases, body: Object) -> Content:
    place = mapping(body.get("location")) or mapping(body.get("_data"))
    facts = {
        "name": place.get("name") or place.get("description") or place.get("loc"),
        "address": place.get("address"),
        "latitude": _coordinate(place.get("latitude", place.get("lat"))),
        "longitude": _coordinate(place.get("longitude", place.get("lng"))),
    }
    return contents.location(phrases, facts)


def _coordinate(value: Any) -> Any:
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return None


_READERS: dict[str, Callable[[Phrases, Object], Content]] = {
    "location": _location,
    "vcard": _contacts,
    "multi_vcard": _contacts,
    "poll_creation": _poll,
    "revoked": _deletion,
}
"""Readers by the type of WEBJS."""
