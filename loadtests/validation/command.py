"""`python -m loadtests validate`, from its options to the exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from loadtests.validation.output import publish
from loadtests.validation.runs import Deployment
from loadtests.validation.series import Series, carry_out_series
from loadtests.validation.trials import TRIALS, Load
from queue_core.durations import parse_duration_ms
from reports.results.validation import TrialName
from reports.results.writing import STANDARD_OUTPUT


def trials(text: str) -> tuple[TrialName, ...]:
    """Read names of trials, separated by commas. Raises ValueError."""
    names = text.split(",")
    if unknown := [name for name in names if name not in TRIALS]:
        raise ValueError(f"{unknown[0]!r} is not a trial; there are {', '.join(TRIALS)}")
    return tuple(name for name in TRIALS if name in names)


def validate(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run trials live and simulate them, show and write the result, and return the exit code."""
    out = Path(options.out).absolute()
    terminal = sys.stderr if options.json == str(STANDARD_OUTPUT) else sys.stdout

    def say(line: str) -> None:
        terminal.write(line + "\n")
        terminal.flush()

    result = carry_out_series(
        Series(
            names=options.only,
            load=Load(
                rate=options.rate, duration_s=parse_duration_ms(options.duration) / 1000, seed=options.seed
            ),
            deployment=Deployment(ai=options.ai, redis_memory=options.redis_memory, environ=environ),
            out=out,
            command=options.shown_command,
            say=say,
        )
    )
    return publish(result, out, json_file=options.json, language=options.lang)
