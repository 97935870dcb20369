"""`damaged list | show | repair | drop`: keys that another program or a person changed, and that were moved aside."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from queue_core.errors import DamagedKeyNotFoundError, QueueError
from queue_core.queue.message_queue import MessageQueue
from queue_core.queue.upkeep.damage import CONTENTS_MAX, TYPES_WITH_MESSAGES, DamagedKey
from queue_core.server.config import ServerSettings
from queue_core.server.operator.arguments import FAILED, OK, add_command
from queue_core.server.operator.output import (
    TEXT_CELLS_MAX,
    Table,
    complain,
    moment,
    short_name,
    shortened,
    write,
    write_fields,
    write_json,
)
from queue_core.server.own_redis import open_queue
from queue_core.text import quantity, visible


def add_damaged(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `damaged` and the commands below it."""
    parser = add_command(
        commands,
        "damaged",
        None,
        summary="list, show, repair or drop keys that could not be used",
        description="""
            Another program, or a person, can change a key of the queue so that it cannot be used: a string in place of
            a list, or a text in place of a number. Such a key is moved aside, so that it does not stop other
            conversations. It stays until somebody repairs or drops it.
            """,
        epilog="""
            examples:
              python -m queue_core damaged list
              python -m queue_core damaged repair 0/1700000000000-0

            `python -m queue_core damaged COMMAND --help` explains each command.
            """,
        has_json=False,
    )
    below = parser.add_subparsers(title="commands", required=True)
    _add_reads(below)
    _add_repairs(below)


