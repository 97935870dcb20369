"""Reader of vCards, as phones send contacts: names and numbers, no photos."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from queue_core.channels.values import filled, name

CARD_CHARACTERS_MAX = 200_000
"""Limit on the length of a card; the rest of a longer one is not read."""
VALUES_MAX = 20
"""Limit on the phone numbers, and on the mail addresses, of one card."""
_LINE = re.compile(
    r"^(?:item\d+\.)?(FN|N|TEL|EMAIL|ORG)(?:;[^:\r\n]*)?:([^\r\n]*)", re.IGNORECASE | re.MULTILINE
)
_BETWEEN_PARTS = re.compile(r"(?<!\\);")
_SPOKEN = (3, 1, 2, 0, 4)
"""Indexes of the parts of N as they are spoken: title, given name, further names, family name, titles after it.

Source: RFC 6350, section 6.2.2.
"""


def read_vcard(card: str, *, display_name: str = "") -> dict[str, Any]:
    """Return {"name", "phones", "emails", "organisation"} of a card, as far as they are known."""
    by_field: dict[str, list[str]] = {}
    for line in _LINE.finditer(card[:CARD_CHARACTERS_MAX]):
        value = name(line[2])
        values = by_field.setdefault(line[1].upper(), [])
        if value and value not in values and len(values) < VALUES_MAX:
            values.append(value)
    names = (
        display_name,
        *map(_unescaped, by_field.get("FN", ())),
        *(_joined(_parts(value), order=_SPOKEN) for value in by_field.get("N", ())),
    )
    return filled(
        name=next((known for known in names if known), ""),
        phones=[_unescaped(value) for value in by_field.get("TEL", ())],
        emails=[_unescaped(value) for value in by_field.get("EMAIL", ())],
        organisation=next((_joined(_parts(value)) for value in by_field.get("ORG", ())), ""),
    )


def _parts(value: str) -> list[str]:
    """Return the parts of a value between semicolons. In a part, a backslash stands before its own semicolons."""
    return [_unescaped(part) for part in _BETWEEN_PARTS.split(value)]


def _unescaped(value: str) -> str:
    return value.replace("\\,", ",").replace("\\;", ";")


def _joined(parts: Sequence[str], *, order: Iterable[int] | None = None) -> str:
    return " ".join(parts[at] for at in order or range(len(parts)) if at < len(parts) and parts[at])
