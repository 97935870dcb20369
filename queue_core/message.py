"""Messages, the batches in which they are handed over, receipts, and dead letters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import chain
from typing import Any, Literal

import msgspec

from queue_core.errors import InvalidMessageError

Status = Literal["pending", "processing", "completed", "failed"]
Trigger = Literal["window", "size", "idle", "retry", "direct"]
BackendKind = Literal["ai", "channel"]
"""Something that a turn needs: the AI, and then the channel of its instance."""
SendState = Literal["not sent", "unsure", "sent"]

MAX_NAME_BYTES = 512
"""Limit on an instance name, a phone and a message id, in bytes of UTF-8."""
TIMESTAMP_MS_MAX = 2**53
"""Limit on a timestamp: Lua's numbers are exact up to it."""


DEPTH_MAX = 100
"""Limit on the nesting of `message_data`. Python reads several times as much, unless its stack is nearly full."""


class QueueMessage(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One message of a user. Times are Unix milliseconds. JSON uses the camelCase names (`instanceName`, …).

    Redis stores only what never changes; `status`, `retry_count` and the times after `added_at` are computed when the
    message is read.
    """

    id: str = ""
    """Id that the provider gave; the queue makes an id when this is empty."""
    instance_name: str
    user_phone: str
    message: str
    message_data: dict[str, Any] = {}
    """The whole webhook."""
    timestamp: int = 0
    """Time by the provider's clock; 0 when unknown."""
    added_at: int = 0
    """Time at which Redis stored it, by Redis's clock."""
    status: Status = "pending"
    retry_count: int = 0
    processing_started_at: int | None = None
    completed_at: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return every field under its JSON name, defaults included."""
        names = zip(self.__struct_fields__, self.__struct_encode_fields__, strict=True)
        return {encoded: getattr(self, name) for name, encoded in names}


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A turn, as handed to one handler: the lease on a conversation and its messages in order."""

    instance_name: str
    user_phone: str
    messages: tuple[QueueMessage, ...]
    token: int
    """Fencing token: grows with each claim of a partition. Give it to systems that can refuse an older token."""
    processor_id: str
    attempt: int
    """Number of this attempt, from 1. Attempts that failed since a backend was away do not count."""
    trigger: Trigger
    due_at_ms: int
    claimed_at_ms: int
    reply: str | None = None
    """The reply that an earlier attempt recorded, if any: send it, and do not ask for another."""
    send_state: SendState = "not sent"
    parts_sent: int = 0
    """Number of parts of that reply that were sent: a sender that sends in parts goes on after them."""
    setbacks: int = 0
    """Number of earlier attempts that failed since a backend was away."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Return the ids of the messages, in the order of the batch."""
        return tuple(message.id for message in self.messages)

    @property
    def text(self) -> str:
        """Return the turn as one text, a line for each message that has words."""
        return "\n".join(message.message for message in self.messages if message.message)


class Reply(msgspec.Struct, frozen=True):
    """Reply of a handler, with a function to call once it is certain that the reply is used."""

    text: str
    on_recorded: Callable[[], Awaitable[None]] | None = None
    """Function that is called once, when the reply is recorded and about to be sent, for instance to save what the AI
    remembers. It is not called for an answer that is dropped, and its errors are logged."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was given up on. `raw` is its value in Redis; `message` is None when that could not be read."""

    id: str
    """Id of the dead letter, for requeue and drop; not that of the message."""
    instance_name: str
    user_phone: str
    reason: str
    dead_at_ms: int
    attempts: int
    message: QueueMessage | None
    raw: str
    reply: str | None = None
    """A reply that was recorded and perhaps never sent."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to an enqueue. All three statuses mean that the message is safe and need not be delivered again."""

    status: Literal["queued", "duplicate", "late"]
    id: str
    added_at_ms: int
    """Time at which this id was stored: now, or, for a duplicate, the first time (up to `dedupe_ttl_s` / 384 early)."""
    waiting: int = 0
    """Number of messages in the conversation, this one included (0 for a duplicate or a late one)."""


_decoder = msgspec.json.Decoder(QueueMessage)


def encode(message: QueueMessage, max_bytes: int) -> bytes:
    """Return the stored form: JSON without the fields that Redis adds.

    Lone surrogates, which UTF-8 cannot hold, become U+FFFD. Raises InvalidMessageError.
    """
    _check_types(message)
    history = (message.added_at, message.retry_count, message.processing_started_at, message.completed_at)
    if any(history) or message.status != "pending":  # it was in a queue before
        message = QueueMessage(
            id=message.id,
            instance_name=message.instance_name,
            user_phone=message.user_phone,
            message=message.message,
            message_data=message.message_data,
            timestamp=message.timestamp,
        )
    try:
        try:
            data = msgspec.json.encode(message)
        except UnicodeEncodeError:
            data = msgspec.json.encode(_scrub(msgspec.to_builtins(message)))
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise InvalidMessageError(f"message_data cannot be written as JSON: {error}") from error
    # Counting brackets is faster than looking at all values, and enough for nearly all messages.
    if data.count(b"{") + data.count(b"[") > DEPTH_MAX and is_deeper_than(message.message_data, DEPTH_MAX):
        raise InvalidMessageError(
            f"message_data is nested more than {DEPTH_MAX} levels deep: store it as text, or leave it out"
        )
    if len(data) > max_bytes:
        raise InvalidMessageError(
            f"the message is {len(data)} bytes as JSON, over the limit of {max_bytes} (max_message_bytes): "
            "replace inline media by a reference"
        )
    return data


def decode(stored: bytes | str) -> QueueMessage | None:
    """Return the message that Redis holds, or None when the value is not a message."""
    try:
        return _decoder.decode(stored)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def is_deeper_than(value: Any, depth_max: int) -> bool:
    """Return True if lists and dicts are nested more than `depth_max` levels deep."""
    level = [value] if isinstance(value, dict | list | tuple) else []
    for _ in range(depth_max):
        if not level:
            return False
        children = [parent.values() if isinstance(parent, dict) else parent for parent in level]
        level = [child for child in chain.from_iterable(children) if isinstance(child, dict | list | tuple)]
    return bool(level)


def unreadable(instance_name: str, user_phone: str) -> QueueMessage:
    """Make a message that stands for a value in a conversation's list that is not a message."""
    return QueueMessage(id="unreadable", instance_name=instance_name, user_phone=user_phone, message="")


def check_names(message: QueueMessage) -> None:
    """Raise InvalidMessageError when the names that make the keys cannot be used."""
    names = (message.instance_name, message.user_phone, message.id)
    for name, value in zip(("instance_name", "user_phone", "id"), names, strict=True):
        if not isinstance(value, str):
            raise InvalidMessageError(f"{name} is {value!r}, must be a str")
        if not value.strip() and name != "id":
            raise InvalidMessageError(f"{name} is empty: a message belongs to an instance and a user")
        if len(value) > MAX_NAME_BYTES or len(value.encode("utf-8", "replace")) > MAX_NAME_BYTES:
            raise InvalidMessageError(f"{name} is longer than {MAX_NAME_BYTES} bytes")


def _check_types(message: QueueMessage) -> None:
    """Raise InvalidMessageError for a value that could be stored but not read back."""
    if not isinstance(message.message, str):
        raise InvalidMessageError(f"message is of type {type(message.message).__name__}, must be str")
    if not isinstance(message.message_data, dict):
        raise InvalidMessageError(
            f"message_data is of type {type(message.message_data).__name__}, must be dict"
        )
    if type(message.timestamp) is not int or abs(message.timestamp) > TIMESTAMP_MS_MAX:
        raise InvalidMessageError(
            f"timestamp is {message.timestamp!r}, must be Unix milliseconds as an int, 0 if unknown"
        )


def well_formed(text: str) -> str:
    """Replace lone surrogates, which UTF-8 cannot hold, by U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _scrub(value: Any) -> Any:
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, dict):
        return {_scrub(key): _scrub(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_scrub(item) for item in value]
    return value
