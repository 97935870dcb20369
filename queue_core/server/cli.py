"""The command line: `python -m queue_core COMMAND`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NoReturn

import msgspec

from queue_core.command_lines import typed, with_env_file
from queue_core.command_parser import CommandParser
from queue_core.durations import with_negative_values
from queue_core.errors import InvalidSettingsError, QueueError
from queue_core.redis_server import command as redis_server
from queue_core.redis_server.binaries import EmbeddedRedisError
from queue_core.server import config, operator, processes
from queue_core.server.config import FaultySettingsError, ServerSettings
from queue_core.server.logs import configure_logging
from queue_core.server.runtime import open_runtime

EXIT_FAILED = 1
EXIT_USAGE = 2

_DESCRIPTION = """\
A WhatsApp bot's message queue: webhooks in, one reply per turn out, nothing lost in between.

  serve    everything in one process; without REDIS_URL it starts its own redis-server
  web, worker, monitor
           the parts, each in as many processes as you want, on one REDIS_URL
  redis    a redis-server alone, for a bot of your own
  check, status, show, dead, damaged, drain, hold, resume, forget, partitions, tick, send-test
           commands for the operator

Settings come from the environment and from .env; docs/server.md lists them.
Each command explains its options: COMMAND --help
"""

_EXIT_CODES = (
    "Exit code: 0 after SIGTERM or Ctrl-C; 130 after a second one; 1 for an error; 2 for a wrong setting."
)
_ROLES: Sequence[tuple[str, tuple[processes.Role, ...], str, str]] = (
    (
        "serve",
        processes.ALL_ROLES,
        "run everything in one process",
        f"""\
Runs web, worker and monitor in one process. Without REDIS_URL it starts a redis-server of its own, with its data in
DATA_DIR (./data/); without AI an echo answers; without a channel replies are printed.
{_EXIT_CODES}""",
    ),
    (
        "web",
        ("web",),
        "take webhooks, put messages into the queue",
        f"""\
Takes the webhooks of the configured channels, and puts their messages into the queue. While Redis is away it answers
messages itself, so it needs the same settings as a worker. Several may run on one REDIS_URL.
{_EXIT_CODES}""",
    ),
    (
        "worker",
        ("worker",),
        "take turns from the queue, ask the AI, send the replies",
        f"""\
Takes turns that are due, up to CONCURRENCY at a time, asks the AI, and sends the replies. Several may run on one
REDIS_URL; when a worker dies, the others take over its turns within about 15 s.
{_EXIT_CODES}""",
    ),
    (
        "monitor",
        ("monitor",),
        "check the queue, repair it, and log what is wrong",
        f"""\
Checks the queue every MONITOR_EVERY_S (60 s), repairs it, deletes data that has expired, and logs what is wrong.
One monitor is enough; several do no harm.
{_EXIT_CODES}""",
    ),
)

Command = Callable[[argparse.Namespace, ServerSettings], Coroutine[Any, Any, int]]


class _Parser(CommandParser):
    """Parser whose errors end with the command that shows the help."""

    def error(self, message: str) -> NoReturn:
        super().error(f"{message}; see {self.prog} --help")


def parser() -> argparse.ArgumentParser:
    """Make the whole command line."""
    raw = argparse.RawDescriptionHelpFormatter
    top: argparse.ArgumentParser = _Parser(
        prog=typed("python -m queue_core"), description=_DESCRIPTION, formatter_class=raw
    )
    top.add_argument(
        "--env-file", metavar="FILE", help=f"file with settings (default: {config.ENV_FILE}, if there is one)"
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for name, roles, about, description in _ROLES:
        command = commands.add_parser(name, formatter_class=raw, help=about, description=description)
        if "web" in roles:
            command.add_argument("--host", help="address to listen on, instead of HOST")
            command.add_argument("--port", help="port to listen on, instead of PORT")
        command.add_argument(
            "--hold",
            action="store_true",
            help="first hold the queue, as the command `hold` does: no worker takes a turn until `resume`",
        )
        command.set_defaults(
            run=_serve,
            roles=roles,
            starts_redis=name == "serve",
            needs_ai=name in ("web", "worker"),
            takes_webhooks="web" in roles,
        )
    redis_server.add_command(commands)
    operator.add_commands(commands)
    tick = commands.add_parser(
        "tick",
        formatter_class=raw,
        help="answer everything that is due, once",
        description="Takes all turns that are due, once, as a worker does: asks the AI and sends the replies.\n"
        "For cron. Prints a report in JSON.\n\n"
        "exit codes: 0 nothing failed; 1 an attempt failed, a message became a dead letter, or Redis is not\n"
        "available; 2 wrong usage or configuration",
    )
    tick.set_defaults(run=_tick, needs_ai=True)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code. An error is printed in one line, without a traceback."""
    commands = parser()
    chosen = commands.parse_args(with_negative_values(sys.argv[1:] if arguments is None else arguments))
    if "run_alone" in chosen and chosen.env_file:
        commands.error(
            "the command redis reads no file with settings: leave --env-file out, and give --data-dir"
        )
    with with_env_file(chosen.env_file):
        return _run(chosen)


def _run(chosen: argparse.Namespace) -> int:
    if "run_alone" in chosen:
        return int(chosen.run_alone(chosen))
    try:
        overrides = {
            name.upper(): value
            for name in ("host", "port")
            if (value := getattr(chosen, name, None)) is not None
        }
        loaded = config.load(
            {**os.environ, **overrides},
            chosen.env_file,
            needs_ai=getattr(chosen, "needs_ai", False),
            takes_webhooks=getattr(chosen, "takes_webhooks", False),
        )
        settings = loaded.settings
        configure_logging(settings.log_format, settings.log_level if "roles" in chosen else "warning")
        _warn(loaded.warnings)
        command: Command = chosen.run
        with asyncio.Runner(loop_factory=loop_factory() if "roles" in chosen else None) as runner:
            return runner.run(command(chosen, settings))
    except InvalidSettingsError as error:
        for fault in str(error).splitlines():
            print(f"queue_core: {fault}", file=sys.stderr)
        if isinstance(error, FaultySettingsError):
            _warn(error.warnings)
        return EXIT_USAGE
    except (QueueError, EmbeddedRedisError) as error:
        print(f"queue_core: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the program that read the output has ended, which is not an error
        return EXIT_FAILED


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the maker of uvloop's event loops if it is installed (extra `fast`), otherwise None for asyncio's."""
    try:
        import uvloop  # noqa: PLC0415 - only the extra `fast` brings it
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        print(f"queue_core: warning: {warning}", file=sys.stderr)


async def _serve(chosen: argparse.Namespace, settings: ServerSettings) -> int:
    gc.freeze()  # else each full collection also searches all imported modules, and stops the process for 50 ms
    await processes.run(settings, chosen.roles, starts_redis=chosen.starts_redis, holds=chosen.hold)
    return 0


async def _tick(_: argparse.Namespace, settings: ServerSettings) -> int:
    async with open_runtime(settings.with_ai()) as runtime:
        report = await runtime.new_processor().process_all_queues()
    print(json.dumps(msgspec.to_builtins(report), indent=2))
    return EXIT_FAILED if report.failed or report.dead_lettered else 0
