"""Sending through the WhatsApp Cloud API."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp

from queue_core.channels.base import SendUncertainError
from queue_core.channels.cloud.identity import is_user_id
from queue_core.channels.sending import address, parts_of, perform, raise_for, send_all
from queue_core.channels.values import at, objects, text
from queue_core.errors import GiveUpError, QueueError, RetryLaterError
from queue_core.http_client import HttpAnswer, post_json
from queue_core.message import Batch, QueueMessage
from queue_core.sent import note_sent

TEXT_CHARACTERS_MAX = 4_096
"""Limit on `text.body`."""
PAIR_RATE_LIMIT = 131056
"""Code for too many messages between one pair of users: one per 6 s is allowed in the long run."""

# Documented error codes of the Cloud API: wait, give up, check the access, perhaps sent. For others the status decides.
_WAITS_MS = {4: 60_000, 80007: 60_000, 130429: 10_000, 131048: 300_000, 131056: 8_000, 133016: 600_000}
_NEVER = frozenset({100, 131009, 131026, 131030, 131047, 131051, 131052, 132000, 132001})
_ACCESS = frozenset({0, 3, 10, 190, 200, 299, 131005, 131031, 131042, 368})
_MAYBE = frozenset({1, 2, 131000, 131016})


class CloudChannel:
    """A channel that sends, and shows "typing…", by `POST {base_url}/{phone_number_id}/messages`."""

    name = "cloud"

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, access_token: str, *, timeout_s: float
    ) -> None:
        self._session = session
        self._base_url = base_url
        self._headers = {"Authorization": f"Bearer {access_token}"}
        self._timeout_s = timeout_s

    def send(self, batch: Batch, reply: str) -> AsyncGenerator[None, None]:
        """See Channel.send. An error code says more than the status, so it decides first."""

        async def send_part(part: str) -> None:
            body = {
                "messaging_product": "whatsapp",
                "recipient_type": "individual",
                # Meta takes a BSUID in `to`, answers 200 and drops the message.
                "recipient" if is_user_id(batch.user_phone) else "to": batch.user_phone,
                "type": "text",
                "text": {"preview_url": False, "body": part},
            }
            answer = await perform(self._post(batch.instance_name, body))
            if not answer.is_success:
                _raise_for_code(_error_code(answer), answer)
            raise_for(answer, detail="the Cloud API", settings="CLOUD_ACCESS_TOKEN and the phone number's id")
            note_sent(_sent_id(answer), part)

        return send_all(parts_of(reply, TEXT_CHARACTERS_MAX), send_part, after=batch.parts_sent)

    async def show_typing(self, message: QueueMessage) -> None:
        """Marks the message as read and shows "typing…" for up to 25 s, or until the reply."""
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


def _error_code(answer: HttpAnswer) -> int | None:
    body = answer.json()
    error = body.get("error") if isinstance(body, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _raise_for_code(code: int | None, answer: HttpAnswer) -> None:
    refusal = f"the Cloud API answered {answer.status}, error {code}"
    if code in _WAITS_MS:
        asked_for_ms = int((answer.retry_after_s or 0) * 1000)
        raise RetryLaterError(
            f"not sent: {refusal} (rate limit)",
            after_ms=max(_WAITS_MS[code], asked_for_ms),
            blames="turn" if code == PAIR_RATE_LIMIT else "backend",
        )
    if code in _NEVER:
        raise GiveUpError(f"not sent, and never will be: {refusal}")
    if code in _ACCESS:
        raise RetryLaterError(f"not sent: {refusal}; look at CLOUD_ACCESS_TOKEN and the account")
    if code in _MAYBE:
        raise SendUncertainError(f"perhaps sent: {refusal}")
