"""An event at the sink: what it writes as a line of /sink/events, and what the ledger reads."""

from __future__ import annotations

import msgspec


class Turn(msgspec.Struct, frozen=True):
    """A turn as the AI was asked for it. Names are those of the request; `due_at`, `claimed_at`: Unix ms."""

    ids: list[str] = []
    instance: str = ""
    phone: str = ""
    trigger: str = ""
    due_at: float = 0
    claimed_at: float = 0
    attempt: int = 1


class Event(Turn, frozen=True, kw_only=True):
    """`event` is `ai`, `ai-error` or `sent`. `at`: Unix ms; `service_ms`: the time that the AI will take."""

    n: int
    event: str
    at: float
    turn: int | None
    service_ms: float | None = None
