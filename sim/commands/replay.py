"""`python -m sim replay`: replays recordings against every system, and shows the messages that each loses."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from queue_core.durations import format_duration_ms
from queue_core.recording.format import Recording
from queue_core.settings import PROFILES, RULE_OPTIONS
from queue_core.text import suggestion
from reports.analysis.recording import recordings_of
from reports.results.replay import ReplayResult
from reports.results.systems import is_queue
from reports.results.writing import STANDARD_OUTPUT
from reports.words.verdicts import replay_verdict
from sim.audit.explain import explain
from sim.audit.fates import has_replies
from sim.commands.errors import InputError
from sim.commands.recordings import load_recordings, say_estimate
from sim.commands.shared import (
    BAD_OUTCOME,
    OK,
    add_output,
    add_paths,
    add_world,
    check_outputs,
    command_line,
    given_options,
    publish,
)
from sim.console import progress, show, warnings_of_faults
from sim.engine.options import OptionError, parse_option, read_options
from sim.engine.settings import SimSettings
from sim.faults import Fault, FaultError, faults_in_words, parse_faults
from sim.study import Study, carry_out
from sim.systems import GROUPS, all_systems, chosen_systems

REPORT = Path("reports/out/replay.html")
_SETTINGS = ("engine", "ai", "redis-latency", *RULE_OPTIONS)
_RULES = {
    "window_ms": "answer this long after a turn's first message",
    "max_messages": "answer at once when N messages wait",
    "idle_ms": "answer after this much silence; 0: off",
    "cap_ms": "with --idle, instead of --window: answer this long after the first message at the latest; 0: off",
    "supersede_ms": "up to this long after a turn's first message, a message that comes while the AI works joins the "
    "turn: the answer is dropped, and the AI is asked again about all messages; 0: off",
}

_EPILOG = f"""\
faults: NAME@TIME and NAME@TIME:DURATION count from the start of the recording; NAME=RATE strikes
at each occasion with a probability from 0 to 1. docs/faults.md says what each fault does to each system.
{faults_in_words("sim")}

Exit code: 0 when the queue lost, duplicated and reordered nothing and finished its work, and every expected
outcome that was checked matched; 1 when not, or when a run failed; 2 for input or options that cannot be used.
TIME is a number and its unit: ms, s, m or h."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "replay",
        help="replay recordings and show what each system loses, and why",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Replays every recording on the queue and on four older systems, or on those of --system,\n"
        "prints what became of the messages, and writes a report. The same files, options and seed give\n"
        "the same result, byte for byte, with the same versions of this project, Python and the libraries.",
        epilog=_EPILOG,
    )
    add_paths(parser)
    _add_systems(parser)
    world = add_world(parser)
    world.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="FAULT",
        help="let a fault strike, as in redis-away@20s:5s or ai-fails=0.1; may be repeated. The names are listed below",
    )
    world.add_argument(
        "--outage",
        action="append",
        default=[],
        help=argparse.SUPPRESS,
    )
    queue = parser.add_argument_group(
        "the queue",
        "when the queue answers; the older systems have rules of their own. A rule given here overrides the\n"
        "profile, a profile overrides the rules in a recording, and these override the defaults",
    )
    queue.add_argument(
        "--profile",
        action="append",
        default=[],
        choices=PROFILES,
        metavar="P",
        help=f"all rules at once ({', '.join(PROFILES)}; see docs/library.md); may be repeated: then the queue is "
        "replayed once for each, the first as `queue`, the others as `queue (P)`",
    )
    for option, rule in RULE_OPTIONS.items():
        value = getattr(SimSettings(), rule)
        metavar, default = ("TIME", format_duration_ms(value)) if rule.endswith("_ms") else ("N", value)
        words = f"{_RULES[rule]} (default: {default})"
        queue.add_argument(f"--{option}", metavar=metavar, help=words)
    parser.add_argument(
        "--explain-loss",
        action="store_true",
        help="for recordings with replies: show how well each system explains which messages really got no reply",
    )
    add_output(parser, REPORT)
    parser.set_defaults(run=run)


