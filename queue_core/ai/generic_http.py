"""AI behind an HTTP endpoint of your own."""

from __future__ import annotations

import re
from typing import Any

from queue_core.ai.asking import Asking
from queue_core.ai.base import Answer
from queue_core.ai.reply import extract
from queue_core.ai.reply.json_text import layers
from queue_core.http_client import HttpAnswer
from queue_core.message import Batch

_FLAGS = ("needsDataCollection", "requestedFields")
_EMPTY_RESPONSE = re.compile(r"response[\\\"'“”]+\s*:\s*\\*[\"'“”](?:\s|\\+[nrt])*\\*[\"'“”]", re.IGNORECASE)
"""Key `response` with an empty text, also inside a JSON string. Quick, since nearly all answers have a text."""
_ACCEPTED = "Accepted"
"""Answer of a scenario in Make without the module "Webhook response" (apps.make.com/gateway)."""


class HttpBackend:
    """HTTP endpoint that gets the turn as JSON, with `Authorization: Bearer` if there is a token.

    The request: {"instance", "phone", "text" (the whole turn, one line per message), "ids", "attempt", "fencing_token",
    "trigger", "due_at", "claimed_at" (Unix ms by Redis's clock; 0 on the direct path),
    "messages": [{"id", "text", "kind", "timestamp" (Unix ms), "data"}, …]}.

    The answer is plain text, or JSON in any of the forms of docs/answers.md, such as {"response": "…"}. An HTML page is
    refused, since it comes from a proxy or a login.
    """

    name = "http"

    def __init__(self, asking: Asking, url: str, token: str = "") -> None:
        self._asking = asking
        self._url = url
        self._token = token

    async def answer(self, batch: Batch) -> Answer:
        """See Backend.answer."""
        answer = await self._asking.post(self._url, _body(batch), self._token, batch)
        text = _text(answer)
        if text is not None and text.strip() == _ACCEPTED:
            raise self._asking.no_text("accepted", batch)
        text = self._asking.text(text, batch)
        if _has_no_result(text):
            raise self._asking.no_text("no result", batch)
        return Answer(text)


def _body(batch: Batch) -> dict[str, Any]:
    return {
        "instance": batch.instance_name,
        "phone": batch.user_phone,
        "text": batch.text,
        "ids": batch.ids,
        "attempt": batch.attempt,
        "fencing_token": batch.token,
        "trigger": batch.trigger,
        "due_at": batch.due_at_ms,
        "claimed_at": batch.claimed_at_ms,
        "messages": [
            {
                "id": message.id,
                "text": message.message,
                "kind": message.message_data.get("kind", "text"),
                "timestamp": message.timestamp,
                "data": message.message_data,
            }
            for message in batch.messages
        ],
    }


def _has_no_result(answer: str) -> bool:
    """Return True for an empty `response` without our other keys: the flow had no result."""
    if not _EMPTY_RESPONSE.search(answer):
        return False
    reply = extract(answer)
    keys = {key for layer in layers(reply.data) for key in layer}
    return not reply.text and reply.absence is None and keys.isdisjoint(_FLAGS)


def _text(answer: HttpAnswer) -> str | None:
    """Return the body as text, or the text that its JSON encodes; None for JSON that cannot be a text."""
    raw = answer.body.decode("utf-8-sig", "replace")
    body = answer.json()
    if isinstance(body, str):
        return body
    is_list_of_numbers = isinstance(body, list) and not any(
        isinstance(item, str | list | dict) for item in body
    )
    return None if is_list_of_numbers or isinstance(body, bool) or raw.strip() == "null" else raw
