"""Stand-ins for messages that cannot be read."""

from __future__ import annotations

from typing import Any

import msgspec

from queue_core.channels.base import Unreadable
from queue_core.channels.phrases import Phrases
from queue_core.channels.secrets import without_secrets
from queue_core.channels.values import name
from queue_core.message import QueueMessage

PAYLOAD_BYTES_MAX = 16_384
"""Limit on the payload that is kept of a message; of a longer one, the start is kept."""
KIND = "unreadable"
"""Kind of these messages in `message_data`."""
UNKNOWN = "unknown"
"""Instance or user of a message that does not name it."""


def unreadable(
    phrases: Phrases, channel: str, instance: str, user: str, payload: Any, reason: str
) -> Unreadable:
    """Return a stand-in for a message that cannot be read, with the part of its payload that is kept."""
    message = QueueMessage(
        id="unreadable",
        instance_name=name(instance) or UNKNOWN,
        user_phone=name(user) or UNKNOWN,
        message=phrases.bracketed("unreadable"),
        message_data={"channel": channel, "kind": KIND, "webhook": bounded(without_secrets(payload))},
    )
    return Unreadable(message, reason)


def bounded(payload: Any) -> Any:
    """Return a payload as it is, or the start of its JSON if it is longer than PAYLOAD_BYTES_MAX."""
    try:
        encoded = msgspec.json.encode(payload)
    except (TypeError, ValueError, RecursionError):
        encoded = repr(payload)[:PAYLOAD_BYTES_MAX].encode("utf-8", "replace")
        return {"omitted": "is not JSON", "start": encoded.decode("utf-8", "ignore")}
    if len(encoded) <= PAYLOAD_BYTES_MAX:
        return payload
    return {"omitted": "too large", "start": encoded[:PAYLOAD_BYTES_MAX].decode("utf-8", "ignore")}
