"""Event at the sink: a line of /sink/events, which the ledger reads."""

from __future__ import annotations

import msgspec


class Turn(msgspec.Struct, frozen=True):
    """Turn, with the field names of the request to the AI; `due_at` and `claimed_at` are Unix ms."""

    ids: list[str] = []
    instance: str = ""
    phone: str = ""
    trigger: str = ""
    due_at: float = 0
    claimed_at: float = 0
    attempt: int = 1


class Event(Turn, frozen=True, kw_only=True):
    """Event of the kind `ai`, `ai-error`, `sent` or `send-error`. Times are Unix ms; `at` is when the request came.

    `service_ms` is the time that the AI takes to answer. A send is listed when it was answered, at `answered_at`;
    `caller` is the process that sent, "" if the sink does not know it. A send reached the user even if its caller was
    gone by then.
    """

    n: int
    event: str
    at: float
    turn: int | None
    service_ms: float | None = None
    answered_at: float | None = None
    caller: str = ""
    is_caller_gone: bool = False
