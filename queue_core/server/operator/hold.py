"""`hold` and `resume`: workers take no turns until the operator has seen which messages they would answer."""

from __future__ import annotations

import argparse

import msgspec

from queue_core.command_lines import typed
from queue_core.durations import age
from queue_core.queue.holding import Inventory
from queue_core.queue.message_queue import MessageQueue
from queue_core.queue.upkeep.inspection import Sizes
from queue_core.server.config import ServerSettings
from queue_core.server.operator.arguments import FAILED, OK, add_command, duration_s
from queue_core.server.operator.away import without_away_partitions
from queue_core.server.operator.figures import held_since, in_conversations
from queue_core.server.operator.output import complain, moment, write, write_fields, write_json
from queue_core.server.own_redis import open_queue
from queue_core.text import quantity

UNDECIDED = 3
"""Exit code: old messages wait, and no option says what becomes of them, so the queue is still held."""


def add_hold(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `hold` and `resume`."""
    add_command(
        commands,
        "hold",
        run_hold,
        summary="stop workers from taking turns, and show what they would answer",
        description="""
            Holds the queue: no worker takes a turn until `resume`. Running turns are finished, and messages are stored
            as always; waiting messages do not expire. The hold is kept in Redis, so it applies to all workers, even to
            workers that start later. The command shows what workers would answer: after a backup was restored, these
            may be messages that were already answered after the backup was made.

            With the option --hold, a process of the server holds the queue before it does anything else.
            """,
        epilog="""
            examples:
              python -m queue_core hold
              python -m queue_core resume --drop-older-than 1h

            exit codes: 0 held; 1 Redis is not available, or only a part is held because a node of a cluster is away
            (the output says so); 2 wrong usage or configuration
            """,
    )
    resume = add_command(
        commands,
        "resume",
        run_resume,
        summary="end a hold",
        description="""
            Ends a hold: workers take turns again. The time of the hold does not count towards QUEUE_TTL_S. If messages
            wait that had expired before the hold, an option must say what becomes of them.
            """,
        epilog="""
            examples:
              python -m queue_core resume
              python -m queue_core resume --drop-older-than 1h
              python -m queue_core resume --answer-all

            exit codes: 0 workers take turns; 1 Redis is not available, or there is no room for more dead letters (the
            queue is still held then); 2 wrong usage or configuration; 3 still held: old messages wait, and no option
            says what becomes of them
            """,
    )
    choice = resume.add_mutually_exclusive_group()
    choice.add_argument(
        "--drop-older-than",
        type=duration_s,
        metavar="TIME",
        help="make dead letters of messages that are older than TIME, such as 1h or 30m",
    )
    choice.add_argument("--answer-all", action="store_true", help="answer old messages, too")


async def run_hold(args: argparse.Namespace, settings: ServerSettings) -> int:
    """Hold the queue, and write what workers would answer."""
    async with open_queue(settings) as queue:
        part, findings = await without_away_partitions(queue)
        since_ms = await part.holding.hold()
        inventory = await part.holding.inventory()
        sizes = await part.sizes()
    _write_hold(args, settings, since_ms, inventory, sizes)
    for finding in findings:
        complain(f"type `hold` again later, since these partitions are not held: {finding}")
    return FAILED if findings else OK


def _write_hold(
    args: argparse.Namespace, settings: ServerSettings, since_ms: int, inventory: Inventory, sizes: Sizes
) -> None:
    if args.json:
        facts = {**msgspec.to_builtins(inventory), "deadLetters": sizes.dead_letters}
        del facts["older"]  # meaningless, since no age was asked about
        write_json({"heldSinceMs": since_ms, **facts})
        return
    write_fields(
        [
            (
                "held",
                typed(f"{held_since(since_ms)}; no worker takes a turn until `python -m queue_core resume`"),
            ),
            *_figures(inventory, settings),
            ("dead letters", f"{sizes.dead_letters:,}"),
        ]
    )


def _figures(inventory: Inventory, settings: ServerSettings) -> list[tuple[str, str]]:
    figures = [("waiting", in_conversations(inventory.messages, inventory.conversations))]
    for label, at_ms in (("oldest", inventory.oldest_ms), ("newest", inventory.newest_ms)):
        if at_ms is not None:
            figures.append((label, f"{age(inventory.now_ms - at_ms)} old, of {moment(at_ms)}"))
    if inventory.unsure_replies:
        treatment = (
            "sent again" if settings.queue.unsure_sends == "resend" else "not sent and become dead letters"
        )
        answers = quantity(inventory.unsure_replies, "recorded answer")
        figures.append(("perhaps sent", f"{answers}; by QUEUE_UNSURE_SENDS they are {treatment}"))
    return figures


async def run_resume(args: argparse.Namespace, settings: ServerSettings) -> int:
    """Drop messages that are too old, and end the hold."""
    async with open_queue(settings) as queue:
        since_ms = await queue.holding.since_ms()
        now_ms = await queue.now_ms()
        if await queue.damage.not_moved():
            await (
                queue.rescue()
            )  # schedules the conversations of a damaged index, so that the inventory counts them
        if since_ms is None:
            if args.drop_older_than:
                args.wrong_usage(
                    "the queue is not held: type `hold` first, so that no worker takes old messages"
                )
            return _write_not_held(args)
        held_ms = now_ms - since_ms if since_ms else None
        if not (args.drop_older_than or args.answer_all):
            expired = await _expired_before(queue, held_ms or 0)
            if expired:
                return _refuse(args, expired, held_ms, settings)
        dropped = 0
        if args.drop_older_than:
            limit_ms = round(args.drop_older_than * 1000)
            dropped = await queue.holding.drop_older(
                limit_ms, f"dropped at resume: older than {age(limit_ms)}"
            )
        await queue.holding.resume()
    return _write_outcome(args, held_ms, dropped)


async def _expired_before(queue: MessageQueue, held_ms: int) -> int:
    """Count the messages that were older than `queue_ttl_s` when the hold began."""
    ttl_ms = queue.settings.queue_ttl_s * 1000
    return (await queue.holding.inventory(older_than_ms=ttl_ms + held_ms)).older


def _refuse(args: argparse.Namespace, expired: int, held_ms: int | None, settings: ServerSettings) -> int:
    ttl = age(settings.queue.queue_ttl_s * 1000)
    if args.json:
        write_json({"held": True, "older": expired})
    waited = (
        f"of over {ttl}, and it is unknown when the hold began"
        if held_ms is None
        else f"that had waited for over {ttl} when the hold began"
    )
    complain(
        f"still held, with {quantity(expired, 'message')} {waited}: add --drop-older-than TIME (older messages "
        "become dead letters) or --answer-all"
    )
    return UNDECIDED


def _write_not_held(args: argparse.Namespace) -> int:
    if args.json:
        write_json({"held": False, "heldMs": None, "deadLettered": 0})
    else:
        write("the queue is not held")
    return OK


def _write_outcome(args: argparse.Namespace, held_ms: int | None, dropped: int) -> int:
    if args.json:
        write_json({"held": False, "heldMs": held_ms, "deadLettered": dropped})
        return OK
    became = "became a dead letter" if dropped == 1 else "became dead letters"
    words = f"; {quantity(dropped, 'message')} {became}: see `dead list`" if dropped else ""
    write(f"resumed{words}" if held_ms is None else f"resumed after {age(held_ms)}{words}")
    return OK
