"""The processes of a deployment: how they start, what they do with SIGTERM, and in which order they end.

The first SIGTERM or SIGINT: the web app takes no new requests, the worker claims no more; what is in work finishes or,
after `grace_s`, is handed back. The second one: out at once; nothing is lost, since leases run out by themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Literal

from aiohttp import web
from pydantic import SecretStr

from queue_core.errors import InvalidSettingsError, QueueError, QueueUnavailableError
from queue_core.legacy.switch_back import LegacyIntake, adopt_all_leftovers
from queue_core.queue.intake import Intake
from queue_core.server.config import ServerSettings
from queue_core.server.own_redis import own_redis
from queue_core.server.runtime import Runtime, open_runtime
from queue_core.server.web import Web
from queue_core.server.webhooks import Receiver, Webhooks
from queue_core.waiting import cancel_all

Role = Literal["web", "worker", "monitor"]
ALL_ROLES: tuple[Role, ...] = ("web", "worker", "monitor")
Part = Callable[[Runtime, asyncio.Event], Coroutine[Any, Any, None]]
"""Runs until the event is set, and then ends what it began."""

END_S = 5.0
"""Past `grace_s`, ending may take so long; then it is cut off."""
EXIT_CUT_OFF = 1
EXIT_AT_ONCE = 130

_log = logging.getLogger("queue_core.events")


async def run(settings: ServerSettings, roles: tuple[Role, ...], *, starts_redis: bool = False) -> None:
    """Runs until a signal. Raises what makes a start impossible, and what ended a part that should have gone on."""
    if "web" in roles or "worker" in roles:  # the web process answers while Redis is away
        settings = settings.with_ai(may_echo=starts_redis)
    stop = asyncio.Event()
    with _signals(stop, settings.grace_s + END_S):
        async with AsyncExitStack() as stack:
            if starts_redis and not settings.redis_url.get_secret_value():
                server = await stack.enter_async_context(own_redis(settings))
                settings = settings.model_copy(update={"redis_url": SecretStr(server.url)})
                _log.info("redis-server %s started, data in %s/", server.binary.version, settings.data_dir)
            records: Literal["recording", "outcomes"] = "recording" if "web" in roles else "outcomes"
            runtime = await stack.enter_async_context(open_runtime(settings, records=records))
            await _look_at_redis(runtime)
            _say_what_is_missing(settings)
            await _run_parts(runtime, roles, stop)
    _log.info("stopped")


async def _look_at_redis(runtime: Runtime) -> None:
    """A Redis that is away may come back; one that cannot carry the queue will not become another."""
    try:
        await runtime.queue.check()
    except QueueUnavailableError as error:
        _log.warning("starting without Redis: %s", error)


def _say_what_is_missing(settings: ServerSettings) -> None:
    """What somebody who tries it out needs to know, and somebody in production must not overlook."""
    if settings.ai == "echo":
        _log.warning("an echo answers, not an AI: set AI and AI_URL for one")
    if not settings.has_channel:
        names = ", ".join(provider.environment_name(provider.enabled_by) for provider in settings.providers)
        _log.warning("replies are printed, since no channel is configured: set one of %s", names)


async def _run_parts(runtime: Runtime, roles: tuple[Role, ...], stop: asyncio.Event) -> None:
    """All parts, until all have ended. One that ends by itself ends the others, in good order."""
    parts: dict[Role, Part] = {"web": _web, "worker": _worker, "monitor": _monitor}

    async def until_stopped(part: Part) -> None:
        try:
            await part(runtime, stop)
        finally:
            stop.set()

    working = [asyncio.create_task(until_stopped(parts[role]), name=role) for role in roles]
    if "web" not in roles and runtime.settings.monitor_port:
        working.append(asyncio.create_task(until_stopped(_health_only), name="health"))
    results = await asyncio.gather(*working, return_exceptions=True)
    for error in results:
        if isinstance(error, BaseException):
            raise error


async def _worker(runtime: Runtime, stop: asyncio.Event) -> None:
    processor = runtime.new_processor()
    working = asyncio.create_task(processor.run(), name="processor")
    _log.info("worker started", extra={"processor": processor.processor_id})
    await _until(stop, working)
    await processor.stop()
    await working


async def _monitor(runtime: Runtime, stop: asyncio.Event) -> None:
    looking = asyncio.create_task(runtime.monitor(), name="looking")
    await _until(stop, looking)
    if looking.done():
        looking.result()
    await cancel_all([looking])


async def _web(runtime: Runtime, stop: asyncio.Event) -> None:
    async with _receiver(runtime) as receiver:
        webhooks = Webhooks(runtime.settings, receiver, runtime.bot, runtime.journal)
        settings = runtime.settings
        async with _listening(Web(runtime, stop, webhooks=webhooks), settings, "PORT"):
            await stop.wait()


async def _health_only(runtime: Runtime, stop: asyncio.Event) -> None:
    async with _listening(Web(runtime, stop), runtime.settings, "MONITOR_PORT"):
        await stop.wait()


@asynccontextmanager
async def _receiver(runtime: Runtime) -> AsyncIterator[Receiver]:
    """Where new messages go: the queue, or, switched back, the legacy buffer.

    What a killed process has left in the buffer is moved into the queue either way.
    """
    adopting = asyncio.create_task(
        adopt_all_leftovers(runtime.queue.redis, runtime.queue.enqueue, settings=runtime.queue.settings),
        name="adopt",
    )
    try:
        async with (
            _intake(runtime) if runtime.settings.use_queue_system else _legacy_intake(runtime) as receiver
        ):
            yield receiver
    finally:
        await cancel_all([adopting])


@asynccontextmanager
async def _intake(runtime: Runtime) -> AsyncIterator[Receiver]:
    intake = Intake(runtime.queue, runtime.bot.handle, runtime.bot.send)
    settling = asyncio.create_task(intake.settle_when_back(), name="settle")
    try:
        yield intake
    finally:
        await cancel_all([settling])
        await _settle(intake)


@asynccontextmanager
async def _legacy_intake(runtime: Runtime) -> AsyncIterator[Receiver]:
    queue, bot, grace_s = runtime.queue, runtime.bot, runtime.settings.grace_s
    _log.warning("USE_QUEUE_SYSTEM is off: new messages go to the legacy buffer, which loses some")
    legacy = LegacyIntake(queue.redis, bot.handle, bot.send, settings=queue.settings, grace_s=grace_s)
    try:
        yield legacy
    finally:
        await legacy.close(queue.enqueue)


async def _settle(intake: Intake) -> None:
    """What was answered directly is forgotten with this process: Redis is told, if it is there."""
    try:
        await intake.settle()
    except QueueError as error:
        _log.warning("%d messages answered directly may be answered again: %s", intake.unsettled, error)


@asynccontextmanager
async def _listening(
    site: Web, settings: ServerSettings, port_setting: Literal["PORT", "MONITOR_PORT"]
) -> AsyncIterator[None]:
    host, port = settings.host, settings.port if port_setting == "PORT" else settings.monitor_port
    runner = web.AppRunner(
        site.app(), access_log=None, handle_signals=False, shutdown_timeout=settings.grace_s
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port, reuse_port=settings.reuse_port or None).start()
        except OSError as error:
            raise InvalidSettingsError(
                f"cannot listen on {_shown(host)}:{port}: {_cause(error)}; choose another HOST or {port_setting}"
            ) from None
        _log.info("listening on http://%s:%d", _shown(runner.addresses[0][0]), runner.addresses[0][1])
        yield
    finally:
        await runner.cleanup()


def _cause(error: OSError) -> str:
    """Words the system's reason, without asyncio's own prose around it."""
    if isinstance(error, socket.gaierror):
        return "this machine has no such address"
    return os.strerror(error.errno).lower() if error.errno else "the address cannot be used"


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


async def _until(stop: asyncio.Event, task: asyncio.Task[None]) -> None:
    """Returns when the event is set, or the task has ended without waiting for it."""
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({stopped, task}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()


@contextlib.contextmanager
def _signals(stop: asyncio.Event, end_within_s: float) -> Iterator[None]:
    """The first signal sets the event, the second one ends the process; so does an end that takes too long."""
    loop = asyncio.get_running_loop()
    handled = (signal.SIGTERM, signal.SIGINT)

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            _log.warning("%s again: out at once; leases run out by themselves", number.name)
            logging.shutdown()
            os._exit(EXIT_AT_ONCE)
        _log.info("%s: finishing what is in work", number.name)
        stop.set()
        loop.call_later(end_within_s, _cut_off)

    for number in handled:
        loop.add_signal_handler(number, partial(on_signal, number))
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


def _cut_off() -> None:
    _log.error("ending took too long and is cut off; leases run out by themselves")
    logging.shutdown()
    os._exit(EXIT_CUT_OFF)
