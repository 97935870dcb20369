"""`check` and `status`: looking at the queue as a whole."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from redis.exceptions import RedisError

from queue_core.errors import InvalidSettingsError, QueueUnavailableError
from queue_core.queue.health import HealthReport, examine
from queue_core.queue.inspection import ActiveConversation
from queue_core.queue.message_queue import MessageQueue
from queue_core.redis.connection import connect
from queue_core.redis.runner import explain
from queue_core.server.config import ServerSettings
from queue_core.server.operator.arguments import NOT_SO, OK, add_command, count, duration_s
from queue_core.server.operator.output import (
    Table,
    age,
    name,
    quantity,
    tell,
    visible,
    write,
    write_fields,
    write_json,
)
from queue_core.server.own_redis import open_queue, own_redis, redis_url

CLEAR_SCREEN = "\x1b[H\x1b[2J"


def add_look(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the commands."""
    _add_check(commands)
    _add_status(commands)


def _add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    add_command(
        commands,
        "check",
        run_check,
        summary="find everything that would void the guarantees",
        description="""
            Looks at Redis and the queue for whatever could lose a message: an eviction policy, missing persistence, a
            replica, stranded conversations and more; and says what to do about each. Errors void the guarantees;
            warnings do not yet.

            It checks the Redis of REDIS_URL, else the one of a running `serve`, else it starts the one that `serve`
            would start, checks that, and stops it.
            """,
        epilog="""
            examples:
              python -m queue_core check
              python -m queue_core check --json | jq .errors

            exit codes: 0 nothing voids the guarantees, warnings or not; 1 something does, or Redis does not answer;
            2 wrong configuration
            """,
    )


def _add_status(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        commands,
        "status",
        run_status,
        summary="figures of the queue, and who is due next",
        description="""
            Shows what waits, what is in work, how old the oldest is, dead letters, and the conversations that need
            attention next. An overdue conversation means that no worker runs, or too few.
            """,
        epilog="""
            examples:
              python -m queue_core status
              python -m queue_core status --watch 2s

            exit codes: 0 shown; 1 Redis is not available; 2 wrong usage or configuration
            """,
    )
    parser.add_argument(
        "--watch",
        type=duration_s,
        metavar="TIME",
        help="show it again every so often, until Ctrl-C; with --json one line each",
    )
    parser.add_argument(
        "--limit",
        type=count(0, 1_000_000),
        default=10,
        metavar="N",
        help="list so many conversations (default: %(default)s)",
    )


async def run_check(args: argparse.Namespace, settings: ServerSettings) -> int:
    """Examines and writes the verdict."""
    async with _queue_to_check(settings) as (queue, which):
        report = await examine(queue)
    errors = list(report.errors)
    if not settings.use_queue_system:
        errors.append(
            "USE_QUEUE_SYSTEM=false: new messages go to the legacy buffer, which can lose them. Set it to true as soon "
            "as the reason for switching back is gone"
        )
    if args.json:
        facts = {**msgspec.to_builtins(report), "errors": errors}
        write_json({"ok": not errors, "checked": which, **facts})
        return NOT_SO if errors else OK
    write_fields([("checked", which), *_figures(report)])
    _write_findings(errors, report.warnings)
    write()
    warned = quantity(len(report.warnings), "warning")
    if errors:
        write(f"FAILED: {quantity(len(errors), 'error')}, each of which voids the guarantees; {warned}")
        return NOT_SO
    write(f"OK: nothing voids the guarantees; {warned}")
    return OK


@asynccontextmanager
async def _queue_to_check(settings: ServerSettings) -> AsyncIterator[tuple[MessageQueue, str]]:
    """The queue, and in words which Redis it is on.

    Raises EmbeddedRedisError when the one that `serve` would start does not start.
    """
    if settings.redis_url.get_secret_value():
        async with open_queue(settings) as queue:
            yield queue, "the Redis of REDIS_URL"
            return
    if await _serve_runs(settings):
        async with open_queue(settings) as queue:
            yield queue, f"the Redis of the running serve, data in {settings.data_dir}/"
            return
    async with own_redis(settings) as server, connect(server.url) as client:
        words = f"redis-server {server.binary.version}, started for this check as serve does"
        yield MessageQueue(client, settings.queue), f"{words}, data in {settings.data_dir}/"


async def _serve_runs(settings: ServerSettings) -> bool:
    """Whether the Redis answers whose address a `serve` left; one that was killed leaves it too."""
    try:
        redis_url(settings)
    except InvalidSettingsError:
        return False
    async with open_queue(settings) as queue:
        try:
            await queue.check()
        except QueueUnavailableError:
            return False
    return True


