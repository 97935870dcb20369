"""Webhooks of Evolution Go: one event per POST, with messages as the library whatsmeow writes them.

Fields: `pkg/whatsmeow/service/whatsmeow.go` of Evolution Go; `types/message.go` and `types/events` of whatsmeow.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from queue_core.channels.base import (
    Inbound,
    InvalidWebhookError,
    OwnMessage,
    OwnMessageError,
    SkippedError,
    Unreadable,
)
from queue_core.channels.media import without_media
from queue_core.channels.phrases import ENGLISH, Language, Phrases, phrases_in
from queue_core.channels.unreadable import unreadable
from queue_core.channels.values import Object, at, mapping, name, text, timestamp_ms
from queue_core.channels.whatsapp_web.addresses import phone_of, raise_if_unanswered, sender
from queue_core.channels.whatsapp_web.assembling import Envelope, queue_message
from queue_core.channels.whatsapp_web.whatsmeow import read_go_content
from queue_core.message import QueueMessage

CHANNEL = "evolution_go"
_SKIPPED_EVENTS = {"receipt": "receipt", "sendmessage": "own", "undecryptablemessage": "undecrypted"}


class _Webhook(NamedTuple):
    phrases: Phrases
    instance: str
    media_bytes_max: int


def is_evolution_go(payload: Object) -> bool:
    """Return True for a webhook in the shape of Evolution Go, recognised by how it names the instance."""
    return "instance" not in payload and bool(_instance_of(payload))


def _instance_of(payload: Object) -> str:
    return text(payload.get("instanceName")).strip() or text(payload.get("instanceId")).strip()


def parse_evolution_go(payload: Any, *, media_bytes_max: int, language: Language = ENGLISH) -> Inbound:
    """Read a webhook. Raises InvalidWebhookError for anything but a webhook of Evolution Go."""
    if not isinstance(payload, dict):
        raise InvalidWebhookError("a webhook of Evolution Go is a JSON object")
    event = payload.get("event")
    if not isinstance(event, str) or not event:
        raise InvalidWebhookError("the webhook names no event")
    if event.lower() != "message":
        return Inbound.of_event(name(event), _SKIPPED_EVENTS.get(event.lower(), "event"))
    instance = _instance_of(payload)
    if not instance:
        raise InvalidWebhookError("the webhook names no instance")
    webhook = _Webhook(phrases_in(language), instance, media_bytes_max)
    return Inbound.of([payload.get("data")], partial(_message, webhook), partial(_set_aside, webhook))


def _message(webhook: _Webhook, item: Any) -> QueueMessage:
    info = item.get("Info") if isinstance(item, dict) else None
    if not isinstance(info, dict):
        raise InvalidWebhookError("a message without data.Info, so its user is unknown")
    chat = text(info.get("Chat"))
    raise_if_unanswered(chat)
    if info.get("IsGroup") is True:
        raise SkippedError("group")
    if info.get("IsFromMe") is True:
        raise OwnMessageError(
            OwnMessage(
                instance_name=webhook.instance,
                message_id=text(info.get("ID")),
                user_phone=phone_of(chat),
                at_ms=timestamp_ms(info.get("Timestamp")),
            )
        )
    envelope = Envelope(
        channel=CHANNEL,
        instance=webhook.instance,
        sender=sender(chat, text(info.get("Sender")), text(info.get("SenderAlt"))),
        message_id=text(info.get("ID")),
        profile_name=info.get("PushName"),
        timestamp=info.get("Timestamp"),
        webhook=without_media(item, webhook.media_bytes_max),
    )
    return queue_message(envelope, read_go_content(webhook.phrases, item))


def _set_aside(webhook: _Webhook, item: Any, reason: str) -> Unreadable:
    address = text(mapping(at(item, "Info")).get("Chat"))
    payload = without_media(item, webhook.media_bytes_max)
    return unreadable(webhook.phrases, CHANNEL, webhook.instance, phone_of(address), payload, reason)
