"""Messages that are larger than the queue takes: cut down to what matters, never refused for their size."""

from __future__ import annotations

import msgspec

from queue_core.errors import InvalidMessageError
from queue_core.message import QueueMessage, encode

CUT = " […]"
"""Stands where a text was cut."""


def fit(message: QueueMessage, bytes_max: int) -> QueueMessage:
    """The message as it is if the queue takes it; else without its webhook, and with its text cut if that is too long.

    WhatsApp itself takes texts of up to 65,536 characters.
    """
    if _fits(message, bytes_max):
        return message
    data = {
        name: value for name, value in message.message_data.items() if name in ("channel", "kind", "reply_to")
    }
    bare = msgspec.structs.replace(message, message_data={**data, "webhook": {"omitted": "too large"}})
    if _fits(bare, bytes_max):
        return bare
    # Escaped as JSON, a character takes 6 bytes at most.
    characters = max(0, (bytes_max - len(encode(msgspec.structs.replace(bare, message=""), 2**31))) // 6)
    return msgspec.structs.replace(bare, message=message.message[: characters - len(CUT)] + CUT)


def _fits(message: QueueMessage, bytes_max: int) -> bool:
    try:
        encode(message, bytes_max)
    except InvalidMessageError:
        return False
    return True
