"""Content of a message of WhatsApp Web, of any kind, without its wrappers; edits and deletions are recognised."""

from __future__ import annotations

from typing import Any

from queue_core.channels import content as contents
from queue_core.channels.base import InvalidWebhookError, SkippedError
from queue_core.channels.content import Content
from queue_core.channels.phrases import Phrases
from queue_core.channels.values import Object, at, text
from queue_core.channels.whatsapp_web.context import read_context
from queue_core.channels.whatsapp_web.kinds import KINDS, MEDIA_FIELDS, OTHER_FIELDS, UNWRITTEN
from queue_core.channels.whatsapp_web.unwrapping import unwrapped

QUOTES_MAX = 1
"""Limit on messages quoted inside each other."""
_REVOKE, _EDIT = ("REVOKE", 0), ("MESSAGE_EDIT", 14)
_EDIT_OF_MESSAGE = ("MESSAGE_EDIT", 2)
"""Kinds of `secretEncryptedMessage` that edit a message; others edit an event."""
_WITHOUT_CONTENT = frozenset({None, 0, 2, 3, "", "UNKNOWN", "CIPHERTEXT", "FUTUREPROOF"})
"""Stub types of messages that WhatsApp did not decrypt, or has not decrypted yet."""
_DELETED_STUBS = frozenset({1, "REVOKE"})
_CALL_STUBS = frozenset(
    {
        *(40, 41, 45, 46, 169, 170),
        *("CALL_MISSED_VOICE", "CALL_MISSED_VIDEO", "CALL_MISSED_GROUP_VOICE", "CALL_MISSED_GROUP_VIDEO"),
        *("SILENCED_UNKNOWN_CALLER_AUDIO", "SILENCED_UNKNOWN_CALLER_VIDEO"),
    }
)


def read_content(phrases: Phrases, message: Any, item: Object, *, quotes: int = 0) -> Content:
    """Return the content of a message; `item` is the provider's object around it.

    Raises SkippedError for a message that no user wrote, and for one without content: WhatsApp could not decrypt it
    yet, and delivers it again later with content and the same id. Raises InvalidWebhookError for content of a wrong
    form.
    """
    if not isinstance(message, dict | None):
        raise InvalidWebhookError("the content of the message is not an object")
    inner, is_edited = unwrapped(message, _is_kind)
    content = _kind_of(phrases, inner, item)

    def read_quoted(quoted: Any) -> Content | None:
        if quotes >= QUOTES_MAX:
            return None
        try:
            return read_content(phrases, quoted, {}, quotes=quotes + 1)
        except (SkippedError, InvalidWebhookError):
            return None

    context = read_context(phrases, item, inner, read_quoted)
    content = contents.with_notes(content, context.notes, context.facts)
    if not content.text:
        raise SkippedError("empty")
    return contents.edit(phrases, "", content) if is_edited and not content.change else content


def _is_kind(kind: str) -> bool:
    return (
        kind in KINDS
        or kind in UNWRITTEN
        or kind in ("conversation", "protocolMessage", "secretEncryptedMessage")
    )


def _check_forms(content: Object) -> None:
    """Raise InvalidWebhookError for content of a known kind that has a wrong form."""
    for kind, part in content.items():
        expected = str if kind == "conversation" else dict
        if part in (None, "") or isinstance(part, expected):
            continue
        if kind == "conversation" or kind in KINDS:
            raise InvalidWebhookError(f"the {kind} is not {'a text' if expected is str else 'an object'}")
    words = at(content, "extendedTextMessage", "text")
    if words is not None and not isinstance(words, str):
        raise InvalidWebhookError("the field `text` of extendedTextMessage is not a text")


def _kind_of(phrases: Phrases, content: Object, item: Object) -> Content:
    _check_forms(content)
    if words := text(content.get("conversation")):
        return Content(kind="text", text=words)
    for kind, part in content.items():
        if not isinstance(part, dict) or kind in OTHER_FIELDS:
            continue
        if kind == "protocolMessage":
            return read_protocol(phrases, part)
        if kind == "secretEncryptedMessage":
            return _encrypted_edit(phrases, part)
        if kind in KINDS:
            beside = {name: content[name] for name in MEDIA_FIELDS if name in content}
            return KINDS[kind](phrases, {**part, **beside})
    return _other(phrases, content, item)


def read_protocol(phrases: Phrases, part: Object) -> Content:
    """Return an edit or a deletion. Raises SkippedError for protocol messages between the phones."""
    target = text(at(part, "key", "id"))
    kind = part.get("type", 0 if target else None)
    if kind in _REVOKE and not isinstance(kind, bool):
        return contents.deletion(phrases, target)
    if kind in _EDIT:
        try:
            return contents.edit(
                phrases, target, read_content(phrases, part.get("editedMessage"), {}, quotes=QUOTES_MAX)
            )
        except (SkippedError, InvalidWebhookError):
            return contents.edit(phrases, target, None)
    raise SkippedError("protocol")


def _encrypted_edit(phrases: Phrases, part: Object) -> Content:
    target = text(at(part, "targetMessageKey", "id"))
    if part.get("secretEncType") in _EDIT_OF_MESSAGE:
        return contents.edit(phrases, target, None)
    return contents.placeholder(phrases, "event", "edited event")


def _other(phrases: Phrases, content: Object, item: Object) -> Content:
    names = [
        name for name, part in content.items() if name not in OTHER_FIELDS and part not in (None, "", {})
    ]
    if unknown := next((name for name in names if not _is_kind(name)), ""):
        shown = unknown.removesuffix("Message")
        return contents.unsupported(phrases, shown, unknown=unknown, part=content[unknown])
    if reason := next((UNWRITTEN[name] for name in content if name in UNWRITTEN), ""):
        raise SkippedError(reason)
    stub = item.get("messageStubType")
    stub = stub if isinstance(stub, int | str) else None
    if stub in _DELETED_STUBS:
        return contents.deletion(phrases, text(at(item, "key", "id")))
    if stub in _WITHOUT_CONTENT:
        is_empty = not item or (stub is None and "conversation" in content)
        raise SkippedError("empty" if is_empty else "undecrypted")
    raise SkippedError("call" if stub in _CALL_STUBS else "system")
