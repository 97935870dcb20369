"""WhatsApp's webhooks: who may post, what is in it, and the answer that the provider needs.

The answer decides a message's fate, since a provider delivers again after 5xx and never after most 4xx:

- 2xx: every message in it is stored in Redis or answered already, or there was none to want;
- 503: at least one is neither; all of it may be delivered again, for what was stored is recognised;
- 4xx: it can never become a message (400, 413, 415), or whoever posted it may not (401, 403).
"""

from __future__ import annotations

import asyncio
import hmac
from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

from aiohttp import web

from queue_core.channels.base import Inbound, InvalidWebhookError
from queue_core.channels.cloud.webhook import parse_cloud, signature_is_valid, verify_subscription
from queue_core.channels.evolution.webhook import parse_evolution
from queue_core.errors import InvalidMessageError
from queue_core.message import QueueMessage
from queue_core.server.body import BadBodyError, parse_json, read_body
from queue_core.server.bot import Bot
from queue_core.server.config import ServerSettings
from queue_core.server.fitting import fit
from queue_core.server.journal import Journal

RETRY_AFTER_S = 5
"""Told to the provider with a 503."""
MESSAGE_EVENT = "messages-upsert"
"""How the one event that brings messages is written in a path."""


class Receiver(Protocol):
    """Where messages go: the queue with its direct path, or the legacy buffer."""

    async def receive(self, message: QueueMessage) -> str:
        """Stores or answers a message and says which. Raising means neither."""
        ...


