"""The base of the flows of n8n that collect messages in a list of Redis."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Container, Sequence

from redis.exceptions import RedisError

from queue_core.recording.format import Arrival
from reports.results.causes import Cause
from sim.engine.distributions import parse_distribution
from sim.engine.world import World
from sim.systems.market.base import MarketSystem, conversation_of, decoded, encoded
from sim.witness.buffers import BufferedMessage
from sim.witness.custody import Message


class FlowSystem(MarketSystem):
    """A flow of n8n. Each message starts an execution, and each node of it takes some time (setting `node`).

    An execution that fails leaves what is in the list to the execution of the next message.
    """

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._node_time = parse_distribution(self.options.node)
        self._node_times = world.random("nodes")
        self._pushing: set[Message] = set()
        self._read: set[Message] = set()

    async def webhook(self, arrival: Arrival) -> None:
        """Start an execution; n8n acknowledges at once."""
        message = self.received(arrival)
        self._pushing.add(message.identity)
        self.world.spawn(self._run(message), name=f"{self.name} {message.id}")

    async def _run(self, message: BufferedMessage) -> None:
        key = self.key(conversation_of(message))
        try:
            await self.execute(key, message)
        except RedisError:
            self._ended_early(key, message, Cause(code="redis_failed"))

    @abstractmethod
    async def execute(self, key: str, message: BufferedMessage) -> None:
        """Run the flow for a message, whose list is `key`."""

    async def node(self, number: int = 1) -> None:
        """Let the time of some nodes pass."""
        for _ in range(number):
            await self.sleep(self._node_time.sample_ms(self._node_times))

    async def push(self, key: str, message: BufferedMessage) -> int:
        """Push the message to the list; returns the length of the list."""
        length: int = await self.redis.rpush(key, encoded(message))
        self._pushing.discard(message.identity)
        if message.identity in self._read:  # by another execution, before the answer to the push was here
            self.world.ledger.stored(conversation_of(message), message.id)
            return length
        self.custody.store(key, message.identity)
        if message.identity not in self.held_by_redis(key):
            self.custody.lose(key, [message.identity], Cause(code="deleted_unread"))
        return length

    def held_by_redis(self, key: str) -> Container[Message]:
        """Return the messages of the list."""
        return {message.identity for message in decoded(self.observer.peek("LRANGE", key, 0, -1))}

    async def read(self, key: str) -> list[BufferedMessage]:
        """Read the list."""
        return decoded(await self.redis.lrange(key, 0, -1))

    def take(self, messages: Sequence[BufferedMessage]) -> None:
        """Note that this execution goes on with the messages."""
        self._read.update(message.identity for message in messages)

    async def delete(self, key: str, *others: str) -> None:
        """Delete the list, and other keys. What came into it after it was read is lost."""
        await self.redis.delete(key, *others)
        left = self.held_by_redis(key)
        gone = [each for each in self.custody.waiting(key) if each not in left and each not in self._read]
        self.custody.lose(key, gone, Cause(code="deleted_unread"))

    def _ended_early(self, key: str, message: BufferedMessage, cause: Cause) -> None:
        self.nobody_reads(key, cause)
        if message.identity in self._pushing:
            self._pushing.discard(message.identity)
            self.custody.lose(key, [message.identity], cause)
