"""Assembly of a queued message from the data that a provider of WhatsApp Web sends."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import msgspec

from queue_core.channels.content import Content
from queue_core.channels.values import filled, profile_name, timestamp_ms
from queue_core.channels.whatsapp_web.addresses import Sender
from queue_core.message import QueueMessage


class Envelope(NamedTuple):
    """Data of a message other than its content."""

    channel: str
    instance: str
    sender: Sender
    message_id: str
    profile_name: Any
    timestamp: Any
    webhook: Any
    """Message as the provider sent it, without media."""


def queue_message(envelope: Envelope, content: Content) -> QueueMessage:
    """Return the message for the queue."""
    sender = envelope.sender
    data = {"channel": envelope.channel, "kind": content.kind}
    data |= filled(
        name=profile_name(envelope.profile_name), reply_to=sender.reply_to, addresses=sender.addresses
    )
    data |= content.facts
    if content.change:
        data["change"] = msgspec.to_builtins(content.change)
    if content.unknown:
        data["unknown"] = content.unknown
    return QueueMessage(
        id=_id_of(envelope, content),
        instance_name=envelope.instance,
        user_phone=sender.phone,
        message=content.text,
        message_data={**data, "webhook": envelope.webhook},
        timestamp=timestamp_ms(envelope.timestamp),
    )


def _id_of(envelope: Envelope, content: Content) -> str:
    """Return the message's id. A deletion, and an edit without an id of its own, get theirs from the changed message.

    So a repeated report has the same id.
    """
    change = content.change
    if not change or not change.id:
        return envelope.message_id
    if change.what == "deletion":
        return f"{change.id}:deleted"
    if envelope.message_id and envelope.message_id != change.id:
        return envelope.message_id
    version = (
        timestamp_ms(envelope.timestamp)
        or hashlib.sha256(content.text.encode("utf-8", "replace")).hexdigest()[:16]
    )
    return f"{change.id}:edited:{version}"
