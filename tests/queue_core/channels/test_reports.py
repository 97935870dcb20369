"""Bodies of errors as public reports and tables of the providers show them, written anew, and what follows each.

Sources: Meta's error codes and the copies of 360dialog, Niswey and Wolkvox; issues of the Evolution API (241, 978,
1247, 1509, 1613, 2111, 2229, 2570), its nodes for n8n (2, 30), Baileys (797), WAHA (834, 1045, 1329, 1644, 1904, 2110),
whatsmeow (380, 679, 690, 1074), wuzapi (95).
"""

from __future__ import annotations

import json
from typing import Any

from queue_core.channels.cloud import errors as cloud
from queue_core.channels.errors import Consequence
from queue_core.http_client import HttpAnswer
from tests.queue_core.channels.refusals import evolution_body
from tests.queue_core.channels.whatsapp_web.test_errors import READERS


def _meta(code: int, message: str, **further: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "OAuthException", "code": code, **further}}


def _exception(message: str) -> dict[str, Any]:
    """Make a body of WAHA, which quotes the request."""
    request = {"path": "/api/sendText", "body": {"chatId": "1@c.us", "text": "rate-overlimit, logged out"}}
    return {"statusCode": 500, "exception": {"message": message, "name": "Error"}, "request": request}


CASES: list[tuple[str, int, Any, Consequence, bool]] = [
    ("cloud", 403, _meta(131057, "(#131057) Account in maintenance mode"), "outage", True),
    ("cloud", 500, _meta(131045, "(#131045) Incorrect certificate"), "operator", True),
    ("cloud", 403, _meta(130497, "(#130497) Business account is restricted in this country"), "never", True),
    ("cloud", 400, _meta(131048, "(#131048) Spam rate limit hit"), "operator", True),
    ("cloud", 400, _meta(131051, "(#131051) Unsupported message type"), "never", True),
    ("cloud", 400, _meta(131021, "(#131021) Recipient cannot be sender"), "never", True),
    ("cloud", 400, _meta(131008, "(#131008) Required parameter is missing"), "never", True),
    ("cloud", 401, _meta(0, "AuthException: We were unable to authenticate the app user."), "operator", True),
    ("cloud", 401, _meta(190, "Invalid OAuth access token - Cannot parse access token"), "operator", True),
    ("cloud", 400, _meta(100, "Object with ID '1' does not exist", error_subcode=33), "operator", True),
    ("cloud", 400, _meta(33, "(#33) Parameter value is not valid"), "operator", True),
    ("cloud", 500, _meta(3, "(#3) Application does not have the capability to make this API call."), "operator", True),
    ("cloud", 500, _meta(1, "An unknown error has occurred."), "later", False),
    ("cloud", 503, _meta(2, "Service temporarily unavailable"), "outage", True),
    ("cloud", 400, _meta(131053, "(#131053) Media upload error"), "never", True),
    ("cloud", 403, _meta(200, "(#200) You do not have the necessary permissions"), "operator", True),
    ("cloud", 403, _meta(131005, "(#131005) Access denied"), "operator", True),
    ("cloud", 400, _meta(131037, "(#131037) The number needs approval of its name"), "operator", True),
    ("cloud", 400, _meta(131050, "(#131050) This recipient does not want marketing messages"), "never", True),
    ("cloud", 429, "Too Many Requests", "number limit", True),
    ("cloud", 400, _meta(133015, "(#133015) Please wait before you register"), "outage", True),
    ("cloud", 400, _meta(139123, "(#139123) Something new"), "later", True),
    ("evolution", 400, evolution_body(400, ["SessionError: No sessions"]), "later", True),
    ("evolution", 500, evolution_body(500, "Timed Out"), "outage", True),
    ("evolution", 400, evolution_body(400, ["Invalid `this.prismaRepository.message.create()`"]), "later", False),
    ("evolution", 400, evolution_body(400, ["C"]), "outage", True),
    ("evolution", 400, evolution_body(400, [['instance requires property "textMessage"']]), "now", True),
    ("evolution", 400, evolution_body(400, ["Error: rate-overlimit"]), "number limit", True),
    ("evolution", 504, "<html><head><title>504 Gateway Time-out</title></head></html>", "later", False),
    ("evolution", 500, evolution_body(500, ["Error: Intentional Logout"]), "operator", True),
    ("waha", 500, _exception("2 UNKNOWN: server returned error 463"), "later", True),
    ("waha", 422, {"statusCode": 422, "message": "WAHA Core support only 'default' session."}, "operator", True),
    ("waha", 500, _exception("No sessions"), "later", True),
    ("waha", 429, {"statusCode": 429, "message": "ThrottlerException: Too Many Requests"}, "number limit", True),
    ("waha", 500, _exception("Protocol error (Runtime.callFunctionOn): Target closed."), "later", False),
    ("evolution_go", 500, {"error": "failed to get device list: websocket not connected"}, "outage", True),
    ("evolution_go", 500, {"error": "server returned error 463"}, "later", True),
    ("evolution_go", 500, {"error": "the store doesn't contain a device JID"}, "operator", True),
    ("evolution_go", 500, {"error": "server returned error 403"}, "later", True),
    ("evolution_go", 500, {"error": "server returned error 420"}, "later", True),
    ("cloud", 500, _meta(131000, "(#131000) Generic error", error_subcode=2494002), "later", False),
    ("cloud", 401, _meta(190, "Session has expired.", error_subcode=463), "operator", True),
    ("cloud", 400, _meta(131042, "(#131042) Business eligibility payment issue"), "operator", True),
    ("cloud", 400, _meta(131026, "(#131026) Message undeliverable"), "never", True),
    ("cloud", 429, _meta(130429, "(#130429) Rate limit hit"), "number limit", True),
    ("cloud", 403, _meta(368, "(#368) Temporarily blocked for policies violations"), "operator", True),
    ("evolution", 400, evolution_body(400, ["Error: Connection Closed"]), "outage", True),
    ("evolution", 400, evolution_body(400, [['instance requires property "text"']]), "now", True),
    ("evolution", 400, evolution_body(400, [{"jid": "2@s.whatsapp.net", "exists": False, "number": "2"}]), "now", True),
    ("waha", 422, {"error": "Session status is not as expected. Try again later or restart the session",
                   "session": "default", "status": "STARTING", "expected": ["WORKING"]}, "outage", True),
    ("waha", 500, _exception("async-lock timed out in queue auth"), "later", False),
    ("waha", 500, _exception("2 UNKNOWN: server returned error 400"), "outage", True),
    ("evolution_go", 500, {"code": 500, "error": "error sending message: server returned error 479", "success": False},
     "later", True),
]  # fmt: skip
"""Provider, status and body, what follows, and True if the user certainly does not have the part."""


def test_what_follows_each_report() -> None:
    wrong = []
    for provider, status, body, consequence, not_sent in CASES:
        raw = body if isinstance(body, str) else json.dumps(body)
        refusal = READERS.get(provider, cloud.refusal_of)(HttpAnswer(status, raw.encode(), None))
        assert refusal is not None
        if (refusal.meaning.consequence, refusal.meaning.not_sent) != (consequence, not_sent):
            wrong.append((provider, body, refusal.meaning))
    assert wrong == []
