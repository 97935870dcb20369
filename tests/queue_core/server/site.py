"""The web app of a process, listening, with a real runtime behind it."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from queue_core import Intake, QueueMessage
from queue_core.server import config
from queue_core.server.runtime import Runtime, open_runtime
from queue_core.server.web import Web
from queue_core.server.webhooks import Webhooks


class Site:
    """The listening app, with its runtime and the replies that it printed."""

    def __init__(
        self, client: TestClient[Any, Any], runtime: Runtime, printed: list[str], webhooks: Webhooks
    ) -> None:
        self.client = client
        self.runtime = runtime
        self.webhooks = webhooks
        self.printed = printed

    async def post(self, path: str, body: Any, **options: Any) -> tuple[int, Any]:
        """Post JSON, and return status and JSON of the answer."""
        response = await self.client.post(path, json=body, **options)
        return response.status, await response.json()

    async def post_bytes(self, path: str, data: bytes, **headers: str) -> tuple[int, Any]:
        """Post a body of any bytes, declared as JSON."""
        declared = {"Content-Type": "application/json", **headers}
        response = await self.client.post(path, data=io.BytesIO(data), headers=declared)
        return response.status, await response.json()

    async def queued(self, instance: str = "bot", phone: str = "966500000001") -> list[QueueMessage]:
        """Return the messages that wait in a conversation."""
        return await self.runtime.queue.pending(instance, phone)

    async def all_queued(self) -> list[QueueMessage]:
        """Return the messages that wait in any conversation."""
        conversations = await self.runtime.queue.active_conversations()
        return [
            message
            for name in conversations
            for message in await self.queued(name.instance_name, name.user_phone)
        ]


@asynccontextmanager
async def open_site(**environment: str) -> AsyncIterator[Site]:
    """Open a site with these settings."""
    settings = config.load(environment, os.devnull).settings.with_ai()
    printed: list[str] = []
    async with open_runtime(settings, write=printed.append) as runtime:
        intake = Intake(runtime.queue, runtime.bot.handle, runtime.bot.send)
        webhooks = Webhooks(
            settings,
            intake,
            runtime.bot,
            runtime.journal,
            keep=runtime.queue.keep_unreadable,
            join=runtime.queue.aliases.join,
            deliveries=runtime.deliveries,
        )
        app = Web(runtime, asyncio.Event(), webhooks=webhooks).app()
        async with TestClient(TestServer(app)) as client:
            yield Site(client, runtime, printed, webhooks)
