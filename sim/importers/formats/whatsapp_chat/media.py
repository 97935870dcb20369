"""Media in the messages of a chat export: placeholders, and the names of attached files."""

from __future__ import annotations

import re

from sim.importers.formats.whatsapp_chat.headers import MARKS
from sim.importers.formats.whatsapp_chat.phrases import CALL, CONTACT, DELETED, EDITED, KINDS, OMITTED

PLACEHOLDER_CHARACTERS_MAX = 60
_PLACEHOLDER_WORDS_MAX = 3
UNKNOWN_KIND = "media"
"""Kind of media whose kind is unknown."""

_EXTENSIONS = {
    "image": "jpg jpeg png heic heif bmp tif tiff",
    "video": "mp4 mov 3gp avi mkv webm",
    "audio": "opus mp3 m4a aac ogg oga amr wav mpeg",
    "sticker": "webp",
    "contacts": "vcf",
    "document": "pdf doc docx odt rtf txt xls xlsx ods csv ppt pptx odp key pages numbers zip rar 7z gz apk json xml "
    "html htm ofx epub psd ai cdr svg dwg dxf eml ics gif mid exe msi p7s xps",
}
_KIND_BY_EXTENSION = {
    extension: kind for kind, extensions in _EXTENSIONS.items() for extension in extensions.split()
}
_FILE_IN_BRACKETS = re.compile(
    rf"[{MARKS}]*<[{MARKS}]*[^<>:：]{{2,40}}[:：]\s?(?P<file>[^<>]*?\.\w{{2,5}})[{MARKS}\s]*>"
)
"""Attached file in an export from iOS: `<attached: 00000012-PHOTO-2024-09-17-21-40-05.jpg>`."""
_FILE_ATTACHED = re.compile(
    rf"(?P<file>[^\n<>]{{1,250}}?\.\w{{0,5}})\s[(<][{MARKS}]*[^()<>\n]{{3,60}}[)>](?:\n(?P<caption>.*))?",
    re.DOTALL,
)
"""Attached file in an export from Android, with its caption below: `IMG-20240917-WA0001.jpg (file attached)`."""
_FILE_NAMED = re.compile(r"(?P<file>(?:IMG|VID|AUD|PTT|STK|DOC|GIF)-\d{8}-WA\d+\.\w{0,5})(?:\s.{0,60})?")
_ONLY_IN_BRACKETS = re.compile(rf"<[{MARKS}]*[^<>\n:]{{3,80}}>")
_EDITED_MARKED = re.compile(rf"\s*[\u200e\u200f][{MARKS}]*<[^<>\n]{{4,80}}>[{MARKS}]*$")
_BEGINS_MARKED = re.compile(f"^[{MARKS}]*[\u200e\u200f][{MARKS}]*")
_MARKS = re.compile(f"[{MARKS}]+")
_MARKS_AROUND = "\u200e\u200f\u202a\u202c"


def read_media(body: str, *, is_marked: bool) -> tuple[str, str] | None:
    """Return caption and kind of a message that is media; None for any other message.

    `is_marked` says that a direction mark stands before the date, as iOS writes it before media.
    """
    plain = without_marks(body)
    if match := _FILE_IN_BRACKETS.search(body):
        return _caption(body[: match.start()] + body[match.end() :]), _kind_of_file(match["file"])
    if (match := _FILE_ATTACHED.fullmatch(plain)) and _is_file(match["file"]):
        return (match["caption"] or "").strip(), _kind_of_file(match["file"])
    if match := _FILE_NAMED.fullmatch(plain):
        return "", _kind_of_file(match["file"])
    if _ONLY_IN_BRACKETS.fullmatch(plain) or _is_unmarked_placeholder(body, plain):
        return "", _kind_of_words(plain)
    if begins_marked(body) and is_short_notice(plain):
        return None
    return _marked_placeholder(body, is_marked=is_marked)


def begins_marked(body: str) -> bool:
    """Return True for a body that begins with a direction mark, as WhatsApp's own notices do on iOS."""
    return _BEGINS_MARKED.match(body) is not None


def is_short_notice(plain: str) -> bool:
    """Return True for a notice that is as short as a placeholder for media."""
    return CALL.match(plain) is not None or CONTACT.fullmatch(plain) is not None


def _is_unmarked_placeholder(body: str, plain: str) -> bool:
    """Return True for words such as "image omitted" without a mark, as older iOS versions write them."""
    if _last_marked_part(body) is not None or len(plain) > PLACEHOLDER_CHARACTERS_MAX:
        return False
    if CALL.match(plain):
        return False
    is_short = len(plain.split()) <= _PLACEHOLDER_WORDS_MAX and plain[-1] not in "?!.…"
    return is_short and OMITTED.search(plain) is not None and _kind_of_words(plain) != UNKNOWN_KIND


def _marked_placeholder(body: str, *, is_marked: bool) -> tuple[str, str] | None:
    last = _last_marked_part(body)
    if last is None or len(last) > PLACEHOLDER_CHARACTERS_MAX or "\n" in last or DELETED.fullmatch(last):
        return None
    if not is_marked and not OMITTED.search(last):
        return None
    return _caption(body[: body.rfind(last)]), _kind_of_words(last)


def _last_marked_part(body: str) -> str | None:
    """Return the text after the last direction mark of a body; None if there is none."""
    index = max(body.rstrip(_MARKS_AROUND + " \n").rfind(mark) for mark in "\u200e\u200f")
    return None if index < 0 else without_marks(body[index:])


def _caption(text: str) -> str:
    return without_edit_note(text).strip("\u2022 \n\t" + _MARKS_AROUND)


def _is_file(name: str) -> bool:
    return name.rpartition(".")[2].lower() in _KIND_BY_EXTENSION or _FILE_NAMED.fullmatch(name) is not None


def _kind_of_file(name: str) -> str:
    if name.startswith(("AUD-", "PTT-")):
        return "audio"
    return _KIND_BY_EXTENSION.get(name.rpartition(".")[2].lower(), "document")


def _kind_of_words(words: str) -> str:
    return next((kind for kind, pattern in KINDS.items() if pattern.search(words)), UNKNOWN_KIND)


def without_marks(text: str) -> str:
    """Return a text without zero-width characters, and without white space around it."""
    return _MARKS.sub("", text).strip()


def without_edit_note(text: str) -> str:
    """Return a text without WhatsApp's note that it was edited."""
    return EDITED.sub("", _EDITED_MARKED.sub("", text))
