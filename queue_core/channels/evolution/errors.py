"""Errors of the Evolution API, v1 and v2.

Bodies: `src/main.ts` ({"status", "error", "response": {"message"}}), `src/exceptions/`, `src/api/guards/`. Errors that
Baileys raises while it sends become 400, earlier ones 500; a number that is not on WhatsApp is an object with `exists`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from queue_core.channels.cloud.errors import meaning_of_error
from queue_core.channels.errors import Meaning, Refusal
from queue_core.channels.values import at, mapping, whole_number
from queue_core.channels.whatsapp_web.errors import FORM, USER, refusal_in, row
from queue_core.channels.whatsapp_web.errors import ROWS as SHARED
from queue_core.http_client import HttpAnswer

V1_BODY = row(
    "now",
    "textMessage",
    r'requires property "textMessage"',
    "this is Evolution v1, whose body has another form",
)
V2_BODY = row("now", "text", r'requires property "text"', "this is Evolution v2, whose body has another form")
ROWS = (
    V1_BODY,
    V2_BODY,
    row("operator", "no instance", r"instance does not exist", "there is no instance of this name"),
)
"""Rows of the Evolution API itself; those of Baileys come after them."""
RAISED = Meaning(
    code="400",
    consequence="outage",
    words="an error that is not in the table: check that the instance is connected",
)
"""Meaning of 400 without a row: Baileys raised an error in its call to send, before the message left."""
NOT_READY = Meaning(
    code="500, reading a property",
    consequence="outage",
    words="the instance is not ready: check that it is connected",
)
"""Meaning of 500 for a property that could not be read: an error before the send, since later ones become 400."""
NOT_FOUND = msgspec.structs.replace(USER[0].meaning, code="exists: false")
"""Meaning of an answer which says that a number is not on WhatsApp."""


def refusal_of(answer: HttpAnswer) -> Refusal | None:
    """Return the refusal in an answer; None if the part was sent.

    If Evolution uses Meta's API, it answers 201 even when Meta refuses, with Meta's error instead of a message.
    """
    body = mapping(answer.json())
    code, has_code = whole_number(body.get("code")), isinstance(body.get("code"), int | str)
    if answer.is_success and ("key" in body or not (has_code or body.get("error") or body.get("error_data"))):
        return None
    if answer.is_success and has_code:
        return _refusal(answer, meaning_of_error(code, body), f"error {code} of Meta")
    if answer.status in (400, 404, 422) and _is_unknown_number(body):
        return _refusal(answer, NOT_FOUND, NOT_FOUND.code)
    default = RAISED if answer.status == 400 and not _is_about_the_request(body) else None
    refusal = refusal_in(answer, (*ROWS, *SHARED), detail="Evolution", settings=_SETTINGS, default=default)
    if answer.status == 500 and refusal.meaning.code == "reading a property":
        return msgspec.structs.replace(refusal, meaning=NOT_READY)
    return refusal


def neither_form(refusal: Refusal) -> Refusal:
    """Return the refusal of a server that accepts neither the body of v1 nor that of v2."""
    return msgspec.structs.replace(refusal, meaning=FORM.meaning)


def _is_unknown_number(body: Any) -> bool:
    """Return True for an answer which says that a number is not on WhatsApp."""
    numbers = at(body, "response", "message") or at(body, "message")
    listed = numbers if isinstance(numbers, list) else [numbers]
    return any(mapping(number).get("exists") is False for number in listed)


def _is_about_the_request(body: Any) -> bool:
    """Return True for faults of the request, which Evolution puts into a separate list."""
    faults = at(body, "response", "message")
    return isinstance(faults, list) and any(isinstance(fault, list) for fault in faults)


_SETTINGS = "EVOLUTION_URL, EVOLUTION_API_KEY, the instance's name and its connection"


def _refusal(answer: HttpAnswer, meaning: Meaning, code: str) -> Refusal:
    detail = f"Evolution answered {answer.status}, {code}"
    return Refusal(meaning=meaning, detail=detail, look_at=_SETTINGS, asked_ms=answer.retry_after_ms)
