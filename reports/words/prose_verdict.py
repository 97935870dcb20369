"""The parts of a replay's verdict in the language of the page: what the queue did, the other systems, the record."""

from __future__ import annotations

import re
from collections.abc import Callable

from reports.words.language import gettext, ngettext

_COUNT = r"[\d,]{1,15}"
_OF = rf"of (?P<messages>{_COUNT}) messages in (?P<recordings>{_COUNT}) recordings?(?:, (?P<runs>{_COUNT}) runs each)?"
_CLEAN = re.compile(rf"The queue lost, duplicated and reordered none {_OF}")
_HARMED = re.compile(rf"THE QUEUE (?P<harms>.{{1,200}}?) {_OF}")
_HARM = re.compile(
    rf"(?P<kind>lost|duplicated|reordered) (?P<number>{_COUNT})"
    rf"|did not come to rest in (?P<restless>{_COUNT}) runs"
)
_LOSS = re.compile(
    rf"(?P<system>.{{1,80}}?) lost (?P<lost>{_COUNT}) of (?P<sent>{_COUNT}) \((?P<share>[^()]{{1,20}})\)"
)
_LOSS_END = re.compile(r"(?<=\)), ")
_BROKEN = re.compile(rf"(?P<broken>{_COUNT}) of (?P<checked>{_COUNT}) OUTCOMES ON RECORD DID NOT COME OUT")
_HELD = re.compile(rf"all (?P<number>{_COUNT}) outcomes on record came out as recorded")
_UNCHECKED = re.compile(rf"(?P<number>{_COUNT}) on record not checked under these settings")


def verdict_part(text: str) -> str | None:
    """One part of a verdict, without the full stop at its end; None where it is none that is known."""
    if text == _ONE_HELD:
        return gettext("the one outcome on record came out as recorded")
    for pattern, tell in _PARTS:
        if found := pattern.fullmatch(text):
            return tell(found)
    return _losses(text)


def _clean(found: re.Match[str]) -> str:
    return gettext("The queue lost, duplicated and reordered none %(of)s", of=_of(found))


def _harmed(found: re.Match[str]) -> str | None:
    harms = [_harm(one) for one in found["harms"].split(" and ")]
    known = [one for one in harms if one is not None]
    if len(known) < len(harms):
        return None
    return gettext("THE QUEUE %(harms)s %(of)s", harms=gettext(" and ").join(known), of=_of(found))


def _broken(found: re.Match[str]) -> str:
    return gettext("%(broken)s of %(checked)s OUTCOMES ON RECORD DID NOT COME OUT", **found.groupdict())


def _held(found: re.Match[str]) -> str:
    return gettext("all %(number)s outcomes on record came out as recorded", **found.groupdict())


def _unchecked(found: re.Match[str]) -> str:
    return gettext("%(number)s on record not checked under these settings", **found.groupdict())


def _losses(text: str) -> str | None:
    found = [_LOSS.fullmatch(one) for one in _LOSS_END.split(text)]
    told = [
        gettext("%(system)s lost %(lost)s of %(sent)s (%(share)s)", **one.groupdict()) for one in found if one
    ]
    return gettext(", ").join(told) if len(told) == len(found) else None


def _of(found: re.Match[str]) -> str:
    messages, recordings = _number(found["messages"]), _number(found["recordings"])
    of_messages = ngettext("of %(num)s message", "of %(num)s messages", messages)
    told = [f"{of_messages} {ngettext('in %(num)s recording', 'in %(num)s recordings', recordings)}"]
    if found["runs"]:
        told.append(ngettext("%(num)s run each", "%(num)s runs each", _number(found["runs"])))
    return gettext(", ").join(told)


def _harm(text: str) -> str | None:
    found = _HARM.fullmatch(text)
    if found is None:
        return None
    if found["kind"] == "lost":
        return gettext("lost %(number)s", number=found["number"])
    if found["kind"] == "duplicated":
        return gettext("duplicated %(number)s", number=found["number"])
    if found["kind"] == "reordered":
        return gettext("reordered %(number)s", number=found["number"])
    return gettext("did not come to rest in %(number)s runs", number=found["restless"])


def _number(written: str) -> int:
    return int(written.replace(",", "") or "0")


_ONE_HELD = "the one outcome on record came out as recorded"
_PARTS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str | None]], ...] = (
    (_CLEAN, _clean),
    (_HARMED, _harmed),
    (_BROKEN, _broken),
    (_HELD, _held),
    (_UNCHECKED, _unchecked),
)
