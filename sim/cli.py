"""The command line: `python -m sim replay`, `audit`, `sweep`, `import`, `systems`, `synth`.

Exit codes of `replay`: 0 when the queue lost, duplicated and reordered nothing and finished its work, and every
expected outcome that was checked matched; 1 when not, or when a run failed; 2 for input or options that cannot be
used; 130 when interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from queue_core.command_lines import typed
from queue_core.durations import with_negative_values
from queue_core.recording.reader import RecordingError
from sim.commands import audit, importing, replay, sweep, synth, systems
from sim.commands.errors import InputError
from sim.commands.shared import BAD_INPUT, BAD_OUTCOME, Parser
from sim.engine.processes import ChildProcessDiedError
from sim.engine.settings import SettingsError
from sim.importers.base import ImportFailedError
from sim.study import ReplayFailedError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code. KeyboardInterrupt passes through (see __main__)."""
    options = _parser().parse_args(with_negative_values(sys.argv[1:] if arguments is None else arguments))
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except (RecordingError, SettingsError, InputError, ImportFailedError) as error:
        print(f"sim: {error}", file=sys.stderr)
        return BAD_INPUT
    except ReplayFailedError as error:
        traceback.print_exception(error)
        print(f"sim: a run failed, which is a bug in a system or in the simulator: {error}", file=sys.stderr)
        return BAD_OUTCOME
    except ChildProcessDiedError as error:
        print(f"sim: {error}", file=sys.stderr)
        return BAD_OUTCOME
    except BrokenPipeError:
        # The reader of the output has gone; without this, Python prints an error at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BAD_OUTCOME


def _parser() -> Parser:
    """Make the parser of the whole command line."""
    parser = Parser(
        prog=typed("python -m sim"),
        description="Replays recorded conversations against message queues, in simulated time.",
        epilog=typed("The options of a command: python -m sim COMMAND --help"),
    )
    commands = parser.add_subparsers(title="commands", required=True, dest="command", metavar="COMMAND")
    for command in (replay, audit, sweep, importing, systems, synth):
        command.add_to(commands)
    return parser
