"""Messages, the batches in which they are handed over, receipts, and dead letters."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from itertools import chain
from typing import Any, Literal, NamedTuple

import msgspec

from queue_core.errors import InvalidMessageError

Status = Literal["pending", "processing", "completed", "failed"]
Trigger = Literal["window", "size", "idle", "retry", "direct"]
BackendKind = Literal["ai", "channel"]
"""Something that a turn needs: the AI, and then the channel of its instance."""
SendState = Literal["not sent", "unsure", "sent"]
Changed = Literal["", "edited", "edited again", "deleted", "noted"]
"""Fate of a message that a later one changed. "edited", "deleted": by its user. "edited again": the message is an edit
itself. "noted": the message is a change that was carried out, or only noted, so that no handler reads it."""

PART_END = "\f"
"""Character between the parts of a recorded reply, and after a single part whose text the channel converted."""

NAME_BYTES_MAX = 512
"""Limit on an instance name, a phone and a message id, in bytes of UTF-8."""
TIMESTAMP_MS_MAX = 2**53
"""Limit on a timestamp: Lua's numbers are exact up to it."""

DEPTH_MAX = 100
"""Limit on the nesting of `message_data`. Python reads several times as much, unless its stack is nearly full."""


class QueueMessage(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, gc=False):
    """One message of a user. Times are Unix milliseconds. JSON uses the camelCase names (`instanceName`, …).

    Redis does not store `status`, `retry_count` and the times after `added_at`: they are computed when the message is
    read.
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
    changed: Changed = ""
    """Set when a change reached the message before it was read."""
    written_at: int = 0
    """Provider's time of an edited message, as Redis stores it; `timestamp` has it when the message is read."""
    earlier: str = ""
    """Text before an edit, if `keep_deleted_texts` is set."""

    def as_dict(self) -> dict[str, Any]:
        """Return every field under its JSON name, defaults included, but `written_at`, which only Redis needs."""
        names = zip(self.__struct_fields__, self.__struct_encode_fields__, strict=True)
        return {encoded: getattr(self, name) for name, encoded in names if name != "written_at"}


