"""`send-test`: posts a burst of messages to a running server, and watches until it is answered."""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
from aiohttp import ClientSession

from queue_core.channels.base import Provider
from queue_core.channels.cloud import example as cloud
from queue_core.channels.evolution import example as evolution
from queue_core.channels.evolution_go import example as evolution_go
from queue_core.channels.registry import PROVIDERS
from queue_core.channels.waha import example as waha
from queue_core.durations import age
from queue_core.errors import InvalidMessageError
from queue_core.http_client import HttpAnswer, NotReachedError, UnansweredError, new_session, post_json
from queue_core.message import DeadLetter, QueueMessage, check_names
from queue_core.queue.message_queue import MessageQueue
from queue_core.queue.upkeep.inspection import Retry
from queue_core.redis_server.address import WEB, read_address
from queue_core.server.config import ServerSettings
from queue_core.server.operator.arguments import (
    FAILED,
    OK,
    add_command,
    duration_s,
    is_phone_number,
    phone_spellings,
    whole_number,
)
from queue_core.server.operator.output import complain, write, write_fields, write_json
from queue_core.server.own_redis import open_queue
from queue_core.text import quantity, visible

POST_TIMEOUT_S = 30.0
LOOK_S = 0.05
"""Wait between two reads of the conversation; a turn that takes less time may be missed."""


def add_send_test(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "send-test",
        run_send_test,
        summary="send a burst to a running server, and show what becomes of it",
        description="""
            Posts a burst of messages of one user to a running server, as the provider that is configured would, with
            its secret. Then it watches the queue until they are finished, and shows how long each step took. It needs
            the same configuration as the server, to see its Redis.

            The AI is really asked and the reply really sent. Without --phone, the number is one that is reserved for
            fiction; with a real channel, give a number of your own, and the name of your instance.
            """,
        epilog="""
            examples:
              python -m queue_core send-test
              python -m queue_core send-test --count 5 --instance mybot --phone 5511999990000 --text "are you there?"

            exit codes: 0 all messages finished; 1 a message was not accepted, not finished in time, or given up, or
            Redis is not available; 2 wrong usage or configuration
            """,
    )
    _add_options(parser)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url",
        type=_url,
        metavar="URL",
        help="address of the server (default: the `serve` that runs in this folder, else HOST and PORT)",
    )
    parser.add_argument(
        "--count",
        type=whole_number(1, 1_000),
        default=3,
        metavar="N",
        help="number of messages (default: %(default)s)",
    )
    parser.add_argument(
        "--channel",
        choices=[_hyphened(provider.name) for provider in PROVIDERS],
        help="simulated provider (default: the first that is configured, else evolution)",
    )
    parser.add_argument(
        "--instance",
        type=_instance,
        default="test",
        metavar="NAME",
        help="name of the instance or session, for the Cloud API the phone number ID (default: %(default)s)",
    )
    parser.add_argument("--phone", type=_phone, metavar="PHONE", help="the user's number, with country code")
    parser.add_argument(
        "--text",
        default="test message",
        help='text of each message, followed by its number (default: "%(default)s")',
    )
    parser.add_argument(
        "--wait",
        type=duration_s,
        default=60.0,
        metavar="TIME",
        help="longest wait for the end (default: 60s)",
    )


def _hyphened(name: str) -> str:
    return name.replace("_", "-")


def _url(text: str) -> str:
    url = text.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_usable = False
    if not is_usable or "?" in url or "#" in url:
        raise argparse.ArgumentTypeError(
            f"{visible(text)!r} is not an address of a server, such as http://127.0.0.1:8080 (without a query)"
        )
    return url


def _phone(text: str) -> str:
    digits = phone_spellings(text)[-1]
    if not is_phone_number(digits):
        raise argparse.ArgumentTypeError(
            f"{visible(text)!r} is not a phone number: 5 to 20 digits, with country code"
        )
    return digits


def _instance(text: str) -> str:
    try:
        check_names(QueueMessage(instance_name=text, user_phone="1", message=""))
    except InvalidMessageError as error:
        raise argparse.ArgumentTypeError(str(error).replace("instance_name", "the name", 1)) from None
    return text


class _Progress(msgspec.Struct, kw_only=True):
    """Progress of the burst. Times are Unix ms by Redis's clock."""

    ids: list[str]
    server: str
    """Host and port of the server."""
    began_at_ms: int = 0
    """Time at which Redis had the first message."""
    acknowledged_ms: list[float] = []
    """Duration of each post."""
    taken_at_ms: int | None = None
    """Time at which a worker took the first batch; None if no read found it with a worker."""
    finished: dict[str, int] = {}
    """Ids of finished messages, with the time at which each finished."""
    pending: list[QueueMessage] = []
    retry: Retry | None = None
    """Failed attempts of what is pending."""
    dead: list[DeadLetter] = []

    @property
    def is_answered(self) -> bool:
        return len(self.finished) == len(self.ids)

    @property
    def turns(self) -> list[int]:
        """Number of messages in each turn; messages that were finished at the same moment are one turn."""
        return list(Counter(self.finished.values()).values())


