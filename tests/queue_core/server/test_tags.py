"""Tags of conversations: the same in all processes, found again, and useless without the key."""

from __future__ import annotations

import asyncio
import hashlib
import re

import pytest

from queue_core import QueueMessage
from queue_core.redis_server.embedded import EmbeddedRedis
from queue_core.server.tags import ConversationTags
from tests.queue_core.bot import claimed_batch
from tests.queue_core.server.outside import evolution
from tests.queue_core.server.site import open_site

PHONE = "966500001234"


def test_a_tag_names_a_conversation_by_a_key() -> None:
    tags = ConversationTags(b"key")
    tag = tags.of("bot", PHONE)
    assert re.fullmatch(r"[0-9a-f]{10}", tag)
    assert tag == ConversationTags(b"key").of("bot", PHONE)
    others = (("bot", "966500001235"), ("bo", f"t{PHONE}"), ("b\ud800", PHONE))
    assert len({tag, *(tags.of(*other) for other in others)}) == 4
    without_key = hashlib.sha256(f"bot\0{PHONE}".encode()).hexdigest()
    assert tag != without_key[: len(tag)], "anybody could try out all phone numbers"
    assert len({tag, ConversationTags(b"other").of("bot", PHONE), ConversationTags().of("bot", PHONE)}) == 3


async def test_processes_without_a_setting_share_a_key_in_redis(redis_server: EmbeddedRedis) -> None:
    async with open_site(REDIS_URL=redis_server.url) as first, open_site(REDIS_URL=redis_server.url) as other:
        assert first.runtime.tags.of("bot", PHONE) == other.runtime.tags.of("bot", PHONE)
    async with open_site(REDIS_URL=redis_server.url, LOG_KEY="chosen") as third:
        assert third.runtime.tags.of("bot", PHONE) == ConversationTags(b"chosen").of("bot", PHONE)


async def test_a_key_is_shared_as_soon_as_redis_is_there(redis_server: EmbeddedRedis) -> None:
    tags = ConversationTags()
    redis_server.kill()
    async with open_site(REDIS_URL=redis_server.url) as site:
        notes = site.runtime.queue.notes
        before = site.runtime.tags.of("bot", PHONE)
        assert not await tags.share_key(notes)
        await asyncio.to_thread(redis_server.restart)
        assert await tags.share_key(notes)
        assert await site.runtime.tags.share_key(notes)
        after = site.runtime.tags.of("bot", PHONE)
    assert after == tags.of("bot", PHONE) != before


async def test_a_conversation_is_found_by_its_tag(redis_server: EmbeddedRedis) -> None:
    """While a message waits, when all are finished, and when all are dead."""
    async with open_site(REDIS_URL=redis_server.url, QUEUE_WINDOW_MS="0") as site:
        queue, tags = site.runtime.queue, site.runtime.tags
        for phone in ("1", "2", "3"):
            await queue.enqueue(QueueMessage(id="m", instance_name="bot", user_phone=phone, message="hi"))
        batches = {batch.user_phone: batch for batch in [await claimed_batch(queue) for _ in range(3)]}
        await queue.complete(batches["2"])
        await queue.fail(batches["3"], "gave up", dead=True)
        for phone in ("1", "2", "3"):
            assert await tags.find(tags.of("bot", phone).upper(), queue) == [("bot", phone)]
        assert await tags.find(tags.of("bot", "4"), queue) == []


async def test_the_log_shows_the_tag_and_not_the_phone(
    redis_server: EmbeddedRedis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "queue_core.events")
    async with open_site(REDIS_URL=redis_server.url) as site:
        await site.post("/webhook/evolution", evolution("m1"))
        tag = site.runtime.tags.of("bot", "966500000001")
    assert [vars(record)["conversation"] for record in caplog.records if "queued" in record.message] == [tag]
