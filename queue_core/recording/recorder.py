"""Live recorder, which writes down the messages that arrive at a bot, and what becomes of them, as it happens.

`python -m sim replay` reads the recordings. The folder has two kinds of files, both with one JSON object per line:

- `recording-<UTC>-<pid>.jsonl`: the messages that a process received, and what became of them in that process. A replay
  of the folder reads these files.
- `outcomes-<UTC>-<pid>.ndjson`: what became of messages that other processes, or this one before a restart, received.

Phones and message ids (some hold the phone) are replaced by a keyed hash, and so is an instance named after a number.
Texts are left out unless the settings ask for them. A recorder only observes: it never raises, and gives up before it
harms the bot.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypedDict

from queue_core.message import Batch, QueueMessage, well_formed
from queue_core.recording.files import Kind, RecordingFiles
from queue_core.recording.format import (
    IDS_MAX,
    LENGTH_MAX,
    SPAN_MS_MAX,
    TEXT_LENGTH_MAX,
    BatchTaken,
    Delete,
    Edit,
    Fault,
    FaultState,
    GivenUp,
    Header,
    MessageEvent,
    OtherEvent,
    Reply,
)
from queue_core.recording.pseudonyms import Pseudonyms, without_numbers
from queue_core.recording.writer import free_line, header_line, message_line, other_line

MAX_BYTES = 1024**3
"""Limit on the bytes that one Recorder writes, since it may share its disk with Redis, which must have space."""
REASON_LENGTH_MAX = 200
FIELDS_MAX = 100

_KIND_WORD = re.compile(r"(?!.*[0-9]{4})[A-Za-z][A-Za-z0-9_-]{0,63}")
_UNFORESEEN = re.compile(r"(?:handle|send|complete): \w+")

_log = logging.getLogger(__name__)


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class _Whose(TypedDict):
    """Conversation of an event, and its messages."""

    instance: str
    phone: str
    ids: tuple[str, ...]


class Recorder:
    """Writer of recordings into `folder`. Folder and files are made when there is something to write.

    With the same `hash_key` a user has the same hash in all files; without a key each Recorder makes its own. Each line
    is one write at the end of the file, so that a killed process cuts the last line at most. If writing fails, there is
    one warning, and events are only counted until it works again. Not thread-safe.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        show_text: bool = False,
        hash_key: bytes | None = None,
        kind: Kind = "recording",
        max_bytes: int = MAX_BYTES,
        now_ms: Callable[[], int] = _wall_clock_ms,
    ) -> None:
        self._show_text = show_text
        self._names = Pseudonyms(hash_key or secrets.token_bytes(32))
        self._kind = kind
        self._now_ms = now_ms
        self._files = RecordingFiles(Path(folder), max_bytes, now_ms, self._header)
        self._warned_of_event = False

    def message(self, message: QueueMessage, kind: str) -> None:
        """Record a delivery of a message when it arrives; a repeated delivery is recorded too.

        An edit or a deletion is recorded both as a message and as a change.
        """
        self._record("message", lambda at_ms: self._arrival(message, kind, at_ms))
        change = message.message_data.get("change")
        if isinstance(change, Mapping) and change.get("id"):
            self._record("change", lambda at_ms: self._change(message, change, at_ms))

    def acknowledged(self, message: QueueMessage, how: str) -> None:
        """Record that a message was acknowledged, and how: "queued", "duplicate" and so on."""
        self._note("note", lambda: {**self._of(message), "what": "acknowledged", "how": how})

    def fallback(self, message: QueueMessage) -> None:
        """Record that a message was answered directly, since Redis was away."""
        self._note("fallback", lambda: self._of(message))

    def batch(self, batch: Batch) -> None:
        """Record that a worker took a turn."""
        self._record_other(
            lambda at_ms: BatchTaken(
                at=at_ms, **self._whose(batch), trigger=batch.trigger, attempt=batch.attempt
            )
        )

    def reply(
        self,
        batch: Batch,
        reply: str,
        needs_data_collection: bool = False,
        requested_fields: tuple[str, ...] = (),
    ) -> None:
        """Record the reply to a turn. An answer that was dropped is not recorded."""

        def line(at_ms: int) -> str:
            is_cut = len(reply) > TEXT_LENGTH_MAX
            event = Reply(
                at=at_ms,
                **self._whose(batch),
                who="bot",
                text=_clean(reply) if self._show_text else "",
                characters=min(len(reply), LENGTH_MAX) if is_cut or not self._show_text else None,
            )
            free: dict[str, object] = {"x_requested": len(requested_fields)} if requested_fields else {}
            if needs_data_collection:
                free["x_needs_data_collection"] = True
            if self._show_text and requested_fields:
                free["x_requested_fields"] = [_clean(name)[:200] for name in requested_fields[:FIELDS_MAX]]
            return other_line(event, free)

        self._record("reply", line)

    def reply_of_others(self, instance: str, phone: str, reply_id: str) -> None:
        """Record that somebody other than the bot wrote to a user from the bot's number."""

        def event(at_ms: int) -> Reply:
            return Reply(
                at=at_ms,
                instance=self._names.instance(instance),
                phone=self._names.phone(phone),
                who="human",
                id=self._names.message_id(reply_id) if reply_id else "",
            )

        self._record_other(event)

    def superseded(self, batch: Batch) -> None:
        """Record that a turn ended without a reply, since the turn had changed: the answer was dropped."""
        self._note("note", lambda: {**self._of(batch), "what": "superseded"})

    def sent(self, batch: Batch) -> None:
        """Record that a channel accepted the reply."""
        self._note("sent", lambda: self._of(batch))

    def dead_letter(self, about: Batch | QueueMessage, reason: str) -> None:
        """Record that messages became dead letters. Unless texts are kept, the reason does not quote users."""

        def event(at_ms: int) -> GivenUp:
            messages = about.messages if isinstance(about, Batch) else (about,)
            shown = _clean(reason) if self._show_text else _without_quotes(reason, messages)
            return GivenUp(at=at_ms, **self._whose(about), reason=shown)

        self._record_other(event)

    def fault(self, fault: str, state: FaultState, reason: str = "", *, instance: str = "") -> None:
        """Record that a fault begins or ends. Unless texts are kept, the reason has no phone numbers."""

        def event(at_ms: int) -> Fault:
            return Fault(
                at=at_ms,
                instance=self._names.instance(instance) if instance else "",
                phone="",
                fault=fault,
                state=state,
                reason=_clean(reason) if self._show_text else _without_quotes(reason, ()),
            )

        self._record_other(event)

    def note(self, text: str) -> None:
        """Record a remark of the operator or the program, word for word."""
        self._note("note", lambda: {"text": _clean(text)})

    def expire(self, older_than_ms: float) -> int:
        """Delete files of all recorders in the folder whose newest event is older than `older_than_ms`, and than a day.

        Files of this recorder that are a day old are closed, and new ones begin. Returns the number of deleted files.
        """
        return self._files.expire(older_than_ms)

    def close(self) -> None:
        """End the recording; later events are not recorded."""
        self._files.close()

    def _record_other(self, event_at: Callable[[int], OtherEvent]) -> None:
        self._record("other", lambda at_ms: other_line(event_at(at_ms)))

    def _note(self, event: str, fields: Callable[[], dict[str, Any]]) -> None:
        self._record(event, lambda at_ms: free_line(event, at_ms, fields()))

    def _record(self, event: str, line_at: Callable[[int], str]) -> None:
        try:
            line = line_at(self._now_ms()).encode()
        except Exception as error:  # noqa: BLE001 - a message that cannot be recorded is delivered all the same
            if not self._warned_of_event:
                self._warned_of_event = True
                _log.warning("an event cannot be recorded (reported once): %s", type(error).__name__)
            return
        # A replay refuses a recording without messages, so until the first message, events go to the other file.
        starts_file = event == "message" or self._kind == "outcomes"
        is_open = starts_file or self._files.is_open(self._kind)
        self._files.append(
            self._kind if is_open else "outcomes", line, starts_file=starts_file or not is_open
        )

    def _header(self, kind: Kind) -> bytes:
        texts = "texts as they were" if self._show_text else "texts left out"
        header = Header(
            title="Recorded live" if kind == "recording" else "What became of messages recorded elsewhere",
            source="burstqueue",
            notes="phones, ids, and instances with a number of seven digits or more in their names are keyed hashes; "
            + texts,
        )
        return header_line(header).encode()

    def _arrival(self, message: QueueMessage, kind: str, at_ms: int) -> str:
        is_plausible = message.timestamp > 0 and abs(message.timestamp - at_ms) < SPAN_MS_MAX
        # The queue treats each message without an id as a new message.
        unique_id = f"none-{self._names.message_id(secrets.token_hex(16))}"
        return message_line(
            MessageEvent(
                at=at_ms,
                is_iso=True,
                instance=self._names.instance(message.instance_name),
                phone=self._names.phone(message.user_phone),
                id=self._names.message_id(message.id) if message.id else unique_id,
                text=_clean(message.message) if self._show_text else "",
                kind=kind if _KIND_WORD.fullmatch(kind) else "other",
                timestamp=message.timestamp if is_plausible else None,
                characters=self._characters(message.message),
            )
        )

    def _change(self, message: QueueMessage, change: Mapping[str, Any], at_ms: int) -> str:
        """Write an edit or a deletion; `by` is the id of the message that brought it."""
        deletion = Delete(
            at=at_ms,
            instance=self._names.instance(message.instance_name),
            phone=self._names.phone(message.user_phone),
            id=self._names.message_id(str(change["id"])),
            by=self._names.message_id(message.id) if message.id else "",
        )
        if change.get("what") == "deletion":
            return other_line(deletion)
        return other_line(
            Edit(
                at=at_ms,
                instance=deletion.instance,
                phone=deletion.phone,
                id=deletion.id,
                by=deletion.by,
                text=_clean(message.message) if self._show_text else "",
                characters=self._characters(message.message),
            )
        )

    def _characters(self, text: str) -> int | None:
        """Return the length of a text that is left out or cut; None for one that is recorded whole."""
        is_whole = not text or (self._show_text and len(text) <= TEXT_LENGTH_MAX)
        return None if is_whole else min(len(text), LENGTH_MAX)

    def _whose(self, about: Batch | QueueMessage) -> _Whose:
        """Return the conversation and its messages, hashed."""
        ids = about.ids[:IDS_MAX] if isinstance(about, Batch) else (about.id,)
        return _Whose(
            instance=self._names.instance(about.instance_name),
            phone=self._names.phone(about.user_phone),
            ids=tuple(self._names.message_id(message_id) for message_id in ids if message_id),
        )

    def _of(self, about: Batch | QueueMessage) -> dict[str, Any]:
        """Return the fields that name the conversation and its messages, hashed."""
        fields: dict[str, Any] = {
            "instance": self._names.instance(about.instance_name),
            "phone": self._names.phone(about.user_phone),
        }
        if isinstance(about, Batch):
            fields["ids"] = [self._names.message_id(message_id) for message_id in about.ids[:IDS_MAX]]
        elif about.id:
            fields["id"] = self._names.message_id(about.id)
        return fields


def _clean(text: str) -> str:
    """Return a text as recordings allow it: without NUL and half surrogate pairs, and not too long."""
    return well_formed(text[:TEXT_LENGTH_MAX]).replace("\0", "\N{REPLACEMENT CHARACTER}")


def _without_quotes(reason: str, messages: tuple[QueueMessage, ...]) -> str:
    """Return a reason without texts of users and without phone numbers.

    Errors of the queue, its AI backends and channels do not quote users; of other errors only the type is kept.
    """
    if unforeseen := _UNFORESEEN.match(reason):
        return unforeseen[0][:REASON_LENGTH_MAX]
    if any(message.message and message.message in reason for message in messages):
        return "withheld: it quotes the message"
    return without_numbers(_clean(reason))[:REASON_LENGTH_MAX]
