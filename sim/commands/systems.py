"""`python -m sim systems`: lists the systems against which recordings can be replayed."""

from __future__ import annotations

import argparse

from reports.words.systems import system_summary
from sim.commands.shared import OK
from sim.engine.options import written
from sim.systems import all_systems


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("systems", help="list the systems against which recordings can be replayed")
    parser.set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    """Print a line for each system, and its settings under it; returns the exit code."""
    systems = all_systems()
    width = max(map(len, systems))
    for name, system in systems.items():
        print(f"{name:<{width}}  {system_summary(name)}")
        for setting, value in written(system.options_type()).items():
            print(f"{'':<{width}}    --set {name}.{setting}={value or 'off'}")
    return OK
