"""Messages in the form of the Go library whatsmeow: `types/message.go`, `types/events`."""

from __future__ import annotations

import re
from typing import Any

from queue_core.channels.content import Content, edit
from queue_core.channels.phrases import Phrases
from queue_core.channels.values import Object, at
from queue_core.channels.whatsapp_web.message import read_content

DEPTH_MAX = 64
"""Limit on nesting in which names are translated."""
_ACRONYM = re.compile(r"[A-Z]{2,}(?![a-z])")
_EDITED = "1"
"""Value of `Info.Edit` for a message that edits an earlier one."""


def read_go_content(phrases: Phrases, item: Object) -> Content:
    """Return the content of a message that has whatsmeow's `Info` and `Message`. Raises SkippedError."""
    named = in_javascript_names(item.get("Message"))
    quoted = in_javascript_names(item.get("quoted"))
    content = read_content(phrases, named, {"key": {"id": at(item, "Info", "ID")}, "quoted": quoted})
    is_edit = item.get("IsEdit") is True or at(item, "Info", "Edit") == _EDITED
    return edit(phrases, "", content) if is_edit and not content.change else content


def in_javascript_names(value: Any, depth: int = 0) -> Any:
    """Return JSON of a Go program with the names of Baileys: `stanzaID` becomes `stanzaId`, `PTT` becomes `ptt`."""
    if depth >= DEPTH_MAX:
        return value
    if isinstance(value, dict):
        return {_javascript_name(name): in_javascript_names(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list):
        return [in_javascript_names(item, depth + 1) for item in value]
    return value


def _javascript_name(name: str) -> str:
    shortened = _ACRONYM.sub(lambda acronym: acronym[0].capitalize(), name)
    return shortened[:1].lower() + shortened[1:]
