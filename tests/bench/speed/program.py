"""Producers and worker of this queue, run by the benchmark as processes of their own; facts go out as lines of JSON.

    python program.py enqueue|trickle|work REDIS_URL MESSAGES TURN

It uses only what every version of the library has, so that it measures other commits too (`make bench AGAINST=…`).
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import sys
import time

from queue_core import Batch, MessageQueue, Processor, QueueMessage, QueueSettings, connect

AT_ONCE = 50
APART_S = 0.05
SETTLING_S = 0.5
"""Time for a worker to connect and to begin to wait."""
TEXT = "ممكن أعرف الأسعار والمواعيد المتاحة لو سمحت؟"


def cpu_s() -> float:
    """Return the CPU time of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def say(**facts: object) -> None:
    """Print facts for the benchmark."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


async def add(queue: MessageQueue, number: int, turn: int, text: str) -> None:
    """Enqueue a message. Each turn has a conversation of its own."""
    message = QueueMessage(
        id=f"3EB0{number:016X}", instance_name="bench", user_phone=f"9665{number // turn:08d}", message=text
    )
    receipt = await queue.enqueue(message)
    if receipt.status != "queued":
        raise SystemExit(f"a message came back as {receipt.status}: the figure would be wrong")


async def enqueue(queue: MessageQueue, messages: int, turn: int) -> None:
    """Enqueue as fast as producers that wait for each receipt can."""
    numbers = iter(range(messages))

    async def producer() -> None:
        for number in numbers:
            await add(queue, number, turn, TEXT)

    began_s, cpu_began = time.monotonic(), cpu_s()
    await asyncio.gather(*(producer() for _ in range(AT_ONCE)))
    say(began_s=began_s, ended_s=time.monotonic(), cpu_s=cpu_s() - cpu_began)


async def trickle(queue: MessageQueue, messages: int, turn: int) -> None:
    """Enqueue message by message; the text of each is the time."""
    for number in range(messages):
        await add(queue, number, turn, str(time.monotonic()))
        await asyncio.sleep(APART_S)
    say()


async def work(queue: MessageQueue, messages: int, turn: int) -> None:
    """Answer messages until all are done, and none is left in the queue."""
    picked_up_ms: list[float] = []
    handled = 0
    all_handled = asyncio.Event()

    async def handle(batch: Batch) -> None:
        nonlocal handled
        if (sent_s := batch.messages[0].message) != TEXT:
            picked_up_ms.append((time.monotonic() - float(sent_s)) * 1000)
        handled += len(batch.messages)
        if handled >= messages:
            all_handled.set()

    processor = Processor(queue, handle, concurrency=AT_ONCE)
    working = asyncio.create_task(processor.run())
    await asyncio.sleep(SETTLING_S)
    cpu_began = cpu_s()
    say(ready=True)
    await all_handled.wait()
    await processor.stop()
    await working  # returns when the last batches are complete
    ended_s, used_s = time.monotonic(), cpu_s() - cpu_began
    if waiting := await queue.depth():
        raise SystemExit(f"{waiting} messages were left in the queue: the figure would be wrong")
    say(ended_s=ended_s, cpu_s=used_s, picked_up_ms=picked_up_ms)


async def main(mode: str, url: str, messages: str, turn: str) -> None:
    """Do what the benchmark asks for."""
    gc.freeze()  # as `queue_core serve` does
    redis = connect(url)
    queue = MessageQueue(redis, QueueSettings(max_messages=int(turn), window_ms=3_600_000))
    await {"enqueue": enqueue, "trickle": trickle, "work": work}[mode](queue, int(messages), int(turn))
    await redis.aclose()


if __name__ == "__main__":
    if os.environ.get("BENCH_LOOP") == "uvloop":
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main(*sys.argv[1:]))
    else:
        asyncio.run(main(*sys.argv[1:]))
