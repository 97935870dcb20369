"""`send-test`, against a real HTTP server with a real queue behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from redis.asyncio import Redis

from queue_core import GiveUpError, MessageQueue, Processor, QueueMessage, QueueUnavailableError
from queue_core.channels.base import Post
from queue_core.channels.evolution.parser import parse_evolution
from queue_core.queue.upkeep.inspection import Inspection
from tests.queue_core.bot import Bot, claimed_batch, running
from tests.queue_core.server.operator.console import HOSTILE, Console, console_on, parser, settings_for

SECRET = "s3cret-of-the-webhook"
TOGETHER = {"QUEUE_WINDOW_MS": "20000", "QUEUE_MAX_MESSAGES": "3"}
"""Settings that make a turn of three messages as soon as the third has arrived."""


@pytest.fixture
def console(real_redis: Redis, capsys: pytest.CaptureFixture[str]) -> Console:
    return console_on(real_redis, capsys, EVOLUTION_WEBHOOK_SECRET=SECRET, **TOGETHER)


class FakeWeb:
    """A web process that parses as the real one, and stores in a queue."""

    def __init__(self, queue: MessageQueue | None) -> None:
        self.queue = queue
        self.posts: list[tuple[str, str, Any]] = []
        self.answer: Callable[[], web.Response] | None = None
        self.after_three: Callable[[], Awaitable[None]] | None = None

    async def take(self, request: web.Request) -> web.Response:
        payload = await request.json()
        self.posts.append((request.path, request.headers.get("apikey", ""), payload))
        if self.answer:
            return self.answer()
        inbound = parse_evolution(payload, media_bytes_max=1_000)
        assert not inbound.skipped
        assert self.queue
        for message in inbound.messages:
            await self.queue.enqueue(message)
        if self.after_three and len(self.posts) == 3:
            await self.after_three()
        return web.json_response({"queued": len(inbound.messages)})


@asynccontextmanager
async def serving(fake: FakeWeb) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/webhook/evolution", fake.take)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


async def test_a_burst_is_followed_to_its_answer(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    was_seen_processing = asyncio.Event()
    pending = Inspection.pending

    async def watched_pending(inspection: Inspection, instance: str, phone: str) -> list[QueueMessage]:
        messages = await pending(inspection, instance, phone)
        if any(message.status == "processing" for message in messages):
            was_seen_processing.set()
        return messages

    async def wait_to_be_seen(_: object) -> None:
        await was_seen_processing.wait()

    monkeypatch.setattr(Inspection, "pending", watched_pending)
    bot, fake = Bot(on_handle=wait_to_be_seen), FakeWeb(console.queue)
    async with serving(fake) as url, running(Processor(console.queue, bot.handle, bot.send)):
        answer = await console.run("send-test", "--url", url, "--phone", "+55 (11) 99999-0000", "--json")
    assert answer.code == 0, answer.out
    report = answer.json
    assert report["ok"]
    assert report["userPhone"] == "5511999990000"
    assert len(report["acknowledgedMs"]) == 3
    assert 0 <= report["takenMs"] <= report["finishedMs"]
    assert report["turns"] == [3]
    assert (report["waiting"], report["dead"]) == ([], [])
    assert [key for _, key, _ in fake.posts] == [SECRET] * 3
    (batch,) = bot.answered
    assert (batch.instance_name, batch.user_phone) == ("test", "5511999990000")
    assert batch.text == "test message 1\ntest message 2\ntest message 3"
    assert list(batch.ids) == report["ids"]


async def test_the_text_for_people_and_a_fictional_number(console: Console) -> None:
    bot, fake = Bot(), FakeWeb(console.queue)
    async with serving(fake) as url, running(Processor(console.queue, bot.handle, bot.send)):
        answer = await console.run("send-test", "--url", url, "--instance", HOSTILE, "--text", "ping")
    assert answer.code == 0
    assert [line.split("  ")[0] for line in answer.lines] == [
        "conversation",
        "acknowledged",
        "taken",
        "finished",
    ]
    assert answer.lines[-1].endswith("3 of 3 messages in 1 turn")
    assert SECRET not in answer.out + answer.err
    assert not set(answer.out) & set("\x1b\x07\u202e")
    (batch,) = bot.answered
    assert batch.instance_name == HOSTILE
    assert batch.user_phone.startswith("120255501")
    assert batch.text == "ping 1\nping 2\nping 3"


KEY = "a-secret-of-sixteen"
CONFIGURED = {
    "evolution-go": {
        "EVOLUTION_GO_URL": "http://go",
        "EVOLUTION_GO_API_KEY": "key",
        "EVOLUTION_GO_WEBHOOK_SECRET": KEY,
    },
    "waha": {"WAHA_URL": "http://waha", "WAHA_HMAC_KEY": KEY},
    "cloud": {"CLOUD_ACCESS_TOKEN": "token", "CLOUD_APP_SECRET": KEY},
}


@pytest.mark.parametrize("name", CONFIGURED)
@pytest.mark.parametrize("is_named", [False, True], ids=["the only one", "named"])
async def test_the_burst_comes_from_the_provider_that_is_configured(
    real_redis: Redis, capsys: pytest.CaptureFixture[str], name: str, is_named: bool
) -> None:
    others = {"EVOLUTION_URL": "http://evolution", "EVOLUTION_API_KEY": "key"} if is_named else {}
    console = console_on(real_redis, capsys, **CONFIGURED[name], **others, **TOGETHER)
    providers = settings_for(**CONFIGURED[name]).providers
    provider = next(each for each in providers if each.name == name.replace("-", "_"))

    async def take(request: web.Request) -> web.Response:
        assert request.path == provider.paths[0]
        post = Post(await request.read(), request.headers, {}, json.loads)
        provider.authenticate(post)
        for message in provider.parse(post, media_bytes_max=1_000, language="en").messages:
            await console.queue.enqueue(message)
        return web.json_response({"queued": 1})

    app = web.Application()
    app.router.add_post("/{path:.*}", take)
    bot = Bot()
    options = ["--channel", name] if is_named else []
    async with TestServer(app) as server, running(Processor(console.queue, bot.handle, bot.send)):
        url = str(server.make_url("/"))
        answer = await console.run("send-test", "--url", url, "--phone", "5511999990000", *options)
    assert answer.code == 0, answer.out + answer.err
    (batch,) = bot.answered
    assert (batch.instance_name, batch.user_phone) == ("test", "5511999990000")
    assert batch.text == "test message 1\ntest message 2\ntest message 3"


async def test_without_a_worker_it_says_what_waits(console: Console) -> None:
    async with serving(FakeWeb(console.queue)) as url:
        answer = await console.run("send-test", "--url", url, "--wait", "100ms")
        as_json = await console.run("send-test", "--url", url, "--wait", "1ms", "--json")
    assert answer.code == 1
    assert answer.lines[-1].startswith(
        "not finished after 0.1 s: 3 messages, 0 being answered, 0 failed attempts"
    )
    assert [message["status"] for message in as_json.json["waiting"]] == ["pending"] * 3
    assert as_json.code == 1


@pytest.mark.parametrize("limited", [False, True], ids=["counts", "does not count"])
async def test_failed_attempts_are_shown(console: Console, limited: bool) -> None:
    fake = FakeWeb(console.queue)

    async def fail_the_turn() -> None:
        await console.queue.fail(
            await claimed_batch(console.queue), "the AI is away", after_ms=60_000, limited=limited
        )

    fake.after_three = fail_the_turn
    async with serving(fake) as url:
        answer = await console.run("send-test", "--url", url, "--wait", "1ms")
    assert answer.code == 1
    assert "3 messages, 0 being answered, 1 failed attempt; see `show`" in answer.lines[-2]
    assert answer.lines[-1] == "last error: the AI is away"


async def test_dead_letters_end_the_wait(console: Console) -> None:
    async def refuse(_: object) -> None:
        raise GiveUpError("no such\x1b user")

    bot = Bot(on_handle=refuse)
    async with (
        serving(FakeWeb(console.queue)) as url,
        running(Processor(console.queue, bot.handle, bot.send)),
    ):
        answer = await console.run("send-test", "--url", url)
    assert answer.code == 1
    assert [line.split(" (")[0] for line in answer.lines[-3:]] == [r"given up: no such\x1b user"] * 3


@pytest.mark.parametrize(
    ("status", "body", "hint"),
    [
        (
            401,
            {"error": "no\x1b"},
            r"the server answered 401 no\x1b; set EVOLUTION_WEBHOOK_SECRET to the server's value",
        ),
        (503, {"failed": 1}, "the server answered 503"),
        (404, ["unexpected"], "the server answered 404"),
        (200, {"buffered": 1}, "USE_QUEUE_SYSTEM=false"),
        (200, {"answered": 1}, "answered without the queue"),
        (200, {"skipped": {"ignored kind": 1}}, "IGNORED_KINDS"),
        (200, {"queued": 1}, "cannot be found in this queue"),
    ],
)
async def test_a_server_that_does_not_queue_the_burst(
    console: Console, status: int, body: object, hint: str
) -> None:
    fake = FakeWeb(None)
    fake.answer = lambda: web.json_response(body, status=status)
    async with serving(fake) as url:
        answer = await console.run("send-test", "--url", url)
    assert answer.code == 1
    assert hint in answer.out + answer.err
    assert SECRET not in answer.out + answer.err


async def test_nothing_listens(console: Console, unused_port: int) -> None:
    answer = await console.run("send-test", "--url", f"http://user:secret@127.0.0.1:{unused_port}/hidden")
    assert (answer.code, answer.out) == (1, "")
    assert f"nothing answers at 127.0.0.1:{unused_port}" in answer.err
    assert "secret" not in answer.err
    assert "hidden" not in answer.err


@pytest.fixture
async def unused_port() -> int:
    async with TestServer(web.Application()) as server:
        assert server.port
        return server.port


async def test_the_default_address_is_that_of_the_settings(
    real_redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = FakeWeb(None)
    fake.answer = lambda: web.json_response({}, status=418)
    async with serving(fake) as url:
        port = url.rstrip("/").rsplit(":", 1)[1]
        console = console_on(real_redis, capsys, HOST="0.0.0.0", PORT=port, ALLOW_UNSIGNED_WEBHOOKS="true")
        answer = await console.run("send-test")
    assert "418" in answer.err
    assert fake.posts[0][1] == "", "no secret is set"


def test_help_says_which_server_gets_the_burst(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["send-test", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "(default: the `serve` that runs in this folder, else HOST and PORT)" in shown


async def test_nothing_is_posted_when_the_queue_cannot_be_watched(capsys: pytest.CaptureFixture[str]) -> None:
    fake = FakeWeb(None)
    async with serving(fake) as url:
        with pytest.raises(QueueUnavailableError):
            await Console(settings_for("unix:///nowhere/redis.sock"), capsys).run("send-test", "--url", url)
    assert fake.posts == []
