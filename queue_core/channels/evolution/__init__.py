"""The Evolution API."""

from __future__ import annotations

from queue_core.channels.evolution.channel import EvolutionChannel
from queue_core.channels.evolution.parser import parse_evolution
from queue_core.channels.evolution.provider import Evolution

__all__ = ["Evolution", "EvolutionChannel", "parse_evolution"]
