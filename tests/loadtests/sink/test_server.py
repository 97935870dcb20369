"""The sink, over real HTTP: it plays the AI and WhatsApp, and lists the requests."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import BaseRunner

from loadtests.sink.caller import api_key_of, caller_of
from loadtests.sink.server import SERVICE_MS_MAX, Sink, SinkSettings

QUICK = SinkSettings(ai="constant:1ms")
_Client = TestClient[Any, Any]


class _Server(TestServer):
    """A server that lets a handler end when its client hangs up, as the command's does."""

    async def _make_runner(self, **settings: Any) -> BaseRunner:
        return await super()._make_runner(**{**settings, "handler_cancellation": False})


@asynccontextmanager
async def running(
    settings: SinkSettings = QUICK, now: Callable[[], float] = lambda: 1000.0
) -> AsyncIterator[_Client]:
    async with TestClient(_Server(Sink(settings, now=now).app())) as client:
        yield client


async def ask(client: _Client, *ids: str, attempt: int = 1) -> tuple[int, str]:
    """Ask the AI about a turn of these messages; return the status and the answer."""
    body = {
        "instance": "bot",
        "phone": "966500000001",
        "text": "hello",
        "ids": ids,
        "attempt": attempt,
        "trigger": "window",
        "due_at": 111,
        "claimed_at": 222,
    }
    async with client.post("/ai", json=body) as response:
        return response.status, (await response.json()).get("response", "")


async def send(client: _Client, text: str) -> int:
    async with client.post(
        "/message/sendText/bot", json={"number": "966500000001", "text": text}
    ) as response:
        await response.read()
        return response.status


async def events(client: _Client, after: int = 0) -> list[dict[str, Any]]:
    async with client.get("/sink/events", params={"after": after}) as response:
        assert response.status == 200
        return [json.loads(line) for line in (await response.text()).splitlines()]


async def test_a_reply_is_matched_to_the_messages_it_answers() -> None:
    async with running() as client:
        _, first = await ask(client, "a", "b")
        _, second = await ask(client, "c")
        assert await send(client, second) == 201
        assert await send(client, first) == 201
        seen = await events(client)
    assert [(event["n"], event["event"], event["ids"]) for event in seen] == [
        (1, "ai", ["a", "b"]),
        (2, "ai", ["c"]),
        (3, "sent", ["c"]),
        (4, "sent", ["a", "b"]),
    ]
    sent = seen[2]
    assert (sent["instance"], sent["phone"], sent["at"]) == ("bot", "966500000001", 1_000_000.0)
    assert (sent["trigger"], sent["due_at"], sent["claimed_at"], sent["attempt"]) == ("window", 111, 222, 1)


async def test_a_reply_by_the_cloud_api_counts_and_a_receipt_does_not() -> None:
    async with running() as client:
        _, answer = await ask(client, "a")
        reply = {"messaging_product": "whatsapp", "to": "96650", "text": {"body": answer}}
        async with client.post("/v23.0/1055/messages", json=reply) as response:
            assert response.status == 200
            assert (await response.json())["messages"]
        async with client.post(
            "/v23.0/1055/messages", json={"status": "read", "message_id": "a"}
        ) as response:
            assert response.status == 200
        async with client.post("/chat/sendPresence/bot", json={"presence": "composing"}) as response:
            assert response.status == 201
        (sent,) = await events(client, after=1)
    assert (sent["event"], sent["ids"], sent["instance"], sent["phone"]) == ("sent", ["a"], "1055", "96650")


SLOW = SinkSettings(ai="constant:1ms", send="constant:50ms")


async def test_a_send_takes_its_time_and_is_listed_with_both_moments_and_its_caller() -> None:
    async with running(SLOW, now=time.time) as client:
        _, answer = await ask(client, "a")
        body = {"number": "966500000001", "text": answer}
        headers = {"apikey": api_key_of("worker-1.2")}
        async with client.post("/message/sendText/bot", json=body, headers=headers) as response:
            assert response.status == 201
        (sent,) = await events(client, after=1)
    assert sent["answered_at"] - sent["at"] >= 50
    assert (sent["caller"], sent["is_caller_gone"]) == ("worker-1.2", False)


async def test_a_send_reaches_the_customer_though_its_caller_dies_meanwhile() -> None:
    """The send is listed like any other, once its time is over. The sink reads its clock when a send came in."""
    came_in = asyncio.Event()

    def now() -> float:
        came_in.set()
        return time.time()

    async with running(SLOW, now=now) as client:
        _, answer = await ask(client, "a")
        came_in.clear()
        body = json.dumps({"to": "96650", "text": {"body": answer}})
        head = (
            "POST /v23.0/1055/messages HTTP/1.1",
            "Host: sink",
            f"Authorization: Bearer {api_key_of('worker-2.1')}",
            f"Content-Length: {len(body)}",
        )
        _, writer = await asyncio.open_connection(client.host, client.port)
        writer.write("\r\n".join([*head, "", body]).encode())
        async with asyncio.timeout(30):
            await came_in.wait()
            writer.close()
            seen: list[dict[str, Any]] = []
            while not seen:
                seen = await events(client, after=1)
    (sent,) = seen
    assert (sent["event"], sent["ids"], sent["caller"]) == ("sent", ["a"], "worker-2.1")
    assert sent["is_caller_gone"]
    assert sent["answered_at"] - sent["at"] >= 50


