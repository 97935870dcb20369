"""Limits on how fast a phone number of the bot may send, as the deployment sets them up."""

from __future__ import annotations

import asyncio

import pytest

from queue_core import RetryLaterError
from queue_core.queue.pacing import Pacing
from queue_core.redis_server.embedded import EmbeddedRedis
from queue_core.server.bot import Bot
from tests.queue_core.server.site import open_site
from tests.queue_core.stub_http import Answer, batch, stub

SENT = Answer({"messages": [{"id": "wamid.out"}]})


async def send(bot: Bot) -> None:
    """Send a reply of one part through the Cloud API."""
    async for _ in bot.send(batch("x", instance="1001", channel="cloud"), "hi"):
        pass


async def error_of_second_send(bot: Bot, pacing: Pacing) -> RetryLaterError | None:
    """Send a reply, reserve the next seconds as other processes do, send again. Return the error of a send."""
    try:
        await send(bot)
        await asyncio.gather(
            *(pacing.take("cloud:1001", per_s=1, count=1, wait_ms_max=2_000) for _ in range(5))
        )
        await send(bot)
    except RetryLaterError as error:
        return error
    return None


async def test_a_number_of_the_cloud_api_has_the_rate_of_its_setting(redis_server: EmbeddedRedis) -> None:
    """Other processes have reserved the next seconds, so a reply must wait."""
    async with (
        stub(SENT) as server,
        open_site(
            REDIS_URL=redis_server.url,
            CLOUD_URL=server.url,
            CLOUD_ACCESS_TOKEN="token",
            CLOUD_APP_SECRET="s" * 16,
            CLOUD_MESSAGES_PER_S="1",
        ) as site,
    ):
        error = None
        for _ in range(5):  # after a pause of the machine there is room for a send
            if error := await error_of_second_send(site.runtime.bot, site.runtime.queue.pacing):
                break
    assert error is not None
    assert "1 message a second" in str(error)
    assert error.blames == "limit"
    assert server.bodies


async def test_http_429_pauses_the_number_for_other_processes(redis_server: EmbeddedRedis) -> None:
    refused = Answer({}, status=429, headers={"Retry-After": "30"})
    async with (
        stub(refused) as server,
        open_site(
            REDIS_URL=redis_server.url,
            CLOUD_URL=server.url,
            CLOUD_ACCESS_TOKEN="token",
            CLOUD_APP_SECRET="s" * 16,
            QUEUE_PREFIX="rates",
        ) as site,
    ):
        with pytest.raises(RetryLaterError, match="429"):
            await send(site.runtime.bot)
        answer = await site.runtime.queue.pacing.take("cloud:1001", per_s=80, count=1, wait_ms_max=1_000)
    assert not answer.is_granted
    assert 25_000 < answer.wait_ms <= 30_000
