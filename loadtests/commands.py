"""Command line: `python -m loadtests stack`, `run`, `validate`, `failover`, `sink`."""

from __future__ import annotations

import argparse
import os
import re
import resource
import shlex
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from loadtests.failover.command import add_failover
from loadtests.options import (
    OUT,
    SEED_MAX,
    Option,
    add_load_options,
    duration,
    folder,
    number,
    typed_options,
    value_for_locust,
    whole,
)
from loadtests.replicated_redis.servers import ServersError
from loadtests.run import INVALID, OK, USAGE, LoadRun, carry_out, temporary_folder
from loadtests.scenarios import UNTIMED
from loadtests.schedule import RECORDING_NEEDED, ScheduleError
from loadtests.sink.server import AI_DEFAULT, SEED_DEFAULT, SEND_DEFAULT, ListenError, SinkSettings, serve
from loadtests.stack.chaos import EXAMPLE
from loadtests.stack.deployment import APPEND_FSYNC, Stack, StackError, StackSettings
from loadtests.stack.queue_settings import misspelt, queue_settings
from loadtests.validation.command import trials, validate
from loadtests.validation.trials import TRIALS
from queue_core.command_lines import typed
from queue_core.command_parser import CommandParser
from queue_core.durations import DurationError, parse_duration_ms, with_negative_values
from queue_core.redis_server.binaries import EmbeddedRedisError
from reports.analysis.agreement import AIM
from reports.words.language import DEFAULT, LANGUAGES
from sim.engine.distributions import parse_distribution
from sim.faults import Fault, FaultError, faults_in_words, parse_faults

WORKERS_MAX = 64
RATE_MAX = 10_000_000
FILES_MAX = 65_536
CHECK_EVERY_S = 0.5
INTERRUPTED = 130

MB = 1_000_000

_MEMORY = re.compile(r"([0-9]{1,12})(b|k|kb|m|mb|g|gb)?", re.IGNORECASE)
_BYTES = {"b": 1, "k": 1_000, "kb": 1_024, "m": MB, "mb": 1_024**2, "g": 1_000 * MB, "gb": 1_024**3}
"""Bytes of each unit, as Redis reads it."""
_COMMANDS = "stack, run, validate, failover or sink"
_PLAIN_WORDS = (
    (r"^the following arguments are required: .*", f"a command is missing: type {_COMMANDS}"),
    (r"^argument COMMAND: invalid choice: ('.*?') \(.*", rf"\1 is not a command: type {_COMMANDS}"),
    (r"^argument ", ""),
    (r"expected one argument$", "its value is missing"),
    (r"ignored explicit argument '.*'$", "it takes no value"),
)
"""Messages of argparse, and plain words that replace them."""


def _memory(text: str) -> str:
    match = _MEMORY.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a memory size: write it as in 50mb")
    if not MB <= int(match[1]) * _BYTES[(match[2] or "b").lower()] <= 1_000_000 * MB:
        raise ValueError(f"{text!r} is not from 1mb to 1000gb")
    return text


def _service_time(text: str) -> str:
    parse_distribution(text)
    return text


def _host(text: str) -> str:
    """Refuse an empty address, at which a server listens on all addresses of the machine."""
    if not text.strip():
        raise ValueError(f"{text!r} is not an address: leave out --host, or write 0.0.0.0 for all addresses")
    return text


def _faults(text: str) -> tuple[Fault, ...]:
    return parse_faults([text], "load") if text else ()


def _renamed(_: str) -> str:
    raise argparse.ArgumentTypeError("is now --faults, and its names have changed; `run --help` lists them")


REDIS_KINDS = ("single", "cluster", "sentinel")
_PORT = whole(0, 65_535)
_AI = Option(
    "ai",
    "SPEC",
    AI_DEFAULT,
    "time that the AI takes: constant:TIME, exponential:MEAN, lognormal:MEDIAN:SIGMA or lognormal:MEDIAN:P95",
    _service_time,
)
_SEND = Option(
    "send",
    "SPEC",
    SEND_DEFAULT,
    "time that WhatsApp takes to answer a send, written as for --ai",
    _service_time,
)
_AI_ERRORS = Option("ai-errors", "P", 0, "probability that the AI answers 500, from 0 to 1", number(0, 1))
_SEED = Option("seed", "N", SEED_DEFAULT, "equal seeds draw equal times", whole(0, SEED_MAX))
_OUT = Option("out", "DIR", OUT, "folder for all files", folder)
_MEMORY_LIMIT = Option("redis-memory", "SIZE", "50mb", "limit on Redis's memory, such as 500mb", _memory)
_STACK = (
    Option("workers", "N", 1, "number of workers", whole(1, WORKERS_MAX)),
    _MEMORY_LIMIT,
    Option(
        "redis",
        "KIND",
        "single",
        "single, cluster (3 primaries, 3 replicas) or sentinel",
        choices=REDIS_KINDS,
    ),
    _AI_ERRORS,
)
_RUN = (Option("faults", "PLAN", "", "faults, see below", _faults), _OUT)
_VALIDATE = (
    _MEMORY_LIMIT,
    _AI._replace(default="lognormal:2s:4s", help=f"{_AI.help}; the trial ai-fails has a time of its own"),
    _SEED,
    Option(
        "rate",
        "N",
        900.0,
        "messages a minute, on average; a storm has a rate of its own",
        number(0.001, RATE_MAX),
    ),
    Option("duration", "TIME", "25s", "length of each load", duration(is_above_0=True)),
    Option("only", "NAMES", ",".join(TRIALS), "trials, separated by commas", trials),
    _OUT._replace(default="reports/out/validate"),
    Option("json", "FILE", "", "write the result into this file too; - is standard output"),
    Option("lang", "CODE", DEFAULT, f"language of the report: {', '.join(LANGUAGES)}", choices=LANGUAGES),
)


