"""Providers of webhooks: recognises the provider of a body, and reads the body with the parser of live traffic."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias

from queue_core.channels.base import Inbound, InvalidWebhookError, SkippedError
from queue_core.channels.cloud.parser import parse_cloud
from queue_core.channels.evolution.parser import parse_evolution
from queue_core.channels.evolution_go.parser import parse_evolution_go
from queue_core.channels.media import KEEP_MEDIA
from queue_core.channels.values import at, mapping, objects, text, timestamp_ms
from queue_core.channels.waha.parser import parse_waha
from queue_core.channels.whatsapp_web.addresses import sender
from queue_core.recording.format import Who

ProviderName: TypeAlias = Literal["evolution", "evolution-go", "waha", "cloud"]
_WAHA_NEW = ("message", "message.any")
TITLES: Mapping[ProviderName, str] = {
    "evolution": "the Evolution API",
    "evolution-go": "Evolution Go",
    "waha": "WAHA",
    "cloud": "the WhatsApp Cloud API",
}


class Status(NamedTuple):
    """Report that the provider accepted a message of the bot."""

    instance: str
    phone: str
    id: str
    at_ms: int


def provider_of(body: Mapping[str, Any]) -> ProviderName:
    """Return the provider whose shape a body has."""
    if "entry" in body:
        return "cloud"
    if "session" in body and "payload" in body:
        return "waha"
    return (
        "evolution"
        if "instance" in body or ("instanceName" not in body and "instanceId" not in body)
        else "evolution-go"
    )


def parse(provider: ProviderName, body: Mapping[str, Any]) -> Inbound:
    """Read a body as live traffic does. Raises InvalidWebhookError."""
    return _PARSERS[provider](body)


def own_messages(provider: ProviderName, body: Mapping[str, Any]) -> Iterator[tuple[Inbound, Who]]:
    """Yield messages of the bot's number, read as if its users had written them. Raises InvalidWebhookError."""
    for as_user, who in _OWN_READERS[provider](body):
        yield parse(provider, as_user), who


def is_own(provider: ProviderName, body: Mapping[str, Any]) -> bool:
    """Return True for a body with one message, which the bot's number wrote."""
    if provider == "evolution":
        data = body.get("data")
        is_upsert = _event(body) in ("messages.upsert", "send.message")
        return is_upsert and isinstance(data, dict) and at(data, "key", "fromMe") is True
    if provider == "evolution-go":
        return _event(body) in ("message", "sendmessage") and at(body, "data", "Info", "IsFromMe") is True
    return provider == "waha" and _event(body) in _WAHA_NEW and at(body, "payload", "fromMe") is True


def statuses(body: Mapping[str, Any]) -> Iterator[Status]:
    """Yield the statuses in a body of the Cloud API, which does not send copies of the bot's own messages."""
    for value in _values(body):
        instance = text(at(value, "metadata", "phone_number_id"))
        for status in objects(value.get("statuses")):
            phone = text(status.get("recipient_id")) or text(status.get("recipient_user_id"))
            if status.get("status") in ("sent", "delivered", "read") and phone and status.get("id"):
                yield Status(instance, phone, text(status["id"]), timestamp_ms(status.get("timestamp")))


def has_own_messages(provider: ProviderName, body: Mapping[str, Any], skipped: Mapping[str, int]) -> bool:
    """Return True for a body of several messages, some of which the bot's number wrote."""
    if skipped.get("own"):
        return True
    return provider == "cloud" and any("message_echoes" in value for value in _values(body))


