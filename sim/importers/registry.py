"""List of the formats that can be imported. A new format needs its module in `formats/` and an entry here."""

from __future__ import annotations

from sim.importers.base import Importer
from sim.importers.formats.recordings import Recordings
from sim.importers.formats.webhooks.importer import Webhooks

IMPORTERS: tuple[Importer, ...] = (Recordings(), Webhooks())
"""Formats; of two that are equally certain, the first is chosen."""
