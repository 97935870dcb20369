"""Addresses of links, in a form that a customer can tap."""

from __future__ import annotations

import re

SCHEME_MAX = len("https://www.")
"""Length of a scheme that the text of a link may add to its address."""

WRITTEN_ADDRESS = r"(?i:https?://|www\.)(?:(?!\*\*[^!-~])[!-_a-~])+"
"""Pattern of an address in a text. It ends before bold that stands beside a letter which is not ASCII."""

_OPENED = re.compile(r"(?:https?://|www\.)\S|(?:mailto:|tel:|sms:|whatsapp:|geo:)\S", re.IGNORECASE)
_DOMAIN = re.compile(r"[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){0,4}\.[a-z]{2,24}(?:[/?#]\S*)?", re.IGNORECASE)
_WRITTEN_OUT = re.compile(r"(?:mailto:|tel:)", re.IGNORECASE)
_SCHEME = re.compile(r"(?:https?://)?(?:www\.)?", re.IGNORECASE)


def address_of(href: str) -> str:
    """Return a link's target in a form that can be tapped; "" if it cannot be opened, such as `/help`."""
    href = href.strip()
    if not _OPENED.match(href) and not _DOMAIN.fullmatch(href):
        return ""
    return _WRITTEN_OUT.sub("", href, count=1).partition("?")[0] if _WRITTEN_OUT.match(href) else href


def is_named_by(address: str, label: str) -> bool:
    """Return True if the text of a link is empty or its address, perhaps without scheme and last slash."""
    return _bare(address) == _bare(label) or not label.strip()


def _bare(address: str) -> str:
    return _SCHEME.sub("", address.strip(), count=1).rstrip("/").lower()
