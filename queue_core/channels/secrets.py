"""Removal of secrets from a webhook, since messages are stored, shown and recorded."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import unquote

from queue_core.channels.values import json_object
from queue_core.message import is_deeper_than

_SECRET_NAME = re.compile(
    r"(?:(?:api|access|auth|client|private|secret|shared|signing|webhook)key|token|secret|passw(?:or)?d|passphrase"
    r"|pwd|jwt|authori[sz]ation|bearer|cookies?|credentials?|auth|hmac)\d*$"
)
"""End of the name of a secret, once in lower case and without punctuation: `apikey`, `X-Api-Key`, `accessToken2`."""
_URL = re.compile(
    r"((?i:https?)://)(?:[^/?#@\s]*@)?([^\s?]*)\?([^\s#]*)(#\S*)?|((?i:https?)://)[^/?#@\s]*@(\S*)"
)
"""URL with parameters, or with a name and a password."""
_SCHEMES = ("http", "Http", "HTTP")
_SIGNATURE = re.compile(r"x-(?:amz|goog)-(?:credential|security-token|signature)", re.IGNORECASE)
"""Parameters of an address that S3 or Google signed. They stay, since the address needs them."""
DEPTH_MAX = 64
"""Limit on nesting in a text that is JSON; a deeper one stays as it is."""
_NAME_CHARACTERS_MAX, _NAMES_MAX = 64, 2_048
"""Limits on names whose kind is remembered: they come from outside."""
_PUNCTUATION = re.compile(r"[^a-z0-9]")


def without_secrets(value: Any) -> Any:
    """Return a copy of a JSON value without entries that have the name of a secret, at any depth.

    The name may also stand beside its value, as in {"name": "Authorization", "value": "…"}, be a parameter in a URL, or
    be inside a text that is JSON, as in `response_json` and `paramsJson` of forms.
    """
    if isinstance(value, dict):
        return _without_secret_entries(value)
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    if isinstance(value, str) and value.startswith(_SCHEMES) and (url := _URL.fullmatch(value)):
        return _without_parameters(url)
    return value


def _without_secret_entries(value: dict[str, Any]) -> dict[str, Any]:
    hides_value = any(
        isinstance(name, str) and is_secret_name(name) for name in (value.get("name"), value.get("key"))
    )
    kept = {}
    for key, item in value.items():
        holds = _cached_content_by_name(key) if len(key) <= _NAME_CHARACTERS_MAX else _content_by_name(key)
        if holds == "secret" or (hides_value and key == "value"):
            continue
        if holds == "json":
            kept[key] = _without_secrets_in_json(item)
        elif isinstance(item, str) and not item.startswith(_SCHEMES):
            kept[key] = item
        else:
            kept[key] = without_secrets(item)
    return kept


def _content_by_name(name: str) -> Literal["secret", "json", ""]:
    """Return the kind of content that an entry has by its name."""
    if is_secret_name(name):
        return "secret"
    return "json" if name.lower().endswith("json") else ""


_cached_content_by_name = lru_cache(_NAMES_MAX)(_content_by_name)


def _without_secrets_in_json(value: Any) -> Any:
    """Return a text that is a JSON object without its secrets; treats any other value as `without_secrets` does."""
    fields = json_object(value) if isinstance(value, str) else {}
    if is_deeper_than(fields, DEPTH_MAX):
        return value
    kept = without_secrets(fields)
    return without_secrets(value) if kept == fields else json.dumps(kept, ensure_ascii=False)


def _without_parameters(url: re.Match[str]) -> str:
    """Return a URL without its secret parameters, and without the name and the password before its host."""
    if url[5]:
        return url[5] + url[6]
    kept = [pair for pair in url[3].split("&") if not _is_secret_parameter(unquote(pair.partition("=")[0]))]
    return f"{url[1]}{url[2]}{'?' if kept else ''}{'&'.join(kept)}{url[4] or ''}"


def _is_secret_parameter(name: str) -> bool:
    return not _SIGNATURE.fullmatch(name) and is_secret_name(name)


def is_secret_name(name: str) -> bool:
    """Return True for the name of a secret."""
    return bool(_SECRET_NAME.search(_PUNCTUATION.sub("", name.lower())))
