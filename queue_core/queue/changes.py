"""Edits and deletions that users made, kept beside a conversation's list of messages until a claim applies them.

`redis/scripts/changes.lua` describes how Redis keeps them.
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
    """Deletions, and edits of messages that were not in the list, or that a worker was answering."""

    def applied_to(self, messages: Iterable[QueueMessage]) -> list[QueueMessage]:
        """Return waiting messages with their changes applied; `changed` says which of them no handler will read."""
        beside, notes = _texts(self.beside), _texts(self.notes)
        return [
            _changed(message, beside.get(message.id, ""), _note_on(message, notes)) for message in messages
        ]


def with_changes(messages: Sequence[QueueMessage]) -> tuple[QueueMessage, ...]:
    """Apply the edits and deletions among the messages of a turn to the other messages, and return what is left.

    The legacy buffer needs this, since it stores changes as messages. A deletion is never left; an edit is left only if
    the edited message is not in the turn.
    """
    left = list(messages)
    for message in messages:
        change = change_of(message)
        if change is None:
            continue
        targets = [other for other in left if other.id == change.target_id]
        if change.what == "deletion":
            left = [other for other in left if other not in targets and other is not message]
        elif targets:
            new = [edited(other, message, keeps_text=False) if other in targets else other for other in left]
            left = [other for other in new if other is not message]
    return tuple(left)


def _note_on(message: QueueMessage, notes: Mapping[str, str]) -> str:
    """Return the note on a message. For an edit, a deletion of the edited message comes before its own note."""
    change = change_of(message)
    note = notes.get(change.target_id, "") if change and change.what == "edit" else ""
    return note if note.startswith("d") else notes.get(message.id, "")


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
