"""Page of a replay, made from a `ReplayResult` alone: one file that needs no network.

Its size is limited: conversations are drawn, the worst of every recording first, while there is room.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from reports.analysis.conversations import Conversation, rank
from reports.analysis.replay import AnalysedReplay
from reports.pages.page import environment
from reports.pages.replay.conversation import conversation_view
from reports.pages.replay.overview import CONVERSATIONS_MIN, OverviewItem, overview_of
from reports.pages.replay.view import Page, page_of
from reports.results.replay import ReplayResult
from reports.results.writing import write_whole
from reports.words.language import DEFAULT, speaking

SIZE_MAX = 490_000
"""Limit on the size of a page in bytes. Only essential parts can exceed it: the tables of very many recordings, and the
figures that `_is_essential` names."""

MANY_CONVERSATIONS = 1500
"""Number of conversations above which a page may have LARGE_SIZE_MAX bytes, most of them for the overview."""

LARGE_SIZE_MAX = 1_450_000
"""Maximum size of a page with essential figures or with many conversations."""

OVERVIEW_SHARE = 0.4
"""Largest share of the room for the overview; on a large page it gets all room that the figures leave."""

FIGURES_BYTES_MAX = 300_000
OVERVIEW_BYTES = 5000
"""Bytes of the overview without its rows."""

LINK_BYTES = 30
"""Bytes of a link from the overview to a figure."""

CONVERSATIONS_MAX = 8
"""Maximum number of conversations that are drawn of one recording."""


def render_replay_report(
    result: ReplayResult,
    language: str = DEFAULT,
    draw: Collection[int] = (),
    result_file: Path | None = None,
) -> str:
    """Make the page as HTML. Equal arguments give equal text.

    In each recording, conversations with a number in `draw` are drawn before others. `result_file` is the file of the
    result, if there is one; hints on the page name it.
    """
    with speaking(language):
        return _rendered(AnalysedReplay(result), draw, result_file)


def write_replay_report(
    result: ReplayResult, path: Path, language: str = DEFAULT, result_file: Path | None = None
) -> None:
    """Write the page to `path`, as `write_whole` does.

    Raises:
        OSError: the file cannot be written.
    """
    write_whole(render_replay_report(result, language, result_file=result_file), path)


def _rendered(replay: AnalysedReplay, draw: Collection[int], result_file: Path | None) -> str:
    page = page_of(replay, draw, result_file)
    count = sum(len(view.ordered) for view in page.recordings)
    template = environment().get_template("replay.html")
    size = _size(template.render(page=page))
    room, room_of_essential = SIZE_MAX - size, LARGE_SIZE_MAX - size
    if count > MANY_CONVERSATIONS:
        of_figures = min(room_of_essential // 4, FIGURES_BYTES_MAX)
        drawn = _draw_conversations(page, draw, of_figures, of_figures)
        page.overview = overview_of(_items(page), replay.systems, room_of_essential - drawn - OVERVIEW_BYTES)
    elif count >= CONVERSATIONS_MIN:
        without_links = overview_of(_items(page), replay.systems, int(room * OVERVIEW_SHARE))
        reserved = _size(without_links.rows) + LINK_BYTES * CONVERSATIONS_MAX * len(page.recordings)
        _draw_conversations(page, draw, room - reserved, room_of_essential - reserved)
        page.overview = overview_of(_items(page), replay.systems, reserved)
    else:
        _draw_conversations(page, draw, room, room_of_essential)
    return template.render(page=page)


def _items(page: Page) -> list[OverviewItem]:
    return [
        OverviewItem(view.recording.name, item, view.figure_id(index) if index < len(view.figures) else "")
        for view in page.recordings
        for index, item in enumerate(view.ordered)
    ]


def _draw_conversations(page: Page, draw: Collection[int], room: int, room_of_essential: int) -> int:
    """Draw conversations in rounds: the first of each recording, then the second, and so on; return their size.

    Within a round, conversations with a number in `draw` come first, then the worst. Once a conversation of a recording
    does not fit, no more of that recording are drawn. Essential figures may take `room_of_essential` bytes in all,
    others end at `room`.
    """
    part = environment().get_template("parts.html").module.conversation_part  # type: ignore[attr-defined] # a macro
    size = 0
    waiting = list(page.recordings)
    for index in range(CONVERSATIONS_MAX):
        figures = [
            (view, view.ordered[index], part(conversation_view(view.figure_id(index), view.ordered[index])))
            for view in waiting
            if index < len(view.ordered)
        ]
        waiting = []
        for view, conversation, figure in sorted(figures, key=lambda drawn: _drawing_order(drawn[1], draw)):
            limit = room_of_essential if _is_essential(conversation, index, draw) else room
            if size + _size(figure) <= limit:
                size += _size(figure)
                view.figures.append(figure)
                waiting.append(view)
    return size


def _drawing_order(conversation: Conversation, draw: Collection[int]) -> tuple[bool, tuple[int, ...]]:
    """Return the sort key of conversations that are drawn in the same round."""
    return conversation.number not in draw, rank(conversation)


def _is_essential(conversation: Conversation, index: int, draw: Collection[int]) -> bool:
    """Return True for an essential figure: it was asked for, or it shows the worst conversation of a recording."""
    return conversation.number in draw or (index == 0 and conversation.troubled > 0)


def _size(text: str) -> int:
    return len(text.encode())
