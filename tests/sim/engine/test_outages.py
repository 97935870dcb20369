"""Times without Redis: how they are typed, and what its clients meet."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis.exceptions

from sim.engine.loop import SimLoop
from sim.engine.network import SimulatedRedis
from sim.engine.outages import Outage
from sim.engine.settings import SettingsError, SimSettings, parse_outages
from tests.sim.engine.test_network import ROUND_TRIP_MS, with_redis


def test_an_outage_is_read_and_written_as_it_is_typed() -> None:
    texts = ["away@20s:5s", "hangs@500ms:10s"]
    outages = parse_outages(texts)
    assert outages == (Outage("away", 20_000, 5000), Outage("hangs", 500, 10_000))
    assert SimSettings(outages=outages).as_json()["outages"] == " ".join(texts)
    assert "outages" not in SimSettings().as_json()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("away", "--outage: 'away' is not KIND@TIME:LENGTH, as in away@20s:5s"),
        ("away@20s", "is not KIND@TIME:LENGTH"),
        ("awa@20s:5s", "--outage: there is no 'awa'; did you mean \"away\"?"),
        ("away@20s:5", "--outage: 'away@20s:5': 5 has no unit"),
    ],
)
def test_a_bad_outage_is_refused_with_what_to_write(text: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_outages([text])
    assert words in str(caught.value)


def test_outages_must_not_overlap() -> None:
    with pytest.raises(SettingsError, match="hangs@9s:1s begins during away@5s:5s"):
        SimSettings(outages=parse_outages(["hangs@9s:1s", "away@5s:5s"]))


def test_a_redis_that_goes_away_breaks_connections_refuses_new_ones_and_keeps_what_it_has() -> None:
    async def test(loop: SimLoop, network: SimulatedRedis) -> list[Any]:
        client = network.client("web", socket_timeout=60.0)
        await client.set("k", "before")
        await asyncio.gather(client.ping(), client.ping())  # two connections
        blocked = asyncio.ensure_future(client.xread({"stream": "$"}, block=9000))
        await asyncio.sleep(ROUND_TRIP_MS / 1000)
        pending = asyncio.ensure_future(client.set("k", "on its way"))
        await asyncio.sleep(0.2 * ROUND_TRIP_MS / 1000)
        network.begin_outage("away")
        broken = await asyncio.gather(blocked, pending, client.get("k"), return_exceptions=True)
        took_ms = loop.env.now
        network.end_outage()
        return [*map(type, broken), took_ms < 1000, await client.get("k")]

    error = redis.exceptions.ConnectionError
    assert with_redis(test) == [error, error, error, True, b"before"]


def test_a_redis_that_hangs_does_afterwards_what_it_was_asked_even_if_nobody_waits_any_more() -> None:
    async def test(loop: SimLoop, network: SimulatedRedis) -> list[Any]:
        client, impatient = network.client("web"), network.client("worker", socket_timeout=0.5)
        await client.set("k", "before")
        await impatient.get("k")
        network.begin_outage("hangs")
        first = asyncio.ensure_future(impatient.append("k", ", given up"))
        await asyncio.sleep(0.01)
        second = asyncio.ensure_future(client.append("k", ", late"))
        (gave_up,) = await asyncio.gather(first, return_exceptions=True)
        is_late = not second.done()
        network.end_outage()
        await second
        return [type(gave_up), is_late, await client.get("k")]

    assert with_redis(test) == [redis.exceptions.TimeoutError, True, b"before, given up, late"]
