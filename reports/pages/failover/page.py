"""Page of runs under failovers, made from a `FailoverResult` alone: one file that needs no network."""

from __future__ import annotations

from reports.pages.failover.view import failover_page_of
from reports.pages.page import environment
from reports.results.failover import FailoverResult
from reports.words.language import DEFAULT, speaking


def render_failover_report(result: FailoverResult, language: str = DEFAULT) -> str:
    """Make the page as HTML. Equal results give equal text."""
    with speaking(language):
        return environment().get_template("failover.html").render(page=failover_page_of(result))
