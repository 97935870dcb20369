"""Servers that a deployment talks to: an AI and the Evolution API, over real HTTP."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from queue_core.channels.evolution.example import example_webhook

PATIENCE_S = 30.0
"""Longest wait for something that must happen; only a failing test waits this long."""


class Gate:
    """A gate that stops requests while it is shut; a test can wait for the first of them."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._came = asyncio.Event()

    def shut(self) -> None:
        """Make requests wait from now on."""
        self._came.clear()
        self._open.clear()

    def open(self) -> None:
        """Let waiting and later requests pass."""
        self._open.set()

    async def wait_for_request(self) -> None:
        """Wait until a request has arrived since the gate was shut."""
        async with asyncio.timeout(PATIENCE_S):
            await self._came.wait()

    async def pass_through(self) -> None:
        """Wait while the gate is shut; the servers call it for each request."""
        self._came.set()
        await self._open.wait()


class Outside:
    """An AI and an Evolution API. The AI answers "re" and the ids of the turn, so a reply shows what it answers."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[tuple[str, ...]] = []
        self.texts: list[str] = []
        self.sent: list[tuple[str, str]] = []
        self.typing: list[str] = []
        self.ai_statuses: list[int] = []
        """Statuses that the AI answers next, instead of a reply; 0 cuts the connection."""
        self.send_statuses: list[int] = []
        self.before_ai = Gate()
        self.before_send = Gate()
        """Gate before the message counts as sent."""
        self.after_send = Gate()
        """Gate after it counts as sent, before the answer."""
        self._changed = asyncio.Condition()

    @property
    def sent_ids(self) -> list[str]:
        """Ids whose reply reached the user, in order, repetitions included."""
        return [word for _, text in self.sent for word in text.split()[1:]]

    async def wait_until_sent(self, ids: list[str]) -> None:
        """Wait until each of the ids was answered at least once."""
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: set(ids) <= set(self.sent_ids))

    async def wait_until_asked(self, times: int) -> None:
        """Wait until the AI was asked this often."""
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: len(self.asked) >= times)

    def check_answered_once(self, ids: list[str], *, may_repeat: list[str] | None = None) -> None:
        """Assert that each of the ids was answered, and only those in `may_repeat` more than once."""
        counts = Counter(self.sent_ids)
        assert set(counts) == set(ids)
        twice = {message_id for message_id, count in counts.items() if count > 1}
        assert twice <= set(may_repeat or [])

    # The servers.

    async def ai(self, request: web.Request) -> web.Response:
        body = await request.json()
        await self._note(lambda: self.asked.append(tuple(body["ids"])))
        self.texts.append(body["text"])
        await self.before_ai.pass_through()
        if status := await _planned_status(request, self.ai_statuses):
            return web.json_response({"error": "planned"}, status=status)
        return web.json_response({"response": "re " + " ".join(body["ids"])})

    async def send_text(self, request: web.Request) -> web.Response:
        body = await request.json()
        await self.before_send.pass_through()
        if status := await _planned_status(request, self.send_statuses):
            refusal = {"message": [{"jid": "x@s.whatsapp.net", "exists": False, "number": "x"}]}
            return web.json_response({"status": status, "response": refusal}, status=status)
        await self._note(lambda: self.sent.append((body["number"], body["text"])))
        await self.after_send.pass_through()
        return web.json_response({"key": {"id": "out"}, "status": "PENDING"}, status=201)

    async def send_presence(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.typing.append(body["number"])
        return web.json_response({}, status=201)

    async def _note(self, change: Any) -> None:
        async with self._changed:
            change()
            self._changed.notify_all()

    def environment(self) -> dict[str, str]:
        """Return the settings with which a deployment uses these servers."""
        return {
            "AI": "http",
            "AI_URL": f"{self.url}/ai",
            "AI_UNAVAILABLE_WAITS_S": "0.2,0.5,1",
            "EVOLUTION_URL": self.url,
            "EVOLUTION_API_KEY": "key",
        }


async def _planned_status(request: web.Request, statuses: list[int]) -> int:
    if not statuses:
        return 0
    status = statuses.pop(0)
    if status == 0:
        assert request.transport is not None
        request.transport.abort()
        return 500
    return status


@asynccontextmanager
async def outside() -> AsyncIterator[Outside]:
    """Run both servers on loopback."""
    stub = Outside()
    app = web.Application()
    app.add_routes(
        [
            web.post("/ai", stub.ai),
            web.post("/message/sendText/{instance}", stub.send_text),
            web.post("/chat/sendPresence/{instance}", stub.send_presence),
        ]
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        stub.url = "http://{}:{}".format(*runner.addresses[0])
        yield stub
    finally:
        for gate in (stub.before_ai, stub.before_send, stub.after_send):
            gate.open()
        await runner.cleanup()


def evolution(
    message_id: str,
    text: str = "hello",
    *,
    phone: str = "966500000001",
    instance: str = "bot",
    **changes: Any,
) -> dict[str, Any]:
    """Make a webhook of the Evolution API with one text message; `changes` replace keys of its data."""
    webhook = example_webhook(message_id, text, phone=phone, instance=instance)
    webhook["data"] |= changes
    return webhook
