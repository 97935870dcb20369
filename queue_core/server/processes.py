"""Processes of a deployment: how they start, end, and handle signals.

At the first SIGTERM or SIGINT the web app takes no new requests and the worker no more turns. Running turns have
`grace_s` to finish; then they are handed back. The second signal ends the process at once. No message is lost, since
leases run out and another worker takes the turns over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from functools import partial
from typing import Any, Literal

import msgspec
from aiohttp import web
from pydantic import SecretStr

from queue_core.command_lines import typed
from queue_core.errors import InvalidSettingsError, QueueError, QueueUnavailableError
from queue_core.legacy.switch_back import LegacyIntake, adopt_all_leftovers
from queue_core.queue.intake.intake import Intake
from queue_core.redis_server.address import WEB, announced, read_address
from queue_core.server.config import SUPERSEDE_MS, ServerSettings
from queue_core.server.own_redis import EXPECTED_WARNINGS, own_redis
from queue_core.server.runtime import Runtime, open_runtime
from queue_core.server.web import Web
from queue_core.server.webhooks import Receiver, Webhooks
from queue_core.settings import RULE_OPTIONS
from queue_core.waiting import cancel_all

Role = Literal["web", "worker", "monitor"]
ALL_ROLES: tuple[Role, ...] = ("web", "worker", "monitor")
Part = Callable[[Runtime, asyncio.Event], Coroutine[Any, Any, None]]
"""Part of a process, which runs until the event is set, and then finishes its work."""

END_S = 5.0
"""Time beyond `grace_s` after which a process that has not ended is killed."""
EXIT_CUT_OFF = 1
EXIT_AT_ONCE = 130

_log = logging.getLogger("queue_core.events")


async def run(
    settings: ServerSettings, roles: tuple[Role, ...], *, starts_redis: bool = False, holds: bool = False
) -> None:
    """Run the roles until a signal. With `holds`, first stop workers from taking turns.

    Raises the error that prevented the start, or that ended a role early.
    """
    if "web" in roles:
        _check_port_is_free(settings)
    asks_ai = "web" in roles or "worker" in roles  # while Redis is away, the web process asks the AI
    if asks_ai:
        settings = settings.with_ai()
    stop, expected = asyncio.Event(), frozenset[str]()
    with _signals(stop, settings.grace_s + END_S):
        async with AsyncExitStack() as stack:
            if starts_redis and not settings.redis_url.get_secret_value():
                server = await stack.enter_async_context(own_redis(settings))
                settings = settings.model_copy(update={"redis_url": SecretStr(server.url)})
                _log.info("redis-server %s started, data in %s/", server.binary.version, settings.data_dir)
                expected = EXPECTED_WARNINGS
                for sentence in sorted(EXPECTED_WARNINGS):
                    _log.info("before you use this Redis in production: %s", sentence)
            records: Literal["recording", "outcomes"] = "recording" if "web" in roles else "outcomes"
            opening = open_runtime(settings, records=records, expected_warnings=expected)
            runtime = await stack.enter_async_context(opening)
            await _check_redis(runtime)
            if holds:
                await _hold(runtime)
            if asks_ai:
                _warn_of_stand_ins(settings)
            if "worker" in roles:
                _log_rules(settings)
            await _run_parts(runtime, roles, stop)
    _log.info("stopped")


async def _check_redis(runtime: Runtime) -> None:
    """Raise an error if this Redis cannot carry the queue; only warns if Redis is away, since it may come back."""
    try:
        await runtime.queue.check()
    except QueueUnavailableError as error:
        _log.warning("starting without Redis: %s", error)


async def _hold(runtime: Runtime) -> None:
    """Hold the queue and log what workers would answer. Raises QueueUnavailableError when Redis does not answer."""
    holding = runtime.queue.holding
    since_ms = await holding.hold()
    inventory = await holding.inventory()
    _log.warning(
        typed("held: no worker takes a turn until `python -m queue_core resume`"),
        extra={
            "held_since_ms": since_ms,
            **{
                name: value
                for name, value in msgspec.structs.asdict(inventory).items()
                if name not in ("now_ms", "older")
            },
            "dead_letters": (await runtime.queue.sizes()).dead_letters,
        },
    )


def _warn_of_stand_ins(settings: ServerSettings) -> None:
    """Warn if an echo stands in for an AI, and if replies are printed on the terminal."""
    if settings.ai == "echo":
        _log.warning("an echo answers: for an AI, set AI and AI_URL")
    if not settings.has_channel:
        names = ", ".join(provider.environment_name(provider.enabled_by) for provider in settings.providers)
        _log.warning("replies are printed, since no channel is configured: set one of %s", names)


def _log_rules(settings: ServerSettings) -> None:
    """Log the batching rules, and what becomes of a message that arrives while the AI works."""
    if settings.queue.supersede_ms:
        treatment = "joins its turn, and the AI is asked again"
    elif settings.ai == "http":
        treatment = (
            "waits for the next turn, since a flow behind AI=http may have side effects: "
            f"set QUEUE_SUPERSEDE_MS={SUPERSEDE_MS} if yours may run twice"
        )
    else:
        treatment = "waits for the next turn"
    rules = {name: getattr(settings.queue, name) for name in RULE_OPTIONS.values()}
    _log.info(
        "profile %s: a message that arrives while the AI works %s",
        settings.queue_profile,
        treatment,
        extra=rules,
    )


async def _run_parts(runtime: Runtime, roles: tuple[Role, ...], stop: asyncio.Event) -> None:
    """Run all parts until all have ended. When one ends by itself, stops the others in an orderly way."""
    parts: dict[Role, Part] = {"web": _web, "worker": _worker, "monitor": _monitor}

    async def until_stopped(part: Part) -> None:
        try:
            await part(runtime, stop)
        finally:
            stop.set()

    tasks = [asyncio.create_task(until_stopped(parts[role]), name=role) for role in roles]
    if "web" not in roles and runtime.settings.monitor_port:
        tasks.append(asyncio.create_task(until_stopped(_health_only), name="health"))
    results = await asyncio.gather(*tasks, return_exceptions=True)
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
    monitoring = asyncio.create_task(runtime.monitor(), name="monitor")
    await _until(stop, monitoring)
    if monitoring.done():
        monitoring.result()
    await cancel_all([monitoring])


async def _web(runtime: Runtime, stop: asyncio.Event) -> None:
    async with _receiver(runtime) as receiver:
        webhooks = Webhooks(
            runtime.settings,
            receiver,
            runtime.bot,
            runtime.journal,
            keep=runtime.queue.keep_unreadable,
            join=runtime.queue.aliases.join,
            deliveries=runtime.deliveries,
        )
        settings = runtime.settings
        watching = asyncio.create_task(runtime.deliveries.watch(), name="deliveries")
        try:
            async with _listening(Web(runtime, stop, webhooks=webhooks), settings, "PORT"):
                await stop.wait()
        finally:
            await cancel_all([watching])


async def _health_only(runtime: Runtime, stop: asyncio.Event) -> None:
    async with _listening(Web(runtime, stop), runtime.settings, "MONITOR_PORT"):
        await stop.wait()


@asynccontextmanager
async def _receiver(runtime: Runtime) -> AsyncIterator[Receiver]:
    """Open the receiver of new messages: the queue, or with USE_QUEUE_SYSTEM=false the legacy buffer.

    In both cases, messages that a killed process left in the buffer are moved into the queue.
    """
    adopting = asyncio.create_task(
        adopt_all_leftovers(runtime.queue),
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
    _log.warning("USE_QUEUE_SYSTEM is false: new messages go to the legacy buffer, which loses some")
    legacy = LegacyIntake(queue, bot.handle, bot.send, grace_s=grace_s)
    try:
        yield legacy
    finally:
        await legacy.close(queue.enqueue)


async def _settle(intake: Intake) -> None:
    """Record in Redis, if it answers, which messages were answered directly, since only this ending process knows."""
    try:
        await intake.settle()
    except QueueError as error:
        unsettled = {"messages": intake.unsettled}
        _log.warning(
            "messages answered directly may be answered again: Redis was not told: %s", error, extra=unsettled
        )


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
        except (OSError, UnicodeError) as error:
            raise _cannot_listen(host, port, port_setting, error) from None
        url = f"http://{_shown(runner.addresses[0][0])}:{runner.addresses[0][1]}"
        _log.info("listening on %s", url)
        with _announced_beside_redis(url, settings) if port_setting == "PORT" else nullcontext():
            yield
    finally:
        await runner.cleanup()


def _announced_beside_redis(url: str, settings: ServerSettings) -> AbstractContextManager[None]:
    """Write the address of the web server into DATA_DIR, if that of its Redis is there."""
    if read_address(settings.data_dir) == settings.redis_url.get_secret_value() != "":
        return announced(url, settings.data_dir, WEB)
    return nullcontext()


def _check_port_is_free(settings: ServerSettings) -> None:
    """Raise InvalidSettingsError if another program uses the port of the web app, before anything is started."""
    if settings.port == 0 or settings.reuse_port:
        return
    try:
        with socket.create_server((settings.host, settings.port), family=_family(settings.host)):
            pass
    except (OSError, UnicodeError) as error:
        raise _cannot_listen(settings.host, settings.port, "PORT", error) from None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _cannot_listen(
    host: str, port: int, setting: Literal["PORT", "MONITOR_PORT"], error: OSError | UnicodeError
) -> InvalidSettingsError:
    hint = f"HOST or {setting}" + (" (--host, --port)" if setting == "PORT" else "")
    return InvalidSettingsError(
        f"cannot listen on {_shown(host)}:{port}: {_cause(error)}; choose another {hint}"
    )


def _cause(error: OSError | UnicodeError) -> str:
    """Return the operating system's reason, without asyncio's text around it."""
    if isinstance(error, socket.gaierror | UnicodeError):  # UnicodeError: no domain can have such a name
        return "this machine has no such address"
    return os.strerror(error.errno).lower() if error.errno else "the address cannot be used"


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


async def _until(stop: asyncio.Event, task: asyncio.Task[None]) -> None:
    """Wait until the event is set, or the task has ended by itself."""
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({stopped, task}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()


@contextlib.contextmanager
def _signals(stop: asyncio.Event, end_within_s: float) -> Iterator[None]:
    """Handle signals: the first sets the event, the second ends the process. After `end_within_s` it is killed."""
    loop = asyncio.get_running_loop()
    handled = (signal.SIGTERM, signal.SIGINT)

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            _log.warning("%s again: ending at once; other workers take the turns over", number.name)
            logging.shutdown()
            os._exit(EXIT_AT_ONCE)
        _log.info("%s: finishing the running turns", number.name)
        stop.set()
        loop.call_later(end_within_s, _cut_off, end_within_s)

    for number in handled:
        loop.add_signal_handler(number, partial(on_signal, number))
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
            if stop.is_set():  # the process is about to end, and the loop no longer runs handlers
                signal.signal(number, lambda *_: os._exit(EXIT_AT_ONCE))


def _cut_off(end_within_s: float) -> None:
    _log.error(
        "the process did not end within %g s and is killed; other workers take its turns over", end_within_s
    )
    logging.shutdown()
    os._exit(EXIT_CUT_OFF)
