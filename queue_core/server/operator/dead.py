"""`dead list | show | requeue | drop`: messages that the queue gave up on."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

import msgspec

from queue_core.channels import unreadable
from queue_core.durations import age
from queue_core.errors import DeadLetterNotFoundError, QueueError
from queue_core.message import DeadLetter, QueueMessage
from queue_core.queue.message_queue import MessageQueue
from queue_core.queue.upkeep.sent_replies import UNDELIVERED
from queue_core.server.config import ServerSettings
from queue_core.server.operator.arguments import FAILED, OK, add_command, phone_spellings, whole_number
from queue_core.server.operator.away import without_away_partitions
from queue_core.server.operator.output import (
    TEXT_CELLS_MAX,
    Table,
    complain,
    moment,
    reply_text,
    short_name,
    shortened,
    write,
    write_fields,
    write_json,
    write_remark,
)
from queue_core.server.own_redis import open_queue
from queue_core.text import quantity, visible

LIST_LIMIT = 50
PAGE = 200
"""Dead letters that are written, requeued or dropped at a time."""


def add_dead(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `dead` and the commands below it."""
    parser = add_command(
        commands,
        "dead",
        None,
        summary="list, show, requeue or drop messages that the queue gave up on",
        description="""
            A message becomes a dead letter, with the reason, when all its attempts failed, when it can never
            succeed, when it cannot be read, when it arrived too late, when no worker took it for QUEUE_TTL_S, or when
            the AI or the channel was away for QUEUE_OUTAGE_PATIENCE_S. Dead letters stay until somebody requeues or
            drops them, or until a setting deletes them (QUEUE_DEAD_LETTERS_TTL_S) or moves them (DEAD_LETTERS_FILE).
            """,
        epilog="""
            examples:
              python -m queue_core dead list --reason timeout
              python -m queue_core dead requeue --all --reason timeout

            `python -m queue_core dead COMMAND --help` explains each command.
            """,
        has_json=False,
    )
    below = parser.add_subparsers(title="commands", required=True)
    _add_list(below)
    _add_show(below)
    _add_requeue(below)
    _add_drop(below)


def _add_list(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        commands,
        "list",
        run_list,
        summary="list dead letters, oldest first",
        description="""
            Lists dead letters, oldest first: id, time when the message was given up, conversation, attempts, reason.
            Message texts are shown only with --text.
            """,
        epilog="""
            examples:
              python -m queue_core dead list
              python -m queue_core dead list --instance mybot --phone +55-11-99999-0000
              python -m queue_core dead list --reason "status 401" --limit 0 --json

            exit codes: 0 listed, even if there are none, or only in part because a node of a cluster is away; 1 Redis
            is not available; 2 wrong usage or configuration
            """,
        json_is_by_lines=True,
    )
    _add_filters(parser)
    parser.add_argument(
        "--limit",
        type=whole_number(0, 10_000_000),
        default=LIST_LIMIT,
        metavar="N",
        help="list at most N; 0 for all of them (default: %(default)s)",
    )
    parser.add_argument("--text", action="store_true", help="show what the users wrote")


def _add_show(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        commands,
        "show",
        run_show,
        summary="show a dead letter, with its text and reply",
        description="""
            Shows all that is known about one dead letter: reason, attempts, the message with its text, and the reply if
            one was recorded. --json adds the webhook that brought it.
            """,
        epilog="""
            example:
              python -m queue_core dead show 0/1700000000000-0

            exit codes: 0 shown; 1 no dead letter has that id, or Redis is not available; 2 wrong usage
            """,
    )
    parser.add_argument("id", metavar="ID", help="as `dead list` shows it, such as 0/1700000000000-0")


def _add_requeue(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        commands,
        "requeue",
        run_requeue,
        summary="put dead letters back into the queue",
        description="""
            Puts dead letters at the end of their conversations, as if they arrived now, with no attempt used.
            First fix what made them fail, or they will fail again. --all takes the dead letters that exist when
            the command begins, oldest first, so a message that fails again meanwhile is not taken twice.
            """,
        epilog="""
            examples:
              python -m queue_core dead requeue 0/1700000000000-0 0/1700000000000-1
              python -m queue_core dead requeue --all --reason "status 503"

            exit codes: 0 all of them are back in the queue (with --all even if there were none); 1 an id was not found,
            or Redis is not available; 2 wrong usage or configuration
            """,
    )
    _add_choice(parser)


