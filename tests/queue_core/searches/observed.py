"""Contents of Redis, and checks of the invariants (I1 to I6: see ARCHITECTURE.md). Planted bugs test each check."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from redis.asyncio import Redis

from queue_core import DeadLetter, MessageQueue, QueueMessage
from queue_core.keys import decode_conversation
from queue_core.message import change_of, decode
from queue_core.redis.scripts.loader import text
from tests.queue_core.searches.model import Contract, Name, Reason

REASONS: dict[Reason, str] = {
    "late": r"late: delivered \d+ (s|h) after it was written",
    "expired": r"expired: no worker took it for over \d+ s",
    "attempts": r"given up after \d+ attempts?: .+",
    "told": r"told: .+",
}
"""Every reason that a dead letter may have; "told" is what the caller of `fail(dead=True)` said."""

MAY_EXPIRE = {
    "change_notes",
    "ids",
    "seen",
    "queue_stats",
    "completed",
    "last_claim",
    "sent",
    "undelivered",
    "sent_again",
}
MAY_EXPIRE |= {"alias", "names", "behind"}
"""Kinds of keys that always have a TTL."""
NEVER_EXPIRE = {
    "msg_queue",
    "changes",
    "processing_lock",
    "reply",
    "active_queues",
    "dead_letters",
    "token",
    "wake",
    "hold",
    "looks",
    "layout",
    "outages",
    "outage_news",
    "backend_waiting",
    "backend_trials",
    "reports",
    "reports_due",
}
"""Kinds of keys without a TTL. Without such a key, a message, its order or its holder would be lost."""


TTL_MS_MIN = 3_600_000
"""Least TTL, so that a step may take this long."""


class InvariantBrokenError(AssertionError):
    """Raised when an invariant does not hold."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All of a deployment's data at one moment."""

    lists: dict[Name, list[QueueMessage]]
    archives: dict[Name, list[QueueMessage]]
    dead: list[DeadLetter]
    edits: dict[Name, list[QueueMessage]]
    """Edits that wait beside the list."""
    attention_ms: dict[Name, int]
    locks: dict[Name, dict[str, str]]
    replies: dict[Name, dict[str, str]]
    ttl_ms: dict[str, int]
    """Remaining TTL of each key; -1: none."""


def kind_of(key: str, prefix: str) -> str:
    """Return the kind of a key, as in `wa:{0}:<kind>:…`."""
    return re.sub(rf"^{re.escape(prefix)}:{{\d+}}:", "", key).split(":", 1)[0]


async def keys_of(redis: Redis, prefix: str) -> list[str]:
    """Return every key of a deployment, sorted."""
    return sorted([text(key) async for key in redis.scan_iter(match=f"{prefix}:*", count=1_000)])


async def observe(queue: MessageQueue) -> Snapshot:
    """Read all data, while nobody writes."""
    prefix = queue.settings.prefix
    keys = await keys_of(queue.redis, prefix)
    pipeline = queue.redis.pipeline(transaction=False)
    for key in keys:
        pipeline.pttl(key)
    by_kind = {
        kind: [key for key in keys if kind_of(key, prefix) == kind] for kind in NEVER_EXPIRE | MAY_EXPIRE
    }
    lists = [*by_kind["msg_queue"], *by_kind["completed"]]
    hashes = [*by_kind["processing_lock"], *by_kind["reply"], *by_kind["changes"]]
    for key in lists:
        pipeline.lrange(key, 0, -1)
    for key in hashes:
        pipeline.hgetall(key)
    for key in by_kind["active_queues"]:
        pipeline.zrange(key, 0, -1, withscores=True)
    answers = await pipeline.execute()
    ttl_ms = dict(zip(keys, answers, strict=False))
    values = dict(zip([*lists, *hashes, *by_kind["active_queues"]], answers[len(keys) :], strict=True))
    return Snapshot(
        lists={_name(key, prefix): _messages(values[key]) for key in by_kind["msg_queue"]},
        archives={_name(key, prefix): _messages(values[key]) for key in by_kind["completed"]},
        dead=await queue.dead_letters(),
        edits={
            _name(key, prefix): _messages([value[1:] for value in values[key].values() if len(value) > 1])
            for key in by_kind["changes"]
        },
        attention_ms={
            decode_conversation(text(member)): int(score)
            for key in by_kind["active_queues"]
            for member, score in values[key]
        },
        locks={_name(key, prefix): _fields(values[key]) for key in by_kind["processing_lock"]},
        replies={_name(key, prefix): _fields(values[key]) for key in by_kind["reply"]},
        ttl_ms=ttl_ms,
    )


