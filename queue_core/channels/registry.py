"""List of the providers that a deployment knows. A new provider is added here, and nowhere else outside its folder."""

from __future__ import annotations

from queue_core.channels.base import Provider
from queue_core.channels.cloud import Cloud
from queue_core.channels.evolution import Evolution

PROVIDERS: tuple[type[Provider], ...] = (Evolution, Cloud)


def unset_providers() -> tuple[Provider, ...]:
    """Returns each provider with the defaults of its settings."""
    return tuple(kind() for kind in PROVIDERS)
