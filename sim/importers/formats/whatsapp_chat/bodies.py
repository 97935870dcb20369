"""Content of a message of a chat export: a text, media, a deleted message, or a notice of WhatsApp's own.

Phones write notices in their own language. Many notices are recognised by their form in any language: a direction mark
before the body, a text in `<…>`, a file's name. `phrases.py` has words for the others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sim.importers.formats.whatsapp_chat.media import (
    UNKNOWN_KIND,
    begins_marked,
    read_media,
    without_edit_note,
    without_marks,
)
from sim.importers.formats.whatsapp_chat.phrases import CALL, DELETED, ENCRYPTION

NOTICE, DELETION = "notice", "deletion"
_MARKED_LINE = re.compile("(?:^|\n)[\u200e\u200f]")
_MAP = re.compile(
    r"https://(?:maps\.google\.com/(?:maps)?\?q=|maps\.app\.goo\.gl/|foursquare\.com/v/)\S+\s*$"
)
_PLACE_CHARACTERS_MAX = 400
_ENCRYPTION_CHARACTERS_MIN = 50


@dataclass(frozen=True, slots=True)
class Body:
    """Content of a message. `kind` is a kind of recordings, NOTICE, or DELETION for a deleted message."""

    text: str
    kind: str = "text"


def read_body(body: str, *, is_marked: bool, may_be_notice: bool) -> Body:
    """Read the body of a message.

    `is_marked` says that a direction mark stands before the message's date, which means media. `may_be_notice` says
    that this kind of phone (iOS) writes an author before notices too.
    """
    plain = without_marks(body)
    if not plain:
        return Body("", UNKNOWN_KIND)
    if media := read_media(body, is_marked=is_marked):
        return Body(*media)
    if kind := _kind(body, plain, may_be_notice=may_be_notice):
        return Body("" if kind == DELETION else plain, kind)
    return Body(without_edit_note(body))


def _kind(body: str, plain: str, *, may_be_notice: bool) -> str:
    """Return the kind of a body that is not media; "" for a text."""
    is_from_whatsapp = begins_marked(body)
    if DELETED.fullmatch(plain):
        return DELETION
    if len(plain) < _PLACE_CHARACTERS_MAX and _MAP.search(plain):
        return "location"
    if is_from_whatsapp and len(_MARKED_LINE.findall(body)) > 1:
        return "poll"
    if is_encryption_notice(plain) or CALL.match(plain) or (is_from_whatsapp and may_be_notice):
        return NOTICE
    return ""


def is_encryption_notice(plain: str) -> bool:
    """Return True for the notice of encryption, in any language, with which most chats begin."""
    names_whatsapp = "WhatsApp" in plain or "واتساب" in plain
    return names_whatsapp and speaks_of_encryption(plain)


def speaks_of_encryption(plain: str) -> bool:
    """Return True for a sentence about encryption. Without an author before it, it comes from WhatsApp."""
    return len(plain) > _ENCRYPTION_CHARACTERS_MIN and ENCRYPTION.search(plain) is not None
