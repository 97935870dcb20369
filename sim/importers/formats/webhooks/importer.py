"""Importer of webhooks: a body on each line, a JSON array, a file each, or log lines with a time before the body."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO, cast

from sim.importers.base import Context, Evidence, ImportedEvent, Importer, Omission, Sample
from sim.importers.formats.webhooks.bodies import bodies_of
from sim.importers.formats.webhooks.providers import TITLES, provider_of
from sim.importers.formats.webhooks.reading import BodyReader
from sim.importers.sources import Source

LOOKED_AT = 200
"""Number of lines or values of a sample that are looked at."""


class Webhooks(Importer):
    """Webhooks of all providers for which `queue_core/channels/` has a parser."""

    name = "webhooks"
    title = "webhooks"
    aliases = tuple(TITLES)

    def recognise(self, sample: Sample) -> Evidence | None:
        """See Importer.recognise."""
        data = sample.data if sample.is_whole else sample.data[: sample.data.rfind(b"\n") + 1] or sample.data
        source = Source(sample.name, lambda: cast("BinaryIO", io.BytesIO(data)))
        pieces = list(islice(bodies_of(source, Context()), LOOKED_AT))
        bodies = [piece for piece in pieces if not isinstance(piece, Omission)]
        if not bodies:
            return None
        titles = sorted({TITLES[provider_of(body.body)] for body in bodies})
        words = f"{len(bodies)} of the first {len(pieces)} lines or values hold webhooks of {' and '.join(titles)}"
        return Evidence(90 if 2 * len(bodies) >= len(pieces) else 60, words)

    def read(self, source: Source, context: Context) -> Iterator[ImportedEvent | Omission]:
        """See Importer.read."""
        reader = BodyReader(context)
        for body in bodies_of(source, context):
            if isinstance(body, Omission):
                yield body
            else:
                yield from reader.read(body)
