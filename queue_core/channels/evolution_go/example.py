"""Examples of webhooks of Evolution Go, for tests and simulated providers."""

from __future__ import annotations

from typing import Any

PATH = "/webhook/evolution-go"


def example_webhook(
    message_id: str,
    text: str,
    *,
    phone: str,
    instance: str,
    time: str = "2026-01-01T00:00:00Z",
    name: str = "Somebody",
) -> dict[str, Any]:
    """Return the body that the provider posts for one text message. `name` is the user's profile name."""
    address = f"{phone}@s.whatsapp.net"
    return {
        "event": "Message",
        "instanceId": f"id-of-{instance}",
        "instanceName": instance,
        "instanceToken": "token-of-the-instance",
        "data": {
            "Info": {
                "Chat": address,
                "Sender": address,
                "SenderAlt": "",
                "IsFromMe": False,
                "IsGroup": False,
                "ID": message_id,
                "PushName": name,
                "Timestamp": time,
                "Edit": "",
            },
            "Message": {"conversation": text},
            "IsEdit": False,
        },
    }
