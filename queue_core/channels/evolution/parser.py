"""Webhooks of the Evolution API (v1 and v2): one event per POST, with messages as the library Baileys writes them.

Seen in practice: the event as `messages.upsert`, `MESSAGES_UPSERT` or, in a path, `messages-upsert`; `data` as one
message, as an array, or holding `messages`; times as numbers, strings or protobuf Longs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from queue_core.channels import placeholders
from queue_core.channels.base import Inbound, InvalidWebhookError, SkippedError
from queue_core.channels.media import without_media
from queue_core.message import QueueMessage

PHONE_JID = re.compile(r"(\d{5,20})(?::\d+)?@(?:s\.whatsapp\.net|c\.us)")
"""Address that holds the phone number itself, perhaps with the number of a device."""
_WRAPPERS = (
    "ephemeralMessage",
    "viewOnceMessage",
    "viewOnceMessageV2",
    "viewOnceMessageV2Extension",
    "documentWithCaptionMessage",
    "editedMessage",
    "deviceSentMessage",
    "groupMentionedMessage",
    "botInvokeMessage",
)
"""Kinds that hold the real message in their `message`."""
_NO_CONTENT = frozenset(
    {"messageContextInfo", "senderKeyDistributionMessage", "base64", "mediaUrl", "speechToText"}
)
_SKIPPED_JIDS = (
    ("@g.us", "group"),
    ("status@broadcast", "status"),
    ("@broadcast", "status"),
    ("@newsletter", "newsletter"),
)

_Content = Mapping[str, Any]


def parse_evolution(payload: Any, *, instance: str = "", event: str = "", media_bytes_max: int) -> Inbound:
    """Reads the messages of a webhook. `instance` and `event` come from the path; those in the payload win.

    Raises InvalidWebhookError for what can never be a message.
    """
    if not isinstance(payload, dict):
        raise InvalidWebhookError("a webhook of the Evolution API is a JSON object")
    event = payload.get("event") or event
    if not isinstance(event, str) or not event:
        raise InvalidWebhookError("the webhook names no event")
    event = re.sub(r"[^a-z]", ".", event.lower())
    if event != "messages.upsert":
        return Inbound(skipped={"receipt" if event == "messages.update" else "event": 1})
    instance = placeholders.text(payload.get("instance")) or instance
    if not instance.strip():
        raise InvalidWebhookError("the webhook names no instance")
    return Inbound.of(_items(payload.get("data")), lambda item: _message(item, instance, media_bytes_max))


def _items(data: Any) -> list[Any]:
    if isinstance(data, dict) and isinstance(data.get("messages"), list):
        data = data["messages"]
    items = data if isinstance(data, list) else [data]
    if not items:
        raise InvalidWebhookError("messages.upsert without a message")
    return items


def _message(item: Any, instance: str, media_bytes_max: int) -> QueueMessage:
    key = item.get("key") if isinstance(item, dict) else None
    if not isinstance(key, dict):
        raise InvalidWebhookError("a message without data.key, so its user is unknown")
    jid = placeholders.text(key.get("remoteJid"))
    for ending, reason in _SKIPPED_JIDS:
        if jid.endswith(ending):
            raise SkippedError(reason)
    if key.get("fromMe") is True:
        raise SkippedError("own")
    phone, reply_to = _user(key, jid)
    content = _unwrapped(item.get("message"))
    kind, text = _kind_and_text(content)
    data: dict[str, Any] = {
        "channel": "evolution",
        "kind": kind,
        "webhook": without_media(item, media_bytes_max),
    }
    if name := placeholders.name(item.get("pushName")):
        data["name"] = name
    if reply_to:
        data["reply_to"] = reply_to
    if quoted := _quoted(item, content):
        data["quoted"] = quoted
    return QueueMessage(
        id=placeholders.text(key.get("id")),
        instance_name=instance,
        user_phone=phone,
        message=text,
        message_data=data,
        timestamp=placeholders.timestamp_ms(item.get("messageTimestamp")),
    )


def _user(key: _Content, jid: str) -> tuple[str, str]:
    """Returns the user's id in the queue, and the address to send to if it is another.

    The id is the phone number. For a linked id (`…@lid`) the number stands in `remoteJidAlt`, in older versions in
    `senderPn`; where neither is given, the linked id itself is used.
    """
    if not jid:
        raise InvalidWebhookError("a message without data.key.remoteJid, so its user is unknown")
    for address in (jid, key.get("remoteJidAlt"), key.get("senderPn"), key.get("participantAlt")):
        if phone := PHONE_JID.fullmatch(placeholders.text(address)):
            return phone[1], ""
    if jid.endswith("@lid"):
        return jid, jid
    return jid.partition("@")[0] or jid, jid if "@" in jid else ""


def _unwrapped(content: Any) -> _Content:
    while isinstance(content, dict):
        inner = next((content[name] for name in _WRAPPERS if isinstance(content.get(name), dict)), None)
        if inner is None or not isinstance(inner.get("message"), dict):
            return content
        content = inner["message"]
    return {}


def _kind_and_text(content: _Content) -> tuple[str, str]:
    """Returns the kind of a message, and its words for the AI. Raises SkippedError if no user wrote it."""
    if isinstance(content.get("conversation"), str) and content["conversation"]:
        return "text", content["conversation"]
    for name, (kind, text_of) in _KINDS.items():
        part = content.get(name)
        if isinstance(part, dict):
            return kind, text_of(part)
    unknown = next((name for name in content if name not in _NO_CONTENT), "")
    if not unknown:
        if "senderKeyDistributionMessage" in content:
            raise SkippedError("protocol")
        return "unsupported", placeholders.unsupported("")  # for example, WhatsApp could not decrypt it
    return "unsupported", placeholders.unsupported(placeholders.name(unknown).removesuffix("Message"))


def _media(kind: str) -> tuple[str, Callable[[_Content], str]]:
    return kind, lambda part: placeholders.media(kind, part)


def _reaction(part: _Content) -> str:
    emoji = placeholders.name(part.get("text"))
    if not emoji:
        raise SkippedError("reaction removed")
    return placeholders.described("reaction", emoji)


def _protocol(part: _Content) -> str:
    """Describes a message that was deleted or edited. Raises SkippedError for traffic between the phones."""
    kind = part.get("type")
    if kind in ("REVOKE", 0):
        return "[deleted a message]"
    if kind in ("MESSAGE_EDIT", 14):
        _, text = _kind_and_text(_unwrapped(part.get("editedMessage")))
        return f"[edited] {text}"
    raise SkippedError("protocol")


def _contact(part: _Content) -> str:
    return placeholders.contacts([placeholders.name(part.get("displayName"))])


def _contact_array(part: _Content) -> str:
    cards = part.get("contacts")
    objects = [card for card in cards if isinstance(card, dict)] if isinstance(cards, list) else []
    return placeholders.contacts([placeholders.name(card.get("displayName")) for card in objects])


def _choice(*paths: tuple[str, ...]) -> Callable[[_Content], str]:
    """Makes a reader of a user's choice: it returns the text at the first path that leads to one."""

    def text_of(part: _Content) -> str:
        for path in paths:
            value: Any = part
            for name in path:
                value = value.get(name) if isinstance(value, dict) else None
            if text := placeholders.text(value):
                return text
        return "[chose something]"

    return text_of


