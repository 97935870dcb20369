"""JSON Schemas of the result files, made from their types, so that other programs can read and check results."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import msgspec

from reports.results.files import KINDS

FOLDER = Path(__file__).with_name("schemas")
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_text(kind: str) -> str:
    """Return the JSON Schema of a kind of file, as the text of a file."""
    model, version = KINDS[kind]
    schema = {"$schema": DIALECT, **msgspec.json.schema(model)}
    for definition in schema["$defs"].values():
        if "description" in definition:
            definition["description"] = inspect.cleandoc(definition["description"])
    properties: dict[str, Any] = schema["$defs"][model.__name__]["properties"]
    properties["schema"] = {"const": version}
    return json.dumps(schema, ensure_ascii=False, indent=1) + "\n"
