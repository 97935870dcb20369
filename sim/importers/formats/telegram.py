"""Importer of Telegram's exports in JSON (`result.json`): of one chat, or of everything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from queue_core.channels.values import label, mapping, objects, text
from queue_core.recording.format import Edit, MessageEvent, Precision, Reply
from queue_core.text import visible
from sim.importers.base import Context, Evidence, ImportedEvent, Importer, ImportFailedError, Omission, Sample
from sim.importers.json_paths import ELEMENT, BrokenJsonError, Path, values_at
from sim.importers.sources import Source
from sim.importers.times import in_zone, moment_of

SERVICE = "notes of Telegram, such as of calls and pinned messages"
NO_TIME = "a message without a time"
NO_AUTHOR = "a message without an author"
NOT_WITH_USERS = "messages of groups and of chats with bots, in an export of a whole account"
NOBODY = "a reply before anybody has written"
OWN_NOTES = "messages of chats in which no user writes: saved messages and channels"
CANDIDATES_MAX = 12
_AUTHORS_MAX = 20_000
_KINDS = {
    "sticker": "sticker",
    "voice_message": "audio",
    "audio_file": "audio",
    "video_message": "video",
    "video_file": "video",
    "animation": "video",
}
_PARTS = {
    "photo": "image",
    "location_information": "location",
    "contact_information": "contacts",
    "poll": "poll",
    "place_name": "location",
    "game_title": "unsupported",
    "invoice_information": "order",
    "file": "document",
}
_ONE_TO_ONE = frozenset({"personal_chat", "bot_chat"})
_UNANSWERED = frozenset({"saved_messages", "private_channel", "public_channel", "verify_codes", "replies"})


class _Chat(NamedTuple):
    """Data of a chat, from the fields before its messages."""

    kind: str
    id: str
    name: str


class _MessageInChat(NamedTuple):
    """Message and its chat."""

    chat: _Chat
    owner: str
    """Author that owns the account, if the export is of a whole account; else ""."""
    message: Mapping[str, Any]
    number: int


class TelegramExports(Importer):
    """The file `result.json` of Telegram Desktop."""

    name = "telegram"
    title = "exports of Telegram"
    aliases = ("telegram-json",)

    def recognise(self, sample: Sample) -> Evidence | None:
        """See Importer.recognise."""
        start = sample.text[:200_000]
        signs = [
            sign for sign in ('"date_unixtime"', '"from_id"', '"text_entities"', '"text"') if sign in start
        ]
        is_chat = '"messages"' in start and '"type"' in start and start.lstrip()[:1] == "{"
        if not is_chat or len(signs) < 2 or '"remoteJid"' in start:
            return None
        return Evidence(95, f"a list of messages with {', '.join(signs)}")

    def read(self, source: Source, context: Context) -> Iterator[ImportedEvent | Omission]:
        """See Importer.read."""
        participants = _Participants(source, context)
        partners: dict[str, str] = {}
        try:
            for entry in _messages(source):
                if isinstance(entry, Omission):
                    yield entry
                else:
                    yield from _events(entry, participants, partners, context)
        except BrokenJsonError as error:
            yield Omission(f"the rest of the file: {error}", 1)


def _descends(path: Path, _: str) -> bool:
    """Return True for the lists of chats and of their messages."""
    return path in (
        (),
        ("messages",),
        ("chats",),
        ("chats", "list"),
        ("left_chats",),
        ("left_chats", "list"),
        *((chats, "list", ELEMENT) for chats in ("chats", "left_chats")),
        *((chats, "list", ELEMENT, "messages") for chats in ("chats", "left_chats")),
    )


def _messages(source: Source) -> Iterator[_MessageInChat | Omission]:
    facts: dict[str, Any] = {}
    number, owner = 0, ""
    for path, value in values_at(source, _descends):
        if path == ("personal_information",):
            owner_id = label(mapping(value).get("user_id"))
            owner = f"user{owner_id}" if owner_id else ""
        if path[-2:] != ("messages", ELEMENT):
            if path and (len(path) == 1 or path[-2:-1] == (ELEMENT,)):
                if path[-1] == "name":
                    facts = {}
                facts[path[-1]] = value if not isinstance(value, dict | list) else None
            continue
        number += 1
        if isinstance(value, dict):
            yield _MessageInChat(
                _Chat(text(facts.get("type")), label(facts.get("id")), text(facts.get("name"))),
                owner,
                value,
                number,
            )
        else:
            yield Omission("a value that is not a message", number)


def _whole_messages(source: Source) -> Iterator[_MessageInChat]:
    """Yield the messages that have an author, as far as the file can be read."""
    with suppress(BrokenJsonError):
        for entry in _messages(source):
            if not isinstance(entry, Omission) and entry.message.get("type") == "message":
                yield entry


class _Participants:
    """Bot and users of an export, as found in the file, or as named by `--bot`."""

    def __init__(self, source: Source, context: Context) -> None:
        """Read the file once to find them. Raises ImportFailedError when nothing shows which author is the bot."""
        self._bots = {bot.casefold().lstrip("@") for bot in context.bots}
        self.authors: Counter[str] = Counter()
        self._names: dict[str, str] = {}
        self.is_of_account = False
        """True for an export of a whole account whose owner is taken as the bot, so that only personal chats count."""
        self._account = ""
        self._owners: Counter[str] = Counter()
        self._partners: set[str] = set()
        for entry in _whole_messages(source):
            self._look_at(entry, is_bot_said=bool(context.bots))
        if context.bots:
            self._check(source)
        elif self._account:
            self.is_of_account = True
            self._take_owner(self._account, context)
        elif not self._bots and len(self._owners) == 1 and self._partners:
            self._take_owner(next(iter(self._owners)), context)
        elif not self._bots and self.authors:
            raise ImportFailedError(
                f"{source.name}: say who the bot is, as in --bot NAME; authors, with the number of their messages: "
                f"{self._candidates()}"
            )

    def _look_at(self, entry: _MessageInChat, *, is_bot_said: bool) -> None:
        """Count a message, and note its author and chat."""
        author, chat = _author(entry.message), entry.chat
        if len(self.authors) < _AUTHORS_MAX or author in self.authors:
            self.authors[author] += 1
            self._names.setdefault(author, text(entry.message.get("from")))
        if entry.owner and chat.kind == "personal_chat":
            self._account = entry.owner
        if chat.kind in _ONE_TO_ONE:
            peer = f"user{chat.id}"
            (self._partners.add(author) if author == peer else self._owners.update([author]))
            if chat.kind == "bot_chat" and not is_bot_said:
                self._bots.add(peer)

    def _take_owner(self, owner: str, context: Context) -> None:
        self._bots = {owner.casefold()}
        name = visible(self._names.get(owner, "") or owner)
        context.note(f'The owner of the account, "{name}", is taken as the bot; --bot changes that.')

    def _check(self, source: Source) -> None:
        if not any(self.is_bot(author, self._names[author]) for author in self.authors):
            raise ImportFailedError(
                f"{source.name}: no author in this export has the name given by --bot; authors: {self._candidates()}"
            )

    def _candidates(self) -> str:
        most = self.authors.most_common(CANDIDATES_MAX)
        return ", ".join(f'"{visible(self._names[author] or author)}" ({count})' for author, count in most)

    def is_bot(self, author: str, name: str) -> bool:
        """Return True for the bot, by its id or its name."""
        return author.casefold() in self._bots or name.casefold() in self._bots


def _author(message: Mapping[str, Any]) -> str:
    return label(message.get("from_id")) or text(message.get("from"))


def _events(
    entry: _MessageInChat, participants: _Participants, partners: dict[str, str], context: Context
) -> Iterator[ImportedEvent | Omission]:
    chat, message, number = entry.chat, entry.message, entry.number
    author = _author(message)
    if message.get("type") != "message":
        yield Omission(SERVICE, number)
        return
    if chat.kind in _UNANSWERED:
        yield Omission(OWN_NOTES, number)
        return
    is_with_others = participants.is_of_account and chat.kind not in ("personal_chat", "")
    if is_with_others or not author:
        yield Omission(NOT_WITH_USERS if is_with_others else NO_AUTHOR, number)
        return
    at, precision = _time(message, "date", context)
    if at is None:
        yield Omission(NO_TIME, number)
        return
    is_bot = participants.is_bot(author, text(message.get("from")))
    one_to_one = f"user{chat.id}" if chat.kind == "personal_chat" and chat.id else ""
    phone = (partners.get(chat.id, "") or one_to_one) if is_bot else author
    if not phone:
        yield Omission(NOBODY, number)
        return
    if not is_bot:
        partners[chat.id] = author
    words, kind = _text(message), _kind(message)
    message_id = f"{chat.id}/{label(message.get('id'))}" if chat.id else label(message.get("id"))
    instance = context.instance
    if is_bot:
        reply = Reply(at=at, instance=instance, phone=phone, who="bot", id=message_id, text=words, kind=kind)
        yield ImportedEvent(reply, number, precision)
        return
    yield ImportedEvent(
        MessageEvent(at, True, instance, phone, message_id, words, kind, None), number, precision
    )
    edited_at, precision = _time(message, "edited", context)
    if edited_at is not None and edited_at > at:
        edit = Edit(at=edited_at, instance=instance, phone=phone, id=message_id, text=words)
        yield ImportedEvent(edit, number, precision)


def _time(message: Mapping[str, Any], name: str, context: Context) -> tuple[int | None, Precision]:
    """Return a time in Unix milliseconds: from its seconds since 1970, else from the local time beside them."""
    moment = moment_of(message.get(f"{name}_unixtime")) or moment_of(message.get(name))
    if moment is None:
        return None, "s"
    if moment.has_zone:
        return moment.ms, "s"
    if context.zone is None:
        context.note(
            "The export's times name no zone: taken as UTC; --zone changes that, as in --zone Europe/Madrid"
        )
        return moment.ms, "s"
    return in_zone(moment.ms, context.zone), "s"


def _text(message: Mapping[str, Any]) -> str:
    """Return the text, which is a string, or a list of strings and of objects with a `text`."""
    written = message.get("text")
    if isinstance(written, list):
        return "".join(
            part if isinstance(part, str) else text(part.get("text"))
            for part in written
            if isinstance(part, str | dict)
        )
    return text(written) or "".join(text(part.get("text")) for part in objects(message.get("text_entities")))


def _kind(message: Mapping[str, Any]) -> str:
    kind = _KINDS.get(text(message.get("media_type")), "")
    return kind or next((kind for part, kind in _PARTS.items() if part in message), "text")
