"""Errors of the libraries that speak WhatsApp Web, as the Evolution API, Evolution Go and WAHA pass them on.

Baileys (`Socket/`, `Utils/generics.ts`, `DisconnectReason`): Evolution API, and WAHA with NOWEB. whatsmeow
(`errors.go`, `send.go`): Evolution Go, and WAHA with GOWS. whatsapp-web.js in a browser: WAHA with WEBJS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

import msgspec

from queue_core.channels.errors import Consequence, Meaning, Refusal, refusal_by_status
from queue_core.http_client import HttpAnswer

_MINUTE = 60_000
_DEPTH_MAX, _WORDS_MAX, _CHARACTERS_MAX = 6, 20, 500
_KEYS = frozenset(
    {
        "error",
        "errors",
        "message",
        "response",
        "exception",
        "details",
        "reason",
        "errorMessage",
        "description",
    }
)
"""Keys under which answers describe the error. Other keys, such as WAHA's `request`, quote the user."""
_PHRASES = frozenset(status.phrase for status in HTTPStatus)
"""Words that only repeat the status."""


class Row(msgspec.Struct, frozen=True):
    """Row of a table: words of an error, and their meaning."""

    pattern: re.Pattern[str]
    """Expression that finds the words. The text of its group `number` is appended to the code in the reason."""
    meaning: Meaning

    def read(self, words: str) -> Meaning | None:
        """Return the meaning if the words match; else None."""
        match = self.pattern.search(words)
        number = match and match.groupdict().get("number")
        code = f"{self.meaning.code} {number}"
        return msgspec.structs.replace(self.meaning, code=code) if number else match and self.meaning


def row(
    consequence: Consequence,
    code: str,
    pattern: str,
    words: str,
    *,
    after_ms: int | None = None,
    not_sent: bool = True,
) -> Row:
    """Make a row. The reason shows `code` instead of the provider's words, which could name a user."""
    meaning = Meaning(code=code, consequence=consequence, words=words, after_ms=after_ms, not_sent=not_sent)
    return Row(re.compile(pattern, re.IGNORECASE), meaning)


