"""One example of every kind of message of WhatsApp Web, with what the AI reads in English.

The tables are used three times: each row is a test, the corpus posts all of them, docs/messages.md shows them. A number
at the end of a name marks another form of the same kind; the page leaves it out.
"""

from __future__ import annotations

from typing import Any, NamedTuple

VCARD = """BEGIN:VCARD
VERSION:3.0
N:Haddad;Omar;;;
FN:Omar Haddad
TEL;type=CELL;waid=966512345678:+966 51 234 5678
END:VCARD"""
AD = {
    "title": "Two rooms by the sea",
    "body": "From 450 a night",
    "sourceType": "ad",
    "sourceId": "77",
    "ctwaClid": "c1",
}
POLL = {"name": "When?", "options": [{"optionName": "Mon"}, {"optionName": "Tue"}]}


class Example(NamedTuple):
    """Content of a message, our name of its kind, and the words for the AI."""

    content: Any
    kind: str
    words: str


def wrapped(kind: str, content: Any) -> dict[str, Any]:
    """Return a content inside a wrapper."""
    return {kind: {"message": content}}


WEB: dict[str, Example] = {
    "a text": Example({"conversation": "مرحبا"}, "text", "مرحبا"),
    "a text with a link": Example({"extendedTextMessage": {"text": "see http://x"}}, "text", "see http://x"),
    "a text in answer to another": Example(
        {
            "extendedTextMessage": {
                "text": "yes",
                "contextInfo": {"stanzaId": "Q1", "quotedMessage": {"conversation": "Are you there?"}},
            }
        },
        "text",
        "[in answer to: Are you there?]\nyes",
    ),
    "a text in answer to a photo": Example(
        {
            "extendedTextMessage": {
                "text": "this one",
                "contextInfo": {"stanzaId": "Q2", "quotedMessage": {"imageMessage": {"caption": "red"}}},
            }
        },
        "text",
        "[in answer to: [image] red]\nthis one",
    ),
    "a text after an ad": Example(
        {"extendedTextMessage": {"text": "Hello!", "contextInfo": {"externalAdReply": AD}}},
        "text",
        "[from an ad: Two rooms by the sea; From 450 a night]\nHello!",
    ),
    "a photo": Example({"imageMessage": {"mimetype": "image/jpeg"}}, "image", "[image]"),
    "a photo with a caption": Example(
        {"imageMessage": {"caption": "this one?"}}, "image", "[image] this one?"
    ),
    "a photo of an album": Example(
        wrapped("associatedChildMessage", {"imageMessage": {"caption": "front"}}), "image", "[image] front"
    ),
    "a photo to be seen once": Example(
        wrapped("viewOnceMessageV2", {"imageMessage": {"viewOnce": True}}), "image", "[image]"
    ),
    "a video": Example({"videoMessage": {"caption": "the leak"}}, "video", "[video] the leak"),
    "a round video": Example({"ptvMessage": {"seconds": 4}}, "video", "[video]"),
    "a voice message": Example(
        {"audioMessage": {"ptt": True, "seconds": 12}}, "audio", "[voice message, 12 s]"
    ),
    "a voice message that Evolution wrote down": Example(
        {"audioMessage": {"ptt": True, "seconds": 6}, "speechToText": "[audio] a table for two"},
        "audio",
        "[voice message, 6 s] a table for two",
    ),
    "a sound file": Example({"audioMessage": {"seconds": "61"}}, "audio", "[audio, 61 s]"),
    "a document": Example({"documentMessage": {"fileName": "a b.pdf"}}, "document", "[document: a b.pdf]"),
    "a document with a caption": Example(
        wrapped(
            "documentWithCaptionMessage", {"documentMessage": {"fileName": "bill.pdf", "caption": "the bill"}}
        ),
        "document",
        "[document: bill.pdf] the bill",
    ),
    "a document 2": Example(  # of the Cloud API, through Evolution
        {"documentMessage": {"filename": "a b.pdf", "mime_type": "application/pdf", "id": "1"}},
        "document",
        "[document: a b.pdf]",
    ),
    "a sticker": Example({"stickerMessage": {"isAnimated": True}}, "sticker", "[sticker]"),
    "a drawn sticker": Example(
        wrapped("lottieStickerMessage", {"stickerMessage": {"isLottie": True}}), "sticker", "[sticker]"
    ),
    "a drawn sticker 2": Example({"lottieStickerMessage": {"isLottie": True}}, "sticker", "[sticker]"),
    "a pack of stickers": Example(
        {"stickerPackMessage": {"name": "Cats"}}, "sticker", "[sticker pack: Cats]"
    ),
    "a location": Example(
        {
            "locationMessage": {
                "degreesLatitude": 24.7,
                "degreesLongitude": 46.6,
                "name": "Shop",
                "address": "Riyadh",
            }
        },
        "location",
        "[location: Shop, Riyadh (24.7,46.6)]",
    ),
    "a live location": Example(
        {"liveLocationMessage": {"degreesLatitude": 1, "degreesLongitude": 2, "caption": "on my way"}},
        "location",
        "[live location: (1,2)] on my way",
    ),
    "a contact": Example(
        {"contactMessage": {"displayName": "Omar", "vcard": VCARD}},
        "contacts",
        "[contact: Omar, +966 51 234 5678]",
    ),
    "several contacts": Example(
        {
            "contactsArrayMessage": {
                "contacts": [{"vcard": VCARD}, {"displayName": "Ali", "vcard": "ORG:Blue Bakery;"}, 3]
            }
        },
        "contacts",
        "[contacts: Omar Haddad, +966 51 234 5678; Ali, Blue Bakery]",
    ),
    "a reaction": Example(
        {"reactionMessage": {"text": "👍", "key": {"id": "M1"}}}, "reaction", "[reaction: 👍]"
    ),
    "an encrypted reaction": Example(
        {"encReactionMessage": {"encPayload": "eA=="}}, "reaction", "[reaction]"
    ),
    "a button": Example(
        {"buttonsResponseMessage": {"selectedButtonId": "yes", "selectedDisplayText": "Yes"}}, "button", "Yes"
    ),
    "a button of a template": Example({"templateButtonReplyMessage": {"selectedId": "yes"}}, "button", "yes"),
    "a row of a list": Example(
        {
            "listResponseMessage": {
                "title": "Sea view",
                "description": "two beds",
                "singleSelectReply": {"selectedRowId": "r3"},
            }
        },
        "list",
        "Sea view (two beds)",
    ),
    "a quick reply": Example(
        {
            "interactiveResponseMessage": {
                "body": {"text": "Pay now"},
                "nativeFlowResponseMessage": {"name": "quick_reply", "paramsJson": '{"id": "pay"}'},
            }
        },
        "interactive",
        "Pay now",
    ),
    "a row of a menu": Example(
        {
            "interactiveResponseMessage": {
                "nativeFlowResponseMessage": {
                    "name": "menu_options",
                    "paramsJson": '{"id": "r1", "title": "Pick up", "description": "until six"}',
                }
            }
        },
        "interactive",
        "Pick up (until six)",
    ),
    "a form": Example(
        {
            "interactiveResponseMessage": {
                "body": {"text": "Sent"},
                "nativeFlowResponseMessage": {
                    "name": "flow",
                    "paramsJson": '{"flow_token": "t", "day": "Monday", "guests": 4, "extras": ["cot", "sea view"]}',
                },
            }
        },
        "interactive",
        "[form: day: Monday; guests: 4; extras: cot, sea view]",
    ),
    "a form that cannot be read": Example(
        {
            "interactiveResponseMessage": {
                "body": {"text": "Sent"},
                "nativeFlowResponseMessage": {"name": "flow", "paramsJson": '{"day": '},
            }
        },
        "interactive",
        "[form]",
    ),
    "a poll": Example(
        {"pollCreationMessage": POLL},
        "poll",
        "[poll: When? Mon / Tue]",
    ),
    **{
        f"a poll {version}": Example(content, "poll", "[poll: When? Mon / Tue]")
        for version, content in (
            (3, {"pollCreationMessageV3": POLL}),
            (4, wrapped("pollCreationMessageV4", {"pollCreationMessageV3": POLL})),
            (5, {"pollCreationMessageV5": POLL}),
        )
    },
    "a vote": Example(
        {"pollUpdateMessage": {"pollCreationMessageKey": {"id": "P1"}, "vote": {"encPayload": "eA=="}}},
        "poll",
        "[voted in a poll]",
    ),
    "a vote that is decrypted": Example(
        {"pollUpdateMessage": {"vote": {"selectedOptions": ["Mon", "h" * 44]}}},
        "poll",
        "[voted in a poll: Mon]",
    ),
    "the result of a poll": Example(
        {
            "pollResultSnapshotMessage": {
                "name": "When?",
                "pollVotes": [{"optionName": "Mon", "optionVoteCount": 2}],
            }
        },
        "poll",
        "[result of a poll: When? Mon 2]",
    ),
    "an order": Example(
        {
            "orderMessage": {
                "itemCount": 2,
                "orderTitle": "Shop",
                "totalAmount1000": 45500,
                "totalCurrencyCode": "SAR",
                "message": "by noon",
                "token": "secret",
            }
        },
        "order",
        "[order: 2 items, Shop, 45.5 SAR] by noon",
    ),
    "an order of one item": Example({"orderMessage": {"itemCount": 1}}, "order", "[order: 1 item]"),
    "a product": Example(
        {
            "productMessage": {
                "product": {
                    "title": "Red shoes",
                    "retailerId": "SHOE-42",
                    "priceAmount1000": 99000,
                    "currencyCode": "SAR",
                },
                "body": "this size?",
            }
        },
        "product",
        "[product: Red shoes, SHOE-42, 99 SAR] this size?",
    ),
    "an event": Example(
        {
            "eventMessage": {
                "name": "Dinner",
                "description": "bring friends",
                "startTime": 1_767_290_400,
                "location": {"name": "Shop"},
            }
        },
        "event",
        "[event: Dinner, 2026-01-01 18:00, Shop] bring friends",
    ),
    "a cancelled event": Example(
        {"eventMessage": {"name": "Dinner", "isCanceled": True}}, "event", "[cancelled event: Dinner]"
    ),
    "an answer to an event": Example(
        {"encEventResponseMessage": {"encPayload": "eA=="}}, "event", "[answered an invitation]"
    ),
    "an edited event": Example(
        {"secretEncryptedMessage": {"secretEncType": 1, "targetMessageKey": {"id": "E1"}}},
        "event",
        "[edited an event]",
    ),
    "an invitation to a group": Example(
        {"groupInviteMessage": {"groupName": "Neighbours", "caption": "join us"}},
        "invite",
        "[invitation to a group: Neighbours] join us",
    ),
    "an invitation to a channel": Example(
        {"newsletterAdminInviteMessage": {"newsletterName": "News"}},
        "invite",
        "[invitation to a channel: News]",
    ),
    "a planned call": Example(
        {"scheduledCallCreationMessage": {"title": "Review", "scheduledTimestampMs": "1767290400000"}},
        "call",
        "[planned call: Review, 2026-01-01 18:00]",
    ),
    "a request for the phone number": Example(
        {"requestPhoneNumberMessage": {"contextInfo": {}}}, "request", "[asked for your phone number]"
    ),
    "a payment": Example(
        {"sendPaymentMessage": {"noteMessage": {"conversation": "for May"}}}, "payment", "[payment] for May"
    ),
    "a request for payment": Example(
        {
            "requestPaymentMessage": {
                "amount1000": 12000,
                "currencyCodeIso4217": "SAR",
                "noteMessage": {"extendedTextMessage": {"text": "lunch"}},
            }
        },
        "payment",
        "[request for payment: 12 SAR] lunch",
    ),
    "a request for payment 2": Example(
        {
            "requestPaymentMessage": {
                "amount": {"value": "1200", "offset": 100, "currencyCode": "SAR"},
                "noteMessage": {"conversation": "lunch"},
            }
        },
        "payment",
        "[request for payment: 12 SAR] lunch",
    ),
    "a declined payment": Example(
        {"declinePaymentRequestMessage": {"key": {"id": "M1"}}}, "payment", "[declined a request for payment]"
    ),
    "an invoice": Example({"invoiceMessage": {"note": "no. 7", "token": "s"}}, "payment", "[invoice] no. 7"),
    "a comment": Example({"encCommentMessage": {"encPayload": "eA=="}}, "comment", "[comment]"),
    "an answer to a status post": Example(
        {"questionResponseMessage": {"text": "blue"}}, "text", "[answer to a status post] blue"
    ),
    "a message of another bot": Example(
        {"buttonsMessage": {"contentText": "Rate us", "buttons": []}},
        "template",
        "[message with buttons] Rate us",
    ),
    "a message of another bot 2": Example(
        {"listMessage": {"title": "Menu", "description": "Rate us"}},
        "template",
        "[message with buttons] Rate us",
    ),
    "a message of another bot 3": Example(
        {"templateMessage": {"hydratedTemplate": {"hydratedContentText": "Rate us"}}},
        "template",
        "[message with buttons] Rate us",
    ),
    "a message of another bot 4": Example(
        {"interactiveMessage": {"body": {"text": "Rate us"}}}, "template", "[message with buttons] Rate us"
    ),
    "a forwarded answer of Meta AI": Example(
        {"richResponseMessage": {"submessages": [{"messageText": "One."}, {"messageText": "Two."}]}},
        "text",
        "One.\nTwo.",
    ),
    "a message that disappears": Example(
        wrapped("ephemeralMessage", {"conversation": "soon gone"}), "text", "soon gone"
    ),
    "a round video 2": Example(
        wrapped("ephemeralMessage", wrapped("viewOnceMessage", {"videoMessage": {}})), "video", "[video]"
    ),
    "a text 2": Example(wrapped("hologramEnvelopeMessage", {"conversation": "مرحبا"}), "text", "مرحبا"),
    "an edit": Example(
        wrapped(
            "editedMessage",
            {
                "protocolMessage": {
                    "type": "MESSAGE_EDIT",
                    "key": {"id": "M1"},
                    "editedMessage": {"conversation": "at five"},
                }
            },
        ),
        "edit",
        "[edited] at five",
    ),
    "an edit of a caption": Example(
        {
            "protocolMessage": {
                "type": 14,
                "key": {"id": "M1"},
                "editedMessage": {"imageMessage": {"caption": "two"}},
            }
        },
        "edit",
        "[edited] [image] two",
    ),
    "an edit that does not say of what": Example(
        wrapped("editedMessage", {"conversation": "two"}), "edit", "[edited] two"
    ),
    "an encrypted edit": Example(
        {"secretEncryptedMessage": {"secretEncType": 2, "targetMessageKey": {"id": "M1"}}},
        "edit",
        "[edited a message; its new text is not known]",
    ),
    "a deletion": Example(
        {"protocolMessage": {"type": "REVOKE", "key": {"id": "M1"}}}, "deletion", "[deleted a message]"
    ),
    "a deletion 2": Example(
        {"protocolMessage": {"type": 0, "key": {"id": "M1"}}}, "deletion", "[deleted a message]"
    ),
    "an unknown kind": Example(
        {"hologramMessage": {"depth": 3}}, "unsupported", "[unsupported message: hologram]"
    ),
    "an unknown kind with a caption": Example(
        {"hologramMessage": {"depth": 3, "caption": "turn it round"}},
        "unsupported",
        "[unsupported message: hologram] turn it round",
    ),
}
"""Messages as WhatsApp Web has them: the Evolution API, Evolution Go and WAHA pass them on."""

