"""Fuzzing guided by the code that inputs reach: `python -m tests.fuzz.guided webhooks|answers CORPUS [--seconds N]`.

The package atheris, which is not among the requirements, chooses the inputs to change further, and keeps them in the
folder CORPUS. It writes an input that breaks a promise to a file named crash-…, and ends the process.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

atheris = import_module("atheris")
with atheris.instrument_imports(include=["queue_core.ai", "queue_core.channels"]):
    from tests.fuzz.__main__ import Target, target

DONORS = 2
"""Number of examples from which pieces are taken."""


def run(chosen: Target, corpus: Path, seconds: float, seed: int) -> None:
    """Check changed inputs for some seconds."""
    seeds, change, check = chosen

    def mutated(data: bytes, size_max: int, number: int) -> bytes:
        rng = random.Random(number)
        value = _decoded(data)
        pool = seeds if value is None else [value, value, *rng.sample(seeds, DONORS)]
        return json.dumps(change(pool, rng)).encode()[:size_max]

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
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided")
    parser.add_argument("target", choices=["webhooks", "answers"])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--examples", type=Path)
    options = parser.parse_args()
    run(target(options.target, options.examples), options.corpus, options.seconds, options.seed)


if __name__ == "__main__":
    main()
