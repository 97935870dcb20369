"""Sentences for wrong values of settings, instead of pydantic's own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pydantic

_WORDS = {
    "int_parsing": "is not a whole number",
    "int_parsing_size": "has too many digits",
    "float_parsing": "is not a number",
    "bool_parsing": "is neither true nor false",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be at least {ge:g}",
    "greater_than": "must be more than {gt:g}",
    "less_than_equal": "must be at most {le:g}",
    "string_pattern_mismatch": "does not have the right form{form}",
    "too_short": "needs at least {min_length}, separated by commas",
    "too_long": "takes at most {max_length}, separated by commas",
}
"""Sentence for each of pydantic's error types, filled in from the error's context."""
_FORMS = {"http": ", such as https://host/path", "v": ", such as v23.0"}
"""Examples of correct values, by the beginning of the pattern that a value does not match."""


def worded(error: pydantic.ValidationError, names: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each wrong field, without its value, which may be a secret.

    Faults that the queue finds in its own settings show values. `names` has the names of fields for people.
    """
    earlier = set()
    for fault in error.errors(include_url=False, include_input=False):
        field = str(fault["loc"][0]) if fault["loc"] else ""
        sentence = _sentence(fault["type"], fault.get("ctx", {}), fault["msg"])
        if field:
            sentence = f"{names.get(field, field)}: {sentence}"
        else:  # found by QueueSettings, whose sentences have Python's names: "cap_ms is -1", "max_batch (2) must"
            for name, environment_name in names.items():
                sentence = re.sub(rf"\b{name}\b(?= is | \()", environment_name, sentence)
        if sentence not in earlier:  # pydantic reports each item of a list separately
            earlier.add(sentence)
            yield sentence


def _sentence(kind: str, details: Mapping[str, Any], otherwise: str) -> str:
    if kind not in _WORDS:
        return otherwise.removeprefix("Value error, ")
    pattern = str(details.get("pattern", "")).lstrip("^(")
    form = next((example for start, example in _FORMS.items() if pattern.startswith(start)), "")
    return _WORDS[kind].format(**{**details, "form": form})
