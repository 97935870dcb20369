"""Script call that stores an arriving message, or an edit or a deletion of an earlier message."""

from __future__ import annotations

from typing import Any

from queue_core.message import Change, QueueMessage
from queue_core.queue.aliases import Route
from queue_core.redis import scripts
from queue_core.settings import QueueSettings


def storing_call(
    message: QueueMessage,
    change: Change | None,
    encoded: bytes,
    route: Route,
    settings: QueueSettings,
    now_ms: int | str,
) -> scripts.Enqueue | scripts.Change:
    """Return the call; `redis/scripts/change.lua` says what becomes of a change."""
    common: dict[str, Any] = {
        "place": route.place,
        "seen": route.place.seen_of(message.id),
        "rules": settings,
        "now_ms": now_ms,
        "message": encoded,
        "follows": int(route.follows),
        "names": route.listing,
        "aliases_ttl_ms": settings.aliases_ttl_s * 1000,
        "provider_ms": message.timestamp,
        "dedupe_ttl_ms": settings.dedupe_ttl_s * 1000,
        "late_is_dead": int(settings.late_messages == "dead-letter"),
        "dead_letters_max": settings.dead_letters_in_partition_max,
        "confirms_duplicates": int(settings.wait_for_fsync or settings.wait_for_replicas > 0),
    }
    if change is None:
        return scripts.Enqueue(**common)
    return scripts.Change(
        **common,
        message_id=message.id,
        what=change.what,
        target_id=change.target_id,
        supersede_ms=settings.supersede_ms,
        keeps_deleted_texts=int(settings.keep_deleted_texts),
        completed_ttl_ms=settings.completed_ttl_s * 1000,
    )
