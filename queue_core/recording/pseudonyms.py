"""Keyed hashes that replace phones, message ids and instances in recordings."""

from __future__ import annotations

import hmac
import re
from functools import lru_cache

from queue_core.message import well_formed
from queue_core.recording.checks import LineError, identifier

NAMES_REMEMBERED = 65_536
"""Number of phones and instances whose hash is remembered, since they occur again."""

_HEX_AS_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")
_NUMBER = re.compile(r"\d(?:[\s()./_-]*\d){6,}")
"""Number as long as a phone's, however it is written."""
_HASH = re.compile(r"(?:instance-|none-)?[a-p]{16}")


class Pseudonyms:
    """Hashes with one key: 16 letters without a digit, so that none can be mistaken for a phone number.

    With `keeps_hashes`, a value that looks like such a hash stays as it is.
    """

    def __init__(self, key: bytes, *, keeps_hashes: bool = False) -> None:
        # Copying this object takes half the time of hmac.digest, which looks up the algorithm each time.
        self._hmac = hmac.new(key, digestmod="sha256")
        self._keeps_hashes = keeps_hashes
        self.phone = lru_cache(NAMES_REMEMBERED)(self._phone)
        self.instance = lru_cache(NAMES_REMEMBERED)(self._instance)

    def message_id(self, value: str) -> str:
        """Return the hash of a message id; some ids hold the phone."""
        return self._hashed("id", value)

    def _phone(self, value: str) -> str:
        return self._hashed("phone", value)

    def _instance(self, name: str) -> str:
        """Return the name of an instance, or a hash if it holds a number or cannot be a name."""
        try:
            if not _NUMBER.search(identifier(well_formed(name), "instance")):
                return well_formed(name)
        except LineError:
            pass
        return f"instance-{self._hashed('instance', name)}"

    def _hashed(self, kind: str, value: str) -> str:
        if self._keeps_hashes and _HASH.fullmatch(value):
            return value
        data = f"{kind}\0{value if value.isascii() else well_formed(value)}".encode()
        keyed = self._hmac.copy()
        keyed.update(data)
        return keyed.digest()[:8].hex().translate(_HEX_AS_LETTERS)


def without_numbers(text: str) -> str:
    """Return a text in which # replaces each number that is as long as a phone number."""
    return _NUMBER.sub("#", text)
