"""`drain`: waits until the queue is empty."""

from __future__ import annotations

import argparse
import asyncio

import msgspec

from queue_core.command_lines import typed
from queue_core.durations import age
from queue_core.errors import QueueUnavailableError
from queue_core.legacy.inspection import Buffered, count_buffered
from queue_core.queue.message_queue import MessageQueue
from queue_core.server.config import ServerSettings
from queue_core.server.operator.arguments import FAILED, OK, add_command, duration_s
from queue_core.server.operator.figures import in_conversations
from queue_core.server.operator.output import write, write_json, write_remark
from queue_core.server.own_redis import open_queue
from queue_core.text import quantity

LOOK_S = 0.5
"""Wait between two reads of the queue."""
REPORT_CHANGE_S = 1.0
"""Shortest time between two reports of a change."""
REPORT_S = 5.0
"""Time after which an unchanged state is reported again."""
SCAN_S_MAX = 30.0
"""Longest search for stranded conversations."""
OVERDUE_MS = 5_000
"""A conversation that has been due for longer is reported as overdue."""


def add_drain(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "drain",
        run_drain,
        summary="wait until the queue is empty",
        description="""
            Waits until no message waits or is being answered. The command answers nothing, so workers must run. To
            switch back to the legacy buffer, restart the web processes with USE_QUEUE_SYSTEM=false, then drain, then
            stop the workers. Progress goes to standard error. Dead letters do not count, since they wait for you.
            Messages in the legacy buffer do not count either, since the web processes answer them; the last line
            counts them. """,
        epilog="""
            example:
              python -m queue_core drain --timeout 10m && systemctl stop 'burstqueue-worker@*'

            exit codes: 0 empty; 1 not empty in time (the output says what is left), or Redis is not available; 2 wrong
            usage or configuration
            """,
    )
    parser.add_argument(
        "--timeout",
        type=duration_s,
        default=600.0,
        metavar="TIME",
        help="give up after TIME (default: 10m)",
    )


async def run_drain(args: argparse.Namespace, settings: ServerSettings) -> int:
    """Wait until the queue is empty. If Redis goes away meanwhile, wait for it too."""
    clock = asyncio.get_running_loop().time
    began = clock()
    reported, reported_at = "", -REPORT_S
    async with open_queue(settings) as queue:
        await queue.check()
        while True:
            try:
                remaining = await _read_remaining(queue)
                words = remaining.words()
            except QueueUnavailableError as error:
                remaining, words = None, f"Redis does not answer yet: {error}"
            waited = clock() - began
            if remaining and remaining.is_empty:
                return _drained(args, remaining, await count_buffered(queue), waited)
            if clock() - reported_at >= (REPORT_S if words == reported else REPORT_CHANGE_S):
                write_remark(f"{age(waited * 1000):>12}  {words}")
                reported, reported_at = words, clock()
            if waited >= args.timeout:
                return _not_drained(args, remaining, words)
            await asyncio.sleep(min(LOOK_S, args.timeout - waited))


class _Remaining(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Messages and conversations that the queue still holds."""

    messages: int
    conversations: int
    overdue: int
    """Conversations that have been due for more than OVERDUE_MS."""
    unreachable: int
    """Conversations that no worker will ever look at."""
    is_complete: bool
    """True when there was time to look at all keys."""
    dead_letters: int
    held: bool
    """True when the queue is held, so that no worker takes a turn."""

    @property
    def is_empty(self) -> bool:
        return self.is_complete and not (self.messages or self.conversations or self.unreachable)

    def words(self) -> str:
        words = f"{in_conversations(self.messages, self.conversations)} left"
        if self.held and self.messages:
            words += typed("; the queue is held: see `python -m queue_core resume --help`")
        elif self.overdue:
            words += f"; {quantity(self.overdue, 'conversation')} overdue: check that a worker runs"
        if self.unreachable:
            unreachable = quantity(self.unreachable, "more conversation")
            words += typed(f"; {unreachable} that no worker will look at: see `python -m queue_core check`")
        if not self.is_complete:
            words += "; there was not enough time to search all keys"
        return words


async def _read_remaining(queue: MessageQueue) -> _Remaining:
    conversations = await queue.active_conversations()
    messages = await queue.depth()
    now_ms = await queue.now_ms()
    unreachable, is_complete = 0, True
    if not messages:  # only when the queue is empty, since this scans all keys
        unscheduled = await queue.unscheduled(asyncio.get_running_loop().time() + SCAN_S_MAX)
        unreachable = len(unscheduled.stranded) + unscheduled.elsewhere
        is_complete = unscheduled.is_complete
    return _Remaining(
        messages=messages,
        conversations=len(conversations),
        overdue=sum(conversation.attention_at_ms < now_ms - OVERDUE_MS for conversation in conversations),
        unreachable=unreachable,
        is_complete=is_complete,
        dead_letters=(await queue.sizes()).dead_letters,
        held=await queue.holding.since_ms() is not None,
    )


def _drained(args: argparse.Namespace, remaining: _Remaining, buffered: Buffered, waited_s: float) -> int:
    if args.json:
        facts = {**msgspec.to_builtins(remaining), "oldBuffer": msgspec.to_builtins(buffered)}
        write_json({"empty": True, "waitedMs": round(waited_s * 1000), **facts})
        return OK
    words = "empty"
    if remaining.dead_letters:
        letters = quantity(remaining.dead_letters, "dead letter")
        words += typed(f"; {letters}: see `python -m queue_core dead list`")
    if buffered.messages:
        words += f"; {in_conversations(buffered.messages, buffered.conversations)} in the legacy buffer"
    write(words)
    return OK


def _not_drained(args: argparse.Namespace, remaining: _Remaining | None, words: str) -> int:
    if remaining is None:
        raise QueueUnavailableError(words)
    if args.json:
        write_json({"empty": False, "waitedMs": round(args.timeout * 1000), **msgspec.to_builtins(remaining)})
    else:
        write(f"not empty after {age(args.timeout * 1000)}: {words}")
    return FAILED
