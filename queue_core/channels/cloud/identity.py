"""Identity of users of the WhatsApp Cloud API: a phone number, or an id that holds for one business (BSUID).

Meta: developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from queue_core.channels.values import Object, filled, mapping, objects, text

_USER_ID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")


class User(NamedTuple):
    """User who wrote a message."""

    id: str
    """Phone number, or the BSUID where Meta hides the number."""
    addresses: dict[str, str]
    """All that the webhook tells of this user: {"phone", "user_id", "parent_user_id", "username"}."""
    contact: Object
    """Card of the user in the webhook; {} without one."""


def is_user_id(address: str) -> bool:
    """Returns True for a BSUID, such as US.13491208655302741918."""
    return bool(_USER_ID.fullmatch(address))


def user_of(message: Object, value: Object) -> User:
    """Returns the user of a message; its id is "" if the webhook does not say who it is."""
    sender = text(message.get("from")).strip().removeprefix("+")
    user_id = text(message.get("from_user_id")).strip() or (sender if is_user_id(sender) else "")
    phone = "" if is_user_id(sender) else sender
    contact = _contact_of(value, phone, user_id)
    phone = phone or text(contact.get("wa_id")).strip()
    phone = "" if is_user_id(phone) else phone
    user_id = user_id or text(contact.get("user_id")).strip()
    addresses = filled(
        phone=phone,
        user_id=user_id,
        parent_user_id=text(message.get("from_parent_user_id")) or text(contact.get("parent_user_id")),
        username=text(mapping(contact.get("profile")).get("username")) or text(contact.get("username")),
    )
    return User(phone or user_id, addresses, contact)


def _contact_of(value: Object, phone: str, user_id: str) -> Object:
    """Returns the card of this user. A single card is taken unless it is of somebody else."""
    cards = objects(value.get("contacts"))
    for card in cards:
        if (phone and card.get("wa_id") == phone) or (user_id and card.get("user_id") == user_id):
            return card
    is_single = len(cards) == 1 and len(objects(value.get("messages"))) <= 1
    if not is_single or (user_id and text(cards[0].get("user_id"))):
        return {}
    return cards[0]