def _add_reads(below: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    add_command(
        below,
        "list",
        run_list,
        summary="list damaged keys, oldest first",
        description="""
            Lists damaged keys: id, time of discovery, what the queue keeps in the key, conversation, type, and the
            error that the key caused. A key without a conversation belongs to all conversations of a partition.
            """,
        epilog="""
            examples:
              python -m queue_core damaged list
              python -m queue_core damaged list --json | jq .holds

            exit codes: 0 listed, even if there are none; 1 Redis is not available; 2 wrong usage or configuration
            """,
        json_is_by_lines=True,
    )
    show = add_command(
        below,
        "show",
        run_show,
        summary="show a damaged key, with its values",
        description=f"Shows one damaged key, and up to {CONTENTS_MAX} of its values.",
        epilog="""
            example:
              python -m queue_core damaged show 0/1700000000000-0

            exit codes: 0 shown; 1 no damaged key has that id, or Redis is not available; 2 wrong usage
            """,
    )
    show.add_argument("id", metavar="ID", help="as `damaged list` shows it, such as 0/1700000000000-0")


def _add_repairs(below: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    repair = add_command(
        below,
        "repair",
        run_repair,
        summary="put the messages of damaged keys back into the queue",
        description="""
            Puts the values of damaged keys at the end of their conversations, as messages that arrived now. A value
            that is not a message becomes a dead letter when a worker takes it. A key without messages
            cannot be repaired: drop it.
            """,
        epilog="""
            examples:
              python -m queue_core damaged repair 0/1700000000000-0
              python -m queue_core damaged repair --all

            exit codes: 0 repaired; 1 an id was not found or its key has no messages, or Redis is not available;
            2 wrong usage
            """,
    )
    drop = add_command(
        below,
        "drop",
        run_drop,
        summary="delete damaged keys for good",
        description="Deletes damaged keys for good, with the messages in them. --all needs --yes.",
        epilog="""
            examples:
              python -m queue_core damaged drop 0/1700000000000-0
              python -m queue_core damaged drop --all --yes

            exit codes: 0 dropped; 1 an id was not found, or Redis is not available; 2 wrong usage
            """,
    )
    for command in (repair, drop):
        command.add_argument("ids", nargs="*", metavar="ID", help="as `damaged list` shows it")
    repair.add_argument(
        "--all", action="store_true", help="all damaged keys; those without messages stay as they are"
    )
    drop.add_argument("--all", action="store_true", help="all damaged keys")
    drop.add_argument("--yes", action="store_true", help="with --all: yes, delete them")


async def run_list(args: argparse.Namespace, settings: ServerSettings) -> int:
    """Write the table."""
    table = Table("id", "found", "holds", "instance", "phone", "type", "error")
    async with open_queue(settings) as queue:
        damaged = [key async for key in queue.damage.iterate()]
    if args.json:
        for key in damaged:
            write_json(msgspec.to_builtins(key), on_one_line=True)
        return OK
    for key in damaged:
        names = short_name(key.instance_name or "(all)"), short_name(key.user_phone or "(all)")
        error = shortened(key.error, TEXT_CELLS_MAX)
        table.add(key.id, moment(key.found_at_ms), key.holds, *names, shortened(key.type, 10), error)
    if damaged:
        table.flush()
    else:
        write("no damaged keys")
    return OK


async def run_show(args: argparse.Namespace, settings: ServerSettings) -> int:
    """Write one damaged key."""
    async with open_queue(settings) as queue:
        try:
            key = await queue.damage.get(args.id)
        except DamagedKeyNotFoundError as error:
            complain(str(error))
            return FAILED
        contents = await queue.damage.contents(key)
    if args.json:
        write_json({**msgspec.to_builtins(key), "contents": contents})
        return OK
    fields = [
        ("id", key.id),
        ("key", visible(key.key)),
        ("moved to", visible(key.kept_as)),
        ("holds", key.holds),
        ("type", visible(key.type)),
        *((("instance", visible(key.instance_name)),) if key.instance_name else ()),
        *((("phone", visible(key.user_phone)),) if key.user_phone else ()),
        ("found", moment(key.found_at_ms)),
        ("error", visible(key.error)),
        *(("value", visible(value)) for value in contents),
    ]
    write_fields(fields)
    return OK


async def run_repair(args: argparse.Namespace, settings: ServerSettings) -> int:
    """Put the messages of damaged keys back."""
    _check_choice(args)
    async with open_queue(settings) as queue:
        if args.all:
            with_messages = [key.id async for key in queue.damage.iterate() if _has_messages(key)]
            return await _process(args, with_messages, queue.damage.repair, "repaired")
        return await _process(args, args.ids, queue.damage.repair, "repaired")


async def run_drop(args: argparse.Namespace, settings: ServerSettings) -> int:
    """Delete damaged keys."""
    _check_choice(args)
    if args.all and not args.yes:
        args.wrong_usage("--all deletes damaged keys for good: look at `damaged list`, then add --yes")
    async with open_queue(settings) as queue:
        ids = await _all_ids(queue) if args.all else args.ids
        return await _process(args, ids, queue.damage.drop, "dropped")


def _has_messages(key: DamagedKey) -> bool:
    return key.holds == "messages" and key.type in TYPES_WITH_MESSAGES


async def _all_ids(queue: MessageQueue) -> list[str]:
    return [key.id async for key in queue.damage.iterate()]


def _check_choice(args: argparse.Namespace) -> None:
    if bool(args.ids) == args.all:
        args.wrong_usage("give either ids or --all; `damaged list` shows the ids")


async def _process(
    args: argparse.Namespace, ids: list[str], step: Callable[[str], Awaitable[Any]], done_word: str
) -> int:
    """Take the step for each id, and write how many keys were handled."""
    done, failures = 0, {}
    messages = 0
    for damaged_id in dict.fromkeys(ids):
        try:
            messages += await step(damaged_id) or 0
            done += 1
        except DamagedKeyNotFoundError as error:
            failures[damaged_id] = str(error)
        except QueueError as error:
            if type(error) is not QueueError:
                raise
            failures[damaged_id] = str(error)
    if args.json:
        counts = {done_word: done} | ({"messages": messages} if done_word == "repaired" else {})
        write_json({**counts, "failed": list(failures)})
    elif done or not failures:
        words = f", {quantity(messages, 'value')} back in the queue" if done_word == "repaired" else ""
        write(f"{quantity(done, 'damaged key')} {done_word}{words}")
    for failure in failures.values():
        complain(failure)
    return FAILED if failures else OK
