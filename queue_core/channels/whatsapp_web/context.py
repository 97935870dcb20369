"""Things that a message refers to: a quoted message, an ad, a product."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from queue_core.channels.content import Content, ad_note
from queue_core.channels.phrases import Phrases
from queue_core.channels.values import Object, at, filled, mapping, name, text

Read = Callable[[Any], Content | None]
"""Function that reads the content of a quoted message; returns None if it has none."""


class Context(NamedTuple):
    """Things that a message refers to: as lines for the AI, and as facts."""

    notes: list[str]
    facts: dict[str, Any]


def read_context(phrases: Phrases, item: Object, content: Object, read: Read) -> Context:
    """Read the context of a message, which Baileys puts into the content, and Evolution also beside it."""
    notes: list[str] = []
    facts: dict[str, Any] = {}
    for context in _contexts(item, content):
        quoted, quoted_id = context.get("quotedMessage"), text(context.get("stanzaId"))
        if "quoted" not in facts and (quoted_id or isinstance(quoted, dict)):
            answered = read(quoted)
            facts["quoted"] = {"id": quoted_id, "text": answered.text if answered else ""}
            if words := name(facts["quoted"]["text"]):
                notes.append(phrases.bracketed("answers", words))
        ad = context.get("externalAdReply")
        if "referral" not in facts and isinstance(ad, dict) and (ad.get("title") or ad.get("body")):
            facts["referral"] = _ad(ad)
            notes.append(ad_note(phrases, facts["referral"]))
        if context.get("isForwarded") is True:
            facts["forwarded"] = True
    return Context(notes, facts)


def _ad(ad: Object) -> dict[str, Any]:
    return filled(
        source=name(ad.get("sourceType")) or "ad",
        id=name(ad.get("sourceId")),
        url=text(ad.get("sourceUrl")),
        title=text(ad.get("title")),
        body=text(ad.get("body")),
        click_id=text(ad.get("ctwaClid")),
    )


def _contexts(item: Object, content: Object) -> Iterator[Object]:
    for part in (*content.values(), item, content):
        if isinstance(part, dict) and isinstance(context := part.get("contextInfo"), dict):
            yield context
    quoted = mapping(item.get("quoted"))
    if at(quoted, "quotedMessage"):
        yield {"stanzaId": quoted.get("stanzaID"), **quoted}
