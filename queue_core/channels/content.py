"""Content of a message of any provider: its kind, its words for the AI, and its structure.

Each function describes one kind. The words follow one rule: first a line for each thing that the message refers to,
then a placeholder in brackets for content that is not text, then the text that the user wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from queue_core.channels.phrases import Phrases
from queue_core.channels.secrets import is_secret_name
from queue_core.channels.values import (
    Object,
    at,
    filled,
    is_number,
    label,
    mapping,
    name,
    text,
    whole_number,
)

ITEMS_MAX = 30
"""Limit on items, options, contacts and fields in a placeholder, which says how many more there are."""
DETAIL_CHARACTERS_MAX = 2_000
"""Limit on a form's answer inside a placeholder; a longer one is cut."""
_WORDS = ("caption", "text", "body")
"""Keys of texts that users write, in all known kinds."""
GUESTS_MAX = 1_000
"""Number of guests from which on the number is not believed, and left out of the answer to an invitation."""
DEPTH_MAX = 6
"""Limit on nesting within a form's answers."""
KINDS = frozenset(
    {
        *("audio", "button", "call", "comment", "contacts", "deletion", "document", "edit", "event", "image"),
        *("interactive", "invite", "list", "location", "order", "payment", "poll", "product", "reaction"),
        *("request", "request_welcome", "sticker", "template", "text", "unsupported", "video"),
    }
)
"""Our names of all kinds of messages; docs/messages.md shows examples."""


class Change(msgspec.Struct, frozen=True):
    """Change of an earlier message of the same user. `id` is that of the earlier message, "" if it is unknown."""

    what: Literal["edit", "deletion"]
    id: str
    text: str | msgspec.UnsetType = msgspec.UNSET
    """New text of an edit, if it is known."""
    kind: str | msgspec.UnsetType = msgspec.UNSET
    """New kind of an edited message."""


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """Content of one message."""

    kind: str
    """Our name of the kind, one of KINDS."""
    text: str
    """Words for the AI."""
    facts: dict[str, Any] = {}
    """Structure of the content, with the keys that it has in `message_data`."""
    change: Change | None = None
    unknown: str = ""
    """The provider's name of the kind, if the kind is unknown."""


def joined(*parts: str) -> str:
    """Join a placeholder and the text that the user wrote."""
    return " ".join(part for part in parts if part)


def media(
    phrases: Phrases,
    kind: str,
    *,
    caption: str = "",
    is_voice: bool = False,
    transcription: str = "",
    facts: Object | None = None,
) -> Content:
    """Describe media: "[image] the caption", "[voice message, 7 s] its transcription", "[document: offer.pdf]"."""
    known = mapping(facts)
    seconds = whole_number(known.get("seconds")) if kind == "audio" else 0
    placeholder = phrases.bracketed(
        "voice" if is_voice else kind,
        name(known.get("filename")) if kind == "document" else "",
        extra=phrases.counted("seconds", seconds) if seconds > 0 else "",
    )
    structure = filled(media=filled(**known), transcription=transcription)
    return Content(kind=kind, text=joined(placeholder, transcription, caption), facts=structure)


def location(phrases: Phrases, part: Object, *, is_live: bool = False) -> Content:
    """Describe a location by name, address and coordinates, as far as they are known."""
    latitude = part.get("latitude", part.get("degreesLatitude"))
    longitude = part.get("longitude", part.get("degreesLongitude"))
    names = [name(part.get("name")), name(part.get("address"))]
    detail = phrases.listed(names)
    facts = filled(name=names[0], address=names[1], url=text(part.get("url")), live=is_live)
    if is_number(latitude) and is_number(longitude):
        detail = f"{detail} ({latitude},{longitude})".strip()
        facts |= {"latitude": latitude, "longitude": longitude}
    placeholder = phrases.bracketed("live location" if is_live else "location", detail)
    words = joined(placeholder, text(part.get("comment")) or text(part.get("caption")))
    return Content(kind="location", text=words, facts={"location": facts})


def contacts(phrases: Phrases, cards: Sequence[Object]) -> Content:
    """Describe contact cards, which are {"name", "phones", "emails", "organisation"}."""
    described = [
        phrases.listed(
            [
                name(card.get("name")),
                *map(name, card.get("phones", [])),
                *map(name, card.get("emails", [])),
                name(card.get("organisation")),
            ]
        )
        for card in cards
    ]
    placeholder = phrases.bracketed(
        "contact" if len(cards) == 1 else "contacts", _several(phrases, described)
    )
    return Content(kind="contacts", text=placeholder, facts={"contacts": [filled(**card) for card in cards]})


