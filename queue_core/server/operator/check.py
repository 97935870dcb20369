"""`check`: finds everything that could lose a message."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from queue_core.errors import InvalidSettingsError, QueueUnavailableError
from queue_core.queue.health.health import examine
from queue_core.queue.health.probe import probe
from queue_core.queue.message_queue import MessageQueue
from queue_core.redis.connection import connect
from queue_core.server.config import ServerSettings
from queue_core.server.operator.arguments import FAILED, OK, add_command
from queue_core.server.operator.figures import figures, write_findings
from queue_core.server.operator.output import write, write_fields, write_json
from queue_core.server.own_redis import no_redis_words, open_queue, own_redis, redis_url
from queue_core.text import quantity


def add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "check",
        run_check,
        summary="find everything that could lose a message",
        description="""
            Searches Redis and the queue for everything that could lose a message: an eviction policy, missing
            persistence, a replica, conversations that no worker will look at and more. It says what to do about each.
            It also runs the queue's scripts on a trial conversation, which it deletes, to find missing rights and
            refused writes. Errors break the guarantees; warnings may do so later.

            It checks the Redis of REDIS_URL, or else that of a running `serve` or `redis`. With --embedded it starts
            the Redis that `serve` would start, checks it, and stops it. The data are in DATA_DIR if that is set or
            exists, else in a temporary folder.
            """,
        epilog="""
            examples:
              python -m queue_core check
              python -m queue_core check --json | jq .errors

            exit codes: 0 nothing breaks the guarantees, though there may be warnings; 1 something breaks them, or Redis
            does not answer; 2 wrong configuration
            """,
    )
    parser.add_argument(
        "--embedded",
        action="store_true",
        help="check the redis-server that `serve` would start, if none runs",
    )


async def run_check(args: argparse.Namespace, settings: ServerSettings) -> int:
    """Examine Redis and the queue, and write the verdict."""
    async with _queue_to_check(settings, may_start=args.embedded) as (queue, redis_name):
        report = await examine(queue)
        refusals = await probe(queue, without=report.away_partitions) if report.reachable else []
    known = " ".join(report.errors)
    errors = [*report.errors, *(refusal for refusal in refusals if refusal.partition(": ")[2] not in known)]
    if not settings.use_queue_system:
        errors.append(
            "USE_QUEUE_SYSTEM is false, so new messages go to the legacy buffer, which can lose them: set it to true "
            "as soon as the reason for switching back is gone"
        )
    if args.json:
        facts = {**msgspec.to_builtins(report), "errors": errors}
        write_json({"ok": not errors, "checked": redis_name, **facts})
        return FAILED if errors else OK
    write_fields([("checked", redis_name), *figures(report)])
    write_findings(errors, report.warnings)
    write()
    warnings = quantity(len(report.warnings), "warning")
    if errors:
        verb = "breaks" if len(errors) == 1 else "break"
        write(f"FAILED: {quantity(len(errors), 'error')} {verb} the guarantees; {warnings}")
        return FAILED
    write(f"OK: nothing breaks the guarantees; {warnings}")
    return OK


@asynccontextmanager
async def _queue_to_check(
    settings: ServerSettings, *, may_start: bool
) -> AsyncIterator[tuple[MessageQueue, str]]:
    """Yield the queue to check, and words for its Redis.

    Raises InvalidSettingsError without a Redis that may be used, EmbeddedRedisError when it does not start.
    """
    if settings.redis_url.get_secret_value():
        async with open_queue(settings, checks_layout=False) as queue:
            yield queue, "the Redis of REDIS_URL"
            return
    if await _is_running(settings):
        async with open_queue(settings, checks_layout=False) as queue:
            yield queue, f"the Redis that runs with its data in {settings.data_dir}/"
            return
    if not may_start:
        raise InvalidSettingsError(
            f"{no_redis_words(settings)}: set REDIS_URL=redis://…, or type `check --embedded` to check "
            "the Redis that `serve` would start"
        )
    is_temporary = "data_dir" not in settings.model_fields_set and not settings.data_dir.exists()
    folder = "a temporary folder" if is_temporary else f"{settings.data_dir}/"
    async with (
        own_redis(settings, is_temporary=is_temporary) as server,
        connect(server.url) as client,
    ):
        words = (
            f"redis-server {server.binary.version}, started for this check as serve does, data in {folder}"
        )
        yield MessageQueue(client, settings.queue), words


async def _is_running(settings: ServerSettings) -> bool:
    """Return True if the Redis of DATA_DIR answers; the address that a killed `serve` leaves there is not enough."""
    try:
        redis_url(settings)
    except InvalidSettingsError:
        return False
    async with open_queue(settings, checks_layout=False) as queue:
        try:
            await queue.check()
        except QueueUnavailableError:
            return False
    return True
