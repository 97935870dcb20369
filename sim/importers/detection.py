"""Choice of the format of a file, by its content."""

from __future__ import annotations

from queue_core.text import suggestion, visible
from sim.importers.base import Evidence, Importer, ImportFailedError, Sample
from sim.importers.registry import IMPORTERS

LIKELY = 50
"""Certainty from which the format of the file before is taken again without asking the others."""
SHOWN_CHARACTERS = 100


def importer_named(name: str) -> Importer:
    """Returns the importer of that name, or with that alias. Raises ImportFailedError."""
    for importer in IMPORTERS:
        if name == importer.name or name in importer.aliases:
            return importer
    raise ImportFailedError(f"--format: there is no format {name!r}{suggestion(name, format_names())}")


def format_names() -> list[str]:
    """Returns the names of all formats."""
    return [importer.name for importer in IMPORTERS]


def detect(sample: Sample, before: Importer | None = None) -> tuple[Importer, Evidence] | None:
    """Returns the format that a file most likely has, with the signs; None for no known one.

    `before` is the format of the file before: in a folder the next one mostly has the same.
    """
    if before and (evidence := before.recognise(sample)) and evidence.certainty >= LIKELY:
        return before, evidence
    best: tuple[Importer, Evidence] | None = None
    for importer in IMPORTERS:
        evidence = importer.recognise(sample)
        if evidence and (best is None or evidence.certainty > best[1].certainty):
            best = importer, evidence
    return best


def unknown(sample: Sample) -> ImportFailedError:
    """Words a file of no known format: what was seen, and what to type."""
    if not sample.data:
        return ImportFailedError(f"{sample.name}: is empty")
    names = ", ".join(format_names())
    return ImportFailedError(
        f"{sample.name}: has no format that is known; it begins with {_beginning(sample)}. If it is one of {names} all "
        "the same, name it with --format"
    )


def _beginning(sample: Sample) -> str:
    if b"\0" in sample.data[:4096]:
        return f"bytes that are not text ({sample.data[:8].hex(' ')})"
    line = sample.lines[0].strip() if sample.lines else ""
    return f'"{visible(line[:SHOWN_CHARACTERS])}{"…" if len(line) > SHOWN_CHARACTERS else ""}"'
