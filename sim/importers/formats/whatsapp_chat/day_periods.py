"""Words for AM and PM in the times of a chat, in the languages of phones."""

from __future__ import annotations

import re
from functools import cache, lru_cache

MORNING = (
    "am 上午 午前 凌晨 清晨 早上 오전 새벽 ص صباحا صباحًا قظ قبلازظهر قبلظهر پیشازظهر öö sa ก่อนเที่ยง пм пр.об дп "
    "inthemorning damanhã delamañana"
)
AFTERNOON = (
    "pm 下午 午後 晚上 中午 傍晚 오후 م مساء مساءً بظ بعدازظهر بعدظهر ös ch หลังเที่ยง мм сл.об пп "
    "intheafternoon intheevening datarde danoite delatarde delanoche"
)
"""Words of the most frequent languages, in the form of `_plain`. Babel has those of other languages."""
FILLERS = frozenset(
    {"", "t", "à", "às", "alas", "ala", "at", "um", "uhr", "kl", "klo", "o", "op", "om", "ora", "ore", "la"}
)
"""Words between a date and a time, or after a time, without a meaning of their own, in the form of `_plain`."""
_UNITS = frozenset({"ч", "г", "гч", "h", "hs", "hrs", "s", "น", "val", "óra"})
"""Words for years, hours and seconds after a date or a time, in the form of `_plain`."""
_DROPPED = re.compile(r"[\s.,،、'`´׳״\"\u200b-\u200f\u061c\u202a-\u202f\u2066-\u2069\u00a0]+")
_PERIODS = {"am", "pm"}


@lru_cache(1_000)
def half_of_day(word: str) -> str | None:
    """Return "am" or "pm" for such a word, "" for a filler, None for an unknown word."""
    plain = _plain(word)
    if plain in FILLERS or plain in _UNITS:
        return ""
    return _COMMON.get(plain) or _from_babel().get(plain)


def hour_of_day(hour: int, half: str, word: str) -> int:
    """Return the hour from 0 to 23 of an hour with AM or PM; an hour above 12 stays as it is.

    In Chinese 凌晨 12 is midnight, 中午 11 is before noon, and 晚上 12 is midnight.
    """
    if not half or hour > 12:
        return hour
    if "中午" in word:
        return hour if hour in (11, 12) else hour + 12
    if "晚上" in word and hour == 12:
        return 0
    return hour % 12 + (12 if half == "pm" else 0)


def _plain(word: str) -> str:
    """Return the word in lower case without dots, spaces, quotes and marks."""
    return _DROPPED.sub("", word).lower()


_COMMON = {
    **{_plain(word): "am" for word in MORNING.split()},
    **{_plain(word): "pm" for word in AFTERNOON.split()},
    "πμ": "am",
    "μμ": "pm",
}


@cache
def _from_babel() -> dict[str, str]:
    """Return the words of all languages in Babel, without words that mean AM in one language and PM in another."""
    from babel import Locale, UnknownLocaleError  # noqa: PLC0415 - it takes a second, and few files need it
    from babel.localedata import locale_identifiers  # noqa: PLC0415

    meanings: dict[str, set[str]] = {}
    for name in locale_identifiers():
        try:
            periods = Locale.parse(name).day_periods
        except (UnknownLocaleError, ValueError):
            continue
        for widths in periods.values():
            for words in widths.values():
                for half in _PERIODS & set(words):
                    meanings.setdefault(_plain(words[half]), set()).add(half)
    return {word: next(iter(halves)) for word, halves in meanings.items() if word and len(halves) == 1}
