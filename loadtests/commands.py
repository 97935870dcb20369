"""The command line: `python -m loadtests stack`, `run`, `validate`, `sink`."""

from __future__ import annotations

import argparse
import asyncio
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
from typing import TypeVar

from loadtests.console import show_prediction
from loadtests.run import INVALID, MISSED, OK, USAGE, LoadRun, carry_out, locust_command
from loadtests.schedule import Plan, ScheduleError
from loadtests.sink.server import AI_DEFAULT, SEED_DEFAULT, SinkSettings, serve
from loadtests.stack.chaos import EXAMPLE, FAULTS, Fault, PlanError, parse_plan
from loadtests.stack.deployment import APPEND_FSYNC, Stack, StackError, StackSettings
from loadtests.validate import DISTANCE_AIM, RUNS, recording_of, simulate
from queue_core.durations import parse_duration_ms, with_negative_values
from queue_core.redis_server.embedded import EmbeddedRedisError
from reports.analysis.gap import largest_gap
from reports.results.files import read_result
from sim.engine.distributions import parse_distribution

OUT = Path("reports/out/load")
WORKERS_MAX = 64
RATE_MAX = 10_000_000
FILES_MAX = 65_536
LOOK_EVERY_S = 0.5

_MEMORY = re.compile(r"[0-9]{1,12}(b|k|kb|m|mb|g|gb)?", re.IGNORECASE)
_T = TypeVar("_T")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code; what went wrong is said without a traceback."""
    own, extra = _split(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    options = parser.parse_args(with_negative_values(own))
    if extra and options.command != "run":
        parser.error("only `run` hands options on to Locust")
    options.locust_options = extra
    options.shown_command = shlex.join(
        ["python", "-m", "loadtests", *own, *(["--", *extra] if extra else [])]
    )
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except (PlanError, ScheduleError) as error:
        _complain(str(error))
        return USAGE
    except (StackError, EmbeddedRedisError, OSError) as error:
        _complain(str(error))
        return INVALID
    except KeyboardInterrupt:
        return 130


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Ours, and those for Locust behind `--`."""
    words = list(arguments)
    place = words.index("--") if "--" in words else len(words)
    return words[:place], words[place + 1 :]


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(prog="python -m loadtests", description="Load tests of the running system.")
    commands = top.add_subparsers(required=True, metavar="COMMAND", dest="command")
    stack = commands.add_parser(
        "stack",
        help="the stack alone: Redis, web, workers, sink; Ctrl-C stops all",
        description="Runs a whole deployment on loopback whose AI and WhatsApp are played by a sink, and prints the "
        "addresses. Settings of the queue are taken from the environment (QUEUE_WINDOW_MS=1000). Ctrl-C stops all.",
    )
    _add_stack_arguments(stack)
    stack.add_argument(
        "--port", type=_whole(0, 65_535), default=8080, help="of webhooks; 0: a free one (8080)"
    )
    stack.add_argument(
        "--sink-port", type=_whole(0, 65_535), default=8090, help="of the sink; 0: a free one (8090)"
    )
    stack.set_defaults(run=_stack)
    run = commands.add_parser(
        "run",
        formatter_class=raw,
        help="a whole load test: stack, Locust, faults, report",
        description="Starts the stack, runs Locust against it, carries out the faults, writes the report, stops all.",
        epilog=f"PLAN is like {EXAMPLE}; times count from the start of the load.\nFaults: {', '.join(FAULTS)}.\n"
        "Exit code: 0 all thresholds met; 1 one missed; 2 wrong options; 3 not valid: the generator fell behind, a\n"
        "part of the stack ended by itself, or a fault did not take place. What follows -- goes to Locust.",
    )
    _add_stack_arguments(run)
    _add_run_arguments(run)
    run.set_defaults(run=_load)
    validate = commands.add_parser(
        "validate",
        formatter_class=raw,
        help="the simulator's prediction beside what is measured",
        description="Sends the same arrivals through `sim` and through a real stack, and states the largest distance\n"
        "between the two distributions of reply times. Nothing else should run on the machine.",
        epilog=f"Exit code: 0 when the distance is under {DISTANCE_AIM}; 1 when not; 2, 3 as for run.",
    )
    _add_stack_arguments(validate)
    validate.add_argument("--rate", type=_checked(_rate), default="2000", metavar="N", help="a minute (2000)")
    validate.add_argument(
        "--duration", type=_checked(_duration), default="60s", metavar="TIME", help="of the load (60s)"
    )
    validate.add_argument("--out", type=Path, default=OUT, metavar="DIR", help="for all files (%(default)s)")
    validate.set_defaults(run=_compare, chaos=(), ai="lognormal:2s:4s")
    sink = commands.add_parser(
        "sink", help="the sink alone: plays the AI and WhatsApp, records what reaches it"
    )
    sink.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    sink.add_argument("--port", type=_whole(0, 65_535), default=8090, help="0: a free one (8090)")
    _add_sink_arguments(sink)
    sink.set_defaults(run=_sink)
    return top