def _add(parser: argparse.ArgumentParser, *options: Option) -> None:
    for option in options:
        option.add_to(parser)


class _Parser(CommandParser):
    def __init__(self, **settings: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **settings)
        self.set_defaults(parser=self)

    def error(self, message: str) -> NoReturn:
        for pattern, words in _PLAIN_WORDS:
            message = re.sub(pattern, words, message)
        if message.startswith("unrecognized") and self.prog.endswith(" run"):
            message += "; write options of Locust after --"
        self.exit(USAGE, f"loadtests: {message}\nall options: {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code. Errors are shown in a line or two, without a traceback."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    split = words.index("--") if "--" in words else len(words)
    options = _parser().parse_args(with_negative_values(words[:split]))
    options.locust_options = words[split + 1 :]
    options.shown_command = shlex.join(["python", "-m", "loadtests", *words])
    if getattr(options, "legacy", False) and options.redis != "single":
        options.parser.error(
            "--legacy tests the legacy buffer, which is measured on a single Redis only: leave out --legacy or --redis"
        )
    if options.locust_options and options.command != "run":
        options.parser.error("only `run` passes options to Locust: leave out -- and everything after it")
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except (FaultError, ScheduleError, ListenError) as error:
        return _fail(str(error), USAGE)
    except (StackError, EmbeddedRedisError, ServersError) as error:
        return _fail(str(error), INVALID)
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), INVALID)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)


def _fail(text: str, code: int) -> int:
    sys.stderr.write(f"loadtests: {text}\n")
    return code


_EPILOG_OF_RUN = f"""\
PLAN: faults at times from the start of the load, such as
  {EXAMPLE}
{faults_in_words("load")}

Exit code: 0: every threshold is met. 1: a threshold is missed. 2: the command
cannot be carried out as typed. 3: the run is not valid: the generator was late (which ends
a ramp, and leaves it valid), a part of the stack did not start or ended by itself, a fault did
not happen, other programs left the machine no CPU time, or there is no result."""


def _parser() -> argparse.ArgumentParser:
    top = _Parser(
        prog=typed("python -m loadtests"),
        description="Load tests of the running system.",
        epilog=typed("The options of a command: python -m loadtests COMMAND --help"),
    )
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="command")
    stack = commands.add_parser(
        "stack",
        help="run the stack alone: Redis, web, workers and sink; Ctrl-C stops it",
        description="Runs a whole deployment on 127.0.0.1, in which a sink plays the AI and WhatsApp, and prints its\n"
        "addresses. The environment sets the queue, as in QUEUE_WINDOW_MS=1000. Ctrl-C stops everything.",
    )
    _add(
        stack,
        *_STACK,
        _AI,
        _SEND,
        _SEED,
        Option("port", "N", 8080, "port of webhooks; 0: any", _PORT),
        Option("sink-port", "N", 8090, "port of the sink; 0: any", _PORT),
    )
    stack.set_defaults(run=_stack)
    run = _parser_of_run(commands)
    validation = commands.add_parser(
        "validate",
        help="compare the simulator's predictions with measurements",
        description="Simulates trials once and runs them live twice: steady, bursts and storm on the queue, bursts on\n"
        "the legacy buffer, steady with Redis away for 5 s, and with the AI failing for 10 s. The distance\n"
        "between the two live runs is the noise. Run nothing else on the machine meanwhile.",
        epilog=f"Exit code: 0: every simulated curve is within the noise + {AIM}, and the counts agree. 1: a trial\n"
        "does not agree. 2: the command cannot be carried out as typed. 3: a live run is not valid, or could not be\n"
        "carried out.",
    )
    _add(validation, *_VALIDATE)
    validation.set_defaults(run=_validate)
    add_failover(commands)
    sink = commands.add_parser(
        "sink",
        help="run the sink alone, which plays the AI and WhatsApp",
        description="Plays the AI and WhatsApp, and remembers the requests that reach it. Ctrl-C stops it.",
    )
    _add(
        sink,
        Option("host", "NAME", "127.0.0.1", "address to listen on", _host),
        Option("port", "N", 8090, "port to listen on; 0: any", _PORT),
        _AI,
        _AI_ERRORS,
        _SEND,
        _SEED,
    )
    sink.set_defaults(run=_sink)
    for parser in (stack, run):
        parser.add_argument("--legacy", action="store_true", help="test the legacy buffer, not the queue")
    return top


