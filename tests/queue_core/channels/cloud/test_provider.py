"""The Cloud API's proofs: the signature of a post, and the token of a subscription."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest
from pydantic import SecretStr

from queue_core.channels.base import Post, UnauthorizedError
from queue_core.channels.cloud.provider import Cloud

BODY, SECRET = b'{"a": "\xd8\xb9"}', "app secret"
GOOD = "sha256=" + hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()


def authenticate(body: bytes, signature: str | None, secret: str = SECRET) -> None:
    headers = {} if signature is None else {"X-Hub-Signature-256": signature}
    Cloud(app_secret=SecretStr(secret)).authenticate(Post(body, headers, {}, json.loads))


def test_only_a_post_with_the_right_signature_is_authentic() -> None:
    authenticate(BODY, GOOD)
    authenticate(BODY, GOOD.upper())
    wrong = ("", "sha256=", GOOD[:-1], GOOD + "0", GOOD.removeprefix("sha256="), "sha256=سر")
    for signature in (None, *wrong, GOOD.replace("sha256", "sha1")):
        with pytest.raises(UnauthorizedError):
            authenticate(BODY, signature)
    with pytest.raises(UnauthorizedError):
        authenticate(BODY + b" ", GOOD)
    with pytest.raises(UnauthorizedError):
        authenticate(BODY, GOOD, "other")


def test_a_subscription_is_answered_only_with_the_right_token() -> None:
    query = {"hub.mode": "subscribe", "hub.verify_token": "token", "hub.challenge": "123"}
    ours = Cloud(verify_token=SecretStr("token"))
    assert ours.answer_handshake(query) == "123"
    for wrong in ({"hub.verify_token": "سر"}, {"hub.mode": "unsubscribe"}, {"hub.verify_token": ""}):
        with pytest.raises(UnauthorizedError):
            ours.answer_handshake(query | wrong)
    with pytest.raises(UnauthorizedError):
        ours.answer_handshake({})
    with pytest.raises(UnauthorizedError):
        Cloud().answer_handshake(query | {"hub.verify_token": ""})
