"""Errors of Evolution Go: {"error": words}, 400 for a request that it does not understand, else 500.

Sources: `pkg/sendMessage/`, `pkg/middleware/`, `docs/wiki/referencia/error-codes.md`.
"""

from __future__ import annotations

from queue_core.channels.errors import Refusal
from queue_core.channels.values import mapping
from queue_core.channels.whatsapp_web.errors import ROWS as SHARED
from queue_core.channels.whatsapp_web.errors import refusal_in, row
from queue_core.http_client import HttpAnswer

ROWS = (
    row("operator", "not authorized", r"^not authorized$|^invalid token", "the key does not belong to an instance"),
    row("operator", "no instance", r"instance not found", "there is no instance with this key"),
    row("never", "nothing to send", r"(?:message body|phone number|number|text) is required",
        "the message or its number is empty"),
)  # fmt: skip
"""Rows of Evolution Go itself; those of whatsmeow come after them."""


def refusal_of(answer: HttpAnswer) -> Refusal | None:
    """Return the refusal in an answer; None if the part was sent."""
    if answer.is_success and not mapping(answer.json()).get("error"):
        return None
    return refusal_in(
        answer,
        (*ROWS, *SHARED),
        detail="Evolution Go",
        settings="EVOLUTION_GO_URL, EVOLUTION_GO_API_KEY and the instance's connection",
    )
