"""Sink: an HTTP server that plays the AI and WhatsApp, and remembers all requests and their times.

The AI answers "turn N", so the text of a reply shows which turn it answers, and so which messages. Sends take time,
too. A send is carried out even if its caller dies meanwhile, as at a real provider.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from loadtests.sink.caller import caller_of
from loadtests.sink.event import Event, Turn
from sim.engine.distributions import Distribution, parse_distribution
from sim.engine.streams import AI_DRAW, share

AI_DEFAULT = "lognormal:2s:0.4"
SEND_DEFAULT = "constant:0"
SEED_DEFAULT = 1
BODY_BYTES_MAX = 64 * 1024 * 1024
"""Limit on a request's body, enough for a turn of 100 messages of 256 kB."""
SERVICE_MS_MAX = 600_000.0
"""Longest service time; longer draws are cut to it, since no client waits longer."""
ERRORS_S_MAX = 3600.0
BACKLOG = 1024
END_S = 0.1
"""Longest wait for open answers at the end."""

_ANSWER = re.compile(r"turn ([0-9]{1,15})")


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """Settings of the sink.

    `ai` and `send` are the distributions, as typed, of the times that the AI and a send take; `ai_errors` is the
    probability that the AI fails.
    """

    ai: str = AI_DEFAULT
    ai_errors: float = 0.0
    send: str = SEND_DEFAULT
    seed: int = SEED_DEFAULT


class ListenError(Exception):
    """Raised for an address on which a server cannot listen."""


class _Errors(msgspec.Struct, frozen=True):
    seconds: float


