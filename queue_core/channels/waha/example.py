"""Examples of webhooks of WAHA, for tests and simulated providers."""

from __future__ import annotations

from typing import Any

from queue_core.channels.waha.provider import signature

PATH = "/webhook/waha"


def example_webhook(
    message_id: str,
    text: str,
    *,
    phone: str,
    instance: str,
    unix_s: int = 0,
    name: str = "Somebody",
    engine: str = "WEBJS",
) -> dict[str, Any]:
    """Return the body that the provider posts for one text message. `name` is the user's profile name."""
    payload = {
        "id": f"false_{phone}@c.us_{message_id}",
        "timestamp": unix_s,
        "from": f"{phone}@c.us",
        "fromMe": False,
        "to": "15550000000@c.us",
        "body": text,
        "hasMedia": False,
        "_data": {"notifyName": name, "type": "chat"},
    }
    return {"event": "message", "session": instance, "engine": engine, "payload": payload}


def example_headers(body: bytes, key: str) -> dict[str, str]:
    """Return the headers with a post's signature, made with WAHA_HMAC_KEY."""
    return {"X-Webhook-Hmac": signature(body, key), "X-Webhook-Hmac-Algorithm": "sha512"}
