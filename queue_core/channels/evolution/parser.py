"""Webhooks of the Evolution API (v1 and v2): one event per POST, with messages as the library Baileys writes them.

Seen in practice: the event as `messages.upsert`, `MESSAGES_UPSERT` or, in a path, `messages-upsert`; `data` as one
message, as an array, or holding `messages`; times as numbers, strings or protobuf Longs. Events and their data:
`whatsapp.baileys.service.ts` of the Evolution API.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache, partial
from typing import Any, NamedTuple

from queue_core.channels.base import (
    DeliveryFailure,
    Inbound,
    InvalidWebhookError,
    OwnMessage,
    OwnMessageError,
    SkippedError,
    Unreadable,
)
from queue_core.channels.evolution_go.parser import is_evolution_go, parse_evolution_go
from queue_core.channels.media import without_media
from queue_core.channels.phrases import ENGLISH, Language, Phrases, phrases
from queue_core.channels.unreadable import unreadable
from queue_core.channels.values import Object, at, label, mapping, name, text, timestamp_ms
from queue_core.channels.whatsapp_web.addresses import is_same_user, phone_of, raise_if_unanswered, sender
from queue_core.channels.whatsapp_web.assembling import Envelope, queue_message
from queue_core.channels.whatsapp_web.message import read_content, read_protocol
from queue_core.message import QueueMessage

CHANNEL = "evolution"
_OTHER_ADDRESSES = (
    *("remoteJidAlt", "senderPn", "senderLid", "participantPn", "participantAlt", "previousRemoteJid"),
)
"""Parts of a key with further addresses of the user."""
_FAILED = ("ERROR", 0)
"""Status of a reply that did not reach WhatsApp."""
_RECEIPTS = frozenset({"messages.update", "send.message", "send.message.update"})


class _Webhook(NamedTuple):
    """Facts that hold for all messages of a webhook."""

    say: Phrases
    instance: str
    owner: str
    """Address of the number that the instance is connected with."""
    media_bytes_max: int


def parse_evolution(
    payload: Any, *, instance: str = "", event: str = "", media_bytes_max: int, language: Language = ENGLISH
) -> Inbound:
    """Reads a webhook. `instance` and `event` come from the path; those in the payload win.

    Raises InvalidWebhookError for what is not a webhook of the Evolution API.
    """
    if not isinstance(payload, dict):
        raise InvalidWebhookError("a webhook of the Evolution API is a JSON object")
    if is_evolution_go(payload):
        return parse_evolution_go(payload, media_bytes_max=media_bytes_max, language=language)
    event = payload.get("event") or event
    if not isinstance(event, str) or not event:
        raise InvalidWebhookError("the webhook names no event")
    event = _event_name(event)
    if event not in _READERS and event not in _RECEIPTS:
        return Inbound.of_event(name(event))
    instance = text(payload.get("instance")) or instance
    if not instance.strip():
        raise InvalidWebhookError("the webhook names no instance")
    webhook = _Webhook(phrases(language), instance, text(payload.get("sender")), media_bytes_max)
    items = _items(payload.get("data"), event)
    if event in _RECEIPTS:
        return _receipts(items, webhook)
    return Inbound.of(items, partial(_READERS[event], webhook), partial(_set_aside, webhook))


@lru_cache(256)
def _event_name(event: str) -> str:
    """Writes the name of an event as in `messages.upsert`."""
    return re.sub(r"[^a-z]", ".", event.lower())


def _items(data: Any, event: str) -> list[Any]:
    if isinstance(data, dict) and isinstance(data.get("messages"), list):
        data = data["messages"]
    items = data if isinstance(data, list) else [data]
    if event == "messages.upsert" and not items:
        raise InvalidWebhookError("messages.upsert without a message")
    return items


def _message(webhook: _Webhook, item: Any) -> QueueMessage:
    key = item.get("key") if isinstance(item, dict) else None
    if not isinstance(key, dict):
        raise InvalidWebhookError("a message without data.key, so its user is unknown")
    chat = text(key.get("remoteJid"))
    raise_if_unanswered(chat)
    if key.get("fromMe") is True:
        raise OwnMessageError(
            OwnMessage(
                instance_name=webhook.instance,
                message_id=text(key.get("id")),
                user_phone=phone_of(chat),
                at_ms=timestamp_ms(item.get("messageTimestamp")),
            )
        )
    envelope = _envelope(webhook, key, item)
    return queue_message(envelope, read_content(webhook.say, item.get("message"), item))


def _edit(webhook: _Webhook, item: Any) -> QueueMessage:
    """Reads an event that holds the protocol's message alone.

    Its key is written as the sender sees it: for a user's edit it is `fromMe`, in the chat with our own number. Then
    the user is not named anywhere, and the edit cannot be told to a conversation.
    """
    part = mapping(item)
    key = mapping(part.get("key"))
    chat = text(key.get("remoteJid"))
    raise_if_unanswered(chat)
    if key.get("fromMe") is True:
        raise SkippedError("change of an unknown user" if is_same_user(chat, webhook.owner) else "own")
    envelope = _envelope(webhook, key, part, timestamp=part.get("timestampMs"))
    return queue_message(envelope, read_protocol(webhook.say, part))


def _deletion(webhook: _Webhook, item: Any) -> QueueMessage:
    """Reads an event that holds the key of the deleted message."""
    key = mapping(at(item, "key")) or mapping(item)
    raise_if_unanswered(text(key.get("remoteJid")))
    if key.get("fromMe") is True:
        raise SkippedError("own")
    envelope = _envelope(webhook, key, mapping(item))
    return queue_message(envelope, read_protocol(webhook.say, {"key": key, "type": "REVOKE"}))


def _envelope(webhook: _Webhook, key: Object, item: Object, *, timestamp: Any = None) -> Envelope:
    return Envelope(
        channel=CHANNEL,
        instance=webhook.instance,
        sender=sender(
            text(key.get("remoteJid")), *(text(key[other]) for other in _OTHER_ADDRESSES if other in key)
        ),
        message_id=text(key.get("id")),
        profile_name=item.get("pushName"),
        timestamp=timestamp or item.get("messageTimestamp"),
        webhook=without_media(item, webhook.media_bytes_max),
    )


_READERS = {
    "messages.upsert": _message,
    "message": _message,
    "messages.edited": _edit,
    "messages.delete": _deletion,
}
"""Readers of the events that bring messages. `message` is what the documents of Evolution Go call it."""


def _receipts(items: list[Any], webhook: _Webhook) -> Inbound:
    """Counts receipts; those that report a failure are returned."""
    failures, skipped = [], Counter[str]()
    for item in items:
        if failure := _failure(mapping(item), webhook.instance):
            failures.append(failure)
        skipped["failed delivery" if failure else "receipt"] += 1
    return Inbound(failures=tuple(failures), skipped=dict(skipped))


def _failure(item: Object, instance: str) -> DeliveryFailure | None:
    key = mapping(item.get("key")) or item
    status = item.get("status", at(item, "update", "status"))
    if status not in _FAILED or isinstance(status, bool) or key.get("fromMe") is False:
        return None
    return DeliveryFailure(
        instance_name=instance,
        message_id=text(item.get("keyId")) or text(key.get("id")),
        user_phone=phone_of(text(key.get("remoteJid"))),
        code=label(next(iter(_list(at(item, "update", "messageStubParameters"))), "")),
        reason="WhatsApp did not take it",
        at_ms=timestamp_ms(item.get("datetime")),
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _set_aside(webhook: _Webhook, item: Any, reason: str) -> Unreadable:
    address = text(at(item, "key", "remoteJid"))
    payload = without_media(item, webhook.media_bytes_max)
    return unreadable(webhook.say, CHANNEL, webhook.instance, phone_of(address), payload, reason)