def _parser_of_run(commands: argparse._SubParsersAction[_Parser]) -> argparse.ArgumentParser:
    run = commands.add_parser(
        "run",
        help="run a whole load test: stack, Locust, faults, report",
        description="Starts the stack, sends the load with Locust, makes the faults happen, writes the report, and\n"
        "stops everything. What follows -- goes to Locust, as in: -- --processes 2",
        epilog=_EPILOG_OF_RUN,
    )
    _add(run, *_STACK, _AI, _SEND, *_RUN)
    run.add_argument("--chaos", type=_renamed, help=argparse.SUPPRESS)
    add_load_options(run)
    run.set_defaults(run=_load)
    return run


# Commands.


def _stack(options: argparse.Namespace) -> int:
    _prepare_process()
    settings = _stack_settings(options, options.port, options.sink_port)
    try:
        with temporary_folder() as folder, Stack(settings, os.environ, folder) as stack:
            _show(stack)
            while True:
                time.sleep(CHECK_EVERY_S)
                stack.check()
    except KeyboardInterrupt:
        return OK  # the usual end


def _show(stack: Stack) -> None:
    secrets = " ".join(f"{name}={shlex.quote(value)}" for name, value in stack.secrets.items())
    sys.stdout.write(
        f"host   {stack.host}\n"
        f"sink   {stack.sink}\n"
        f"redis  {stack.redis_url}\n"
        f"logs   {stack.log_folder}\n"
        f"env    {secrets}\n"
        "Ctrl-C stops everything.\n"
    )
    sys.stdout.flush()


def _load(options: argparse.Namespace) -> int:
    plan: tuple[Fault, ...] = options.faults
    _check_load(options, plan)
    _prepare_process()
    return carry_out(_load_run(options, plan, [*typed_options(options), *options.locust_options]), os.environ)


def _check_load(options: argparse.Namespace, plan: tuple[Fault, ...]) -> None:
    """Refuse a load that cannot be carried out before anything starts. Raises FaultError, ScheduleError."""
    passed_on = {word.partition("=")[0] for word in options.locust_options}
    if passed_on & {"--scenario", "--duration", "--recording"}:
        return  # Locust checks options that only it gets
    scenario, duration_text, recording = (
        value_for_locust(options, name) for name in ("scenario", "duration", "recording")
    )
    if scenario == "recorded" and not recording:
        raise ScheduleError(RECORDING_NEEDED)
    if scenario in UNTIMED or not plan:
        return
    try:
        load_s = parse_duration_ms(duration_text) / 1000
    except DurationError as error:
        raise FaultError(f"--duration: {error}") from None
    for fault in plan:
        if fault.at_ms >= 1000 * load_s:
            raise FaultError(f"--faults: {fault} comes after the end of the load ({duration_text})")


def _validate(options: argparse.Namespace) -> int:
    _prepare_process()
    return validate(options, os.environ)


def _sink(options: argparse.Namespace) -> int:
    def listening(url: str) -> None:
        sys.stdout.write(f"listening on {url}\n")
        sys.stdout.flush()

    _raise_limit_of_files()
    serve(_sink_settings(options), options.host, options.port, listening)
    return OK


def _load_run(
    options: argparse.Namespace,
    plan: tuple[Fault, ...],
    locust_options: Sequence[str],
) -> LoadRun:
    return LoadRun(
        stack=_stack_settings(options, port=0, sink_port=0),
        plan=plan,
        out=Path(options.out),
        locust_options=tuple(locust_options),
        command=options.shown_command,
        settings={
            "system": "legacy" if options.legacy else "queue",
            "workers": options.workers,
            "ai": options.ai,
            "send": options.send,
            "ai_error_share": options.ai_errors,
            "redis_memory": options.redis_memory,
            "redis_append_fsync": APPEND_FSYNC,
            "redis_servers": options.redis,
            "faults": ",".join(map(str, plan)),
            **queue_settings(os.environ),
        },
    )


def _stack_settings(options: argparse.Namespace, port: int, sink_port: int) -> StackSettings:
    return StackSettings(
        workers=options.workers,
        is_legacy=options.legacy,
        port=port,
        sink_port=sink_port,
        redis_memory=options.redis_memory,
        redis=options.redis,
        sink=_sink_settings(options),
    )


def _sink_settings(options: argparse.Namespace) -> SinkSettings:
    seed = getattr(options, "seed", SEED_DEFAULT)  # `run` leaves the default to Locust's settings
    return SinkSettings(ai=options.ai, ai_errors=options.ai_errors, send=options.send, seed=seed)


def _prepare_process() -> None:
    """Warn of misspelt settings, make SIGTERM end this process as Ctrl-C does, and allow more open files."""
    for warning in misspelt(os.environ):
        sys.stderr.write(f"loadtests: {warning}\n")
    signal.signal(signal.SIGTERM, _interrupt)
    _raise_limit_of_files()


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def _raise_limit_of_files() -> None:
    """Allow enough open files for a thousand connections, here and in child processes, which inherit the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, FILES_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
