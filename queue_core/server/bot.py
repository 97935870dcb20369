"""Bot that asks the AI about a turn, turns the answer into a reply, and sends it, in a worker or a web process."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import aiohttp
import msgspec

from queue_core.ai.asking import Asking, no_text
from queue_core.ai.base import Backend
from queue_core.ai.dify import DifyBackend
from queue_core.ai.echo import EchoBackend
from queue_core.ai.generic_http import HttpBackend
from queue_core.ai.openai_compatible import OpenAiBackend
from queue_core.ai.reply import ExtractedReply, extract
from queue_core.channels.base import Channel
from queue_core.channels.console import ConsoleChannel
from queue_core.channels.pacing import Pacer
from queue_core.errors import GiveUpError, QueueError
from queue_core.message import PART_END, Batch, QueueMessage, Reply
from queue_core.queue.replying import line_of
from queue_core.server.config import ServerSettings
from queue_core.server.journal import Journal
from queue_core.waiting import cancel_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from queue_core.ai.memory import ConversationMemory, Memory

TYPING_TASKS_MAX = 200
"""Limit on concurrent "typing…" calls; further ones are dropped, so that they never slow the intake down."""
FORMED_IN_THREAD_MIN = 8_192
"""Length above which a reply is formatted in a separate thread, since that may take about 100 ms."""

_log = logging.getLogger(__name__)


class UnexpectedError(Exception):
    """Raised in place of an error that nobody foresaw, with its type and line: its message may quote a user."""


class Bot:
    """Handler and sender for Processor and Intake, with one AI and one or more channels."""

    def __init__(
        self,
        backend: Backend,
        channels: Mapping[str, Channel],
        *,
        journal: Journal,
        memory: ConversationMemory,
        pacer: Pacer,
        shows_typing: bool = True,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._backend = backend
        self._channels = channels
        self._journal = journal
        self._memory = memory
        self._shows_typing = shows_typing
        self._sleep = sleep
        self._pacer = pacer
        self._typing = _Typing()

    async def handle(self, batch: Batch) -> Reply:
        """Ask the AI about a turn and return the reply. An empty `response` of the AI makes an empty reply.

        The AI's memory is saved only when the reply is recorded, so that a dropped answer leaves no trace.
        """
        with _hiding_unexpected_errors():
            with _timed(
                lambda outcome, seconds: self._journal.asked(batch, self._backend.name, outcome, seconds)
            ):
                answer = await self._backend.answer(batch)
            reply = extract(answer.text)
            if reply.absence:  # the backend did not check its answer
                raise no_text(reply.absence, batch)
            text = await self._formed(batch, reply.text)
        return Reply(text, partial(self._recorded, batch, reply, answer.memory))

    async def send(self, batch: Batch, reply: str) -> AsyncGenerator[None, None]:
        """Send a reply through the channel of the newest message. Yields and raises as Channel.send does."""
        channel = self.channel_of(batch.messages[-1])
        if channel is None:
            raise GiveUpError(
                "no channel can send to this user: configure the channel through which the message came, then requeue "
                "the message"
            )
        form = channel.form
        if batch.parts_sent and PART_END not in reply:
            reply = form.formed_by_old_release(reply)
        following = iter(form.parts_of(reply)[batch.parts_sent + 1 :])
        with (
            _hiding_unexpected_errors(),
            _timed(lambda outcome, seconds: self._journal.sent(batch, channel.name, outcome, seconds)),
        ):
            sending = channel.send(batch, reply)
            async with aclosing(self._pacer.paced(channel.name, batch.instance_name, sending)) as paced:
                async for _ in paced:
                    yield
                    if pause_s := form.pause_s(next(following, "")):
                        if self._shows_typing:
                            self._typing.show(channel, batch.messages[-1], again=True)
                        await self._sleep(pause_s)

    def channel_of(self, message: QueueMessage) -> Channel | None:
        """Return the channel for the reply to a message; the console if no provider is configured."""
        return self._channels.get(str(message.message_data.get("channel"))) or self._channels.get("console")

    def show_typing(self, message: QueueMessage) -> None:
        """Begin to show "typing…", and return at once."""
        if channel := self._channels.get(
            str(message.message_data.get("channel"))
        ):  # the console shows nothing
            self._typing.show(channel, message)

    async def close(self) -> None:
        """Cancel all running "typing…" calls."""
        await self._typing.close()

    async def _formed(self, batch: Batch, text: str) -> str:
        """Return a reply in the form of the channel that will send it, without delaying other turns."""
        channel = self.channel_of(batch.messages[-1])
        if channel is None:
            return text
        return (
            await asyncio.to_thread(channel.form.formed, text)
            if len(text) > FORMED_IN_THREAD_MIN
            else channel.form.formed(text)
        )

    async def _recorded(self, batch: Batch, reply: ExtractedReply, memory: Memory | None) -> None:
        """Note the reply, and save the AI's memory with the data for which it asks the user."""
        self._journal.replied(batch, reply)
        conversation = batch.instance_name, batch.user_phone
        is_asking = reply.needs_data_collection or bool(reply.requested_fields)
        if is_asking and not memory:
            memory = await self._memory.load(*conversation)
        if is_asking and memory:
            memory = msgspec.structs.replace(
                memory,
                needs_data_collection=reply.needs_data_collection,
                requested_fields=reply.requested_fields,
            )
        if memory:
            await self._memory.save(*conversation, memory)


