"""The form of replies from the AI's answer to the channel: given once, kept by the queue, sent in bubbles."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import AsyncGenerator

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from queue_core import Batch, Intake, MessageQueue, Processor, QueueMessage, QueueSettings
from queue_core.ai.base import Answer
from queue_core.ai.memory import ConversationMemory
from queue_core.channels.cloud.provider import Cloud
from queue_core.channels.evolution.provider import Evolution
from queue_core.channels.form import Form
from queue_core.channels.pacing import Pacer
from queue_core.channels.sending import send_all
from queue_core.errors import QueueUnavailableError, RetryLaterError
from queue_core.http_client import new_session
from queue_core.server.bot import Bot, make_channels
from queue_core.server.config import ServerSettings
from queue_core.server.journal import Journal
from queue_core.server.metrics import Metrics
from queue_core.server.tags import ConversationTags

MESSAGE = QueueMessage(id="m1", instance_name="bot", user_phone="9", message="hello")
A, B, C = (f"{letter * 70}." for letter in "abc")


class Ai:
    """An AI that always says one thing."""

    name = "stub"

    def __init__(self) -> None:
        self.says = ""

    async def answer(self, batch: Batch) -> Answer:
        return Answer(self.says)


class Parts:
    """A channel that notes what it sends and shows, and can refuse a part once."""

    name = "parts"
    typing_every_s = 0.0

    def __init__(self, form: Form) -> None:
        self.form = form
        self.seen: list[str | float] = []
        """Parts that were sent, pauses in seconds, and "typing"."""
        self.refuses_after = -1
        """Number of entries of `seen` at which it refuses once."""

    def send(self, batch: Batch, reply: str) -> AsyncGenerator[None, None]:
        return send_all(self.form.parts_of(reply), self._send_part, after=batch.parts_sent)

    async def _send_part(self, part: str) -> None:
        if self.refuses_after == len(self.seen):
            self.refuses_after = -1
            raise RetryLaterError("not sent")
        self.seen.append(part)

    async def show_typing(self, message: QueueMessage) -> None:
        self.seen.append("typing")

    async def sleep(self, seconds: float) -> None:
        for _ in range(3):  # lets "typing…" be shown, which nobody waits for
            await asyncio.sleep(0)
        self.seen.append(seconds)


class World:
    """A queue on a clock that stands still, and the bot on it."""

    def __init__(self, redis: Redis, form: Form, *, shows_typing: bool = False) -> None:
        self.now_ms = 1_790_000_000_000
        settings = QueueSettings(window_ms=0, direct_after_ms=0)
        self.queue = MessageQueue(redis, settings, clock=lambda: self.now_ms, rng=random.Random(1))
        self.ai, self.channel = Ai(), Parts(form)
        self.bot = Bot(
            self.ai,
            {"console": self.channel},
            journal=Journal(Metrics(), ConversationTags(b"key")),
            memory=ConversationMemory(self.queue.notes),
            pacer=Pacer(self.queue.pacing, {}),
            shows_typing=shows_typing,
            sleep=self.channel.sleep,
        )

    async def work(self, wait_ms: int = 0) -> None:
        """Let `wait_ms` pass, then work once on all that is due."""
        self.now_ms += wait_ms
        await Processor(self.queue, self.bot.handle, self.bot.send).process_all_queues()


async def test_a_reply_is_formed(redis_client: Redis) -> None:
    world = World(redis_client, Form(characters_max=4_096))
    world.ai.says = '{"response": "**Hours**: [here](https://a.example)"}'
    await world.queue.enqueue(MESSAGE)
    await world.work()
    assert world.channel.seen == ["*Hours*: here (https://a.example)"]


async def test_a_reply_is_formed_without_the_queue(
    redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(redis_client, Form(characters_max=80))
    world.ai.says = f"**x** {A}\n\n{B}"

    async def unavailable(_: QueueMessage) -> None:
        raise QueueUnavailableError("away")

    monkeypatch.setattr(world.queue, "enqueue", unavailable)
    await Intake(world.queue, world.bot.handle, world.bot.send).receive(MESSAGE)
    assert world.channel.seen == [f"*x* {A}", B]


async def test_parts_stay_when_the_form_changes_between_two_parts(redis_client: Redis) -> None:
    """A reply of three parts is refused after the first. Meanwhile the form changes."""
    world = World(redis_client, Form(characters_max=100))
    world.ai.says = f"**x** {A}\n\n{B}\n\n{C}"
    world.channel.refuses_after = 1
    await world.queue.enqueue(MESSAGE)
    await world.work()
    assert world.channel.seen == [f"*x* {A}"]
    world.channel.form = Form(characters_max=60, format="plain", bubbles_max=2)
    await world.work(60_000)
    assert world.channel.seen == [f"*x* {A}", B, C]


async def test_a_reply_of_one_part_is_not_formed_again_when_it_is_tried_again(redis_client: Redis) -> None:
    """The `*x*` that is sent is bold, but beside `**` it would be italic in Markdown."""
    world = World(redis_client, Form(characters_max=100))
    world.ai.says = r"**x** and \*\*y\*\* and ** z"
    world.channel.refuses_after = 0
    await world.queue.enqueue(MESSAGE)
    await world.work()
    await world.work(60_000)
    assert world.channel.seen == ["*x* and **y** and ** z"]


async def test_a_reply_that_an_earlier_release_began_to_send_goes_on_with_its_parts(
    redis_client: Redis,
) -> None:
    """That release kept the AI's text, and cut it at each try."""
    world = World(redis_client, Form(characters_max=100))
    text = f"**First** {A} **and {B} more** {C}"
    await world.queue.enqueue(MESSAGE)
    (batch,) = (await world.queue.claim("earlier")).batches
    await world.queue.record_reply(batch, text)
    await world.queue.record_sent(batch, parts=1)
    await world.queue.release(batch, not_sent=True)
    await world.work(60_000)
    before = ["**First** " + A + " **and", B + " more**", C]
    assert world.channel.seen == before[1:]


