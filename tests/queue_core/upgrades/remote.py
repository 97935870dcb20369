"""A queue of any release in a process of its own: reads calls from stdin and writes answers to stdout, as JSON.

Run by `Remote` of `releases.py`, with the `queue_core` of that release on the path.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from queue_core import Batch, MessageQueue, QueueMessage, QueueSettings, connect


class Calls:
    """The calls, by name. Batches that were claimed are known by their token."""

    def __init__(self, url: str, settings: dict[str, Any]) -> None:
        self.now_ms = 0
        self._batches: dict[int, Batch] = {}
        self._queue = MessageQueue(connect(url), QueueSettings(**settings), clock=lambda: self.now_ms)

    async def check(self) -> None:
        """Check that this release can work on this Redis."""
        await self._queue.check()

    async def enqueue(self, message_id: str, phone: str, timestamp: int = 0) -> str:
        """Store a message; return its status."""
        message = QueueMessage(
            id=message_id,
            instance_name="bot",
            user_phone=phone,
            message=f"text {message_id}",
            message_data={"channel": "evolution"},
            timestamp=timestamp,
        )
        return (await self._queue.enqueue(message)).status

    async def withdraw(self, message_id: str, phone: str) -> str:
        """Note that a message was answered directly."""
        message = QueueMessage(id=message_id, instance_name="bot", user_phone=phone, message="")
        return await self._queue.withdraw(message)

    async def claim(self, limit: int = 100) -> list[dict[str, Any]]:
        """Lease what is due."""
        claimed = await self._queue.claim("of this release", limit=limit)
        self._batches |= {batch.token: batch for batch in claimed.batches}
        return [
            {
                "phone": batch.user_phone,
                "ids": list(batch.ids),
                "token": batch.token,
                "attempt": batch.attempt,
                "reply": batch.reply,
                "state": batch.send_state,
                "parts": batch.parts_sent,
            }
            for batch in claimed.batches
        ]

    async def look(self) -> None:
        """Look at the index without taking a turn."""
        await self._queue.claim("looks on", limit=0)

    async def extend(self, token: int) -> None:
        """Renew a lease."""
        await self._queue.extend(self._batches[token])

    async def record_reply(self, token: int, text: str) -> bool:
        """Record a reply."""
        return await self._queue.record_reply(self._batches[token], text)

    async def record_sent(self, token: int, parts: int | None = None) -> None:
        """Note that the reply, or parts of it, were sent."""
        await self._queue.record_sent(self._batches[token], parts=parts)

    async def complete(self, token: int) -> None:
        """Finish a turn."""
        await self._queue.complete(self._batches[token])

    async def fail(
        self, token: int, dead: bool = False, not_sent: bool = False, after_ms: int = 5_000
    ) -> int:
        """End an attempt without success."""
        batch = self._batches[token]
        return await self._queue.fail(batch, "no luck", dead=dead, not_sent=not_sent, after_ms=after_ms)

    async def release(self, token: int) -> None:
        """Hand a turn back."""
        await self._queue.release(self._batches[token])

    async def dead_letters(self) -> list[tuple[str, str, str | None]]:
        """Return the id, message id and reply of each dead letter."""
        letters = await self._queue.dead_letters()
        return [(letter.id, letter.message.id if letter.message else "", letter.reply) for letter in letters]

    async def requeue(self, letter_id: str) -> None:
        """Put a dead letter back."""
        await self._queue.requeue(letter_id)

    async def completed(self, phone: str) -> list[str]:
        """Return the ids of finished messages."""
        return [message.id for message in await self._queue.completed("bot", phone)]

    async def note(self, phone: str, text: str | None = None) -> str | None:
        """Keep a memory, if one is given, and return the one that is kept."""
        if text is not None:
            await self._queue.notes.put("bot", phone, text.encode(), ttl_s=1_000)
        kept = await self._queue.notes.get("bot", phone)
        return kept.decode() if isinstance(kept, bytes) else kept

    async def rescue(self) -> int:
        """Repair what is stranded; return the number of repairs."""
        rescued = await self._queue.rescue()
        return rescued.stranded + rescued.locks

    async def depth(self) -> int:
        """Count what is not finished."""
        return await self._queue.depth()


async def serve() -> None:
    """Answer calls until stdin ends."""
    calls: Calls | None = None
    while line := await asyncio.to_thread(sys.stdin.readline):
        call = json.loads(line)
        name, now_ms, arguments = call.pop("call"), call.pop("now_ms", 0), call
        try:
            if name == "open":
                calls, answer = Calls(**arguments), None
            else:
                assert calls is not None
                calls.now_ms = now_ms
                answer = await getattr(calls, name)(**arguments)
            written = {"answer": answer}
        except Exception as error:  # noqa: BLE001 - the test judges it
            written = {"error": type(error).__name__, "words": str(error)}
        sys.stdout.write(json.dumps(written) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve())
