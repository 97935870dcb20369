"""Removal of secrets from a webhook: a message is kept, shown and recorded, and no secret may go with it."""

from __future__ import annotations

import re
from typing import Any

_SECRET_NAME = re.compile(
    r"(?:(?:api|access|auth|client|private|secret|shared|signing|webhook)key|token|secret|passw(?:or)?d|passphrase"
    r"|pwd|jwt|authori[sz]ation|bearer|cookies?|credentials?|auth|hmac)\d*$"
)
"""End of a secret's name, in lower case and without punctuation: `apikey`, `X-Api-Key`, `accessToken2`."""
_PUNCTUATION = re.compile(r"[^a-z0-9]")


def without_secrets(value: Any) -> Any:
    """Returns a copy of JSON without the entries whose names say that they hold a secret, at any depth.

    The name may also stand beside its value, as in {"name": "Authorization", "value": "…"}.
    """
    if isinstance(value, dict):
        hides_value = any(is_secret_name(str(value.get(key, ""))) for key in ("name", "key"))
        return {
            key: without_secrets(item)
            for key, item in value.items()
            if not is_secret_name(key) and not (hides_value and key == "value")
        }
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    return value


def is_secret_name(name: str) -> bool:
    """Returns True for a name under which a secret stands."""
    return bool(_SECRET_NAME.search(_PUNCTUATION.sub("", name.lower())))
