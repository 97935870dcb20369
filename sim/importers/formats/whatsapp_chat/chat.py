"""Reader of a chat export, which yields its messages and notices one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from queue_core.recording.format import TEXT_LENGTH_MAX
from sim.importers.formats.whatsapp_chat.bodies import NOTICE, read_body
from sim.importers.formats.whatsapp_chat.survey import (
    Lines,
    MessageStart,
    Style,
    lines_with_starts,
    split_author,
)

BEFORE = "before"
"""Kind of a line before the first message."""


@dataclass(slots=True)
class ChatMessage:
    """Message of a chat. `at_ms` is local time, as if it were UTC; `kind` is that of a body, or BEFORE."""

    line: int
    at_ms: int
    author: str
    text: str
    kind: str
    characters: int
    has_seconds: bool = False


@dataclass(slots=True)
class _Open:
    """Message whose lines are being read."""

    start: MessageStart
    author: str
    pieces: list[str] = field(default_factory=list)
    characters: int = 0

    def add(self, text: str) -> None:
        """Add a line. Of a text that is longer than recordings allow, only the length is counted further."""
        if self.characters < TEXT_LENGTH_MAX:
            self.pieces.append(text)
        self.characters += len(text)


def read_chat(lines: Lines, style: Style) -> Iterator[ChatMessage]:
    """Yield the messages and notices of a chat, in the order of the file."""
    message: _Open | None = None
    for number, (start, line) in enumerate(lines_with_starts(lines(), style), 1):
        if start is None:
            if message is not None:
                message.add(line.replace("\r\n", "\n"))
            elif line.strip():
                yield ChatMessage(number, 0, "", line.strip(), BEFORE, len(line))
            continue
        if message is not None:
            yield _finished(message, style)
        author, body = split_author(start.header.rest, style.authors)
        message = _Open(start, author)
        message.add(body + "\n")
    if message is not None:
        yield _finished(message, style)


def _finished(message: _Open, style: Style) -> ChatMessage:
    whole = "".join(message.pieces).rstrip("\r\n")
    start = message.start
    if not message.author:
        return ChatMessage(start.number, start.at_ms, "", whole, NOTICE, len(whole))
    body = read_body(whole, is_marked=start.header.is_marked, may_be_notice=style.is_bracketed)
    cut = max(0, message.characters - sum(map(len, message.pieces)))
    text = body.text[:TEXT_LENGTH_MAX]
    characters = len(body.text) + cut
    has_seconds = start.header.has_seconds
    return ChatMessage(start.number, start.at_ms, message.author, text, body.kind, characters, has_seconds)
