"""Requests to an AI, for all backends: the meaning of an error for the turn, and the wait before the next attempt."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import aiohttp

from queue_core.ai.base import retry_after_ms
from queue_core.ai.reply import ABSENCE_WORDS, Absence, absence_of_body, extract
from queue_core.errors import Blamed, GiveUpError, QueueError, RetryLaterError
from queue_core.http_client import HttpAnswer, NotReachedError, UnansweredError, post_json
from queue_core.message import Batch, well_formed

ATTEMPTS_WITHOUT_TEXT_MAX = 2
"""Number of attempts after which the AI is not asked again for an answer that has no text."""

_OUTAGES: tuple[Absence, ...] = ("html", "error")
"""Answers of a proxy or provider in trouble, which are asked for again. The answer of a flow that has not run yet is
not among them, since each request would run the flow again."""

_CODE = re.compile(r"[A-Za-z0-9_-]+")
_CODE_CHARACTERS_MAX = 60


class NotFoundError(RetryLaterError):
    """Raised when the AI answered 404."""


class RefusedError(RetryLaterError):
    """Raised when the AI answered 400, 413 or 422: it rejects the request."""


class NoTextError(RetryLaterError):
    """Raised when an answer has no text for the user, and the AI is asked again."""


def no_text(absence: Absence, batch: Batch, *, after_ms: int | None = None) -> QueueError:
    """Make the error for an answer without a text for the user; its message says what the operator can do.

    At the first attempt of a turn the AI is asked once more. At a later one, whatever the earlier ones failed for, the
    turn's messages become dead letters, which can be requeued once the AI or flow is corrected. HTML pages and errors
    count as an outage of the AI: turns wait, and an attempt only counts if the AI answers other turns meanwhile.
    """
    reason = f"the AI's answer holds no text for the user: {ABSENCE_WORDS[absence]}"
    is_outage = absence in _OUTAGES
    if is_outage or batch.attempt < ATTEMPTS_WITHOUT_TEXT_MAX:
        blames: Blamed = "backend" if is_outage else "turn"
        return NoTextError(reason, after_ms=after_ms, blames=blames)
    return GiveUpError(reason)


class Asking:
    """Client of an AI. Without an answer it raises RetryLaterError, since asking an AI again does no harm.

    The error blames the turn if the AI rejects the request, and otherwise the AI; `no_text` decides for an answer
    without a text. The queue counts the attempts: after the last one, the turn's messages become dead letters with the
    last reason. `timeout_s` is the longest wait for an answer; `waits_s` are the waits before the first, second, …
    retry.
    """

    def __init__(self, session: aiohttp.ClientSession, *, timeout_s: float, waits_s: Sequence[float]) -> None:
        self._session = session
        self._timeout_s = timeout_s
        self._waits_s = waits_s

    async def post(self, url: str, body: Any, key: str, batch: Batch) -> HttpAnswer:
        """POST a body and return the answer if its status is 2xx. A `key` is sent as bearer token.

        Raises RetryLaterError, whose message has the status and the API's error code, but no text of the user or AI.
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
            refusal += "; check AI_KEY"
        elif answer.status in (404, 405) or 300 <= answer.status < 400:
            refusal += "; check AI_URL"
        kind = _ERRORS.get(answer.status, RetryLaterError)
        blames: Blamed = "turn" if kind is RefusedError else "backend"
        raise self.later(refusal, batch, answer.retry_after_s, kind, blames=blames)

    async def _post(self, url: str, body: Any, headers: dict[str, str]) -> HttpAnswer:
        try:
            return await post_json(self._session, url, body, headers=headers, timeout_s=self._timeout_s)
        except UnicodeEncodeError:  # by a lone surrogate, which messages on the direct path may have
            body = json.loads(well_formed(json.dumps(body, ensure_ascii=False)))
            return await post_json(self._session, url, body, headers=headers, timeout_s=self._timeout_s)

    def text(self, value: Any, batch: Batch, body: Any = None) -> str:
        """Return the value, which is a text for the user. Raises the error of `no_text` for any other value.

        If the value is missing, the reason is taken from `body`, in which it was searched for.
        """
        if not isinstance(value, str):
            raise self.no_text(absence_of_body(body), batch)
        if absence := extract(value).absence:
            raise self.no_text(absence, batch)
        return value

    def no_text(self, absence: Absence, batch: Batch) -> QueueError:
        """Make the error for an answer without a text for the user, with the wait before the next attempt."""
        return no_text(absence, batch, after_ms=self._after_ms(batch))

    def later(
        self,
        reason: str,
        batch: Batch,
        retry_after_s: float | None = None,
        kind: type[RetryLaterError] = RetryLaterError,
        *,
        blames: Blamed = "backend",
    ) -> RetryLaterError:
        """Make the error to raise. Its wait before the next attempt is `waits_s` or the AI's, whichever is longer."""
        return kind(reason, after_ms=self._after_ms(batch, retry_after_s), blames=blames)

    def _after_ms(self, batch: Batch, retry_after_s: float | None = None) -> int:
        return retry_after_ms(batch.attempt, self._waits_s, retry_after_s)


_ERRORS = {400: RefusedError, 404: NotFoundError, 413: RefusedError, 422: RefusedError}


def error_code(answer: HttpAnswer) -> str:
    """Return the API's own code for an error: `code`, `error.code` or `error.type`; "" without one."""
    body = answer.json()
    if not isinstance(body, dict):
        return ""
    error = body.get("error")
    code = body.get("code") or (error.get("code") or error.get("type") if isinstance(error, dict) else None)
    text = str(code) if isinstance(code, str | int) else ""
    return text[:_CODE_CHARACTERS_MAX] if _CODE.fullmatch(text) else ""