def presences(provider: ProviderName, body: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield instance, user and state of each presence in a body."""
    if _event(body) != "presence.update" or provider not in ("evolution", "waha"):
        return
    update = mapping(body.get("payload" if provider == "waha" else "data"))
    reports = update.get("presences")
    if isinstance(reports, dict):
        reports = list(reports.values())
    for report in objects(reports):
        with suppress(SkippedError, InvalidWebhookError):
            phone = sender(text(update.get("id"))).phone
            yield (
                text(body.get("instance") or body.get("session")),
                phone,
                text(report.get("lastKnownPresence")),
            )


def _event(body: Mapping[str, Any]) -> str:
    return _event_name(text(body.get("event")))


@lru_cache(256)
def _event_name(event: str) -> str:
    return event.lower().replace("_", ".").replace("-", ".")


def _values(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the `value` of each change in a body of the Cloud API."""
    for entry in objects(body.get("entry")):
        for change in objects(entry.get("changes")):
            yield mapping(change.get("value"))


OwnMessages: TypeAlias = Iterator[tuple[Mapping[str, Any], Who]]
"""Messages of the bot's number: for each a body as if its user had written it, and its true writer."""
_APPS = frozenset({"android", "ios", "iphone"})
"""Values of Evolution's `source` for messages that a person typed on a phone; the bot's messages have "web"."""
_NOT_THE_USER = frozenset(
    {"senderPn", "senderLid", "participant", "participantPn", "participantAlt", "previousRemoteJid"}
)
"""Fields of a message key that name the bot in its own messages."""


def _own_evolution(body: Mapping[str, Any]) -> OwnMessages:
    data = body.get("data")
    items = (
        data.get("messages") if isinstance(data, dict) and isinstance(data.get("messages"), list) else data
    )
    is_sent = _event(body) == "send.message"
    for item in objects(items if isinstance(items, list) else [items]):
        key = mapping(item.get("key"))
        if key.get("fromMe") is not True:
            continue
        as_user = {name: value for name, value in key.items() if name not in _NOT_THE_USER} | {
            "fromMe": False
        }
        who: Who = "bot" if is_sent else "human" if item.get("source") in _APPS else ""
        yield {**body, "event": "messages.upsert", "data": {**item, "key": as_user}}, who


def _own_evolution_go(body: Mapping[str, Any]) -> OwnMessages:
    item = mapping(body.get("data"))
    info = mapping(item.get("Info"))
    if info.get("IsFromMe") is True:
        is_sent = text(body.get("event")).lower() == "sendmessage"
        as_user = {**info, "IsFromMe": False, "Sender": "", "SenderAlt": text(info.get("RecipientAlt"))}
        yield {**body, "event": "Message", "data": {**item, "Info": as_user}}, "bot" if is_sent else ""


def _own_waha(body: Mapping[str, Any]) -> OwnMessages:
    payload = mapping(body.get("payload"))
    if payload.get("fromMe") is True:
        data = {
            name: value
            for name, value in mapping(payload.get("_data")).items()
            if name not in ("key", "Info")
        }
        as_user = {
            **payload,
            "fromMe": False,
            "from": payload.get("to"),
            "to": payload.get("from"),
            "_data": data,
        }
        source = payload.get("source")
        who: Who = "bot" if source == "api" else "human" if source == "app" else ""
        yield {**body, "payload": as_user}, who


def _own_cloud(body: Mapping[str, Any]) -> OwnMessages:
    """Read echoes, which come if a person uses the number in the WhatsApp Business app."""
    for value in _values(body):
        bot_number = text(at(value, "metadata", "display_phone_number")).lstrip("+")
        echoes = [
            *objects(value.get("message_echoes")),
            *(
                each
                for each in objects(value.get("messages"))
                if text(each.get("from")).lstrip("+") == bot_number
            ),
        ]
        as_user = [{**echo, "from": echo["to"], "to": ""} for echo in echoes if text(echo.get("to"))]
        if as_user:
            inner = {"metadata": value.get("metadata"), "messages": as_user}
            yield {"entry": [{"changes": [{"field": "messages", "value": inner}]}]}, "human"


def _parser(parse_body: Callable[..., Inbound]) -> Callable[[Mapping[str, Any]], Inbound]:
    return lambda body: parse_body(body, media_bytes_max=KEEP_MEDIA)


_PARSERS: Mapping[ProviderName, Callable[[Mapping[str, Any]], Inbound]] = {
    "evolution": _parser(parse_evolution),
    "evolution-go": _parser(parse_evolution_go),
    "waha": _parser(parse_waha),
    "cloud": _parser(parse_cloud),
}
_OWN_READERS: Mapping[ProviderName, Callable[[Mapping[str, Any]], OwnMessages]] = {
    "evolution": _own_evolution,
    "evolution-go": _own_evolution_go,
    "waha": _own_waha,
    "cloud": _own_cloud,
}
