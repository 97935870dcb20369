"""The bot between queue, AI and channel: what an answer leaves behind when it is used, and when it is dropped."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from queue_core import Batch, Intake, MessageQueue, Processor, QueueMessage, QueueSettings, Reply
from queue_core.ai.base import Answer
from queue_core.ai.memory import ConversationMemory, Memory, Turn
from queue_core.channels.form import Form
from queue_core.channels.pacing import Pacer
from queue_core.channels.sending import send_all
from queue_core.errors import OlderMessageWaitsError, QueueUnavailableError, RetryLaterError
from queue_core.queue.outages import OutageNews
from queue_core.queue.upkeep.sent_replies import Report
from queue_core.recording.recorder import Recorder
from queue_core.server.bot import Bot
from queue_core.server.journal import Journal
from queue_core.server.metrics import Metrics
from queue_core.server.tags import ConversationTags
from tests.queue_core.server.test_metrics import batch, scrape

USER = ("bot", "201000000001")
WINDOW_MS = 8_000


class Clock:
    """Clock of the queue, Unix ms."""

    def __init__(self) -> None:
        self.now_ms = 1_790_000_000_000

    def __call__(self) -> int:
        return self.now_ms


class Ai:
    """An AI that answers "re" and the text of the turn, and remembers that text."""

    name = "stub"

    def __init__(self, memory: ConversationMemory) -> None:
        self._memory = memory
        self.asked: list[str] = []
        self.asks_for = ""
        """Name of the data that it asks the user for, in all further answers."""
        self.is_silent = False
        self.fails = False
        """True to fail with an error that quotes the turn."""
        self.says = ""
        """Answer, if it is not to be made from the turn."""

    async def answer(self, batch: Batch) -> Answer:
        if self.fails:
            raise KeyError(batch.text)
        known = await self._memory.load(*USER)
        memory = known or Memory()
        self.asked.append(" ".join([*(turn.text for turn in memory.history), batch.text]).replace("\n", " "))
        answer: dict[str, Any] = {"response": "" if self.is_silent else f"re {batch.text}"}
        if self.asks_for:
            answer["requestedFields"] = [self.asks_for]
        history = (*memory.history, Turn("user", batch.text))
        updated = Memory(history=history, requested_fields=memory.requested_fields)
        return Answer(self.says or json.dumps(answer), updated if known else None)

    async def remembered(self) -> tuple[list[str], tuple[str, ...]]:
        """Return the texts of the history, and the names of the data that were asked for."""
        memory = await self._memory.load(*USER) or Memory()
        return [turn.text for turn in memory.history], memory.requested_fields


class Words:
    """A channel that sends each word as a part."""

    name = "words"

    def __init__(self) -> None:
        self.typing_every_s = 0.0
        self.form = Form(characters_max=4_096)
        self.sent: list[str] = []
        self.fails_at = ""
        """Word at which it fails with an error that quotes the word."""
        self.refuses: list[str] = []
        """Words that it refuses once."""

    def send(self, batch: Batch, reply: str) -> AsyncGenerator[None, None]:
        return send_all(reply.split(), self._send_word, after=batch.parts_sent)

    async def _send_word(self, word: str) -> None:
        if word == self.fails_at:
            raise ValueError(f"cannot send {word}")
        if word in self.refuses:
            self.refuses.remove(word)
            raise RetryLaterError("not sent")
        self.sent.append(word)

    async def show_typing(self, message: QueueMessage) -> None:
        """Do nothing."""


class World:
    """A queue on a clock that stands still, the bot on it, and all that they leave behind."""

    def __init__(self, redis: Redis, folder: Path) -> None:
        self.clock = Clock()
        settings = QueueSettings(supersede_ms=45_000, direct_after_ms=0)
        self.queue = MessageQueue(redis, settings, clock=self.clock, rng=random.Random(1))
        memory = ConversationMemory(self.queue.notes)
        self.ai = Ai(memory)
        self.channel = Words()
        self.metrics = Metrics()
        self._folder = folder
        self._recorder = Recorder(folder)
        self.journal = Journal(self.metrics, ConversationTags(b"key"), self._recorder)
        pacer = Pacer(self.queue.pacing, {})
        self.bot = Bot(self.ai, {"console": self.channel}, journal=self.journal, memory=memory, pacer=pacer)
        self.meanwhile: list[str] = []
        """Messages that come while the AI works, one at each call."""

    async def enqueue(self, message_id: str) -> None:
        message = _message(message_id)
        self.journal.arrived(message)
        await self.queue.enqueue(message)

    async def handle(self, batch: Batch) -> Reply:
        reply = await self.bot.handle(batch)
        if self.meanwhile:
            await self.enqueue(self.meanwhile.pop(0))
        return reply

    async def work(self, wait_ms: int = WINDOW_MS) -> None:
        """Let `wait_ms` pass, then work once on all that is due."""
        self.clock.now_ms += wait_ms
        processor = Processor(self.queue, self.handle, self.bot.send, observer=self.journal)
        await processor.process_all_queues()

    def recorded(self, event: str) -> list[dict[str, Any]]:
        """Return the recorded events of a kind, or the notes of that name."""
        self._recorder.close()
        (path,) = self._folder.glob("*.jsonl")
        events = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        return [each for each in events if event in (each["event"], each.get("what"))]


def _message(message_id: str) -> QueueMessage:
    return QueueMessage(id=message_id, instance_name=USER[0], user_phone=USER[1], message=message_id)


@pytest.fixture
def world(redis_client: Redis, tmp_path: Path) -> World:
    return World(redis_client, tmp_path)


def test_unreadable_messages_and_outages_are_recorded(world: World) -> None:
    world.journal.arrived(_message("m1"))
    world.journal.unreadable(_message("m2"), "it has no user")
    for is_away in (True, False):
        news = OutageNews(kind="ai", instance_name="", since_ms=1, error="answered 503", is_away=is_away)
        world.journal.backend_changed(news)
    assert [event["reason"] for event in world.recorded("dead_letter")] == ["it has no user"]
    assert [(event["fault"], event["state"]) for event in world.recorded("fault")] == [
        ("ai", "begins"),
        ("ai", "ends"),
    ]


def test_a_reply_of_a_person_is_recorded_and_a_copy_of_the_bots_is_not(world: World) -> None:
    world.journal.arrived(_message("m1"))
    for sender in ("others", "bot", "unknown"):
        report = Report(kind="own", instance_name=USER[0], reply_id=f"of {sender}", user_phone=USER[1])
        world.journal.own_message(report, sender)
    (reply,) = world.recorded("reply")
    (message,) = world.recorded("message")
    assert (reply["who"], reply["phone"]) == ("human", message["phone"])


async def test_an_answer_that_is_dropped_leaves_no_trace(world: World) -> None:
    """A message comes while the AI works: the AI is asked about both, and does not know its dropped answer."""
    world.meanwhile = ["m2"]
    world.ai.asks_for = "city"
    await world.enqueue("m1")
    await world.work()
    assert (world.channel.sent, await world.ai.remembered()) == ([], ([], ()))
    await world.work(0)
    assert world.ai.asked == ["m1", "m1 m2"]
    assert world.channel.sent == ["re", "m1", "m2"]
    assert await world.ai.remembered() == (["m1\nm2"], ("city",))
    assert [len(reply["ids"]) for reply in world.recorded("reply")] == [2]


async def test_a_superseded_turn_is_counted_logged_and_recorded(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.meanwhile = ["m2"]
    await world.enqueue("m1")
    with caplog.at_level(logging.INFO, "queue_core.events"):
        await world.work()
        first = scrape(world.metrics)
        await world.work(0)
    (line,) = (record for record in caplog.records if record.message == "turn superseded")
    assert line.levelno == logging.INFO
    assert first['batches_total{outcome="superseded",trigger="window"}'] == 1
    asked_s = first['ai_seconds_sum{backend="stub",outcome="ok"}']
    assert first["ai_dropped_seconds_total"] == pytest.approx(asked_s)
    assert asked_s > 0
    last = scrape(world.metrics)
    assert last["ai_dropped_seconds_total"] == first["ai_dropped_seconds_total"], "the second answer was sent"
    assert last["retries_total"] == 0
    assert [len(note["ids"]) for note in world.recorded("superseded")] == [1]
    assert world.journal._answered_s == {}


async def test_an_answer_without_anything_to_say_is_remembered(world: World) -> None:
    world.ai.is_silent = True
    await world.enqueue("m1")
    await world.work()
    assert (world.channel.sent, await world.ai.remembered()) == ([], (["m1"], ()))


@pytest.mark.parametrize(
    "answer", ["<think>They ask for", '{"name": "hours", "arguments": {}}', "Workflow was started"]
)
async def test_an_answer_without_text_is_asked_for_once_more_and_the_message_is_kept(
    world: World, answer: str
) -> None:
    world.ai.says = answer
    await world.enqueue("m1")
    for _ in range(5):
        await world.work(60_000)
    assert (world.ai.asked, world.channel.sent) == (["m1", "m1"], [])
    (letter,) = await world.queue.dead_letters()
    assert letter.message is not None
    assert (letter.message.id, letter.attempts) == ("m1", 2)
    assert "no text for the user" in letter.reason
    assert ";" in letter.reason, "it says what to change"
    world.ai.says = ""
    await world.queue.requeue(letter.id)
    await world.work()
    assert world.channel.sent == ["re", "m1"]


async def test_memory_and_the_data_that_is_asked_for_are_one_write(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = collect_saves(monkeypatch)
    world.ai.asks_for = "name"
    await world.enqueue("m1")
    await world.work()
    assert saved == [(["m1"], ("name",))]


async def test_a_memory_that_cannot_be_read_is_not_replaced(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def load(*_: object) -> None:
        """Read nothing, as when Redis is slow."""

    monkeypatch.setattr(ConversationMemory, "load", load)
    saved = collect_saves(monkeypatch)
    world.ai.asks_for = "name"
    await world.enqueue("m1")
    await world.work()
    assert (world.channel.sent, saved) == (["re", "m1"], [])


def collect_saves(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], tuple[str, ...]]]:
    """Collect memories instead of saving them. Return their list, each as in `Ai.remembered`."""
    saved = []

    async def save(_: ConversationMemory, instance: str, phone: str, memory: Memory) -> None:
        assert (instance, phone) == USER
        saved.append(([turn.text for turn in memory.history], memory.requested_fields))

    monkeypatch.setattr(ConversationMemory, "save", save)
    return saved


async def test_a_refused_part_is_sent_again_without_another_answer(world: World) -> None:
    """Each call of the channel is timed as a whole, and the memory is saved once."""
    world.channel.refuses = ["m1"]
    await world.enqueue("m1")
    await world.work()
    assert (world.channel.sent, await world.ai.remembered()) == (["re"], (["m1"], ()))
    await world.work(60_000)
    assert world.channel.sent == ["re", "m1"]
    assert len(world.ai.asked) == 1
    samples = scrape(world.metrics)
    for outcome in ("ok", "RetryLaterError"):
        assert samples[f'send_seconds_count{{channel="words",outcome="{outcome}"}}'] == 1
    assert [len(world.recorded(event)) for event in ("reply", "sent")] == [1, 1]


@pytest.mark.parametrize("who", ["the AI's client", "the channel"])
async def test_an_error_that_nobody_foresaw_quotes_no_user(
    world: World, caplog: pytest.LogCaptureFixture, who: str
) -> None:
    world.ai.fails = who == "the AI's client"
    world.channel.fails_at = "secret"
    await world.enqueue("secret")
    with caplog.at_level(logging.DEBUG, "queue_core"):
        for _ in range(4):
            await world.work(120_000)
    (letter,) = await world.queue.dead_letters()
    assert "test_bot.py" in letter.reason
    assert "secret" not in letter.reason
    logged = json.dumps(
        [{**vars(record), "text": record.getMessage()} for record in caplog.records], default=str
    )
    assert "secret" not in logged


async def test_a_direct_answer_is_remembered_and_recorded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Intake does as a worker does, once the reply is sent."""

    async def unavailable(_: QueueMessage) -> None:
        raise QueueUnavailableError("away")

    monkeypatch.setattr(world.queue, "enqueue", unavailable)
    message = _message("m1")
    world.journal.arrived(message)
    assert await Intake(world.queue, world.bot.handle, world.bot.send).receive(message) == "answered"
    assert await world.ai.remembered() == (["m1"], ())
    assert len(world.recorded("reply")) == 1
    assert world.journal._answered_s == {}, "no worker would ever remove the entry"


