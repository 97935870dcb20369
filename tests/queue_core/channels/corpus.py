"""Webhooks of all kinds in all providers' shapes, with the path to which each is posted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.queue_core.channels.anything import PHONE
from tests.queue_core.channels.kinds_cloud import CLOUD, CLOUD_SKIPPED
from tests.queue_core.channels.kinds_web import WAHA, WEB, WEB_SKIPPED
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

EVOLUTION, GO, WAHA_PATH, CLOUD_PATH = (
    f"/webhook/{name}" for name in ("evolution", "evolution-go", "waha", "cloud")
)
BSUID = "SA.9000000000000000017"


def messages() -> Iterator[tuple[str, Any]]:
    """Yield path and body of webhooks with one message each."""
    for content, _, _ in WEB.values():
        yield EVOLUTION, evolution(content)
        yield GO, evolution_go(content)
        yield WAHA_PATH, waha_noweb(content)
        yield WAHA_PATH, waha_gows(content)
    for payload, _, _ in WAHA.values():
        yield WAHA_PATH, waha(**payload)
    for example in CLOUD.values():
        message = cloud_message(example.type, example.content, **example.beside)
        yield CLOUD_PATH, cloud(message)
        yield CLOUD_PATH, cloud(messages=[{**message, "from": None, "from_user_id": BSUID}], contacts=[])
    text = evolution({"conversation": "x"})
    yield EVOLUTION, text | {"data": [text["data"]]}
    yield EVOLUTION, text | {"data": {"messages": [text["data"]], "type": "notify"}}
    yield f"{EVOLUTION}/shop/messages-upsert", {"data": text["data"]}
    key = {"remoteJid": f"{PHONE}@s.whatsapp.net", "fromMe": False, "id": "M1"}
    yield (
        EVOLUTION,
        event("messages.edited", {"key": key, "type": 14, "editedMessage": {"conversation": "y"}}),
    )
    yield EVOLUTION, event("MESSAGES_DELETE", key)


def others() -> Iterator[tuple[str, Any]]:
    """Yield path and body of webhooks without a message."""
    for content, _ in WEB_SKIPPED.values():
        yield EVOLUTION, evolution(content)
        yield GO, evolution_go(content)
        yield WAHA_PATH, waha_noweb(content or {})
    for message, _ in CLOUD_SKIPPED.values():
        yield CLOUD_PATH, cloud(cloud_message("text", None) | message)
    names = (
        "connection.update",
        "QRCODE_UPDATED",
        "presence.update",
        "chats.upsert",
        "contacts.update",
        "call",
    )
    for name in (*names, "groups.upsert", "labels.edit", "send.message", "messages.set", "logout.instance"):
        yield EVOLUTION, event(name, [{"id": "1"}])
    for name in ("Receipt", "Presence", "Connected", "QRCode", "HistorySync", "CallOffer", "LoggedOut"):
        yield GO, {"event": name, "instanceName": "shop", "data": {}}
    for name in (
        "session.status",
        "message.ack",
        "call.received",
        "group.v2.join",
        "presence.update",
        "engine.event",
    ):
        yield WAHA_PATH, {"event": name, "session": "shop", "payload": {"ack": 2}}
    for field in ("account_update", "history", "smb_message_echoes", "standby", "calls", "user_preferences"):
        yield CLOUD_PATH, {"entry": [{"changes": [{"field": field, "value": {"messages": [{}]}}]}]}
    for status in ("sent", "delivered", "read", "failed", "deleted"):
        yield CLOUD_PATH, cloud(statuses=[{"id": "wamid.R", "status": status}])
