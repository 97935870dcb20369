"""First look at a chat export: the form of its dates, the order of day and month, its authors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from sim.importers.formats.whatsapp_chat.bodies import NOTICE, read_body
from sim.importers.formats.whatsapp_chat.dates import DateEvidence, DateOrder, day_number, is_hijri
from sim.importers.formats.whatsapp_chat.headers import Header, read_header

Lines = Callable[[], Iterable[str]]
"""Function that opens the file and yields its lines, each with its line break."""
FORMS_MAX = 200
AUTHORS_MAX = 5_000
AUTHOR_CHARACTERS_MAX, AUTHOR_WORDS_MAX = 120, 8
"""Limits on names; a longer text is a sentence of WhatsApp's own."""
_RARE_SHARE = 3
"""Divisor for rare forms: a form with less than a third of the most frequent form's messages is rare …"""
_RARE_COUNT, _RARE_PERCENT = 20, 2
"""Exception from that rule: a form with at least 20 messages and 2 % of all may be a second export in the file."""
_COLLECTION_FORMS_MIN = 4
"""Least number of forms of a file that is a collection of chats."""
_USUAL_PERCENT = 60
"""Least share of the messages in forms that are not rare. Below it the file is a collection, and all forms count."""
_CRLF_SHARE = 0.9
_LATE_MS = 3_600_000
_COLONS_MAX = 3
"""Limit on colons in an author's name."""
_RUN_MAX = 20
"""Limit on messages that were pasted at once. More are another chat in the file, or follow a wrong clock."""
_COMMON_MIN = 3
"""Number of messages that must agree before a colon counts as a part of an author's name."""
_PAIRS = (("“", "”"), ("«", "»"), ("「", "」"), ("『", "』"))
_GERMAN = (("„", "“"),)
"""Pairs of quotes; a name has both or neither."""


class NotAChatError(Exception):
    """Raised for a file in which no message begins; the message says what the file has instead."""


@dataclass(slots=True)
class Style:
    """Style in which a chat export is written."""

    orders: dict[str, DateOrder]
    """Forms of headers with the order of their dates. A line in another form continues the previous message."""
    order: DateOrder
    """Order of the most frequent form."""
    is_order_proven: bool
    ends_with_crlf: bool
    """True when messages end with CRLF, and lines within them with LF."""
    has_seconds: bool
    is_bracketed: bool
    authors: Counter[str] = field(default_factory=Counter)
    """Number of messages by author."""
    pasted: frozenset[str] = frozenset()
    """Names that occur only in text that was pasted from other chats."""
    is_collection: bool = False
    """True if the file has many forms, and messages begin with all of them; then no text counts as pasted."""
    is_hijri: bool = False
    """True if the dates belong to the Islamic calendar."""
    unknown_halves: bool = False
    """True if an unknown word beside the times may mean AM or PM."""


@dataclass(slots=True)
class MessageStart:
    """Line that begins a message, with its local time as if it were UTC."""

    number: int
    header: Header
    at_ms: int


@dataclass(slots=True)
class _Form:
    count: int = 0
    after_lf: int = 0
    has_seconds: bool = False
    is_hijri: bool = False
    dates: DateEvidence = field(default_factory=DateEvidence)


def survey(lines: Lines, *, order: DateOrder | None = None) -> Style:
    """Read the whole file twice, and return its style. `order` overrides the order found from the dates.

    Raises NotAChatError.
    """
    style = _style(lines(), order)
    authors = _Authors()
    for start, _ in lines_with_starts(lines(), style):
        if start is not None:
            authors.add(start, style)
    if not authors.messages:
        raise NotAChatError("lines begin like messages of an exported chat, but their dates do not exist")
    if not style.is_collection:
        style.pasted = authors.pasted()
    style.authors = authors.counts(style.pasted)
    return style


