"""The command line: `python -m sim replay`, `sweep`, `systems`, `synth`.

Exit codes of `replay`: 0 when the queue lost, duplicated and reordered nothing and every expected outcome matched;
1 when not, or when a run failed; 2 for input or options that cannot be used; 130 when interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from queue_core.durations import with_negative_values
from queue_core.recording.format import Recording
from queue_core.recording.reader import RecordingError, load
from reports.results.replay import ReplayResult
from reports.words.language import DEFAULT, LANGUAGES
from reports.words.systems import system_summary
from sim import cli_sweep
from sim.console import console_for, progress, show, show_verdict
from sim.engine.processes import ProcessDiedError
from sim.engine.settings import FAULTS, SettingsError, SimSettings, parse_fault
from sim.study import ReplayFailedError, Study, carry_out
from sim.synthetic import day as synthetic
from sim.systems import all_systems

OK, BAD_OUTCOME, BAD_INPUT = 0, 1, 2
REPORT = Path("reports/out/replay.html")
RUNS_MAX = 100_000
STANDARD_OUTPUT = "-"


class InputError(Exception):
    """Input or options that cannot be used; the message says which and why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code. KeyboardInterrupt is the caller's (see __main__)."""
    parser = _parser()
    options = parser.parse_args(with_negative_values(sys.argv[1:] if arguments is None else arguments))
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except (RecordingError, SettingsError, InputError) as error:
        print(f"sim: {error}", file=sys.stderr)
        return BAD_INPUT
    except ReplayFailedError as error:
        traceback.print_exception(error)
        print(f"sim: a run failed, which is a bug in a system or in the simulator: {error}", file=sys.stderr)
        return BAD_OUTCOME
    except ProcessDiedError as error:
        print(f"sim: {error}", file=sys.stderr)
        return BAD_OUTCOME
    except BrokenPipeError:
        # Whoever read our output has gone; keep Python from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BAD_OUTCOME


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sim",
        description="Replays recorded conversations against message queues, in simulated time.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    replay = commands.add_parser(
        "replay",
        help="replay recordings and show what each system loses, and why",
        description="Replays every recording against every system, prints what became of the messages, and writes a "
        "report. Equal recordings, options and seed give equal results, to the byte.",
        epilog="Exit code: 0 when the queue lost, duplicated and reordered nothing and every expected outcome matched; "
        "1 when not; 2 for input that cannot be read. TIME is a number and its unit: ms, s, m or h.",
    )
    _add_replay_arguments(replay)
    replay.set_defaults(run=_replay)
    tried = commands.add_parser(
        "sweep",
        help="replay recordings on the queue under many settings, and show what each choice costs",
        description="Replays recordings on the queue under every combination of the settings given, and tells what "
        "each costs in waiting, AI calls and interrupted turns.",
        epilog="Exit code: 0 when the queue lost, duplicated and reordered nothing under any of them; 1 when it did; 2 "
        "for input that cannot be read.",
    )
    cli_sweep.add_arguments(tried, _seed, _runs)
    tried.add_argument(
        "--jobs", type=_jobs, default=os.cpu_count() or 1, metavar="N", help="processes to use"
    )
    tried.set_defaults(run=_sweep)
    systems = commands.add_parser("systems", help="list the systems that recordings can be replayed against")
    systems.set_defaults(run=_systems)
    synth = commands.add_parser("synth", help="write a synthetic recording from the figures of real chats")
    synthetic.add_arguments(synth)
    synth.set_defaults(run=synthetic.run)
    return parser


def _add_replay_arguments(parser: argparse.ArgumentParser) -> None:
    _add_settings_arguments(parser, SimSettings())
    _add_output_arguments(parser)


def _add_settings_arguments(parser: argparse.ArgumentParser, defaults: SimSettings) -> None:
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="a recording (.jsonl), or a folder of them"
    )
    parser.add_argument(
        "--system",
        action="append",
        metavar="S",
        help="only this system; may be repeated (default: all, see `systems`)",
    )
    parser.add_argument(
        "--runs",
        type=_runs,
        default=1,
        metavar="N",
        help="replay N times with derived seeds, and estimate how likely loss is",
    )
    parser.add_argument(
        "--seed",
        type=_seed,
        default=defaults.seed,
        metavar="N",
        help="where all luck comes from (default: %(default)s)",
    )
    world = parser.add_argument_group("the world", "a recording's own settings hold unless given here")
    world.add_argument(
        "--ai",
        metavar="SPEC",
        help="time the AI takes: constant:6s, exponential:MEAN, lognormal:MEDIAN:P95 or lognormal:MEDIAN:SIGMA "
        f"(default: {defaults.ai})",
    )
    world.add_argument(
        "--redis-latency",
        metavar="SPEC",
        help=f"round trip to Redis, written likewise (default: {defaults.redis_latency})",
    )
    world.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME=RATE",
        help="let a fault strike with a probability from 0 to 1; may be repeated. "
        + "; ".join(f"{name}: {words}" for name, words in FAULTS.items()),
    )
    queue = parser.add_argument_group("the queue", "the older systems keep the constants they had")
    queue.add_argument(
        "--window",
        metavar="TIME",
        help=f"answer so long after a turn's first message (default: {defaults.window_ms}ms)",
    )
    queue.add_argument(
        "--max-messages",
        metavar="N",
        help=f"answer at once when N messages wait (default: {defaults.max_messages})",
    )
    queue.add_argument("--idle", metavar="TIME", help="answer after so long a silence; 0 is off (default: 0)")