def _poll(part: _Content) -> str:
    return placeholders.described("poll", placeholders.name(part.get("name")))


# Kinds of messages: our name of each, and its words.
_KINDS: dict[str, tuple[str, Callable[[_Content], str]]] = {
    "extendedTextMessage": ("text", lambda part: placeholders.text(part.get("text"))),
    "imageMessage": _media("image"),
    "videoMessage": _media("video"),
    "ptvMessage": _media("video"),
    "audioMessage": _media("audio"),
    "documentMessage": _media("document"),
    "stickerMessage": _media("sticker"),
    "lottieStickerMessage": _media("sticker"),
    "locationMessage": ("location", placeholders.location),
    "liveLocationMessage": ("location", placeholders.location),
    "contactMessage": ("contacts", _contact),
    "contactsArrayMessage": ("contacts", _contact_array),
    "reactionMessage": ("reaction", _reaction),
    "encReactionMessage": ("reaction", _reaction),
    "protocolMessage": ("protocol", _protocol),
    "buttonsResponseMessage": ("button", _choice(("selectedDisplayText",), ("selectedButtonId",))),
    "templateButtonReplyMessage": ("button", _choice(("selectedDisplayText",), ("selectedId",))),
    "listResponseMessage": ("list", _choice(("title",), ("singleSelectReply", "selectedRowId"))),
    "interactiveResponseMessage": (
        "interactive",
        _choice(("body", "text"), ("nativeFlowResponseMessage", "name")),
    ),
    "pollCreationMessage": ("poll", _poll),
    "pollCreationMessageV2": ("poll", _poll),
    "pollCreationMessageV3": ("poll", _poll),
    "pollUpdateMessage": ("poll", lambda _: "[voted in a poll]"),
    "orderMessage": ("order", lambda part: placeholders.text(part.get("message")) or "[order]"),
    "productMessage": ("product", lambda _: "[product]"),
    "groupInviteMessage": ("invite", lambda _: "[invitation to a group]"),
    "eventMessage": (
        "event",
        lambda part: placeholders.described("event", placeholders.name(part.get("name"))),
    ),
}


def _quoted(item: _Content, content: _Content) -> dict[str, str]:
    """Returns id and text of the message that this message quotes; {} if it quotes none."""
    contexts = [part.get("contextInfo") for part in content.values() if isinstance(part, dict)]
    for context in (*contexts, item.get("contextInfo"), content.get("contextInfo")):
        if isinstance(context, dict) and isinstance(context.get("quotedMessage"), dict):
            try:
                _, text = _kind_and_text(_unwrapped(context["quotedMessage"]))
            except SkippedError:
                text = ""
            return {"id": placeholders.text(context.get("stanzaId")), "text": text}
    return {}
