"""End of a run."""

from __future__ import annotations

import asyncio
from typing import cast

from loadtests.failover.cases import CASES
from loadtests.failover.ledger import LedgerQueue
from loadtests.failover.running import Load, Run
from loadtests.replicated_redis.servers import ReplicatedServers
from queue_core.queue.upkeep.inspection import Sizes


class _QueueWithADeadLetter:
    """Queue in which no message waits."""

    async def depth(self) -> int:
        return 0

    async def sizes(self) -> Sizes:
        return Sizes(conversations=(0,), dead_letters=1, dead_letters_share=0.1)


async def test_a_dead_letter_does_not_delay_the_end() -> None:
    """Nothing answers it, so a run would wait for DRAIN_S_MAX in vain."""
    run = Run(CASES[0], cast("ReplicatedServers", None), Load())
    async with asyncio.timeout(1):
        await run._drain(cast("LedgerQueue", _QueueWithADeadLetter()))