def _add_output_arguments(parser: argparse.ArgumentParser) -> None:
    output = parser.add_argument_group("output")
    output.add_argument(
        "--report", type=Path, default=REPORT, metavar="FILE", help="the report (default: %(default)s)"
    )
    output.add_argument(
        "--no-report", action="store_const", const=None, dest="report", help="write no report"
    )
    output.add_argument(
        "--lang", choices=LANGUAGES, default=DEFAULT, help="language of the report (default: en)"
    )
    output.add_argument(
        "--json",
        metavar="FILE",
        help="write the whole result as JSON; - is standard output, and then nothing else is",
    )
    output.add_argument("--quiet", action="store_true", help="print the verdict only")
    work = parser.add_argument_group("work")
    work.add_argument(
        "--skip-bad-lines",
        action="store_true",
        help="count and show broken lines instead of stopping at the first",
    )
    work.add_argument(
        "--jobs",
        type=_jobs,
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes to use (default: one per processor)",
    )


def _replay(options: argparse.Namespace) -> int:
    recordings = load(options.paths, skip_bad_lines=options.skip_bad_lines)
    study = _study(options, recordings)
    _check_outputs(options)
    with progress(len(recordings) * len(study.systems) * study.runs, shown=not options.quiet) as done:
        result = carry_out(study, jobs=options.jobs, done=done)
    _write(result, options)
    console = console_for(sys.stderr if options.json == STANDARD_OUTPUT else sys.stdout)
    if not options.quiet:
        show(result, console)
        if options.report is not None:
            console.print(f"Report: {options.report}", markup=False)
    show_verdict(result, console)
    return OK if result["ok"] else BAD_OUTCOME


def _sweep(options: argparse.Namespace) -> int:
    _check_outputs(options)
    result = cli_sweep.result_of(options, jobs=options.jobs)
    try:
        cli_sweep.write(result, options)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"the result cannot be written: {error}") from None
    cli_sweep.tell(result, options)
    return OK if result["ok"] else BAD_OUTCOME


def _study(options: argparse.Namespace, recordings: Sequence[Recording]) -> Study:
    """What is to be done. Raises InputError or SettingsError for what cannot be."""
    known = all_systems()
    chosen = list(dict.fromkeys(options.system or known))
    for name in chosen:
        if name not in known:
            raise InputError(f"--system: there is no system {name!r}; known are {', '.join(known)}")
    for recording in recordings:
        for name in recording.expect:
            if name not in known:
                raise InputError(
                    f"{recording.name}: expect: there is no system {name!r}; known are {', '.join(known)}"
                )
    given = {
        "ai": options.ai,
        "redis-latency": options.redis_latency,
        "window": options.window,
        "max-messages": options.max_messages,
        "idle": options.idle,
    }
    study = Study(
        recordings=recordings,
        systems=[name for name in known if name in chosen],
        settings=SimSettings(seed=options.seed, faults=dict(parse_fault(text) for text in options.fault)),
        options={name: text for name, text in given.items() if text is not None},
        runs=options.runs,
        command=_command(options),
    )
    for recording in recordings:
        study.settings_for(recording)
    return study


def _command(options: argparse.Namespace) -> str:
    """The command that gives this result: what changes it, and no more. Absolute paths are shortened to names."""
    words = ["python", "-m", "sim", "replay"]
    words += [path.name if path.is_absolute() else path.as_posix() for path in options.paths]
    for name in options.system or []:
        words += ["--system", name]
    if options.runs != 1:
        words += ["--runs", str(options.runs)]
    words += ["--seed", str(options.seed)]
    for name in ("ai", "redis_latency", "window", "max_messages", "idle"):
        if getattr(options, name) is not None:
            words += [f"--{name.replace('_', '-')}", getattr(options, name)]
    for text in options.fault:
        words += ["--fault", text]
    if options.skip_bad_lines:
        words.append("--skip-bad-lines")
    return shlex.join(words)


def _check_outputs(options: argparse.Namespace) -> None:
    for path in (options.report, None if options.json in (None, STANDARD_OUTPUT) else Path(options.json)):
        if path is not None:
            _check_writable(path)


def _check_writable(path: Path) -> None:
    """Raises InputError now, rather than OSError after all the work."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a"):
            pass
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None


def _write(result: ReplayResult, options: argparse.Namespace) -> None:
    try:
        if options.json is not None:
            text = json.dumps(result, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
            if options.json == STANDARD_OUTPUT:
                sys.stdout.flush()
                sys.stdout.buffer.write(text.encode("utf-8", "replace"))
                sys.stdout.flush()
            else:
                Path(options.json).write_bytes(text.encode("utf-8", "replace"))
        if options.report is not None:
            from reports.pages.replay.page import write_replay_report  # noqa: PLC0415 - matplotlib takes a second to import

            write_replay_report(result, options.report, options.lang)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"the result cannot be written: {error}") from None


def _systems(_: argparse.Namespace) -> int:
    for name in all_systems():
        print(f"{name:<10} {system_summary(name)}")
    return OK


def _whole(text: str, low: int, high: int) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{value} is outside {low} to {high}")
    return value


def _runs(text: str) -> int:
    return _whole(text, 1, RUNS_MAX)


def _seed(text: str) -> int:
    return _whole(text, 0, 2**63 - 1)


def _jobs(text: str) -> int:
    return _whole(text, 1, 1024)
