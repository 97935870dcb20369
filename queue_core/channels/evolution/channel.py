"""Sending through the Evolution API, v1 and v2."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp

from queue_core.channels.errors import Refusal
from queue_core.channels.evolution.errors import V1_BODY, V2_BODY, neither_form, refusal_of
from queue_core.channels.form import Form
from queue_core.channels.sending import address, perform, send_all
from queue_core.channels.values import at, text
from queue_core.channels.whatsapp_web.addresses import addresses_of
from queue_core.channels.whatsapp_web.sending import TYPING_EVERY_S, send_to_one
from queue_core.errors import QueueError
from queue_core.http_client import HttpAnswer, post_json
from queue_core.message import Batch, QueueMessage
from queue_core.sent import note_sent

TEXT_CHARACTERS_MAX = 60_000
"""Limit on one message; WhatsApp itself takes up to 65,536 characters."""
TYPING_MS = 8_000
"""Time for which the user sees "typing…"."""
TYPING_TIMEOUT_S = 15.0


class EvolutionChannel:
    """Channel that sends by `POST /message/sendText/…` and shows "typing…" by `POST /chat/sendPresence/…`."""

    name = "evolution"
    typing_every_s = TYPING_EVERY_S

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, api_key: str, *, timeout_s: float
    ) -> None:
        self._session = session
        self._base_url = base_url
        self._headers = {"apikey": api_key}
        self._timeout_s = timeout_s
        self.form = Form(characters_max=TEXT_CHARACTERS_MAX)
        self._is_v1 = False

    def send(self, batch: Batch, reply: str) -> AsyncGenerator[None, None]:
        """See Channel.send. If the user is not found at one address, tries the others."""
        addresses = addresses_of(batch, first=_number(batch.messages[-1]), server="s.whatsapp.net")

        async def send_part(part: str) -> None:
            await send_to_one(addresses, lambda number: self._send_text(batch.instance_name, number, part))

        return send_all(self.form.parts_of(reply), send_part, after=batch.parts_sent)

    async def show_typing(self, message: QueueMessage) -> None:
        """See Channel.show_typing."""
        presence = {"presence": "composing", "delay": TYPING_MS}
        body = {"number": _number(message), **({"options": presence} if self._is_v1 else presence)}
        with contextlib.suppress(QueueError):
            await perform(self._post("chat/sendPresence", message.instance_name, body, TYPING_TIMEOUT_S))

    async def _send_text(self, instance: str, number: str, words: str) -> Refusal | None:
        """Send a text to an address, in the body format of v1 or v2. Remembers the one that the server accepts."""
        refusal = await self._post_text(instance, number, words)
        if refusal and _is_about_form(refusal):
            self._is_v1 = refusal.meaning == V1_BODY.meaning
            refusal = await self._post_text(instance, number, words)
        return neither_form(refusal) if refusal and _is_about_form(refusal) else refusal

    async def _post_text(self, instance: str, number: str, words: str) -> Refusal | None:
        content = {"textMessage": {"text": words}} if self._is_v1 else {"text": words}
        body = {"number": number, **content}
        answer = await perform(self._post("message/sendText", instance, body, self._timeout_s))
        refusal = refusal_of(answer)
        if refusal is None:
            note_sent(text(at(answer.json(), "key", "id")), words)
        return refusal

    async def _post(self, path: str, instance: str, body: dict[str, Any], timeout_s: float) -> HttpAnswer:
        url = address(self._base_url, path, instance)
        return await post_json(self._session, url, body, headers=self._headers, timeout_s=timeout_s)


def _is_about_form(refusal: Refusal) -> bool:
    return refusal.meaning in (V1_BODY.meaning, V2_BODY.meaning)


def _number(message: QueueMessage) -> str:
    return str(message.message_data.get("reply_to") or message.user_phone)