def _add_stack_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=_whole(1, WORKERS_MAX), default=1, metavar="N", help="how many (1)")
    parser.add_argument("--legacy", action="store_true", help="the legacy buffer behind the same webhook")
    parser.add_argument(
        "--redis-memory",
        type=_checked(_memory),
        default="50mb",
        metavar="SIZE",
        help="Redis may hold so much (50mb)",
    )
    _add_sink_arguments(parser)


def _add_sink_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ai",
        type=_checked(_service_time),
        default=AI_DEFAULT,
        metavar="SPEC",
        help="time the AI takes: lognormal:MEDIAN:SIGMA, exponential:MEAN, constant:TIME (%(default)s)",
    )
    parser.add_argument(
        "--ai-errors",
        type=_checked(_probability),
        default=0.0,
        metavar="P",
        help="probability that it answers 500 instead (0)",
    )
    parser.add_argument(
        "--seed", type=_whole(0, 2**63 - 1), default=None, metavar="N", help="of all luck (1)"
    )


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scenario", metavar="NAME", help="who writes what and when; default: as Locust is set"
    )
    parser.add_argument("--rate", type=_checked(_rate), metavar="N", help="messages a minute")
    parser.add_argument("--duration", type=_checked(_duration), metavar="TIME", help="of the load, as in 60s")
    parser.add_argument(
        "--chaos", type=_checked(parse_plan), default=(), metavar="PLAN", help="faults, see below"
    )
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help="for all files (%(default)s)")


# The commands.


def _stack(options: argparse.Namespace) -> int:
    _prepare_process()
    stack = Stack(_stack_settings(options, options.port, options.sink_port), os.environ)
    try:
        with stack:
            _show(stack)
            while True:
                time.sleep(LOOK_EVERY_S)
                stack.check()
    except KeyboardInterrupt:
        return OK  # this is how it is meant to end


def _show(stack: Stack) -> None:
    secrets = " ".join(f"{name}={shlex.quote(value)}" for name, value in stack.secrets.items())
    lines = (
        f"host   {stack.host}",
        f"sink   {stack.sink}",
        f"redis  {stack.redis_url}",
        f"logs   {stack.log_folder}",
        f"env    {secrets}",
        "Ctrl-C stops everything.",
    )
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _load(options: argparse.Namespace) -> int:
    plan: tuple[Fault, ...] = options.chaos
    if options.duration is not None:
        load_s = parse_duration_ms(options.duration) / 1000
        for fault in plan:
            if fault.at_s >= load_s:
                raise PlanError(f"{fault} comes after the end of the load ({options.duration})")
    _prepare_process()
    given = {name: getattr(options, name) for name in ("scenario", "rate", "duration", "seed")}
    words = [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]
    run = LoadRun(
        stack=_stack_settings(options, port=0, sink_port=0),
        plan=plan,
        out=options.out,
        locust=tuple(locust_command()),
        locust_options=(*words, *options.locust_options),
        command=options.shown_command,
        settings=_shown_settings(options),
    )
    return carry_out(run, os.environ)


