"""The flow of n8n with a Redis list and a Wait node, as most templates have it.

Read in n8n's template 2346 ("Enhance Customer Chat by Buffering Messages with Twilio and Redis"): Redis push, Wait 5 s,
Redis get, and an If node that compares the last text of the list with the text of this execution. Templates for
WhatsApp then delete the list before the AI is asked, such as "Buffer Mensagem" (ninelabs.blog/?p=1993: Webhook, push,
Wait 6 s, get, If, Set, Redis delete, AI Agent).

n8n-io/n8n, packages/nodes-base/nodes/Wait/Wait.node.ts: a wait of less than 65 s is a timer in the process, so a
restart loses it; a longer one lies in the database. packages/nodes-base/nodes/Redis/Redis.node.ts: each Redis node is
one command on a connection of its own, so nothing holds push, get and delete together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from sim.engine.options import choice, count, duration, spread
from sim.engine.world import World
from sim.systems.market.base import conversation_of
from sim.systems.market.flow import FlowSystem
from sim.witness.buffers import BufferedMessage

STORED_WAIT_MS = 65_000
"""A wait of this length or more is kept in n8n's database, so that no restart and no dead timer ends it."""


@dataclass(frozen=True, slots=True)
class N8nWaitOptions:
    """Settings of `n8n-wait`."""

    wait_ms: int = duration("5s")
    """Length of the Wait node."""
    compare: Literal["text", "id"] = choice("text", "id")
    """Part by which the If node knows its own message at the end of the list."""
    node: str = spread("lognormal:20ms:60ms")
    """Time that each node of an execution takes besides what it waits for."""
    tries: int = count(1, at_least=1)
    """Tries of the AI node, which its setting "retry on fail" allows."""


class N8nWait(FlowSystem):
    """A flow whose executions push, wait, read, and go on if the last message is their own."""

    name: ClassVar[str] = "n8n-wait"
    order: ClassVar[int] = 120
    options_type: ClassVar[type[Any]] = N8nWaitOptions
    options: N8nWaitOptions

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._stored: dict[BufferedMessage, int] = {}
        """Executions whose wait lies in the database, by their messages, and when they go on."""

    async def start(self, process: str) -> None:
        """Go on with the executions whose wait lies in the database."""
        for message, until_ms in self._stored.items():
            wait_ms = max(0, until_ms - self.world.now_ms())
            self.world.spawn(self._go_on(message, wait_ms), name=f"{self.name} {message.id}")

    async def execute(self, key: str, message: BufferedMessage) -> None:
        """Push, wait, read, compare; if the last message is this execution's own, delete, ask and send."""
        await self.node()
        await self.push(key, message)
        await self.node()
        if self.options.wait_ms >= STORED_WAIT_MS:
            self._stored[message] = self.world.now_ms() + self.options.wait_ms
        elif not self.timer_will_fire(key):
            return
        await self._go_on(message, self.options.wait_ms)

    async def _go_on(self, message: BufferedMessage, wait_ms: float) -> None:
        await self.sleep(wait_ms)
        self._stored.pop(message, None)
        key = self.key(conversation_of(message))
        await self.node()
        held = await self.read(key)
        await self.node()
        if not held or self._mark(held[-1]) != self._mark(message):
            return
        self.take(held)
        await self.node(2)
        await self.delete(key)
        due_ms = message.at_ms + self.options.wait_ms
        await self.answer(key, held, "timer", due_ms, tries=self.options.tries)

    def _mark(self, message: BufferedMessage) -> str:
        """Return the part of a message that the If node compares; a message without text has its id only."""
        return message.text if self.options.compare == "text" and message.text else message.id
