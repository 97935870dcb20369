"""Channels against a real HTTP server: what is sent, and whether the user may have it after each refusal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest

from queue_core import GiveUpError, RetryLaterError
from queue_core.channels.base import Channel
from queue_core.channels.cloud.channel import CloudChannel
from queue_core.channels.console import ConsoleChannel
from queue_core.channels.evolution.channel import EvolutionChannel
from queue_core.channels.evolution_go.channel import EvolutionGoChannel
from queue_core.channels.waha.channel import WahaChannel
from queue_core.errors import SendUncertainError
from queue_core.http_client import NotReachedError, UnansweredError, new_session, post_json
from queue_core.message import Batch
from queue_core.sent import SentPart, noting_sent
from tests.queue_core.stub_http import Answer, batch, stub

TOKEN = "token-of-the-test"
SENT = Answer({"key": {"id": "out"}, "messages": [{"id": "wamid.out"}]}, status=201)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with new_session() as opened:
        yield opened


def channel_of(kind: str, session: aiohttp.ClientSession, url: str, timeout_s: float = 10) -> Channel:
    if kind == "evolution":
        return EvolutionChannel(session, f"{url}/", TOKEN, timeout_s=timeout_s)
    return CloudChannel(session, f"{url}/v23.0", TOKEN, timeout_s=timeout_s)


async def send(channel: Channel, turn: Batch, reply: str) -> int:
    """Send a reply, and return the number of stops between two parts."""
    return len([stop async for stop in channel.send(turn, reply)])


BOTH = pytest.mark.parametrize("kind", ["evolution", "cloud"])


async def test_evolution_sends_a_text_and_shows_typing(session: aiohttp.ClientSession) -> None:
    async with stub(SENT) as server:
        channel = channel_of("evolution", session, server.url)
        await send(channel, batch("x"), "مرحبا ⭐")
        await channel.show_typing(batch("x").messages[0])
    assert server.paths == ["/message/sendText/bot", "/chat/sendPresence/bot"]
    assert server.bodies[0] == {"number": "966500000001", "text": "مرحبا ⭐"}
    assert (server.bodies[1]["number"], server.bodies[1]["presence"]) == ("966500000001", "composing")
    assert server.headers[0]["apikey"] == TOKEN


async def test_evolution_sends_to_a_linked_id_if_it_knows_no_phone(
    session: aiohttp.ClientSession,
) -> None:
    async with stub(SENT) as server:
        channel = channel_of("evolution", session, server.url)
        await send(channel, batch("x", phone="1@lid", reply_to="1@lid"), "hi")
    assert server.bodies[0]["number"] == "1@lid"


async def test_cloud_sends_a_text_and_shows_typing(session: aiohttp.ClientSession) -> None:
    async with stub(SENT) as server:
        channel = channel_of("cloud", session, server.url)
        await send(channel, batch("x", instance="1001"), "مرحبا")
        await channel.show_typing(batch("x", instance="1001").messages[0])
    assert server.paths == ["/v23.0/1001/messages"] * 2
    assert server.bodies[0]["to"] == "966500000001"
    assert server.bodies[0]["text"] == {"preview_url": False, "body": "مرحبا"}
    assert (server.bodies[1]["message_id"], server.bodies[1]["status"]) == ("m1", "read")
    assert channel.typing_every_s == 0, "each message is to be marked as read"
    assert server.headers[0]["Authorization"] == f"Bearer {TOKEN}"


async def test_cloud_sends_to_a_user_without_a_number(session: aiohttp.ClientSession) -> None:
    """In `to` Meta would take such an id for a number, answer 200, and drop the message."""
    async with stub(SENT) as server:
        for user in ("SA.9000000000000000017", "US.ENT.11815799212886844830"):
            await send(channel_of("cloud", session, server.url), batch("x", phone=user), "hi")
    assert [body["recipient"] for body in server.bodies] == [
        "SA.9000000000000000017",
        "US.ENT.11815799212886844830",
    ]
    assert not any("to" in body for body in server.bodies)


async def test_cloud_answers_the_newest_address_of_a_user(session: aiohttp.ClientSession) -> None:
    """The conversation has the name under which the user was known first."""
    first, second = batch("x", phone="SA.1"), batch("y", phone="966500000001")
    turn = msgspec.structs.replace(first, messages=(*first.messages, *second.messages))
    async with stub(SENT) as server:
        await send(channel_of("cloud", session, server.url), turn, "hi")
    assert (server.bodies[0]["to"], "recipient" in server.bodies[0]) == ("966500000001", False)


def any_channel_of(kind: str, session: aiohttp.ClientSession, url: str) -> Channel:
    """Return a channel of any provider."""
    if kind == "waha":
        return WahaChannel(session, url, TOKEN, timeout_s=10)
    if kind == "evolution_go":
        return EvolutionGoChannel(session, url, {"": TOKEN}, timeout_s=10)
    return channel_of(kind, session, url)


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("evolution", {"key": {"remoteJid": "966500000001@s.whatsapp.net", "id": "3EB0"}}, "3EB0"),
        ("evolution", {"status": "PENDING"}, ""),
        ("evolution", [{"key": {"id": "3EB0"}}], ""),
        ("evolution_go", {"message": "success", "data": {"Info": {"ID": "3EB0", "IsFromMe": True}}}, "3EB0"),
        ("evolution_go", {"message": "success", "data": None}, ""),
        ("waha", {"id": "true_966500000001@c.us_3EB0", "fromMe": True}, "3EB0"),
        ("waha", {"id": {"_serialized": "true_966500000001@c.us_3EB0_out", "id": "3EB0"}}, "3EB0"),
        ("waha", {"key": {"remoteJid": "966500000001@s.whatsapp.net", "fromMe": True, "id": "3EB0"}}, "3EB0"),
        ("waha", {"id": 7}, ""),
        ("cloud", {"messaging_product": "whatsapp", "messages": [{"id": "wamid.A"}]}, "wamid.A"),
        ("cloud", {"messages": []}, ""),
        ("cloud", {"messages": [{"id": 5}]}, ""),
    ],
)
async def test_the_id_that_the_provider_gives_is_noted(
    session: aiohttp.ClientSession, kind: str, body: Any, expected: str
) -> None:
    parts: list[SentPart] = []
    async with stub(Answer(body)) as server:
        with noting_sent(parts):
            await send(any_channel_of(kind, session, server.url), batch("x"), "hi")
    assert parts == ([SentPart(expected, "hi")] if expected else [])


async def test_each_part_has_its_id(session: aiohttp.ClientSession) -> None:
    parts: list[SentPart] = []
    ids = [Answer({"messages": [{"id": f"wamid.{number}"}]}) for number in (1, 2)]
    async with stub(*ids) as server:
        with noting_sent(parts):
            await send(channel_of("cloud", session, server.url), batch("x"), "a" * 4_096 + "b")
    assert parts == [SentPart("wamid.1", "a" * 4_096), SentPart("wamid.2", "b")]


@BOTH
@pytest.mark.parametrize("name", ["../admin", "a/b", "..", "a?b=c", "a#b", "سلام", "%2e%2e", "a b"])
async def test_a_name_cannot_change_the_path(session: aiohttp.ClientSession, kind: str, name: str) -> None:
    async with stub(SENT) as server:
        await send(channel_of(kind, session, server.url), batch("x", instance=name), "hi")
    (path,) = server.paths
    head, tail = ("/message/sendText/", "") if kind == "evolution" else ("/v23.0/", "/messages")
    assert path.startswith(head)
    assert path.endswith(tail)
    assert not set("/?#") & set(path.removeprefix(head).removesuffix(tail))


@BOTH
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer({}, status=500), SendUncertainError),
        (Answer({}, status=502), SendUncertainError),
        (Answer({}, status=504), SendUncertainError),
        (Answer({}, status=503), RetryLaterError),
        (Answer({}, status=429), RetryLaterError),
        (Answer({}, status=401), RetryLaterError),
        (Answer({}, status=403), RetryLaterError),
        (Answer({}, status=404), RetryLaterError),
        (Answer({}, status=302), RetryLaterError),
        (Answer({}, status=422), RetryLaterError),
        (Answer({}, status=413), GiveUpError),
        (Answer(cut=True), SendUncertainError),
        (Answer({}, hangs=True), SendUncertainError),
    ],
)
async def test_a_refusal_raises_the_error_that_it_means(
    session: aiohttp.ClientSession, kind: str, answer: Answer, expected: type[Exception]
) -> None:
    """No text, number, token or address is in the words."""
    async with stub(answer) as server:
        with pytest.raises(expected) as raised:
            await send(channel_of(kind, session, server.url, timeout_s=0.5), batch("x"), "secret words")
    for hidden in ("secret", TOKEN, "966500000001", "127.0.0.1"):
        assert hidden not in str(raised.value)


@BOTH
async def test_nothing_is_sent_where_no_server_listens(session: aiohttp.ClientSession, kind: str) -> None:
    async with stub(SENT) as server:
        url = server.url
    with pytest.raises(RetryLaterError, match="not sent"):
        await send(channel_of(kind, session, url), batch("x"), "hi")


@BOTH
@pytest.mark.parametrize("answer", [Answer({}, status=500), Answer({}, status=422), Answer(cut=True)])
async def test_typing_never_raises(session: aiohttp.ClientSession, kind: str, answer: Answer) -> None:
    async with stub(answer) as server:
        await channel_of(kind, session, server.url).show_typing(batch("x").messages[0])
    await channel_of(kind, session, server.url).show_typing(batch("x").messages[0])
    assert len(server.paths) == 1


@BOTH
@pytest.mark.parametrize(
    ("status", "expected"),
    [(429, RetryLaterError), (503, RetryLaterError), (500, SendUncertainError), (502, SendUncertainError)],
)
@pytest.mark.parametrize(("asked", "after_ms"), [("17", 17_000), ("3600", 600_000)])
async def test_retry_after_is_kept_up_to_ten_minutes(
    session: aiohttp.ClientSession,
    kind: str,
    status: int,
    expected: type[Exception],
    asked: str,
    after_ms: int,
) -> None:
    async with stub(Answer({}, status=status, headers={"Retry-After": asked})) as server:
        with pytest.raises(expected) as raised:
            await send(channel_of(kind, session, server.url), batch("x"), "hi")
    assert isinstance(raised.value, RetryLaterError | SendUncertainError)
    assert raised.value.after_ms == after_ms


async def test_a_long_reply_goes_in_parts(session: aiohttp.ClientSession) -> None:
    reply = "\n\n".join("word " * 300 for _ in range(10)).strip()
    async with stub(SENT) as server:
        stops = await send(channel_of("cloud", session, server.url), batch("x"), reply)
    parts = [body["text"]["body"] for body in server.bodies]
    assert len(parts) > 2
    assert stops == len(parts) - 1, "between two parts, and nowhere else"
    assert all(len(part) <= 4_096 for part in parts)
    assert " ".join(parts).split() == reply.split()


@BOTH
async def test_parts_that_were_sent_are_left_out(session: aiohttp.ClientSession, kind: str) -> None:
    reply = "\n\n".join(letter * (4_000 if kind == "cloud" else 59_000) for letter in "abc")
    turn = batch("x")
    for parts_sent, expected in ((0, "abc"), (1, "bc"), (2, "c"), (3, "")):
        async with stub(SENT) as server:
            channel = channel_of(kind, session, server.url)
            await send(channel, msgspec.structs.replace(turn, parts_sent=parts_sent), reply)
        texts = [body["text"]["body"] if kind == "cloud" else body["text"] for body in server.bodies]
        assert "".join(text[0] for text in texts) == expected


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (Answer({}, status=503), RetryLaterError),
        (Answer({}, status=413), GiveUpError),
        (Answer(cut=True), SendUncertainError),
    ],
)
async def test_a_refusal_means_the_same_for_a_later_part(
    session: aiohttp.ClientSession, second: Answer, expected: type[Exception]
) -> None:
    """The queue has noted the parts before it."""
    async with stub(SENT, second) as server:
        with pytest.raises(expected):
            await send(channel_of("cloud", session, server.url), batch("x"), "x" * 5_000)


async def test_the_console_prints_control_codes_as_text() -> None:
    written: list[str] = []
    channel = ConsoleChannel(written.append)
    await send(channel, batch("x", "y", phone="9\x1b[2J"), "one\n\x1b[31mtwo\u202e سلام \u200d⭐")
    await channel.show_typing(batch("x").messages[0])
    assert written == ["→ bot/9\\x1b[2J, 2 messages:\n  one\n  \\x1b[31mtwo\\u202e سلام \u200d⭐"]


# The HTTP client.


async def test_a_post_that_reaches_nobody_differs_from_a_post_that_gets_no_answer(
    session: aiohttp.ClientSession,
) -> None:
    async with stub(Answer(cut=True)) as server:
        with pytest.raises(UnansweredError):
            await post_json(session, server.url, {}, timeout_s=5)
    for url in (server.url, "http://name.invalid/", "http://[::bad/"):
        with pytest.raises(NotReachedError):
            await post_json(session, url, {}, timeout_s=5)


async def test_redirects_are_not_followed(session: aiohttp.ClientSession) -> None:
    """A secret in a header must not be sent on to wherever a server points."""
    async with stub(Answer({}, status=307, headers={"Location": "http://name.invalid/"})) as server:
        answer = await post_json(session, server.url, {"a": 1}, headers={"apikey": TOKEN}, timeout_s=5)
    assert answer.status == 307
    assert len(server.bodies) == 1


async def test_a_server_that_takes_neither_form_of_the_body_is_not_the_fault_of_the_turn(
    session: aiohttp.ClientSession,
) -> None:
    """Every reply would be refused: the turns wait, and are not given up."""
    refusals = [
        Answer({"response": {"message": [[f'instance requires property "{name}"']]}}, status=400)
        for name in ("textMessage", "text")
    ]
    async with stub(*refusals) as server:
        channel = channel_of("evolution", session, server.url)
        with pytest.raises(RetryLaterError, match="another form") as raised:
            await send(channel, batch("x", phone="5511987654321"), "hi")
    assert raised.value.blames == "backend"
    assert len(server.bodies) == 2, "no other address of the user is tried"


async def test_the_wait_of_a_limited_account_stands_in_a_header(session: aiohttp.ClientSession) -> None:
    headers = {"x-business-use-case-usage": '{"7001": [{"estimated_time_to_regain_access": 3}]}'}
    async with stub(Answer({"error": {"code": 80007}}, status=400, headers=headers)) as server:
        with pytest.raises(RetryLaterError) as raised:
            await send(channel_of("cloud", session, server.url), batch("x"), "hi")
    assert raised.value.after_ms == 180_000
