"""`python -m sim systems`: lists the systems against which recordings can be replayed."""

from __future__ import annotations

import argparse
import sys

from reports.words.systems import system_summary
from sim.commands.shared import OK
from sim.console import console_for
from sim.engine.options import written
from sim.systems import all_systems
from sim.tables import print_item


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "systems",
        help="list the systems against which recordings can be replayed",
        description="Lists the systems for `replay --system`, each with the settings that `replay --set` changes.",
    )
    parser.set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    """Print a line for each system, and its settings under it; returns the exit code."""
    systems = all_systems()
    console = console_for(sys.stdout)
    hang = max(map(len, systems)) + 2
    for name, system in systems.items():
        print_item(console, f"{name:<{hang}}", system_summary(name))
        for setting, value in written(system.options_type()).items():
            print_item(console, " " * (hang + 2), f"--set {name}.{setting}={value or 'off'}")
    return OK
