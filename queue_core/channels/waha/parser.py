"""Webhooks of WAHA: one event per POST, in one shape for all engines, with the engine's own message in `_data`.

Events and fields: `src/structures` of WAHA. The engines NOWEB (Baileys) and GOWS (whatsmeow) put the whole content into
`_data`; WEBJS puts only the message's type there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from msgspec.structs import replace

from queue_core.channels import content as contents
from queue_core.channels.base import (
    DeliveryFailure,
    Inbound,
    InvalidWebhookError,
    OwnMessage,
    OwnMessageError,
    SkippedError,
    Unreadable,
)
from queue_core.channels.content import Content
from queue_core.channels.media import without_media
from queue_core.channels.phrases import ENGLISH, Language, Phrases, phrases_in
from queue_core.channels.unreadable import unreadable
from queue_core.channels.values import Object, at, label, mapping, name, text, timestamp_ms
from queue_core.channels.waha.fields import id_parts, media_facts, read_fields
from queue_core.channels.whatsapp_web.addresses import Sender, phone_of, raise_if_unanswered, sender
from queue_core.channels.whatsapp_web.assembling import Envelope, queue_message
from queue_core.channels.whatsapp_web.message import read_content
from queue_core.channels.whatsapp_web.whatsmeow import read_go_content
from queue_core.message import QueueMessage

CHANNEL = "waha"
_FAILED = ("ERROR", -1)
_LEFT_OUT = frozenset({"_data", "before", "prevBody"})
"""Fields that are not kept: the engine's message, which repeats the others, and texts that a user took back."""
_EVENT_ANSWERS = {"GOING": "going", "NOT_GOING": "not going", "MAYBE": "maybe"}


class _Webhook(NamedTuple):
    """Data that all parts of a webhook share."""

    phrases: Phrases
    instance: str
    media_bytes_max: int


def parse_waha(payload: Any, *, media_bytes_max: int, language: Language = ENGLISH) -> Inbound:
    """Read a webhook. Raises InvalidWebhookError for anything but a webhook of WAHA."""
    if not isinstance(payload, dict):
        raise InvalidWebhookError("a webhook of WAHA is a JSON object")
    event = payload.get("event")
    if not isinstance(event, str) or not event:
        raise InvalidWebhookError("the webhook names no event")
    webhook = _Webhook(phrases_in(language), text(payload.get("session")), media_bytes_max)
    body = payload.get("payload")
    if event in ("message.ack", "message.ack.group"):
        return _receipt(webhook, mapping(body))
    if event == "message.waiting":
        return Inbound(skipped={"undecrypted": 1})
    if event not in _READERS:
        return Inbound.of_event(name(event))
    if not webhook.instance.strip():
        raise InvalidWebhookError("the webhook names no session")
    return Inbound.of([body], partial(_message, webhook, _READERS[event]), partial(_set_aside, webhook))


def _message(webhook: _Webhook, read: Callable[[Phrases, Object], Content], body: Any) -> QueueMessage:
    if not isinstance(body, dict):
        raise InvalidWebhookError("a message without a payload")
    # A vote or a deletion has sender, id and time in this part; other events have them at the top.
    origin = next((mapping(body.get(part)) for part in ("vote", "after", "before") if body.get(part)), body)
    raise_if_unanswered(text(origin.get("from")))
    raise_if_unanswered(id_parts(origin.get("id"))[0])
    if origin.get("fromMe") is True:
        raise _own(webhook, origin) if read is _new else SkippedError("own")
    content = read(webhook.phrases, body)
    envelope = Envelope(
        channel=CHANNEL,
        instance=webhook.instance,
        sender=_sender(origin),
        message_id=id_parts(origin.get("id"))[1],
        profile_name=_profile_name(mapping(origin.get("_data"))),
        timestamp=origin.get("timestamp"),
        webhook=without_media(
            {key: value for key, value in body.items() if key not in _LEFT_OUT}, webhook.media_bytes_max
        ),
    )
    return queue_message(envelope, content)


def _own(webhook: _Webhook, body: Object) -> OwnMessageError:
    chat, message_id = id_parts(body.get("id"))
    return OwnMessageError(
        OwnMessage(
            instance_name=webhook.instance,
            message_id=message_id,
            user_phone=phone_of(chat or text(body.get("to"))),
            at_ms=timestamp_ms(body.get("timestamp")),
        )
    )