def _style(lines: Iterable[str], order: DateOrder | None) -> Style:
    forms: dict[str, _Form] = {}
    ended_with_lf = False
    for line in lines:
        header = read_header(line)
        if header is not None and (header.form in forms or len(forms) < FORMS_MAX):
            form = forms.setdefault(header.form, _Form())
            form.count += 1
            form.after_lf += ended_with_lf
            form.has_seconds |= header.has_seconds
            form.is_hijri |= is_hijri(header)
            form.dates.add(header)
        ended_with_lf = not line.endswith("\r\n")
    if not forms:
        raise NotAChatError("no line begins like a message of an exported chat, with date, time and author")
    top = max(forms, key=lambda name: (forms[name].count, name[0] in "[-–—"))
    usual = _usual(forms, top)
    is_collection = len(usual) == len(forms) >= _COLLECTION_FORMS_MIN
    order_of_file, is_proven = _order(forms[top].dates, [form.dates for form in usual.values()])
    headers = sum(form.count for form in usual.values())
    after_crlf = headers - sum(form.after_lf for form in usual.values())
    return Style(
        orders={name: order or _order_of(form.dates, order_of_file) for name, form in usual.items()},
        order=order or order_of_file,
        is_order_proven=is_proven or order is not None,
        ends_with_crlf=headers >= 5 and after_crlf >= headers * _CRLF_SHARE,
        has_seconds=forms[top].has_seconds,
        is_bracketed=top.startswith("["),
        is_collection=is_collection,
        is_hijri=forms[top].is_hijri,
        unknown_halves=top.endswith("?"),
    )


def _usual(forms: dict[str, _Form], top: str) -> dict[str, _Form]:
    """Return the forms with which messages begin; other forms occur only in pasted text."""
    total = sum(form.count for form in forms.values())
    usual = {name: form for name, form in forms.items() if _is_usual(form.count, forms[top].count, total)}
    is_collection = sum(form.count for form in usual.values()) * 100 < total * _USUAL_PERCENT
    return forms if is_collection else usual


def _is_usual(count: int, most: int, total: int) -> bool:
    if count * _RARE_SHARE >= most:
        return True
    return count >= _RARE_COUNT and count * 100 >= total * _RARE_PERCENT


def _order(dates: DateEvidence, all_dates: list[DateEvidence]) -> tuple[DateOrder, bool]:
    """Return the order of the most frequent form; if that is not proven, the order of a form that proves one."""
    order, is_proven = dates.order()
    if is_proven:
        return order, True
    for other in all_dates:
        if other.year_at == dates.year_at:
            other_order, other_is_proven = other.order()
            if other_is_proven:
                return other_order, True
    return ("mdy" if order == "dmy" and dates.looks_american else order), False


def _order_of(dates: DateEvidence, order_of_file: DateOrder) -> DateOrder:
    order, is_proven = dates.order()
    return order if is_proven or not dates.allows(order_of_file) else order_of_file


def lines_with_starts(lines: Iterable[str], style: Style) -> Iterator[tuple[MessageStart | None, str]]:
    """Yield each line with its header and moment; with None if it continues the previous message."""
    latest, after_lf, was_pasted = 0, False, False
    for number, line in enumerate(lines, 1):
        header = read_header(line)
        start = None
        if header is not None and header.form in style.orders:
            day = day_number(header, style.orders[header.form])
            if day is not None:
                start = MessageStart(number, header, (day * 86_400 + header.second_of_day) * 1000)
        if start is not None:
            is_late = start.at_ms < latest - _LATE_MS
            is_inside = after_lf and style.ends_with_crlf and start.at_ms < latest
            is_others = (
                bool(style.pasted) and split_author(start.header.rest, style.authors)[0] in style.pasted
            )
            was_pasted = is_inside or is_others or (was_pasted and is_late)
            if was_pasted:
                start = None
            else:
                latest = max(latest, start.at_ms)
        after_lf = not line.endswith("\r\n")
        yield start, line


def split_author(rest: str, known: Counter[str]) -> tuple[str, str]:
    """Split the text after the date into author and body; the author is "" if there is none.

    A name may contain `:`; if the whole file has such names, the longest that matches is used.
    """
    rest = rest.rstrip("\r\n")
    author, colon, body = _first_split(rest)
    if not colon:
        return "", rest
    name, left = author, body
    for _ in range(_COLONS_MAX if known else 0):
        more, colon, left = _first_split(left)
        if not colon:
            break
        name = f"{name}: {more}"
        if name in known:
            author, body = name, left
    return author, body


