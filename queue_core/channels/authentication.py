"""Checks of the secrets in a request."""

from __future__ import annotations

import hmac
from collections.abc import Mapping


def is_secret(shown: str, secret: str) -> bool:
    """Return True if `shown` is the secret, compared in constant time. An empty secret matches nothing."""
    return bool(secret) and hmac.compare_digest(shown.encode("utf-8", "replace"), secret.encode())


def bearer_token(headers: Mapping[str, str]) -> str:
    """Read the token of `Authorization: Bearer …`; "" without one."""
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
