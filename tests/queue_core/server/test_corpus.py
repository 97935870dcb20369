"""All kinds of messages in all providers' shapes go through the web app: none is refused, none is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from queue_core.redis_server.embedded import EmbeddedRedis
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
from tests.queue_core.server.site import open_site

EVOLUTION, GO, WAHA_PATH, CLOUD_PATH = (
    f"/webhook/{name}" for name in ("evolution", "evolution-go", "waha", "cloud")
)
BSUID = "SA.9000000000000000017"


def messages() -> Iterator[tuple[str, Any]]:
    """Yields path and body of webhooks with one message each."""
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
    """Yields path and body of webhooks without a message."""
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


def numbered(number: int, body: Any) -> Any:
    """Returns a webhook whose message has an id of its own."""
    text = json.dumps(body)
    for old in ("3EB0", "wamid.1", "M1"):
        text = text.replace(f'{old}"', f'{old}-{number}"')
    return json.loads(text)


async def test_every_body_is_acknowledged_and_every_message_queued(redis_server: EmbeddedRedis) -> None:
    with_message, without = list(messages()), list(others())
    assert len(with_message) + len(without) >= 200
    async with open_site(REDIS_URL=redis_server.url, QUEUE_LATE_MESSAGES="answer") as site:
        for number, (path, body) in enumerate(with_message):
            assert await site.post(path, numbered(number, body)) == (200, {"queued": 1}), body
        for path, body in without:
            status, answer = await site.post(path, body)
            assert (status, list(answer)) == (200, ["skipped"]), body
        queued = await site.everything()
        assert [letter async for letter in site.runtime.queue.iterate_dead_letters()] == []
    assert len(queued) == len(with_message)
    assert all(message.message for message in queued), "the AI reads something of each"
