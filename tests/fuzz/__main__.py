"""Fuzzing of the parsers and of the extraction: `python -m tests.fuzz webhooks|answers [--seconds N] [--seed N]`.

An input that breaks a promise is printed and ends the run. `--examples DIR` adds JSON files with `bodies` or `answer`
to start from. `guided.py` does the same with the package atheris.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fuzz.checks import check_answer, check_webhook
from tests.fuzz.examples import answers, webhooks
from tests.fuzz.mutation import changed_text, changed_webhook

Target = tuple[list[Any], Callable[[Any, random.Random], Any], Callable[[Any], None]]


def target(name: str, folder: Path | None) -> Target:
    """Return examples, the function that changes them, and the check of the result."""
    files = sorted(folder.glob("*.json")) if folder else []
    contents = [json.loads(file.read_text("utf-8")) for file in files]
    if name == "webhooks":
        seeds = [*webhooks(), *(body for content in contents for body in content["bodies"])]
        return seeds, changed_webhook, check_webhook
    return [*answers(), *(content["answer"] for content in contents)], changed_text, check_answer


def run(chosen: Target, *, seed: int, seconds: float = math.inf, examples: float = math.inf) -> int:
    """Check changed examples until one of the limits, and return their number. Raises AssertionError."""
    seeds, change, check = chosen
    ends, count = time.monotonic() + seconds, 0
    while count < examples and time.monotonic() < ends:
        value = change(seeds, random.Random(f"{seed}/{count}"))
        try:
            check(value)
        except BaseException:
            print(f"example {count} of seed {seed}: {json.dumps(value)}", file=sys.stderr)
            raise
        count += 1
    return count


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("target", choices=["webhooks", "answers"])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--examples", type=Path)
    options = parser.parse_args()
    chosen = target(options.target, options.examples)
    count = run(chosen, seed=options.seed, seconds=options.seconds)
    print(f"{options.target}: {count} examples, seed {options.seed}: nothing found")


if __name__ == "__main__":
    main()
