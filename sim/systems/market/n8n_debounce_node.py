"""The community node "Message Debounce" of n8n: a window of silence, with limits that end it early.

Read in uaiautomacao/n8n-nodes-message-debounce 0.1.31, nodes/MessageDebounce/execute.ts and constants.ts: the execution
of each message pushes it and sleeps for the window in the process. The last one takes the list by a script that
compares, reads and deletes at once. The other ways out (flush keyword, largest number of messages, longest wait,
duplicate, first message) read the list and delete it by two commands, even if it is empty by then. All delete before
the AI has answered.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from reports.results.causes import Cause
from sim.engine.ledger import Conversation
from sim.engine.options import choice, count, duration, spread, words
from sim.engine.world import AiError, ChannelError
from sim.systems.market.base import conversation_of, decoded
from sim.systems.market.flow import FlowSystem
from sim.witness.buffers import BufferedMessage

TAKE_IF_LAST = """
local last = redis.call('LINDEX', KEYS[1], -1)
if not last or cjson.decode(last)['delivery'] ~= tonumber(ARGV[1]) then
  return false
end
local all = redis.call('LRANGE', KEYS[1], 0, -1)
redis.call('DEL', KEYS[1], KEYS[2])
return all
"""
"""Takes the whole list if the given delivery is its last message, else nothing."""


@dataclass(frozen=True, slots=True)
class N8nDebounceNodeOptions:
    """Settings of `n8n-debounce-node`, with the defaults of the node."""

    window_ms: int = duration("10s")
    """Silence after which the messages go on."""
    max_wait_ms: int = duration("0")
    """Longest wait from the first message; 0 is off."""
    max_messages: int = count(0)
    """Number of messages that go on at once; 0 is off."""
    keywords: tuple[str, ...] = words()
    """Words with which the messages that wait go on at once."""
    on_duplicate: Literal["include", "ignore", "flush"] = choice("include", "ignore", "flush")
    """Treatment of a text that equals the one before it."""
    first: Literal["none", "immediate"] = choice("none", "immediate")
    """Treatment of the first message of a session: as any other, or at once."""
    session_ms: int = duration("24h")
    """Life of what Redis holds after the last message."""
    node: str = spread("lognormal:20ms:60ms")
    """Time that each node of an execution takes besides what it waits for."""
    tries: int = count(1, at_least=1)
    """Tries of the AI node, which its setting "retry on fail" allows."""


class N8nDebounceNode(FlowSystem):
    """A flow whose first node collects messages in Redis until the user is silent."""

    name: ClassVar[str] = "n8n-debounce-node"
    order: ClassVar[int] = 130
    options_type: ClassVar[type[Any]] = N8nDebounceNodeOptions
    options: N8nDebounceNodeOptions

    def key(self, conversation: Conversation) -> str:
        """Return the key of a conversation's list."""
        return f"debounce:{super().key(conversation)}:msgs"

    async def execute(self, key: str, message: BufferedMessage) -> None:
        """Collect; the execution that gets the messages asks the AI and sends its reply."""
        await self.node()
        held, trigger = await self._collect(key, message)
        if held:
            await self.node()
            due_ms = message.at_ms + self.options.window_ms if trigger == "timer" else None
            await self.answer(key, held, trigger, due_ms, tries=self.options.tries)
        elif trigger:
            await self._answer_nothing(conversation_of(message))

    async def _answer_nothing(self, conversation: Conversation) -> None:
        """Ask the AI about an empty text: a way out that found the list empty goes on all the same."""
        self.world.log("debounce.empty", messageCount=0)
        with contextlib.suppress(AiError, ChannelError):
            await self.world.whatsapp.send(conversation, [], await self.world.ai.answer(conversation, [], ""))

    async def _collect(self, key: str, message: BufferedMessage) -> tuple[Sequence[BufferedMessage], str]:
        """Return the messages that go on, with what made them go on; nothing and "" where the execution ends."""
        options, redis = self.options, self.redis
        start_key, session_key = key.replace(":msgs", ":startTime"), key.replace(":msgs", ":session")
        is_first = await redis.get(session_key) is None
        if is_first and options.first == "immediate":
            await redis.set(session_key, "1")
            await redis.pexpire(session_key, options.session_ms)
            await self.push(key, message)
            return await self._read_and_delete(key, start_key), "direct"
        early = await self._special(key, start_key, message)
        if early is not None:
            return early
        waiting = await self.push(key, message)
        await redis.set(start_key, str(self.world.now_ms()), nx=True)
        await redis.set(session_key, "1", nx=True)
        for each in (key, start_key, session_key):
            await redis.pexpire(each, options.session_ms)
        if options.max_messages and waiting >= options.max_messages:
            return await self._read_and_delete(key, start_key), "size"
        wait_ms, is_longest = await self._wait_ms(start_key)
        if not self.timer_will_fire(key):
            return [], ""
        await self.sleep(wait_ms)
        if is_longest:
            return await self._read_and_delete(key, start_key), "window"
        taken = await redis.eval(TAKE_IF_LAST, 2, key, start_key, str(message.delivery))
        held = decoded(taken)
        self.take(held)
        return held, "timer" if held else ""

    async def _special(
        self, key: str, start_key: str, message: BufferedMessage
    ) -> tuple[Sequence[BufferedMessage], str] | None:
        """Treat a duplicate or a keyword; returns None for any other message."""
        options = self.options
        if options.on_duplicate != "include" and message.text:
            last = await self.redis.lindex(key, -1)
            if last is not None and json.loads(last)["text"] == message.text:
                if options.on_duplicate == "flush":
                    await self.push(key, message)
                    return await self._read_and_delete(key, start_key), "duplicate"
                self._pushing.discard(message.identity)
                self.custody.lose(key, [message.identity], Cause(code="ignored_duplicate"))
                return [], ""
        if any(word.lower() in message.text.lower() for word in options.keywords):
            await self.push(key, message)
            return await self._read_and_delete(key, start_key), "keyword"
        return None

    async def _wait_ms(self, start_key: str) -> tuple[float, bool]:
        """Return how long to wait, and whether the longest wait ends it."""
        options = self.options
        if options.max_wait_ms:
            start = await self.redis.get(start_key)
            if start is not None:
                left_ms = max(0, options.max_wait_ms - (self.world.now_ms() - int(start)))
                if left_ms <= options.window_ms:
                    return left_ms, True
        return options.window_ms, False

    async def _read_and_delete(self, key: str, start_key: str) -> Sequence[BufferedMessage]:
        """Read the list, then delete it: what comes between the two is lost, and two executions can read the same."""
        held = await self.read(key)
        self.take(held)
        await self.delete(key, start_key)
        return held