async def run_send_test(args: argparse.Namespace, settings: ServerSettings) -> int:
    """Post a burst, watch it, and write what happened."""
    phone = args.phone or f"1202555{random.SystemRandom().randrange(100, 200):04}"  # reserved for fiction
    burst = secrets.token_hex(8).upper()
    url = args.url or _local_url(settings)
    provider = _provider(settings, args.channel)
    parts = urlsplit(url)
    progress = _Progress(
        ids=[f"TEST{burst}{number:04}" for number in range(1, args.count + 1)],
        server=f"{parts.hostname}:{parts.port or parts.scheme}",
    )
    async with open_queue(settings) as queue, new_session() as session:
        await queue.check()
        for number, message_id in enumerate(progress.ids, 1):
            text = f"{args.text} {number}"
            posted_at = time.perf_counter()
            path, body, headers = _webhook(provider, message_id, text, phone=phone, instance=args.instance)
            problem = await _post(session, provider, f"{url}{path}", progress.server, body, headers)
            if problem:
                complain(f"message {number} of {args.count}: {problem}")
                return FAILED
            progress.acknowledged_ms.append((time.perf_counter() - posted_at) * 1000)
        await _watch(queue, args.instance, phone, progress, args.wait)
    _write(args, phone, progress)
    return OK if progress.is_answered else FAILED


def _local_url(settings: ServerSettings) -> str:
    """Return the address of the `serve` whose Redis is used, or else that of a server with these settings."""
    host, port = settings.host, settings.port
    if not settings.redis_url.get_secret_value() and (url := read_address(settings.data_dir, WEB)):
        parts = urlsplit(url)
        host, port = parts.hostname or host, parts.port or port
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - nothing listens here
    return f"http://{f'[{host}]' if ':' in host else host}:{port or 8080}"


def _provider(settings: ServerSettings, name: str | None) -> Provider:
    """Return the simulated provider: the named one, else the first that is configured, else the Evolution API."""
    if name:
        return next(provider for provider in settings.providers if _hyphened(provider.name) == name)
    enabled = (provider for provider in settings.providers if provider.is_enabled)
    return next(enabled, settings.providers[0])


def _webhook(
    provider: Provider, message_id: str, text: str, *, phone: str, instance: str
) -> tuple[str, bytes, dict[str, str]]:
    """Return path, body and headers of a post with one message, as the provider makes it."""
    secret: str = getattr(provider, provider.secured_by).get_secret_value()
    user: dict[str, Any] = {"phone": phone, "instance": instance, "name": "send-test"}
    now = datetime.now(UTC)
    unix_s = int(now.timestamp())
    if provider.name == "evolution_go":
        webhook = evolution_go.example_webhook(message_id, text, time=now.isoformat(), **user)
        return evolution_go.PATH, msgspec.json.encode(webhook | {"instanceToken": secret}), {}
    if provider.name == "waha":
        body = msgspec.json.encode(waha.example_webhook(message_id, text, unix_s=unix_s, **user))
        return waha.PATH, body, waha.example_headers(body, secret)
    if provider.name == "cloud":
        body = msgspec.json.encode(cloud.example_webhook(message_id, text, unix_s=unix_s, **user))
        return cloud.PATH, body, cloud.example_headers(body, secret)
    body = msgspec.json.encode(evolution.example_webhook(message_id, text, unix_s=unix_s, **user))
    return evolution.PATH, body, evolution.example_headers(secret)


async def _post(
    session: ClientSession, provider: Provider, url: str, server: str, body: bytes, headers: dict[str, str]
) -> str:
    """Post one webhook. Returns the problem in words, "" when the message was queued."""
    try:
        answer = await post_json(session, url, msgspec.Raw(body), headers=headers, timeout_s=POST_TIMEOUT_S)
    except NotReachedError as error:
        return f"nothing answers at {server}: {error}; start `serve` or `web` there, or give its address with --url"
    except UnansweredError as error:
        return f"the server did not answer: {error}"
    return _refusal(answer, provider.environment_name(provider.secured_by))


def _refusal(answer: HttpAnswer, secret_name: str) -> str:
    body = answer.json()
    fields: dict[str, Any] = body if isinstance(body, dict) else {}
    if not answer.is_success:
        error = visible(str(fields.get("error", "")))[:300]
        hint = f"; set {secret_name} to the server's value" if answer.status in (401, 403) else ""
        return f"the server answered {answer.status} {error}{hint}".replace("  ", " ")
    if fields.get("buffered"):
        return "taken by the legacy buffer (the server runs with USE_QUEUE_SYSTEM=false), so it cannot be watched"
    if fields.get("answered"):
        return "answered without the queue: the server cannot reach Redis; run `check` to see why"
    if fields.get("skipped"):
        return f"acknowledged and skipped: {visible(str(fields['skipped']))[:300]}; see IGNORED_KINDS"
    return ""


