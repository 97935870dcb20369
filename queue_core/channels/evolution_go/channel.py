"""Sending through Evolution Go."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import aiohttp
from yarl import URL

from queue_core.channels.sending import parts_of, perform, raise_for, send_all
from queue_core.channels.values import at, text
from queue_core.errors import QueueError, RetryLaterError
from queue_core.http_client import HttpAnswer, post_json
from queue_core.message import Batch, QueueMessage
from queue_core.sent import note_sent

TEXT_CHARACTERS_MAX = 60_000
"""Limit on one message; WhatsApp itself takes up to 65,536 characters."""
_NOT_CONNECTED = ("no active session found", "client disconnected", "instance not found")
"""Words of a 500 after which nothing was sent (`pkg/sendMessage/service/send_service.go`)."""


class EvolutionGoChannel:
    """A channel that sends by `POST /send/text` and shows "typing…" by `POST /message/presence`.

    The key says for which instance: `keys` holds one for each, under "" the key of all others.
    """

    name = "evolution_go"

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, keys: Mapping[str, str], *, timeout_s: float
    ) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._keys = keys
        self._timeout_s = timeout_s

    def send(self, batch: Batch, reply: str) -> AsyncGenerator[None, None]:
        """See Channel.send. Tries again if the instance is not connected."""
        number = _number(batch.messages[-1])

        async def send_part(part: str) -> None:
            body = {"number": number, "text": part}
            answer = await perform(self._post("send/text", batch.instance_name, body))
            if answer.status == 500 and any(words in _error(answer) for words in _NOT_CONNECTED):
                raise RetryLaterError("not sent: the instance is not connected to WhatsApp")
            raise_for(answer, detail="Evolution Go", settings="EVOLUTION_GO_URL and EVOLUTION_GO_API_KEY")
            note_sent(text(at(answer.json(), "data", "Info", "ID")), part)

        return send_all(parts_of(reply, TEXT_CHARACTERS_MAX), send_part, after=batch.parts_sent)

    async def show_typing(self, message: QueueMessage) -> None:
        """See Channel.show_typing."""
        body = {"number": _number(message), "state": "composing", "isAudio": False}
        with contextlib.suppress(QueueError):
            await perform(self._post("message/presence", message.instance_name, body))

    async def _post(self, path: str, instance: str, body: dict[str, Any]) -> HttpAnswer:
        key = self._keys.get(instance, self._keys.get("", ""))
        url = URL(f"{self._base_url}/{path}")
        return await post_json(self._session, url, body, headers={"apikey": key}, timeout_s=self._timeout_s)


def _error(answer: HttpAnswer) -> str:
    body = answer.json()
    return str(body.get("error", "")) if isinstance(body, dict) else ""


def _number(message: QueueMessage) -> str:
    return str(message.message_data.get("reply_to") or message.user_phone)
