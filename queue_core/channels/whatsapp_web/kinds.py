"""Kinds of messages of WhatsApp Web, in one table: our name of each, its words for the AI, its structure.

Names and fields: WAProto.proto of Baileys. Programs in Go put a choice between fields (`oneof`) one level deeper. The
Evolution API gives these names to messages of the Cloud API, too, with Meta's fields in them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from queue_core.channels import content as contents
from queue_core.channels.base import SkippedError
from queue_core.channels.content import Content
from queue_core.channels.phrases import Phrases
from queue_core.channels.values import (
    Object,
    at,
    filled,
    json_object,
    label,
    mapping,
    name,
    objects,
    text,
    whole_number,
)
from queue_core.channels.vcard import read_vcard

HASH_CHARACTERS = (44, 64)
"""Lengths of a SHA-256 in base64 and in hexadecimal digits."""
Reader = Callable[[Phrases, Object], Content]
"""Function that reads messages of one kind. It gets the phrases, and the part with the content and MEDIA_FIELDS."""


def _text(_: Phrases, part: Object) -> Content:
    return Content(kind="text", text=text(part.get("text")))


def _media(kind: str) -> Reader:
    def read(phrases: Phrases, part: Object) -> Content:
        is_voice = kind == "audio" and part.get("ptt") is True
        transcription = (
            text(part.get("speechToText")).removeprefix("[audio]").strip() if kind == "audio" else ""
        )
        facts = filled(
            id=text(part.get("id")),
            mimetype=name(part.get("mimetype") or part.get("mime_type")),
            filename=name(part.get("fileName") or part.get("filename") or part.get("title"))
            if kind == "document"
            else "",
            seconds=whole_number(part.get("seconds")),
            bytes=whole_number(part.get("fileLength")),
            url=text(part.get("mediaUrl")),
        )
        return contents.media(
            phrases,
            kind,
            caption=text(part.get("caption")),
            is_voice=is_voice,
            transcription=transcription,
            facts=facts,
        )

    return read


def _contact(phrases: Phrases, part: Object) -> Content:
    return contents.contacts(phrases, [_card(part)])


def _contact_array(phrases: Phrases, part: Object) -> Content:
    return contents.contacts(phrases, [_card(card) for card in objects(part.get("contacts"))])


def _card(part: Object) -> dict[str, Any]:
    return read_vcard(text(part.get("vcard")), display_name=name(part.get("displayName")))


def _reaction(phrases: Phrases, part: Object) -> Content:
    emoji = name(part.get("text"))
    if not emoji:
        raise SkippedError("reaction removed")
    return contents.reaction(phrases, emoji, text(at(part, "key", "id")))


def _choice(kind: str, titles: tuple[str, ...], id_path: tuple[str, ...], description: str = "") -> Reader:
    def read(phrases: Phrases, part: Object) -> Content:
        return contents.choice(
            phrases,
            kind,
            title=text(at(part, *titles)) or text(at(part, "response", titles[-1])),
            chosen_id=text(at(part, *id_path)),
            description=text(part.get(description)) if description else "",
        )

    return read


def _interactive_response(phrases: Phrases, part: Object) -> Content:
    """Describe a choice or a filled-in form: `paramsJson` has the id of a choice, or the fields of a form."""
    flow = mapping(
        part.get("nativeFlowResponseMessage")
        or at(part, "interactiveResponseMessage", "nativeFlowResponseMessage")
    )
    body, fields = text(at(part, "body", "text")), json_object(flow.get("paramsJson"))
    chosen_id = text(fields.get("id"))
    if not fields and contents.is_default_body(body) and flow.get("paramsJson"):
        return contents.form(phrases, name(flow.get("name")), {})
    if chosen_id or not fields:
        title = body or text(fields.get("title")) or text(fields.get("display_text"))
        return contents.choice(
            phrases,
            "interactive",
            title=title or ("" if chosen_id else name(flow.get("name"))),
            chosen_id=chosen_id,
            description=text(fields.get("description")),
        )
    return contents.form(phrases, name(flow.get("name")), fields, body=body)


def _poll(phrases: Phrases, part: Object) -> Content:
    options = [name(option.get("optionName")) for option in objects(part.get("options"))]
    return contents.poll(phrases, name(part.get("name")), [option for option in options if option])


def _poll_result(phrases: Phrases, part: Object) -> Content:
    votes = [
        contents.joined(name(vote.get("optionName")), label(vote.get("optionVoteCount")) or "0")
        for vote in objects(part.get("pollVotes"))[: contents.ITEMS_MAX]
    ]
    return contents.placeholder(
        phrases, "poll", "poll result", contents.joined(name(part.get("name")), phrases.listed(votes))
    )


def _poll_vote(phrases: Phrases, part: Object) -> Content:
    """Describe a vote. Most are encrypted, or have hashes of the options, which are HASH_CHARACTERS long."""
    chosen = at(part, "vote", "selectedOptions")
    names = [name(option) for option in chosen] if isinstance(chosen, list) else []
    options = [option for option in names if option and len(option) not in HASH_CHARACTERS]
    return contents.vote(phrases, options, text(at(part, "pollCreationMessageKey", "id")))


def _order(phrases: Phrases, part: Object) -> Content:
    return contents.order(
        phrases,
        [],
        count=max(0, whole_number(part.get("itemCount"))),
        note=text(part.get("message")),
        order_id=name(part.get("orderId")),
        title=name(part.get("orderTitle")),
        total=contents.price(part.get("totalAmount1000"), part.get("totalCurrencyCode")),
    )


def _product(phrases: Phrases, part: Object) -> Content:
    facts = mapping(part.get("product"))
    price = facts.get("salePriceAmount1000") or facts.get("priceAmount1000")
    structure = filled(
        id=name(facts.get("retailerId") or facts.get("productId")),
        title=name(facts.get("title") or at(part, "catalog", "title")),
        price=contents.price(price, facts.get("currencyCode")),
        url=text(facts.get("url")),
    )
    return contents.product(phrases, structure, note=text(part.get("body")))


def _event(phrases: Phrases, part: Object) -> Content:
    place = mapping(part.get("location"))
    facts = filled(
        name=name(part.get("name")),
        description=text(part.get("description")),
        place=phrases.listed([name(place.get("name")), name(place.get("address"))]),
        start_ms=whole_number(part.get("startTime")) * 1000,
        end_ms=whole_number(part.get("endTime")) * 1000,
        link=text(part.get("joinLink")),
    )
    return contents.event(phrases, facts, is_cancelled=part.get("isCanceled") is True)


def _planned_call(phrases: Phrases, part: Object) -> Content:
    return contents.planned_call(phrases, name(part.get("title")), part.get("scheduledTimestampMs"))


def _location(*, is_live: bool) -> Reader:
    return lambda phrases, part: contents.location(phrases, part, is_live=is_live)


def _named(kind: str, code: str, detail: str = "", note: str = "") -> Reader:
    """Make a reader for a kind that becomes a placeholder with one field in it, and another field after it."""

    def read(phrases: Phrases, part: Object) -> Content:
        detail_text = name(part.get(detail)) if detail else ""
        return contents.placeholder(phrases, kind, code, detail_text, text(part.get(note)) if note else "")

    return read


def _payment(code: str) -> Reader:
    def read(phrases: Phrases, part: Object) -> Content:
        money = mapping(part.get("amount"))
        currency = part.get("currencyCodeIso4217") or money.get("currencyCode")
        amount = contents.price(part.get("amount1000"), currency) or contents.price(
            money.get("value"), currency, fraction=money.get("offset")
        )
        note = mapping(part.get("noteMessage"))
        words = text(note.get("conversation")) or text(at(note, "extendedTextMessage", "text"))
        return contents.placeholder(phrases, "payment", code, amount, words)

    return read


def _template(*paths: tuple[str, ...]) -> Reader:
    """Make a reader for a message that another business's program sends, with its text at one of the paths."""

    def read(phrases: Phrases, part: Object) -> Content:
        words = next((value for path in paths if (value := text(at(part, *path)))), "")
        return contents.placeholder(phrases, "template", "template", "", words)

    return read