class Sink:
    """Routes and memory of the server. `now` returns Unix seconds. Raises DistributionError."""

    def __init__(self, settings: SinkSettings, *, now: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._service_time = parse_distribution(settings.ai)
        self._send_time = parse_distribution(settings.send)
        self._now = now
        self._lines: list[bytes] = []
        self._turns: dict[int, Turn] = {}
        self._turn_last = 0  # not reset, so that an old answer does not count as the answer of a new turn
        self._ai_fails_until = 0.0
        self._channel_fails_until = 0.0

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.add_routes(
            [
                web.post("/ai", self.ai),
                web.post("/message/sendText/{instance}", self.evolution_send),
                web.post("/chat/sendPresence/{instance}", self.evolution_presence),
                web.post("/{version}/{phone_number_id}/messages", self.cloud_send),
                web.get("/sink/events", self.events),
                web.post("/sink/reset", self.reset),
                web.post("/sink/ai-errors", self.ai_errors),
                web.post("/sink/channel-errors", self.channel_errors),
            ]
        )
        return app

    # Requests to the AI.

    async def ai(self, request: web.Request) -> web.Response:
        """Answer a turn, or with 500, after its service time."""
        turn = await _decoded(request, Turn)
        self._turn_last += 1
        number = self._turn_last
        service_ms = self.ai_ms(turn)
        if self._fails(turn):
            self._record("ai-error", number, turn, service_ms=service_ms)
            await asyncio.sleep(service_ms / 1000)
            return web.json_response({"error": "the AI of the load test fails on purpose"}, status=500)
        self._turns[number] = turn
        self._record("ai", number, turn, service_ms=service_ms)
        await asyncio.sleep(service_ms / 1000)
        return web.json_response({"response": f"turn {number}"})

    def ai_ms(self, turn: Turn) -> float:
        """Return the time that the AI takes for a turn."""
        return self._drawn_ms(self._service_time, AI_DRAW, turn)

    def _fails(self, turn: Turn) -> bool:
        """Return True if the AI fails now. The draw depends on the attempt, so the next attempt may succeed."""
        luck = share(self._settings.seed, "error", _name(turn), turn.attempt)
        return self._now() < self._ai_fails_until or luck < self._settings.ai_errors

    def _drawn_ms(self, times: Distribution, name: str, turn: Turn) -> float:
        """Draw a time, always the same for the same turn."""
        return min(times.quantile_ms(share(self._settings.seed, name, _name(turn))), SERVICE_MS_MAX)

    # Requests to WhatsApp.

    async def evolution_send(self, request: web.Request) -> web.Response:
        """Take a reply by the Evolution API."""
        body = await _decoded(request, dict[str, Any])
        instance = request.match_info["instance"]
        self._require_channel(instance, body.get("number"))
        number = await self._take(request, instance, body.get("number"), body.get("text"))
        return web.json_response({"key": {"id": f"out-{number}"}, "status": "PENDING"}, status=201)

    async def evolution_presence(self, request: web.Request) -> web.Response:
        """Take "typing…" by the Evolution API, without recording it."""
        await request.read()
        return web.json_response({}, status=201)

    async def cloud_send(self, request: web.Request) -> web.Response:
        """Take a reply by the Cloud API; receipts and "typing…" have the same path, and do not count."""
        body = await _decoded(request, dict[str, Any])
        if body.get("status") == "read":
            return web.json_response({"success": True})
        text = body.get("text")
        words = text.get("body") if isinstance(text, dict) else None
        self._require_channel(request.match_info["phone_number_id"], body.get("to"))
        number = await self._take(request, request.match_info["phone_number_id"], body.get("to"), words)
        return web.json_response(
            {"messaging_product": "whatsapp", "messages": [{"id": f"wamid.out-{number}"}]}
        )

    def _require_channel(self, instance: str, phone: Any) -> None:
        """Raise the answer 503 while WhatsApp refuses all sends."""
        if self._now() < self._channel_fails_until:
            self._record("send-error", None, Turn(instance=instance, phone=str(phone or "")))
            raise web.HTTPServiceUnavailable(text="the WhatsApp of the load test fails on purpose")

    async def _take(self, request: web.Request, instance: str, phone: Any, text: Any) -> int:
        """Accept a reply after the time that a send takes, and list it with the message ids of its turn, if known.

        Returns the number of the event. The send continues if its caller dies: see `serve`.
        """
        at = self._now()
        match = _ANSWER.fullmatch(text.strip()) if isinstance(text, str) else None
        number = int(match[1]) if match else None
        turn = self._turns.get(number, Turn()) if number is not None else Turn()
        shown = msgspec.structs.replace(turn, instance=instance, phone=str(phone or ""))
        if send_ms := self._drawn_ms(self._send_time, "send", shown):
            await asyncio.sleep(send_ms / 1000)
        return self._record(
            "sent",
            number,
            shown,
            at=at,
            answered_at=self._now() * 1000,
            caller=caller_of(request.headers),
            is_caller_gone=request.transport is None or request.transport.is_closing(),
        )

    # Requests of the load test.

    async def events(self, request: web.Request) -> web.Response:
        """Return the events after number `after`, as JSON lines."""
        after = request.query.get("after", "0")
        if not after.isascii() or not after.isdecimal():
            raise web.HTTPBadRequest(text="after must be the number of an event, or 0 for all")
        body = b"".join(self._lines[int(after) :])
        return web.Response(body=body, content_type="application/x-ndjson")

    async def reset(self, request: web.Request) -> web.Response:
        """Forget all requests, number events from 1 again, and end the errors of the AI and WhatsApp."""
        self._lines.clear()
        self._turns.clear()
        self._ai_fails_until = self._channel_fails_until = 0.0
        return web.json_response({"reset": True})

    async def ai_errors(self, request: web.Request) -> web.Response:
        """Make the AI fail for some seconds from now; 0 ends that."""
        self._ai_fails_until = await self._until(request)
        return web.json_response({"until": self._ai_fails_until})

    async def channel_errors(self, request: web.Request) -> web.Response:
        """Make WhatsApp refuse all sends for some seconds from now; 0 ends that."""
        self._channel_fails_until = await self._until(request)
        return web.json_response({"until": self._channel_fails_until})

    async def _until(self, request: web.Request) -> float:
        """Return the end of the errors that a request asks for."""
        wanted: _Errors = await _decoded(request, _Errors)
        if not 0 <= wanted.seconds <= ERRORS_S_MAX:
            raise web.HTTPBadRequest(text=f"seconds must be from 0 to {ERRORS_S_MAX:g}")
        return self._now() + wanted.seconds

    def _record(
        self, event: str, number: int | None, turn: Turn, *, at: float | None = None, **facts: Any
    ) -> int:
        """List an event that came in at Unix second `at`, or now; return its number."""
        line = Event(
            n=len(self._lines) + 1,
            event=event,
            at=(self._now() if at is None else at) * 1000,
            turn=number,
            **facts,
            **msgspec.structs.asdict(turn),
        )
        self._lines.append(msgspec.json.encode(line) + b"\n")
        return line.n


def _name(turn: Turn) -> str:
    """Name a turn by its first message, or by its conversation if the message has no id.

    Only the part of an id after its last hyphen counts. A load test's ids end in the number of the message in the
    schedule, so that two runs of a schedule, and its simulation, have the same times.
    """
    first = turn.ids[0].rpartition("-")[2] if turn.ids else ""
    return first or f"{turn.instance} {turn.phone}"


async def _decoded(request: web.Request, kind: Any) -> Any:
    """Read the body as JSON of a kind; unknown keys are ignored. Raises HTTPBadRequest."""
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise web.HTTPBadRequest(text=f"not the expected JSON: {error}") from None


def serve(settings: SinkSettings, host: str, port: int, listening: Callable[[str], None]) -> None:
    """Run a sink until SIGINT or SIGTERM; calls `listening` with its address. Raises DistributionError, ListenError."""
    app = Sink(settings).app()
    is_ipv6 = ":" in host
    try:
        family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ListenError(
            f"cannot listen on {host}:{port}: {cause_of(error)}; choose another --host or --port"
        ) from None
    address = listener.getsockname()
    listening(f"http://[{address[0]}]:{address[1]}" if is_ipv6 else f"http://{address[0]}:{address[1]}")
    web.run_app(
        app,
        sock=listener,
        print=None,
        access_log=None,
        shutdown_timeout=END_S,
        handler_cancellation=False,  # a send continues when its caller has died
    )


def cause_of(error: OSError) -> str:
    """Return the operating system's message for an error, without the additions of a library."""
    number = error.errno or 0  # negative for an unknown host name
    words = os.strerror(number) if number > 0 else (error.strerror or str(error)).partition(" (while ")[0]
    return words.lower()
