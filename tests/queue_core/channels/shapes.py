"""Webhooks of each provider around one message, made from its example."""

from __future__ import annotations

import re
from typing import Any

from queue_core.channels.cloud.example import example_message, webhook_of
from queue_core.channels.evolution.example import example_webhook as evolution_example
from queue_core.channels.evolution_go.example import example_webhook as go_example
from queue_core.channels.waha.example import example_webhook as waha_example
from tests.queue_core.channels.anything import PHONE

UNIX_S = 1_767_225_600
_GO_WORDS = {
    "Id": "ID",
    "Jid": "JID",
    "Url": "URL",
    "Json": "JSON",
    "Ms": "MS",
    "id": "ID",
    "ptt": "PTT",
    "url": "URL",
}


def evolution(content: Any, *, key: dict[str, Any] | None = None, **item: Any) -> dict[str, Any]:
    """Return a webhook of the Evolution API; `key` and `item` replace parts of its key and its data."""
    webhook = evolution_example("3EB0", "", phone=PHONE, instance="shop", unix_s=UNIX_S, name="Sara")
    webhook["data"] |= {"message": content, **item}
    webhook["data"]["key"] |= key or {}
    return webhook | {"apikey": "secret-of-the-api", "sender": "15550000000@s.whatsapp.net"}


def event(name: str, data: Any) -> dict[str, Any]:
    """Return a webhook of the Evolution API with any event."""
    return {"event": name, "instance": "shop", "data": data, "sender": "15550000000@s.whatsapp.net"}


def evolution_go(content: Any, *, info: dict[str, Any] | None = None, **item: Any) -> dict[str, Any]:
    """Return a webhook of Evolution Go with a content in Baileys' names; `info` and `item` replace parts of it."""
    webhook = go_example("3EB0", "", phone=PHONE, instance="shop", name="Sara")
    webhook["data"] |= {"Message": in_go_names(content), **item}
    webhook["data"]["Info"] |= info or {}
    return webhook


def waha(**payload: Any) -> dict[str, Any]:
    """Return a webhook of WAHA; `payload` replaces parts of its message."""
    webhook = waha_example("3EB0", "", phone=PHONE, instance="shop", unix_s=UNIX_S, name="Sara")
    data = webhook["payload"]["_data"] | payload.pop("_data", {})
    webhook["payload"] |= {**payload, "_data": data}
    return webhook


def waha_noweb(content: Any) -> dict[str, Any]:
    """Return a webhook of WAHA with the engine NOWEB."""
    data = {"key": {"id": "3EB0"}, "message": content, "pushName": "Sara"}
    return waha(_data=data) | {"engine": "NOWEB"}


def waha_gows(content: Any) -> dict[str, Any]:
    """Return a webhook of WAHA with the engine GOWS."""
    data = {"Info": {"ID": "3EB0", "PushName": "Sara"}, "Message": in_go_names(content)}
    return waha(_data=data) | {"engine": "GOWS"}


def cloud(*messages: Any, **value: Any) -> dict[str, Any]:
    """Return a webhook of the Cloud API with these messages; `value` replaces keys beside them."""
    webhook = webhook_of(*messages, instance="1001", name="Sara")
    webhook["entry"][0]["changes"][0]["value"] |= value
    return webhook


def cloud_message(kind: str, content: Any, message_id: str = "wamid.1", **more: Any) -> dict[str, Any]:
    """Return one message of the Cloud API."""
    return example_message(message_id, kind, content, phone=PHONE, unix_s=UNIX_S) | more


def in_go_names(value: Any) -> Any:
    """Return JSON with the names that whatsmeow gives to the fields: `stanzaId` becomes `stanzaID`."""
    if isinstance(value, dict):
        return {_go_name(name): in_go_names(item) for name, item in value.items()}
    return [in_go_names(item) for item in value] if isinstance(value, list) else value


def _go_name(name: str) -> str:
    return re.sub(r"^[a-z]+|[A-Z][a-z]*", lambda word: _GO_WORDS.get(word[0], word[0]), name)
