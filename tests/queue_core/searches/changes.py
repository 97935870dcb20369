"""Edits and deletions of one conversation, as the contract has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

ChangeKind = Literal["edit", "deletion"]


@dataclass(frozen=True, slots=True)
class Edit:
    """An edit by the user. `ms` is the provider's time, `target` the id of the message that it edits."""

    id: str
    ms: int
    text: str
    target: str


@dataclass(frozen=True, slots=True)
class Note:
    """A change that came when its message could not be changed; `stands_for` is the id that is read instead, or ""."""

    what: ChangeKind
    ms: int
    stands_for: str


@dataclass(slots=True)
class Changes:
    """Changes of a conversation that are not carried out yet."""

    beside: dict[str, Edit | None] = field(default_factory=dict)
    """Edits that wait to be carried out, by the id of the edited message; None for a deletion."""
    notes: dict[str, Note] = field(default_factory=dict)
    is_reply_outdated: bool = False
    """True if a message was changed while it was being answered."""

    def is_overruled(self, what: ChangeKind, ms: int, target: str) -> bool:
        """Return True if a later change of the message, or its deletion, came first."""
        note = self.notes.get(target)
        if note is None:
            return False
        return note.what == "deletion" or (what == "edit" and 0 < ms < note.ms)

    def id_of(self, target: str) -> str:
        """Return the id that is read for a message: its own, or an edit's."""
        note = self.notes.get(target)
        return note.stands_for if note and note.stands_for else target

    def note_on(self, message_id: str, target: str) -> Note | None:
        """Return the note on a message; for an edit of `target`, the deletion of that message counts more."""
        note = self.notes.get(target)
        return note if note and note.what == "deletion" else self.notes.get(message_id)

    def is_deleted(self, message_id: str, target: str) -> bool:
        """Return True if the deletion of a message, or of the message that it edits, is noted."""
        note = self.note_on(message_id, target)
        return note is not None and note.what == "deletion"

    def keep(self, target: str, edit: Edit | None) -> list[str]:
        """Keep a change for a message that waits. Return the ids of the changes that nobody needs any more."""
        if target in self.beside:
            earlier = self.beside[target]
            if edit and (earlier is None or 0 < edit.ms < earlier.ms):
                return [edit.id]
            self.beside[target] = edit
            return [earlier.id] if earlier else []
        self.beside[target] = edit
        return []
