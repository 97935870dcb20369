"""No buffer: each webhook asks the AI about its one message.

This is the first flow of every tutorial: Webhook, AI, Send. Providers expect an answer within seconds (Meta's Cloud API
delivers again what is not acknowledged), so most handlers acknowledge first; n8n's Webhook node does so by default
("Respond: Immediately", docs.n8n.io, Webhook node).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from queue_core.recording.format import Arrival
from sim.engine.options import choice, count
from sim.systems.market.base import MarketSystem, conversation_of


@dataclass(frozen=True, slots=True)
class NoBufferOptions:
    """Settings of `no-buffer`."""

    acknowledge: Literal["first", "last"] = choice("first", "last")
    """Moment at which the webhook answers: before the AI is asked, or after the reply was sent."""
    tries: int = count(1, at_least=1)
    """Number of times that the AI is asked about a message until it answers."""


class NoBuffer(MarketSystem):
    """A handler that answers each message by itself, however many come at once."""

    name: ClassVar[str] = "no-buffer"
    order: ClassVar[int] = 110
    options_type: ClassVar[type[Any]] = NoBufferOptions
    options: NoBufferOptions

    async def webhook(self, arrival: Arrival) -> None:
        """Answer the message; a message that is delivered again is answered again."""
        message = self.received(arrival)
        key, tries = self.key(conversation_of(message)), self.options.tries
        if self.options.acknowledge == "first":
            answer = self.answer(key, [message], "direct", message.at_ms, tries=tries)
            self.world.spawn(answer, name=f"{self.name} {message.id}")
        else:  # the provider sees an error, and delivers again
            await self.reply(key, [message], "direct", message.at_ms, tries=tries)