async def run_status(args: argparse.Namespace, settings: ServerSettings) -> int:
    """Writes the figures, once or again and again. A watch outlives a Redis that goes away."""
    async with open_queue(settings) as queue:
        await _write_status(queue, args)
        while args.watch:
            await asyncio.sleep(args.watch)
            try:
                await _write_status(queue, args)
            except QueueUnavailableError as error:
                tell(f"status: {error}")
    return OK


async def _write_status(queue: MessageQueue, args: argparse.Namespace) -> None:
    report = await examine(queue)
    conversations = await queue.active_conversations()
    now_ms = await redis_now_ms(queue)
    due = conversations[: args.limit]
    if args.json:
        listed = [_conversation(one, now_ms) for one in due]
        write_json({**msgspec.to_builtins(report), "nextDue": listed}, on_one_line=bool(args.watch))
        return
    if args.watch:
        write(CLEAR_SCREEN if sys.stdout.isatty() else "")
    write_fields(_figures(report))
    _write_findings(report.errors, report.warnings)
    if due:
        write()
        table = Table("instance", "phone", "attention")
        for one in due:
            table.add(name(one.instance_name), name(one.user_phone), _attention(one, now_ms))
        table.flush()
        if len(conversations) > len(due):
            write(f"and {len(conversations) - len(due)} more")


def _attention(conversation: ActiveConversation, now_ms: int) -> str:
    left_ms = conversation.attention_at_ms - now_ms
    return f"in {age(left_ms)}" if left_ms > 0 else f"overdue by {age(-left_ms)}"


def _conversation(conversation: ActiveConversation, now_ms: int) -> dict[str, Any]:
    return {
        "instanceName": conversation.instance_name,
        "userPhone": conversation.user_phone,
        "attentionAtMs": conversation.attention_at_ms,
        "attentionInMs": conversation.attention_at_ms - now_ms,
    }


async def redis_now_ms(queue: MessageQueue) -> int:
    """Redis's clock, by which everything in the queue is timed; Unix ms. Raises QueueUnavailableError."""
    try:
        seconds, microseconds = await queue.redis.time()
    except (RedisError, OSError) as error:
        raise explain(error) from error
    return int(seconds) * 1000 + int(microseconds) // 1000


def _figures(report: HealthReport) -> list[tuple[str, str]]:
    """Everything in the report but its words, for people."""
    if not report.reachable:
        return [("Redis", "not reachable")]
    latency = "unknown" if report.latency_ms is None else f"{report.latency_ms:.1f} ms"
    role = f"{report.role or 'role unknown'}{' of a cluster' if report.is_cluster else ''}"
    oldest = "none waits" if report.oldest_age_ms is None else age(report.oldest_age_ms)
    return [
        ("Redis", visible(f"{report.version or 'version unknown'}, {role}, answers in {latency}")),
        ("memory", f"{_memory(report)}; eviction policy {visible(report.eviction_policy) or 'unknown'}"),
        ("persistence", _persistence(report)),
        ("conversations", f"{report.active_conversations:,}"),
        ("waiting", f"{report.waiting:,}"),
        ("in work", f"{report.in_flight:,}"),
        ("oldest", oldest),
        ("dead letters", f"{report.dead_letters:,}"),
        ("expired leases", f"{report.expired_leases:,}"),
        ("stranded", f"{report.stranded_conversations or 0:,}"),
    ]


def _write_findings(errors: Sequence[str], warnings: Sequence[str]) -> None:
    if errors or warnings:
        write()
    for word, findings in (("ERROR", errors), ("warning", warnings)):
        for finding in findings:
            write(f"{word:<9}{visible(finding)}")


def _memory(report: HealthReport) -> str:
    used = (
        "unknown" if report.memory_used_bytes is None else f"{report.memory_used_bytes / 1_048_576:,.1f} MiB"
    )
    if not report.memory_limit_bytes:
        return f"{used}, {'limit unknown' if report.memory_limit_bytes is None else 'no limit'}"
    return f"{used} of {report.memory_limit_bytes / 1_048_576:,.1f} MiB"


def _persistence(report: HealthReport) -> str:
    if report.append_only is None:
        return "unknown"
    if not report.append_only:
        return "no append-only file"
    return f"append-only file, appendfsync {visible(report.append_fsync) or 'unknown'}"
