"""Time zones by name: those of the tz database, and fixed offsets such as UTC+03:00."""

from __future__ import annotations

import re
from datetime import timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

_OFFSET = re.compile(r"UTC([+-])([01]\d|2[0-3]):([0-5]\d)")


def zone_named(name: str) -> tzinfo:
    """Return the zone of this name, as `str(zone)` writes it. Raises ValueError if there is none."""
    if match := _OFFSET.fullmatch(name):
        offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
        return timezone(-offset if match[1] == "-" else offset)
    try:
        return ZoneInfo(name)
    except (KeyError, OSError):
        raise ValueError(f"there is no time zone {name!r}") from None
