"""Reader of vCards, as phones send contacts: names and numbers, no photos."""

from __future__ import annotations

import re
from typing import Any

from queue_core.channels.values import filled, name

CARD_CHARACTERS_MAX = 200_000
"""Limit on the length of a card; the rest of a longer one is not read."""
VALUES_MAX = 20
"""Limit on the phone numbers, and on the mail addresses, of one card."""
_LINE = re.compile(
    r"^(?:item\d+\.)?(FN|N|TEL|EMAIL|ORG)(?:;[^:\r\n]*)?:([^\r\n]*)", re.IGNORECASE | re.MULTILINE
)


def read_vcard(card: str, *, display_name: str = "") -> dict[str, Any]:
    """Return {"name", "phones", "emails", "organisation"} of a card, as far as they are known."""
    by_field: dict[str, list[str]] = {}
    for line in _LINE.finditer(card[:CARD_CHARACTERS_MAX]):
        value = name(line[2].replace("\\,", ",").replace("\\;", ";"))
        values = by_field.setdefault(line[1].upper(), [])
        if value and value not in values and len(values) < VALUES_MAX:
            values.append(value)
    names = (
        display_name,
        *by_field.get("FN", ()),
        *(" ".join(part for part in reversed(parts.split(";")) if part) for parts in by_field.get("N", ())),
    )
    return filled(
        name=next((known for known in names if known), ""),
        phones=by_field.get("TEL", []),
        emails=by_field.get("EMAIL", []),
        organisation=next((value.replace(";", " ").strip() for value in by_field.get("ORG", ())), ""),
    )