def _rich_response(_: Phrases, part: Object) -> Content:
    texts = [text(piece.get("messageText")) for piece in objects(part.get("submessages"))]
    return Content(kind="text", text="\n".join(words for words in texts if words))


_HYDRATED = (("hydratedTemplate",), ("hydratedFourRowTemplate",), ("format", "hydratedFourRowTemplate"))
KINDS: Mapping[str, Reader] = {
    "extendedTextMessage": _text,
    "imageMessage": _media("image"),
    "videoMessage": _media("video"),
    "ptvMessage": _media("video"),
    "audioMessage": _media("audio"),
    "documentMessage": _media("document"),
    "stickerMessage": _media("sticker"),
    "lottieStickerMessage": _media("sticker"),
    "stickerPackMessage": _named("sticker", "sticker pack", "name", "caption"),
    "locationMessage": _location(is_live=False),
    "liveLocationMessage": _location(is_live=True),
    "contactMessage": _contact,
    "contactsArrayMessage": _contact_array,
    "reactionMessage": _reaction,
    "encReactionMessage": _named("reaction", "reaction"),
    "buttonsResponseMessage": _choice("button", ("selectedDisplayText",), ("selectedButtonId",)),
    "templateButtonReplyMessage": _choice("button", ("selectedDisplayText",), ("selectedId",)),
    "listResponseMessage": _choice("list", ("title",), ("singleSelectReply", "selectedRowId"), "description"),
    "interactiveResponseMessage": _interactive_response,
    "pollCreationMessage": _poll,
    "pollCreationMessageV2": _poll,
    "pollCreationMessageV3": _poll,
    "pollCreationMessageV5": _poll,
    "pollUpdateMessage": _poll_vote,
    "pollResultSnapshotMessage": _poll_result,
    "pollResultSnapshotMessageV3": _poll_result,
    "orderMessage": _order,
    "productMessage": _product,
    "eventMessage": _event,
    "encEventResponseMessage": _named("event", "event answer"),
    "groupInviteMessage": _named("invite", "group invite", "groupName", "caption"),
    "newsletterAdminInviteMessage": _named("invite", "channel invite", "newsletterName", "caption"),
    "newsletterFollowerInviteMessageV2": _named("invite", "channel invite", "newsletterName", "caption"),
    "scheduledCallCreationMessage": _planned_call,
    "requestPhoneNumberMessage": _named("request", "asks for phone"),
    "sendPaymentMessage": _payment("payment"),
    "requestPaymentMessage": _payment("payment request"),
    "declinePaymentRequestMessage": _payment("payment declined"),
    "cancelPaymentRequestMessage": _payment("payment declined"),
    "paymentInviteMessage": _payment("payment"),
    "invoiceMessage": _named("payment", "invoice", "", "note"),
    "encCommentMessage": _named("comment", "comment"),
    "questionResponseMessage": _named("text", "answer to status", "", "text"),
    "statusQuestionAnswerMessage": _named("text", "answer to status", "", "text"),
    "statusQuotedMessage": _named("text", "answer to status", "", "text"),
    "interactiveMessage": _template(("body", "text"), ("header", "title")),
    "buttonsMessage": _template(("contentText",)),
    "listMessage": _template(("description",), ("title",)),
    "templateMessage": _template(
        *((*path, "hydratedContentText") for path in _HYDRATED),
        ("interactiveMessageTemplate", "body", "text"),
    ),
    "highlyStructuredMessage": _template(("hydratedHsm", "hydratedTemplate", "hydratedContentText")),
    "richResponseMessage": _rich_response,
}
"""Kinds that users write, by their names in WhatsApp's protocol."""

UNWRITTEN: Mapping[str, str] = {
    "albumMessage": "album",
    "deviceSentMessage": "own",
    "systemMessage": "system",
    "placeholderMessage": "undecrypted",
    "callLogMesssage": "call",
    "call": "call",
    "bcallMessage": "call",
    "scheduledCallEditMessage": "call",
    "senderKeyDistributionMessage": "protocol",
    "fastRatchetKeySenderKeyDistributionMessage": "protocol",
    "chat": "protocol",
    "keepInChatMessage": "protocol",
    "pinInChatMessage": "protocol",
    "stickerSyncRmrMessage": "protocol",
    "messageHistoryBundle": "protocol",
    "messageHistoryNotice": "protocol",
    "statusNotificationMessage": "status",
    "statusStickerInteractionMessage": "status",
}
"""Kinds that users do not write, by their names in the protocol, with the reason under which they are counted."""

MEDIA_FIELDS = ("mediaUrl", "speechToText")
"""Fields that Evolution adds beside the kind: the address of the media, and a transcription of its speech."""
OTHER_FIELDS = frozenset({"messageContextInfo", "contextInfo", "base64", *MEDIA_FIELDS})
"""Fields of a message other than its content, which stands under the name of its kind."""
