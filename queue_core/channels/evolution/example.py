"""Examples of webhooks of the Evolution API, for tests and simulated providers."""

from __future__ import annotations

from typing import Any

PATH = "/webhook/evolution"


def example_webhook(
    message_id: str, text: str, *, phone: str, instance: str, unix_s: int = 0, name: str = "Somebody"
) -> dict[str, Any]:
    """Return the body that the provider posts for one text message. `name` is the user's profile name."""
    return {
        "event": "messages.upsert",
        "instance": instance,
        "data": {
            "key": {"remoteJid": f"{phone}@s.whatsapp.net", "fromMe": False, "id": message_id},
            "pushName": name,
            "message": {"conversation": text},
            "messageType": "conversation",
            "messageTimestamp": unix_s,
        },
    }


def example_headers(secret: str) -> dict[str, str]:
    """Return the headers with EVOLUTION_WEBHOOK_SECRET; none without a secret."""
    return {"apikey": secret} if secret else {}
