"""`status`: shows figures of the queue, and which conversations are due next."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Any

import msgspec

from queue_core.durations import age
from queue_core.errors import QueueUnavailableError
from queue_core.legacy.inspection import count_buffered
from queue_core.queue.health.health import examine
from queue_core.queue.message_queue import MessageQueue
from queue_core.queue.upkeep.inspection import ActiveConversation
from queue_core.queue.upkeep.rescue import STEPS_MAX
from queue_core.server.config import ServerSettings
from queue_core.server.operator.arguments import OK, add_command, duration_s, whole_number
from queue_core.server.operator.figures import figures, in_conversations, write_findings
from queue_core.server.operator.output import (
    Table,
    complain,
    short_name,
    write,
    write_fields,
    write_json,
)
from queue_core.server.own_redis import open_queue
from queue_core.text import quantity

CLEAR_SCREEN = "\x1b[H\x1b[2J"


def add_status(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "status",
        run_status,
        summary="figures of the queue, and the conversations that are due next",
        description="""
            Shows what waits, what is being answered, the age of the oldest message, dead letters, and the
            conversations that need attention next. If a conversation is overdue, too few workers run, or the queue is
            held. Messages in the legacy buffer, left from a time with USE_QUEUE_SYSTEM=false, have a line of their own.
            """,
        epilog="""
            examples:
              python -m queue_core status
              python -m queue_core status --watch 2s

            exit codes: 0 shown (in part if a node of a cluster is away); 1 Redis is not available; 2 wrong
            usage or configuration
            """,
    )
    parser.add_argument(
        "--watch",
        type=duration_s,
        metavar="TIME",
        help="show the figures again after each TIME, until Ctrl-C; with --json on one line each time",
    )
    parser.add_argument(
        "--limit",
        type=whole_number(0, 1_000_000),
        default=10,
        metavar="N",
        help="list the first N conversations (default: %(default)s)",
    )


async def run_status(args: argparse.Namespace, settings: ServerSettings) -> int:
    """Write the figures, once or repeatedly. With --watch, continue while Redis is away."""
    async with open_queue(settings, checks_layout=False) as queue:
        await _write_status(queue, args, settings)
        while args.watch:
            await asyncio.sleep(args.watch)
            try:
                await _write_status(queue, args, settings)
            except QueueUnavailableError as error:
                complain(str(error))
    return OK


async def _write_status(queue: MessageQueue, args: argparse.Namespace, settings: ServerSettings) -> None:
    report = await examine(queue)
    away = report.away_partitions
    due = await queue.without(away).active_conversations(limit=args.limit)
    now_ms = report.checked_at_ms if away else await queue.now_ms()
    buffered = None if away else await count_buffered(queue, pages_max=STEPS_MAX)
    if args.json:
        listed = [_as_json(conversation, now_ms) for conversation in due]
        answer = {
            **msgspec.to_builtins(report),
            "oldBuffer": msgspec.to_builtins(buffered),  # null while a node is away
            "nextDue": listed,
        }
        write_json(answer, on_one_line=bool(args.watch))
        return
    if args.watch:
        write(CLEAR_SCREEN if sys.stdout.isatty() else "")
    facts = figures(report)
    if buffered and (buffered.messages or not settings.use_queue_system):
        facts.append(("legacy buffer", in_conversations(buffered.messages, buffered.conversations)))
    write_fields(facts)
    write_findings(report.errors, report.warnings)
    if due:
        write()
        table = Table("instance", "phone", "attention")
        for conversation in due:
            names = short_name(conversation.instance_name), short_name(conversation.user_phone)
            table.add(*names, _attention(conversation, now_ms))
        table.flush()
        active = report.active_conversations or 0  # None when they were not counted
        if active > len(due):
            left_out = quantity(active - len(due), "conversation")
            write(f"and {left_out} more: --limit N lists more of them")


def _attention(conversation: ActiveConversation, now_ms: int) -> str:
    left_ms = conversation.attention_at_ms - now_ms
    return f"in {age(left_ms)}" if left_ms > 0 else f"overdue by {age(-left_ms)}"


def _as_json(conversation: ActiveConversation, now_ms: int) -> dict[str, Any]:
    return {
        "instanceName": conversation.instance_name,
        "userPhone": conversation.user_phone,
        "attentionAtMs": conversation.attention_at_ms,
        "attentionInMs": conversation.attention_at_ms - now_ms,
    }
