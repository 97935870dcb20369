"""Webhooks of all providers: from a post to the queue, and to the answer of the post.

The answer decides a message's fate, since a provider delivers again after 5xx and never after most 4xx:

- 2xx: every message in the post is stored in Redis or answered already, or there was none to store. A message that
  cannot be read is stored as a dead letter;
- 503: at least one message is neither stored nor answered. The whole post may come again, since stored messages are
  recognised;
- 4xx: the post is not a webhook (400, 408, 413, 415), its sender is not allowed to post (401, 403), or no channel
  could send replies (404).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec
from aiohttp import web

from queue_core.channels.base import (
    AddressChange,
    Handshake,
    Inbound,
    InvalidWebhookError,
    Post,
    Provider,
    UnauthorizedError,
    Unreadable,
)
from queue_core.channels.media import KEEP_MEDIA
from queue_core.channels.secrets import without_secrets
from queue_core.channels.unreadable import UNKNOWN
from queue_core.channels.values import NAME_CHARACTERS_MAX
from queue_core.errors import InvalidMessageError, QueueError
from queue_core.message import QueueMessage
from queue_core.server.answers import json_answer
from queue_core.server.body import BadBodyError, parse_json, read_body
from queue_core.server.bot import Bot
from queue_core.server.config import ServerSettings
from queue_core.server.deliveries import Deliveries
from queue_core.server.fitting import Fitted, fit
from queue_core.server.journal import Journal

RETRY_AFTER_S = 5
"""Wait before the next delivery, for which an answer with 503 asks the provider."""


Keep = Callable[[QueueMessage, str], Awaitable[None]]
"""Function that stores an unreadable message as a dead letter, with a reason."""


class Join(Protocol):
    """Function that joins the conversations of a user who has a new number or id."""

    async def __call__(self, instance_name: str, names: Mapping[str, str], *, event_id: str) -> bool:
        """Join the conversations. Returns False if the user is unknown. Raises QueueError to be called again later."""
        ...


class Receiver(Protocol):
    """Destination of messages: the queue (the AI while Redis is away), or the legacy buffer."""

    async def receive(self, message: QueueMessage) -> str:
        """Store or answer a message, and say which. After an error, the message is neither stored nor answered."""
        ...


class Webhooks:
    """Handlers of everything below /webhook."""

    def __init__(
        self,
        settings: ServerSettings,
        receiver: Receiver,
        bot: Bot,
        journal: Journal,
        *,
        keep: Keep,
        join: Join,
        deliveries: Deliveries,
    ) -> None:
        self._settings = settings
        self._receiver = receiver
        self._keep = keep
        self._join = join
        self._deliveries = deliveries
        self._bot = bot
        self._journal = journal
        self._has_channel = settings.has_channel
        self._must_be_signed = settings.is_public and not settings.allow_unsigned_webhooks

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of every provider."""
        routes = []
        for provider in self._settings.providers:
            routes += [web.post(path, partial(self._post, provider)) for path in provider.paths]
            if isinstance(provider, Handshake):
                routes += [
                    web.get(path, partial(self._handshake, provider, provider.answer_handshake))
                    for path in provider.paths
                ]
        return routes

    def _is_unused(self, provider: Provider) -> bool:
        """Return True if only other channels can send. Without any channel, replies are printed."""
        return self._has_channel and not provider.is_enabled

    def _not_configured(self, provider: Provider) -> web.Response:
        return self._rejected(
            404,
            "channel",
            f"the channel {provider.name} is not configured, so no reply could be sent: set "
            f"{provider.environment_name(provider.enabled_by)}",
        )

    def _authenticate(self, provider: Provider, post: Post) -> None:
        if provider.is_secured:
            provider.authenticate(post)
        elif self._must_be_signed:
            name = provider.environment_name(provider.secured_by)
            raise UnauthorizedError("no secret", f"{name} is not set, so no webhook of this channel is taken")

    async def _post(self, provider: Provider, request: web.Request) -> web.Response:
        if self._is_unused(provider):
            return self._not_configured(provider)
        began = asyncio.get_running_loop().time()
        try:
            body = await read_body(request)
            post = Post(body, request.headers, request.match_info, parse_json)
            self._authenticate(provider, post)
            inbound = provider.parse(
                post,
                media_bytes_max=self._media_bytes_max(body),
                language=self._settings.placeholder_language,
            )
        except BadBodyError as error:
            return self._rejected(error.status, "body", str(error))
        except UnauthorizedError as error:
            return self._rejected(401, error.reason, str(error))
        except InvalidWebhookError as error:
            return self._rejected(400, "payload", str(error))
        return await self._take(inbound, len(body), began)

    def _media_bytes_max(self, body: bytes) -> int:
        """Return the limit on media. A body that is within the limit has no media over it, so none is looked for."""
        limit = self._settings.media_bytes_max
        return limit if len(body) > limit else KEEP_MEDIA

    async def _handshake(
        self, provider: Provider, answer: Callable[[Mapping[str, str]], str], request: web.Request
    ) -> web.Response:
        if self._is_unused(provider):
            return self._not_configured(provider)
        try:
            text = answer(request.query)
        except UnauthorizedError as error:
            return self._rejected(403, error.reason, str(error))
        return web.Response(text=text, content_type="text/plain")

    async def _take(self, inbound: Inbound, body_bytes: int, began: float) -> web.Response:
        """Hand all messages to the receiver concurrently; it keeps those of each user in order."""
        skipped = Counter(inbound.skipped)
        answer: Counter[str] = Counter()  # Counter[str]() is slower
        wanted = self._wanted(inbound, body_bytes, skipped, answer)
        self._journal.inbound(inbound, skipped)
        for change in inbound.address_changes:  # before the messages, which may have the new address already
            answer["failed"] += not await self._joined(change)
        for message in wanted:
            self._journal.arrived(message)
        results = await self._received(wanted)
        seconds = asyncio.get_running_loop().time() - began
        unreadable = list(inbound.unreadable)
        for message, result in zip(wanted, results, strict=True):
            if isinstance(result, InvalidMessageError):
                unreadable.append(Unreadable(_with_short_names(message), str(result)))
            else:
                answer[self._outcome(message, result, seconds)] += 1
        for item in unreadable:
            answer[await self._set_aside(item)] += 1
        if inbound.own_messages or inbound.failures:
            answer["failed"] += await self._report(inbound)
        body: dict[str, Any] = {how: count for how, count in answer.items() if count}
        if skipped:
            body["skipped"] = dict(skipped)
        if answer["failed"]:
            return json_answer(body, status=503, headers={"Retry-After": str(RETRY_AFTER_S)})
        return json_answer(body)

    def _wanted(
        self, inbound: Inbound, body_bytes: int, skipped: Counter[str], answer: Counter[str]
    ) -> list[QueueMessage]:
        """Return the messages to store, without secrets and small enough; count what is left out."""
        wanted = []
        for message in inbound.messages:
            if message.message_data.get("kind") in self._settings.ignored_kinds:
                skipped["ignored kind"] += 1
            else:
                fitted = self._fitted(_without_secrets(message), body_bytes)
                wanted.append(fitted.message)
                answer["cut"] += fitted.missing == "text"
        return wanted

    async def _received(self, messages: Sequence[QueueMessage]) -> Sequence[str | BaseException]:
        """Return for each message what became of it, or why it was not accepted."""
        if len(messages) == 1:  # the usual case, in which a task would cost more than everything else here
            try:
                return [await self._receiver.receive(messages[0])]
            except Exception as error:  # noqa: BLE001 - the journal and the answer report it
                return [error]
        receiving = (self._receiver.receive(message) for message in messages)
        return await asyncio.gather(*receiving, return_exceptions=True)

    async def _joined(self, change: AddressChange) -> bool:
        """Join the conversations of a user's old and new addresses. Returns False if the report must come again."""
        try:
            is_known = await self._join(change.instance_name, change.names, event_id=change.event_id)
        except QueueError as error:
            self._journal.not_joined(change, error)
            return False
        if is_known:
            self._journal.joined(change)
        return True

    async def _report(self, inbound: Inbound) -> int:
        """Pass on the reports on replies. Returns the number of failures that could not be noted."""
        own_messages = (self._deliveries.own_message(message) for message in inbound.own_messages)
        failures = (self._deliveries.failed(failure) for failure in inbound.failures)
        _, results = await asyncio.gather(
            asyncio.gather(*own_messages), asyncio.gather(*failures, return_exceptions=True)
        )
        refused = [result for result in results if isinstance(result, BaseException)]
        for error in refused:
            if not isinstance(error, QueueError):
                raise error
            self._journal.rejected("unavailable", f"a failed delivery could not be noted: {error}")
        return len(refused)

    async def _set_aside(self, item: Unreadable) -> str:
        """Keep a message that cannot be read as a dead letter."""
        message = fit(_without_secrets(item.message), self._settings.queue.max_message_bytes).message
        try:
            await self._keep(message, f"unreadable: {item.reason}")
        except QueueError as error:
            self._journal.refused(message, error)
            return "failed"
        self._journal.unreadable(message, item.reason)
        return "unreadable"

    def _fitted(self, message: QueueMessage, body_bytes: int) -> Fitted:
        bytes_max = self._settings.queue.max_message_bytes
        # A message holds its text twice, and each byte of broken UTF-8 becomes the 3 bytes of U+FFFD.
        if body_bytes <= bytes_max // 8:
            return Fitted(message, None)
        fitted = fit(message, bytes_max)
        if fitted.missing:
            self._journal.cut(fitted.message, fitted.missing, len(message.message), bytes_max)
        return fitted

    def _outcome(self, message: QueueMessage, result: str | BaseException, seconds: float) -> str:
        if isinstance(result, str):
            self._journal.acknowledged(message, result, seconds)
            if result in ("queued", "buffered") and self._settings.typing:
                self._bot.show_typing(message)
            return result
        if isinstance(result, Exception):
            self._journal.refused(message, result)
            return "failed"
        raise result

    def _rejected(self, status: int, reason: str, detail: str) -> web.Response:
        self._journal.rejected(reason, detail)
        return json_answer({"error": detail}, status=status)


def _without_secrets(message: QueueMessage) -> QueueMessage:
    return msgspec.structs.replace(message, message_data=without_secrets(message.message_data))


def _with_short_names(message: QueueMessage) -> QueueMessage:
    """Return a message whose names are short enough to be stored; a refused message may have very long names."""
    return msgspec.structs.replace(
        message,
        id=message.id[:NAME_CHARACTERS_MAX],
        instance_name=message.instance_name[:NAME_CHARACTERS_MAX].strip() or UNKNOWN,
        user_phone=message.user_phone[:NAME_CHARACTERS_MAX].strip() or UNKNOWN,
    )
