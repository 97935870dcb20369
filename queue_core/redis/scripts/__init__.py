"""Stubs of the queue's atomic steps: each declares the inputs of the Lua file of its name, and reads its answer.

Only the fields named beside a Place, a Partition or a Seen are sent.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from queue_core.keys import Key, Partition, Place, Seen
from queue_core.redis.scripts.loader import Call, Digits, Now, Number, stub, text
from queue_core.settings import Rules

Standing = Literal["held", "settled", "superseded", "lost"]
"""State of a lease: held by the caller, settled by the same call before, superseded by a changed turn, or lost."""


class EnqueueAnswer(NamedTuple):
    """Answer of an enqueue: `status` is "queued", "duplicate" or "late"."""

    status: str
    added_at_ms: int
    waiting: int


class LeasedAnswer(NamedTuple):
    """One leased conversation, as `claim.lua` returns it."""

    conversation: str
    token: int
    attempt: int
    waiting: int
    due_ms: int
    reply: str | None
    send_state: str | None
    parts_sent: int
    setbacks: int
    elements: list[bytes]


class BackendNews(NamedTuple):
    """News of a backend: it went away, or it came back."""

    backend: str
    """Name of the backend: "ai", or "channel:" and an encoded instance."""
    is_away: bool
    since_ms: int
    """Time at which it went away."""
    error: str
    """Last error."""


class ClaimAnswer(NamedTuple):
    """Answer of a claim. `next_due_ms` is None when no conversation has messages; `given_up` counts dead letters.

    `spared` counts leases that ran out and are not taken over yet. Their holders may still renew them: Redis was away,
    or no claim came for some time. `damaged` counts keys that were moved aside.
    """

    now_ms: int
    next_due_ms: int | None
    given_up: int
    spared: int
    batches: list[LeasedAnswer]
    news: tuple[BackendNews, ...] = ()
    damaged: int = 0


class FailAnswer(NamedTuple):
    """Answer of a fail. `given_up` counts messages that became dead letters."""

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


class ForgetAnswer(NamedTuple):
    """Answer of a forget: what became of the conversation, and what was kept of it."""

    standing: Literal["forgotten", "waiting", "in flight"]
    waiting: int
    lease_left_ms: int
    finished: int
    reply: bool
    memory: bool
    statistics: bool


class InventoryAnswer(NamedTuple):
    """Counts of one page of what workers would answer; the times are None when that is nothing."""

    conversations: int
    messages: int
    older: int
    oldest_ms: int | None
    newest_ms: int | None
    unsure_replies: int


_STANDINGS: dict[str, Standing] = {"held": "held", "settled": "settled", "superseded": "superseded"}


def _standing(raw: Any) -> Standing:
    return _STANDINGS.get(text(raw), "lost")


def _enqueue_answer(raw: Any) -> EnqueueAnswer:
    return EnqueueAnswer(text(raw[0]), raw[1], raw[2])


def _claim_answer(raw: Any) -> ClaimAnswer:
    return ClaimAnswer(
        now_ms=raw[0],
        next_due_ms=raw[1] if raw[1] >= 0 else None,
        given_up=raw[2],
        spared=raw[3],
        damaged=raw[5],
        batches=[
            LeasedAnswer(
                conversation=text(conversation),
                token=int(token),
                attempt=attempt,
                waiting=waiting,
                due_ms=int(due),
                reply=text(reply) if reply is not None else None,
                send_state=text(state) if state is not None else None,
                parts_sent=int(parts or 0),
                setbacks=int(setbacks),
                elements=elements,
            )
            for conversation, token, attempt, waiting, due, reply, state, parts, setbacks, elements in raw[4]
        ],
        news=tuple(
            BackendNews(text(name), text(what) == "away", int(since), text(error))
            for name, what, since, error in raw[6]
        ),
    )


def _fail_answer(raw: Any) -> FailAnswer:
    return FailAnswer(_standing(raw[0]), raw[1])


def _withdraw_answer(raw: Any) -> str | int:
    return raw if isinstance(raw, int) else text(raw)


def _survey_answer(raw: Any) -> SurveyAnswer:
    now_ms, conversations, waiting, in_flight, oldest, expired = raw
    return SurveyAnswer(now_ms, conversations, waiting, in_flight, oldest if oldest >= 0 else None, expired)


def _forget_answer(raw: Any) -> ForgetAnswer:
    standing, waiting, lease_left_ms, finished, *kept = raw
    reply, memory, statistics = map(bool, kept)
    return ForgetAnswer(
        text(standing),  # type: ignore[arg-type]  # the script returns one of the three
        waiting,
        lease_left_ms,
        finished,
        reply,
        memory,
        statistics,
    )


def _inventory_answer(raw: Any) -> InventoryAnswer:
    conversations, messages, older, oldest, newest, unsure = raw
    oldest_ms, newest_ms = (at if at >= 0 else None for at in (oldest, newest))
    return InventoryAnswer(conversations, messages, older, oldest_ms, newest_ms, unsure)


def _count(raw: Any) -> int:
    return int(raw)


def _pair(raw: Any) -> tuple[int, int]:
    return raw[0], raw[1]


def _is_found(raw: Any) -> bool:
    return bool(raw)


@stub("enqueue")
class Enqueue(Call[EnqueueAnswer], frozen=True, kw_only=True):
    """Stores one message, once."""

    read = staticmethod(_enqueue_answer)
    place: Annotated[Place, "queue lock active wake stats dead layout damaged conversation"]
    seen: Annotated[Seen, "old ids fingerprint"]
    rules: Rules
    now_ms: Now
    message: bytes
    provider_ms: Number
    dedupe_ttl_ms: Number
    late_is_dead: Digits
    dead_letters_max: Number
    stats_ttl_ms: Number
    waits_for_disk: Digits


@stub("claim")
class Claim(Call[ClaimAnswer], frozen=True, kw_only=True):
    """Leases what is due."""

    read = staticmethod(_claim_answer)
    partition: Annotated[Partition, "active wake token dead looks layout hold damaged base"]
    last_claim: Key
    rules: Rules
    now_ms: Now
    processor_id: str
    claim_id: str
    limit: Number
    lock_ttl_ms: Number
    grace_ms: Number
    max_batch: Number
    max_attempts: Number
    dead_letters_max: Number
    queue_ttl_ms: Number
    patience_ms: Number
    completed_ttl_ms: Number
    only: str
    kept: str


@stub("extend")
class Extend(Call[Standing], frozen=True, kw_only=True):
    """Renews a lease."""

    read = staticmethod(_standing)
    place: Annotated[Place, "lock active damaged conversation"]
    now_ms: Now
    token: Digits
    lock_ttl_ms: Number


@stub("record_reply")
class RecordReply(Call[Standing], frozen=True, kw_only=True):
    """Keeps the reply and confirms the lease right before the send, unless the turn has changed."""

    read = staticmethod(_standing)
    place: Annotated[
        Place, "queue lock reply active wake stats completed damaged conversation base ai channel"
    ]
    rules: Rules
    now_ms: Now
    token: Digits
    text: str
    supersede_ms: Number
    max_batch: Number
    completed_ttl_ms: Number
    stats_ttl_ms: Number


@stub("record_sent")
class RecordSent(Call[Standing], frozen=True, kw_only=True):
    """Notes that parts of the reply, or all of it, were sent, and confirms the lease."""

    read = staticmethod(_standing)
    place: Annotated[Place, "lock reply damaged conversation base channel"]
    now_ms: Now
    token: Digits
    parts: Digits
    is_whole: Digits


@stub("complete")
class Complete(Call[Standing], frozen=True, kw_only=True):
    """Finishes a batch."""

    read = staticmethod(_standing)
    place: Annotated[
        Place, "queue lock active wake stats completed reply damaged conversation base ai channel"
    ]
    rules: Rules
    now_ms: Now
    token: Digits
    completed_ttl_ms: Number
    stats_ttl_ms: Number


@stub("fail")
class Fail(Call[FailAnswer], frozen=True, kw_only=True):
    """Ends a lease without success."""

    read = staticmethod(_fail_answer)
    place: Annotated[
        Place, "queue lock active wake stats dead reply completed damaged conversation base ai channel"
    ]
    rules: Rules
    now_ms: Now
    token: Digits
    mode: Literal["retry", "dead", "release"]
    reason: str
    not_sent: Digits
    backend: str
    counts: Digits
    took_ms: Number
    backoff_ms: Number
    wait_ms: Number
    asked_ms: Number
    max_attempts: Number
    dead_letters_max: Number
    completed_ttl_ms: Number
    stats_ttl_ms: Number


@stub("requeue")
class Requeue(Call[bool], frozen=True, kw_only=True):
    """Puts a dead letter back."""

    read = staticmethod(_is_found)
    partition: Annotated[Partition, "dead active wake damaged base"]
    rules: Rules
    now_ms: Now
    dead_id: str


@stub("restore")
class Restore(Call[tuple[int, int]], frozen=True, kw_only=True):
    """Puts messages of a damaged key back: how many, and how many are left; see `restore.lua` for numbers below 0."""

    read = staticmethod(_pair)
    partition: Annotated[Partition, "damaged active wake dead base"]
    rules: Rules
    now_ms: Now
    damaged_id: str
    limit: Number


@stub("mend")
class Mend(Call[int], frozen=True, kw_only=True):
    """Moves damaged keys of a partition aside, and counts them."""

    partition: Annotated[Partition, "active wake token dead looks damaged"]
    now_ms: Now


@stub("withdraw")
class Withdraw(Call[str | int], frozen=True, kw_only=True):
    """Removes a message that was answered without the queue: "marked", "withdrawn" or "in flight".

    A number means that the search goes on with a call that has it as `skipped`.
    """

    read = staticmethod(_withdraw_answer)
    place: Annotated[Place, "queue lock active wake dead completed reply layout damaged conversation"]
    seen: Annotated[Seen, "old ids fingerprint"]
    rules: Rules
    now_ms: Now
    message_id: str
    quoted_id: bytes
    """The id as it stands in the JSON of a message."""
    skipped: Number
    dedupe_ttl_ms: Number
    completed_ttl_ms: Number


@stub("forget")
class Forget(Call[ForgetAnswer], frozen=True, kw_only=True):
    """Deletes what is kept of a conversation."""

    read = staticmethod(_forget_answer)
    place: Annotated[
        Place, "queue lock reply completed memory stats active damaged conversation base ai channel"
    ]
    now_ms: Now
    drop_waiting: Digits


@stub("rescue")
class Rescue(Call[str], frozen=True, kw_only=True):
    """Checks, and repairs on demand, a conversation that no worker would look at: "stranded", "orphan" or "fine"."""

    read = staticmethod(text)
    place: Annotated[Place, "queue lock reply active wake damaged conversation"]
    now_ms: Now
    repair: Digits


@stub("drop_old")
class DropOld(Call[int], frozen=True, kw_only=True):
    """Makes dead letters of old messages."""

    read = staticmethod(_count)
    place: Annotated[Place, "queue lock active wake dead reply completed damaged conversation"]
    rules: Rules
    now_ms: Now
    before_ms: Number
    limit: Number
    reason: str
    completed_ttl_ms: Number


@stub("inventory", mends=False)
class Inventory(Call[InventoryAnswer], frozen=True, kw_only=True):
    """Counts what a page of the index holds for workers."""

    read = staticmethod(_inventory_answer)
    partition: Annotated[Partition, "active wake dead damaged base"]
    now_ms: Now
    first: Digits
    last: Digits
    before_ms: Number


@stub("survey", mends=False)
class Survey(Call[SurveyAnswer], frozen=True, kw_only=True):
    """Counts a page of the index."""

    read = staticmethod(_survey_answer)
    partition: Annotated[Partition, "active wake dead damaged base"]
    now_ms: Now
    first: Digits
    last: Digits
