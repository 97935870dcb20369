"""`partitions`: shows the number of partitions, and changes it while messages wait."""

from __future__ import annotations

import argparse
import asyncio

import msgspec

from queue_core.command_lines import typed
from queue_core.durations import age
from queue_core.queue.partitions.change import PartitionsChange
from queue_core.queue.partitions.noted import NotedPartitions
from queue_core.server.config import ServerSettings
from queue_core.server.operator.arguments import OK, add_command, duration_s, whole_number
from queue_core.server.operator.output import complain, write, write_fields, write_json, write_remark
from queue_core.server.own_redis import open_queue
from queue_core.settings import PARTITIONS_MAX
from queue_core.text import quantity

REPORT_S = 2.0
"""Shortest time between two reports of the same phase."""


def add_partitions(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "partitions",
        run_partitions,
        summary="show the number of partitions, or change it while messages wait",
        description="""
            Without a number, shows how many partitions the processes must have. With a number, carries all
            conversations, with everything that is kept of them, into the partitions that this number gives them. Stop
            all processes first: messages wait in Redis, and the provider delivers the webhooks of this time again. The
            command waits until no turn is running. Until the change is complete, all processes are refused.
            Afterwards, processes with another number are refused: set QUEUE_PARTITIONS to it, and start them all.

            If the command is interrupted, messages are refused until you type it again; it goes on where it stopped.
            Progress goes to standard error.
            """,
        epilog="""
            examples:
              python -m queue_core partitions
              python -m queue_core partitions 32

            exit codes: 0 shown or changed; 1 not complete: turns ran for too long, Redis is not available, or
            conversations do not lie where they should (the output says what was done); 2 wrong usage or configuration
            """,
    )
    parser.add_argument(
        "number",
        nargs="?",
        type=whole_number(1, PARTITIONS_MAX),
        metavar="NUMBER",
        help="new number of partitions",
    )
    parser.add_argument(
        "--timeout",
        type=duration_s,
        default=600.0,
        metavar="TIME",
        help="give up, before anything is carried, if turns still run after TIME (default: 10m)",
    )


async def run_partitions(args: argparse.Namespace, settings: ServerSettings) -> int:
    """Show or change the number of partitions."""
    async with open_queue(settings, checks_layout=False) as queue:
        if args.number is None:
            return _show(args, await queue.partitions.noted(), queue.settings.partitions)
        began, clock = asyncio.get_running_loop().time(), asyncio.get_running_loop().time
        change = queue.partitions.change(args.number, _Progress())
        try:
            noted = await change.run(wait_s=args.timeout)
        finally:
            if change.is_closed:
                complain(
                    "the change is not complete, and messages are refused until it is: type "
                    + typed(f"`python -m queue_core partitions {args.number}` again")
                )
        before = noted.partitions or queue.settings.partitions
        return _write_outcome(args, change, before, clock() - began)


def _show(args: argparse.Namespace, noted: NotedPartitions, partitions: int) -> int:
    if args.json:
        write_json({"partitions": partitions, "noted": msgspec.to_builtins(noted)})
        return OK
    fields = [("this configuration", f"{partitions} (QUEUE_PARTITIONS)")]
    if noted.changing_to:
        again = typed(f"type `python -m queue_core partitions {noted.changing_to}` unless it runs")
        fields.append(("being changed", f"from {noted.partitions} to {noted.changing_to}: {again}"))
    else:
        words = "none: the number was never changed" if noted.partitions is None else f"{noted.partitions}"
        fields.append(("noted in Redis", words))
    write_fields(fields)
    return OK


class _Progress:
    """Writer of progress: each new phase at once, the same one at most once in `REPORT_S`."""

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._began = self._reported_at = self._clock()
        self._phase = ""

    def __call__(self, words: str) -> None:
        """Report progress; the phase stands before a colon."""
        phase, now = words.partition(":")[0], self._clock()
        if phase != self._phase or now - self._reported_at >= REPORT_S:
            self._phase, self._reported_at = phase, now
            write_remark(f"{age((now - self._began) * 1000):>12}  {words}")


def _write_outcome(args: argparse.Namespace, change: PartitionsChange, before: int, took_s: float) -> int:
    carried = change.carried
    if args.json:
        facts = {"partitions": args.number, "before": before, "tookMs": round(took_s * 1000)}
        write_json({**facts, "carried": msgspec.to_builtins(carried)})
        return OK
    if before == args.number:
        write(f"the number of partitions is {before} already: nothing was changed")
        return OK
    letters = quantity(carried.dead_letters, "dead letter")
    write(
        f"{quantity(before, 'partition')} became {args.number} in {age(took_s * 1000)}; carried: "
        f"{quantity(carried.conversations, 'conversation')}, {letters}. Set QUEUE_PARTITIONS to {args.number} and "
        "start all processes: those with another number are refused"
    )
    return OK
