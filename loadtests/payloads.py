"""Webhooks as the Evolution API and the Cloud API send them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

from queue_core.channels.cloud import example as cloud
from queue_core.channels.evolution import example as evolution

Channel = Literal["evolution", "cloud"]

INSTANCE = "load"
PHONE_NUMBER_ID = "100000000000001"


def phone_of(conversation: int) -> str:
    """A number that nobody has: there is no country code 999."""
    return f"9990{conversation:09}"


def webhook(
    channel: Channel, conversation: int, message_id: str, text: str, unix_s: int, secrets: Mapping[str, str]
) -> tuple[str, bytes, dict[str, str]]:
    """Path, body and headers, secret or signature included."""
    phone = phone_of(conversation)
    if channel == "evolution":
        payload = evolution.example_webhook(message_id, text, phone=phone, instance=INSTANCE, unix_s=unix_s)
        headers = evolution.example_headers(secrets["EVOLUTION_WEBHOOK_SECRET"])
        return evolution.PATH, json.dumps(payload).encode(), headers
    payload = cloud.example_webhook(message_id, text, phone=phone, instance=PHONE_NUMBER_ID, unix_s=unix_s)
    body = json.dumps(payload).encode()
    return cloud.PATH, body, cloud.example_headers(body, secrets["CLOUD_APP_SECRET"])
