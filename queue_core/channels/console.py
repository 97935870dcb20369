"""Replies on a terminal, for trying things out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from queue_core.channels.form import Form
from queue_core.channels.sending import send_all
from queue_core.message import Batch, QueueMessage
from queue_core.text import visible

TEXT_CHARACTERS_MAX = 1_048_576
"""Limit on the text that is printed at once."""


class ConsoleChannel:
    """Channel that prints each reply as one paragraph: the user, the number of messages answered, the text."""

    name = "console"
    typing_every_s = 0.0

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self.form = Form(characters_max=TEXT_CHARACTERS_MAX, format="unchanged")

    def send(self, batch: Batch, reply: str) -> AsyncGenerator[None, None]:
        """Print the reply. Control codes are printed as text, so that they do not act on the terminal."""
        count = len(batch.messages)
        head = f"{batch.instance_name}/{batch.user_phone}, {count} message{'s' * (count != 1)}"

        async def print_reply(text: str) -> None:
            lines = "\n".join(f"  {visible(line)}" for line in text.split("\n"))
            self._write(f"→ {visible(head)}:\n{lines}")

        return send_all(self.form.parts_of(reply), print_reply, after=batch.parts_sent)

    async def show_typing(self, message: QueueMessage) -> None:
        """Do nothing."""