def _add_drop(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        commands,
        "drop",
        run_drop,
        summary="delete dead letters for good",
        description="""
            Deletes dead letters for good: their messages will never be answered. --all takes the dead letters that
            exist when the command begins, and needs --yes.
            """,
        epilog="""
            examples:
              python -m queue_core dead drop 0/1700000000000-0
              python -m queue_core dead drop --all --yes --reason "late: delivered"

            exit codes: 0 dropped (with --all even if there were none); 1 an id was not found, or Redis is not
            available; 2 wrong usage (--all without --yes) or configuration
            """,
    )
    _add_choice(parser)
    parser.add_argument("--yes", action="store_true", help="with --all: yes, delete them")


def _add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ids", nargs="*", metavar="ID", help="as `dead list` shows it")
    parser.add_argument(
        "--all", action="store_true", help="all dead letters, or all that match the options below"
    )
    _add_filters(parser)


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reason", metavar="TEXT", help="only dead letters whose reason contains TEXT; case does not matter"
    )
    parser.add_argument("--instance", metavar="NAME", help="only dead letters of this instance")
    parser.add_argument(
        "--phone", metavar="PHONE", help="only dead letters of this user, such as +55 11 99999-0000"
    )


async def run_list(args: argparse.Namespace, settings: ServerSettings) -> int:
    """Write the table page by page, so that any number fits into memory."""
    columns = ("id", "given up", "instance", "phone", "attempts", "reason", *(("text",) if args.text else ()))
    table = Table(*columns, numbers=("attempts",))
    shown = 0
    is_cut = False
    async with open_queue(settings) as queue:
        part, findings = await without_away_partitions(queue)
        async with aclosing(_matching(part, args)) as letters:
            async for letter in letters:
                if args.limit and shown == args.limit:
                    is_cut = True
                    break
                shown += 1
                if args.json:
                    write_json(_as_json(letter, with_text=args.text), on_one_line=True)
                    continue
                table.add(*_row(letter, with_text=args.text))
                if shown % PAGE == 0:
                    table.flush()
    if shown and not args.json:
        table.flush()
    elif not args.json:
        write("no dead letters" + (f" with {_filters(args)}" if _filters(args) else ""))
    for finding in findings:
        complain(finding)
    if is_cut:
        write_remark(f"these are the first {quantity(shown, 'dead letter')}; --limit 0 lists all of them")
    return OK


async def run_show(args: argparse.Namespace, settings: ServerSettings) -> int:
    """Write one dead letter."""
    async with open_queue(settings) as queue:
        try:
            letter = await queue.dead_letter(args.id)
        except DeadLetterNotFoundError as error:
            complain(str(error))
            return FAILED
    if args.json:
        write_json(_as_json(letter, with_text=True, with_message=True))
        return OK
    message = letter.message
    fields = [
        ("id", letter.id),
        ("instance", visible(letter.instance_name)),
        ("phone", visible(letter.user_phone)),
        ("given up", moment(letter.dead_at_ms)),
        ("attempts", str(letter.attempts)),
        ("reason", visible(letter.reason)),
    ]
    if message:
        fields += [
            ("message id", visible(message.id)),
            *((("kind", visible(str(kind))),) if (kind := message.message_data.get("kind")) else ()),
            *((("written", _written(message.timestamp, letter)),) if message.timestamp > 0 else ()),
            *((("arrived", arrived),) if (arrived := _arrived(message, letter)) else ()),
            ("text", visible(message.message)),
            *((("webhook", visible(_webhook(message))),) if kind == unreadable.KIND else ()),
        ]
    else:
        fields.append(("unreadable", visible(letter.raw)))
    if letter.reply is not None:
        state = "the provider took it" if _was_sent(letter) else "recorded; the reason says what became of it"
        fields.append(("reply", f"{visible(reply_text(letter.reply))}  ({state})"))
    write_fields(fields)
    return OK


def _webhook(message: QueueMessage) -> str:
    """Return the webhook as JSON: it shows a message that could not be read."""
    return msgspec.json.encode(message.message_data.get("webhook")).decode()


def _was_sent(letter: DeadLetter) -> bool:
    return letter.reason.startswith(f"{UNDELIVERED}:")


def _arrived(message: QueueMessage, letter: DeadLetter) -> str:
    """Return the time of the arrival; "" if it is unknown, since a reply's dead letter is made without it."""
    if _was_sent(letter):
        return ""
    return moment(message.added_at) if message.added_at else "never queued"


def _written(timestamp_ms: int, letter: DeadLetter) -> str:
    return f"{moment(timestamp_ms)}, {age(letter.dead_at_ms - timestamp_ms)} before it became a dead letter"


async def run_requeue(args: argparse.Namespace, settings: ServerSettings) -> int:
    """Put dead letters back into the queue."""
    _check_choice(args)
    async with open_queue(settings) as queue:
        return await _process(queue, args, queue.requeue, "requeued")


