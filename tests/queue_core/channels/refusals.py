"""Answers with which providers of WhatsApp Web refuse a part, written anew from public reports, and what follows."""

from __future__ import annotations

from typing import Any, NamedTuple

from queue_core.channels.errors import Consequence


class Case(NamedTuple):
    """An answer, what follows, and whether the user certainly does not have the part."""

    status: int
    body: Any
    consequence: Consequence
    not_sent: bool = True


def evolution_body(status: int, message: Any) -> dict[str, Any]:
    """Make a body as the Evolution API writes it."""
    phrase = {400: "Bad Request", 404: "Not Found", 401: "Unauthorized"}.get(status, "Internal Server Error")
    return {"status": status, "error": phrase, "response": {"message": message}}


def _evolution(status: int, message: Any, consequence: Consequence, *, not_sent: bool = True) -> Case:
    return Case(status, evolution_body(status, message), consequence, not_sent)


EVOLUTION = {
    "closed, as a text": _evolution(500, "Connection Closed", "outage"),
    "closed, in a list": _evolution(400, ["Error: Connection Closed"], "outage"),
    "lost": _evolution(400, ["Error: Connection was lost"], "outage"),
    "terminated": _evolution(500, ["Connection Terminated by Server"], "outage"),
    "failure": _evolution(500, "Connection Failure", "outage"),
    "stream": _evolution(400, ["Error: Stream Errored (restart required)"], "outage"),
    "timed out": _evolution(400, ["Error: Timed Out"], "outage"),
    "pre-keys": _evolution(400, ["Error: Pre-key upload timeout"], "outage"),
    "cancelled": _evolution(400, ["Error: Query Cancelled"], "outage"),
    "not acceptable": _evolution(400, ["Error: not-acceptable"], "operator"),
    "rate": _evolution(400, ["Error: rate-overlimit"], "number limit"),
    "forbidden": _evolution(400, ["Error: forbidden"], "operator"),
    "not authorized": _evolution(400, ["Error: not-authorized"], "operator"),
    "logged out": _evolution(500, "Intentional Logout", "operator"),
    "whatsapp down": _evolution(400, ["Error: service-unavailable"], "outage"),
    "whatsapp failed": _evolution(400, ["Error: internal-server-error"], "outage"),
    "bad request": _evolution(400, ["Error: bad-request"], "later"),
    "item": _evolution(400, ["Error: item-not-found"], "later"),
    "no sessions": _evolution(400, ["SessionError: No sessions"], "later"),
    "encryption": _evolution(400, ["Error: All encryptions failed"], "later"),
    "unknown instance": _evolution(404, ['The "bot" instance does not exist'], "operator"),
    "unknown path": _evolution(404, ["Cannot POST /message/sendTxt/bot"], "operator"),
    "key": _evolution(401, "Unauthorized", "operator"),
    "not started": _evolution(500, "Cannot read properties of undefined (reading 'textMessage')", "outage"),
    "no client": _evolution(
        400, ["TypeError: Cannot read properties of undefined (reading 'sendMessage')"], "outage"
    ),
    "after sending": _evolution(
        400,
        ["TypeError: Cannot read properties of undefined (reading 'speechToText')"],
        "later",
        not_sent=False,
    ),
    "integration": _evolution(
        400, ["AxiosError: Request failed with status code 401"], "later", not_sent=False
    ),
    "stored too late": _evolution(
        400,
        ["PrismaClientKnownRequestError: Invalid `this.prismaRepository.message.create()` invocation"],
        "later",
        not_sent=False,
    ),
    "database": _evolution(
        500, "Invalid `prisma.contact.findMany()` invocation: Can't reach database server", "outage"
    ),
    "unknown": _evolution(400, ["C"], "outage"),
    "field": _evolution(400, [["instance.delay is not of a type(s) integer"]], "operator"),
    "new field": _evolution(400, [['instance requires property "options"']], "operator"),
    "no length": _evolution(400, [["instance.text does not meet minimum length of 1"]], "never"),
    "not ready": _evolution(500, "Cannot read properties of undefined (reading 'map')", "outage"),
    "upload": _evolution(400, ["Error: Media upload failed on all hosts"], "later"),
    "answer": _evolution(500, "Do not know how to serialize a BigInt", "later", not_sent=False),
    "not on WhatsApp": _evolution(400, [{"jid": "1@s.whatsapp.net", "exists": False, "number": "1"}], "now"),
    "not on WhatsApp, alone": _evolution(400, {"jid": "1@lid", "exists": False, "number": "1"}, "now"),
    "no LID": _evolution(400, ["Error: Unable to resolve PN JID for LID: 1@lid"], "now"),
    "v1": _evolution(400, [['instance requires property "textMessage"']], "now"),
    "v2": _evolution(400, [['instance requires property "text"']], "now"),
    "unknown failure": _evolution(500, "x is not a function", "later", not_sent=False),
    "proxy": Case(502, "<html>bad gateway</html>", "later", not_sent=False),
    "meta, window": Case(
        201, {"message": "(#131047) x", "code": 131047, "error_data": {"details": "x"}}, "never"
    ),
    "meta, token": Case(
        201, {"message": "Authentication Error", "code": 0, "type": "OAuthException"}, "operator"
    ),
    "meta, unknown number": Case(
        201,
        {"message": "Unsupported post request. Object with ID '1' does not exist", "code": 100},
        "operator",
    ),
    "meta, unknown number, with a subcode": Case(
        201, {"message": "x", "code": 100, "error_subcode": 33, "type": "GraphMethodException"}, "operator"
    ),
    "meta, parameter": Case(201, {"message": "(#100) Invalid parameter", "code": 100}, "never"),
    "meta, pair limit": Case(
        201, {"message": "(#131056) x", "code": 131056, "type": "OAuthException"}, "pair limit"
    ),
}
EVOLUTION_GO = {
    "no session": Case(500, {"error": "no active session found"}, "outage"),
    "disconnected": Case(500, {"error": "client disconnected"}, "outage"),
    "connecting": Case(500, {"error": "failed to connect client after 2 attempts"}, "outage"),
    "attempts": Case(500, {"error": "failed to send text after 3 attempts"}, "outage"),
    "websocket": Case(500, {"error": "failed to send usync query: websocket not connected"}, "outage"),
    "query": Case(
        500,
        {"error": "failed to get device list: failed to send usync query: info query timed out"},
        "outage",
    ),
    "keys": Case(500, {"error": "failed to send prekey request: websocket not connected"}, "outage"),
    "preparing": Case(
        500, {"error": "failed to get user info for x to fill LID cache: unexpected EOF"}, "outage"
    ),
    "no device": Case(500, {"error": "the store doesn't contain a device JID"}, "operator"),
    "no instance": Case(500, {"error": "instance not found"}, "operator"),
    "token": Case(401, {"error": "not authorized"}, "operator"),
    "unconfirmed": Case(
        500, {"error": "timed out waiting for message send response"}, "later", not_sent=False
    ),
    "cut off": Case(
        500,
        {"error": "websocket disconnected before message send returned response"},
        "later",
        not_sent=False,
    ),
    "after sending": Case(500, {"error": "failed to marshal message: json: x"}, "later", not_sent=False),
    "error 400": Case(500, {"error": "server returned error 400"}, "outage"),
    "error 401": Case(500, {"error": "server returned error 401"}, "operator"),
    "error 403": Case(500, {"error": "server returned error 403"}, "later"),
    "error 420": Case(500, {"error": "server returned error 420"}, "later"),
    "error 429": Case(500, {"error": "server returned error 429"}, "number limit"),
    "error 463": Case(500, {"error": "server returned error 463"}, "later"),
    "error 479": Case(500, {"error": "server returned error 479"}, "later"),
    "error 500": Case(500, {"error": "server returned error 500"}, "outage"),
    "rate": Case(500, {"error": "info query returned status 429: rate-overlimit"}, "number limit"),
    "no keys": Case(
        500, {"error": "can't encrypt message for device: no signal session established"}, "later"
    ),
    "not registered": Case(500, {"error": "number +1@s.whatsapp.net is not registered on WhatsApp"}, "now"),
    "not found": Case(500, {"error": "User not found on WhatsApp"}, "now"),
    "no LID": Case(500, {"error": "no LID found for 1@s.whatsapp.net from server"}, "now"),
    "format": Case(400, {"error": "Invalid number format: number cannot be empty"}, "now"),
    "phone": Case(500, {"error": "could not parse phone: 1"}, "now"),
    "empty": Case(400, {"error": "message body is required"}, "never"),
    "json": Case(400, {"error": "EOF"}, "later"),
    "type": Case(400, {"error": "json: cannot unmarshal string into Go struct field .delay"}, "operator"),
    "unknown": Case(500, {"error": "assertion failed"}, "later", not_sent=False),
    "error with 200": Case(200, {"error": "number 1@s.whatsapp.net is not registered on WhatsApp"}, "now"),
    "unknown error with 200": Case(200, {"error": "x"}, "later", not_sent=False),
}


