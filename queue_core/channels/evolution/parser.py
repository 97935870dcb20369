"""Webhooks of the Evolution API (v1 and v2): one event per POST, with messages as the library Baileys writes them.

Variants seen in practice: the event is `messages.upsert`, `MESSAGES_UPSERT` or, in a path, `messages-upsert`; `data` is
one message, an array, or an object with `messages`; times are numbers, strings or protobuf Longs. Events and their
data: `whatsapp.baileys.service.ts` of the Evolution API.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache, partial
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from queue_core.channels import content as contents
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
from queue_core.channels.phrases import ENGLISH, Language, Phrases, phrases_in
from queue_core.channels.unreadable import unreadable
from queue_core.channels.values import Object, at, label, mapping, name, objects, text, timestamp_ms
from queue_core.channels.whatsapp_web.addresses import is_same_user, phone_of, raise_if_unanswered, sender
from queue_core.channels.whatsapp_web.assembling import Envelope, queue_message
from queue_core.channels.whatsapp_web.message import read_content, read_protocol
from queue_core.message import QueueMessage

CHANNEL = "evolution"
_OTHER_ADDRESSES = (
    *("remoteJidAlt", "senderPn", "senderLid", "participantPn", "participantAlt", "previousRemoteJid"),
)
"""Fields of a message key with further addresses of the user."""
_FAILED = ("ERROR", 0)
"""Status of a reply that did not reach WhatsApp."""
_RECEIPTS = frozenset({"messages.update", "send.message", "send.message.update"})


class _Webhook(NamedTuple):
    """Data that all messages of a webhook share."""

    phrases: Phrases
    instance: str
    owner: str
    """Address of the number with which the instance is connected."""
    media_bytes_max: int


def parse_evolution(
    payload: Any, *, instance: str = "", event: str = "", media_bytes_max: int, language: Language = ENGLISH
) -> Inbound:
    """Read a webhook. `instance` and `event` come from the path, and are used where the payload has none.

    Raises InvalidWebhookError for anything but a webhook of the Evolution API.
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
    webhook = _Webhook(phrases_in(language), instance, text(payload.get("sender")), media_bytes_max)
    items = _items(payload.get("data"), event)
    if not items:
        return Inbound.of_event(name(event))
    if event in _RECEIPTS:
        return _receipts(items, event, webhook)
    return Inbound.of(items, partial(_READERS[event], webhook), partial(_set_aside, webhook))


@lru_cache(256)
def _event_name(event: str) -> str:
    """Return the name of an event in the form `messages.upsert`."""
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
    return queue_message(envelope, read_content(webhook.phrases, item.get("message"), item))


def _edit(webhook: _Webhook, item: Any) -> QueueMessage:
    """Read an event that has only WhatsApp's protocol message.

    The message key is written from the sender's view: a user's edit is `fromMe`, in the chat with the bot's number.
    Then the event does not name the user, so the edit cannot be assigned to a conversation.
    """
    part = mapping(item)
    key = mapping(part.get("key"))
    chat = text(key.get("remoteJid"))
    raise_if_unanswered(chat)
    if key.get("fromMe") is True:
        raise SkippedError("change of an unknown user" if is_same_user(chat, webhook.owner) else "own")
    envelope = _envelope(webhook, key, part, timestamp=part.get("timestampMs"))
    return queue_message(envelope, read_protocol(webhook.phrases, part))


def _deletion(webhook: _Webhook, item: Any) -> QueueMessage:
    """Read an event that has the key of the deleted message."""
    key = mapping(at(item, "key")) or mapping(item)
    raise_if_unanswered(text(key.get("remoteJid")))
    if key.get("fromMe") is True:
        raise SkippedError("own")
    envelope = _envelope(webhook, key, mapping(item))
    return queue_message(envelope, read_protocol(webhook.phrases, {"key": key, "type": "REVOKE"}))


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
"""Readers of the events that bring messages. The documents of Evolution Go call such an event `message`."""


def _receipts(items: list[Any], event: str, webhook: _Webhook) -> Inbound:
    """Count receipts. Returns failures, and updates that hold something that a user wrote or chose."""
    failures, news, skipped = [], [], Counter[str]()
    for item in items:
        if event == "messages.update" and _brings_news(mapping(item)):
            news.append(item)
            continue
        if failure := _failure(mapping(item), webhook.instance):
            failures.append(failure)
        skipped["failed delivery" if failure else "receipt"] += 1
    inbound = Inbound.of(news, partial(_update, webhook), partial(_set_aside, webhook), skipped)
    return msgspec.structs.replace(inbound, failures=tuple(failures))


def _brings_news(item: Object) -> bool:
    """Return True for an update with a content, or with votes in a poll. The status of such an update is ignored."""
    return any(bool(_updated(item, field)) for field in ("message", "pollUpdates"))


def _updated(item: Object, field: str) -> Any:
    return item.get(field) or at(item, "update", field)


def _update(webhook: _Webhook, item: Object) -> QueueMessage:
    """Read an update with an edit, the content of a message that came without content, or votes in a poll."""
    key = mapping(item.get("key")) or item
    key = {**key, "id": text(item.get("keyId")) or text(key.get("id"))}
    raise_if_unanswered(text(key.get("remoteJid")))
    if votes := _updated(item, "pollUpdates"):
        content = contents.vote(webhook.phrases, _choices(votes, webhook.owner), key["id"])
        digest = sha256(content.text.encode("utf-8", "replace")).hexdigest()[:16]
        return queue_message(_envelope(webhook, {**key, "id": f"{key['id']}:vote:{digest}"}, item), content)
    if key.get("fromMe") is True:
        raise SkippedError("own")
    content = read_content(webhook.phrases, _updated(item, "message"), {})
    if content.change and not content.change.id:
        content = msgspec.structs.replace(
            content, change=msgspec.structs.replace(content.change, id=key["id"])
        )
    return queue_message(_envelope(webhook, key, item), content)


def _choices(votes: Any, owner: str) -> list[str]:
    """Return the options that the user has chosen, from the voters of each option. Raises SkippedError for none."""
    chosen = [
        name(option.get("name"))
        for option in objects(votes)
        if any(voter and not is_same_user(text(voter), owner) for voter in _list(option.get("voters")))
    ]
    if not chosen:
        raise SkippedError("vote removed")
    return chosen


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
        reason="WhatsApp did not accept it",
        at_ms=timestamp_ms(item.get("datetime")),
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _set_aside(webhook: _Webhook, item: Any, reason: str) -> Unreadable:
    address = text(at(item, "key", "remoteJid"))
    payload = without_media(item, webhook.media_bytes_max)
    return unreadable(webhook.phrases, CHANNEL, webhook.instance, phone_of(address), payload, reason)
