"""The `debounceTime` of the bots that the Evolution API runs itself: Dify, Flowise, n8n, OpenAI, Typebot and others.

Read in EvolutionAPI/evolution-api 2.3.6. In src/api/integrations/chatbot: chatbot.controller.ts (`processDebounce`: a
text and a `setTimeout` for each `remoteJid` in a map of the process; a message appends to the text and restarts the
timer), base-chatbot.controller.ts (one map for all instances of an integration; settings, session and bot are read from
the database first; the last message's instance answers), base-chatbot.service.ts (an error is logged, nothing is tried
again; the reply is sent after 1 s of "typing" and the `delayMessage` of 1 s). In whatsapp.baileys.service.ts: an id is
ignored for 5 minutes after its first delivery.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from queue_core.recording.format import Arrival
from reports.results.causes import Cause
from sim.engine.distributions import parse_distribution
from sim.engine.ledger import Conversation
from sim.engine.options import choice, count, duration
from sim.engine.world import World
from sim.systems.market.base import MarketSystem, conversation_of
from sim.witness.buffers import BufferedMessage

DATABASE_READS = 3
KNOWN_FOR_MS = 300_000
"""Time for which a message id is remembered."""


@dataclass(frozen=True, slots=True)
class EvolutionDebounceOptions:
    """Settings of `evolution-debounce`."""

    debounce_ms: int = duration("10s")
    """`debounceTime`: silence after which the bot is asked."""
    typing_ms: int = duration("2s")
    """Time for which the user sees "typing…" before the reply."""
    bots: Literal["shared", "separate"] = choice("shared", "separate")
    """Map of the timers: shared by all instances of an integration, as in 2.3.6, or one for each."""
    tries: int = count(1, at_least=1)
    """Number of times that the AI is asked until it answers; Evolution asks once."""


class EvolutionDebounce(MarketSystem):
    """A map of texts and timers in the memory of the Evolution API."""

    name: ClassVar[str] = "evolution-debounce"
    order: ClassVar[int] = 140
    options_type: ClassVar[type[Any]] = EvolutionDebounceOptions
    options: EvolutionDebounceOptions
    others_lost: ClassVar[Cause] = Cause(code="shared_timer")

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._texts: dict[str, list[BufferedMessage]] = {}
        self._timers: dict[str, asyncio.Task[Any]] = {}
        self._known: dict[tuple[Conversation, str], int] = {}
        self._database = parse_distribution(world.settings.redis_latency)
        self._database_times = world.random("database")

    def key(self, conversation: Conversation) -> str:
        """Return the name of a timer: the address of the user, whatever the bot."""
        return conversation.phone if self.options.bots == "shared" else super().key(conversation)

    def died(self, process: str) -> None:
        """Empty the map: all texts that wait are lost."""
        for key in self.custody.storage_keys():
            self.custody.lose(key, self.custody.waiting(key), Cause(code="process_died"))
        self._texts.clear()
        self._timers.clear()
        self._known.clear()

    async def webhook(self, arrival: Arrival) -> None:
        """Take the message from WhatsApp, which does not deliver it again."""
        message = self.received(arrival)
        conversation, now_ms = conversation_of(message), self.world.now_ms()
        known_at_ms = self._known.get((conversation, message.id))
        if known_at_ms is not None and now_ms - known_at_ms < KNOWN_FOR_MS:
            self.world.ledger.note(conversation, message.id, "known")
            return
        self._known[conversation, message.id] = now_ms
        self.world.spawn(self._emit(message), name=f"{self.name} {message.id}")

    async def _emit(self, message: BufferedMessage) -> None:
        """Find the bot in the database, then append the text and restart the timer."""
        key = self.key(conversation_of(message))
        for _ in range(DATABASE_READS):
            await self.sleep(self._database.sample_ms(self._database_times))
        self.custody.store(key, message.identity)
        self._texts.setdefault(key, []).append(message)
        if (running := self._timers.pop(key, None)) is not None:
            running.cancel()
        if self.timer_will_fire(key):
            self._timers[key] = self.world.spawn(self._fire(key), name=f"{self.name} timer")

    async def _fire(self, key: str) -> None:
        await self.sleep(self.options.debounce_ms)
        del self._timers[key]  # from here on nothing cancels it but a restart
        messages = self._texts.pop(key)
        due_ms = messages[-1].at_ms + self.options.debounce_ms
        await self.answer(
            key, messages, "timer", due_ms, tries=self.options.tries, typing_ms=self.options.typing_ms
        )
