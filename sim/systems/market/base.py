"""The base of the systems of the market: one process of a bot, its Redis, and which messages it holds.

A message is lost when a step loses it, or when the run ends while it waits where nobody will look.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from itertools import count
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote

import msgspec

from queue_core.recording.format import Arrival
from reports.results.causes import Cause
from sim.engine.ledger import Conversation
from sim.engine.options import read_options
from sim.engine.system import System, WebhookFailedError
from sim.engine.world import AiError, World
from sim.witness.buffers import BufferedMessage
from sim.witness.custody import SHARED_KEY, Custody, Message

Result = TypeVar("Result")

_DECODER = msgspec.json.Decoder(BufferedMessage)


class MarketSystem(System):
    """A system of the market. Its activities belong to a process: a restart ends them and empties its memory."""

    is_market: ClassVar[bool] = True
    others_lost: ClassVar[Cause] = SHARED_KEY
    """Cause of the loss of messages that are answered in another conversation than their own."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.options: Any = read_options(self.options_type, world.settings.of_systems.get(self.name, {}))
        self.redis = world.redis.client(self.name)
        self.custody = Custody(world.ledger)
        self._observer = world.redis.rest("observer")
        self._deliveries = count(1)
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._reasons: dict[str, Cause] = {}

    def at_rest(self) -> bool:
        """Return True: every activity is a foreground task, and none is alive when this is called."""
        return True

    def pending_ids(self) -> dict[Conversation, list[str]]:
        """Return nothing: without a new message of the user, nobody looks at what still waits."""
        return {}

    def cause(self, conversation: Conversation, message_id: str) -> Cause:
        """Return the reason for which nobody looked at a message that still waits at the end."""
        return self._reasons.get(self.key(conversation), Cause(code="vanished"))

    def key(self, conversation: Conversation) -> str:
        """Return the name under which the messages of a conversation wait."""
        return ":".join(quote(part, safe="") for part in conversation)

    def restart(self) -> None:
        """Restart the process: its activities end where they are, and its memory is empty."""
        for key in self.custody.occupied():
            self.nobody_looks(key, Cause(code="process_restarted"))
        for task in [*self._tasks]:
            task.cancel()
        self.forget()

    def forget(self) -> None:
        """Empty the memory of the process."""

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

    def start_task(self, coroutine: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Start an activity of the process, which nobody waits for."""
        task = self.world.spawn(coroutine, name=self.name)
        self._tasks[task] = None
        task.add_done_callback(self._ended)
        return task

    async def serve(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Serve a webhook in the process; raises WebhookFailedError when the process ends meanwhile."""
        task = self.start_task(coroutine)
        try:
            return await task
        except asyncio.CancelledError:
            if not task.cancelled():
                raise
            raise WebhookFailedError("unavailable") from None

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)

    async def sleep(self, wait_ms: float) -> None:
        """Wait in the process."""
        await asyncio.sleep(wait_ms / 1000)

    async def sleep_in_database(self, wait_ms: float) -> None:
        """Wait outside of the process, so that a restart does not end the activity."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.pop(task, None)
        await self.sleep(wait_ms)
        self._tasks[task] = None

    def has_timer(self, key: str) -> bool:
        """Return True if a timer that is started now will fire; otherwise note why nobody looks at `key`."""
        if self.world.fault("timer-dies"):
            self.nobody_looks(key, Cause(code="timer_died", call=1))
            return False
        return True

    def nobody_looks(self, key: str, cause: Cause) -> None:
        """Note why nobody will look at what waits under `key`, until somebody does."""
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
        """Reply to the messages, which nothing but this activity holds: what ends it loses them.

        An AI that fails is asked again at once, up to `tries` times.
        """
        batch = [message.identity for message in messages]
        try:
            await self.reply(key, messages, trigger, due_ms, tries=tries, typing_ms=typing_ms)
        except AiError:
            self.world.log("ai.failed", messageCount=len(batch))
            self.custody.lose(key, batch, Cause(code="ai_failed_once"))
        except asyncio.CancelledError:
            self.custody.lose(key, batch, Cause(code="process_restarted"))
            raise

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
        """Ask the AI about the messages and send its reply to the conversation of the last one. Raises AiError."""
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

    def peek_list(self, key: str) -> dict[Message, None]:
        """Return the messages in a list of Redis, without a delay, for the records of the simulator."""
        return dict.fromkeys(
            message.identity for message in decoded(self._observer.peek("LRANGE", key, 0, -1))
        )


def conversation_of(message: BufferedMessage) -> Conversation:
    """Return the conversation of a message."""
    return Conversation(message.instance, message.phone)


def encoded(message: BufferedMessage) -> bytes:
    """Encode a message for Redis."""
    return msgspec.json.encode(message)


def decoded(values: Sequence[str | bytes] | None) -> list[BufferedMessage]:
    """Decode the messages of a list of Redis."""
    return [_DECODER.decode(value) for value in values or ()]
