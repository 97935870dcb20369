"""The queue's atomic steps: one Lua file each, and its typed stub here.

`now_ms` is empty in production: Redis's own clock counts. A number stands for it in simulations and tests only.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, NamedTuple

from queue_core.redis.scripts.loader import Call, Key, LuaScript, ScriptMismatchError, stub, text

__all__ = [
    "Call",
    "Claim",
    "ClaimAnswer",
    "Complete",
    "Enqueue",
    "EnqueueAnswer",
    "Extend",
    "Fail",
    "FailAnswer",
    "LeasedAnswer",
    "LuaScript",
    "RecordReply",
    "RecordSent",
    "Requeue",
    "Rescue",
    "ScriptMismatchError",
    "Standing",
    "Survey",
    "SurveyAnswer",
    "Withdraw",
]

Standing = Literal["held", "settled", "lost"]


class EnqueueAnswer(NamedTuple):
    """`status` is "queued", "duplicate" or "late"."""

    status: str
    added_at_ms: int
    waiting: int


class LeasedAnswer(NamedTuple):
    """One leased conversation, as Redis tells it."""

    conversation: str
    token: int
    attempt: int
    waiting: int
    due_ms: int
    reply: str | None
    send_state: str | None
    elements: list[bytes]


class ClaimAnswer(NamedTuple):
    """`next_due_ms` is None when no conversation has messages; `given_up` counts new dead letters."""

    now_ms: int
    next_due_ms: int | None
    given_up: int
    batches: list[LeasedAnswer]


class FailAnswer(NamedTuple):
    """`given_up` counts messages that became dead letters."""

    standing: Standing
    given_up: int


class SurveyAnswer(NamedTuple):
    """Counts of one page; `oldest_added_ms` is None when nothing waits there."""

    now_ms: int
    conversations: int
    waiting: int
    in_flight: int
    oldest_added_ms: int | None
    expired_leases: int


def _standing(raw: Any) -> Standing:
    answer = text(raw)
    if answer == "held":
        return "held"
    return "settled" if answer == "settled" else "lost"


def _enqueue_answer(raw: Any) -> EnqueueAnswer:
    return EnqueueAnswer(text(raw[0]), raw[1], raw[2])


def _claim_answer(raw: Any) -> ClaimAnswer:
    return ClaimAnswer(
        now_ms=raw[0],
        next_due_ms=raw[1] if raw[1] >= 0 else None,
        given_up=raw[2],
        batches=[
            LeasedAnswer(
                conversation=text(conversation),
                token=int(token),
                attempt=attempt,
                waiting=waiting,
                due_ms=int(due),
                reply=text(reply) if reply is not None else None,
                send_state=text(state) if state is not None else None,
                elements=elements,
            )
            for conversation, token, attempt, waiting, due, reply, state, elements in raw[3]
        ],
    )


def _fail_answer(raw: Any) -> FailAnswer:
    return FailAnswer(_standing(raw[0]), raw[1])


def _survey_answer(raw: Any) -> SurveyAnswer:
    now_ms, conversations, waiting, in_flight, oldest, expired = raw
    return SurveyAnswer(now_ms, conversations, waiting, in_flight, oldest if oldest >= 0 else None, expired)


def _found(raw: Any) -> bool:
    return bool(raw)


@stub
class Enqueue(Call[EnqueueAnswer], frozen=True, kw_only=True):
    """Stores one message, once."""

    script: ClassVar[LuaScript] = LuaScript("enqueue")
    read = staticmethod(_enqueue_answer)
    queue: Key
    lock: Key
    active: Key
    wake: Key
    seen: Key
    stats: Key
    dead: Key
    now_ms: int | str
    conversation: str
    message: bytes
    provider_ms: int
    dedupe_ttl_ms: int
    late_is_dead: int
    window_ms: int
    max_messages: int
    idle_ms: int
    stats_ttl_ms: int
    waits_for_disk: int


@stub
class Claim(Call[ClaimAnswer], frozen=True, kw_only=True):
    """Leases what is due."""

    script: ClassVar[LuaScript] = LuaScript("claim")
    read = staticmethod(_claim_answer)
    active: Key
    wake: Key
    token_key: Key
    dead: Key
    last_claim: Key
    now_ms: int | str
    base: str
    processor_id: str
    claim_id: str
    limit: int
    lock_ttl_ms: int
    max_batch: int
    max_attempts: int
    queue_ttl_ms: int
    window_ms: int
    max_messages: int
    idle_ms: int
    only: str


@stub
class Extend(Call[Standing], frozen=True, kw_only=True):
    """Renews a lease."""

    script: ClassVar[LuaScript] = LuaScript("extend")
    read = staticmethod(_standing)
    lock: Key
    active: Key
    now_ms: int | str
    conversation: str
    token: int
    lock_ttl_ms: int


@stub
class RecordReply(Call[Standing], frozen=True, kw_only=True):
    """Keeps the reply before it is sent."""

    script: ClassVar[LuaScript] = LuaScript("record_reply")
    read = staticmethod(_standing)
    lock: Key
    reply: Key
    now_ms: int | str
    token: int
    text: str


@stub
class RecordSent(Call[Standing], frozen=True, kw_only=True):
    """Notes that the reply was sent."""

    script: ClassVar[LuaScript] = LuaScript("record_sent")
    read = staticmethod(_standing)
    lock: Key
    reply: Key
    now_ms: int | str
    token: int


@stub
class Complete(Call[Standing], frozen=True, kw_only=True):
    """Finishes a batch."""

    script: ClassVar[LuaScript] = LuaScript("complete")
    read = staticmethod(_standing)
    queue: Key
    lock: Key
    active: Key
    wake: Key
    stats: Key
    completed: Key
    reply: Key
    now_ms: int | str
    conversation: str
    token: int
    window_ms: int
    max_messages: int
    idle_ms: int
    completed_ttl_ms: int
    stats_ttl_ms: int


@stub
class Fail(Call[FailAnswer], frozen=True, kw_only=True):
    """Ends a lease without success."""

    script: ClassVar[LuaScript] = LuaScript("fail")
    read = staticmethod(_fail_answer)
    queue: Key
    lock: Key
    active: Key
    wake: Key
    stats: Key
    dead: Key
    reply: Key
    now_ms: int | str
    conversation: str
    token: int
    mode: Literal["retry", "dead", "release"]
    reason: str
    not_sent: int
    backoff_ms: int
    max_attempts: int
    window_ms: int
    max_messages: int
    idle_ms: int
    stats_ttl_ms: int


@stub
class Requeue(Call[bool], frozen=True, kw_only=True):
    """Puts a dead letter back."""

    script: ClassVar[LuaScript] = LuaScript("requeue")
    read = staticmethod(_found)
    dead: Key
    active: Key
    wake: Key
    now_ms: int | str
    base: str
    dead_id: str
    window_ms: int
    max_messages: int
    idle_ms: int


@stub
class Withdraw(Call[str], frozen=True, kw_only=True):
    """Takes out what was answered without the queue: "marked", "withdrawn" or "in flight"."""

    script: ClassVar[LuaScript] = LuaScript("withdraw")
    read = staticmethod(text)
    queue: Key
    lock: Key
    active: Key
    wake: Key
    seen: Key
    completed: Key
    reply: Key
    now_ms: int | str
    conversation: str
    message_id: str
    dedupe_ttl_ms: int
    window_ms: int
    max_messages: int
    idle_ms: int
    completed_ttl_ms: int


@stub
class Rescue(Call[str], frozen=True, kw_only=True):
    """Finds, and on demand puts right, a conversation that nobody would look at: "stranded", "orphan" or "fine"."""

    script: ClassVar[LuaScript] = LuaScript("rescue")
    read = staticmethod(text)
    queue: Key
    lock: Key
    reply: Key
    active: Key
    wake: Key
    now_ms: int | str
    conversation: str
    repair: int


@stub
class Survey(Call[SurveyAnswer], frozen=True, kw_only=True):
    """Counts a page of the index."""

    script: ClassVar[LuaScript] = LuaScript("survey")
    read = staticmethod(_survey_answer)
    active: Key
    now_ms: int | str
    base: str
    first: int
    last: int
