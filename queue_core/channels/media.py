"""Removal of media from a webhook, replaced by length and hash, so that photos cannot fill Redis."""

from __future__ import annotations

import hashlib
import re
from typing import Any

_BASE64 = re.compile(r"(?:data:[\w.+-]+/[\w.+;=-]+;base64,)?[A-Za-z0-9+/_\-\r\n]+={0,2}[\r\n]*")
_TEXTS = frozenset(
    {
        "text",
        "body",
        "caption",
        "conversation",
        "title",
        "description",
        "pushName",
        "contentText",
        "speechToText",
    }
)
"""Keys of texts that a person wrote, which are never taken for media, whatever they look like."""
_MEDIA = frozenset({"base64", "jpegThumbnail", "JPEGThumbnail", "pngThumbnail", "thumbnail"})
"""Keys whose value is media, even if it is not clean base64."""


KEEP_MEDIA = 1 << 62
"""Value of `characters_max` with which `without_media` keeps all media: for webhooks that are small or not stored."""
DEPTH_MAX = 100
"""Limit on nesting; deeper values are left out."""
_CONTAINERS = (dict, list)


def without_media(value: Any, characters_max: int, *, depth: int = 0) -> Any:
    """Return a copy in which {"omitted": "base64", "bytes": …, "sha256": …} replaces media over `characters_max`.

    `sha256` is the hash of the string in the webhook; the provider still has the media, under the message's key. Bytes
    in JavaScript's forms, a list of numbers or an object with numbered keys, are replaced too.
    """
    if characters_max == KEEP_MEDIA:
        return value
    if not isinstance(value, _CONTAINERS):
        is_media = isinstance(value, str) and len(value) > characters_max and _BASE64.fullmatch(value)
        return _omitted(value) if is_media else value
    if len(value) > characters_max:
        items = value.values() if isinstance(value, dict) else value
        if all(type(item) is int and 0 <= item <= 255 for item in items):
            return {"omitted": "bytes", "bytes": len(value)}
    if depth >= DEPTH_MAX:
        return {"omitted": "nested too deeply"}
    if isinstance(value, dict):
        return {key: _item(key, item, characters_max, depth + 1) for key, item in value.items()}
    return [without_media(item, characters_max, depth=depth + 1) for item in value]


def _item(key: str, item: Any, characters_max: int, depth: int) -> Any:
    if isinstance(item, str):
        if len(item) <= characters_max or key in _TEXTS:
            return item
        if key in _MEDIA:
            return _omitted(item)
    return without_media(item, characters_max, depth=depth)


def _omitted(value: str) -> dict[str, Any]:
    encoded = value.partition(";base64,")[2] or value
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
    return {"omitted": "base64", "bytes": len(encoded.rstrip("= \r\n")) * 3 // 4, "sha256": digest}
