"""Edits and deletions that wait beside a conversation's list: what its messages will be when they are read.

`redis/scripts/changes.lua` describes how they are kept; a claim applies them there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from queue_core.message import QueueMessage, decode, edited
from queue_core.redis.scripts.loader import text

_KEPT = "k"
"""Letter of a change whose message keeps its texts for the operator."""


class Changes(msgspec.Struct, frozen=True):
    """Changes of a conversation, as Redis holds them."""

    beside: Mapping[bytes, bytes] = {}
    """Changes of messages in the list, by id."""
    notes: Mapping[bytes, bytes] = {}
    """Changes of messages that were not in the list, or were being read."""

    def applied_to(self, messages: Iterable[QueueMessage]) -> list[QueueMessage]:
        """Return messages that wait as they will be read; those that will not be read are marked."""
        beside, notes = _texts(self.beside), _texts(self.notes)
        return [_changed(message, beside.get(message.id, ""), notes.get(message.id, "")) for message in messages]


def _changed(message: QueueMessage, beside: str, note: str) -> QueueMessage:
    if len(beside) > 1:
        edit = decode(beside[1:])
        return edited(message, edit, keeps_text=beside[0] == _KEPT) if edit else message
    if beside:
        return _unread(message, "deleted", beside)
    if note and message.status != "processing":
        return _unread(message, "deleted" if note[0] == "d" else "noted", note[1:2])
    return message


def _unread(message: QueueMessage, how: str, letter: str) -> QueueMessage:
    if letter != _KEPT:
        message = msgspec.structs.replace(message, message="", message_data={})
    return msgspec.structs.replace(message, changed=how)


def _texts(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    return {text(name): text(value) for name, value in fields.items()}
