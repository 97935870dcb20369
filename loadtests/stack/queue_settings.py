"""Settings of the queue that the environment sets (QUEUE_WINDOW_MS=…), and names that look like mistakes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from queue_core.server.config import environment_names, suspects


def queue_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of the queue in the environment, by their names."""
    names = environment_names()
    return {
        name: value
        for name, value in sorted(environ.items())
        if name.startswith("QUEUE_") and name in names and value
    }


def misspelt(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a warning for each name in the environment that is probably a misspelt setting."""
    return suspects({}, environ, environment_names())