def _exception(message: str, **further: Any) -> dict[str, Any]:
    """Make a body of WAHA, which quotes the request: the text of the reply must not decide."""
    return {
        "statusCode": 500,
        "exception": {
            "message": message,
            "name": "Error",
            "stack": "Error: Connection Closed\n at x",
            **further,
        },
        "request": {
            "path": "/api/sendText",
            "body": {"text": "Connection Closed, rate-overlimit, logged out"},
        },
    }


def _status(status: str) -> dict[str, Any]:
    return {
        "error": "Session status is not as expected. Try again later or restart the session",
        "session": "default",
        "status": status,
        "expected": ["WORKING"],
    }


WAHA = {
    "starting": Case(422, _status("STARTING"), "outage"),
    "code": Case(422, _status("SCAN_QR_CODE"), "operator"),
    "stopped": Case(422, _status("STOPPED"), "operator"),
    "failed": Case(422, _status("FAILED"), "operator"),
    "another status": Case(422, _status("PASSKEY"), "outage"),
    "old form": Case(
        422,
        {"statusCode": 422, "message": "The session under FAILED status. Please try to restart it."},
        "outage",
    ),
    "unknown 422": Case(422, {"message": "x"}, "outage"),
    "no session": Case(
        404, {"message": "We didn't find a session with name 'x'.", "statusCode": 404}, "operator"
    ),
    "edition": Case(
        422, {"message": "WAHA Core support only 'default' session.", "statusCode": 422}, "operator"
    ),
    "key": Case(401, {"message": "Unauthorized", "statusCode": 401}, "operator"),
    "closed": Case(500, _exception("Connection Closed"), "outage"),
    "timed out": Case(500, _exception("Timed Out"), "outage"),
    "no sessions": Case(500, _exception("No sessions"), "later"),
    "gows 400": Case(
        500, _exception("2 UNKNOWN: server returned error 400", details="server returned error 400"), "outage"
    ),
    "gows 463": Case(500, _exception("2 UNKNOWN: server returned error 463"), "later"),
    "gows away": Case(500, _exception("14 UNAVAILABLE: No connection established. Last error: x"), "outage"),
    "gows slow": Case(500, _exception("4 DEADLINE_EXCEEDED: Deadline exceeded"), "later", not_sent=False),
    "no LID": Case(500, _exception("No LID for user"), "now"),
    "no chat": Case(500, _exception("Lid is missing in chat table"), "now"),
    "not loaded": Case(
        500,
        _exception("Evaluation failed: Cannot read properties of undefined (reading 'sendSeen')"),
        "operator",
    ),
    "too new": Case(
        500, _exception("Cannot read properties of undefined (reading 'markedUnread')"), "operator"
    ),
    "no text": Case(400, {"message": ["text should not be empty"], "error": "Bad Request"}, "never"),
    "another form": Case(400, {"message": ["reply_to must be a string"], "error": "Bad Request"}, "operator"),
    "page closed": Case(
        500,
        _exception(
            "Protocol error (Runtime.callFunctionOn): Session closed. Most likely the page has been closed."
        ),
        "outage",
    ),
    "browser": Case(
        500,
        _exception("Runtime.callFunctionOn timed out. Increase the 'protocolTimeout' setting"),
        "later",
        not_sent=False,
    ),
    "unknown": Case(500, _exception("x is not a function"), "later", not_sent=False),
}
