"""`python -m queue_core redis`: a redis-server in the foreground, for a bot of your own. Needs no extra packages."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from queue_core.command_lines import typed
from queue_core.command_parser import CommandParser
from queue_core.redis_server.address import announced
from queue_core.redis_server.binaries import EmbeddedRedisError
from queue_core.redis_server.embedded import EmbeddedRedis

PORT = 6379
LOOK_EVERY_S = 0.5
OK, FAILED, INTERRUPTED = 0, 1, 130


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to a command line; `args.run_alone(args)` runs it and returns the exit code."""
    about = "run a redis-server in the foreground and print its address"
    parser = commands.add_parser(
        "redis",
        help=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Runs a redis-server on this machine, listening on 127.0.0.1 only, until Ctrl-C or SIGTERM. It\n"
        "keeps its data on disk and never evicts any. The first line of its output is REDIS_URL=…\n"
        "Other commands find it without REDIS_URL if their DATA_DIR is its folder.",
        epilog="exit codes: 0 stopped by SIGTERM; 1 it did not start, or died; 130 Ctrl-C",
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=PORT,
        help="port to listen on; 0 picks a free one (default: %(default)s)",
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=Path(os.environ.get("DATA_DIR") or "data"),
        metavar="FOLDER",
        help="its data (default: the environment's DATA_DIR, or data/; no file with settings is read)",
    )
    parser.set_defaults(run_alone=run)


def main(arguments: Sequence[str]) -> int:
    """Run `redis` where the packages of the other commands are not installed."""
    parser: argparse.ArgumentParser = CommandParser(prog=typed("python -m queue_core"))
    add_command(parser.add_subparsers(required=True, metavar="COMMAND"))
    options = parser.parse_args(arguments)
    run_alone: Callable[[argparse.Namespace], int] = options.run_alone
    return run_alone(options)


def run(options: argparse.Namespace) -> int:
    """Run the server until a signal, and return the exit code."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        with (
            EmbeddedRedis(options.data_dir, port=options.port, append_only=True) as server,
            announced(server.url, options.data_dir),
        ):
            print(f"REDIS_URL={server.url}", flush=True)
            print(
                f"redis-server {server.binary.version} runs, data in {options.data_dir}/; Ctrl-C stops it",
                file=sys.stderr,
            )
            while not stop.wait(LOOK_EVERY_S):
                if not server.is_running():
                    tail = server.log_tail()
                    print(f"queue_core: the redis-server died. Its log ends:\n{tail}", file=sys.stderr)
                    return FAILED
    except EmbeddedRedisError as error:
        print(f"queue_core: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return OK


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:6]) <= 65_535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: give a whole number from 0 to 65535")
    return int(text)
