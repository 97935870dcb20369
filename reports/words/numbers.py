"""Numbers and times in words: durations, moments, shares, lists."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from reports.text import ELLIPSIS, NO_BREAK
from reports.words.language import direction, gettext

EN_DASH = "\u2013"
MINUS = "\u2212"
TIMES = "\u00d7"
LEFT_TO_RIGHT_MARK = "\u200e"


def duration(value_ms: float | None) -> str:
    """Write a duration such as `3.4 ms`, `850 ms`, `12.1 s`, `2 min 05 s`, `1 h 03 min`; a dash for None."""
    if value_ms is None:
        return EN_DASH
    sign, size = (MINUS, -value_ms) if value_ms < 0 else ("", value_ms)
    if size < 99.95 and size != round(size):
        return milliseconds(f"{sign}{size:.1f}")
    if size < 999.5:
        return milliseconds(f"{sign}{size:.0f}")
    if size < 59_950:
        return seconds(f"{sign}{size / 1000:.1f}")
    whole_s = round(size / 1000)
    if whole_s < 3600:
        parts = {"minutes": f"{sign}{whole_s // 60}", "seconds": f"{whole_s % 60:02}"}
        return _on_one_line(gettext("%(minutes)s min %(seconds)s s", **parts))
    whole_min = round(size / 60_000)
    parts = {"hours": f"{sign}{whole_min // 60:,}", "minutes": f"{whole_min % 60:02}"}
    return _on_one_line(gettext("%(hours)s h %(minutes)s min", **parts))


def in_two_parts(words: str) -> str:
    """Let a duration such as `2 min 05 s` break between its parts, for narrow columns."""
    return re.sub(f"({NO_BREAK}[^{NO_BREAK}]+){NO_BREAK}", r"\1 ", words)


def round_duration(value_ms: float) -> str:
    """Write a duration for an axis, without parts that are zero: `0.5 ms`, `2 s`, `5 min`, `1 h`."""
    value_ms = round(value_ms, 1)
    if value_ms < 100:
        return milliseconds(f"{value_ms:g}")
    for unit_ms, end_ms, write in (
        (1000, 60_000, seconds),
        (60_000, 3_600_000, minutes),
        (3_600_000, math.inf, hours),
    ):
        if unit_ms <= value_ms < end_ms and not value_ms % unit_ms:
            return write(f"{value_ms / unit_ms:,.0f}")
    return duration(value_ms)


def signed(sign: str, number: str) -> str:
    """Write a number with its sign on its left in every language, as the patterns of Unicode's CLDR do."""
    return (LEFT_TO_RIGHT_MARK if direction() == "rtl" else "") + sign + number


def milliseconds(value: str) -> str:
    """Write a number of milliseconds with the unit."""
    return _on_one_line(gettext("%(value)s ms", value=value))


def seconds(value: str) -> str:
    """Write a number of seconds with the unit."""
    return _on_one_line(gettext("%(value)s s", value=value))


def minutes(value: str) -> str:
    """Write a number of minutes with the unit."""
    return _on_one_line(gettext("%(value)s min", value=value))


def hours(value: str) -> str:
    """Write a number of hours with the unit."""
    return _on_one_line(gettext("%(value)s h", value=value))


def _on_one_line(text: str) -> str:
    return text.replace(" ", NO_BREAK)


def moment(at_ms: int) -> str:
    """Write a point on a recording's clock: `0 s`, `8.5 s`, `1 min`, `1 min 10 s`, `15:13:20` after the first hour."""
    sign = MINUS if at_ms < 0 else ""
    if abs(at_ms) < 60_000 and not at_ms % 1000:
        return seconds(f"{sign}{abs(at_ms) // 1000}")
    if abs(at_ms) < 3_600_000 and not at_ms % 60_000:
        return minutes(f"{sign}{abs(at_ms) // 60_000}")
    if abs(at_ms) < 3_600_000:
        return duration(at_ms)
    whole_min, rest_s = divmod(round(at_ms / 1000), 60)
    return f"{whole_min // 60}:{whole_min % 60:02}:{rest_s:02}"


def share(part: float) -> str:
    """Write a share in percent; only 0 itself is written as 0 %, and only 1 as 100 %."""
    if part <= 0:
        return f"0{NO_BREAK}%"
    if part >= 1:
        return f"100{NO_BREAK}%"
    percent = min(max(100 * part, 0.01), 99.99)
    digits = 1 if 10 <= percent <= 99.9 else 2
    return f"{percent:.{digits}f}{NO_BREAK}%"


def number_list(numbers: Sequence[int], *, last: str = "", parts_max: int = 0) -> str:
    """List numbers in ascending order, with runs such as 1 to 3 as ranges.

    `last` replaces the comma before the last part. Parts beyond `parts_max` are left out.
    """
    runs: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    parts: list[str] = []
    for low, high in runs:
        ends = [f"{low}", f"{high}"]
        parts += ends[low == high :] if high <= low + 1 else [EN_DASH.join(ends)]
    comma = gettext(", ")
    if parts_max and len(parts) > parts_max:
        return comma.join([*parts[:parts_max], ELLIPSIS])
    return comma.join(parts[:-1]) + (last or comma) + parts[-1] if len(parts) > 1 else "".join(parts)
