"""Errors of the WhatsApp Cloud API, as answers to a send and as reports of failed deliveries.

Codes: Meta, "Error codes" and "Throughput" of the WhatsApp Business Platform (May 2026), "Handle errors" of the Graph
API. Meta says that the code decides, and not the HTTP status.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from queue_core.channels.errors import Consequence, Meaning, Refusal, meaning_of_status
from queue_core.channels.values import json_object, mapping, objects, text, whole_number
from queue_core.http_client import RETRY_AFTER_S_MAX, HttpAnswer

PAIR_LIMIT_MS = 8_000
"""Wait after too many messages to one user: WhatsApp allows one in 6 s in the long run."""

_SECOND, _MINUTE = 1_000, 60_000

# consequence, code, meaning in words, and the wait in ms where Meta's page gives a reason for one.
_ROWS: tuple[tuple[Consequence, int, str] | tuple[Consequence, int, str, int], ...] = (
    # Access: the operator has to act, and every user is concerned.
    ("operator", 0, "the access token is not accepted"),
    ("operator", 3, "the app lacks a capability or a permission"),
    ("operator", 10, "the permission was not granted, or was removed"),
    ("operator", 102, "the session of the access token has ended"),
    ("operator", 190, "the access token has expired or was revoked"),
    ("operator", 131005, "access is denied: the permission is missing"),
    # The account or its number.
    ("operator", 33, "the phone number was deleted, or its id is wrong"),
    ("operator", 368, "the account is blocked for violations of a policy"),
    ("operator", 131031, "the account is locked"),
    ("operator", 131037, "the display name of the number is not approved"),
    ("operator", 131042, "a problem with the payment method of the account"),
    ("operator", 131044, "a problem with the payment method of the account"),
    ("operator", 131045, "the certificate of the number is wrong: register the number again"),
    ("operator", 131055, "this address sends marketing messages only"),
    ("outage", 131057, "the account is in maintenance, such as for a higher throughput", _MINUTE),
    ("operator", 131064, "the account has reached its limit for violations with templates", 5 * _MINUTE),
    ("operator", 133000, "an earlier removal of the number is not complete: remove it again"),
    ("outage", 133004, "the server is unavailable for now"),
    ("operator", 133005, "the PIN of the number is wrong"),
    ("operator", 133006, "the number must be verified again"),
    ("operator", 133008, "too many wrong PINs"),
    ("operator", 133009, "PINs were entered too fast"),
    ("operator", 133010, "the phone number is not registered on the Cloud API"),
    ("outage", 133015, "the number was deleted a short time ago", 5 * _MINUTE),
    ("outage", 133016, "the number was registered or removed too often", 10 * _MINUTE),
    ("outage", 2494100, "the number is in maintenance", _MINUTE),
    # Outages.
    ("outage", 2, "the service is down or overloaded"),
    ("outage", 131016, "the service is unavailable or overloaded"),
    # Limits of the app, the account or the number.
    ("number limit", 4, "the app has reached its limit on calls", _MINUTE),
    ("number limit", 17, "the user of the app has reached the limit on calls", _MINUTE),
    ("number limit", 32, "the page has reached its limit on calls", _MINUTE),
    ("number limit", 341, "the app has reached a limit", _MINUTE),
    ("number limit", 613, "too many calls within a time", _MINUTE),
    ("number limit", 80007, "the account has reached its limit on calls", _MINUTE),
    ("number limit", 80008, "the account has reached its limit on calls", _MINUTE),
    ("number limit", 130429, "too many messages of this number in a second", 2 * _SECOND),
    ("operator", 131048, "sending is limited, since users blocked or reported earlier messages", 5 * _MINUTE),
    ("pair limit", 131056, "too many messages to this user in a short time", PAIR_LIMIT_MS),
    # The user.
    ("never", 130472, "the user is part of an experiment of Meta, and does not get the message"),
    ("never", 130497, "the account must not send to users in this country"),
    ("never", 131021, "the recipient is the sender"),
    ("never", 131026, "undeliverable: not on WhatsApp, an old version, or the terms are not accepted"),
    ("never", 131030, "the number is not among the recipients of this test number"),
    ("never", 131043, "the message was not delivered in its time"),
    ("never", 131047, "more than 24 h have passed since the user wrote last"),
    ("never", 131049, "Meta does not deliver it, to keep users engaged"),
    ("never", 131050, "the user does not want marketing messages of this number"),
    ("never", 131062, "this message cannot be sent to a user id"),
    ("never", 137000, "the identity key of the user has changed"),
    ("never", 470, "more than 24 h have passed since the user wrote last"),
    # The message.
    ("never", 100, "a parameter is unknown or wrong"),
    ("never", 506, "the same message was posted a moment before"),
    ("never", 131001, "the message is too long"),
    ("never", 131002, "the type of the recipient is wrong"),
    ("never", 131008, "a parameter is missing"),
    ("never", 131009, "the value of a parameter is wrong"),
    ("never", 131020, "a group of one member cannot be written to"),
    ("never", 131041, "the group is unknown"),
    ("never", 131051, "this type of message is not supported"),
    ("never", 131052, "the media of the user cannot be downloaded"),
    ("never", 131053, "the media cannot be uploaded"),
    ("never", 131058, "this template is for test numbers only"),
    ("never", 131060, "the message is not available"),
    ("never", 131063, "marketing templates are switched off for the Cloud API"),
    ("never", 132000, "the number of the template's parameters is wrong"),
    ("never", 132001, "the template does not exist or is not approved"),
    ("never", 132005, "the text of the template is too long"),
    ("never", 132007, "the template violates a policy"),
    ("never", 132008, "a parameter of the template is wrong"),
    ("never", 132012, "a parameter of the template has a wrong form"),
    ("never", 132015, "the template is paused for its quality"),
    ("never", 132016, "the template is disabled for its quality"),
    ("never", 132068, "the flow is blocked"),
    ("never", 132069, "the flow is throttled"),
    ("never", 134011, "the terms for payments are not accepted"),
    ("never", 134102, "the template cannot be used"),
    # Perhaps passing.
    ("later", 134100, "only marketing templates can be sent here"),
    ("later", 134101, "the template is not ready yet", 5 * _MINUTE),
    ("later", 135000, "an error that Meta does not explain, with the parameters of the request"),
)
_PERMISSION = "a permission was not granted, or was removed"

CODES: Mapping[int, Meaning] = {
    **{code: Meaning(code=str(code), consequence="operator", words=_PERMISSION) for code in range(200, 300)},
    **{
        row[1]: Meaning(
            code=str(row[1]), consequence=row[0], words=row[2], after_ms=row[3] if len(row) == 4 else None
        )
        for row in _ROWS
    },
    1: Meaning(code="1", consequence="later", words="an error that Meta does not explain", not_sent=False),
    131000: Meaning(
        code="131000", consequence="later", words="an error that Meta does not explain", not_sent=False
    ),
}
"""Meaning of each code. 200 to 299 have one meaning."""
UNKNOWN_ID = Meaning(
    code="100, subcode 33",
    consequence="operator",
    words="the id of the phone number is unknown, or hidden from this token",
)
"""Meaning of code 100 with subcode 33, with which the Graph API answers for an unknown id."""


_NUMBER = re.compile(r"[0-9]{1,9}")
_CODE_IN_WORDS = re.compile(r"\(#([0-9]{1,9})\)")


def meaning_of(code: int | str) -> Meaning:
    """Return the meaning of a code. For a code without a row, the turn is tried again."""
    number = code if isinstance(code, int) else int(code) if _NUMBER.fullmatch(code) else -1
    if number in CODES:
        return CODES[number]
    return Meaning(code=str(code)[:20], consequence="later", words="an error that is not in the table")


def meaning_of_error(code: int, error: Mapping[str, Any]) -> Meaning:
    """Return the meaning of Meta's error object, which has this code."""
    return UNKNOWN_ID if _is_unknown_id(code, error) else meaning_of(code)


