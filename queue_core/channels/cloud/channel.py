"""Sending through the WhatsApp Cloud API."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp

from queue_core.channels.cloud.errors import refusal_of
from queue_core.channels.cloud.identity import is_user_id
from queue_core.channels.form import Form
from queue_core.channels.sending import address, perform, send_all
from queue_core.channels.values import at, objects, text
from queue_core.errors import QueueError
from queue_core.http_client import HttpAnswer, post_json
from queue_core.message import Batch, QueueMessage
from queue_core.sent import note_sent

TEXT_CHARACTERS_MAX = 4_096
"""Limit on `text.body`."""


class CloudChannel:
    """Channel that sends, and shows "typing…", by `POST {base_url}/{phone_number_id}/messages`."""

    name = "cloud"
    typing_every_s = 0.0  # each call also marks its message as read

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, access_token: str, *, timeout_s: float
    ) -> None:
        self._session = session
        self._base_url = base_url
        self._headers = {"Authorization": f"Bearer {access_token}"}
        self._timeout_s = timeout_s
        self.form = Form(characters_max=TEXT_CHARACTERS_MAX)

    def send(self, batch: Batch, reply: str) -> AsyncGenerator[None, None]:
        """See Channel.send."""
        user = batch.messages[-1].user_phone

        async def send_part(part: str) -> None:
            body = {
                "messaging_product": "whatsapp",
                "recipient_type": "individual",
                # For a BSUID in `to`, Meta answers 200 and drops the message.
                "recipient" if is_user_id(user) else "to": user,
                "type": "text",
                "text": {"preview_url": False, "body": part},
            }
            answer = await perform(self._post(batch.instance_name, body))
            if not answer.is_success:
                raise refusal_of(answer).error()
            note_sent(_sent_id(answer), part)

        return send_all(self.form.parts_of(reply), send_part, after=batch.parts_sent)

    async def show_typing(self, message: QueueMessage) -> None:
        """Mark the message as read and show "typing…" for up to 25 s, or until the reply."""
        body = {
            "messaging_product": "whatsapp",
            "status": "read",
            "message_id": message.id,
            "typing_indicator": {"type": "text"},
        }
        with contextlib.suppress(QueueError):
            await perform(self._post(message.instance_name, body))

    async def _post(self, phone_number_id: str, body: dict[str, Any]) -> HttpAnswer:
        url = address(self._base_url, "", phone_number_id, "messages")
        return await post_json(self._session, url, body, headers=self._headers, timeout_s=self._timeout_s)


def _sent_id(answer: HttpAnswer) -> str:
    return text(at(next(iter(objects(at(answer.json(), "messages"))), {}), "id"))
