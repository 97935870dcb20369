"""Answers of the scripts: their types, and the functions that read them."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from queue_core.redis.scripts.loader import text

Standing = Literal["held", "settled", "superseded", "lost"]
"""State of a lease: held by the caller, settled by an earlier try of the call, superseded by a new turn, or lost."""


class EnqueueAnswer(NamedTuple):
    """Answer of `Enqueue` or `Change`: `status` is "queued", "changed", "duplicate" or "late"."""

    status: str
    added_at_ms: int
    waiting: int


class MovedAnswer(NamedTuple):
    """Answer of `Enqueue` or `Change` if nothing was stored: the user's messages belong to another conversation."""

    target: str
    """The other conversation, encoded."""


class NameAnswer(NamedTuple):
    """Answer of `ReadName`, about one name of a user."""

    target: str
    """Conversation that this name leads to, encoded; "" for none."""
    is_seen: bool
    """True if the message was stored under this name."""
    is_in_use: bool
    """True if messages wait under this name, or are being answered."""
    has_memory: bool
    has_more: bool
    """True if anything else is kept under this name."""
    names: dict[str, str]
    """Names that lead to this conversation, each with the kind of its address."""


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
    """Answer of `Claim`. `next_due_ms` is None when no conversation has messages; `given_up` counts dead letters.

    `spared` counts leases that ran out but were left to their holders, which may still renew them: Redis was away, or
    no claim came for some time. `damaged` counts keys that were moved aside.
    """

    now_ms: int
    next_due_ms: int | None
    given_up: int
    spared: int
    batches: list[LeasedAnswer]
    news: tuple[BackendNews, ...] = ()
    damaged: int = 0
    behind: frozenset[str] = frozenset()
    """Leased conversations that may have to wait for others of their users."""
    watchers: tuple[str, ...] = ()
    """Workers that watch the partition, encoded."""


class LookAnswer(NamedTuple):
    """Answer of `Look`. `next_due_ms` is None when no conversation has messages."""

    now_ms: int
    next_due_ms: int | None
    watchers: tuple[str, ...]
    """Workers that watch the partition, encoded."""


class FailAnswer(NamedTuple):
    """Answer of `Fail`. `given_up` counts messages that became dead letters."""

    standing: Standing
    given_up: int


class PaceAnswer(NamedTuple):
    """Answer of `Pace`."""

    is_granted: bool
    """True if the messages were given a moment at which to go."""
    wait_ms: int
    """Wait until that moment; if none was given, the wait until one is free."""
    halvings: int
    """Number of times that the rate is halved now, since the provider refused messages."""
    paused_until_ms: int
    """End of the last pause; 0 without one."""


class SurveyAnswer(NamedTuple):
    """Counts of one page; `oldest_added_ms` is None when nothing waits there."""

    now_ms: int
    conversations: int
    waiting: int
    in_flight: int
    oldest_added_ms: int | None
    expired_leases: int
    damaged: int
    """Conversations whose messages or lease cannot be read."""


class ForgetAnswer(NamedTuple):
    """Answer of `Forget`: what became of the conversation, and what was kept of it."""

    standing: Literal["forgotten", "waiting", "in flight"]
    waiting: int
    lease_left_ms: int
    finished: int
    reply: bool
    memory: bool
    statistics: bool


class InventoryAnswer(NamedTuple):
    """Counts of the messages in one page that workers would answer; the times are None when there are none."""

    conversations: int
    messages: int
    older: int
    oldest_ms: int | None
    newest_ms: int | None
    unsure_replies: int


class MatchAnswer(NamedTuple):
    """Reports that were due, each with its note, and the number of reports that are still kept."""

    kept: int
    reports: list[tuple[str, str]]


_STANDINGS: dict[str, Standing] = {"held": "held", "settled": "settled", "superseded": "superseded"}


def read_standing(raw: Any) -> Standing:
    """Return the state of a lease."""
    return _STANDINGS.get(text(raw), "lost")


def read_enqueue(raw: Any) -> EnqueueAnswer | MovedAnswer:
    """Return the answer of `Enqueue` or `Change`."""
    if len(raw) == 2:
        return MovedAnswer(text(raw[1]))
    return EnqueueAnswer(text(raw[0]), raw[1], raw[2])


def read_name(raw: Any) -> NameAnswer:
    """Return the answer of `ReadName`."""
    target, seen, in_use, memory, more, names = raw
    words = [text(word) for word in names]
    pairs = dict(zip(words[::2], words[1::2], strict=True))
    return NameAnswer(text(target), bool(seen), bool(in_use), bool(memory), bool(more), pairs)


def read_claim(raw: Any) -> ClaimAnswer:
    """Return the answer of `Claim`."""
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
        behind=frozenset(map(text, raw[7])),
        watchers=tuple(text(raw[8]).split()),
    )


def read_look(raw: Any) -> LookAnswer:
    """Return the answer of `Look`."""
    return LookAnswer(raw[0], raw[1] if raw[1] >= 0 else None, tuple(text(raw[2]).split()))


def read_fail(raw: Any) -> FailAnswer:
    """Return the answer of `Fail`."""
    return FailAnswer(read_standing(raw[0]), raw[1])


def read_requeue(raw: Any) -> bool | str:
    """Return True if a dead letter was put back, or the conversation to which it belongs by now."""
    return bool(raw) if isinstance(raw, int) else text(raw)


def read_pace(raw: Any) -> PaceAnswer:
    """Return the answer of `Pace`."""
    granted, wait_ms, halvings, paused_until_ms = raw
    return PaceAnswer(granted == 1, int(wait_ms), int(halvings), int(paused_until_ms))


def read_withdraw(raw: Any) -> str | int:
    """Return the fate of a message, or the number of messages searched so far."""
    return raw if isinstance(raw, int) else text(raw)


def read_survey(raw: Any) -> SurveyAnswer:
    """Return the counts of a page."""
    now_ms, conversations, waiting, in_flight, oldest, expired, damaged = raw
    oldest_added_ms = oldest if oldest >= 0 else None
    return SurveyAnswer(now_ms, conversations, waiting, in_flight, oldest_added_ms, expired, damaged)


def read_forget(raw: Any) -> ForgetAnswer:
    """Return what became of a conversation."""
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


def read_inventory(raw: Any) -> InventoryAnswer:
    """Return the counts of an inventory's page."""
    conversations, messages, older, oldest, newest, unsure = raw
    oldest_ms, newest_ms = (at if at >= 0 else None for at in (oldest, newest))
    return InventoryAnswer(conversations, messages, older, oldest_ms, newest_ms, unsure)


def read_count(raw: Any) -> int:
    """Return a number."""
    return int(raw)


def read_pair(raw: Any) -> tuple[int, int]:
    """Return two numbers."""
    return raw[0], raw[1]


def read_texts(raw: Any) -> tuple[str, str]:
    """Return two texts."""
    return text(raw[0]), text(raw[1])


def read_matches(raw: Any) -> MatchAnswer:
    """Return the reports that were due."""
    kept, *reports = raw
    return MatchAnswer(kept, [(text(report), text(note)) for report, note in reports])


def read_flag(raw: Any) -> bool:
    """Return True for 1."""
    return bool(raw)
