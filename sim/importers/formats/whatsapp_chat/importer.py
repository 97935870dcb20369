"""Importer of WhatsApp's "export chat" files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from queue_core.recording.format import MessageEvent, Precision, Reply
from queue_core.text import visible
from sim.importers.base import Context, Evidence, ImportedEvent, Importer, ImportFailedError, Omission, Sample
from sim.importers.formats.webhooks.bodies import is_webhook
from sim.importers.formats.whatsapp_chat.bodies import DELETION, NOTICE, speaks_of_encryption
from sim.importers.formats.whatsapp_chat.chat import BEFORE, ChatMessage, read_chat
from sim.importers.formats.whatsapp_chat.headers import read_header
from sim.importers.formats.whatsapp_chat.survey import (
    NotAChatError,
    Style,
    clean_author,
    split_author,
    survey,
)
from sim.importers.sources import Source, text_of
from sim.importers.times import in_zone

NOTICES = "notices of WhatsApp, such as those of encryption and calls"
BEFORE_FIRST = "lines before the first message"
WEBHOOK = "webhooks in the middle of a chat (put them into a separate file)"
NOBODY = "a reply before anybody has written"
CANDIDATES_MAX = 12
_LINES_LOOKED_AT = 2_000
_SPOILT = re.compile("Ã[\u0080-\u00bf\u0152-\u02dc\u2013-\u2122]|â€")
"""Beginnings of UTF-8 letters that were read as Windows-1252."""
_NON_DIGITS = re.compile(r"\D+")
_ORDER_WORDS = {
    "dmy": ("day/month", "mdy"),
    "mdy": ("month/day", "dmy"),
    "ymd": ("year/month/day", "dmy"),
    "ydm": ("year/day/month", "ymd"),
}


class WhatsAppChats(Importer):
    """Text files that WhatsApp writes for "export chat", on phones with iOS and Android."""

    name = "whatsapp-chat"
    title = "chats exported from WhatsApp"
    aliases = ("whatsapp", "whatsapp-export", "chat-export")

    def recognise(self, sample: Sample) -> Evidence | None:
        """See Importer.recognise."""
        lines = sample.lines[:_LINES_LOOKED_AT]
        headers = [header for line in lines if (header := read_header(line))]
        authored = [header for header in headers if split_author(header.rest, Counter())[0]]
        is_chat = any(speaks_of_encryption(header.rest) for header in headers)
        if not is_chat and (not authored or 2 * len(authored) < len(headers)):
            return None
        begins = read_header(lines[0]) is not None
        has_json = sum('{"' in header.rest for header in headers) * 4 > len(headers)
        form = Counter(header.form for header in headers).most_common(1)[0][0]
        words = f"{len(headers)} of the first {len(lines)} lines begin as the messages of an exported chat do"
        if has_json or (not begins and 20 * len(headers) < len(lines)):
            return Evidence(20, words)
        return Evidence(90 if begins and form[0] in "[-–—" else 55, words)

    def read(self, source: Source, context: Context) -> Iterator[ImportedEvent | Omission]:
        """See Importer.read."""
        lines = _Lines(source, context)
        try:
            style = survey(lines.read, order=context.date_order)
        except NotAChatError as error:
            raise ImportFailedError(f"{source.name}: {error}") from None
        bots = _bots(source, context, style)
        _note(context, style, bots)
        if style.is_hijri:
            context.note("The dates are of the Islamic calendar: all of them may be wrong by a day.")
        yield from _events(read_chat(lines.read, style), context, style, bots)
        for place in lines.webhooks:
            yield Omission(WEBHOOK, place)


class _Lines:
    """Lines of a chat, without webhooks that stand among them since somebody joined two files."""

    def __init__(self, source: Source, context: Context) -> None:
        self._source = source
        self._context = context
        self.webhooks: list[int] = []
        """Numbers of the lines that are webhooks, from the last reading."""

    def read(self) -> Iterator[str]:
        """Yield the lines with their line breaks; an empty line for one that is too long, or is a webhook."""
        self.webhooks = []
        for number, line in self._source.lines():
            if line is None:
                yield "\n"
            elif line.startswith(b"{") and is_webhook(line):
                self.webhooks.append(number)
                yield "\n"
            else:
                text = text_of(line, self._context)
                if not text.isascii() and _SPOILT.search(text):
                    self._context.note(
                        "Some letters were spoilt before the import, as in Ã£ for ã: UTF-8 was read as Windows-1252 "
                        "and saved. Counts are right, but notices may count as messages: export the chat again."
                    )
                yield text


def _bots(source: Source, context: Context, style: Style) -> frozenset[str]:
    """Return the authors that are the bot. Raises ImportFailedError with the candidates."""
    wanted = {_key(bot) for bot in context.bots}
    bots = frozenset(author for author in style.authors if _key(author) in wanted)
    if bots or not style.authors:
        return bots
    candidates = ", ".join(
        f'"{visible(author)}" ({count})' for author, count in style.authors.most_common(CANDIDATES_MAX)
    )
    hint = _other_side(source.name, style)
    if context.bots and len(style.authors) == 1:
        context.note(f"{source.name}: the bot has written nothing in this chat.")
        return frozenset()
    if context.bots:
        names = ", ".join(f'"{visible(bot)}"' for bot in sorted(context.bots))
        raise ImportFailedError(
            f"{source.name}: no author in this chat has the name {names}; authors: {candidates}"
        )
    raise ImportFailedError(
        f"{source.name}: say who the bot is, as in --bot {_quoted(hint) if hint else 'NAME'}; authors, "
        f"with the number of their messages: {candidates}"
    )


def _other_side(name: str, style: Style) -> str:
    """Return the author who is not the one in the file's name; "" if no author is in it."""
    if len(style.authors) != 2:
        return ""
    return next(
        (
            author
            for author in style.authors
            if all(other == author or other.lower() in name.lower() for other in style.authors)
        ),
        "",
    )


