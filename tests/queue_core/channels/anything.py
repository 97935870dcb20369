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
    {
        *(
            "key",
            "remoteJid",
            "remoteJidAlt",
            "senderPn",
            "fromMe",
            "id",
            "message",
            "conversation",
            "text",
            "caption",
        ),
        *(
            "extendedTextMessage",
            "imageMessage",
            "audioMessage",
            "seconds",
            "speechToText",
            "reactionMessage",
        ),
        *(
            "protocolMessage",
            "secretEncryptedMessage",
            "targetMessageKey",
            "secretEncType",
            "type",
            "editedMessage",
        ),
        *(
            "contextInfo",
            "quotedMessage",
            "externalAdReply",
            "title",
            "ephemeralMessage",
            "associatedChildMessage",
        ),
        *(
            "pushName",
            "messageTimestamp",
            "messageStubType",
            "contactMessage",
            "vcard",
            "contactsArrayMessage",
        ),
        *("contacts", "locationMessage", "degreesLatitude", "pollCreationMessageV4", "options", "optionName"),
        *("interactiveResponseMessage", "nativeFlowResponseMessage", "paramsJson", "listResponseMessage"),
        *(
            "orderMessage",
            "totalAmount1000",
            "productMessage",
            "product",
            "eventMessage",
            "startTime",
            "templateMessage",
        ),
        *(
            "metadata",
            "phone_number_id",
            "messages",
            "from",
            "from_user_id",
            "user_id",
            "timestamp",
            "group_id",
        ),
        *(
            "interactive",
            "button_reply",
            "nfm_reply",
            "response_json",
            "reaction",
            "emoji",
            "order",
            "product_items",
        ),
        *(
            "product_retailer_id",
            "quantity",
            "item_price",
            "location",
            "latitude",
            "name",
            "profile",
            "statuses",
        ),
        *(
            "status",
            "errors",
            "code",
            "context",
            "body",
            "referral",
            "referred_product",
            "edit",
            "revoke",
            "phones",
        ),
        *(
            "original_message_id",
            "system",
            "unsupported",
            "image",
            "Info",
            "Chat",
            "Sender",
            "ID",
            "IsGroup",
            "Message",
        ),
        *(
            "IsEdit",
            "quoted",
            "hasMedia",
            "media",
            "mimetype",
            "vCards",
            "replyTo",
            "_data",
            "vote",
            "selectedOptions",
        ),
        *(
            "after",
            "before",
            "revokedMessageId",
            "editedMessageId",
            "ack",
            "event",
            "instance",
            "session",
            "payload",
        ),
    }
)
_LIKELY_VALUES = (
    *(
        f"{PHONE}@s.whatsapp.net",
        "1@lid",
        "1@g.us",
        "text",
        "image",
        "contacts",
        "edit",
        "revoke",
        "order",
        "failed",
    ),
    *(
        "REVOKE",
        "MESSAGE_EDIT",
        "messages.upsert",
        "message",
        "Message",
        "SA.1",
        "ERROR",
        '{"a": [1, {"b": null}]}',
    ),
)
likely = st.recursive(
    json_values | st.sampled_from(_LIKELY_VALUES),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), children, max_size=6)
    ),
    max_leaves=25,
)


def only(inbound: Inbound) -> QueueMessage:
    """Return the message of a webhook that must hold one message and nothing else."""
    assert (inbound.skipped, inbound.unreadable) == ({}, ())
    (message,) = inbound.messages
    return message


def check_storable(inbound: Inbound) -> None:
    """Assert that each message can be stored, or is refused as an invalid message."""
    for message in (*inbound.messages, *(item.message for item in inbound.unreadable)):
        try:
            encode(message, 1_000_000)
        except InvalidMessageError:
            continue
