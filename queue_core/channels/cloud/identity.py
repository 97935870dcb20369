"""Identity of users of the WhatsApp Cloud API: a phone number, or an id that is valid for one business (BSUID).

Meta: developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from queue_core.channels.values import Object, filled, mapping, objects, text

CHANGES = {
    "user_changed_number": "user changed number",
    "customer_changed_number": "user changed number",
    "user_changed_user_id": "user changed user id",
}
"""Types of system messages about a user's new number or id, and our words for them."""
_CHANGED = re.compile(r"\bchanged from (\S+) to (\S+)$")
"""End of the text of such a system message."""
_PHONE = re.compile(r"[0-9]{5,20}")
_USER_ID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")


class User(NamedTuple):
    """User who wrote a message."""

    id: str
    """Phone number, or the BSUID where Meta hides the number."""
    addresses: dict[str, str]
    """Addresses of this user in the webhook: {"phone", "user_id", "parent_user_id", "username"}."""
    contact: Object
    """Contact card of the user in the webhook; {} without one."""


def is_user_id(address: str) -> bool:
    """Return True for a BSUID, such as US.13491208655302741918."""
    return bool(_USER_ID.fullmatch(address))


def user_of(message: Object, value: Object) -> User:
    """Return the user of a message; its id is "" if the webhook does not say who it is."""
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


def changed_addresses(message: Object) -> dict[str, str]:
    """Return the addresses of a user who has a new number or id, the old ones first, with their kinds.

    Returns {} for any other message, and for one that does not name both the old and the new address. Meta:
    developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/system.
    """
    system = mapping(message.get("system"))
    if message.get("type") != "system" or text(system.get("type")) not in CHANGES:
        return {}
    match = _CHANGED.search(text(system.get("body")).strip())
    old = [
        message.get("from"),
        message.get("from_user_id"),
        system.get("previous_user_id"),
        match and match[1],
    ]
    new = [system.get("wa_id") or system.get("new_wa_id"), system.get("user_id"), match and match[2]]
    before, after = _kinds_of(old), _kinds_of(new)
    return before | after if before and after.keys() - before.keys() else {}


def _kinds_of(addresses: list[Any]) -> dict[str, str]:
    """Return the addresses that are phone numbers or BSUIDs, with their kinds."""
    cleaned = (text(address).strip().removeprefix("+") for address in addresses)
    return {
        address: "user_id" if is_user_id(address) else "phone"
        for address in cleaned
        if is_user_id(address) or _PHONE.fullmatch(address)
    }


def _contact_of(value: Object, phone: str, user_id: str) -> Object:
    """Return the contact card of this user. A single card counts as the user's unless it names somebody else."""
    cards = objects(value.get("contacts"))
    for card in cards:
        if (phone and card.get("wa_id") == phone) or (user_id and card.get("user_id") == user_id):
            return card
    is_single = len(cards) == 1 and len(objects(value.get("messages"))) <= 1
    if not is_single or (user_id and text(cards[0].get("user_id"))):
        return {}
    return cards[0]
