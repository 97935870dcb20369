"""`partitions`: shows the number of partitions, and begins and ends a change of it."""

from __future__ import annotations

import re

from queue_core import Processor
from queue_core.queue.health import examine
from tests.queue_core.server.operator.console import Console, settings_for, url_of

DAY_MS = 86_400_000


async def test_a_change_is_begun_and_ended(console: Console) -> None:
    await console.put("m1", phone="202")
    assert "partitions  1" in (await console.run("partitions", "show")).out
    console.settings = settings_for(url_of(console.queue.redis), QUEUE_PARTITIONS="8")
    shown = await console.run("partitions", "show")
    assert "set to 8 partitions, but the deployment has 1 and uses those" in shown.err
    assert "set QUEUE_PARTITIONS=1, or change the deployment to 8" in (await console.run("status")).out
    refused = await console.run("partitions", "begin")
    assert (refused.code, "no worker watches partition 0" in refused.err) == (1, True)
    begun = await console.run("partitions", "begin", "--without-workers")
    assert re.match(
        r"8; conversations leave the former 1, and `\S+ -m queue_core partitions end` ends the change from ",
        begun.out,
    )
    report = await examine(console.queue)
    assert (report.partitions, report.former_partitions) == (8, 1)
    assert "conversations move from 1 to 8 partitions" in " ".join(report.warnings)
    left = await console.run("partitions", "end")
    assert left.code == 3
    assert "left: 1 conversations with messages in former partitions" in left.out
    assert "left: ids of messages and replies, which must be known there for another 24 h 00 min" in left.out
    assert (await console.run("partitions", "end", "--json")).json["conversations"] == 1
    await Processor(console.queue, _answer).process_all_queues()
    for partition in console.queue.keys.partitions:  # as if it were a day later
        await console.queue.redis.hset(partition.layout, "left", "1")
    ended = await console.run("partitions", "end")
    assert (ended.code, "ended: the deployment has 8 partitions" in ended.out) == (0, True)
    assert "no change is under way" in (await console.run("partitions", "end")).err
    assert "has 8 partitions already" in (await console.run("partitions", "begin")).err


async def _answer(_: object) -> None:
    """Answer a turn."""
