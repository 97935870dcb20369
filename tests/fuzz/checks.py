"""Promises of the parsers and of the extraction that hold for any input."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from queue_core import InvalidMessageError
from queue_core.ai.reply import extract
from queue_core.channels.base import Inbound, InvalidWebhookError
from queue_core.channels.cloud.parser import parse_cloud
from queue_core.channels.evolution.parser import parse_evolution
from queue_core.channels.evolution_go.parser import parse_evolution_go
from queue_core.channels.secrets import without_secrets
from queue_core.channels.waha.parser import parse_waha
from queue_core.message import encode, well_formed

MEDIA_BYTES_MAX = 64
PARSERS: dict[str, Callable[..., Inbound]] = {
    "evolution": parse_evolution,
    "evolution-go": parse_evolution_go,
    "waha": parse_waha,
    "cloud": parse_cloud,
}
EVENTS_WITH_ITEMS = ("messages.upsert", "messages.edited", "messages.delete", "messages.update")
"""Events of the Evolution API that may bring a list."""
S_MAX = 0.25
S_PER_CHARACTER_MAX = 20e-6
"""Limits on the CPU time of one input; the usual time is a hundredth of it."""


def check_webhook(payload: Any) -> None:
    """Assert for every parser: it answers, stumbles over nothing, and accounts for each part of the webhook."""
    size = len(json.dumps(payload))
    for name, parse in PARSERS.items():
        began = time.process_time()
        try:
            inbound = parse(payload, media_bytes_max=MEDIA_BYTES_MAX)
        except InvalidWebhookError:
            continue
        _check_time(began, size)
        assert not [item.reason for item in inbound.unreadable if "parser failed" in item.reason]
        outcomes = len(inbound.messages) + len(inbound.unreadable) + sum(inbound.skipped.values())
        assert outcomes >= parts_in(name, payload), f"{name} drops something in silence"
        _check_messages(inbound)


def _check_messages(inbound: Inbound) -> None:
    for message in inbound.messages:
        without_secrets(message.message_data)
        assert message.message, "the AI would read nothing"
        assert message.message_data["kind"]
    for message in (*inbound.messages, *(item.message for item in inbound.unreadable)):
        assert message.user_phone
        assert message.instance_name
        try:
            encode(message, 10_000_000)
        except InvalidMessageError:
            continue


def parts_in(name: str, payload: Any) -> int:
    """Return the number of parts of a webhook that must each be accounted for."""
    if name == "cloud":
        return sum(_parts_of_entry(entry) for entry in payload["entry"])
    data = payload.get("data")
    if name == "evolution" and isinstance(data, dict) and isinstance(data.get("messages"), list):
        data = data["messages"]
    is_list = name == "evolution" and "instance" in payload and payload.get("event") in EVENTS_WITH_ITEMS
    return len(data) if is_list and isinstance(data, list) else 1


def _parts_of_entry(entry: Any) -> int:
    changes = entry.get("changes") if isinstance(entry, dict) else None
    if not isinstance(changes, list) or not changes:
        return 1
    return sum(_parts_of_change(change) for change in changes)


def _parts_of_change(change: Any) -> int:
    value = change.get("value") if isinstance(change, dict) else None
    if not isinstance(value, dict) or change.get("field") not in (None, "", "messages"):
        return 1
    lists = (value.get(key) for key in ("messages", "statuses", "errors"))
    return max(1, sum(len(items) for items in lists if isinstance(items, list)))


def check_answer(answer: str) -> None:
    """Assert for an answer: a text that can be sent or a reason, and never an exception."""
    began = time.process_time()
    reply = extract(answer)
    _check_time(began, len(answer))
    assert reply.text == well_formed(reply.text)
    assert not reply.text or reply.absence is None
    assert reply.text == reply.text.strip()


def _check_time(began: float, size: int) -> None:
    took = time.process_time() - began
    assert took <= S_MAX + size * S_PER_CHARACTER_MAX, f"{took:.2f} s for {size} characters"