async def prolong_ttls(redis: Redis, seen: Snapshot) -> None:
    """Let no key expire during a slow run: TTLs follow Redis's clock, and the queue has a clock of its own."""
    pipeline = redis.pipeline(transaction=False)
    for key, ttl_ms in seen.ttl_ms.items():
        if 0 < ttl_ms < TTL_MS_MIN:
            pipeline.pexpire(key, TTL_MS_MIN)
    await pipeline.execute()


def check_all(contract: Contract, seen: Snapshot, prefix: str) -> None:
    """Check all invariants. Raises InvariantBrokenError."""
    check_places(contract, seen)
    check_order(contract, seen)
    check_nobody_is_stranded(seen)
    check_due_times(contract, seen)
    check_holders(contract, seen)
    check_deletions(contract, seen)
    check_replies(contract, seen)
    check_dead_letters(contract, seen)
    check_lifetimes(seen, prefix)


def check_places(contract: Contract, seen: Snapshot) -> None:
    """I1, I4: what was acknowledged is in exactly one place, and nothing is there that nobody sent."""
    places = Counter(
        [(name, message.id) for name, messages in seen.lists.items() for message in messages]
        + [(name, message.id) for name, messages in seen.archives.items() for message in messages]
        + [(name, message.id) for name, messages in seen.edits.items() for message in messages]
        + [((letter.instance_name, letter.user_phone), _id(letter)) for letter in seen.dead]
        + list(contract.gone)
    )
    for name, message_id in contract.acknowledged:
        _require(
            places[name, message_id] == 1,
            f"{message_id} of {name} is in {places[name, message_id]} places, not one",
        )
    strangers = set(places) - contract.acknowledged
    _require(not strangers, f"nobody sent {sorted(strangers)}")


def check_order(contract: Contract, seen: Snapshot) -> None:
    """I2: what waits does so in the order of arrival, and finished messages were finished in that order."""
    for name, conversation in contract.conversations.items():
        waiting = [message.id for message in conversation.messages]
        actual = [message.id for message in seen.lists.get(name, [])]
        _require(actual == waiting, f"in {name} wait {actual}, it should be {waiting}")
        finished = [message_id for _, message_id in contract.archive.get(name, [])]
        kept = [message.id for message in seen.archives.get(name, [])]
        _require(kept == finished, f"of {name} are finished {kept}, it should be {finished}")


def check_deletions(contract: Contract, seen: Snapshot) -> None:
    """No finished message that its user deleted has a text, nor have its edits."""
    for name, messages in seen.archives.items():
        for message in messages:
            change = change_of(message)
            edited = change.target_id if change and change.what == "edit" else ""
            is_deleted = contract.deleted & {(name, message.id), (name, edited)}
            _require(
                not is_deleted or not message.message, f"{message.id} of {name} has a text, and was deleted"
            )


def check_nobody_is_stranded(seen: Snapshot) -> None:
    """A conversation has a time at which it is looked at if and only if it has messages."""
    stranded = set(seen.lists) - set(seen.attention_ms)
    _require(not stranded, f"nobody will ever look at {sorted(stranded)}")
    empty = set(seen.attention_ms) - set(seen.lists)
    _require(not empty, f"{sorted(empty)} are in the index without a message")


