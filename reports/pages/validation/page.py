"""Page of a validation, made from a `ValidationResult` alone: one file that needs no network."""

from __future__ import annotations

from pathlib import Path

from reports.pages.page import environment
from reports.pages.validation.view import validation_page_of
from reports.results.validation import ValidationResult
from reports.results.writing import write_whole
from reports.words.language import DEFAULT, speaking


def render_validation_report(result: ValidationResult, language: str = DEFAULT) -> str:
    """Make the page as HTML. Equal results give equal text."""
    with speaking(language):
        return environment().get_template("validation.html").render(page=validation_page_of(result))


def write_validation_report(result: ValidationResult, path: Path, language: str = DEFAULT) -> None:
    """Write the page to `path`, as `write_whole` does. Raises OSError."""
    write_whole(render_validation_report(result, language), path)