@pytest.mark.parametrize(
    ("headers", "caller"),
    [
        ({"apikey": api_key_of("web.1")}, "web.1"),
        ({"Authorization": f"Bearer {api_key_of('worker-1.1')}"}, "worker-1.1"),
        ({"apikey": "a secret of somebody"}, ""),
        ({"Authorization": "Bearer a secret of somebody"}, ""),
        ({}, ""),
    ],
)
def test_only_keys_that_a_stack_made_name_a_caller(headers: dict[str, str], caller: str) -> None:
    assert caller_of(headers) == caller


@pytest.mark.parametrize("text", ["turn 99", "turn one", "", "turn 1 turn 1"])
async def test_a_text_that_is_not_an_answer_is_listed_without_messages(text: str) -> None:
    async with running() as client:
        await ask(client, "a")
        await send(client, text)
        (sent,) = await events(client, after=1)
    assert (sent["event"], sent["ids"]) == ("sent", [])


async def test_after_a_reset_an_old_answer_is_not_taken_for_a_new_turn() -> None:
    async with running() as client:
        _, old = await ask(client, "old")
        await client.post("/sink/reset")
        assert await events(client) == []
        _, new = await ask(client, "new")
        await send(client, old)
        await send(client, new)
        seen = await events(client)
    assert [(event["n"], event["ids"]) for event in seen] == [(1, ["new"]), (2, []), (3, ["new"])]


async def test_the_ai_fails_for_the_given_time() -> None:
    clock = [1000.0]
    async with running(now=lambda: clock[0]) as client:
        async with client.post("/sink/ai-errors", json={"seconds": 10}) as response:
            assert response.status == 200
        assert (await ask(client, "a"))[0] == 500
        clock[0] += 10.0
        assert (await ask(client, "a", attempt=2))[0] == 200
        seen = await events(client)
    assert [(event["event"], event["attempt"]) for event in seen] == [("ai-error", 1), ("ai", 2)]


async def test_sends_fail_for_the_given_time() -> None:
    clock = [1000.0]
    cloud = {"to": "1", "type": "text", "text": {"body": "hello"}}
    async with running(now=lambda: clock[0]) as client:
        await client.post("/sink/channel-errors", json={"seconds": 10})
        for wanted in (503, 200):
            async with client.post("/v23.0/77/messages", json=cloud) as response:
                assert response.status == wanted
            async with client.post("/message/sendText/bot", json={"number": "1", "text": "hi"}) as response:
                assert response.status == (wanted if wanted == 503 else 201)
            clock[0] += 10.0
        seen = await events(client)
    assert [event["event"] for event in seen] == ["send-error", "send-error", "sent", "sent"]


@pytest.mark.parametrize("backend", ["ai", "channel"])
async def test_zero_seconds_end_the_errors(backend: str) -> None:
    async with running() as client:
        await client.post(f"/sink/{backend}-errors", json={"seconds": 10})
        await client.post(f"/sink/{backend}-errors", json={"seconds": 0})
        assert (await ask(client, "a"))[0] == 200
        async with client.post("/message/sendText/bot", json={"number": "1", "text": "hi"}) as response:
            assert response.status == 201


async def test_failures_depend_on_turn_and_attempt_and_not_on_the_order() -> None:
    names = [f"m{number}" for number in range(200)]
    settings = SinkSettings(ai="constant:0", ai_errors=0.3, seed=7)
    async with running(settings) as client:
        failed = {name for name in names if (await ask(client, name))[0] == 500}
    async with running(settings) as client:
        failed_backwards = {name for name in reversed(names) if (await ask(client, name))[0] == 500}
        failed_again = {name for name in names if (await ask(client, name, attempt=2))[0] == 500}
    assert failed == failed_backwards
    assert 30 < len(failed) < 90
    assert failed_again != failed


async def test_service_times_depend_on_turn_and_seed_and_not_on_the_order() -> None:
    async def times(seed: int, names: str) -> dict[str, float]:
        async with running(SinkSettings(ai="exponential:1ms", seed=seed)) as client:
            for name in names:
                await ask(client, name)
            return {event["ids"][0]: event["service_ms"] for event in await events(client)}

    drawn = await times(1, "abc")
    assert drawn == await times(1, "cba")
    assert drawn != await times(2, "abc")
    assert len(set(drawn.values())) == 3


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/ai", b"{"),
        ("POST", "/ai", b"[]"),
        ("POST", "/ai", b'{"ids": [1]}'),
        ("POST", "/message/sendText/bot", b"\xff"),
        ("POST", "/sink/ai-errors", b"{}"),
        ("POST", "/sink/ai-errors", b'{"seconds": -1}'),
        ("POST", "/sink/channel-errors", b'{"seconds": -1}'),
        ("GET", "/sink/events?after=-1", None),
        ("GET", "/sink/events?after=%C2%B2", None),
    ],
)
async def test_a_request_that_cannot_be_read_is_refused_and_not_listed(
    method: str, path: str, body: bytes | None
) -> None:
    async with running() as client:
        async with client.request(method, path, data=body) as response:
            assert response.status == 400
        assert await events(client) == []


async def test_the_command_prints_its_address_and_listens_until_sigterm() -> None:
    """SIGTERM also ends it while an answer is pending."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtests", "sink", "--port", "0", "--ai", "constant:1h"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(30):
        url = (await process.stdout.readline()).decode().split()[-1]
        async with aiohttp.ClientSession(base_url=url) as session:
            asking = asyncio.create_task(session.post("/ai", json={"ids": ["a"]}))
            while True:
                async with session.get("/sink/events") as response:
                    if line := await response.text():
                        assert json.loads(line)["service_ms"] == SERVICE_MS_MAX, "and not an hour"
                        break
            process.terminate()
            assert await process.wait() == 0
            with pytest.raises(aiohttp.ClientError):
                await asking
