"""Webhooks as the Evolution API and the Cloud API send them."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Literal

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
        body = json.dumps(_evolution(phone, message_id, text, unix_s)).encode()
        return "/webhook/evolution", body, {"apikey": secrets["EVOLUTION_WEBHOOK_SECRET"]}
    body = json.dumps(_cloud(phone, message_id, text, unix_s)).encode()
    signature = hmac.new(secrets["CLOUD_APP_SECRET"].encode(), body, hashlib.sha256).hexdigest()
    return "/webhook/cloud", body, {"X-Hub-Signature-256": f"sha256={signature}"}


def _evolution(phone: str, message_id: str, text: str, unix_s: int) -> dict[str, object]:
    return {
        "event": "messages.upsert",
        "instance": INSTANCE,
        "data": {
            "key": {"remoteJid": f"{phone}@s.whatsapp.net", "fromMe": False, "id": message_id},
            "pushName": "Load",
            "message": {"conversation": text},
            "messageType": "conversation",
            "messageTimestamp": unix_s,
        },
    }


def _cloud(phone: str, message_id: str, text: str, unix_s: int) -> dict[str, object]:
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550000000", "phone_number_id": PHONE_NUMBER_ID},
        "contacts": [{"profile": {"name": "Load"}, "wa_id": phone}],
        "messages": [
            {
                "from": phone,
                "id": message_id,
                "timestamp": str(unix_s),
                "type": "text",
                "text": {"body": text},
            }
        ],
    }
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": "1", "changes": [{"value": value, "field": "messages"}]}],
    }
