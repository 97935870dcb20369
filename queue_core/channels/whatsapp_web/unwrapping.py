"""Wrappers around the content of a message, and the names that Go programs give to its fields.

Fields and wrappers: WAProto.proto of Baileys (`FutureProofMessage`), `UnwrapRaw` of whatsmeow.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from queue_core.channels.values import Object, mapping

DEPTH_MAX = 8
"""Limit on wrappers inside each other; WhatsApp's own are three deep at most."""
NAMING_DEPTH_MAX = 64
"""Limit on nesting in which names are translated."""

WRAPPERS = frozenset(
    {
        *("ephemeralMessage", "viewOnceMessage", "viewOnceMessageV2", "viewOnceMessageV2Extension"),
        *("documentWithCaptionMessage", "editedMessage", "deviceSentMessage", "groupMentionedMessage"),
        *("botInvokeMessage", "botTaskMessage", "botForwardedMessage", "associatedChildMessage"),
        *(
            "lottieStickerMessage",
            "eventCoverImage",
            "pollCreationOptionImageMessage",
            "pollCreationMessageV4",
        ),
        *("statusMentionMessage", "groupStatusMentionMessage", "groupStatusMessage", "groupStatusMessageV2"),
        *(
            "statusAddYours",
            "limitSharingMessage",
            "questionMessage",
            "questionReplyMessage",
            "commentMessage",
        ),
    }
)
"""Kinds that hold the real message in their `message`."""
_ACRONYM = re.compile(r"[A-Z]{2,}(?![a-z])")


class Unwrapped(NamedTuple):
    """Content without its wrappers."""

    content: Object
    is_edited: bool
    """True if one of the wrappers was that of an edited message."""


def unwrapped(content: Any, is_kind: Callable[[str], bool]) -> Unwrapped:
    """Takes off the wrappers, known ones first, then any unknown kind with a `message`; `is_kind` knows the kinds."""
    is_edited = False
    current = mapping(content)
    for _ in range(DEPTH_MAX):
        wrapper = _wrapper_in(current, is_kind)
        if not wrapper:
            break
        is_edited = is_edited or wrapper == "editedMessage"
        beside = {
            name: value for name, value in current.items() if name in ("base64", "mediaUrl", "speechToText")
        }
        current = {**beside, **current[wrapper]["message"]}
    return Unwrapped(current, is_edited)


def _wrapper_in(content: Object, is_kind: Callable[[str], bool]) -> str:
    holders = [name for name in content if isinstance(mapping(content[name]).get("message"), dict)]
    known = next((name for name in holders if name in WRAPPERS), "")
    if known or any(is_kind(name) for name in content):
        return known
    return next(iter(holders), "")


def in_javascript_names(value: Any, depth: int = 0) -> Any:
    """Returns JSON of a Go program with the names that Baileys uses: `stanzaID` becomes `stanzaId`, `PTT` `ptt`."""
    if depth >= NAMING_DEPTH_MAX:
        return value
    if isinstance(value, dict):
        return {_javascript_name(name): in_javascript_names(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list):
        return [in_javascript_names(item, depth + 1) for item in value]
    return value


def _javascript_name(name: str) -> str:
    shortened = _ACRONYM.sub(lambda acronym: acronym[0].capitalize(), name)
    return shortened[:1].lower() + shortened[1:]
