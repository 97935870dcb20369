"""Sending through the providers of WhatsApp Web: other addresses of a user, the two forms of Evolution's body."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest

from queue_core import RetryLaterError
from queue_core.channels.base import Channel
from queue_core.channels.evolution.channel import EvolutionChannel
from queue_core.channels.evolution_go.channel import EvolutionGoChannel
from queue_core.channels.waha.channel import WahaChannel
from queue_core.channels.whatsapp_web.addresses import addresses_of, spellings
from queue_core.http_client import new_session
from queue_core.message import Batch
from tests.queue_core.channels.refusals import evolution_body
from tests.queue_core.stub_http import Answer, batch, stub

SENT = Answer({"key": {"id": "out"}}, status=201)
CLOSED = Answer(evolution_body(500, "Connection Closed"), status=500)
UNKNOWN = {
    "evolution": Answer(evolution_body(400, [{"exists": False, "jid": "x", "number": "x"}]), status=400),
    "evolution_go": Answer({"error": "number x is not registered on WhatsApp"}, status=500),
    "waha": Answer({"statusCode": 500, "exception": {"message": "No LID for user"}}, status=500),
}
WANTS_V1 = Answer(evolution_body(400, [['instance requires property "textMessage"']]), status=400)
WANTS_V2 = Answer(evolution_body(400, [['instance requires property "text"']]), status=400)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with new_session() as opened:
        yield opened


def channel_of(provider: str, session: aiohttp.ClientSession, url: str) -> Channel:
    if provider == "waha":
        return WahaChannel(session, url, "key", timeout_s=10)
    if provider == "evolution_go":
        return EvolutionGoChannel(session, url, {"": "key"}, timeout_s=10)
    return EvolutionChannel(session, url, "key", timeout_s=10)


async def send(channel: Channel, turn: Batch, reply: str = "hi") -> None:
    """Send a reply to the end."""
    async for _ in channel.send(turn, reply):
        pass


def numbers(provider: str, bodies: list[dict[str, Any]]) -> list[str]:
    """Return the addresses of requests."""
    return [body["chatId" if provider == "waha" else "number"] for body in bodies]


@pytest.mark.parametrize(
    ("provider", "phone", "data", "expected"),
    [
        (
            "evolution",
            "5531987654321",
            {},
            ["5531987654321", "5531987654321@s.whatsapp.net", "553187654321@s.whatsapp.net"],
        ),
        ("evolution", "103890000001@lid", {"reply_to": "103890000001@lid"}, ["103890000001@lid"]),
        (
            "evolution",
            "966500000001",
            {"addresses": {"phone": "966500000001", "lid": "1038@lid"}},
            ["966500000001", "966500000001@s.whatsapp.net", "1038@lid"],
        ),
        (
            "evolution",
            "1038@lid",
            {"reply_to": "1038@lid", "addresses": {"phone": "525512345678", "lid": "1038@lid"}},
            ["1038@lid", "525512345678@s.whatsapp.net", "5215512345678@s.whatsapp.net"],
        ),
        ("evolution_go", "966500000001", {}, ["966500000001", "966500000001@s.whatsapp.net"]),
        ("waha", "5491123456789", {}, ["5491123456789@c.us", "541123456789@c.us"]),
        (
            "waha",
            "966500000001",
            {"addresses": {"phone": "966500000001", "lid": "1038@lid"}},
            ["966500000001@c.us", "1038@lid"],
        ),
    ],
)
async def test_a_user_who_is_not_found_is_tried_at_every_address_and_then_later(
    session: aiohttp.ClientSession, provider: str, phone: str, data: dict[str, Any], expected: list[str]
) -> None:
    """The user has just written, so it is the provider that errs."""
    async with stub(UNKNOWN[provider]) as server:
        with pytest.raises(RetryLaterError, match=r"has just written|any address") as raised:
            await send(channel_of(provider, session, server.url), batch("x", phone=phone, **data))
    assert numbers(provider, server.bodies) == expected
    assert raised.value.blames == "turn", "the attempt counts: it does not go on for ever"


@pytest.mark.parametrize("provider", UNKNOWN)
async def test_the_address_that_takes_a_part_gets_the_next_ones(
    session: aiohttp.ClientSession, provider: str
) -> None:
    turn = batch("x", phone="966500000001", addresses={"lid": "1038@lid"})
    sent = Answer({"id": "x"}, status=201) if provider == "waha" else SENT
    refusals = [UNKNOWN[provider]] * (1 if provider == "waha" else 2)
    async with stub(*refusals, sent) as server:
        await send(channel_of(provider, session, server.url), turn, "a" * 60_000 + " b")
    assert numbers(provider, server.bodies)[len(refusals) :] == ["1038@lid"] * 2


async def test_another_refusal_ends_the_search(session: aiohttp.ClientSession) -> None:
    async with stub(UNKNOWN["evolution"], CLOSED) as server:
        with pytest.raises(RetryLaterError, match="Connection Closed") as raised:
            await send(channel_of("evolution", session, server.url), batch("x", addresses={"lid": "1@lid"}))
    assert len(server.bodies) == 2
    assert raised.value.blames == "backend"


async def test_evolution_go_leaves_a_spelling_as_it_is(session: aiohttp.ClientSession) -> None:
    """Otherwise Evolution Go removes the digit again."""
    async with stub(
        UNKNOWN["evolution_go"], UNKNOWN["evolution_go"], Answer({"message": "success"})
    ) as server:
        await send(channel_of("evolution_go", session, server.url), batch("x", phone="553187654321"))
    assert server.bodies[0] == {"number": "553187654321", "text": "hi"}
    assert server.bodies[2] == {"number": "5531987654321@s.whatsapp.net", "text": "hi", "formatJid": False}


async def test_evolution_v1_gets_its_body(session: aiohttp.ClientSession) -> None:
    """The first part finds out; the ones after it, and other turns, begin with that form."""
    async with stub(WANTS_V1, SENT) as server:
        channel = channel_of("evolution", session, server.url)
        await send(channel, batch("x"), "a" * 60_000 + " b")
        await send(channel, batch("y"))
        await channel.show_typing(batch("x").messages[0])
    assert server.bodies[0]["text"].startswith("aa")
    assert [body["textMessage"]["text"][0] for body in server.bodies[1:4]] == ["a", "b", "h"]
    assert not any("text" in body for body in server.bodies[1:])
    assert server.bodies[4]["options"] == {"presence": "composing", "delay": 8_000}


async def test_an_upgrade_of_evolution_is_noticed(session: aiohttp.ClientSession) -> None:
    async with stub(WANTS_V1, SENT, WANTS_V2, SENT) as server:
        channel = channel_of("evolution", session, server.url)
        await send(channel, batch("x"))
        await send(channel, batch("y"))
    assert [sorted(body) for body in server.bodies] == [
        ["number", "text"],
        ["number", "textMessage"],
        ["number", "textMessage"],
        ["number", "text"],
    ]


async def test_a_server_that_takes_neither_form_is_not_asked_for_ever(session: aiohttp.ClientSession) -> None:
    async with stub(WANTS_V1, WANTS_V2) as server:
        with pytest.raises(RetryLaterError, match="another form"):
            await send(
                channel_of("evolution", session, server.url), batch("x", phone="1@lid", reply_to="1@lid")
            )
    assert len(server.bodies) == 2


@pytest.mark.parametrize(
    ("phone", "expected"),
    [
        ("5531987654321", ["5531987654321", "553187654321"]),
        ("553187654321", ["553187654321", "5531987654321"]),
        ("553136180000", ["553136180000"]),
        ("5215512345678", ["5215512345678", "525512345678"]),
        ("525512345678", ["525512345678", "5215512345678"]),
        ("5491123456789", ["5491123456789", "541123456789"]),
        ("541123456789", ["541123456789", "5491123456789"]),
        ("966500000001", ["966500000001"]),
        ("12025550123", ["12025550123"]),
        ("", []),
    ],
)
def test_a_number_has_its_spellings(phone: str, expected: list[str]) -> None:
    """A fixed line of Brazil has one: with a 9 it would be the number of somebody else."""
    assert spellings(phone) == expected


def test_addresses_that_an_older_message_of_the_turn_told_are_known() -> None:
    turn = batch("x", "y", phone="1038@lid")
    older, newer = turn.messages
    older = msgspec.structs.replace(older, message_data={"addresses": {"phone": "966500000001"}})
    turn = msgspec.structs.replace(turn, messages=(older, newer))
    assert addresses_of(turn, first="1038@lid", server="c.us") == ["1038@lid", "966500000001@c.us"]
