"""All conversations of a replay in one table, the worst first: a row each, as small as it can be.

A page must stay small with 10,000 of them, so rows are markup made here: no end tags (HTML needs none in tables), no
attribute that is not needed, and as much of the texts as there is room for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from reports.analysis.conversations import Conversation, Lane, rank
from reports.text import cut, one_line, printable, short_phone

CONVERSATIONS_MIN = 9
"""Fewer need no overview."""
TEXT_BYTES_MAX = 220
NAME_LENGTH_MAX = 40


@dataclass(frozen=True, slots=True)
class Overview:
    """The table's rows, as markup. Columns: recording (where there are several), conversation, user, messages, one for
    each system, the longest wait on the last one in seconds, and the beginning of what was written.
    """  # noqa: D205

    rows: Markup
    systems: Sequence[str]
    has_recordings: bool
    shown: int
    left_out: int
    drawn: int
    troubled: int
    text_is_cut: bool


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation, the recording it is of, and the id of its figure in the page, if it is drawn."""

    recording: str
    conversation: Conversation
    figure: str


def overview_of(talks: Sequence[Talk], systems: Sequence[str], bytes_max: int) -> Overview:
    """An overview of at most `bytes_max` bytes: texts are shortened first, then the best conversations left out."""
    ordered = sorted(talks, key=lambda talk: rank(talk.conversation))
    has_recordings = len({talk.recording for talk in talks}) > 1
    heads = [_head(talk, systems, has_recordings=has_recordings) for talk in ordered]
    sizes = [len(head.encode()) + 1 for head in heads]  # a line end each
    room = bytes_max - sum(sizes)
    text_bytes = max(min(room // max(len(heads), 1), TEXT_BYTES_MAX), 0)
    rows: list[Markup] = []
    is_cut = False
    for talk, head, size in zip(ordered, heads, sizes, strict=True):
        text, was_cut = _text(talk.conversation, text_bytes)
        bytes_max -= size + len(text.encode())
        if bytes_max < 0:
            break
        is_cut = is_cut or was_cut
        rows.append(head + text)
    return Overview(
        rows=Markup("\n").join(rows),
        systems=systems,
        has_recordings=has_recordings,
        shown=len(rows),
        left_out=len(ordered) - len(rows),
        drawn=sum(talk.figure != "" for talk in ordered),
        troubled=sum(talk.conversation.troubled > 0 for talk in ordered[: len(rows)]),
        text_is_cut=is_cut,
    )


def _head(talk: Talk, systems: Sequence[str], *, has_recordings: bool) -> Markup:
    """The row but for its text, which is the rest of it."""
    conversation = talk.conversation
    lanes: Mapping[str, Lane] = {lane.system: lane for lane in conversation.lanes}
    row = Markup("<tr>")
    if has_recordings:
        row += Markup("<td><bdi>{}</bdi>").format(cut(one_line(talk.recording), NAME_LENGTH_MAX))
    place = Markup("{:d}").format(conversation.place)
    row += Markup("<td>") + (
        Markup('<a href="#{}">{}</a>').format(talk.figure, place) if talk.figure else place
    )
    row += Markup("<td><bdi>{}</bdi><td>{:d}").format(
        short_phone(conversation.key.phone), len(conversation.messages)
    )
    for system in systems:
        row += _cell(lanes.get(system))
    last = lanes.get(systems[-1]) if systems else None
    wait_ms = _wait_ms(last) if last else None
    return row + Markup("<td>{}<td>").format("" if wait_ms is None else f"{wait_ms / 1000:.1f}")


def _cell(lane: Lane | None) -> Markup:
    """What became of the conversation on a system: how many were lost, or went wrong otherwise."""
    if lane is None:
        return Markup("<td>")
    lost = len(lane.numbers("lost"))
    if lost:
        return Markup("<td class=b>✗{:d}").format(lost)
    troubled = len(lane.troubled())
    return Markup("<td class=w>~{:d}").format(troubled) if troubled else Markup("<td>✓")


def _wait_ms(lane: Lane) -> int | None:
    return max((one.latency_ms for one in lane.outcomes.values() if one.latency_ms is not None), default=None)


def _text(conversation: Conversation, bytes_max: int) -> tuple[Markup, bool]:
    """The beginning of the conversation in at most so many bytes, and whether that is not all."""
    if bytes_max < 8:
        return Markup(""), True
    said = ""
    for message in conversation.messages:
        said += (" · " if said else "") + one_line(message.text[: 2 * bytes_max])
        if len(said) > bytes_max:
            break
    text = escape(printable(said))
    limit = len(said)
    while len(text.encode("utf-8", "replace")) > bytes_max:
        limit = min(limit - 1, int(limit * bytes_max / len(text.encode("utf-8", "replace"))))
        text = escape(cut(said, max(limit, 1)))
        if limit <= 1:
            break
    return text, limit < len(said)
