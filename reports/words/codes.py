"""Codes in a word or two: fates, triggers, kinds of messages. Unknown triggers and kinds are returned unchanged."""

from __future__ import annotations

from collections.abc import Mapping

from reports.words.language import gettext, marked

_FATES: Mapping[str, str] = {
    "answered": marked("answered"),
    "lost": marked("lost"),
    "unanswered": marked("no reply"),
    "dead_lettered": marked("dead-lettered"),
    "pending": marked("still waiting"),
}
_TRIGGERS: Mapping[str, str] = {
    "window": marked("window"),
    "size": marked("size"),
    "idle": marked("idle"),
    "retry": marked("retry"),
    "direct": marked("direct"),
    "timer": marked("timer"),
    "queued": marked("queued"),
    "keyword": marked("keyword"),
    "duplicate": marked("repeated"),
}
_KINDS: Mapping[str, str] = {
    "text": marked("text"),
    "image": marked("image"),
    "audio": marked("audio"),
    "video": marked("video"),
    "document": marked("document"),
    "sticker": marked("sticker"),
    "location": marked("location"),
    "contacts": marked("contacts"),
    "poll": marked("poll"),
    "media": marked("media"),
    "deleted": marked("deleted"),
    "reaction": marked("reaction"),
    "button": marked("button"),
    "call": marked("planned call"),
    "comment": marked("comment"),
    "deletion": marked("deletion"),
    "edit": marked("edit"),
    "event": marked("event"),
    "interactive": marked("choice from a menu"),
    "invite": marked("invitation"),
    "list": marked("choice from a list"),
    "order": marked("purchase order"),
    "payment": marked("payment"),
    "product": marked("product"),
    "request": marked("request for the phone number"),
    "request_welcome": marked("chat opened"),
    "template": marked("message with buttons"),
    "unsupported": marked("unsupported"),
}


def fate_words(fate: str) -> str:
    """Name the fate of a message."""
    return gettext(_FATES[fate])


def trigger_words(trigger: str) -> str:
    """Name the trigger that made a batch due."""
    return gettext(_TRIGGERS[trigger]) if trigger in _TRIGGERS else trigger


def kind_words(kind: str) -> str:
    """Name a kind of message."""
    return gettext(_KINDS[kind]) if kind in _KINDS else kind