def _first_split(text: str) -> tuple[str, str, str]:
    """Split at the first colon that a space or the end follows. A long text, or one with a quote, is not an author."""
    author, colon, body = text.partition(": ")
    if not colon and text.endswith((":", ":\r")):
        author, colon, body = text.rstrip("\r")[:-1], ":", ""
    if not colon:
        author, colon, body = text.partition(":")
        if body.startswith("//") or (" " in author[:-1].strip() and len(author) > 30):
            return "", "", text
    name = clean_author(author)
    is_sentence = len(name) > AUTHOR_CHARACTERS_MAX or len(name.split()) > AUTHOR_WORDS_MAX
    if not name or is_sentence or _opens_quote(name):
        return "", "", text
    return name, colon, body


_STRIPPED = "".join(
    chr(code) for code in (*range(0x200B, 0x2010), 0x61C, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
)
_STRIPPED += "\ufeff"


def _opens_quote(name: str) -> bool:
    """Return True for a text that ends within quotes, so that the colon after it does not follow a name."""
    if name.count('"') % 2 == 1:
        return True
    pairs = _GERMAN if "„" in name else _PAIRS
    return any(name.count(opening) > name.count(closing) for opening, closing in pairs)


def clean_author(author: str) -> str:
    """Return an author without direction marks around the name, and without the tilde of unknown numbers."""
    name = (author if author.isascii() else author.translate(_WITHOUT_MARKS)).strip()
    if name.startswith("~"):
        name = name[1:].strip()
    return name.replace("\u00a0", " ").replace("\u202f", " ")


_WITHOUT_MARKS = dict.fromkeys(
    (0x200B, 0x200E, 0x200F, 0x61C, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF)
)
"""Characters without width, except the joiners, which emoji and Persian names need."""


class _Authors:
    """Authors of a chat, with their numbers of messages, and those who only occur in pasted text."""

    def __init__(self) -> None:
        self.messages = 0
        """Number of lines that begin messages and notices."""
        self._messages: Counter[str] = Counter()
        self._late: Counter[str] = Counter()
        """Number of messages that stand between newer ones, by author."""
        self._run: list[str] = []
        """Authors of the late messages since the last message that is not late."""
        self._common: dict[str, list[str]] = {}
        self._latest = 0

    def add(self, start: MessageStart, style: Style) -> None:
        """Count a message."""
        self.messages += 1
        author, body = split_author(start.header.rest, Counter())
        if not author or (author not in self._messages and len(self._messages) >= AUTHORS_MAX):
            return
        content = read_body(body, is_marked=start.header.is_marked, may_be_notice=style.is_bracketed)
        if content.kind == NOTICE:
            return
        self._messages[author] += 1
        self._follow(author, start.at_ms)
        parts = body.split(": ")[:-1][:_COLONS_MAX]
        self._common[author] = _common_start(self._common.get(author, parts), parts)

    def _follow(self, author: str, at_ms: int) -> None:
        """Note messages that are older than those around them: a few may be pasted, many are not."""
        if at_ms < self._latest - _LATE_MS:
            self._run.append(author)
            if len(self._run) > _RUN_MAX:
                self._run, self._latest = [], at_ms
        else:
            self._late.update(self._run)
            self._run, self._latest = [], max(self._latest, at_ms)

    def pasted(self) -> frozenset[str]:
        """Return the authors whose messages are all older than the messages before them."""
        return frozenset(author for author, count in self._messages.items() if count == self._late[author])

    def counts(self, pasted: frozenset[str]) -> Counter[str]:
        """Return messages by author. Words and a `:` with which an author's texts all begin belong to the name."""
        return Counter(
            {
                ": ".join([author, *self._common[author]]) if count >= _COMMON_MIN else author: count
                for author, count in self._messages.items()
                if author not in pasted
            }
        )


def _common_start(first: list[str], second: list[str]) -> list[str]:
    length = 0
    for word, second_word in zip(first, second, strict=False):
        if word != second_word:
            break
        length += 1
    return first[:length]