def _key(author: str) -> str:
    """Return a name in a form for comparison; for a phone number, its digits."""
    name = clean_author(author)
    digits = _NON_DIGITS.sub("", name)
    return (
        digits if len(digits) >= 7 and not any(character.isalpha() for character in name) else name.casefold()
    )


def _quoted(name: str) -> str:
    return f'"{visible(name)}"' if re.search(r"[^\w.+-]", name) else name


def _note(context: Context, style: Style, bots: frozenset[str]) -> None:
    if context.zone is None:
        context.note(
            "The chat's times name no zone: taken as UTC; --zone changes that, as in --zone America/Sao_Paulo"
        )
    if not style.is_order_proven:
        words, other = _ORDER_WORDS[style.order]
        context.note(
            f"No date of the chat proves the order: taken as {words}; --date-order {other} changes that."
        )
    if len(style.authors) - len(bots) > 1:
        context.note(
            f"{len(style.authors) - len(bots)} people other than the bot write in this chat: each is a conversation."
        )
    if style.unknown_halves:
        context.note("A word beside the times is unknown: if it means AM or PM, times are wrong by 12 hours.")


def _events(
    messages: Iterator[ChatMessage], context: Context, style: Style, bots: frozenset[str]
) -> Iterator[ImportedEvent | Omission]:
    users = [author for author in style.authors if author not in bots]
    partner = users[0] if len(users) == 1 else ""
    for message in messages:
        if message.kind == BEFORE:
            yield Omission(BEFORE_FIRST, message.line)
        elif message.kind == NOTICE:
            yield Omission(NOTICES, message.line)
        elif message.author not in bots:
            partner = message.author
            yield _taken(message, partner, context, is_reply=False)
        elif partner:
            yield _taken(message, partner, context, is_reply=True)
        else:
            yield Omission(NOBODY, message.line)


def _taken(message: ChatMessage, phone: str, context: Context, *, is_reply: bool) -> ImportedEvent:
    at = message.at_ms if context.zone is None else in_zone(message.at_ms, context.zone)
    precision: Precision = "s" if message.has_seconds else "min"
    kind = message.kind
    if kind == DELETION:
        kind = "deleted"
        context.note(
            'Deleted messages are imported with the kind "deleted": the file has neither their texts nor the times '
            "when they were deleted."
        )
    characters = message.characters if message.characters > len(message.text) else None
    if is_reply:
        reply = Reply(
            at=at,
            instance=context.instance,
            phone=phone,
            who="bot",
            text=message.text,
            characters=characters,
            kind=kind,
        )
        return ImportedEvent(reply, message.line, precision)
    event = MessageEvent(at, True, context.instance, phone, "", message.text, kind, None, characters)
    return ImportedEvent(event, message.line, precision)