WEB_SKIPPED: dict[str, tuple[Any, str]] = {
    "a message that is not decrypted yet": (None, "undecrypted"),
    "a message without content": ({"messageContextInfo": {"messageSecret": "eA=="}}, "undecrypted"),
    "a text without words": (
        {"extendedTextMessage": {"text": "", "contextInfo": {"stanzaId": "Q1"}}},
        "empty",
    ),
    "a message that is shown on the phone only": ({"placeholderMessage": {"type": 0}}, "undecrypted"),
    "a message of another device of ours": (wrapped("deviceSentMessage", {"conversation": "x"}), "own"),
    "the marker of an album": ({"albumMessage": {"expectedImageCount": 3}}, "album"),
    "a removed reaction": ({"reactionMessage": {"text": "", "key": {"id": "M1"}}}, "reaction removed"),
    "an entry of the call log": ({"callLogMesssage": {"callOutcome": 1}}, "call"),
    "a setting between the phones": ({"protocolMessage": {"type": "EPHEMERAL_SETTING"}}, "protocol"),
    "a key between the phones": ({"senderKeyDistributionMessage": {"groupId": "1"}}, "protocol"),
    "a pinned message": ({"pinInChatMessage": {"key": {"id": "M1"}, "type": 1}}, "protocol"),
    "a kept message": ({"keepInChatMessage": {"key": {"id": "M1"}}}, "protocol"),
    "a system text of the Cloud API, through Evolution": ({"systemMessage": {"body": "x"}}, "system"),
    "a notice about a status post": ({"statusNotificationMessage": {"type": 1}}, "status"),
}
"""Messages that no user wrote, and the reason under which they are counted."""

