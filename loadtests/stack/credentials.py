"""What webhooks to the local stack are signed with; the stack and the load generator must agree on it."""

from __future__ import annotations

from collections.abc import Mapping

_LOCAL = {
    "EVOLUTION_WEBHOOK_SECRET": "loadtests-on-loopback-evolution",
    "CLOUD_APP_SECRET": "loadtests-on-loopback-cloud",
}
"""No secrets in truth: they guard a stack on loopback whose AI and WhatsApp are played."""


def webhook_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """EVOLUTION_WEBHOOK_SECRET and CLOUD_APP_SECRET: from `environ` where set, else those of the local stack."""
    return {name: environ.get(name) or local for name, local in _LOCAL.items()}