async def run_drop(args: argparse.Namespace, settings: ServerSettings) -> int:
    """Delete dead letters."""
    _check_choice(args)
    if args.all and not args.yes:
        args.wrong_usage("--all deletes dead letters for good: look at `dead list`, then add --yes")
    async with open_queue(settings) as queue:
        return await _process(queue, args, queue.drop, "dropped")


def _check_choice(args: argparse.Namespace) -> None:
    if args.all and args.ids:
        args.wrong_usage("give either ids or --all")
    if not args.all and _filters(args):
        args.wrong_usage(f"together with {_filters(args)}, give --all and no ids")
    if not args.all and not args.ids:
        args.wrong_usage("give the ids of dead letters, or --all; `dead list` shows the ids")


def _filters(args: argparse.Namespace) -> str:
    """Name the options given that choose among dead letters, such as "--reason and --phone"."""
    return " and ".join(
        f"--{option}" for option in ("reason", "instance", "phone") if getattr(args, option) is not None
    )


async def _process(
    queue: MessageQueue, args: argparse.Namespace, step: Callable[[str], Awaitable[None]], done_word: str
) -> int:
    """Take the step for each chosen dead letter, and write how many were handled."""
    done = 0
    missing: dict[str, DeadLetterNotFoundError] = {}
    try:
        ids = (
            [letter.id async for letter in _matching(queue, args)] if args.all else [*dict.fromkeys(args.ids)]
        )
        for first in range(0, len(ids), PAGE):
            page = ids[first : first + PAGE]
            outcomes = await asyncio.gather(*map(step, page), return_exceptions=True)
            done += outcomes.count(None)
            for letter_id, outcome in zip(page, outcomes, strict=True):
                if isinstance(outcome, DeadLetterNotFoundError):
                    missing[letter_id] = outcome
                elif outcome is not None:
                    raise outcome
    except QueueError:
        if done:
            words = f"{quantity(done, 'dead letter')} {done_word} before the failure"
            write_remark(f"{words}; run the command again to continue")
        raise
    if args.all:
        missing = {}  # requeued or dropped by another command meanwhile
    return _write_outcome(args, done, done_word, missing)


def _write_outcome(
    args: argparse.Namespace, done: int, done_word: str, missing: Mapping[str, DeadLetterNotFoundError]
) -> int:
    if args.json:
        write_json({done_word: done, "notFound": list(missing)})
    elif done or not missing:
        write(f"{quantity(done, 'dead letter')} {done_word}")
    for error in missing.values():
        complain(str(error))
    return FAILED if missing else OK


async def _matching(queue: MessageQueue, args: argparse.Namespace) -> AsyncGenerator[DeadLetter, None]:
    reason = (args.reason or "").casefold()
    phones = await _names(queue, args) if args.phone is not None else None
    async with aclosing(queue.iterate_dead_letters()) as letters:
        async for letter in letters:
            if (
                reason in letter.reason.casefold()
                and args.instance in (None, letter.instance_name)
                and (phones is None or letter.user_phone in phones)
            ):
                yield letter


async def _names(queue: MessageQueue, args: argparse.Namespace) -> set[str]:
    """Return all names of the user given by --phone; without --instance, only the spellings of that phone number."""
    names = set(phone_spellings(args.phone))
    if args.instance is not None:
        for phone in phone_spellings(args.phone):
            names |= {name for _, name in await queue.aliases.names_of_user(args.instance, phone)}
    return names


def _row(letter: DeadLetter, *, with_text: bool) -> list[str]:
    cells = [
        letter.id,
        moment(letter.dead_at_ms),
        short_name(letter.instance_name),
        short_name(letter.user_phone),
        str(letter.attempts),
        shortened(letter.reason, TEXT_CELLS_MAX),
    ]
    if with_text:
        message = letter.message
        cells.append(shortened(message.message, TEXT_CELLS_MAX) if message else "(unreadable)")
    return cells


def _as_json(letter: DeadLetter, *, with_text: bool, with_message: bool = False) -> dict[str, Any]:
    message = letter.message
    shown: dict[str, Any] = {
        "id": letter.id,
        "instanceName": letter.instance_name,
        "userPhone": letter.user_phone,
        "reason": letter.reason,
        "deadAtMs": letter.dead_at_ms,
        "attempts": letter.attempts,
        "messageId": message.id if message else None,
    }
    if with_text:
        shown["text"] = message.message if message else None
        shown["reply"] = letter.reply
    if with_message:
        shown["message"] = message.as_dict() if message else None
        shown["raw"] = None if message else letter.raw
    return shown
