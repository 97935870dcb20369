"""Sending through WAHA."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
from yarl import URL

from queue_core.channels.sending import parts_of, perform, raise_for, send_all
from queue_core.channels.values import at, text
from queue_core.channels.waha.fields import id_parts
from queue_core.errors import QueueError, RetryLaterError
from queue_core.http_client import HttpAnswer, post_json
from queue_core.message import Batch, QueueMessage
from queue_core.sent import note_sent

TEXT_CHARACTERS_MAX = 60_000
"""Limit on one message; WhatsApp itself takes up to 65,536 characters."""


class WahaChannel:
    """A channel that sends by `POST /api/sendText` and shows "typing…" by `POST /api/startTyping`."""

    name = "waha"

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, api_key: str, *, timeout_s: float
    ) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._headers = {"X-Api-Key": api_key} if api_key else {}
        self._timeout_s = timeout_s

    def send(self, batch: Batch, reply: str) -> AsyncGenerator[None, None]:
        """See Channel.send. Tries again while the session is not working: WAHA answers 422 then."""
        chat_id = _chat_id(batch.messages[-1])

        async def send_part(part: str) -> None:
            body = {"session": batch.instance_name, "chatId": chat_id, "text": part}
            answer = await perform(self._post("sendText", body))
            if answer.status == 422:
                raise RetryLaterError("not sent: WAHA answered 422; is the session WORKING?")
            raise_for(answer, detail="WAHA", settings="WAHA_URL, WAHA_API_KEY and the session's name")
            note_sent(_sent_id(answer), part)

        return send_all(parts_of(reply, TEXT_CHARACTERS_MAX), send_part, after=batch.parts_sent)

    async def show_typing(self, message: QueueMessage) -> None:
        """See Channel.show_typing."""
        body = {"session": message.instance_name, "chatId": _chat_id(message)}
        with contextlib.suppress(QueueError):
            await perform(self._post("startTyping", body))

    async def _post(self, path: str, body: dict[str, Any]) -> HttpAnswer:
        url = URL(f"{self._base_url}/api/{path}")
        return await post_json(self._session, url, body, headers=self._headers, timeout_s=self._timeout_s)


def _sent_id(answer: HttpAnswer) -> str:
    """Returns the id of the sent message; engines write it as a text, as an object, or in the key of Baileys."""
    message = answer.json()
    message_id = at(message, "id")
    whole = message_id if isinstance(message_id, str) else at(message_id, "_serialized")
    return id_parts(whole)[1] or text(at(message, "key", "id"))


def _chat_id(message: QueueMessage) -> str:
    return str(message.message_data.get("reply_to") or f"{message.user_phone}@c.us")
