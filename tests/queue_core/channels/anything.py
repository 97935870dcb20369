"""Random JSON, some of it like a webhook, and checks that every provider's parser must pass."""

from __future__ import annotations

from hypothesis import strategies as st

from queue_core import InvalidMessageError, QueueMessage
from queue_core.channels.base import Inbound
from queue_core.message import encode

PHONE = "966500000001"
LIMIT = 64
"""Limit on media in these tests; longer media is left out."""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4)
    ),
    max_leaves=12,
)
_NAMES = sorted(
    [
        "key",
        "remoteJid",
        "remoteJidAlt",
        "fromMe",
        "id",
        "message",
        "conversation",
        "extendedTextMessage",
        "text",
        "imageMessage",
        "caption",
        "reactionMessage",
        "protocolMessage",
        "type",
        "editedMessage",
        "contextInfo",
        "quotedMessage",
        "ephemeralMessage",
        "pushName",
        "messageTimestamp",
        "contactsArrayMessage",
        "contacts",
        "locationMessage",
        "degreesLatitude",
        "audioMessage",
        "seconds",
        "metadata",
        "phone_number_id",
        "messages",
        "from",
        "timestamp",
        "interactive",
        "button_reply",
        "reaction",
        "emoji",
        "order",
        "product_items",
        "location",
        "latitude",
        "name",
        "profile",
        "statuses",
        "errors",
        "context",
        "body",
    ]
)
likely = st.recursive(
    json_values
    | st.sampled_from([f"{PHONE}@s.whatsapp.net", "1@lid", "text", "image", "contacts", "REVOKE"]),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), children, max_size=6)
    ),
    max_leaves=25,
)


def only(inbound: Inbound) -> QueueMessage:
    """Returns the message of a webhook that must hold one message and nothing else."""
    assert inbound.skipped == {}
    (message,) = inbound.messages
    return message


def storable(inbound: Inbound) -> None:
    """Asserts that the queue takes each message, or refuses it in words."""
    for message in inbound.messages:
        try:
            encode(message, 1_000_000)
        except InvalidMessageError:
            continue
