"""Shortening of messages that are too large for the queue. They are cut, never refused for their size."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from queue_core.errors import InvalidMessageError
from queue_core.message import QueueMessage, encode

CUT = " […]"
"""Mark at the end of a text that was cut."""
_KEPT = frozenset({"channel", "kind", "reply_to", "change"})
"""Keys of `message_data` that always stay, since they say where the reply goes and what the message changes."""
Part = Literal["webhook", "text"]
"""Part of a message that was left out: the webhook, or the webhook and the end of the text."""


class Fitted(NamedTuple):
    """Message that is small enough for the queue."""

    message: QueueMessage
    missing: Part | None
    """Part that was left out; None if the message is whole."""


def fit(message: QueueMessage, bytes_max: int) -> Fitted:
    """Leave out the webhook if the message is too large; then other data; cut the text if it is still too large.

    WhatsApp itself takes texts of up to 65,536 characters.
    """
    if _fits(message, bytes_max):
        return Fitted(message, None)
    rest = {**message.message_data, "webhook": {"omitted": "too large"}}
    kept = {name: value for name, value in rest.items() if name in _KEPT or name == "webhook"}
    bare = message
    for smaller in (rest, kept):
        bare = msgspec.structs.replace(message, message_data=smaller)
        if _fits(bare, bytes_max):
            return Fitted(bare, "webhook")
    texts = 2 if _new_text(bare) else 1
    # Escaped as JSON, a character takes 6 bytes at most.
    bytes_left = bytes_max - len(encode(_with_texts(bare, 0, ""), 2**31))
    return Fitted(_with_texts(bare, bytes_left // 6 // texts, CUT), "text")


def _new_text(message: QueueMessage) -> str:
    """Return the text that an edit gives to an earlier message, "" for any other message."""
    change = message.message_data.get("change")
    text = change.get("text") if isinstance(change, dict) else None
    return text if isinstance(text, str) else ""


def _with_texts(message: QueueMessage, characters: int, end: str) -> QueueMessage:
    """Return the message with its texts cut to a length; `end` stands at the end of each."""
    kept = max(0, characters - len(end))
    data = message.message_data
    if new := _new_text(message):
        data = {**data, "change": {**data["change"], "text": new[:kept] + end}}
    return msgspec.structs.replace(message, message=message.message[:kept] + end, message_data=data)


def _fits(message: QueueMessage, bytes_max: int) -> bool:
    try:
        encode(message, bytes_max)
    except InvalidMessageError:
        return False
    return True
