"""Values of a JSON file, read one after the other: objects, and the elements of arrays."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

from sim.importers.base import Omission
from sim.importers.sources import LINE_BYTES_MAX, Source

_CHUNK_BYTES = 256 * 1024
_BLANK = " \t\r\n,\ufeff"
_BETWEEN = _BLANK + "[]"
"""Characters between values. Brackets are among them, since the elements of an array are values."""
_NEAR_END = 16
"""Distance from the end of the part that was read within which an error may come from the cut."""
_NEXT_VALUE = re.compile(r"\n[{\[]")
"""Beginning of the next value after text that is not JSON."""
_DECODER = json.JSONDecoder()


def values_in(source: Source) -> Iterator[tuple[int, Any]]:
    """Yield the number of each value, from 1, and the value; an Omission for a value that cannot be read."""
    number = 0
    with source.open() as stream:
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        text, position, wanted, is_at_end, is_lost = "", 0, 1, False, False
        while True:
            if is_lost and (start := _NEXT_VALUE.search(text, position)):
                position, is_lost = start.end() - 1, False
            elif is_lost:
                text, position = text[-1:], 0
            while position < len(text) and text[position] in _BETWEEN:
                position += 1
            if position < len(text) and not is_lost and (is_at_end or len(text) - position >= wanted):
                try:
                    value, position = _DECODER.raw_decode(text, position)
                except (json.JSONDecodeError, RecursionError) as error:
                    if reason := _reason(error, text, position, is_at_end=is_at_end):
                        number += 1
                        yield number, Omission(reason, number)
                        is_lost, wanted = True, 1
                        position += 1
                        continue
                    wanted = 2 * (len(text) - position)
                else:
                    number += 1
                    wanted = 1
                    yield number, value
                    continue
            if is_at_end:
                return
            data = stream.read(_CHUNK_BYTES)
            is_at_end = not data
            text, position = text[position:] + decode(data, final=is_at_end), 0


def _reason(error: Exception, text: str, position: int, *, is_at_end: bool) -> str:
    """Return the reason why a value cannot be read; "" if more of the file is needed."""
    if not isinstance(error, json.JSONDecodeError):
        return "is nested too deeply"
    is_near_end = error.pos >= len(text) - _NEAR_END or error.msg.startswith("Unterminated string")
    if is_near_end and is_at_end:
        return "the file ends in the middle of a value"
    if is_near_end and len(text) - position <= LINE_BYTES_MAX:
        return ""
    return "is not JSON" if not is_near_end else "a value is too long"
