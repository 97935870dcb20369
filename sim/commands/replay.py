"""`python -m sim replay`: recordings against every system, and what each loses."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from queue_core.recording.format import Recording
from queue_core.recording.reader import load
from queue_core.settings import RULE_OPTIONS
from sim.commands.shared import (
    BAD_OUTCOME,
    OK,
    RUNS_MAX,
    SEED_MAX,
    InputError,
    add_output,
    add_paths,
    check_outputs,
    command_line,
    output_console,
    whole_number,
    write_outputs,
)
from sim.console import progress, show, show_verdict
from sim.engine.settings import FAULTS, SimSettings, parse_fault
from sim.study import Study, carry_out
from sim.systems import all_systems

REPORT = Path("reports/out/replay.html")
_SETTINGS = ("ai", "redis-latency", *RULE_OPTIONS)
_RULES = {
    "window_ms": "answer so long after a turn's first message",
    "max_messages": "answer at once when N messages wait",
    "idle_ms": "answer after so long a silence; 0 is off",
}


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "replay",
        help="replay recordings and show what each system loses, and why",
        description="Replays every recording against every system, prints what became of the messages, and writes a "
        "report. Equal recordings, options and seed give equal results, to the byte.",
        epilog="Exit code: 0 when the queue lost, duplicated and reordered nothing and every expected outcome matched; "
        "1 when not; 2 for input that cannot be read. TIME is a number and its unit: ms, s, m or h.",
    )
    add_paths(parser)
    _add_settings(parser, SimSettings())
    add_output(parser, REPORT)
    parser.set_defaults(run=run)


def _add_settings(parser: argparse.ArgumentParser, defaults: SimSettings) -> None:
    parser.add_argument(
        "--system",
        action="append",
        metavar="S",
        help="only this system; may be repeated (default: all, see `systems`)",
    )
    parser.add_argument(
        "--runs",
        type=whole_number(1, RUNS_MAX),
        default=1,
        metavar="N",
        help="replay N times with derived seeds, and estimate how likely loss is",
    )
    parser.add_argument(
        "--seed",
        type=whole_number(0, SEED_MAX),
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
    for option, rule in RULE_OPTIONS.items():
        metavar, unit = ("TIME", "ms") if rule.endswith("_ms") else ("N", "")
        words = f"{_RULES[rule]} (default: {getattr(defaults, rule)}{unit})"
        queue.add_argument(f"--{option}", metavar=metavar, help=words)


def run(options: argparse.Namespace) -> int:
    """Replay, show and write; returns the exit code. Raises InputError and what replaying raises."""
    recordings = load(options.paths, skip_bad_lines=options.skip_bad_lines)
    study = _study(options, recordings)
    check_outputs(options)
    with progress(len(recordings) * len(study.systems) * study.runs, shown=not options.quiet) as done:
        result = carry_out(study, jobs=options.jobs, done=done)

    def write_report(path: Path) -> None:
        from reports.pages.replay.page import write_replay_report  # noqa: PLC0415 - matplotlib takes a second to import

        write_replay_report(result, path, options.lang)

    write_outputs(result, options, write_report)
    console = output_console(options)
    if not options.quiet:
        show(result, console)
        if options.report is not None:
            console.print(f"Report: {options.report}", markup=False)
    show_verdict(result, console)
    return OK if result["ok"] else BAD_OUTCOME


def _study(options: argparse.Namespace, recordings: Sequence[Recording]) -> Study:
    """Make the study. Raises InputError or SettingsError for what cannot be done."""
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
    given: Mapping[str, str | None] = {name: getattr(options, name.replace("-", "_")) for name in _SETTINGS}
    study = Study(
        recordings=recordings,
        systems=[name for name in known if name in chosen],
        settings=SimSettings(seed=options.seed, faults=dict(parse_fault(text) for text in options.fault)),
        options={name: text for name, text in given.items() if text is not None},
        runs=options.runs,
        command=_command(options, given),
    )
    for recording in recordings:
        study.settings_for(recording)
    return study


def _command(options: argparse.Namespace, given: Mapping[str, str | None]) -> str:
    """The command that gives this result: what changes it, and no more."""
    words = command_line(options, "replay", given, systems=options.system or ())
    for text in options.fault:
        words += ["--fault", text]
    if options.skip_bad_lines:
        words.append("--skip-bad-lines")
    return shlex.join(words)
