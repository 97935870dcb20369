"""Evolution Go: the proof of a post, the key of each instance, and what its answers to a reply mean."""

from __future__ import annotations

import json

import pytest
from pydantic import SecretStr

from queue_core.channels.base import Post, UnauthorizedError
from queue_core.channels.evolution_go.channel import EvolutionGoChannel
from queue_core.channels.evolution_go.provider import EvolutionGo, keys_by_instance
from queue_core.errors import GiveUpError, RetryLaterError, SendUncertainError
from queue_core.http_client import new_session
from tests.queue_core.stub_http import Answer, batch, stub

SECRET = "secret-of-evolution-go"


def test_the_secret_may_be_in_the_path_or_in_the_body() -> None:
    provider = EvolutionGo(webhook_secret=SecretStr(SECRET))
    provider.authenticate(Post(b"{}", {}, {"secret": SECRET}, json.loads))
    provider.authenticate(Post(json.dumps({"instanceToken": SECRET}).encode(), {}, {}, json.loads))
    for body, path in ((b"{}", {}), (b"[]", {"secret": "wrong"}), (b'{"instanceToken": 7}', {"secret": ""})):
        with pytest.raises(UnauthorizedError):
            provider.authenticate(Post(body, {}, path, json.loads))
    with pytest.raises(UnauthorizedError):
        EvolutionGo().authenticate(Post(b'{"instanceToken": ""}', {}, {"secret": ""}, json.loads))


def test_keys_are_read_by_instance() -> None:
    assert keys_by_instance("one-token") == {"": "one-token"}
    assert keys_by_instance("shop=a, bank=b,") == {"shop": "a", "bank": "b"}
    assert keys_by_instance("dG9rZW4==") == {"": "dG9rZW4=="}
    assert keys_by_instance("shop=dG9rZW4=,a=b=c") == {"shop": "dG9rZW4=", "a=b": "c"}


async def test_it_sends_and_shows_typing() -> None:
    turn = batch("hello", instance="shop", reply_to="1@lid")
    async with stub(Answer({"message": "success"})) as server, new_session() as session:
        channel = EvolutionGoChannel(session, server.url, {"shop": "a", "": "z"}, timeout_s=5)
        assert [part async for part in channel.send(turn, "hi")] == []
        await channel.show_typing(turn.messages[0])
        assert [part async for part in channel.send(batch("x", instance="other"), "hi")] == []
    assert server.paths == ["/send/text", "/message/presence", "/send/text"]
    assert server.bodies[0] == {"number": "1@lid", "text": "hi"}
    assert server.bodies[1]["state"] == "composing"
    assert [headers["apikey"] for headers in server.headers] == ["a", "a", "z"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer({"error": "client disconnected"}, status=500), RetryLaterError),
        (Answer({"error": "no active session found"}, status=500), RetryLaterError),
        (Answer({"error": "timeout"}, status=500), SendUncertainError),
        (Answer({"error": "not authorized"}, status=401), RetryLaterError),
        (Answer({"error": "phone number is required"}, status=400), GiveUpError),
    ],
)
async def test_a_refusal_raises_the_error_that_it_means(answer: Answer, expected: type[Exception]) -> None:
    async with stub(answer) as server, new_session() as session:
        channel = EvolutionGoChannel(session, server.url, {"": "z"}, timeout_s=5)
        with pytest.raises(expected):
            [part async for part in channel.send(batch("x"), "hi")]
