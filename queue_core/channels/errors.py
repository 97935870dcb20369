"""Meanings of errors: what follows when a provider refuses a part of a reply, and whether the user may have it.

`channels/<name>/errors.py` has the table of a provider. This module has a table of HTTP statuses, for errors that the
provider does not explain. docs/errors.md is made from the tables.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from queue_core.channels.base import NumberLimitError
from queue_core.errors import Blamed, GiveUpError, QueueError, RetryLaterError, SendUncertainError
from queue_core.http_client import HttpAnswer

Consequence = Literal["now", "later", "never", "outage", "operator", "pair limit", "number limit"]
"""Consequence of an error:

"now": the same part is sent in another way at once, such as to another address of the user;
"later": the turn is tried again after a wait, and the attempt counts;
"never": the queue gives up on the turn;
"outage": the channel works for none of its users, so turns wait until it does;
"operator": as "outage", but the channel works again only after the operator has changed something;
"pair limit": this user got too many messages: only this conversation waits, and the attempt does not count;
"number limit": this number sent too many messages: its sending slows down, and the attempt does not count.
"""
_BLAMED: dict[Consequence, Blamed] = {
    "now": "turn",
    "later": "turn",
    "outage": "backend",
    "operator": "backend",
    "pair limit": "limit",
}


class Meaning(msgspec.Struct, frozen=True, kw_only=True):
    """Meaning of an error."""

    code: str
    """The provider's code, or a few words that identify the error."""
    consequence: Consequence
    words: str
    """Short explanation, for people."""
    after_ms: int | None = None
    """Shortest wait before the next try; None: the backoff of the settings."""
    not_sent: bool = True
    """False if the user may have the part nevertheless."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Refusal of a part of a reply, from the provider's answer or its report of a failed delivery."""

    meaning: Meaning
    detail: str
    """Source and form of the refusal: "the Cloud API answered 400, error 131056"."""
    look_at: str = ""
    """Settings to look at, for an error that needs the operator."""
    asked_ms: int = 0
    """Wait that the provider asks for; 0 if it asks for none."""

    @property
    def after_ms(self) -> int | None:
        """Wait before the next try; None: the backoff of the settings."""
        known_ms = self.meaning.after_ms
        return max(known_ms or 0, self.asked_ms) if self.asked_ms or known_ms is not None else None

    def error(self) -> QueueError:
        """Make the error that tells the queue what follows."""
        meaning = self.meaning
        sentence = f"{self.detail}: {meaning.words}"
        if meaning.consequence == "operator" and self.look_at:
            sentence += f"; check {self.look_at}"
        if not meaning.not_sent:
            return SendUncertainError(f"perhaps sent: {sentence}", after_ms=self.after_ms)
        if meaning.consequence == "never":
            return GiveUpError(f"not sent, and never will be: {sentence}")
        if meaning.consequence == "number limit":
            return NumberLimitError(f"not sent: {sentence}", after_ms=self.after_ms)
        return RetryLaterError(
            f"not sent: {sentence}", after_ms=self.after_ms, blames=_BLAMED[meaning.consequence]
        )


def _status(
    status: str, consequence: Consequence, words: str, *, after_ms: int | None = None, not_sent: bool = True
) -> Meaning:
    return Meaning(code=status, consequence=consequence, words=words, after_ms=after_ms, not_sent=not_sent)


_ACCESS = "access is refused"
_MAYBE = "the server, or a proxy before it, failed on the way"
_AWAY = "the server does not answer the proxy before it"
STATUSES: dict[int, Meaning] = {
    400: _status("400", "later", "the request is not understood"),
    401: _status("401", "operator", _ACCESS),
    402: _status("402", "operator", "a payment is due"),
    403: _status("403", "operator", _ACCESS),
    404: _status("404", "operator", "the address or the account is unknown there"),
    405: _status("405", "operator", "the address is not one for sending"),
    407: _status("407", "operator", "a proxy asks for access"),
    408: _status("408", "outage", "the request came too slowly"),
    413: _status("413", "never", "the message is too large"),
    425: _status("425", "outage", "the request came too early"),
    429: _status("429", "number limit", "too many messages", after_ms=2_000),
    500: _status("500", "later", "the server failed", not_sent=False),
    502: _status("502", "later", _MAYBE, not_sent=False),
    503: _status("503", "outage", "the service is unavailable"),
    504: _status("504", "later", _MAYBE, not_sent=False),
    520: _status("520", "later", _MAYBE, not_sent=False),
    521: _status("521", "outage", _AWAY),
    522: _status("522", "outage", _AWAY),
    523: _status("523", "outage", _AWAY),
    524: _status("524", "later", _MAYBE, not_sent=False),
    529: _status("529", "outage", "the service is overloaded"),
}
"""HTTP statuses; 520 to 524 are those of Cloudflare."""
OTHERS = (
    _status("3xx", "operator", "the server is at another address"),
    _status("4xx", "later", "the request is refused"),
    _status("5xx", "outage", "the server cannot do it now"),
)
"""Meanings of all other statuses."""


def meaning_of_status(status: int) -> Meaning:
    """Return the meaning of an HTTP status that is not 2xx."""
    if status in STATUSES:
        return STATUSES[status]
    return OTHERS[0 if status < 400 else 1 if status < 500 else 2]


def refusal_by_status(answer: HttpAnswer, *, detail: str, settings: str) -> Refusal:
    """Read an answer that is not 2xx by its status alone.

    `detail` names who answered; `settings` names the settings to look at when access is refused.
    """
    return Refusal(
        meaning=meaning_of_status(answer.status),
        detail=f"{detail} answered {answer.status}",
        look_at=settings,
        asked_ms=answer.retry_after_ms,
    )
