"""Importer of logs with printed objects: the Evolution API's console, and other programs that print webhooks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from sim.importers.base import Context, Evidence, ImportedEvent, Importer, Omission, Sample
from sim.importers.formats.console.bodies import PrintedBodies
from sim.importers.formats.console.lines import log_header, log_line
from sim.importers.formats.console.objects import objects_in
from sim.importers.formats.webhooks.reading import BodyReader
from sim.importers.sources import Source

_LINES_LOOKED_AT = 4_000


class ConsoleLogs(Importer):
    """Logs of Node.js with printed objects: `docker logs`, pm2, files."""

    name = "console"
    title = "logs with printed objects, such as the Evolution API's console"
    aliases = ("evolution-console", "docker-logs", "pm2")

    def recognise(self, sample: Sample) -> Evidence | None:
        """See Importer.recognise."""
        lines = sample.lines[:_LINES_LOOKED_AT]
        headers = sum(log_header(log_line(line).text) is not None for line in lines)
        numbered = ((number, line.encode()) for number, line in enumerate(lines, 1))
        pieces = PrintedBodies(Context()).among(objects_in(numbered))
        bodies = sum(not isinstance(piece, Omission) for piece in islice(pieces, _LINES_LOOKED_AT))
        if headers:
            words = f"{headers} of the first {len(lines)} lines begin as the Evolution API's console does"
            return Evidence(95, f"{words}, and {bodies} objects are messages")
        if not bodies:
            return None
        return Evidence(
            58, f"webhooks or messages among the objects in the first {len(lines)} lines: {bodies}"
        )

    def read(self, source: Source, context: Context) -> Iterator[ImportedEvent | Omission]:
        """See Importer.read."""
        reader = BodyReader(context)
        for body in PrintedBodies(context).among(objects_in(source.lines())):
            if isinstance(body, Omission):
                yield body
            else:
                yield from reader.read(body)
