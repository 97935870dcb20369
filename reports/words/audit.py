"""Audits in words: the sentence that sums one up, the names of its figures, and the facts that recordings lack."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from reports.results.audit import AuditResult, Counts, Unknowable, Writer
from reports.results.zones import zone_named
from reports.words.language import direction, gettext, marked, ngettext
from reports.words.numbers import EN_DASH, round_duration, share
from reports.words.verdicts import Verdict

_LEFT_TO_RIGHT, _END = "\u2066", "\u2069"
WRITERS: Mapping[Writer, str] = {
    "bot": marked("bot"),
    "human": marked("person"),
    "unknown": marked("not known"),
}
_UNKNOWABLE: Mapping[Unknowable, str] = {
    "order_within": marked(
        "Times are known only to the %(unit)s, so the order of a message and a reply in the same %(unit)s is unknown."
    ),
    "cut_turns": marked(
        "Times are known only to the minute, so it is unknown which turns were cut in two, and which replies came too "
        "soon."
    ),
    "twice": marked(
        "The texts of replies are not recorded, and replies do not say which messages they answer: two answers to the "
        "same messages look like two parts of one."
    ),
    "order": marked(
        "Replies do not say which messages they answer, so it is unknown whether they came out of order, and a reply "
        "counts for every message before it."
    ),
    "writers": marked("The recordings do not say whether the bot or a person wrote a reply."),
}


def audit_verdict(result: AuditResult) -> Verdict:
    """Sum up an audit: first the messages without a reply, then everything else that went wrong."""
    total = result["total"]
    scope = gettext(
        "%(messages)s from %(users)s",
        messages=ngettext("%(num)s message", "%(num)s messages", total["messages"]),
        users=ngettext("%(num)s user", "%(num)s users", total["users"]),
    )
    if total["unanswered"]:
        first = gettext(
            "%(when)s, %(number)s of %(scope)s got no reply (%(share)s), written by %(users)s",
            when=when(result),
            number=f"{total['unanswered']:,}",
            scope=scope,
            share=share(total["unanswered"] / total["messages"]),
            users=ngettext("%(num)s user", "%(num)s users", total["users_unanswered"]),
        )
    elif total["exempt"] or total["open"]:
        first = ngettext(
            "%(when)s, %(num)s of %(scope)s was answered",
            "%(when)s, %(num)s of %(scope)s were answered",
            total["answered"],
            when=when(result),
            scope=scope,
        )
    elif total["too_soon"]:
        first = gettext(
            "%(when)s, each of %(scope)s was followed by a reply, but %(unread)s",
            when=when(result),
            scope=scope,
            unread=_unread(total["too_soon"]),
        )
    else:
        first = gettext("%(when)s, all of %(scope)s got a reply", when=when(result), scope=scope)
    rest = gettext("; ").join(_others(total, result["within_ms"]))
    return Verdict(first, f"{rest}.") if rest else Verdict(f"{first}.")


def _others(total: Counts, within_ms: int | None) -> Iterator[str]:
    """Yield phrases for everything else that went wrong, or may have."""
    if total["late"] and within_ms is not None:
        yield ngettext(
            "%(num)s got its reply after more than %(time)s",
            "%(num)s got their reply after more than %(time)s",
            total["late"],
            time=round_duration(within_ms),
        )
    if total["twice"]:
        yield ngettext("%(num)s was answered twice", "%(num)s were answered twice", total["twice"])
    if total["order"]:
        yield ngettext(
            "%(num)s was answered out of order", "%(num)s were answered out of order", total["order"]
        )
    if total["too_soon"] and total["answered"] < total["messages"]:
        yield _unread(total["too_soon"])
    if total["cut"]:
        yield ngettext(
            "%(num)s turn was cut in two by a reply", "%(num)s turns were cut in two by a reply", total["cut"]
        )
    if total["exempt"]:
        yield ngettext("%(num)s needed no reply", "%(num)s needed no reply", total["exempt"])
    if total["open"]:
        yield ngettext(
            "%(num)s was still open at the end of the recording",
            "%(num)s were still open at the end of the recording",
            total["open"],
        )


def _unread(number: int) -> str:
    return ngettext(
        "%(num)s came so shortly before a reply that it was probably not read",
        "%(num)s came so shortly before a reply that they were probably not read",
        number,
    )


def when(result: AuditResult) -> str:
    """Name the day or days of the audit, in the time zone of the result."""
    starts = [recording["epoch_ms"] for recording in result["recordings"]]
    ends = [recording["epoch_ms"] + recording["end_ms"] for recording in result["recordings"]]
    first, last = day(min(starts), result["zone"]), day(max(ends), result["zone"])
    if first == last:
        return gettext("On %(day)s", day=first)
    return gettext("From %(first)s to %(last)s", first=first, last=last)


def day(unix_ms: int, zone: str) -> str:
    """Write a day, such as 2026-03-06, isolated so that its parts keep their order between Arabic words."""
    text = f"{_in_zone(unix_ms, zone):%Y-%m-%d}"
    return f"{_LEFT_TO_RIGHT}{text}{_END}" if direction() == "rtl" else text


def minute(unix_ms: int, zone: str) -> str:
    """Write a minute of a day, such as 2026-03-06 14:05."""
    return f"{_in_zone(unix_ms, zone):%Y-%m-%d %H:%M}"


def second(unix_ms: int, zone: str) -> str:
    """Write a second of a day, such as 2026-03-06 14:05:09."""
    return f"{_in_zone(unix_ms, zone):%Y-%m-%d %H:%M:%S}"


def _in_zone(unix_ms: int, zone: str) -> datetime:
    return datetime.fromtimestamp(unix_ms / 1000, zone_named(zone))


def figures(
    counts: Counts, within_ms: int | None, unknowable: Iterable[Unknowable]
) -> Iterator[tuple[str, str, str]]:
    """Yield the figures of an audit: name, value (a dash if unknown), and a CSS class for how bad the value is."""
    unknown, messages, turns = set(unknowable), counts["messages"], counts["turns"]
    too_soon = gettext("probably not read: a reply came too soon after it")
    is_coarse = "cut_turns" in unknown
    yield _figure(gettext("messages"), messages)
    if counts["deliveries"] > messages:
        yield _figure(gettext("deliveries, with repeated ones"), counts["deliveries"])
    yield _figure(gettext("answered"), counts["answered"], of=messages)
    if "writers" not in unknown:
        yield _figure(gettext("by the bot"), counts["by_bot"])
        yield _figure(gettext("by a person"), counts["by_human"])
    yield _figure(gettext("without a reply"), counts["unanswered"], "bad", of=messages)
    if within_ms is not None:
        late = gettext("answered after more than %(time)s", time=round_duration(within_ms))
        yield _figure(late, counts["late"], "bad", of=messages)
    yield _figure(gettext("answered twice"), None if "twice" in unknown else counts["twice"], "bad")
    yield _figure(gettext("answered out of order"), None if "order" in unknown else counts["order"], "bad")
    yield _figure(too_soon, None if is_coarse else counts["too_soon"], "warn")
    yield _figure(
        gettext("further replies without a new message, which may be second answers"),
        counts["further"],
        "warn",
    )
    yield _figure(gettext("turns"), turns)
    yield _figure(gettext("turns of several messages"), counts["several"], of=turns)
    yield _figure(
        gettext("turns cut in two by a reply"), None if is_coarse else counts["cut"], "warn", of=turns
    )
    yield _figure(gettext("needed no reply: reactions and deleted messages"), counts["exempt"])
    yield _figure(gettext("still open at the end of the recording"), counts["open"])


def _figure(name: str, value: int | None, kind: str = "", *, of: int = 0) -> tuple[str, str, str]:
    if value is None:
        return name, EN_DASH, "zero"
    part = f" ({share(value / of)})" if of and value else ""
    return name, f"{value:,}{part}", (kind if value else "zero") if kind else ""


def unknowable_words(result: AuditResult) -> list[str]:
    """Return sentences on facts that the recordings lack."""
    precisions = {recording["precision"] for recording in result["recordings"]}
    unit = gettext("minute") if "min" in precisions else gettext("second")
    return [gettext(_UNKNOWABLE[code], unit=unit) for code in result["unknowable"]]


def writer_words(writer: Writer) -> str:
    """Name the writer of a reply."""
    return gettext(WRITERS[writer])