def check_due_times(contract: Contract, seen: Snapshot) -> None:
    """I5: a conversation is due exactly when the rule, the lease or the backoff says."""
    for name, conversation in contract.conversations.items():
        actual = seen.attention_ms.get(name)
        _require(
            actual == conversation.attention_ms,
            f"{name} is due at {actual}, it should be {conversation.attention_ms}",
        )


def check_holders(contract: Contract, seen: Snapshot) -> None:
    """I3, I6: the lock has the expected lease (token, worker, size and end) and number of attempts."""
    for name, conversation in contract.conversations.items():
        lock = seen.locks.get(name, {})
        lease = conversation.lease
        holder = (lock.get("token"), lock.get("processorId"), lock.get("size"), lock.get("expiresAt"))
        expected = (
            (str(lease.token), lease.processor_id, str(lease.size), str(lease.expires_ms))
            if lease
            else (None,) * 4
        )
        _require(holder == expected, f"{name} is held by {holder}, it should be {expected}")
        tries = [size for size in lock.get("tries", "").split(",") if size]
        _require(
            len(tries) == conversation.attempts,
            f"{name} was tried {len(tries)} times, it should be {conversation.attempts}",
        )


def check_replies(contract: Contract, seen: Snapshot) -> None:
    """I4: a reply is on record as long as its batch is not finished, and for that batch only."""
    for name, conversation in contract.conversations.items():
        actual = seen.replies.get(name, {})
        reply = conversation.reply
        expected = (reply.text, str(reply.size), reply.state, reply.parts) if reply else (None, None, None, 0)
        stored = (actual.get("text"), actual.get("size"), actual.get("state"), int(actual.get("parts", 0)))
        _require(stored == expected, f"the reply of {name} is {stored}, it should be {expected}")


def check_dead_letters(contract: Contract, seen: Snapshot) -> None:
    """I6: dead letters are those that the contract names, in order, for the reason that it names."""
    actual = [((it.instance_name, it.user_phone), _id(it), it.attempts, it.reply) for it in seen.dead]
    expected = [(it.name, it.id, it.attempts, it.reply) for it in contract.dead]
    _require(
        sorted(actual, key=repr) == sorted(expected, key=repr), f"dead are {actual}, it should be {expected}"
    )
    reasons = {((it.instance_name, it.user_phone), _id(it)): it.reason for it in seen.dead}
    for dead in contract.dead:
        reason = reasons[dead.name, dead.id]
        _require(
            re.fullmatch(REASONS[dead.reason], reason) is not None,
            f"{dead.id} of {dead.name} is dead for {reason!r}, it should be for {dead.reason!r}",
        )


def check_lifetimes(seen: Snapshot, prefix: str) -> None:
    """I1: finished messages, statistics and notes against repetitions expire, and nothing else does."""
    for key, ttl_ms in seen.ttl_ms.items():
        kind = kind_of(key, prefix)
        if kind == "backend":  # it expires while the backend works, and stays while it is away
            away = f"{key.split(':backend:')[0]}:outages" in seen.ttl_ms
            _require(away or ttl_ms > 0, f"{key} would stay for ever")
        elif kind in NEVER_EXPIRE:
            _require(ttl_ms == -1, f"{key} would vanish in {ttl_ms} ms")
        else:
            _require(kind in MAY_EXPIRE, f"{key} is of no known kind")
            _require(ttl_ms > 0, f"{key} would stay for ever")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise InvariantBrokenError(otherwise)


def _id(letter: DeadLetter) -> str:
    return letter.message.id if letter.message else letter.raw


def _name(key: str, prefix: str) -> Name:
    rest = re.sub(rf"^{re.escape(prefix)}:{{\d+}}:", "", key)
    return decode_conversation(rest.split(":", 1)[1])


def _messages(elements: list[bytes]) -> list[QueueMessage]:
    messages = []
    for element in elements:
        message = decode(element)
        _require(message is not None, f"{element!r} is not a message")
        if message is not None:
            messages.append(message)
    return messages


def _fields(raw: dict[bytes, bytes]) -> dict[str, str]:
    return {text(name): text(value) for name, value in raw.items()}