def _sender(origin: Object) -> Sender:
    """Return the user. Where `from` hides the number, the engine's own message may have it."""
    data = mapping(origin.get("_data"))
    key, info = mapping(data.get("key")), mapping(data.get("Info"))
    others = [
        *(text(key[field]) for field in ("remoteJid", "remoteJidAlt", "senderPn") if field in key),
        *(text(info[field]) for field in ("Chat", "Sender", "SenderAlt") if field in info),
    ]
    user = sender(text(origin.get("from")), *others)
    return user if user.reply_to else Sender(user.phone, f"{user.phone}@c.us", user.addresses)


def _profile_name(data: Object) -> Any:
    return data.get("notifyName") or data.get("pushName") or at(data, "Info", "PushName")


def _new(phrases: Phrases, body: Object) -> Content:
    """Read a new message from the engine's own message if that has the content, else from WAHA's fields."""
    try:
        content = _of_engine(phrases, body)
    except SkippedError as reason:
        if str(reason) != "undecrypted" or not text(body.get("body")):
            raise
        content = None
    return content or read_fields(phrases, body)


def _of_engine(phrases: Phrases, body: Object) -> Content | None:
    """Read the engine's own message; None if it does not have the content. Raises SkippedError."""
    data = mapping(body.get("_data"))
    if "Message" in data:
        content = read_go_content(phrases, data)
    elif "message" in data or "messageStubType" in data:
        content = read_content(phrases, data.get("message"), data)
    else:
        return None
    media = {**media_facts(body), **content.facts.get("media", {})}
    return contents.with_notes(content, [], {"media": media}) if media else content


def _reaction(phrases: Phrases, body: Object) -> Content:
    emoji = name(at(body, "reaction", "text"))
    if not emoji:
        raise SkippedError("reaction removed")
    return contents.reaction(phrases, emoji, id_parts(at(body, "reaction", "messageId"))[1])


def _edit(phrases: Phrases, body: Object) -> Content:
    target = id_parts(text(body.get("editedMessageId")) or body.get("id"))[1]
    words = text(body.get("body")) or text(body.get("newBody"))
    try:
        made = _of_engine(phrases, body)
    except (SkippedError, InvalidWebhookError):
        made = None
    if made and made.change and made.change.what == "edit" and isinstance(made.change.kind, str):
        return replace(made, change=replace(made.change, id=target or made.change.id))
    return contents.edit(phrases, target, Content(kind="text", text=words) if words else None)


def _deletion(phrases: Phrases, body: Object) -> Content:
    target = text(body.get("revokedMessageId")) or id_parts(at(body, "before", "id"))[1]
    return contents.deletion(phrases, id_parts(target)[1])


def _vote(phrases: Phrases, body: Object) -> Content:
    """Describe a vote. A vote that cannot be decrypted comes as another event, without options."""
    options = at(body, "vote", "selectedOptions")
    chosen = [label(option) for option in options] if isinstance(options, list) else []
    if isinstance(options, list) and not chosen:
        raise SkippedError("vote removed")
    return contents.vote(
        phrases, [option for option in chosen if option], id_parts(at(body, "poll", "id"))[1]
    )


def _encrypted_vote(phrases: Phrases, body: Object) -> Content:
    return contents.vote(phrases, [], id_parts(at(body, "poll", "id"))[1])


def _event_answer(phrases: Phrases, body: Object) -> Content:
    answer = mapping(body.get("eventResponse"))
    code = _EVENT_ANSWERS.get(text(answer.get("response")))
    return contents.event_answer(phrases, phrases.word(code) if code else "", answer.get("extraGuestCount"))


_READERS: dict[str, Callable[[Phrases, Object], Content]] = {
    "message": _new,
    "message.any": _new,
    "message.reaction": _reaction,
    "message.edited": _edit,
    "message.revoked": _deletion,
    "poll.vote": _vote,
    "poll.vote.failed": _encrypted_vote,
    "event.response": _event_answer,
    "event.response.failed": _event_answer,
}


def _receipt(webhook: _Webhook, body: Object) -> Inbound:
    if body.get("ackName") not in _FAILED and body.get("ack") not in _FAILED:
        return Inbound(skipped={"receipt": 1})
    chat, message_id = id_parts(body.get("id"))
    failure = DeliveryFailure(
        instance_name=webhook.instance,
        message_id=message_id,
        user_phone=phone_of(chat or text(body.get("to"))),
        code="",
        reason="WhatsApp did not accept it",
        at_ms=timestamp_ms(body.get("timestamp")),
    )
    return Inbound(failures=(failure,), skipped={"failed delivery": 1})


def _set_aside(webhook: _Webhook, body: Any, reason: str) -> Unreadable:
    address = text(mapping(body).get("from"))
    payload = without_media(body, webhook.media_bytes_max)
    return unreadable(webhook.phrases, CHANNEL, webhook.instance, phone_of(address), payload, reason)
