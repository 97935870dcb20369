"""Secrets of webhooks to the local stack, on which the stack and the load generator must agree."""

from __future__ import annotations

from collections.abc import Mapping

_LOCAL = {
    "EVOLUTION_WEBHOOK_SECRET": "loadtests-on-loopback-evolution",
    "CLOUD_APP_SECRET": "loadtests-on-loopback-cloud",
}
"""Secrets of a stack on loopback with a simulated AI and WhatsApp: so they may be constants."""


def webhook_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets by the names of their settings: those of `environ`, else those of the local stack."""
    return {name: environ.get(name) or local for name, local in _LOCAL.items()}
