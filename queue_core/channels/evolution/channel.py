"""Sending through the Evolution API (v2)."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp

from queue_core.channels.sending import address, parts_of, perform, raise_for, send_all
from queue_core.channels.values import at, text
from queue_core.errors import GiveUpError, QueueError, RetryLaterError
from queue_core.http_client import HttpAnswer, post_json
from queue_core.message import Batch, QueueMessage
from queue_core.sent import note_sent

TEXT_CHARACTERS_MAX = 60_000
"""Limit on one message; WhatsApp itself takes up to 65,536 characters."""
TYPING_MS = 8_000
"""Time for which the user sees "typing…"."""
TYPING_TIMEOUT_S = 15.0


class EvolutionChannel:
    """A channel that sends by `POST /message/sendText/…` and shows "typing…" by `POST /chat/sendPresence/…`."""

    name = "evolution"

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, api_key: str, *, timeout_s: float
    ) -> None:
        self._session = session
        self._base_url = base_url
        self._headers = {"apikey": api_key}
        self._timeout_s = timeout_s

    def send(self, batch: Batch, reply: str) -> AsyncGenerator[None, None]:
        """See Channel.send. Tries again if the instance is not connected, but not if the number is not on WhatsApp."""
        number = _number(batch.messages[-1])

        async def send_part(part: str) -> None:
            body = {"number": number, "text": part}
            answer = await perform(self._post("message/sendText", batch.instance_name, body, self._timeout_s))
            _raise_for_refusal(answer)
            raise_for(
                answer,
                detail="Evolution",
                settings="EVOLUTION_URL, EVOLUTION_API_KEY and the instance's name",
            )
            note_sent(text(at(answer.json(), "key", "id")), part)

        return send_all(parts_of(reply, TEXT_CHARACTERS_MAX), send_part, after=batch.parts_sent)

    async def show_typing(self, message: QueueMessage) -> None:
        """See Channel.show_typing."""
        body = {"number": _number(message), "presence": "composing", "delay": TYPING_MS}
        with contextlib.suppress(QueueError):
            await perform(self._post("chat/sendPresence", message.instance_name, body, TYPING_TIMEOUT_S))

    async def _post(self, path: str, instance: str, body: dict[str, Any], timeout_s: float) -> HttpAnswer:
        url = address(self._base_url, path, instance)
        return await post_json(self._session, url, body, headers=self._headers, timeout_s=timeout_s)


def _raise_for_refusal(answer: HttpAnswer) -> None:
    """Raises for 400: the number is not on WhatsApp, or the instance is not connected to it."""
    if answer.status != 400:
        return
    body = answer.json()
    response = body.get("response") if isinstance(body, dict) else None
    numbers = response.get("message") if isinstance(response, dict) else None
    checked = [number for number in numbers if isinstance(number, dict)] if isinstance(numbers, list) else []
    if any(number.get("exists") is False for number in checked):
        raise GiveUpError("not sent, and never will be: Evolution says that the number is not on WhatsApp")
    raise RetryLaterError("not sent: Evolution answered 400; is the instance connected to WhatsApp?")


def _number(message: QueueMessage) -> str:
    return str(message.message_data.get("reply_to") or message.user_phone)