class _Typing:
    """Sender of "typing…" in the background."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._next_at: dict[tuple[str, str], float] = {}

    def show(self, channel: Channel, message: QueueMessage, *, again: bool = False) -> None:
        """Show "typing…", but not too often. With `again`, shows it after a message of the bot, which ended it."""
        now = asyncio.get_running_loop().time()
        user = message.instance_name, message.user_phone
        if len(self._tasks) >= TYPING_TASKS_MAX or (not again and now < self._next_at.get(user, now)):
            return
        if len(self._next_at) > 10_000:
            self._next_at = {key: at for key, at in self._next_at.items() if at > now}
        self._next_at[user] = now + channel.typing_every_s
        task = asyncio.create_task(channel.show_typing(message), name="typing")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.debug('"typing…" could not be shown: %s', type(error).__name__)

    async def close(self) -> None:
        await cancel_all(tuple(self._tasks))


@contextmanager
def _hiding_unexpected_errors() -> Iterator[None]:
    """Raise UnexpectedError in place of errors whose messages may quote a user, since the log shows reasons."""
    try:
        yield
    except (QueueError, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - the message of any other error may be a user's text
        raise UnexpectedError(line_of(error)) from None


@contextmanager
def _timed(report: Callable[[str, float], None]) -> Iterator[None]:
    """Call `report` with "ok", or the kind of error that ended the block, and the block's duration in seconds."""
    clock = asyncio.get_running_loop().time
    began = clock()
    outcome = "cancelled"
    try:
        yield
        outcome = "ok"
    except Exception as error:
        outcome = type(error).__name__
        raise
    finally:
        report(outcome, clock() - began)


def make_backend(
    settings: ServerSettings, session: aiohttp.ClientSession, memory: ConversationMemory
) -> Backend:
    """Make the AI that the settings name."""
    key = settings.ai_key.get_secret_value()
    asking = Asking(session, timeout_s=settings.ai_timeout_s, waits_s=settings.ai_unavailable_waits_s)
    match settings.ai:
        case "dify":
            return DifyBackend(asking, settings.ai_url, key, memory)
        case "openai":
            return OpenAiBackend(
                asking,
                settings.ai_url,
                key,
                settings.ai_model,
                memory,
                system_prompt=settings.ai_system_prompt,
                history_turns=settings.ai_history_turns,
            )
        case "http":
            return HttpBackend(asking, settings.ai_url, key)
        case "echo" | None:  # None: a process that asks no AI
            return EchoBackend()


def make_channels(
    settings: ServerSettings, session: aiohttp.ClientSession, write: Callable[[str], None]
) -> dict[str, Channel]:
    """Open the channels that the settings name; without any, the console channel."""
    channels: dict[str, Channel] = {}
    for provider in settings.providers:
        if provider.is_enabled:
            channel = provider.open_channel(session, timeout_s=settings.send_timeout_s)
            channel.form = dataclasses.replace(
                channel.form,
                format=provider.reply_format or settings.reply_format,
                bubbles_max=settings.reply_bubbles,
                pause_s_max=settings.reply_pause_s,
            )
            channels[provider.name] = channel
    return channels or {"console": ConsoleChannel(write)}
