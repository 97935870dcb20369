"""Any JSON is taken by every parser: no exception but "not a webhook", bounded depth, bounded time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given

from queue_core.channels.base import Inbound, InvalidWebhookError
from queue_core.channels.cloud.parser import parse_cloud
from queue_core.channels.evolution.parser import parse_evolution
from queue_core.channels.evolution_go.parser import parse_evolution_go
from queue_core.channels.waha.parser import parse_waha
from queue_core.server.body import DEPTH_MAX
from tests.queue_core.channels.anything import LIMIT, check_storable, json_values, likely
from tests.queue_core.channels.corpus import messages, others
from tests.queue_core.channels.shapes import (
    cloud,
    cloud_message,
    event,
    evolution,
    evolution_go,
    waha,
    waha_gows,
    waha_noweb,
)

Parse = Callable[..., Inbound]
PARSERS: tuple[Parse, ...] = (parse_evolution, parse_evolution_go, parse_waha, parse_cloud)


def around(data: Any) -> Iterator[tuple[Parse, Any]]:
    """Yield webhooks with `data` at each place where a provider has a message or a part of one."""
    yield from ((parse, data) for parse in PARSERS)
    for name in ("messages.upsert", "messages.edited", "messages.delete", "messages.update"):
        yield parse_evolution, event(name, data)
    yield parse_evolution, evolution(data)
    yield parse_evolution, evolution({"extendedTextMessage": data})
    yield parse_evolution, evolution({"interactiveResponseMessage": {"nativeFlowResponseMessage": data}})
    yield parse_evolution_go, {"event": "Message", "instanceName": "shop", "data": data}
    yield parse_evolution_go, evolution_go(None, Message=data)
    for name in (
        "message",
        "message.edited",
        "message.revoked",
        "message.reaction",
        "poll.vote",
        "message.ack",
    ):
        yield parse_waha, {"event": name, "session": "shop", "payload": data}
    yield parse_waha, waha(media=data, location=data, vCards=data, replyTo=data)
    yield parse_waha, waha_noweb(data)
    yield parse_waha, waha_gows(data)
    yield parse_cloud, {"entry": data}
    yield parse_cloud, {"entry": [{"changes": [{"field": "messages", "value": data}]}]}
    yield parse_cloud, cloud(messages=[data], contacts=[data], statuses=[data], errors=data)
    for kind in ("text", "interactive", "order", "contacts", "edit", "location", "unsupported"):
        yield parse_cloud, cloud(cloud_message(kind, data, context=data, referral=data))


@given(likely | json_values)
def test_anything_is_taken(data: Any) -> None:
    """No part of it fails inside a parser either, which would be noted as a fault of the parser."""
    for parse, payload in around(data):
        try:
            inbound = parse(payload, media_bytes_max=LIMIT)
        except InvalidWebhookError:
            continue
        check_storable(inbound)
        assert not [item.reason for item in inbound.unreadable if "parser failed" in item.reason]


VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1e308,
    10**30,
    "",
    "x",
    "[]",
    [],
    {},
    [[]],
    "\ud83d",
    "0@c.us",
    "1@lid",
    {"message": {}},
)
OF_PATH = {
    "evolution": parse_evolution,
    "evolution-go": parse_evolution_go,
    "waha": parse_waha,
    "cloud": parse_cloud,
}


def damaged(value: Any, rng: random.Random) -> Any:
    """Return a webhook in which some part has another value, another name, or is missing."""
    if not isinstance(value, dict | list) or not value or rng.random() < 0.1:
        return rng.choice(VALUES)
    copy = value.copy()
    key: Any = rng.choice(list(copy)) if isinstance(copy, dict) else rng.randrange(len(copy))
    part = copy.pop(key)
    if isinstance(copy, list):
        copy.insert(key, damaged(part, rng))
    elif rng.random() < 0.9:
        copy[key if rng.random() < 0.9 else rng.choice(["message", "type", "id", "from"])] = damaged(
            part, rng
        )
    return copy


@pytest.mark.parametrize("seed", range(10))
def test_damaged_webhooks_are_taken(seed: int) -> None:
    rng = random.Random(seed)
    for path, body in (*messages(), *others()):
        webhook = damaged(body, rng)
        try:
            inbound = OF_PATH[path.split("/")[2]](webhook, media_bytes_max=LIMIT)
        except InvalidWebhookError:
            continue
        check_storable(inbound)
        assert not [item.reason for item in inbound.unreadable if "parser failed" in item.reason], webhook


def nested(key: str, depth: int) -> Any:
    value: Any = {"conversation": "inside"}
    for _ in range(depth):
        value = {key: {"message": value}}
    return value


@pytest.mark.parametrize("key", ["ephemeralMessage", "aWrapperToCome", "editedMessage"])
def test_wrappers_come_off_to_a_limited_depth(key: str) -> None:
    for depth in (8, 9, DEPTH_MAX // 2 - 4, 400):
        (message,) = parse_evolution(evolution(nested(key, depth)), media_bytes_max=LIMIT).messages
        assert ("inside" in message.message) == (depth <= 8)


DEEP = '{"a":' * 20_000 + "1" + "}" * 20_000
LONG = {
    "a text": {"conversation": "x " * 500_000},
    "a name": {"documentMessage": {"fileName": " " * 1_000_000}},
    "a card": {"contactMessage": {"vcard": "item1.TEL;" * 200_000}},
    "lines of a card": {"contactMessage": {"vcard": "TEL:1\n" * 200_000}},
    "many cards": {"contactsArrayMessage": {"contacts": [{"displayName": "x"}] * 50_000}},
    "many options": {"pollCreationMessage": {"options": [{"optionName": "x" * 500}] * 20_000}},
    "a form": {
        "interactiveResponseMessage": {"nativeFlowResponseMessage": {"paramsJson": "{" + '"a":1,' * 9_000}}
    },
    "a deep form": {"interactiveResponseMessage": {"nativeFlowResponseMessage": {"paramsJson": DEEP}}},
    "a wide form": {
        "interactiveResponseMessage": {
            "nativeFlowResponseMessage": {"paramsJson": {"a": [["x" * 99] * 99] * 99}}
        }
    },
    "many kinds": {f"kind{number}": {"message": {}} for number in range(50_000)},
}


@pytest.mark.parametrize("name", LONG)
def test_a_long_message_takes_little_time(name: str) -> None:
    began = time.process_time()
    for parse, payload in (
        (parse_evolution, evolution(LONG[name])),
        (parse_evolution_go, evolution_go(LONG[name])),
        (parse_waha, waha_gows(LONG[name])),
    ):
        inbound = parse(payload, media_bytes_max=LIMIT)
        assert all(len(item.message) < 200_000 or name == "a text" for item in inbound.messages)
        assert not inbound.unreadable
    assert time.process_time() - began < 3, "the slowest takes a fraction of this"