def reaction(phrases: Phrases, emoji: str, target: str) -> Content:
    """Describe a reaction to the message with the id `target`."""
    facts = {"reaction": filled(emoji=emoji, id=target)}
    return Content(kind="reaction", text=phrases.bracketed("reaction", emoji), facts=facts)


def choice(phrases: Phrases, kind: str, *, title: str, chosen_id: str = "", description: str = "") -> Content:
    """Describe a button or row that the user chose, by its title, or else its id."""
    words = title or chosen_id or phrases.bracketed("chose")
    if title and description:
        words = f"{title} ({description})"
    return Content(kind=kind, text=words, facts={"choice": filled(id=chosen_id, title=title)})


def is_default_body(body: str) -> bool:
    """Return True for the body that WhatsApp gives to every filled-in form: "Sent", or nothing."""
    return body.strip().lower() in ("", "sent")


def form(phrases: Phrases, form_name: str, fields: Object, *, body: str = "") -> Content:
    """Describe a filled-in form: "[form: date: 2026-12-01; guests: 4]", or "[form]" if its fields cannot be read."""
    answers = [f"{key}: {value}" for key, value in _answers(fields)]
    placeholder = phrases.bracketed("form", _several(phrases, answers))
    facts = filled(form=filled(name=form_name, fields=_without_secrets(fields)))
    words = joined(placeholder, "" if is_default_body(body) else body)
    return Content(kind="interactive", text=words, facts=facts)


def order(
    phrases: Phrases,
    items: Sequence[Object],
    *,
    count: int = 0,
    note: str = "",
    order_id: str = "",
    title: str = "",
    total: str = "",
) -> Content:
    """Describe an order. Items are {"id", "quantity", "price", "currency"}; `count` is their number, if known."""
    described = [
        joined(f"{label(item.get('quantity')) or 1} x {label(item.get('id')) or '?'}", _price(item))
        for item in items
    ]
    number = (
        "" if items or not count else phrases.word("item") if count == 1 else phrases.counted("items", count)
    )
    placeholder = phrases.bracketed(
        "order", phrases.listed([number, title, _several(phrases, described), total])
    )
    facts = filled(
        id=order_id,
        items=[filled(**item) for item in items],
        count=count or len(items),
        title=title,
        total=total,
    )
    return Content(kind="order", text=joined(placeholder, note), facts={"order": facts | filled(note=note)})


def product(phrases: Phrases, facts: Object, *, note: str = "") -> Content:
    """Describe a product of a catalogue: {"id", "title", "price", "currency", "catalog"}."""
    detail = phrases.listed([name(facts.get("title")), label(facts.get("id")), _price(facts).strip("()")])
    words = joined(phrases.bracketed("product", detail), note)
    return Content(kind="product", text=words, facts={"product": filled(**facts)})


def poll(phrases: Phrases, question: str, options: Sequence[str]) -> Content:
    """Describe a poll: "[poll: Which day? Mon / Tue]"."""
    detail = joined(question, " / ".join(options[:ITEMS_MAX]))
    facts = {"poll": filled(name=question, options=list(options))}
    return Content(kind="poll", text=phrases.bracketed("poll", detail), facts=facts)


def vote(phrases: Phrases, options: Sequence[str], target: str = "") -> Content:
    """Describe a vote in the poll with the id `target`. No options mean that the vote is encrypted."""
    words = phrases.bracketed("vote", phrases.listed(options[:ITEMS_MAX]))
    return Content(kind="poll", text=words, facts={"vote": filled(options=list(options), id=target)})


def event(phrases: Phrases, facts: Object, *, is_cancelled: bool = False) -> Content:
    """Describe an event: {"name", "description", "place", "start_ms", "end_ms", "link"}. Times are UTC."""
    times = [_utc(facts.get("start_ms")), _utc(facts.get("end_ms"))]
    detail = phrases.listed(
        [name(facts.get("name")), " - ".join(time for time in times if time), name(facts.get("place"))]
    )
    placeholder = phrases.bracketed("cancelled event" if is_cancelled else "event", detail)
    words = joined(placeholder, text(facts.get("description")))
    return Content(kind="event", text=words, facts={"event": filled(**facts, cancelled=is_cancelled)})


def event_answer(phrases: Phrases, answer: str, guests: Any = 0) -> Content:
    """Describe an answer to the invitation to an event; `answer` is "" if the answer is encrypted."""
    others = whole_number(guests)
    parts = [answer, phrases.counted("guests", others) if answer and 0 < others < GUESTS_MAX else ""]
    return placeholder(phrases, "event", "event answer", phrases.listed(parts))