class Webhooks:
    """The handlers of everything below /webhook."""

    def __init__(self, settings: ServerSettings, receiver: Receiver, bot: Bot, journal: Journal) -> None:
        self._settings = settings
        self._receiver = receiver
        self._bot = bot
        self._journal = journal
        self._must_be_signed = settings.is_public and not settings.allow_unsigned_webhooks

    def routes(self) -> list[web.RouteDef]:
        """Everything below /webhook."""
        evolution = (
            "/webhook/evolution",
            "/webhook/evolution/{first}",
            "/webhook/evolution/{first}/{second}",
        )
        secret = tuple(path.replace("/webhook/", "/webhook/{secret}/") for path in evolution)
        return [
            *(web.post(path, self.evolution) for path in (*evolution, *secret)),
            web.post("/webhook/cloud", self.cloud),
            web.get("/webhook/cloud", self.verify_cloud),
        ]

    async def evolution(self, request: web.Request) -> web.Response:
        """POST of the Evolution API, one URL for all events or one for each."""
        if problem := self._unusable("evolution", bool(self._settings.evolution_url)):
            return problem
        began = asyncio.get_running_loop().time()
        try:
            body = await read_body(request)
            payload = parse_json(body)
        except BadBodyError as error:
            return self._rejected(error.status, "body", str(error))
        if not self._evolution_may_post(request, payload):
            return self._rejected(
                401, "secret", "EVOLUTION_WEBHOOK_SECRET does not match header or field apikey"
            )
        instance, event = _instance_and_event(request)
        try:
            inbound = parse_evolution(
                payload, instance=instance, event=event, media_bytes_max=self._settings.media_bytes_max
            )
        except InvalidWebhookError as error:
            return self._rejected(400, "payload", str(error))
        return await self._take(inbound, len(body), began)

    async def cloud(self, request: web.Request) -> web.Response:
        """POST of the WhatsApp Cloud API: up to 1000 updates of several users in one."""
        if problem := self._unusable("cloud", bool(self._settings.cloud_access_token.get_secret_value())):
            return problem
        began = asyncio.get_running_loop().time()
        try:
            body = await read_body(request)
            secret = self._settings.cloud_app_secret.get_secret_value()
            signature = request.headers.get("X-Hub-Signature-256")
            if (secret or self._must_be_signed) and not (
                secret and signature_is_valid(body, signature, secret)
            ):
                return self._rejected(401, "signature", "X-Hub-Signature-256 does not match CLOUD_APP_SECRET")
            inbound = parse_cloud(parse_json(body), media_bytes_max=self._settings.media_bytes_max)
        except BadBodyError as error:
            return self._rejected(error.status, "body", str(error))
        except InvalidWebhookError as error:
            return self._rejected(400, "payload", str(error))
        return await self._take(inbound, len(body), began)

    async def verify_cloud(self, request: web.Request) -> web.Response:
        """GET by which Meta checks a subscription: the challenge is echoed when the verify token is ours."""
        token = self._settings.cloud_verify_token.get_secret_value()
        challenge = verify_subscription(request.query, token) if token else None
        if challenge is None:
            return self._rejected(403, "verify token", "hub.verify_token does not match CLOUD_VERIFY_TOKEN")
        return web.Response(text=challenge, content_type="text/plain")

    async def _take(self, inbound: Inbound, body_bytes: int, began: float) -> web.Response:
        """Hands every message over; those of one user stay in order, since the receiver lets them take turns."""
        skipped = Counter(inbound.skipped)
        wanted = []
        bytes_max = self._settings.queue.max_message_bytes
        for message in inbound.messages:
            if message.message_data.get("kind") in self._settings.ignored_kinds:
                skipped["ignored kind"] += 1
            else:  # a message holds its text twice, once in its webhook
                wanted.append(fit(message, bytes_max) if body_bytes > bytes_max // 4 else message)
        self._journal.skipped(skipped)
        for message in wanted:
            self._journal.arrived(message)
        results = await asyncio.gather(
            *(self._receiver.receive(message) for message in wanted), return_exceptions=True
        )
        answer = Counter[str]()
        seconds = asyncio.get_running_loop().time() - began
        for message, result in zip(wanted, results, strict=True):
            answer[self._outcome(message, result, seconds)] += 1
        body: dict[str, Any] = {**answer, **({"skipped": dict(skipped)} if skipped else {})}
        if answer["failed"]:
            return web.json_response(body, status=503, headers={"Retry-After": str(RETRY_AFTER_S)})
        if wanted and answer["rejected"] == len(wanted):
            return web.json_response(body, status=422)
        return web.json_response(body)

    def _outcome(self, message: QueueMessage, result: str | BaseException, seconds: float) -> str:
        if isinstance(result, str):
            self._journal.acknowledged(message, result, seconds)
            if result in ("queued", "buffered") and self._settings.typing:
                self._bot.show_typing(message)
            return result
        if isinstance(result, InvalidMessageError):
            self._journal.rejected("message", str(result))
            return "rejected"
        if isinstance(result, Exception):
            self._journal.refused(message, result)
            return "failed"
        raise result

    def _unusable(self, channel: str, is_configured: bool) -> web.Response | None:
        """Replies to what comes by a channel that cannot send would go nowhere."""
        if is_configured or not self._settings.has_channel:
            return None
        return self._rejected(
            404, "channel", f"the channel {channel} is not configured, so nothing could be sent"
        )

    def _evolution_may_post(self, request: web.Request, payload: Any) -> bool:
        secret = self._settings.evolution_webhook_secret.get_secret_value()
        if not secret:
            return not self._must_be_signed
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        shown = (
            request.headers.get("apikey", ""),
            bearer.strip() if scheme.lower() == "bearer" else "",
            request.match_info.get("secret", ""),
            str(payload.get("apikey") or "") if isinstance(payload, Mapping) else "",
        )
        return any(same_secret(one, secret) for one in shown)

    def _rejected(self, status: int, reason: str, detail: str) -> web.Response:
        self._journal.rejected(reason, detail)
        return web.json_response({"error": detail}, status=status)


def same_secret(shown: str, secret: str) -> bool:
    """Compares in a time that does not tell how much was right."""
    return hmac.compare_digest(shown.encode("utf-8", "replace"), secret.encode())


def _instance_and_event(request: web.Request) -> tuple[str, str]:
    """From /{instance}, /{event} or /{instance}/{event}; Evolution appends the event in its mode "by events"."""
    first, second = (request.match_info.get(part, "") for part in ("first", "second"))
    return ("", first) if not second and first.lower() == MESSAGE_EVENT else (first, second)
