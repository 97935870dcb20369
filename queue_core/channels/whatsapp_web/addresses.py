"""Addresses of WhatsApp (JIDs): who wrote, where to send, and which chats are never answered.

Source of the servers and of the fixed addresses: whatsmeow, `types/jid.go`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from queue_core.channels.base import InvalidWebhookError, SkippedError
from queue_core.channels.values import mapping, text
from queue_core.message import Batch

PHONE_ADDRESS = re.compile(r"(\d{5,20})(?:[:_]\d+)*@(?:s\.whatsapp\.net|c\.us|hosted)")
"""Address that contains the phone number, perhaps with the number of a device."""
_LINKED = re.compile(r"(\d{1,32})(?:[:_]\d+)*@(lid|hosted\.lid)")
"""Address that hides the number: a linked id."""
_OPTIONAL_DIGITS = (
    re.compile(r"(55[1-9][0-9])(9?)([6-9][0-9]{7})"),
    re.compile(r"(52)(1?)([2-9][0-9]{9})"),
    re.compile(r"(54)(9?)([1-9][0-9]{9})"),
)
"""Mobile numbers of Brazil, Mexico and Argentina. Depending on its age, an account lacks the second group."""
_UNANSWERED_SERVERS = {
    "g.us": "group",
    "broadcast": "broadcast",
    "newsletter": "newsletter",
    "bot": "meta ai",
    "call": "call",
}
_UNANSWERED_PHONES = {"13135550002": "meta ai", "16505361212": "system"}
"""Numbers of Meta AI and of WhatsApp itself."""
_UNANSWERED_CHATS = {"0@s.whatsapp.net": "system", "0@c.us": "system", "status@broadcast": "status"}
"""Addresses of WhatsApp's notices, and of status posts."""


class Sender(NamedTuple):
    """User who wrote a message."""

    phone: str
    """Id in the queue: the phone number, else the linked id, else the whole address."""
    reply_to: str
    """Address to send to; "" if that is the phone number."""
    addresses: dict[str, str]
    """All known addresses of this user: {"phone", "lid"}."""


def sender(chat: str, *others: str) -> Sender:
    """Return the user of a private chat; `others` are further addresses of the same user.

    Raises SkippedError for a chat that is never answered, and InvalidWebhookError when there is no address.
    """
    if not chat:
        raise InvalidWebhookError("a message without the address of its chat, so its user is unknown")
    raise_if_unanswered(chat)
    phone, lid = _first(PHONE_ADDRESS, chat, *others), _linked(chat, *others)
    if phone in _UNANSWERED_PHONES:
        raise SkippedError(_UNANSWERED_PHONES[phone])
    if phone:
        return Sender(phone, "", {"phone": phone, "lid": lid} if lid else {"phone": phone})
    if lid:
        return Sender(lid, lid, {"lid": lid})
    return Sender(chat, chat if "@" in chat else "", {})


def addresses_of(batch: Batch, *, first: str, server: str) -> list[str]:
    """Return the addresses to try for the user of a batch, beginning with `first`.

    After it come the phone number in both spellings, with `server` appended, and the linked id, if webhooks named them.
    """
    known = [mapping(message.message_data.get("addresses")) for message in reversed(batch.messages)]
    phones = [text(addresses.get("phone")) for addresses in known]
    phone = next(filter(None, phones), batch.user_phone if batch.user_phone.isdecimal() else "")
    numbers = [f"{number}@{server}" for number in spellings(phone)]
    linked = [text(addresses.get("lid")) for addresses in known]
    return list(dict.fromkeys(filter(None, [first, *numbers, *linked])))


def spellings(phone: str) -> list[str]:
    """Return a number as it is, and its other spelling if it belongs to a country whose accounts have two."""
    for pattern, digit in zip(_OPTIONAL_DIGITS, "919", strict=True):
        if match := pattern.fullmatch(phone):
            return [phone, match[1] + ("" if match[2] else digit) + match[3]]
    return [phone] if phone else []


def raise_if_unanswered(chat: str) -> None:
    """Raise SkippedError with the kind of chat if the chat is never answered, such as a group or a channel."""
    if reason := _UNANSWERED_CHATS.get(chat) or _UNANSWERED_SERVERS.get(chat.rpartition("@")[2]):
        raise SkippedError(reason)


def phone_of(address: str) -> str:
    """Return the user of a private chat's address; the address itself if it does not belong to a user."""
    try:
        return sender(address).phone
    except (SkippedError, InvalidWebhookError):
        return address


def is_same_user(first: str, second: str) -> bool:
    """Return True for two addresses with one phone number."""
    phone = _first(PHONE_ADDRESS, first)
    return bool(phone) and phone == _first(PHONE_ADDRESS, second)


def _first(pattern: re.Pattern[str], *addresses: str) -> str:
    for address in addresses:
        if match := pattern.fullmatch(address):
            return match[1]
    return ""


def _linked(*addresses: str) -> str:
    for address in addresses:
        if address.endswith("lid") and (match := _LINKED.fullmatch(address)):
            return f"{match[1]}@{match[2]}"
    return ""
