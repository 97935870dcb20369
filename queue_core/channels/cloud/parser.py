"""Webhooks of the WhatsApp Cloud API: up to 1000 updates of several users in one POST."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from queue_core.channels import content as contents
from queue_core.channels.base import (
    AddressChange,
    DeliveryFailure,
    Inbound,
    InvalidWebhookError,
    OwnMessage,
    OwnMessageError,
    SkippedError,
    Unreadable,
)
from queue_core.channels.cloud.errors import words_of_failure
from queue_core.channels.cloud.identity import User, changed_addresses, user_of
from queue_core.channels.cloud.kinds import read_kind
from queue_core.channels.content import Content
from queue_core.channels.media import without_media
from queue_core.channels.phrases import ENGLISH, Language, Phrases, phrases_in
from queue_core.channels.unreadable import unreadable
from queue_core.channels.values import (
    Object,
    at,
    filled,
    label,
    mapping,
    name,
    objects,
    profile_name,
    text,
    timestamp_ms,
)
from queue_core.message import QueueMessage

CHANNEL = "cloud"
UNNAMED = "unnamed"
"""Name for an event without a name."""
ECHOES = "smb_message_echoes"
"""Field with messages that the business wrote itself, in the WhatsApp Business app beside the Cloud API."""


class _Item(NamedTuple):
    """One message, and the data around it in the webhook."""

    phrases: Phrases
    message: Any
    value: Object
    media_bytes_max: int


def parse_cloud(payload: Any, *, media_bytes_max: int, language: Language = ENGLISH) -> Inbound:
    """Read a webhook, in order. Raises InvalidWebhookError for anything but a webhook of the Cloud API."""
    if not isinstance(payload, dict) or not isinstance(payload.get("entry"), list):
        raise InvalidWebhookError("a webhook of the Cloud API is a JSON object with a list `entry`")
    items: list[_Item] = []
    skipped, events = Counter[str](), Counter[str]()
    failures: list[DeliveryFailure] = []
    changes: list[AddressChange] = []
    echoes: list[OwnMessage] = []
    for field, value in _changes(payload):
        messages, statuses, errors = (_list(value, key) for key in ("messages", "statuses", "errors"))
        if field not in ("", "messages") or not (messages or statuses or errors):
            events[name(field) or UNNAMED] += 1
            if field == ECHOES:
                echoes += [_own(echo, value) for echo in objects(value.get("message_echoes"))]
            continue
        skipped["error"] += len(errors)
        for status in statuses:
            failure = _failure(mapping(status), value)
            failures += [failure] if failure else []
            skipped["failed delivery" if failure else "receipt"] += 1
        items += [_Item(phrases_in(language), message, value, media_bytes_max) for message in messages]
        changes += _address_changes(messages, value)
    skipped["event"] += events.total()
    inbound = Inbound.of(items, _message, _set_aside, skipped)
    own_messages = (
        *inbound.own_messages,
        *(echo for echo in echoes if echo.message_id and echo.instance_name),
    )
    return msgspec.structs.replace(
        inbound,
        failures=tuple(failures),
        own_messages=own_messages,
        address_changes=tuple(changes),
        events=dict(events),
    )


def _address_changes(messages: list[Any], value: Object) -> Iterator[AddressChange]:
    instance = text(at(value, "metadata", "phone_number_id"))
    for message in objects(messages):
        names = changed_addresses(message)
        if names and instance.strip():
            yield AddressChange(instance_name=instance, event_id=text(message.get("id")), names=names)


def _changes(payload: Object) -> Iterator[tuple[str, Object]]:
    """Yield field and value of each change. For one without a value, the value is {}.

    If it has no field either, the name of the subscribed object stands for the field.
    """
    for entry in payload["entry"]:
        changes = at(entry, "changes")
        for change in changes if isinstance(changes, list) and changes else [None]:
            field, value = text(at(change, "field")), at(change, "value")
            is_known = isinstance(value, dict)
            yield field if field or is_known else text(payload.get("object")), mapping(value)


def _list(value: Object, key: str) -> list[Any]:
    """Return a list as it is, and any other value as a list of one item."""
    items = value.get(key)
    return items if isinstance(items, list) else [] if items in (None, "", {}) else [items]


def _message(item: _Item) -> QueueMessage:
    message, metadata = item.message, mapping(item.value.get("metadata"))
    instance = text(metadata.get("phone_number_id"))
    if not isinstance(message, dict):
        raise InvalidWebhookError("a message that is not an object, so its user is unknown")
    if not instance.strip():
        raise InvalidWebhookError("a message without metadata.phone_number_id, so its bot is unknown")
    if message.get("group_id"):
        raise SkippedError("group")
    if _is_own(message, metadata):
        raise OwnMessageError(_own(message, item.value))
    content = _with_context(item.phrases, message, read_kind(item.phrases, message))
    if not content.text:
        raise SkippedError("empty")
    user = user_of(message, item.value)
    if not user.id:
        raise InvalidWebhookError("a message without from, from_user_id or a contact, so its user is unknown")
    return QueueMessage(
        id=text(message.get("id")),
        instance_name=instance,
        user_phone=user.id,
        message=content.text,
        message_data=_data(item, user, content),
        timestamp=timestamp_ms(message.get("timestamp")),
    )


def _is_own(message: Object, metadata: Object) -> bool:
    """Return True for an echo: a message of the business, which names its recipient."""
    sender = text(message.get("from")).lstrip("+")
    is_business = bool(sender) and sender == text(metadata.get("display_phone_number")).lstrip("+")
    return is_business and bool(message.get("to"))


def _own(message: Object, value: Object) -> OwnMessage:
    return OwnMessage(
        instance_name=text(at(value, "metadata", "phone_number_id")),
        message_id=text(message.get("id")),
        user_phone=text(message.get("to")).strip().removeprefix("+") or text(message.get("to_user_id")),
        at_ms=timestamp_ms(message.get("timestamp")),
    )


def _data(item: _Item, user: User, content: Content) -> dict[str, Any]:
    webhook = {"metadata": item.value.get("metadata"), "contact": user.contact, "message": item.message}
    data: dict[str, Any] = {"channel": CHANNEL, "kind": content.kind}
    data |= filled(name=profile_name(at(user.contact, "profile", "name")), addresses=user.addresses)
    data |= content.facts
    if content.change:
        data["change"] = msgspec.to_builtins(content.change)
    if content.unknown:
        data["unknown"] = content.unknown
    return {**data, "webhook": without_media(webhook, item.media_bytes_max)}


def _with_context(phrases: Phrases, message: Object, content: Content) -> Content:
    """Add the things that a message refers to: an earlier message, a product of the catalogue, an ad."""
    notes: list[str] = []
    facts: dict[str, Any] = {}
    context = mapping(message.get("context"))
    if quoted := text(context.get("id")):
        facts["quoted"] = {"id": quoted, "text": ""}
    if context.get("forwarded") is True or context.get("frequently_forwarded") is True:
        facts["forwarded"] = True
    if ad := mapping(message.get("referral")):
        facts["referral"] = filled(
            source=name(ad.get("source_type")) or "ad",
            id=name(ad.get("source_id")),
            url=text(ad.get("source_url")),
            title=text(ad.get("headline")),
            body=text(ad.get("body")),
            click_id=text(ad.get("ctwa_clid")),
        )
        notes.append(contents.ad_note(phrases, facts["referral"]))
    product = mapping(context.get("referred_product"))
    if retailer_id := label(product.get("product_retailer_id")):
        facts["product"] = filled(id=retailer_id, catalog=label(product.get("catalog_id")))
        notes.append(phrases.bracketed("about product", retailer_id))
    return contents.with_notes(content, notes, facts)


def _failure(status: Object, value: Object) -> DeliveryFailure | None:
    if status.get("status") != "failed":
        return None
    error = next(iter(objects(status.get("errors"))), {})
    details = name(at(error, "error_data", "details"))
    title = name(error.get("title")) or name(error.get("message"))
    code = label(error.get("code"))
    return DeliveryFailure(
        instance_name=text(at(value, "metadata", "phone_number_id")),
        message_id=text(status.get("id")),
        user_phone=text(status.get("recipient_id")) or text(status.get("recipient_user_id")),
        code=code,
        reason=words_of_failure(code, ": ".join(part for part in (title, details) if part)),
        at_ms=timestamp_ms(status.get("timestamp")),
    )


def _set_aside(item: _Item, reason: str) -> Unreadable:
    message, value = mapping(item.message), item.value
    payload = {"metadata": value.get("metadata"), "message": item.message}
    return unreadable(
        item.phrases,
        CHANNEL,
        text(at(value, "metadata", "phone_number_id")),
        user_of(message, value).id,
        without_media(payload, item.media_bytes_max),
        reason,
    )
