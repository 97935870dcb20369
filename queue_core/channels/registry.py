"""List of the providers that a deployment knows. A new provider needs its folder and an entry here."""

from __future__ import annotations

from queue_core.channels.base import Provider
from queue_core.channels.cloud.provider import Cloud
from queue_core.channels.evolution.provider import Evolution
from queue_core.channels.evolution_go.provider import EvolutionGo
from queue_core.channels.waha.provider import Waha

PROVIDERS: tuple[type[Provider], ...] = (Evolution, EvolutionGo, Waha, Cloud)
