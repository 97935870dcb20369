"""Errors of WAHA: 422 for a session that is not ready, 500 with `exception` for errors of its engine.

Sources: `src/nestjs/AllExceptionsFilter.ts`, `src/core/abc/manager.abc.ts`, `src/core/manager.core.ts`.
"""

from __future__ import annotations

from queue_core.channels.errors import Meaning, Refusal
from queue_core.channels.values import mapping
from queue_core.channels.whatsapp_web.errors import ROWS as SHARED
from queue_core.channels.whatsapp_web.errors import refusal_in, row
from queue_core.http_client import HttpAnswer

_SETTINGS = "WAHA_URL, WAHA_API_KEY and the session's name and status"
STATUSES = {
    "STARTING": Meaning(code="STARTING", consequence="outage", words="the session is starting"),
    "SCAN_QR_CODE": Meaning(
        code="SCAN_QR_CODE", consequence="operator", words="the session waits: scan its QR code"
    ),
    "STOPPED": Meaning(code="STOPPED", consequence="operator", words="the session is stopped: start it"),
    "FAILED": Meaning(code="FAILED", consequence="operator", words="the session has failed: restart it"),
}
"""Meaning of each status in which a session does not send."""
ROWS = (
    row("outage", "session status", r"session status is not as expected|session under \w+ status|session .*not ready",
        "the session is not WORKING"),
    row("operator", "no session",
        r"didn't find a session|session .*(?:does not exist|not found)|only 'default' session|unknown whatsapp engine",
        "there is no session of this name"),
    row("never", "not supported", r"not implemented by|available (?:only )?in plus",
        "this edition or engine of WAHA cannot send that"),
)  # fmt: skip
"""Rows of WAHA itself; those of its engines come after them."""


def refusal_of(answer: HttpAnswer) -> Refusal | None:
    """Return the refusal in an answer; None if the part was sent."""
    body = mapping(answer.json())
    if answer.is_success and not body.get("error"):
        return None
    if answer.status == 422 and (known := STATUSES.get(str(body.get("status")))):
        detail = f"WAHA answered 422, {known.code}"
        return Refusal(meaning=known, detail=detail, look_at=_SETTINGS, asked_ms=answer.retry_after_ms)
    default = ROWS[0].meaning if answer.status == 422 else None
    return refusal_in(answer, (*ROWS, *SHARED), detail="WAHA", settings=_SETTINGS, default=default)
