"""`python -m sim systems`: lists the systems against which recordings can be replayed."""

from __future__ import annotations

import argparse

from reports.words.systems import system_summary
from sim.commands.shared import OK
from sim.systems import all_systems


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("systems", help="list the systems against which recordings can be replayed")
    parser.set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    """Print a line for each system; returns the exit code."""
    for name in all_systems():
        print(f"{name:<10} {system_summary(name)}")
    return OK
