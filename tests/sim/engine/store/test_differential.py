"""The queue's methods on the store, on fakeredis and on real servers: equal answers, equal keys, after every call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from queue_core import connect
from tests.conftest import OLDEST_AND_NEWEST, ServerOf, store_client
from tests.sim.engine.store.differential import (
    REORDERED_BY_FAKEREDIS,
    DifferenceError,
    Side,
    fake_client,
    search,
)


def makers(server_of: ServerOf, label: str) -> dict[str, Callable[[], Redis]]:
    url = server_of(label).url
    return {"real": lambda: connect(f"{url}?db=5"), "store": store_client}


@pytest.mark.parametrize("label", OLDEST_AND_NEWEST)
def test_random_calls_have_equal_answers_and_leave_equal_keys(server_of: ServerOf, label: str) -> None:
    asyncio.run(search(makers(server_of, label), 1, steps=40))


def test_a_difference_is_found(server_of: ServerOf, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = Side.answer

    async def forgetting(side: Side, call: object) -> object:
        said = await answer(side, call)  # type: ignore[arg-type]  # as it comes
        if side.name == "store":
            await side.redis.delete(*await side.redis.keys("*token*"), "nothing")
        return said

    monkeypatch.setattr(Side, "answer", forgetting)
    with pytest.raises(DifferenceError, match="token"):
        asyncio.run(search(makers(server_of, OLDEST_AND_NEWEST[-1]), 1, steps=40))


@pytest.mark.soak
@pytest.mark.parametrize("label", OLDEST_AND_NEWEST)
def test_long_random_calls_have_equal_answers_and_leave_equal_keys(server_of: ServerOf, label: str) -> None:
    for seed in range(1_000, 1_300):
        asyncio.run(search(makers(server_of, label), seed, steps=150))


@pytest.mark.soak
def test_random_calls_have_equal_answers_on_fakeredis_and_the_store(server_of: ServerOf) -> None:
    for seed in range(100):
        makers = {"fakeredis": fake_client, "store": store_client}
        asyncio.run(search(makers, seed, without=REORDERED_BY_FAKEREDIS))
