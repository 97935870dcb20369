"""Examples of webhooks of the WhatsApp Cloud API, for tests and simulated providers."""

from __future__ import annotations

from typing import Any

from queue_core.channels.cloud.provider import signature

PATH = "/webhook/cloud"


def example_webhook(
    message_id: str, text: str, *, phone: str, instance: str, unix_s: int = 0, name: str = "Somebody"
) -> dict[str, Any]:
    """Return the body that the provider posts for one text message. `name` is the user's profile name."""
    message = example_message(message_id, "text", {"body": text}, phone=phone, unix_s=unix_s)
    return webhook_of(message, instance=instance, name=name)


def example_message(
    message_id: str, kind: str, content: Any, *, phone: str, unix_s: int = 0
) -> dict[str, Any]:
    """Return one message as it stands in a webhook."""
    return {"from": phone, "id": message_id, "timestamp": str(unix_s), "type": kind, kind: content}


def webhook_of(*messages: dict[str, Any], instance: str, name: str = "Somebody") -> dict[str, Any]:
    """Return the body that the provider posts for these messages; `instance` is the id of the bot's number."""
    phones = dict.fromkeys(message["from"] for message in messages)
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550000000", "phone_number_id": instance},
        "contacts": [{"profile": {"name": name}, "wa_id": phone} for phone in phones],
        "messages": list(messages),
    }
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": "1", "changes": [{"value": value, "field": "messages"}]}],
    }


def example_headers(body: bytes, secret: str) -> dict[str, str]:
    """Return the headers with a post's signature, made with CLOUD_APP_SECRET."""
    return {"X-Hub-Signature-256": signature(body, secret)}
