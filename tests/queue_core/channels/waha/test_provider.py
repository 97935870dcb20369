"""WAHA: the signature of a post, and what its answers to a reply mean."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest
from pydantic import SecretStr

from queue_core.channels.base import Post, UnauthorizedError
from queue_core.channels.waha.channel import WahaChannel
from queue_core.channels.waha.provider import Waha
from queue_core.errors import RetryLaterError, SendUncertainError
from queue_core.http_client import new_session
from tests.queue_core.stub_http import Answer, batch, stub

KEY = "key-of-the-webhooks"
BODY = b'{"event": "message"}'
GOOD = hmac.new(KEY.encode(), BODY, hashlib.sha512).hexdigest()


def test_only_a_post_with_the_right_signature_is_authentic() -> None:
    provider = Waha(hmac_key=SecretStr(KEY))
    for shown in (GOOD, GOOD.upper()):
        provider.authenticate(Post(BODY, {"X-Webhook-Hmac": shown}, {}, json.loads))
    for shown in ("", GOOD[:-1], "سر"):
        with pytest.raises(UnauthorizedError):
            provider.authenticate(Post(BODY, {"X-Webhook-Hmac": shown}, {}, json.loads))
    with pytest.raises(UnauthorizedError):
        provider.authenticate(Post(BODY + b" ", {"X-Webhook-Hmac": GOOD}, {}, json.loads))
    with pytest.raises(UnauthorizedError):
        Waha().authenticate(Post(BODY, {"X-Webhook-Hmac": GOOD}, {}, json.loads))


async def test_it_sends_and_shows_typing() -> None:
    turn = batch("hello", instance="shop", reply_to="1@lid")
    async with stub(Answer({"id": "true_1@lid_R1"}, status=201)) as server, new_session() as session:
        channel = WahaChannel(session, server.url, "k", timeout_s=5)
        assert [part async for part in channel.send(turn, "hi")] == []
        await channel.show_typing(batch("x", instance="shop").messages[0])
    assert server.paths == ["/api/sendText", "/api/startTyping"]
    assert server.bodies[0] == {"session": "shop", "chatId": "1@lid", "text": "hi"}
    assert server.bodies[1] == {"session": "shop", "chatId": "966500000001@c.us"}
    assert server.headers[0]["X-Api-Key"] == "k"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer({}, status=422), RetryLaterError),
        (Answer({}, status=401), RetryLaterError),
        (Answer({}, status=500), SendUncertainError),
    ],
)
async def test_a_refusal_raises_the_error_that_it_means(answer: Answer, expected: type[Exception]) -> None:
    async with stub(answer) as server, new_session() as session:
        channel = WahaChannel(session, server.url, "", timeout_s=5)
        with pytest.raises(expected):
            [part async for part in channel.send(batch("x"), "hi")]
