"""Search for plans that break a promise: `python -m tests.queue_core.searches.deployment [--runs N --seed N --jobs N]`.

A seed always draws the same runs, in packets of `RUNS_IN_PACKET`. Without `--runs` the search goes on until Ctrl-C. A
plan that breaks a promise is made as small as possible and printed: add it to `test_found.py`. At the end the command
prints how often each event happened: a fault that never struck found nothing.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from itertools import islice
from typing import NamedTuple

import hypothesis
from hypothesis import HealthCheck, Phase, given

from tests.queue_core.searches.deployment.plan import Plan, clock_steps, plans
from tests.queue_core.searches.deployment.promises import check
from tests.queue_core.searches.deployment.run import run
from tests.queue_core.searches.deployment.test_deployment import EXPECTED_EVENTS

RUNS_IN_PACKET = 100


class Packet(NamedTuple):
    """Some runs of a seed."""

    seed: int
    number: int
    runs: int


class Findings(NamedTuple):
    """Events of a packet's runs, and the broken promise of the smallest plan that breaks one, or ""."""

    runs: int
    events: Counter[str]
    broken: str


def search_packet(packet: Packet) -> Findings:
    """Run the plans of a packet. Every second packet also sets Redis's clock."""
    events: Counter[str] = Counter()
    drawn = plans(clock_steps=clock_steps) if packet.number % 2 else plans()

    @hypothesis.seed(f"{packet.seed}/{packet.number}")
    @hypothesis.settings(
        max_examples=packet.runs,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        database=None,
        deadline=None,
    )
    @given(drawn)
    def search(plan: Plan) -> None:
        result = run(plan)
        events.update(result.trace.events)
        check(result)

    try:
        search()
    except Exception as error:  # noqa: BLE001 - also a crash of the queue
        return Findings(packet.runs, events, "".join(traceback.format_exception(error, limit=-3)))
    return Findings(packet.runs, events, "")


def packets(seed: int, runs: int | None) -> Iterator[Packet]:
    """Yield the packets of a seed; without end if `runs` is None."""
    for number in itertools.count():
        left = RUNS_IN_PACKET if runs is None else min(RUNS_IN_PACKET, runs - number * RUNS_IN_PACKET)
        if left <= 0:
            return
        yield Packet(seed, number, left)


def explore(seed: int, runs: int | None, jobs: int) -> int:
    """Search, with progress on stderr; return 1 as soon as a promise is broken, 0 at the end or after Ctrl-C."""
    events: Counter[str] = Counter()
    made, began_s, left = 0, time.monotonic(), packets(seed, runs)
    with ProcessPoolExecutor(jobs) as pool:
        running = {pool.submit(search_packet, packet) for packet in islice(left, jobs)}
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for findings in (each.result() for each in done):
                    made += findings.runs
                    events += findings.events
                    if findings.broken:
                        print(
                            f"{findings.broken}\na run of seed {seed} failed: add its plan to test_found.py",
                            flush=True,
                        )
                        pool.shutdown(cancel_futures=True)
                        return 1
                    running |= {pool.submit(search_packet, packet) for packet in islice(left, 1)}
                pace = made / (time.monotonic() - began_s)
                print(f"{made:,} runs, {pace:.0f} a second", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
    print(f"{made:,} runs of seed {seed} broke no promise. Events, and how often they happened:")
    print("\n".join(f"  {event}: {count:,}" for event, count in sorted(events.items())))
    print(
        f"Expected events that never happened: {', '.join(sorted(EXPECTED_EVENTS - set(events))) or 'none'}"
    )
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and search."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.queue_core.searches.deployment", description=__doc__
    )
    parser.add_argument("--runs", type=int, help="number of runs (default: until Ctrl-C)")
    parser.add_argument("--seed", type=int, help="seed of the runs (default: a new one, which is printed)")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)"
    )
    options = parser.parse_args(arguments)
    seed = int.from_bytes(os.urandom(4)) if options.seed is None else options.seed
    print(f"seed {seed}, {options.jobs} processes", file=sys.stderr, flush=True)
    return explore(seed, options.runs, options.jobs)


if __name__ == "__main__":
    sys.exit(main())
