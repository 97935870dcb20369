"""Wrappers around the content of a message: `FutureProofMessage` in WAProto.proto of Baileys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from queue_core.channels.values import Object, mapping

DEPTH_MAX = 8
"""Limit on wrappers inside each other; WhatsApp's own are three deep at most."""

WRAPPERS = frozenset(
    {
        *("ephemeralMessage", "viewOnceMessage", "viewOnceMessageV2", "viewOnceMessageV2Extension"),
        *("documentWithCaptionMessage", "associatedChildMessage", "lottieStickerMessage", "editedMessage"),
        *(
            "commentMessage",
            "groupMentionedMessage",
            "pollCreationMessageV4",
            "pollCreationOptionImageMessage",
        ),
        *("eventCoverImage", "questionMessage", "questionReplyMessage", "limitSharingMessage"),
        *("statusMentionMessage", "groupStatusMentionMessage", "groupStatusMessage", "groupStatusMessageV2"),
        *("statusAddYours", "botInvokeMessage", "botTaskMessage", "botForwardedMessage"),
    }
)
"""Kinds that have the real message in their field `message`."""


class Unwrapped(NamedTuple):
    """Content without its wrappers."""

    content: Object
    is_edited: bool
    """True if one of the wrappers was that of an edited message."""


def unwrapped(content: Any, is_kind: Callable[[str], bool]) -> Unwrapped:
    """Remove wrappers: known ones, then unknown kinds with a `message`. `is_kind` returns True for a known kind."""
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
    holders = [
        name
        for name, part in content.items()
        if isinstance(part, dict) and isinstance(part.get("message"), dict)
    ]
    if not holders:
        return ""
    known = next((name for name in holders if name in WRAPPERS), "")
    if known or any(is_kind(name) for name in content):
        return known
    return next(iter(holders), "")
