"""Choice of the format of a file, by its content."""

from __future__ import annotations

from queue_core.text import suggestion, visible
from sim.importers.base import Evidence, Importer, ImportFailedError, Sample
from sim.importers.formats.tables.dumps import table_without_names
from sim.importers.registry import IMPORTERS

LIKELY = 50
"""Certainty with which the format of the previous file is used again, without asking the other importers."""
SHOWN_CHARACTERS = 100


def importer_named(name: str) -> Importer:
    """Return the importer of that name, or with that alias. Raises ImportFailedError."""
    for importer in IMPORTERS:
        if name == importer.name or name in importer.aliases:
            return importer
    raise ImportFailedError(f"--format: there is no format {name!r}{suggestion(name, format_names())}")


def format_names() -> list[str]:
    """Return the names of all formats."""
    return [importer.name for importer in IMPORTERS]


def detect(sample: Sample, before: Importer | None = None) -> tuple[Importer, Evidence] | None:
    """Return the most likely format of a file, with the signs of it; None if no format is likely.

    `before` is the format of the previous file, since files in a folder mostly have the same format.
    """
    if before and (evidence := before.recognise(sample)) and evidence.certainty >= LIKELY:
        return before, evidence
    best: tuple[Importer, Evidence] | None = None
    for importer in IMPORTERS:
        evidence = importer.recognise(sample)
        if evidence and (best is None or evidence.certainty > best[1].certainty):
            best = importer, evidence
    return best


def unknown_format(sample: Sample) -> ImportFailedError:
    """Make the error for a file of unknown format, which says how the file begins and what to type."""
    if not sample.data:
        return ImportFailedError(f"{sample.name}: is empty")
    if table := table_without_names(sample):
        return ImportFailedError(
            f"{sample.name}: is a dump whose INSERT into {visible(table)!r} does not name the columns, and no CREATE "
            "TABLE before it does; dump again with the names: mysqldump --complete-insert, or pg_dump --column-inserts"
        )
    names = ", ".join(format_names())
    return ImportFailedError(
        f"{sample.name}: has an unknown format; it begins with {_beginning(sample)}. If it has one of the formats "
        f"{names}, name that with --format"
    )


def _beginning(sample: Sample) -> str:
    if b"\0" in sample.data[:4096]:
        return f"bytes that are not text ({sample.data[:8].hex(' ')})"
    line = sample.lines[0].strip() if sample.lines else ""
    return f'"{visible(line[:SHOWN_CHARACTERS])}{"…" if len(line) > SHOWN_CHARACTERS else ""}"'
