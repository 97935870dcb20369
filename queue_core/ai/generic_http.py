"""An AI behind your own HTTP endpoint."""

from __future__ import annotations

import re
from typing import Any

from queue_core.ai.asking import Asking
from queue_core.ai.base import Answer
from queue_core.http_client import HttpAnswer
from queue_core.message import Batch

ANSWER_NAMES = ("response", "answer", "reply", "text", "message", "output")
"""Keys that may hold the text of an answer, in the order in which they are looked for."""
_KEPT_WHOLE = ("needsDataCollection", "requestedFields")
_HTML = re.compile(r"\s*<(?:!doctype|html|head|body)\b", re.IGNORECASE)


class HttpBackend:
    """An HTTP endpoint that takes the turn as JSON, with `Authorization: Bearer` if there is a token.

    The request: {"instance", "phone", "text" (the whole turn, one line per message), "ids", "attempt", "fencing_token",
    "trigger", "due_at", "claimed_at" (Unix ms by Redis's clock; 0 on the direct path),
    "messages": [{"id", "text", "kind", "timestamp" (Unix ms), "data"}, …]}.

    The answer is JSON or plain text. In JSON, `response` (or `answer`, `reply`, `text`, `message`, `output`) is the
    text. JSON with `needsDataCollection` or `requestedFields`, or without any such text, is passed on whole. Of a JSON
    array, as n8n sends it, the first object counts. A page of HTML comes from a proxy or a login, and is refused.
    """

    name = "http"

    def __init__(self, asking: Asking, url: str, token: str = "") -> None:
        self._asking = asking
        self._url = url
        self._token = token

    async def answer(self, batch: Batch) -> Answer:
        """See Backend.answer."""
        answer = await self._asking.post(self._url, _body(batch), self._token, batch)
        return Answer(self._asking.text(_text(answer), batch))


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


def _text(answer: HttpAnswer) -> Any:
    body = answer.json()
    if isinstance(body, str):
        return body
    raw = answer.body.decode("utf-8-sig", "replace")
    first = body[0] if isinstance(body, list) and body else body
    if isinstance(first, dict):
        if any(name in first for name in _KEPT_WHOLE):
            return raw
        return next((first[name] for name in ANSWER_NAMES if isinstance(first.get(name), str)), raw)
    is_text = not isinstance(body, list | bool) and raw.strip() != "null"
    return raw if is_text and not _HTML.match(raw) else None