def refusal_of(answer: HttpAnswer) -> Refusal:
    """Read an answer that is not 2xx. Its error code decides if the table has a row for it, else its status."""
    status_words = f"the Cloud API answered {answer.status}"
    error = _error(answer.json())
    code = _code(error)
    if code is None or (code not in CODES and answer.status != 400):
        meaning = meaning_of_status(answer.status)
    else:
        meaning = meaning_of_error(code, error)
    if answer.status < 500:  # Meta refused the request, rather than failed while it sent
        meaning = msgspec.structs.replace(meaning, not_sent=True)
    detail = status_words if code is None else f"{status_words}, error {code}"
    return Refusal(
        meaning=meaning,
        detail=detail,
        look_at="CLOUD_ACCESS_TOKEN, the account and the phone number's id",
        asked_ms=max(
            answer.retry_after_ms, _blocked_ms(answer) if meaning.consequence == "number limit" else 0
        ),
    )


def words_of_failure(code: str, reason: str) -> str:
    """Return words for a report of a failed delivery: the meaning of its code, and the reason that Meta gives."""
    number = int(code) if _NUMBER.fullmatch(code) else -1
    known = CODES[number].words if number in CODES else ""
    return ": ".join(part for part in (known, reason) if part)


def _blocked_ms(answer: HttpAnswer) -> int:
    """Return the time until an account may call again, which the Graph API gives in minutes."""
    usage = json_object(answer.headers.get("X-Business-Use-Case-Usage"))
    minutes = (
        whole_number(limit.get("estimated_time_to_regain_access"))
        for limits in usage.values()
        for limit in objects(limits)
    )
    return max(0, min(max(minutes, default=0) * _MINUTE, int(RETRY_AFTER_S_MAX * 1000)))


def _error(body: Any) -> Mapping[str, Any]:
    """Return the object that describes the error: Meta's `error`, or the first of a partner gateway's `errors`."""
    error = mapping(body).get("error")
    return mapping(error) or next(iter(objects(mapping(body).get("errors"))), {})


def _is_unknown_id(code: int, error: Mapping[str, Any]) -> bool:
    """Return True if code 100 is about the id in the URL. Newer API versions leave out the subcode that says so."""
    subcode, words = whole_number(error.get("error_subcode")), text(error.get("message"))[:500]
    return code == 100 and (subcode == 33 or ("Object with ID" in words and "does not exist" in words))


def _code(error: Mapping[str, Any]) -> int | None:
    """Return the code of an error. A gateway may write it as a string, or only in the message."""
    code = error.get("code")
    if isinstance(code, str) and _NUMBER.fullmatch(code):
        return int(code)
    if isinstance(code, int) and not isinstance(code, bool):
        return code
    match = _CODE_IN_WORDS.search(text(error.get("message"))[:200])
    return int(match[1]) if match else None
