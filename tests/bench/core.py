"""Benchmark of the queue, side by side with what limits it, in one run on a real Redis: `make bench`.

Every figure is the median of several repeats, and the repeats of all cases alternate, so that a noisy neighbour
disturbs all of them alike. Read the ratios; absolute figures are this machine's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from queue_core import Batch, MessageQueue, Processor, QueueMessage, QueueSettings, connect
from queue_core.redis_server.binaries import find_all_redis_servers
from queue_core.redis_server.embedded import EmbeddedRedis
from tests.queue_core.bot import runner_of

ENQUEUES_AT_ONCE = 500
CONCURRENCY = 500
TEXT = "ممكن أعرف الأسعار والمواعيد المتاحة لو سمحت؟"
WEBHOOK = {"event": "messages.upsert", "data": {"key": {"fromMe": False}, "message": {"conversation": TEXT}}}


@dataclass(frozen=True)
class Measured:
    """One repeat of one case."""

    messages: int
    seconds: float
    round_trips: int

    @property
    def per_second(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds


async def raw_script_calls(redis: Redis, messages: int) -> Measured:
    """The limit: a script that does almost nothing, called through pipelines of 100, two calls a message."""
    sha = await redis.script_load("return redis.call('INCR', KEYS[1])")
    began, pipelines = time.perf_counter(), 0
    for _ in range(2 * messages // 100):
        pipeline = redis.pipeline(transaction=False)
        for _ in range(100):
            pipeline.evalsha(sha, 1, "bench")
        await pipeline.execute()
        pipelines += 1
    return Measured(messages, time.perf_counter() - began, pipelines)


async def enqueue_alone(redis: Redis, messages: int) -> Measured:
    """Many webhooks at once, nobody claims."""
    queue = MessageQueue(redis, QueueSettings(window_ms=3_600_000))
    began = time.perf_counter()
    await _enqueue_all(queue, messages, turn=1)
    return Measured(messages, time.perf_counter() - began, runner_of(queue).round_trips)


def end_to_end(turn: int) -> Callable[[Redis, int], Awaitable[Measured]]:
    """Webhooks and one processor with an empty handler in one process, turns of `turn` messages."""

    async def run(redis: Redis, messages: int) -> Measured:
        queue = MessageQueue(redis, QueueSettings(max_messages=turn, window_ms=3_600_000))
        answered = 0
        done = asyncio.Event()

        async def handle(batch: Batch) -> None:
            nonlocal answered
            answered += len(batch.messages)
            if answered >= messages:
                done.set()

        processor = Processor(queue, handle, concurrency=CONCURRENCY)
        working = asyncio.create_task(processor.run())
        began = time.perf_counter()
        await _enqueue_all(queue, messages, turn)
        await done.wait()
        while processor.in_work:  # noqa: ASYNC110 - the last ones complete within a turn or two of the loop
            await asyncio.sleep(0)
        seconds = time.perf_counter() - began
        await processor.stop()
        await working
        if waiting := await queue.depth():
            raise SystemExit(f"{waiting} messages were left in the queue: the figure would be wrong")
        return Measured(messages, seconds, runner_of(queue).round_trips)

    return run


async def _enqueue_all(queue: MessageQueue, messages: int, turn: int) -> None:
    async def webhooks(first: int) -> None:
        for number in range(first, messages, ENQUEUES_AT_ONCE * turn):
            for part in range(turn):
                receipt = await queue.enqueue(
                    QueueMessage(
                        id=f"3EB0{number + part:016X}",
                        instance_name="bench",
                        user_phone=f"9665{number // turn:08d}",
                        message=TEXT,
                        message_data=WEBHOOK,
                        timestamp=int(time.time() * 1000),
                    )
                )
                if receipt.status != "queued":
                    raise SystemExit(f"a message came back as {receipt.status}: the figure would be wrong")

    starts = range(0, min(messages, ENQUEUES_AT_ONCE * turn), turn)
    await asyncio.gather(*(webhooks(start) for start in starts))


CASES: dict[str, Callable[[Redis, int], Awaitable[Measured]]] = {
    "raw pipelined script calls, 2 a message": raw_script_calls,
    "enqueue alone": enqueue_alone,
    "enqueue → claim → complete, turns of 1": end_to_end(1),
    "enqueue → claim → complete, turns of 3": end_to_end(3),
    "enqueue → claim → complete, turns of 10": end_to_end(10),
}


async def measure(url: str, messages: int, repeats: int) -> dict[str, list[Measured]]:
    """All cases, alternating."""
    results: dict[str, list[Measured]] = {name: [] for name in CASES}
    redis = connect(url)
    try:
        for _ in range(repeats):
            for name, case in CASES.items():
                await redis.flushall()
                results[name].append(await case(redis, messages))
    finally:
        await redis.aclose()
    return results


def show(results: dict[str, list[Measured]], server: str) -> None:
    """A table of medians, ratios to the first case, and round trips."""
    medians = {name: statistics.median(run.per_second for run in runs) for name, runs in results.items()}
    limit = next(iter(medians.values()))
    table = Table(title=f"messages per second in one process, {server}")
    table.add_column("case")
    for heading in ("median", "lowest", "highest", "of the limit", "round trips a message"):
        table.add_column(heading, justify="right")
    for name, runs in results.items():
        rates = sorted(run.per_second for run in runs)
        table.add_row(
            name,
            f"{medians[name]:,.0f}",
            f"{rates[0]:,.0f}",
            f"{rates[-1]:,.0f}",
            f"{medians[name] / limit:.2f}",
            f"{statistics.median(run.round_trips / run.messages for run in runs):.3f}",
        )
    Console().print(table)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--messages", type=int, default=30_000, help="per case and repeat (default 30000)")
    parser.add_argument("--repeats", type=int, default=5, help="of each case (default 5)")
    parser.add_argument(
        "--redis-url", help="measure this server; WIPES ITS DATABASE. Default: one of our own"
    )
    parser.add_argument("--json", type=Path, help="write every repeat to this file")
    options = parser.parse_args()
    options.messages -= options.messages % 30  # whole turns of 1, 3 and 10
    if options.redis_url:
        results = asyncio.run(measure(options.redis_url, options.messages, options.repeats))
        show(results, "given Redis")
    else:
        newest = max(
            find_all_redis_servers(), key=lambda binary: [int(part) for part in binary.version.split(".")]
        )
        with (
            tempfile.TemporaryDirectory() as folder,
            EmbeddedRedis(Path(folder), server=newest.path) as server,
        ):
            results = asyncio.run(measure(server.url, options.messages, options.repeats))
            show(results, f"Redis {server.binary.version} without AOF")
    if options.json:
        options.json.write_text(
            json.dumps({name: [asdict(run) for run in runs] for name, runs in results.items()}, indent=1)
        )


if __name__ == "__main__":
    main()