def _add_systems(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose systems, and change the settings of one."""
    parser.add_argument(
        "--system",
        action="append",
        default=[],
        metavar="S",
        help="only this system; may be repeated; `market` is the queue and the systems that people run today, `all` is "
        "everything (default: the queue and four older systems; the command `systems` lists all)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SYSTEM.NAME=VALUE",
        help="change a setting of a single system, as in n8n-wait.wait=8s; may be repeated (the command "
        "`systems` lists them)",
    )


def run(options: argparse.Namespace) -> int:
    """Replay, show and write; returns the exit code. Raises InputError and the errors of `carry_out`."""
    recordings = load_recordings(options)
    study = _study(options, recordings)
    check_outputs(options)
    if options.explain_loss and not any(has_replies(recording) for recording in recordings):
        raise InputError(
            "--explain-loss: the recordings have no replies, so it is unknown which messages were lost; record what "
            "the bot sends, too"
        )
    say_estimate(recordings, study.contenders, study.runs, options)
    with progress(len(recordings) * len(study.contenders) * study.runs, shown=not options.quiet) as done:
        result = carry_out(study, jobs=options.jobs, done=done)
    if options.explain_loss:
        result["explanations"] = explain(recordings, result["runs"], result["systems"])
    for recording in recordings_of(result) if options.quiet else ():
        for warning in warnings_of_faults(recording.runs):
            print(f"sim: warning: {recording.name}: {warning}", file=sys.stderr)
    publish(
        result,
        options,
        write_report=_write_report,
        show=show,
        verdict=replay_verdict(result),
        style="bold green" if result["ok"] else "bold red",
    )
    return OK if result["ok"] else BAD_OUTCOME


def _write_report(result: ReplayResult, options: argparse.Namespace) -> None:
    from reports.pages.replay.page import write_replay_report  # noqa: PLC0415 - matplotlib takes a second to import

    result_file = None if options.json == STANDARD_OUTPUT else options.json
    write_replay_report(result, options.report, options.lang, result_file)


def _of_systems(texts: Sequence[str], systems: Sequence[str]) -> dict[str, dict[str, str]]:
    """Read the settings of single systems, and check them. Raises InputError."""
    settings: dict[str, dict[str, str]] = {}
    for text in texts:
        try:
            system, name, value = parse_option(text)
            if system not in systems:
                known = suggestion(system, systems)
                raise InputError(f"--set {text}: {system!r} is not replayed{known}; name it with --system")
            if is_queue(system):
                raise InputError(
                    f"--set {text}: the rules of the queue are options of their own, such as --window 8s"
                )
            settings.setdefault(system, {})[name] = value
            read_options(all_systems()[system].options_type, settings[system])
        except OptionError as error:
            raise InputError(f"--set {text}: {error}") from None
    return settings


def _faults(options: argparse.Namespace) -> tuple[Fault, ...]:
    """Read the faults. Raises InputError."""
    if options.outage:
        former = options.outage[0]
        fault = f"redis-{former}" if former.startswith(("away@", "hangs@")) else "redis-away@TIME:DURATION"
        raise InputError(f"--outage: is now a fault: write --fault {fault}")
    try:
        return parse_faults(options.fault, "sim")
    except FaultError as error:
        raise InputError(f"--fault: {error}") from None


def _study(options: argparse.Namespace, recordings: Sequence[Recording]) -> Study:
    """Make the study. Raises InputError or SettingsError for options that cannot be used."""
    known = all_systems()
    named = [(name, "--system") for name in options.system if name not in GROUPS]
    named += [(name, f"{recording.name}: expect") for recording in recordings for name in recording.expect]
    for name, where in named:
        if name not in known:
            raise InputError(f"{where}: there is no system {name!r}{suggestion(name, known)}")
    given = given_options(options, _SETTINGS)
    if repeated := [name for name in PROFILES if options.profile.count(name) > 1]:
        raise InputError(f"--profile {repeated[0]}: is given more than once; name each profile once")
    chosen = {
        "--system": options.system,
        "--set": options.set,
        "--fault": options.fault,
        "--profile": options.profile,
    }
    systems = chosen_systems(options.system)
    study = Study(
        recordings=recordings,
        systems=systems,
        settings=SimSettings(
            of_systems=_of_systems(options.set, systems),
            seed=options.seed,
            faults=_faults(options),
        ),
        options=given,
        runs=options.runs,
        keeps_all=options.explain_loss,
        profiles=options.profile,
        command=command_line(
            "replay",
            options,
            given,
            *(word for option, texts in chosen.items() for text in texts for word in (option, text)),
            *(["--explain-loss"] if options.explain_loss else []),
        ),
    )
    for recording in recordings:
        for contender in study.contenders:
            study.settings_for(recording, contender)
    return study