# The first row that matches counts. Rows of MAYBE come first, since their words may contain those of other rows.
MAYBE = (
    row("later", "timed out waiting", r"timed out waiting for message send response",
        "WhatsApp did not confirm the message", not_sent=False),
    row("later", "disconnected before", r"websocket disconnected before .* returned response",
        "the connection ended before WhatsApp confirmed the message", not_sent=False),
    row("later", "deadline exceeded", r"deadline[ _]exceeded|context canceled",
        "the library stopped waiting for WhatsApp", not_sent=False),
    row("later", "browser timed out", r"callFunctionOn timed out|protocolTimeout|Target closed|context was destroyed",
        "the browser did not confirm the message", not_sent=False),
    row("later", "integration", r"AxiosError|timeout of \d+ ?ms exceeded|socket hang up",
        "an integration of the server failed, perhaps after the message was sent", not_sent=False),
    row("later", "database, after sending", r"prisma.*\b(?:create|update|upsert)",
        "the database failed, perhaps after the message was sent", not_sent=False),
    row("later", "serializing", r"serialize a BigInt|circular structure",
        "the server failed to answer after sending", not_sent=False),
    row("later", "failed to marshal", r"failed to (?:un)?marshal message",
        "the server failed after sending", not_sent=False),
)  # fmt: skip
USER = (
    row("now", "not on WhatsApp",
        r"not (?:registered )?on WhatsApp|not found (?:on|in) WhatsApp|not a WhatsApp user|invalid wid|wid error",
        "the user, who has just written, is not found at any known address", after_ms=30_000),
    row("now", "no LID",
        r"no LID (?:for|found)|lid is missing|unable to resolve (?:PN|LID)|failed to get LID|unknown user server",
        "the library does not know any address of the user", after_ms=30_000),
    row("now", "invalid address",
        r"could not parse (?:formatted )?phone|invalid jid|invalid (?:phone |number |jid )*(?:number|format)"
        r"|message recipient must be a user|message to unknown server|phone number too short|international phone",
        "no address of the user is accepted", after_ms=30_000),
)  # fmt: skip
ACCOUNT = (
    row("operator", "logged out",
        r"logged ?out|not logged in|doesn't contain a device JID|^(?:Error: )?not-authorized|Not authenticated"
        r"|server returned error 401|not authenticated yet|intentional logout|connection replaced|status 401",
        "the account is logged out: scan its code again"),
    row("operator", "banned", r"^(?:Error: )?forbidden$|status 403|account (?:is |was )?(?:banned|blocked)",
        "WhatsApp forbids this account to send"),
    row("operator", "not-acceptable", r"not-acceptable|status 406",
        "WhatsApp does not accept this connection: restart it"),
    row("operator", "engine", r"reading '(?:markedUnread|sendSeen|getChat)'",
        "WhatsApp Web has not loaded, or is too new for this server: restart or update it"),
    row("outage", "error 400", r"server returned error 400\b",
        "WhatsApp refuses all messages of this connection: restart it", after_ms=5_000),
    row("number limit", "rate-overlimit", r"rate-overlimit|server returned error 429\b|status 429|too many requests",
        "too many messages or queries of this account", after_ms=10_000),
)  # fmt: skip
CONNECTION = (
    row("outage", "Connection Closed",
        r"connection (?:was )?(?:closed|lost|terminated|failure|reset)|stream errored|WebSocket (?:Error|was closed)"
        r"|query cancell?ed|^(?:Error: )?cancelled$",
        "the connection to WhatsApp was closed"),
    row("outage", "not connected",
        r"websocket not connected|(?:client|instance|session|socket|account) (?:is )?(?:not connected|disconnected|nil)"
        r"|no active session|failed to connect client|failed to send text after|not connected to whatsapp"
        r"|reading '(?:textMessage|sendMessage|sendText|onWhatsApp|user|sendPresenceUpdate|waitForSocketOpen)'",
        "the account is not connected to WhatsApp"),
    row("outage", "Timed Out",
        r"^(?:Error: )?timed out$|pre-key upload timeout|info query timed out|query timed out",
        "WhatsApp did not answer a query that comes before the message"),
    row("outage", "failed to prepare",
        r"failed to (?:get|fetch|send|query|resolve|store) (?:device list|usync|user info|pre-?keys?|PN|LID mapping)"
        r"|error getting prekeys|empty response to prekey",
        "WhatsApp did not answer a query that comes before the message"),
    row("outage", "service-unavailable",
        r"\b(?:service-unavailable|internal-server-error|partial-server-error)\b|server returned error 5\d\d"
        r"|status 5[03]\d",
        "WhatsApp itself has a failure"),
    row("outage", "page closed", r"detached frame|session closed|page has been closed|browser has disconnected",
        "the browser of the account is closed"),
    row("outage", "database", r"prisma|database",
        "the database does not answer"),
    row("outage", "UNAVAILABLE", r"\b14 UNAVAILABLE|ECONNREFUSED|ENOTFOUND|EAI_AGAIN|no connection established",
        "a part of the server does not answer"),
)  # fmt: skip
FORM = row(
    "operator",
    "form",
    r"requires property|is not of a type|additional property|property \w+ should not exist"
    r"|must be an? (?:string|object|number|boolean)|cannot unmarshal",
    "the server expects requests of another form: another version of it is running",
)
REQUEST = (
    row("never", "value",
        r"(?:should|must|can) ?not be (?:an )?empty|does not meet (?:minimum|maximum) length"
        r"|must be (?:longer|shorter) than",
        "the text or the address is not accepted"),
    FORM,
)  # fmt: skip
"""Faults of a request that the server finds before it does anything: the same request has the same fault again."""
TURN = (
    row("later", "media upload", r"media upload failed|failed to upload",
        "a file of the message cannot be uploaded"),
    row("later", "error 463", r"server returned error 463\b|reach-?out time-?lock",
        "WhatsApp holds back messages of this account to this user", after_ms=10 * _MINUTE),
    row("later", "error 403", r"server returned error 403\b",
        "WhatsApp refuses messages to this user for now", after_ms=10 * _MINUTE),
    row("later", "error 479", r"server returned error (?:421|479)\b",
        "WhatsApp asks for other keys or another address of the user", after_ms=15_000),
    row("later", "no keys",
        r"no (?:signal )?sessions?\b|no open session|bad mac|all encryptions failed|can't encrypt message",
        "there are no keys for the user's devices yet", after_ms=5_000),
    row("later", "error", r"server returned error (?P<number>\d{1,3})\b",
        "WhatsApp refused the message"),
    row("later", "query error",
        r"^(?:Error: )?(?:bad-request|item-not-found|resource-limit|gone|locked|not-allowed|conflict)$|query returned",
        "WhatsApp refused a query that comes before the message"),
    row("later", "reading a property", r"cannot read propert(?:y|ies) of (?:undefined|null)",
        "the server failed, perhaps after the message was sent", not_sent=False),
)  # fmt: skip
ROWS = (*MAYBE, *USER, *ACCOUNT, *CONNECTION, *REQUEST, *TURN)
"""Rows that all providers share. The rows of one provider come before them."""


def words_of(body: Any) -> list[str]:
    """Return the texts in which an answer describes its error, without those that only repeat the status."""
    return [words for words in _texts(body, _DEPTH_MAX) if words not in _PHRASES][:_WORDS_MAX]


def meaning_in(words: Iterable[str], rows: Iterable[Row]) -> Meaning | None:
    """Return the meaning of the first row that matches any of the words."""
    texts = [text[:_CHARACTERS_MAX] for text in words]
    return next((meaning for each in rows for text in texts if (meaning := each.read(text))), None)


def refusal_in(
    answer: HttpAnswer, rows: Iterable[Row], *, detail: str, settings: str, default: Meaning | None = None
) -> Refusal:
    """Read an answer that refuses a part: by its words, or else by `default` or by its status.

    `detail` names who answered; `settings` names the settings to look at when access is refused.
    """
    known = meaning_in(words_of(answer.json()), rows)
    by_status = refusal_by_status(answer, detail=detail, settings=settings)
    if known:
        return msgspec.structs.replace(by_status, meaning=known, detail=f"{by_status.detail}, {known.code}")
    unknown = default or (UNKNOWN_WITH_SUCCESS if answer.is_success else by_status.meaning)
    return msgspec.structs.replace(by_status, meaning=unknown)


UNKNOWN_WITH_SUCCESS = Meaning(
    code="2xx", consequence="later", words="an error in an answer whose status says success", not_sent=False
)
"""Meaning of an error that no row describes, in an answer whose status says success."""


def _texts(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and depth:
        for item in value[:_WORDS_MAX]:
            yield from _texts(item, depth - 1)
    elif isinstance(value, dict) and depth:
        for key, item in value.items():
            if key in _KEYS:
                yield from _texts(item, depth - 1)
