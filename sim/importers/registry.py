"""List of the formats that can be imported. A new format needs its module in `formats/` and an entry here."""

from __future__ import annotations

from sim.importers.base import Importer
from sim.importers.formats.chatwoot import ChatwootMessages
from sim.importers.formats.console.importer import ConsoleLogs
from sim.importers.formats.evolution_table import EvolutionTable
from sim.importers.formats.n8n import N8nExecutions
from sim.importers.formats.recordings import Recordings
from sim.importers.formats.supabase import SupabaseLogs
from sim.importers.formats.telegram import TelegramExports
from sim.importers.formats.webhooks.importer import Webhooks
from sim.importers.formats.whatsapp_chat.importer import WhatsAppChats

IMPORTERS: tuple[Importer, ...] = (
    Recordings(),
    Webhooks(),
    ConsoleLogs(),
    EvolutionTable(),
    N8nExecutions(),
    ChatwootMessages(),
    SupabaseLogs(),
    WhatsAppChats(),
    TelegramExports(),
)
"""Formats. Of two that are equally certain, the first is chosen."""
