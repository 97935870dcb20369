"""All conversations of a replay in one table, the worst first, in rows that are as small as possible.

A page must stay small with 10,000 conversations, so the rows are made here as short markup: without end tags (HTML
needs none in tables), with only the necessary attributes, and with shortened texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from reports.analysis.conversations import Conversation, Lane, rank
from reports.text import cut, one_line, short_phone

CONVERSATIONS_MIN = 9
"""Smallest number of conversations for which there is an overview."""
TEXT_BYTES_MAX = 220
NAME_LENGTH_MAX = 40


@dataclass(frozen=True, slots=True)
class Overview:
    """Rows of the table, as markup. Columns: recording (if there are several), conversation, user, messages, one for
    each system, the longest wait on the last system in seconds, and the beginning of the text.
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
class OverviewItem:
    """Conversation, its recording, and the id of its figure in the page; "" if it is not drawn."""

    recording: str
    conversation: Conversation
    figure: str


def overview_of(items: Sequence[OverviewItem], systems: Sequence[str], bytes_max: int) -> Overview:
    """Make an overview of at most `bytes_max` bytes: shorten texts first, then leave out the best conversations."""
    ordered = sorted(items, key=lambda item: rank(item.conversation))
    has_recordings = len({item.recording for item in items}) > 1
    heads = [_head(item, systems, has_recordings=has_recordings) for item in ordered]
    sizes = [len(head.encode()) + 1 for head in heads]  # a line end each
    room = bytes_max - sum(sizes)
    text_bytes = max(min(room // max(len(heads), 1), TEXT_BYTES_MAX), 0)
    rows: list[Markup] = []
    is_cut = False
    for item, head, size in zip(ordered, heads, sizes, strict=True):
        text, was_cut = _text(item.conversation, text_bytes)
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
        drawn=sum(item.figure != "" for item in ordered),
        troubled=sum(item.conversation.troubled > 0 for item in ordered[: len(rows)]),
        text_is_cut=is_cut,
    )


def _head(item: OverviewItem, systems: Sequence[str], *, has_recordings: bool) -> Markup:
    """Make the row up to its last cell, the text."""
    conversation = item.conversation
    lanes: Mapping[str, Lane] = {lane.system: lane for lane in conversation.lanes}
    row = Markup("<tr>")
    if has_recordings:
        row += Markup("<td><bdi>{}</bdi>").format(cut(one_line(item.recording), NAME_LENGTH_MAX))
    link = Markup('<td><a href="#{}">{:d}</a>').format(item.figure, conversation.number)
    row += link if item.figure else Markup("<td>{:d}").format(conversation.number)
    user = short_phone(conversation.key.phone)
    row += Markup("<td><bdi>{}</bdi><td>{:d}").format(user, len(conversation.messages))
    for system in systems:
        row += _cell(lanes.get(system))
    last = lanes.get(systems[-1]) if systems else None
    return row + Markup("<td>{}<td>").format(_longest_wait_s(last) if last else "")


def _cell(lane: Lane | None) -> Markup:
    """Show the number of messages that a system lost, or else that went wrong in another way."""
    if lane is None:
        return Markup("<td>")
    lost = len(lane.numbers("lost"))
    if lost:
        return Markup("<td class=b>✗{:d}").format(lost)
    troubled = len(lane.troubled())
    return Markup("<td class=w>~{:d}").format(troubled) if troubled else Markup("<td>✓")


def _longest_wait_s(lane: Lane) -> str:
    waits = [outcome.latency_ms for outcome in lane.outcomes.values() if outcome.latency_ms is not None]
    return f"{max(waits) / 1000:.1f}" if waits else ""


def _text(conversation: Conversation, bytes_max: int) -> tuple[Markup, bool]:
    """Return the beginning of the conversation in at most `bytes_max` bytes, and True if it is cut."""
    if bytes_max < 8:
        return Markup(""), True
    whole = ""
    for message in conversation.messages:
        whole += (" · " if whole else "") + one_line(message.text)
        if len(whole) > bytes_max:
            break
    limit = len(whole)
    text = escape(whole)
    while limit > 1 and (size := len(text.encode("utf-8", "replace"))) > bytes_max:
        limit = max(min(limit - 1, limit * bytes_max // size), 1)
        text = escape(cut(whole, limit))
    return text, limit < len(whole)