def test_an_outage_is_logged_when_it_begins_and_when_it_ends(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    news = OutageNews(
        kind="channel",
        instance_name="shop\n",
        since_ms=5,
        error="not sent: Evolution answered 503",
        is_away=True,
    )
    world.journal.backend_changed(news)
    world.journal.backend_changed(msgspec.structs.replace(news, is_away=False))
    assert [record.getMessage() for record in caplog.records] == [
        "the channel of shop\\n is away: turns that need it wait, and one at a time tries it",
        "the channel of shop\\n is back: the waiting turns are answered now",
    ]
    assert vars(caplog.records[0])["error"] == "not sent: Evolution answered 503"
    assert "error" not in vars(caplog.records[1]), "it is over"
    assert [vars(record)["away_since_ms"] for record in caplog.records] == [5, 5]
    assert scrape(world.metrics)['outages_total{kind="channel"}'] == 1


def test_the_log_counts_tries_that_are_not_attempts(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A turn that is put off again and again by a rate limit stays at its first attempt."""
    caplog.set_level("INFO")
    for setbacks in (0, 3):
        limited = msgspec.structs.replace(batch(1), setbacks=setbacks)
        world.journal.ended(limited, "failed", "the AI answered 429", 0)
    counted = [(vars(record)["attempt"], vars(record).get("not_counted")) for record in caplog.records]
    assert counted == [(1, None), (1, 3)]


def test_what_waits_for_an_older_message_is_counted_apart_from_other_refusals(world: World) -> None:
    for error in (OlderMessageWaitsError("later"), QueueUnavailableError("away"), RetryLaterError("503")):
        world.journal.refused(_message("m1"), error)
    samples = scrape(world.metrics)
    assert samples['messages_rejected_total{reason="older message waits"}'] == 1
    assert samples['messages_rejected_total{reason="unavailable"}'] == 2


async def test_no_tag_is_made_without_a_log_and_no_task_without_a_channel(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tags: list[str] = []
    shown: list[str] = []

    def tag_of(_: ConversationTags, instance: str, phone: str) -> str:
        tags.append(phone)
        return "tag"

    async def show_typing(message: QueueMessage) -> None:
        shown.append(message.id)

    monkeypatch.setattr(ConversationTags, "of", tag_of)
    monkeypatch.setattr(world.channel, "show_typing", show_typing)
    caplog.set_level(logging.ERROR, "queue_core.events")
    world.journal.acknowledged(_message("m1"), "queued", 0.001)
    world.bot.show_typing(_message("m1"))  # the console shows nothing, so no task is made for it
    assert len(asyncio.all_tasks()) == 1
    assert not tags

    caplog.set_level(logging.INFO, "queue_core.events")
    world.journal.acknowledged(_message("m2"), "queued", 0.001)
    world.bot.show_typing(msgspec.structs.replace(_message("m2"), message_data={"channel": "console"}))
    await asyncio.sleep(0)
    assert tags == [USER[1]]
    assert shown == ["m2"]


@pytest.mark.parametrize(("every_s", "calls"), [(0.0, ["m1", "m2", "m3"]), (30.0, ["m1"])])
async def test_a_channel_says_how_often_typing_is_shown(
    world: World, monkeypatch: pytest.MonkeyPatch, every_s: float, calls: list[str]
) -> None:
    """The Cloud API marks a message as read in the same call, so each message of a burst needs one."""
    shown: list[str] = []

    async def show_typing(message: QueueMessage) -> None:
        shown.append(message.id)

    monkeypatch.setattr(world.channel, "show_typing", show_typing)
    world.channel.typing_every_s = every_s
    for number in (1, 2, 3):
        message = msgspec.structs.replace(_message(f"m{number}"), message_data={"channel": "console"})
        world.bot.show_typing(message)
        await asyncio.sleep(0)
    assert shown == calls