@pytest.mark.parametrize("shows_typing", [True, False])
async def test_bubbles_come_with_typing_and_pauses(redis_client: Redis, shows_typing: bool) -> None:
    form = Form(characters_max=4_096, bubbles_max=3, pause_s_max=2.0)
    world = World(redis_client, form, shows_typing=shows_typing)
    world.ai.says = f"{A}\n\n{B}\n\n{C}"
    await world.queue.enqueue(MESSAGE)
    await world.work()
    pause = ["typing", 2.0] if shows_typing else [2.0]
    assert world.channel.seen == [A, *pause, B, *pause, C]


async def test_a_bubble_that_is_tried_again_comes_without_a_pause(redis_client: Redis) -> None:
    world = World(redis_client, Form(characters_max=4_096, bubbles_max=3, pause_s_max=2.0))
    world.ai.says = f"{A}\n\n{B}\n\n{C}"
    world.channel.refuses_after = 2
    await world.queue.enqueue(MESSAGE)
    await world.work()
    await world.work(60_000)
    assert world.channel.seen == [A, 2.0, B, 2.0, C]


async def test_settings_give_channels_their_forms() -> None:
    settings = ServerSettings(
        providers=(
            Evolution(url="http://evolution.example", api_key=SecretStr("k"), reply_format="unchanged"),
            Cloud(access_token=SecretStr("t")),
        ),
        reply_format="plain",
        reply_bubbles=3,
        reply_pause_s=2.5,
    )
    async with new_session() as session:
        channels = make_channels(settings, session, print)
    forms = {name: dataclasses.asdict(channel.form) for name, channel in channels.items()}
    assert forms == {
        "evolution": {"characters_max": 60_000, "format": "unchanged", "bubbles_max": 3, "pause_s_max": 2.5},
        "cloud": {"characters_max": 4_096, "format": "plain", "bubbles_max": 3, "pause_s_max": 2.5},
    }
