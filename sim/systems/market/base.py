"""Base of the systems that others run today: one process of a bot, its Redis, and the messages that wait in each place.

A message is lost when a step loses it, or when the run ends while it waits where nothing will read it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Container, Sequence
from itertools import count
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec

from queue_core.recording.format import Arrival
from reports.results.causes import Cause
from sim.engine.ledger import Conversation
from sim.engine.options import read_options
from sim.engine.system import System
from sim.engine.world import AiError, ChannelError, World
from sim.witness.buffers import BufferedMessage
from sim.witness.custody import SHARED_KEY, Custody, Message

SOCKET_TIMEOUT_S = 10.0
"""Time after which a command fails whose answer does not come."""

_DECODER = msgspec.json.Decoder(BufferedMessage)


class MarketSystem(System):
    """System that others run today. Its activities and its memory end with their process."""

    is_market: ClassVar[bool] = True
    others_lost: ClassVar[Cause] = SHARED_KEY
    """Cause of the loss of messages that are answered in another conversation than their own."""
    left_cause: Cause = Cause(code="vanished")
    """Cause of the loss of messages that wait at the end, where nothing else explains it."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.options: Any = read_options(self.options_type, world.settings.of_systems.get(self.name, {}))
        self.redis = world.redis.client(self.processes[0], socket_timeout=SOCKET_TIMEOUT_S)
        self.custody = Custody(world.ledger)
        self.observer = world.redis.rest("observer")
        self._deliveries = count(1)
        self._reasons: dict[str, Cause] = {}

    def died(self, process: str) -> None:
        """Note that nothing reads what waits in Redis, until another message comes."""
        for key in self.custody.storage_keys():
            if self.custody.waiting(key):
                self._reasons.setdefault(key, Cause(code="process_died"))

    def redis_lost_writes(self) -> None:
        """Report the messages that Redis no longer has."""
        for key in self.custody.storage_keys():
            held = self.held_by_redis(key)
            gone = [message for message in self.custody.waiting(key) if message not in held]
            self.custody.lose(key, gone, Cause(code="redis_lost_writes"))

    def held_by_redis(self, key: str) -> Container[Message]:
        """Return the messages that wait in Redis under `key`, without a delay; only the simulator may know them."""
        return self.custody.waiting(key)

    def at_rest(self) -> bool:
        """Return True: every activity is a foreground task, and none is alive when this is called."""
        return True

    def pending_ids(self) -> dict[Conversation, list[str]]:
        """Return nothing: without a new message of the user, nothing reads what still waits."""
        return {}

    async def settle(self) -> None:
        """Report why nothing reads what still waits."""
        for key in self.custody.storage_keys():
            for message in self.custody.waiting(key):
                cause = self._reasons.get(key, self.left_cause)
                self.world.ledger.lose_at_end(message.conversation, message.id, cause)

    def key(self, conversation: Conversation) -> str:
        """Return the name under which the messages of a conversation wait."""
        return ":".join(quote(part, safe="") for part in conversation)

    def received(self, arrival: Arrival) -> BufferedMessage:
        """Return the message of a webhook, with the number of the delivery."""
        return BufferedMessage(
            next(self._deliveries),
            arrival.instance,
            arrival.phone,
            arrival.id,
            arrival.text,
            self.world.now_ms(),
        )

    async def sleep(self, wait_ms: float) -> None:
        """Wait."""
        await asyncio.sleep(wait_ms / 1000)

    def timer_will_fire(self, key: str) -> bool:
        """Return True if a timer that is started now will fire; otherwise note why nothing reads `key`."""
        if self.world.fault("timer-dies"):
            self.nobody_reads(key, Cause(code="timer_died", call=1))
            return False
        return True

    def nobody_reads(self, key: str, cause: Cause) -> None:
        """Note why nothing will read what waits under `key`, until something does."""
        self._reasons[key] = cause

    async def answer(
        self,
        key: str,
        messages: Sequence[BufferedMessage],
        trigger: str,
        due_ms: int | None = None,
        *,
        tries: int = 1,
        typing_ms: int = 0,
    ) -> None:
        """Reply to the messages. Only this activity holds them, so an error loses them.

        An AI that fails is asked again at once; `tries` counts all calls.
        """
        try:
            await self.reply(key, messages, trigger, due_ms, tries=tries, typing_ms=typing_ms)
        except (AiError, ChannelError) as error:
            self.custody.lose(key, [message.identity for message in messages], cause_of(error))

    async def reply(
        self,
        key: str,
        messages: Sequence[BufferedMessage],
        trigger: str,
        due_ms: int | None = None,
        *,
        tries: int = 1,
        typing_ms: int = 0,
    ) -> None:
        """Ask the AI about the messages and send its reply to the conversation of the last one.

        Raises AiError and ChannelError.
        """
        conversation = conversation_of(messages[-1])
        self._reasons.pop(key, None)
        batch = [message.identity for message in messages]
        ids = self.custody.claim(key, conversation, batch, trigger, due_ms, others_lost=self.others_lost)
        text = "\n".join(message.text for message in messages)
        reply = await self._ask(conversation, ids, text, tries)
        if typing_ms:
            await self.sleep(typing_ms)
        await self.world.whatsapp.send(conversation, ids, reply)

    async def _ask(self, conversation: Conversation, ids: Sequence[str], text: str, tries: int) -> str:
        for _ in range(tries - 1):
            with contextlib.suppress(AiError):
                return await self.world.ai.answer(conversation, ids, text)
        return await self.world.ai.answer(conversation, ids, text)


def cause_of(error: AiError | ChannelError) -> Cause:
    """Return the cause of loss of messages that only the failed activity held."""
    return Cause(code="ai_failed_once" if isinstance(error, AiError) else "channel_failed")


def conversation_of(message: BufferedMessage) -> Conversation:
    """Return the conversation of a message."""
    return Conversation(message.instance, message.phone)


def encoded(message: BufferedMessage) -> bytes:
    """Encode a message for Redis."""
    return msgspec.json.encode(message)


def decoded(values: Sequence[str | bytes] | None) -> list[BufferedMessage]:
    """Decode the messages of a list of Redis."""
    return [_DECODER.decode(value) for value in values or ()]
