"""Fuzzing of the parsers and of the extraction: `python -m tests.fuzz webhooks|answers [--seconds N] [--seed N]`.

With the package atheris installed, `--guided` lets it choose the changes by the code that they reach. An input that
breaks a promise is printed and ends the run. `--examples DIR` adds JSON files with `bodies` or `answer` to start from.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.fuzz.checks import check_answer, check_webhook
from tests.fuzz.examples import answers, webhooks
from tests.fuzz.mutation import changed_text, changed_webhook

Target = tuple[list[Any], Callable[[Any, random.Random], Any], Callable[[Any], None]]


def target(name: str, folder: Path | None) -> Target:
    """Returns examples, the function that changes them, and the check of the result."""
    files = sorted(folder.glob("*.json")) if folder else []
    contents = [json.loads(file.read_text("utf-8")) for file in files]
    if name == "webhooks":
        seeds = [*webhooks(), *(body for content in contents for body in content["bodies"])]
        return seeds, changed_webhook, check_webhook
    return [*answers(), *(content["answer"] for content in contents)], changed_text, check_answer


def run(chosen: Target, seconds: float, seed: int) -> int:
    """Checks changed examples for some seconds; returns their number. Raises AssertionError."""
    seeds, change, check = chosen
    ends, count = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        value = change(seeds, random.Random(f"{seed}/{count}"))
        try:
            check(value)
        except BaseException:
            print(f"example {count} of seed {seed}: {json.dumps(value)}", file=sys.stderr)
            raise
        count += 1
    return count


def run_guided(chosen: Target, seconds: float, seed: int, corpus: Path) -> None:
    """Lets atheris choose the changes, and keeps what reached new code in the folder `corpus`. Ends the process."""
    atheris = import_module("atheris")  # is not among the requirements
    seeds, change, check = chosen

    def mutated(data: bytes, max_size: int, number: int) -> bytes:
        rng = random.Random(number)
        value = _decoded(data)
        pool = seeds if value is None else [value, value, *rng.sample(seeds, 2)]
        return json.dumps(change(pool, rng)).encode()[:max_size]

    def check_bytes(data: bytes) -> None:
        value = _decoded(data)
        if value is not None and isinstance(value, str) == isinstance(seeds[0], str):
            check(value)

    corpus.mkdir(parents=True, exist_ok=True)
    for number, value in enumerate(seeds):
        (corpus / f"seed-{number}").write_text(json.dumps(value), "utf-8")
    limits = [f"-max_total_time={seconds:.0f}", f"-seed={seed}", "-max_len=200000", "-rss_limit_mb=3000"]
    atheris.Setup([sys.argv[0], *limits, str(corpus)], check_bytes, custom_mutator=mutated)
    atheris.Fuzz()


def _decoded(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def main() -> None:
    """Reads the command line and runs."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("target", choices=["webhooks", "answers"])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--examples", type=Path)
    parser.add_argument("--guided", type=Path, metavar="CORPUS")
    options = parser.parse_args()
    chosen = target(options.target, options.examples)
    if options.guided:
        run_guided(chosen, options.seconds, options.seed, options.guided)
    count = run(chosen, options.seconds, options.seed)
    print(f"{options.target}: {count} examples, seed {options.seed}: nothing found")


if __name__ == "__main__":
    main()
