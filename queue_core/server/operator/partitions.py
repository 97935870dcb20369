"""`partitions show | begin | end`: the number of partitions, and its change while messages wait."""

from __future__ import annotations

import argparse

import msgspec

from queue_core.command_lines import typed
from queue_core.durations import age
from queue_core.errors import QueueError
from queue_core.queue.partitions import Leaving, Noted, words_of_mismatch
from queue_core.server.config import ServerSettings
from queue_core.server.operator.arguments import FAILED, OK, add_command
from queue_core.server.operator.output import complain, moment, write, write_fields, write_json
from queue_core.server.own_redis import open_queue
from queue_core.text import quantity

NOT_YET = 3
"""Exit code: something still lies at former places, so the change has not ended."""


def add_partitions(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `partitions` and the commands below it."""
    parser = add_command(
        commands,
        "partitions",
        None,
        summary="show or change the number of partitions, while messages come in",
        description="""
            Shows and changes the number of partitions. Messages come in and are answered all the time, and each
            conversation keeps its order: it moves when none of its messages waits or is being answered.
            """,
        epilog="""
            examples, after all processes were restarted with QUEUE_PARTITIONS=16:
              python -m queue_core partitions begin
              python -m queue_core partitions end

            `python -m queue_core partitions COMMAND --help` explains each.
            """,
        has_json=False,
    )
    below = parser.add_subparsers(title="commands", required=True)
    add_command(
        below,
        "show",
        run_show,
        summary="show the number, and a change that is under way",
        description="Shows how many partitions the deployment has, and whether conversations move to other ones.",
        epilog="exit codes: 0 shown; 1 Redis is not available; 2 wrong usage or configuration",
    )
    begin = add_command(
        below,
        "begin",
        run_begin,
        summary="begin the change to the number in QUEUE_PARTITIONS",
        description="""
            Begins the change to the number in QUEUE_PARTITIONS. All processes must have been restarted with that number
            before; they go on with the number that the deployment has until this command.
            """,
        epilog="exit codes: 0 begun, also if it was before; 1 it may not begin yet, or Redis is not available; "
        "2 wrong usage or configuration",
    )
    begin.add_argument(
        "--without-workers",
        action="store_true",
        help="begin even if no worker watches the new partitions now, for workers that run on a schedule",
    )
    add_command(
        below,
        "end",
        run_end,
        summary="end the change, if nothing is left in the former partitions",
        description="""
            Moves what is kept of conversations in which nobody writes now, such as the AI's memory, and ends the change
            if nothing is left in the former partitions. Otherwise it says what is left: repeat it later. It searches
            through all keys.
            """,
        epilog="exit codes: 0 ended; 1 no change is under way, or Redis is not available; 2 wrong usage or "
        "configuration; 3 something is left, so the change goes on",
    )


async def run_show(args: argparse.Namespace, settings: ServerSettings) -> int:
    """Write the number of partitions."""
    async with open_queue(settings) as queue:
        noted = await queue.partitions.noted()
    if args.json:
        write_json(msgspec.to_builtins(noted))
        return OK
    write_fields([("partitions", words_of_partitions(noted.number, noted.former, noted.until_ms))])
    if noted.own != noted.number:
        complain(words_of_mismatch(noted))
    return OK


async def run_begin(args: argparse.Namespace, settings: ServerSettings) -> int:
    """Begin the change."""
    async with open_queue(settings) as queue:
        try:
            noted = await queue.partitions.begin(needs_workers=not args.without_workers)
        except QueueError as error:
            return _refuse(error)
    if args.json:
        write_json(msgspec.to_builtins(noted))
    else:
        write(words_of_partitions(noted.number, noted.former, noted.until_ms))
    return OK


async def run_end(args: argparse.Namespace, settings: ServerSettings) -> int:
    """End the change, or write what is left."""
    async with open_queue(settings) as queue:
        try:
            leaving = await queue.partitions.end()
            noted = await queue.partitions.noted()
        except QueueError as error:
            return _refuse(error)
    if args.json:
        write_json(msgspec.to_builtins(leaving))
    else:
        for line in _lines_of(leaving, noted):
            write(line)
    return OK if leaving.is_ended else NOT_YET


def words_of_partitions(number: int, former: int, until_ms: int) -> str:
    """Say how many partitions there are, and until when a change lasts at least."""
    if not former:
        return f"{number}"
    return typed(
        f"{number}; conversations leave the former {former}, and `python -m queue_core partitions end` ends the "
        f"change from {moment(until_ms)} on"
    )


def _lines_of(leaving: Leaving, noted: Noted) -> list[str]:
    moved = f"{quantity(leaving.moved, 'conversation')} moved now" if leaving.moved else ""
    if leaving.is_ended:
        return [*filter(None, [moved]), f"ended: the deployment has {quantity(noted.number, 'partition')}"]
    left = {
        "conversations with messages in former partitions: they move when these are answered": leaving.conversations,
        "dead letters in partitions that will be gone: requeue or drop them (`dead list`)": leaving.dead_letters,
        "damaged keys in partitions that will be gone: drop them (`damaged list`)": leaving.damaged,
    }
    lines = [moved, *(f"left: {count:,} {words}" for words, count in left.items() if count)]
    if leaving.now_ms < leaving.until_ms:
        wait = age(leaving.until_ms - leaving.now_ms)
        lines.append(
            f"left: ids of messages and replies, which must be known there for another {wait}, until "
            f"{moment(leaving.until_ms)}"
        )
    return [*filter(None, lines), "the change goes on: repeat this command later"]


def _refuse(error: QueueError) -> int:
    """Write why a command did nothing. Raises errors that are about Redis."""
    if type(error) is not QueueError:
        raise error
    complain(str(error))
    return FAILED
