"""Page of an audit, made from an `AuditResult` alone: one file that needs no network."""

from __future__ import annotations

from pathlib import Path

from reports.pages.audit.view import audit_page_of
from reports.pages.page import environment
from reports.results.audit import AuditResult
from reports.results.writing import write_whole
from reports.words.language import DEFAULT, speaking


def render_audit_report(result: AuditResult, language: str = DEFAULT) -> str:
    """Make the page as HTML. Equal results give equal text."""
    with speaking(language):
        return environment().get_template("audit.html").render(page=audit_page_of(result))


def write_audit_report(result: AuditResult, path: Path, language: str = DEFAULT) -> None:
    """Write the page to `path`, as `write_whole` does.

    Raises:
        OSError: the file cannot be written.
    """
    write_whole(render_audit_report(result, language), path)