def _compare(options: argparse.Namespace) -> int:
    """Draw once, simulate, measure, compare."""
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "arrivals.jsonl"
    plan = Plan(
        scenario="bursts",
        rate=float(options.rate),
        duration_s=parse_duration_ms(options.duration) / 1000,
        seed=SEED_DEFAULT if options.seed is None else options.seed,
    )
    recording = recording_of(plan, path)
    sys.stdout.write(f"simulating {len(recording.arrivals)} messages, {RUNS} times\n")
    sys.stdout.flush()
    predicted_ms = simulate(recording, options.ai, os.environ.get("QUEUE_WINDOW_MS"))
    _prepare_process()
    run = LoadRun(
        stack=_stack_settings(options, port=0, sink_port=0),
        plan=(),
        out=options.out,
        locust=tuple(locust_command()),
        locust_options=("--scenario", "recorded", "--recording", str(path), "--only-summary"),
        command=options.shown_command,
        settings=_shown_settings(options),
        predicted_ms=predicted_ms,
    )
    code = carry_out(run, os.environ)
    if code == INVALID:
        return code
    result = read_result(options.out / "result.json")
    assert result["kind"] == "load"
    measured_ms = result["latency_ms"]["reply"]
    if not predicted_ms or not measured_ms:
        raise PlanError(
            "nothing was answered, so there is nothing to compare: raise the rate or the duration"
        )
    gap = largest_gap(sorted(predicted_ms), measured_ms)
    show_prediction(predicted_ms, measured_ms, gap, DISTANCE_AIM)
    return OK if gap.distance < DISTANCE_AIM else MISSED


def _shown_settings(options: argparse.Namespace) -> dict[str, str | int | float]:
    """Return what a reader of the result wants to know of the stack."""
    queue = {name: value for name, value in sorted(os.environ.items()) if name.startswith("QUEUE_") and value}
    return {
        "system": "legacy" if options.legacy else "queue",
        "workers": options.workers,
        "ai": options.ai,
        "ai_error_share": options.ai_errors,
        "redis_memory": options.redis_memory,
        "redis_append_fsync": APPEND_FSYNC,
        "faults": ",".join(map(str, options.chaos)),
        **queue,
    }


def _sink(options: argparse.Namespace) -> int:
    def listening(url: str) -> None:
        sys.stdout.write(f"listening on {url}\n")
        sys.stdout.flush()

    _raise_limit_of_files()
    asyncio.run(serve(_sink_settings(options), options.host, options.port, listening))
    return OK


def _stack_settings(options: argparse.Namespace, port: int, sink_port: int) -> StackSettings:
    return StackSettings(
        workers=options.workers,
        is_legacy=options.legacy,
        port=port,
        sink_port=sink_port,
        redis_memory=options.redis_memory,
        sink=_sink_settings(options),
    )


def _sink_settings(options: argparse.Namespace) -> SinkSettings:
    seed = SEED_DEFAULT if options.seed is None else options.seed
    return SinkSettings(ai=options.ai, ai_errors=options.ai_errors, seed=seed)


def _prepare_process() -> None:
    """SIGTERM ends us as Ctrl-C does, with everything stopped."""
    signal.signal(signal.SIGTERM, _interrupt)
    _raise_limit_of_files()


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def _raise_limit_of_files() -> None:
    """A thousand users at once are a thousand connections, and children inherit the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, FILES_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _complain(text: str) -> None:
    sys.stderr.write(f"loadtests: {text}\n")


# Options.


def _checked(read: Callable[[str], _T]) -> Callable[[str], _T]:
    """For argparse: what is wrong is said as it was worded."""

    def check(text: str) -> _T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return check


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,19}", text) or not low <= int(text) <= high:
            raise ValueError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return _checked(read)


def _memory(text: str) -> str:
    if not _MEMORY.fullmatch(text):
        raise ValueError(f"{text!r} is not a size: write it as redis.conf has it, as in 50mb")
    return text


def _service_time(text: str) -> str:
    parse_distribution(text)
    return text


def _duration(text: str) -> str:
    parse_duration_ms(text, is_above_0=True)
    return text


def _number(text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
    if not low <= value <= high:
        raise ValueError(f"{text} is outside {low:g} to {high:g}")
    return value


def _probability(text: str) -> float:
    return _number(text, 0, 1)


def _rate(text: str) -> str:
    _number(text, 0.001, RATE_MAX)
    return text
