"""Arguments of the operator's commands: durations, counts, phone numbers, and commands with their help."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Awaitable, Callable

from queue_core.channels.whatsapp_web.addresses import PHONE_ADDRESS, spellings
from queue_core.command_lines import typed
from queue_core.durations import DAY_MS, DurationError, parse_duration_ms
from queue_core.server.config import ServerSettings

OK, FAILED = 0, 1
"""Exit codes. FAILED means that a check failed, or that messages are left or were not found. Wrong usage is 2."""
HELP_COLUMNS = 80

Run = Callable[[argparse.Namespace, ServerSettings], Awaitable[int]]
"""Function that runs a command and returns the exit code."""

_PUNCTUATION = re.compile(r"[\s()./+\-\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Characters of a number written for people, with the direction marks that copying adds."""


def duration_s(text: str) -> float:
    """Read a duration above 0 and up to 30 days, in seconds. Raises argparse.ArgumentTypeError."""
    try:
        return parse_duration_ms(text, is_above_0=True, at_most_ms=30 * DAY_MS) / 1000
    except DurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """Make a parser for whole numbers from `low` to `high`."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,12}", text, re.ASCII) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low:,} to {high:,}")
        return int(text)

    return parse


def phone_spellings(text: str) -> list[str]:
    """Return the names under which a user may be stored: as typed, and as the channels store a phone number.

    "+966 50-000 0001" and "966500000001@s.whatsapp.net" are both stored as 966500000001.
    """
    jid = PHONE_ADDRESS.fullmatch(text.strip())
    digits = jid[1] if jid else _PUNCTUATION.sub("", text)
    return list(dict.fromkeys((text, digits if is_phone_number(digits) else text)))


def other_spelling_words(text: str) -> str:
    """Return a half sentence that names a number's other spelling; "" if the country has only one."""
    others = spellings(phone_spellings(text)[-1])[1:]
    return f"; WhatsApp may know this number as {others[0]}" if others else ""


def add_instance(parser: argparse.ArgumentParser, addition: str = "") -> None:
    """Add the argument INSTANCE; `addition` ends its help."""
    parser.add_argument(
        "instance",
        metavar="INSTANCE",
        help="instance of the Evolution API or Evolution Go, session of WAHA, or phone_number_id of the Cloud API"
        f"{addition}",
    )


def is_phone_number(text: str) -> bool:
    """Return True for 5 to 20 digits."""
    return re.fullmatch(r"\d{5,20}", text, re.ASCII) is not None


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Run | None,
    *,
    summary: str,
    description: str,
    epilog: str,
    has_json: bool = True,
    json_is_by_lines: bool = False,
) -> argparse.ArgumentParser:
    """Add a command. `run` is None for a command that only groups others.

    `args.run` is then `run`; `args.wrong_usage` ends the process as argparse does, with a message and exit code 2.
    """
    parser = commands.add_parser(
        name,
        help=summary,
        description=_filled(description),
        epilog=_filled(typed(epilog)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if run:
        parser.set_defaults(run=run, wrong_usage=parser.error)
    if has_json:
        form = "an object of JSON on each line" if json_is_by_lines else "one JSON value"
        parser.add_argument("--json", action="store_true", help=f"write {form}, for machines")
    return parser


def _filled(words: str) -> str:
    """Fill paragraphs to a terminal's width; those with indented lines, such as examples, stay as they are."""
    paragraphs = textwrap.dedent(words).strip().split("\n\n")
    return "\n\n".join(
        paragraph if "\n  " in paragraph else textwrap.fill(paragraph, HELP_COLUMNS, break_on_hyphens=False)
        for paragraph in paragraphs
    )
