"""Names of systems in results. The queue may run several times, with the rules of several profiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

QUEUE = "queue"
"""Name of the system that must not harm a message."""


def queue_with(profile: str) -> str:
    """Name a run of the queue with the rules of a profile, beside a run of the queue with other rules."""
    return f"{QUEUE} ({profile})"


def is_queue(system: str) -> bool:
    """Return True for the queue, whatever its rules."""
    return system == QUEUE or (system.startswith(f"{QUEUE} (") and system.endswith(")"))


def profile_of(system: str) -> str:
    """Return the profile in a name that `queue_with` made; "" for other names."""
    return system[len(QUEUE) + 2 : -1] if is_queue(system) and system != QUEUE else ""


def are_settings_of_system(settings: Mapping[str, Any]) -> bool:
    """Return True for the settings of one system, which are kept as they are typed."""
    return bool(settings) and all(isinstance(value, str) for value in settings.values())
