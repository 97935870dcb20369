"""A real HTTP server that gives the answers of a test, and keeps the requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from queue_core import Batch, QueueMessage


@dataclass
class Answer:
    """One answer of the server; `cut` closes the connection in the middle of it, `hangs` never gives it."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    text: str | None = None
    cut: bool = False
    hangs: bool = False


class Stub:
    """Server that gives its answers in turn, and the last one again and again."""

    def __init__(self, answers: list[Answer]) -> None:
        self.url = ""
        self.ended = asyncio.Event()
        self.answers = answers
        self.paths: list[str] = []
        self.bodies: list[Any] = []
        self.headers: list[dict[str, str]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a POST to any path."""
        self.paths.append(request.raw_path)
        self.headers.append(dict(request.headers))
        self.bodies.append(await request.json())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer.hangs:
            await self.ended.wait()
        if answer.cut:
            response = web.StreamResponse(headers={"Content-Length": "1000"})
            await response.prepare(request)
            await response.write(b'{"half')
            assert request.transport is not None
            request.transport.abort()
            return response
        if answer.text is not None:
            return web.Response(text=answer.text, status=answer.status, headers=answer.headers)
        return web.json_response(answer.body, status=answer.status, headers=answer.headers)


def stub(*answers: Answer) -> AbstractAsyncContextManager[Stub]:
    """Run a server on loopback that gives these answers."""
    return serving(Stub(list(answers)))


@asynccontextmanager
async def serving(server: Stub) -> AsyncIterator[Stub]:
    """Run a server on loopback."""
    app = web.Application(client_max_size=2**26)
    app.add_routes([web.post("/{path:.*}", server.handle)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = "http://{}:{}".format(*runner.addresses[0])
        yield server
    finally:
        server.ended.set()
        await runner.cleanup()


def batch(
    *texts: str, attempt: int = 1, instance: str = "bot", phone: str = "966500000001", **data: Any
) -> Batch:
    """Make a turn with these texts; `data` is the messages' message_data."""
    messages = tuple(
        QueueMessage(
            id=f"m{number}", instance_name=instance, user_phone=phone, message=text, message_data=data
        )
        for number, text in enumerate(texts, 1)
    )
    return Batch(
        instance_name=instance,
        user_phone=phone,
        messages=messages,
        token=7,
        processor_id="worker",
        attempt=attempt,
        trigger="window",
        due_at_ms=1_000,
        claimed_at_ms=1_005,
    )
