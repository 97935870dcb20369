"""Words for messages without text, such as "[image]": the AI reads them, whatever the provider calls the kind."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

_DIGITS = re.compile(r"\s*-?[0-9]{1,20}\s*")
NAME_CHARACTERS_MAX = 200
"""Limit on a name inside a placeholder; a longer one is cut."""


def media(kind: str, content: Mapping[str, Any]) -> str:
    """Returns the caption, or else words such as "[image]", "[voice message, 7 s]" or "[document: offer.pdf]"."""
    if caption := text(content.get("caption")):
        return caption
    if kind == "document":
        return described(
            "document", text(content.get("fileName") or content.get("filename") or content.get("title"))
        )
    if kind == "audio":
        is_voice = content.get("ptt") is True or content.get("voice") is True
        length = whole_number(content.get("seconds"))
        return f"[{'voice message' if is_voice else 'audio'}{f', {length} s' if length else ''}]"
    return f"[{kind}]"


def location(content: Mapping[str, Any]) -> str:
    """Describes a location by name, address and coordinates, as far as they are known."""
    names = [text(content.get("name")), text(content.get("address"))]
    latitude = content.get("latitude", content.get("degreesLatitude"))
    longitude = content.get("longitude", content.get("degreesLongitude"))
    description = ", ".join(name for name in names if name)
    if is_coordinate(latitude) and is_coordinate(longitude):
        description = f"{description} ({latitude},{longitude})".strip()
    return described("location", description)


def contacts(names: list[str]) -> str:
    """Describes cards of contacts by their names."""
    return described("contact" if len(names) == 1 else "contacts", ", ".join(name for name in names if name))


def described(kind: str, detail: str) -> str:
    """Returns `[kind: detail]`, or `[kind]` without a detail."""
    return f"[{kind}: {detail}]" if detail else f"[{kind}]"


def unsupported(kind: str) -> str:
    """Describes a kind that this version does not know, or that the provider does not pass on."""
    return described("unsupported message", kind)


def text(value: Any) -> str:
    """Returns a text as it is; "" for anything else."""
    return value if isinstance(value, str) else ""


def name(value: Any) -> str:
    """Returns a name on one line, cut to NAME_CHARACTERS_MAX; "" for anything but a text."""
    return " ".join(text(value).split())[:NAME_CHARACTERS_MAX]


def whole_number(value: Any) -> int:
    """Reads a number written as 12, 12.0, "12" or the protobuf Long {"low": 12, "high": 0}; 0 for anything else."""
    if isinstance(value, Mapping):
        low, high = whole_number(value.get("low")), whole_number(value.get("high"))
        return (high << 32) + (low & 0xFFFFFFFF)
    if isinstance(value, bool):
        return 0
    if isinstance(value, str):
        return int(value) if _DIGITS.fullmatch(value) else 0
    if isinstance(value, float) and math.isfinite(value):
        return int(value)
    return value if isinstance(value, int) else 0


def timestamp_ms(value: Any) -> int:
    """Converts Unix seconds to milliseconds; milliseconds are returned as they are, and 0 for anything else."""
    seconds = whole_number(value)
    if not 0 < seconds < 2**53 // 1000:
        return 0
    return seconds if seconds > 100_000_000_000 else seconds * 1000


def is_coordinate(value: Any) -> bool:
    """Returns True for a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
