"""Options of an import, which all commands that read files share."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import get_args
from zoneinfo import ZoneInfo, available_timezones

from queue_core.recording.pseudonyms import without_numbers
from queue_core.text import suggestion
from sim.commands.errors import InputError
from sim.importers.base import DateOrder
from sim.importers.detection import format_names
from sim.importers.taking import ImportOptions

_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?(\d\d))?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)?(?:Z|[+-]\d\d:?\d\d)?")


def add_import_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group(
        "files of other formats",
        "webhook dumps, logs and exports (see docs/import.md); recordings of this project need none of these options",
    )
    group.add_argument(
        "--format",
        default="",
        metavar="F",
        help=f"format of the files: {', '.join(format_names())} (default: by content)",
    )
    group.add_argument(
        "--instance",
        default="",
        metavar="NAME",
        help="the bot's instance, if the files name none; if they name several, only this instance is taken",
    )
    group.add_argument(
        "--zone",
        type=parse_zone,
        metavar="ZONE",
        help="zone of times without one, and of an audit's output: Asia/Riyadh, -03:00 (default: the file's or UTC)",
    )
    group.add_argument(
        "--date-order",
        choices=get_args(DateOrder),
        help="order of day, month and year in chat exports (default: found from the file)",
    )
    group.add_argument(
        "--bot",
        action="append",
        default=[],
        metavar="NAME",
        help="name or number under which the bot writes, for chat exports and Chatwoot; may be repeated",
    )
    group.add_argument(
        "--text", action="store_true", help="keep the texts; by default only their length is kept"
    )
    group.add_argument(
        "--key",
        metavar="TEXT",
        help="key of the hashes that replace phones and ids: with the same key, a user has the same hash in all "
        "imports (default: made from the file)",
    )
    group.add_argument(
        "--from",
        dest="start",
        metavar="DATE",
        help="beginning of the part of the files that is taken, as in 2026-03-01T18:00, in --zone or UTC",
    )
    group.add_argument(
        "--to", dest="end", metavar="DATE", help="end of the part: messages before this time are taken"
    )
    group.add_argument(
        "--keep-seconds",
        action="store_true",
        help="leave a time that is known only to the second or minute at the beginning of that second or minute; by "
        "default it gets a random moment within it",
    )


def import_options(options: argparse.Namespace, *, seed: int = 0) -> ImportOptions:
    """Return the options in the form that an import needs. Raises InputError for a wrong date."""
    zone: tzinfo | None = options.zone
    return ImportOptions(
        format=options.format,
        instance=options.instance,
        zone=zone,
        date_order=options.date_order,
        bots=frozenset(options.bot),
        shows_text=options.text,
        key=options.key.encode("utf-8", "replace") if options.key is not None else None,
        from_ms=_date_ms(options.start, zone, "--from"),
        to_ms=_date_ms(options.end, zone, "--to"),
        keeps_seconds=options.keep_seconds,
        seed=seed,
    )


def given_import_options(options: argparse.Namespace) -> list[str]:
    """Return the options that the user typed, as words of a command line, without the key, which is a secret.

    In the names of the instance and of bots, "#" replaces phone numbers.
    """
    words: list[str] = []
    for name, text in (
        ("format", options.format),
        ("instance", without_numbers(options.instance)),
        ("zone", str(options.zone) if options.zone else ""),
        ("date-order", options.date_order),
        ("from", options.start),
        ("to", options.end),
    ):
        words += [f"--{name}", text] if text else []
    words += [word for name in options.bot for word in ("--bot", without_numbers(name))]
    words += ["--text"] if options.text else []
    return [*words, *(["--keep-seconds"] if options.keep_seconds else [])]


def parse_zone(text: str) -> tzinfo:
    """Read a time zone: a name such as America/Sao_Paulo, an offset such as -03:00, or UTC."""
    if text.upper() in ("UTC", "Z", "GMT"):
        return UTC
    if match := _OFFSET.fullmatch(text):
        offset = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
        if offset < timedelta(hours=24):
            return timezone(-offset if match[1] == "-" else offset)
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, KeyError):  # a name that cannot be a file, a folder, an unknown name
        known = available_timezones()
        close = suggestion(text, known) if known else ""
        hint = close if "did you mean" in close else "; write it as in America/Sao_Paulo or -03:00"
        raise argparse.ArgumentTypeError(f"there is no time zone {text!r}{hint}") from None


def _date_ms(text: str | None, zone: tzinfo | None, option: str) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text if _DATE.fullmatch(text) else "")
    except ValueError:
        raise InputError(
            f"{option}: write a date as in 2026-03-01 or 2026-03-01T18:00, not {text!r}"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone or UTC)
    return round(moment.timestamp() * 1000)
