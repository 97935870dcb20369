"""What the AI reads where a user sent no text: a few words in brackets, whatever the provider calls the kind."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

NAME_CHARACTERS_MAX = 200
"""A name inside a placeholder is cut to this."""


def media(kind: str, content: Mapping[str, Any]) -> str:
    """The caption; or what was sent: an image, a video, a voice message of so many seconds, a document by name."""
    if caption := words(content.get("caption")):
        return caption
    if kind == "document":
        return described(
            "document", words(content.get("fileName") or content.get("filename") or content.get("title"))
        )
    if kind == "audio":
        is_voice = content.get("ptt") is True or content.get("voice") is True
        length = whole_number(content.get("seconds"))
        return f"[{'voice message' if is_voice else 'audio'}{f', {length} s' if length else ''}]"
    return f"[{kind}]"


def location(content: Mapping[str, Any]) -> str:
    """Name, address and coordinates, as far as they are known."""
    names = [words(content.get("name")), words(content.get("address"))]
    latitude = content.get("latitude", content.get("degreesLatitude"))
    longitude = content.get("longitude", content.get("degreesLongitude"))
    place = ", ".join(name for name in names if name)
    if is_coordinate(latitude) and is_coordinate(longitude):
        place = f"{place} ({latitude},{longitude})".strip()
    return described("location", place)


def contacts(names: list[str]) -> str:
    """Whose cards were sent."""
    return described("contact" if len(names) == 1 else "contacts", ", ".join(name for name in names if name))


def described(kind: str, detail: str) -> str:
    """`[kind: detail]`, or `[kind]` without one."""
    return f"[{kind}: {detail}]" if detail else f"[{kind}]"


def unsupported(kind: str) -> str:
    """A kind that this version does not know, or that the provider does not pass on."""
    return described("unsupported message", kind)


def words(value: Any) -> str:
    """A text of a user as it is; "" for anything else."""
    return value if isinstance(value, str) else ""


def name(value: Any) -> str:
    """A name of something, on one line and not too long."""
    return " ".join(words(value).split())[:NAME_CHARACTERS_MAX]


def whole_number(value: Any) -> int:
    """From 12, 12.0 or "12", or as a protobuf Long {"low": 12, "high": 0}; 0 for anything else."""
    if isinstance(value, Mapping):
        low, high = whole_number(value.get("low")), whole_number(value.get("high"))
        return (high << 32) + (low & 0xFFFFFFFF)
    if isinstance(value, bool):
        return 0
    if isinstance(value, str) and value.strip().isascii() and value.strip().lstrip("-").isdigit():
        value = value.strip()[:20]
        return int(value) if value.lstrip("-").isdigit() else 0
    if isinstance(value, float) and math.isfinite(value):
        return int(value)
    return value if isinstance(value, int) else 0


def timestamp_ms(value: Any) -> int:
    """Unix milliseconds from Unix seconds, or from milliseconds where somebody sends those; 0 is unknown."""
    seconds = whole_number(value)
    if not 0 < seconds < 2**53 // 1000:
        return 0
    return seconds if seconds > 100_000_000_000 else seconds * 1000


def is_coordinate(value: Any) -> bool:
    """Whether it can stand in a location."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