WAHA: dict[str, Example] = {
    "a text": Example({"body": "مرحبا"}, "text", "مرحبا"),
    "a text in answer to another": Example(
        {"body": "yes", "replyTo": {"id": "Q1", "body": "Are you there?"}},
        "text",
        "[in answer to: Are you there?]\nyes",
    ),
    "a photo with a caption": Example(
        {"body": "this?", "hasMedia": True, "media": {"mimetype": "image/jpeg", "url": "http://w/1.jpg"}},
        "image",
        "[image] this?",
    ),
    "a voice message": Example(
        {"hasMedia": True, "media": {"mimetype": "audio/ogg"}, "_data": {"type": "ptt"}},
        "audio",
        "[voice message]",
    ),
    "a document": Example(
        {"hasMedia": True, "media": {"mimetype": "application/pdf", "filename": "a.pdf"}},
        "document",
        "[document: a.pdf]",
    ),
    "a sticker": Example({"hasMedia": True, "_data": {"type": "sticker"}}, "sticker", "[sticker]"),
    "media that WAHA did not download": Example(
        {"hasMedia": True, "media": None, "_data": {"type": "video"}}, "video", "[video]"
    ),
    "a round video that WAHA did not download": Example(
        {"hasMedia": True, "media": None, "_data": {"type": "ptv"}}, "video", "[video]"
    ),
    "a location": Example(
        {"location": {"description": "Shop", "latitude": "1.5", "longitude": "2"}},
        "location",
        "[location: Shop (1.5,2.0)]",
    ),
    "a contact": Example({"vCards": [VCARD]}, "contacts", "[contact: Omar Haddad, +966 51 234 5678]"),
    "a contact in the body": Example(
        {"body": VCARD, "_data": {"type": "vcard"}}, "contacts", "[contact: Omar Haddad, +966 51 234 5678]"
    ),
    "a location without fields of WAHA": Example(
        {"body": "/9j/4AAQ", "_data": {"type": "location", "lat": 1.5, "lng": 2, "loc": "Shop"}},
        "location",
        "[location: Shop (1.5,2)]",
    ),
    "a poll": Example(
        {
            "_data": {
                "type": "poll_creation",
                "pollName": "When?",
                "pollOptions": [{"name": "Mon"}, {"name": "Tue"}],
            }
        },
        "poll",
        "[poll: When? Mon / Tue]",
    ),
    "a kind that WEBJS does not describe": Example(
        {"_data": {"type": "order"}}, "unsupported", "[unsupported message: order]"
    ),
}
"""Messages of WAHA by its own fields, as the engine WEBJS has them; other engines add WhatsApp Web's content."""
