"""Sending through WAHA."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
from yarl import URL

from queue_core.channels.errors import Refusal
from queue_core.channels.form import Form
from queue_core.channels.sending import perform, send_all
from queue_core.channels.values import at, text
from queue_core.channels.waha.errors import refusal_of
from queue_core.channels.waha.fields import id_parts
from queue_core.channels.whatsapp_web.addresses import addresses_of
from queue_core.channels.whatsapp_web.sending import TYPING_EVERY_S, send_to_one
from queue_core.errors import QueueError
from queue_core.http_client import HttpAnswer, post_json
from queue_core.message import Batch, QueueMessage
from queue_core.sent import note_sent

TEXT_CHARACTERS_MAX = 60_000
"""Limit on one message; WhatsApp itself takes up to 65,536 characters."""


class WahaChannel:
    """Channel that sends by `POST /api/sendText` and shows "typing…" by `POST /api/startTyping`."""

    name = "waha"
    typing_every_s = TYPING_EVERY_S

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, api_key: str, *, timeout_s: float
    ) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._headers = {"X-Api-Key": api_key} if api_key else {}
        self._timeout_s = timeout_s
        self.form = Form(characters_max=TEXT_CHARACTERS_MAX)

    def send(self, batch: Batch, reply: str) -> AsyncGenerator[None, None]:
        """See Channel.send. If the user is not found at one address, tries the others."""
        addresses = addresses_of(batch, first=_chat_id(batch.messages[-1]), server="c.us")

        async def send_part(part: str) -> None:
            await send_to_one(addresses, lambda chat_id: self._send_text(batch.instance_name, chat_id, part))

        return send_all(self.form.parts_of(reply), send_part, after=batch.parts_sent)

    async def _send_text(self, session: str, chat_id: str, words: str) -> Refusal | None:
        body = {"session": session, "chatId": chat_id, "text": words}
        answer = await perform(self._post("sendText", body))
        refusal = refusal_of(answer)
        if refusal is None:
            note_sent(_sent_id(answer), words)
        return refusal

    async def show_typing(self, message: QueueMessage) -> None:
        """See Channel.show_typing."""
        body = {"session": message.instance_name, "chatId": _chat_id(message)}
        with contextlib.suppress(QueueError):
            await perform(self._post("startTyping", body))

    async def _post(self, path: str, body: dict[str, Any]) -> HttpAnswer:
        url = URL(f"{self._base_url}/api/{path}")
        return await post_json(self._session, url, body, headers=self._headers, timeout_s=self._timeout_s)


def _sent_id(answer: HttpAnswer) -> str:
    """Return the id of the sent message, which engines write as a text, as an object, or in Baileys' key."""
    message = answer.json()
    message_id = at(message, "id")
    whole = message_id if isinstance(message_id, str) else at(message_id, "_serialized")
    return id_parts(whole)[1] or text(at(message, "key", "id"))


def _chat_id(message: QueueMessage) -> str:
    return str(message.message_data.get("reply_to") or f"{message.user_phone}@c.us")
