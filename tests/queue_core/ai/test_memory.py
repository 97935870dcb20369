"""Memory of a conversation for the AI: best effort, bounded, gone after a while."""

from __future__ import annotations

from redis.asyncio import Redis

from queue_core import MessageQueue, connect
from queue_core.ai.memory import MEMORY_BYTES_MAX, ConversationMemory, Memory, Turn
from queue_core.keys import KeySpace
from queue_core.redis_server.embedded import EmbeddedRedis

KEYS = KeySpace("wa", 1)


async def loaded(memory: ConversationMemory) -> Memory:
    """Return the memory of the conversation."""
    kept = await memory.load("bot", "1")
    assert kept is not None
    return kept


async def test_what_is_saved_is_loaded_again_for_that_conversation_only(redis_client: Redis) -> None:
    memory = ConversationMemory(MessageQueue(redis_client).notes, ttl_s=100)
    known = Memory(conversation_id="c", history=(Turn("user", "مرحبا"),), requested_fields=("name",))
    assert await memory.load("bot", "1") == Memory()
    await memory.save("bot", "1", known)
    assert await memory.load("bot", "1") == known
    assert await memory.load("bot", "2") == Memory()
    assert 0 < await redis_client.ttl(KEYS.of("bot", "1").memory) <= 100


async def test_the_oldest_is_forgotten_when_there_is_too_much(redis_client: Redis) -> None:
    memory = ConversationMemory(MessageQueue(redis_client).notes)
    history = tuple(Turn("user", f"{number} " + "x" * 10_000) for number in range(100))
    await memory.save("bot", "1", Memory(conversation_id="c", history=history))
    kept = await loaded(memory)
    assert kept.conversation_id == "c"
    assert 0 < len(kept.history) < 100
    assert kept.history[-1] == history[-1]
    assert await redis_client.strlen(KEYS.of("bot", "1").memory) <= MEMORY_BYTES_MAX


async def test_what_is_left_of_a_history_begins_with_the_user(redis_client: Redis) -> None:
    """APIs refuse a history that begins with an answer, and would refuse it at every later turn."""
    memory = ConversationMemory(MessageQueue(redis_client).notes)
    for pairs in (4, 5, 7):
        turns = [Turn("user", "x" * 40_000), Turn("assistant", "y" * 40_000)] * pairs
        await memory.save("bot", "1", Memory(history=tuple(turns)))
        kept = (await loaded(memory)).history
        assert [turn.role for turn in kept] == ["user", "assistant"] * (len(kept) // 2)
        assert 0 < len(kept) < len(turns)


async def test_one_turn_that_is_too_large_is_forgotten(redis_client: Redis) -> None:
    memory = ConversationMemory(MessageQueue(redis_client).notes)
    turns = (Turn("user", "x" * MEMORY_BYTES_MAX), Turn("assistant", "y"))
    await memory.save("bot", "1", Memory(conversation_id="c", history=turns))
    assert await memory.load("bot", "1") == Memory(conversation_id="c")


async def test_what_cannot_be_written_raises_nothing(redis_client: Redis) -> None:
    memory = ConversationMemory(MessageQueue(redis_client).notes)
    await memory.save("bot", "1", Memory(conversation_id="\ud83d"))
    assert await memory.load("bot", "1") == Memory()


async def test_what_cannot_be_read_counts_as_nothing(redis_client: Redis) -> None:
    await redis_client.set(KEYS.of("bot", "1").memory, b'{"history": "no list"')
    assert await ConversationMemory(MessageQueue(redis_client).notes).load("bot", "1") == Memory()


async def test_without_redis_there_is_no_memory_and_no_error(redis_server: EmbeddedRedis) -> None:
    redis_server.kill()
    async with connect(redis_server.url) as client:
        memory = ConversationMemory(MessageQueue(client).notes)
        await memory.save("bot", "1", Memory(conversation_id="c"))
        assert await memory.load("bot", "1") is None
