"""Replies on a terminal, for trying things out."""

from __future__ import annotations

from collections.abc import Callable

from queue_core.message import Batch, QueueMessage
from queue_core.text import visible


class ConsoleChannel:
    """Writes each reply as one paragraph: who it is for, how many messages it answers, and what it says."""

    name = "console"

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    async def send(self, batch: Batch, reply: str) -> None:
        """Writes the reply; what would steer the terminal is shown, not obeyed."""
        count = len(batch.messages)
        head = f"{batch.instance_name}/{batch.user_phone}, {count} message{'s' * (count != 1)}"
        lines = "\n".join(f"  {visible(line)}" for line in reply.split("\n"))
        self._write(f"→ {visible(head)}:\n{lines}")

    async def show_typing(self, message: QueueMessage) -> None:
        """A terminal has nothing to show."""
