"""Edits and deletions that wait beside a conversation's list: what its messages will be when they are read.

`redis/scripts/changes.lua` describes how they are kept; a claim applies them there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from queue_core.message import Changed, QueueMessage, change_of, decode, edited
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
        return [
            _changed(message, beside.get(message.id, ""), notes.get(message.id, "")) for message in messages
        ]


def carried_out(messages: Sequence[QueueMessage]) -> tuple[QueueMessage, ...]:
    """Return messages of a turn with the changes among them carried out, for what waits elsewhere than in the queue.

    Messages that were deleted are left out. A deletion of something else says nothing; an edit of it is read.
    """
    read = list(messages)
    for message in messages:
        change = change_of(message)
        if change is None:
            continue
        targets = [it for it in read if it.id == change.target_id]
        if change.what == "deletion":
            read = [it for it in read if it not in targets and it is not message]
        elif targets:
            new = [edited(it, message, keeps_text=False) if it in targets else it for it in read]
            read = [it for it in new if it is not message]
    return tuple(read)


def _changed(message: QueueMessage, beside: str, note: str) -> QueueMessage:
    if len(beside) > 1:
        edit = decode(beside[1:])
        return edited(message, edit, keeps_text=beside[0] == _KEPT) if edit else message
    if beside:
        return _unread(message, "deleted", beside)
    if note and message.status != "processing":
        return _unread(message, "deleted" if note[0] == "d" else "noted", note[1:2])
    return message


def _unread(message: QueueMessage, how: Changed, letter: str) -> QueueMessage:
    if letter != _KEPT:
        message = msgspec.structs.replace(message, message="", message_data={})
    return msgspec.structs.replace(message, changed=how)


def _texts(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    return {text(name): text(value) for name, value in fields.items()}