def planned_call(phrases: Phrases, title: str, start_ms: Any) -> Content:
    """Describe a call that the user has planned. The time is UTC."""
    content = placeholder(phrases, "call", "call", phrases.listed([title, _utc(start_ms)]))
    return with_notes(content, [], filled(call=filled(title=title, start_ms=whole_number(start_ms))))


def edit(phrases: Phrases, target: str, new: Content | None) -> Content:
    """Describe an edit of the message with the id `target`; `new` is None if its new content is not known."""
    words = f"{phrases.bracketed('edited')} {new.text}" if new else phrases.bracketed("edited, unknown")
    change = Change("edit", target, new.text, new.kind) if new else Change("edit", target)
    return Content(kind="edit", text=words, facts=new.facts if new else {}, change=change)


def deletion(phrases: Phrases, target: str) -> Content:
    """Describe that the user deleted the message with the id `target`."""
    return Content(
        kind="deletion", text=phrases.bracketed("deleted"), change=Change(what="deletion", id=target)
    )


def unsupported(phrases: Phrases, kind: str, *, unknown: str = "", part: Any = None) -> Content:
    """Describe a message of a kind that this version does not know, or that the provider does not pass on.

    For an unknown kind, `part` is searched for text that the user wrote.
    """
    words = next((value for key in _WORDS if (value := text(at(part, key)))), "")
    placeholder = phrases.bracketed("unsupported", name(kind))
    return Content(kind="unsupported", text=joined(placeholder, words), unknown=name(unknown))


def placeholder(phrases: Phrases, kind: str, code: str, detail: str = "", note: str = "") -> Content:
    """Describe a message by a placeholder, and `note`, the text that the user wrote with it."""
    return Content(kind=kind, text=joined(phrases.bracketed(code, detail), note))


def ad_note(phrases: Phrases, ad: Object) -> str:
    """Return a line about the ad or post from which the user came: {"source", "title", "body", "url", …}."""
    code = "from post" if ad.get("source") == "post" else "from ad"
    return phrases.bracketed(
        code, "; ".join(part for part in (name(ad.get("title")), name(ad.get("body"))) if part)
    )


def with_notes(content: Content, notes: Sequence[str], facts: Object) -> Content:
    """Return a content with lines added before its words, and facts added to its facts."""
    if not notes and not facts:
        return content
    lines = "\n".join([*notes, *([content.text] if content.text else [])])
    return msgspec.structs.replace(content, text=lines, facts={**content.facts, **facts})


def price(amount: Any, currency: Any, *, fraction: Any = 1000) -> str:
    """Return an amount such as "1.5 USD". WhatsApp counts in thousandths of the currency, or in another `fraction`."""
    count, parts = whole_number(amount), whole_number(fraction)
    is_amount = 0 < count < 10**15 and 0 < parts <= 10**9
    return joined(f"{count / parts:.15g}", name(currency)) if is_amount else ""


def _price(item: Object) -> str:
    amount = label(item.get("price"))
    return f"({joined(amount, name(item.get('currency')))})" if amount else ""


def _several(phrases: Phrases, parts: Sequence[str]) -> str:
    shown = [part for part in parts[:ITEMS_MAX] if part]
    if len(parts) > ITEMS_MAX:
        shown.append(phrases.counted("more", len(parts) - ITEMS_MAX))
    return "; ".join(shown)


def _answers(fields: Any, key: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield the answers of a form with their names; nested ones as `outer.inner`."""
    if file_name := name(at(fields, "file_name")):  # an attachment, whose other fields mean nothing to an AI
        yield name(key), file_name
    elif isinstance(fields, Mapping) and depth < DEPTH_MAX:
        for inner, value in fields.items():
            if not is_secret_name(str(inner)):
                yield from _answers(value, f"{key}.{inner}" if key else str(inner), depth + 1)
    elif (
        isinstance(fields, list)
        and any(isinstance(item, dict | list) for item in fields)
        and depth < DEPTH_MAX
    ):
        for item in fields[:ITEMS_MAX]:
            yield from _answers(item, key, depth + 1)
    elif words := _answer(fields):
        yield name(key), words


def _answer(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(filter(None, map(_answer, value[:ITEMS_MAX])))[:DETAIL_CHARACTERS_MAX]
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return " ".join(value[:DETAIL_CHARACTERS_MAX].split())
    return label(value)


def _without_secrets(fields: Object) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if not is_secret_name(str(key))}


def _utc(unix_ms: Any) -> str:
    milliseconds = whole_number(unix_ms)
    if not 0 < milliseconds < 10**14:
        return ""
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M}"