async def _watch(queue: MessageQueue, instance: str, phone: str, progress: _Progress, wait_s: float) -> None:
    """Read the queue until all messages are finished or dead, or the time is over."""
    clock = asyncio.get_running_loop().time
    end = clock() + wait_s
    ids = set(progress.ids)
    while True:
        progress.pending = [message for message in await queue.pending(instance, phone) if message.id in ids]
        for message in progress.pending:
            _note_arrival(progress, message)
            if progress.taken_at_ms is None:
                progress.taken_at_ms = message.processing_started_at
        for message in await queue.completed(instance, phone):
            if message.id in ids:
                _note_arrival(progress, message)
                progress.finished[message.id] = message.completed_at or 0
        progress.pending = [message for message in progress.pending if message.id not in progress.finished]
        if progress.is_answered:
            return
        if not progress.pending or clock() >= end:
            progress.retry = (await queue.conversation(instance, phone)).retry if progress.pending else None
            await _look_for_dead(queue, ids, progress)
            return
        await asyncio.sleep(LOOK_S)


def _note_arrival(progress: _Progress, message: QueueMessage) -> None:
    if message.id == progress.ids[0]:
        progress.began_at_ms = message.added_at


async def _look_for_dead(queue: MessageQueue, ids: set[str], progress: _Progress) -> None:
    async for letter in queue.iterate_dead_letters():
        if letter.message and letter.message.id in ids:
            progress.dead.append(letter)


def _write(args: argparse.Namespace, phone: str, progress: _Progress) -> None:
    finished_at_ms = max(progress.finished.values(), default=None)
    if args.json:
        write_json(
            {
                "ok": progress.is_answered,
                "instanceName": args.instance,
                "userPhone": phone,
                "ids": progress.ids,
                "acknowledgedMs": [round(took, 1) for took in progress.acknowledged_ms],
                "takenMs": _since(progress, progress.taken_at_ms),
                "finishedMs": _since(progress, finished_at_ms),
                "turns": progress.turns,
                "waiting": [
                    {"id": message.id, "status": message.status, "retryCount": message.retry_count}
                    for message in progress.pending
                ],
                "dead": [{"id": letter.id, "reason": letter.reason} for letter in progress.dead],
            }
        )
        return
    total = quantity(len(progress.ids), "message")
    facts = [
        ("conversation", f"{visible(args.instance)} {phone}"),
        ("acknowledged", f"{total}, the slowest after {max(progress.acknowledged_ms):.0f} ms"),
    ]
    if progress.taken_at_ms is not None:
        facts.append(("taken", _after(progress, progress.taken_at_ms)))
    elif progress.finished:
        facts.append(("taken", f"less than {LOOK_S * 1000:.0f} ms before it was finished"))
    if finished_at_ms is not None:
        turns = f"{len(progress.finished)} of {total} in {quantity(len(progress.turns), 'turn')}"
        facts.append(("finished", f"{_after(progress, finished_at_ms)}, {turns}"))
    write_fields(facts)
    _write_rest(args, phone, progress)


def _write_rest(args: argparse.Namespace, phone: str, progress: _Progress) -> None:
    """Write which messages are not finished, and why."""
    for letter in progress.dead:
        write(f"given up: {visible(letter.reason)} (dead letter {letter.id})")
    if progress.pending:
        retry = progress.retry
        failed = quantity(retry.attempts + retry.setbacks if retry else 0, "failed attempt")
        in_progress = sum(message.status == "processing" for message in progress.pending)
        hint = "see `show`" if in_progress or retry else "check that a worker runs; see `show`"
        messages = quantity(len(progress.pending), "message")
        write(
            f"not finished after {age(args.wait * 1000)}: {messages}, {in_progress} being answered, {failed}; {hint}"
        )
        if retry and retry.last_error:
            write(f"last error: {visible(retry.last_error)}")
    missing = len(progress.ids) - len(progress.finished) - len(progress.dead) - len(progress.pending)
    if missing:
        write(
            f"{quantity(missing, 'message')} of {phone} cannot be found in this queue: check that your server, and no "
            f"other, listens at {progress.server} (else give its --url), and that it has the same Redis, QUEUE_PREFIX "
            "and QUEUE_PARTITIONS"
        )


def _since(progress: _Progress, at_ms: int | None) -> int | None:
    return None if at_ms is None else at_ms - progress.began_at_ms


def _after(progress: _Progress, at_ms: int) -> str:
    return f"after {age(at_ms - progress.began_at_ms)}"
