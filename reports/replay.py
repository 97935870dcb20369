"""The page of a replay: one file that needs no network and no script, from a `ReplayResult` alone.

Its size is bounded: conversations are added, the worst of every recording first, while there is room.
"""

from __future__ import annotations

from pathlib import Path

from reports.conversation_view import conversation_view
from reports.conversations import conversations, worst_first
from reports.language import DEFAULT, speaking
from reports.page import environment, write_page
from reports.schema import ReplayResult, Run
from reports.view import Page, first_runs, page_of

SIZE_MAX = 490_000
"""Bytes a page may have; what a page must say regardless (tables of very many recordings) can go beyond it."""

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
    write_page(render_replay_report(result, language), path)


def _rendered(result: ReplayResult) -> str:
    page = page_of(result)
    template = environment().get_template("replay.html")
    _add_conversations(page, result, SIZE_MAX - _size(template.render(page=page)))
    return template.render(page=page)


def _add_conversations(page: Page, result: ReplayResult, room: int) -> None:
    """Puts conversations into the page in rounds: the worst of each recording, then the second worst, and so on.

    Within a round the smallest go first. A recording whose next conversation does not fit gets no further one.
    """
    systems = list(result["systems"])
    runs: dict[str, list[Run]] = {}
    for run in result["runs"]:
        runs.setdefault(run["recording"], []).append(run)
    draw = environment().get_template("parts.html").module.conversation_part  # type: ignore[attr-defined] # a macro
    waiting = [
        (view, worst_first(conversations(recording, first_runs(runs.get(recording["name"], []), systems))))
        for view, recording in zip(page.recordings, result["recordings"], strict=True)
    ]
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


def _size(text: str) -> int:
    return len(text.encode())
