"""Requests to an AI, for all backends: the meaning of an error for the turn, and the wait before the next attempt."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import aiohttp

from queue_core.ai.reply import extract
from queue_core.errors import Blamed, RetryLaterError
from queue_core.http_client import HttpAnswer, NotReachedError, UnansweredError, post_json
from queue_core.message import Batch, well_formed

_CODE = re.compile(r"[A-Za-z0-9_-]+")
_CODE_CHARACTERS_MAX = 60


class NotFoundError(RetryLaterError):
    """Raised when the AI answered 404."""


class RefusedError(RetryLaterError):
    """Raised when the AI answered 400, 413 or 422: it rejects the request."""


class Asking:
    """Client of an AI. Without an answer it raises RetryLaterError, since asking an AI again does no harm.

    The error blames the turn if the AI rejects the request, or answers it without a text, and the AI for all else. The
    queue counts the attempts: after the last one the turn's messages become dead letters, with the last reason.
    `timeout_s` is the longest wait for an answer; `waits_s` are the waits before the first, second, … retry.
    """

    def __init__(self, session: aiohttp.ClientSession, *, timeout_s: float, waits_s: Sequence[float]) -> None:
        self._session = session
        self._timeout_s = timeout_s
        self._waits_s = waits_s

    async def post(self, url: str, body: Any, key: str, batch: Batch) -> HttpAnswer:
        """POSTs a body and returns the answer, which has a status of 2xx. A `key` is sent as bearer token.

        Raises RetryLaterError. Its message holds the status and the API's error code, but no text of the user or AI.
        """
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            answer = await self._post(url, body, headers)
        except (NotReachedError, UnansweredError) as error:
            raise self.later(f"the AI cannot be reached: {error}", batch) from None
        if answer.is_success:
            return answer
        code = error_code(answer)
        refusal = f"the AI answered {answer.status}{f' {code}' if code else ''}"
        if answer.status in (401, 403):
            refusal += "; look at AI_KEY"
        elif answer.status in (404, 405) or 300 <= answer.status < 400:
            refusal += "; look at AI_URL"
        kind = _ERRORS.get(answer.status, RetryLaterError)
        blames: Blamed = "turn" if kind is RefusedError else "backend"
        raise self.later(refusal, batch, answer.retry_after_s, kind, blames=blames)

    async def _post(self, url: str, body: Any, headers: dict[str, str]) -> HttpAnswer:
        try:
            return await post_json(self._session, url, body, headers=headers, timeout_s=self._timeout_s)
        except UnicodeEncodeError:  # a lone surrogate: on the direct path a message comes as it was posted
            body = json.loads(well_formed(json.dumps(body, ensure_ascii=False)))
            return await post_json(self._session, url, body, headers=headers, timeout_s=self._timeout_s)

    def text(self, value: Any, batch: Batch) -> str:
        """Returns the value if it is a text for the user. Raises RetryLaterError for anything else."""
        if not isinstance(value, str) or not value.strip():
            raise self.later("the AI's answer holds no text", batch, blames="turn")
        reply = extract(value)
        if not reply.text and reply.data is None:
            reason = "the AI's answer holds no text for the user, only reasoning or calls"
            raise self.later(reason, batch, blames="turn")
        return value

    def later(
        self,
        reason: str,
        batch: Batch,
        retry_after_s: float | None = None,
        kind: type[RetryLaterError] = RetryLaterError,
        *,
        blames: Blamed = "backend",
    ) -> RetryLaterError:
        """Makes the error to raise, with the wait before the next attempt: ours or the AI's, whichever is longer."""
        wait_s = self._waits_s[min(max(batch.attempt, 1), len(self._waits_s)) - 1]
        return kind(reason, after_ms=int(max(wait_s, retry_after_s or 0) * 1000), blames=blames)


_ERRORS = {400: RefusedError, 404: NotFoundError, 413: RefusedError, 422: RefusedError}


def error_code(answer: HttpAnswer) -> str:
    """Returns the API's own code for an error: `code`, `error.code` or `error.type`; "" without one."""
    body = answer.json()
    if not isinstance(body, dict):
        return ""
    error = body.get("error")
    code = body.get("code") or (error.get("code") or error.get("type") if isinstance(error, dict) else None)
    text = str(code) if isinstance(code, str | int) else ""
    return text[:_CODE_CHARACTERS_MAX] if _CODE.fullmatch(text) else ""
