"""Replies on a terminal, for trying things out."""

from __future__ import annotations

from collections.abc import Callable

from queue_core.message import Batch, QueueMessage
from queue_core.text import visible


class ConsoleChannel:
    """A channel that prints each reply as one paragraph: the user, the number of messages answered, the text."""

    name = "console"

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    async def send(self, batch: Batch, reply: str) -> None:
        """Prints the reply; codes that would steer the terminal are shown as text."""
        count = len(batch.messages)
        head = f"{batch.instance_name}/{batch.user_phone}, {count} message{'s' * (count != 1)}"
        lines = "\n".join(f"  {visible(line)}" for line in reply.split("\n"))
        self._write(f"→ {visible(head)}:\n{lines}")

    async def show_typing(self, message: QueueMessage) -> None:
        """Does nothing."""
