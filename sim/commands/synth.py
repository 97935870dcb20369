"""`python -m sim synth`: writes a made-up recording of one day."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

from queue_core.command_lines import typed
from queue_core.recording.checks import LineError, identifier
from queue_core.recording.writer import dump
from queue_core.text import quantity
from reports.results.writing import STANDARD_OUTPUT, write_whole
from sim.commands.errors import InputError
from sim.commands.shared import OK, SEED_MAX, whole_number
from sim.synthetic.day import HOURS_MAX, LANGUAGES, MESSAGES_MAX, SyntheticSettings, synthesize


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "synth",
        help="write a made-up recording that resembles real chats",
        description="Writes a recording of made-up chats, to replay when you have no messages of your own.",
    )
    parser.set_defaults(run=run)
    defaults = SyntheticSettings()
    options: tuple[tuple[str, Callable[[str], object], object, str, str], ...] = (
        ("--messages", whole_number(1, MESSAGES_MAX), defaults.messages, "N", "number of messages"),
        ("--hours", _number(1e-3, HOURS_MAX), defaults.hours, "H", "time in which turns begin, in hours"),
        ("--seed", whole_number(0, SEED_MAX), defaults.seed, "N", "seed of everything random"),
        ("--instance", _instance, defaults.instance, "NAME", "the bot's name"),
        (
            "--redeliveries",
            _number(0, 1),
            defaults.redeliveries,
            "SHARE",
            "share of messages that are delivered again, from 0 to 1",
        ),
    )
    for option, convert, default, metavar, words in options:
        parser.add_argument(
            option, type=convert, default=default, metavar=metavar, help=f"{words} (default: {default})"
        )
    parser.add_argument(
        "--lang",
        choices=LANGUAGES,
        default=defaults.language,
        help=f"language in which users write (default: {defaults.language})",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=STANDARD_OUTPUT,
        metavar="FILE",
        help="the recording to write (default: standard output)",
    )


def run(options: argparse.Namespace) -> int:
    """Write the recording; returns the exit code. Raises InputError when it cannot be written."""
    settings = SyntheticSettings(
        messages=options.messages,
        hours=options.hours,
        seed=options.seed,
        instance=options.instance,
        language=options.lang,
        redeliveries=options.redeliveries,
    )
    recording = synthesize(settings)
    try:
        write_whole("".join(dump(recording)), options.output)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"{options.output}: cannot be written: {error.strerror or error}") from None
    if options.output != STANDARD_OUTPUT:
        people = len({(message.instance, message.phone) for message in recording.arrivals})
        print(
            f"{options.output}: {quantity(options.messages, 'message')} of {quantity(people, 'conversation')}; "
            f"replay it with: {typed('python -m sim replay')} {options.output}"
        )
    return OK


def _number(low: float, high: float) -> Callable[[str], float]:
    """Make a parser for numbers from `low` to `high`."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be a number from {low:g} to {high:g}, not {text!r}")
        return value

    return parse


def _instance(text: str) -> str:
    try:
        return identifier(text, "instance")
    except LineError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
