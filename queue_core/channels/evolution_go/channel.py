"""Sending through Evolution Go."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import aiohttp
from yarl import URL

from queue_core.channels.errors import Refusal
from queue_core.channels.evolution_go.errors import refusal_of
from queue_core.channels.form import Form
from queue_core.channels.sending import perform, send_all
from queue_core.channels.values import at, text
from queue_core.channels.whatsapp_web.addresses import addresses_of
from queue_core.channels.whatsapp_web.sending import TYPING_EVERY_S, send_to_one
from queue_core.errors import QueueError
from queue_core.http_client import HttpAnswer, post_json
from queue_core.message import Batch, QueueMessage
from queue_core.sent import note_sent

TEXT_CHARACTERS_MAX = 60_000
"""Limit on one message; WhatsApp itself takes up to 65,536 characters."""


class EvolutionGoChannel:
    """Channel that sends by `POST /send/text` and shows "typing…" by `POST /message/presence`.

    The key of a request selects the instance. `keys` has the key of each instance, and under "" the key of all others.
    """

    name = "evolution_go"
    typing_every_s = TYPING_EVERY_S

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, keys: Mapping[str, str], *, timeout_s: float
    ) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._keys = keys
        self._timeout_s = timeout_s
        self.form = Form(characters_max=TEXT_CHARACTERS_MAX)

    def send(self, batch: Batch, reply: str) -> AsyncGenerator[None, None]:
        """See Channel.send. If the user is not found at one address, tries the others."""
        addresses = addresses_of(batch, first=_number(batch.messages[-1]), server="s.whatsapp.net")

        async def send_part(part: str) -> None:
            await send_to_one(addresses, lambda number: self._send_text(batch.instance_name, number, part))

        return send_all(self.form.parts_of(reply), send_part, after=batch.parts_sent)

    async def _send_text(self, instance: str, number: str, words: str) -> Refusal | None:
        body: dict[str, Any] = {"number": number, "text": words}
        if number.endswith("@s.whatsapp.net"):
            body["formatJid"] = False  # otherwise the server changes numbers of Brazil, Mexico and Argentina
        answer = await perform(self._post("send/text", instance, body))
        refusal = refusal_of(answer)
        if refusal is None:
            note_sent(text(at(answer.json(), "data", "Info", "ID")), words)
        return refusal

    async def show_typing(self, message: QueueMessage) -> None:
        """See Channel.show_typing."""
        body = {"number": _number(message), "state": "composing", "isAudio": False}
        with contextlib.suppress(QueueError):
            await perform(self._post("message/presence", message.instance_name, body))

    async def _post(self, path: str, instance: str, body: dict[str, Any]) -> HttpAnswer:
        key = self._keys.get(instance, self._keys.get("", ""))
        url = URL(f"{self._base_url}/{path}")
        return await post_json(self._session, url, body, headers={"apikey": key}, timeout_s=self._timeout_s)


def _number(message: QueueMessage) -> str:
    return str(message.message_data.get("reply_to") or message.user_phone)