class Batch(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A turn, as handed to one handler: the lease on a conversation and its messages in order."""

    instance_name: str
    user_phone: str
    """Name of the conversation. The messages may have other names of the same user; reply to that of the last one."""
    messages: tuple[QueueMessage, ...]
    token: int
    """Fencing token: grows with each claim of a partition. Give it to systems that can refuse an older token."""
    processor_id: str
    attempt: int
    """Number of this attempt, from 1. The `setbacks` do not count."""
    trigger: Trigger
    due_at_ms: int
    claimed_at_ms: int
    reply: str | None = None
    """The reply that an earlier attempt recorded, if any: send it, and do not ask for another."""
    send_state: SendState = "not sent"
    parts_sent: int = 0
    """Number of parts of that reply that were sent: a sender that sends in parts goes on after them."""
    setbacks: int = 0
    """Number of earlier attempts that failed because a backend was away, or by a rate limit."""

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
    """Function that is called when the reply is recorded and about to be sent, for instance to save what the AI
    remembers. It is not called for an answer that is dropped, nor if its worker dies at that moment. It may be called
    again if the reply is empty, or is sent without Redis. Its errors are logged."""


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
    """A reply that was recorded; the reason says what became of it."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to an enqueue. All statuses mean that the message is safe and need not be delivered again."""

    status: Literal["queued", "changed", "duplicate", "late"]
    """"changed": it was an edit or a deletion, which waits for its turn beside the message, or is only noted."""
    id: str
    added_at_ms: int
    """Time at which this id was stored: now, or, for a duplicate, the first time (up to `dedupe_ttl_s` / 384 early)."""
    waiting: int = 0
    """Number of messages in the conversation, this one included (0 for a duplicate or a late one)."""
    user_phone: str = ""
    """Name of the user's conversation: another one than the message's, if both names lead to one conversation."""


_decoder = msgspec.json.Decoder(QueueMessage)
_ESCAPED = re.compile(r'["\\\x00-\x1f\x7f\ud800-\udfff]')
"""Characters that JSON writes as codes: no provider's id has them."""


def encode(message: QueueMessage, max_bytes: int) -> bytes:
    """Return the stored form: JSON without the fields that Redis adds.

    Lone surrogates, which UTF-8 cannot hold, become U+FFFD. Raises InvalidMessageError.
    """
    _check_types(message)
    history = (message.added_at, message.retry_count, message.processing_started_at, message.completed_at)
    if any(history) or message.changed or message.status != "pending":  # it was in a queue before
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
        message = _decoder.decode(stored)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return _as_edited(message) if message.written_at or message.changed else message


def _as_edited(message: QueueMessage) -> QueueMessage:
    """Return an edited message as it is read: Redis stores the edit under the message's id."""
    if message.changed not in ("edited", "edited again"):
        return message
    message = msgspec.structs.replace(message, timestamp=message.written_at, written_at=0)
    change = message.message_data.get("change")
    if message.changed == "edited again" or not isinstance(change, dict):
        return message
    data = {name: value for name, value in message.message_data.items() if name != "change"}
    if kind := change.get("kind"):
        data["kind"] = kind
    return msgspec.structs.replace(message, message=str(change.get("text", "")), message_data=data)


def edited(message: QueueMessage, edit: QueueMessage, *, keeps_text: bool) -> QueueMessage:
    """Return a message with the content of its edit, as `redis/scripts/changes.lua` stores it."""
    is_edit = "change" in message.message_data and message.changed != "edited"
    return _as_edited(
        msgspec.structs.replace(
            edit,
            id=message.id,
            added_at=message.added_at,
            written_at=message.timestamp,
            status=message.status,
            retry_count=message.retry_count,
            processing_started_at=message.processing_started_at,
            changed="edited again" if is_edit else "edited",
            earlier=message.message if keeps_text else "",
        )
    )


class Change(NamedTuple):
    """Change of an earlier message of the same user."""

    what: Literal["edit", "deletion"]
    target_id: str


def as_edit(message: QueueMessage, target_id: str) -> QueueMessage:
    """Return a message that gives its text to an earlier one. Raises InvalidMessageError for an unusable id."""
    return _as_change(message, {"what": "edit", "id": target_id, "text": message.message})


def as_deletion(message: QueueMessage, target_id: str) -> QueueMessage:
    """Return a message that deletes an earlier one. Raises InvalidMessageError for an unusable id."""
    return _as_change(message, {"what": "deletion", "id": target_id})


def _as_change(message: QueueMessage, change: dict[str, str]) -> QueueMessage:
    made = msgspec.structs.replace(message, message_data={**message.message_data, "change": change})
    if change_of(made) is None:
        raise InvalidMessageError(f"target_id is {change['id']!r:.80}, must be the id of another message")
    return made


def change_of(message: QueueMessage) -> Change | None:
    """Return the change that a message makes to an earlier one.

    None for any other message, for a change that does not say of which message, and for an edit without the new text:
    these are read like any message. `channels/base.py` describes `message_data`.
    """
    data: Any = message.message_data
    change = data.get("change") if isinstance(data, dict) else None
    if not isinstance(change, dict):
        return None
    what, target_id = change.get("what"), change.get("id")
    if what not in ("edit", "deletion") or not isinstance(target_id, str):
        return None
    has_text = what == "deletion" or isinstance(change.get("text"), str)
    is_usable = 0 < len(target_id) <= NAME_BYTES_MAX and target_id != message.id
    if not has_text or not is_usable or _ESCAPED.search(target_id + message.id):
        return None
    return Change(what, target_id)


_CONTAINERS = (dict, list, tuple)


def is_deeper_than(value: Any, depth_max: int) -> bool:
    """Return True if lists and dicts are nested more than `depth_max` levels deep."""
    level = [value] if isinstance(value, _CONTAINERS) else []
    for _ in range(depth_max):
        if not level:
            return False
        children = [parent.values() if isinstance(parent, dict) else parent for parent in level]
        level = [child for child in chain.from_iterable(children) if isinstance(child, _CONTAINERS)]
    return bool(level)


def unreadable(instance_name: str, user_phone: str) -> QueueMessage:
    """Make a message that stands for a value in a conversation's list that is not a message."""
    return QueueMessage(id="unreadable", instance_name=instance_name, user_phone=user_phone, message="")


def check_names(message: QueueMessage) -> None:
    """Raise InvalidMessageError when the names that make the keys cannot be used."""
    for name in ("instance_name", "user_phone", "id"):
        value = getattr(message, name)
        if not isinstance(value, str):
            raise InvalidMessageError(f"{name} is {value!r}, must be a str")
        if not value.strip() and name != "id":
            raise InvalidMessageError(f"{name} is empty: a message belongs to an instance and a user")
        if len(value) > NAME_BYTES_MAX // 4 and len(value.encode("utf-8", "replace")) > NAME_BYTES_MAX:
            raise InvalidMessageError(f"{name} is longer than {NAME_BYTES_MAX} bytes")


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
