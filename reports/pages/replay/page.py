"""The page of a replay: one file that needs no network and no script, from a `ReplayResult` alone.

Its size is bounded: conversations are added, the worst of every recording first, while there is room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from reports.analysis.conversations import Conversation
from reports.analysis.replay import AnalysedReplay
from reports.pages.page import environment
from reports.pages.replay.conversation import conversation_view
from reports.pages.replay.downloads import downloads
from reports.pages.replay.overview import CONVERSATIONS_MIN, Talk, overview_of
from reports.pages.replay.story import story_of
from reports.pages.replay.view import Page, page_of
from reports.results.replay import ReplayResult
from reports.results.writing import write_whole
from reports.words.language import DEFAULT, speaking

SIZE_MAX = 490_000
"""Bytes a page may have; what a page must say regardless (tables of very many recordings) can go beyond it."""

MANY_CONVERSATIONS = 1500
"""With more than so many, the page may be LARGE_SIZE_MAX, most of it for the overview."""

LARGE_SIZE_MAX = 1_450_000
OVERVIEW_SHARE = 0.4
"""The overview gets this share of the room at most, or on a large page all that figures leave."""

FIGURES_BYTES_MAX = 300_000
OVERVIEW_BYTES = 5000
"""What the overview takes besides its rows."""

LINK_BYTES = 30
"""What a link from the overview to a figure takes."""

CONVERSATIONS_MAX = 8
"""Conversations that are drawn of one recording, at most."""


def render_replay_report(result: ReplayResult, language: str = DEFAULT) -> str:
    """The page as HTML. The same result gives the same text, which can always be encoded as UTF-8."""
    with speaking(language):
        return _rendered(result)


def write_replay_report(result: ReplayResult, path: Path, language: str = DEFAULT) -> None:
    """Writes the page to `path`, whole or not at all; folders on the way are made.

    A link is followed, and what is no regular file (a pipe, /dev/null) is written to, never replaced.

    Raises:
        OSError: the file cannot be written.
    """
    write_whole(render_replay_report(result, language), path)


def _rendered(result: ReplayResult) -> str:
    replay = AnalysedReplay(result)
    page = page_of(replay)
    talks = [recording.conversations for recording in replay.recordings]
    count = sum(len(own) for own in talks)
    page.story = story_of((recording.name, recording.conversations) for recording in replay.recordings)
    page.downloads = downloads(replay)
    template = environment().get_template("replay.html")
    room = (LARGE_SIZE_MAX if count > MANY_CONVERSATIONS else SIZE_MAX) - _size(template.render(page=page))
    systems = replay.systems
    if count > MANY_CONVERSATIONS:
        figures = _add_conversations(page, talks, min(room // 4, FIGURES_BYTES_MAX))
        drawn = sum(_size(one) for view in page.recordings for one in view.conversations)
        page.overview = overview_of(_listed(replay, figures), systems, room - drawn - OVERVIEW_BYTES)
    else:
        reserved = overview_of(_listed(replay, {}), systems, int(room * OVERVIEW_SHARE))
        taken = _size(reserved.rows) if count >= CONVERSATIONS_MIN else 0
        links = LINK_BYTES * CONVERSATIONS_MAX * len(talks)
        figures = _add_conversations(page, talks, room - taken - links)
        if count >= CONVERSATIONS_MIN:
            page.overview = overview_of(_listed(replay, figures), systems, taken + links)
    return template.render(page=page)


def _listed(replay: AnalysedReplay, figures: Mapping[int, str]) -> list[Talk]:
    """The conversations as the overview takes them; `figures` are the drawn ones' ids by the object's identity."""
    return [
        Talk(recording.name, conversation, figures.get(id(conversation), ""))
        for recording in replay.recordings
        for conversation in recording.conversations
    ]


def _add_conversations(page: Page, talks: Sequence[Sequence[Conversation]], room: int) -> dict[int, str]:
    """Puts conversations into the page in rounds: the worst of each recording, then the second worst, and so on.

    Within a round the smallest go first. A recording whose next conversation does not fit gets no further one.
    Returns the ids of the figures by the identity of the conversation.
    """
    draw = environment().get_template("parts.html").module.conversation_part  # type: ignore[attr-defined] # a macro
    waiting = list(zip(page.recordings, talks, strict=True))
    figures: dict[int, str] = {}
    for turn in range(CONVERSATIONS_MAX):
        drawn = [
            (view, ordered, draw(conversation_view(f"{view.id}c{turn}", ordered[turn])))
            for view, ordered in waiting
            if turn < len(ordered)
        ]
        waiting = []
        for view, ordered, figure in sorted(drawn, key=lambda one: _size(one[2])):
            if _size(figure) <= room:
                room -= _size(figure)
                view.conversations.append(figure)
                waiting.append((view, ordered))
                figures[id(ordered[turn])] = f"{view.id}c{turn}"
    return figures


def _size(text: str) -> int:
    return len(text.encode())
