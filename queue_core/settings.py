"""The queue's settings and their defaults, in one place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal

from queue_core.errors import InvalidSettingsError

LateMessages = Literal["dead-letter", "answer"]
UnsureSends = Literal["resend", "dead-letter"]
DeliveryFailures = Literal["note", "dead-letter"]

PARTITIONS_MAX = 1_024
"""Limit on the number of partitions."""
_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def _whole(default: int, low: int, high: int) -> Any:
    """Declare a whole number with its limits."""
    return field(default=default, metadata={"limits": (low, high)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Batching rules: when a conversation is due. Lua and `policy.py` read the same rules."""

    window_ms: int = _whole(8_000, 0, 3_600_000)
    """A conversation is due this long after its oldest waiting message."""
    max_messages: int = _whole(5, 0, 1_000)
    """This many waiting messages make it due at once. 0 is off."""
    idle_ms: int = _whole(0, 0, 3_600_000)
    """A silence of this length makes it due, if that is earlier than the window. 0 is off."""
    cap_ms: int = _whole(0, 0, 3_600_000)
    """With `idle_ms`, replaces the window: the latest due time, counted from the oldest message. 0 is off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRules(Rules):
    """Rules of a turn: when it is due, and which messages still join it."""

    supersede_ms: int = _whole(0, 0, 3_600_000)
    """A message that comes while its turn is being answered joins it, up to this long after the turn's oldest message:
    the answer is dropped, and the handler is asked again about all of it. 0 is off."""


RULE_OPTIONS: Mapping[str, str] = MappingProxyType(
    {rule.name.removesuffix("_ms").replace("_", "-"): rule.name for rule in fields(TurnRules)}
)
"""Fields of TurnRules by their names on command lines and in recordings, such as `window` and `max-messages`."""

_UNTIL_SILENCE = {"max_messages": 0, "cap_ms": 45_000, "supersede_ms": 45_000}
PROFILES: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "plan": MappingProxyType({"window_ms": 8_000, "max_messages": 5}),
        "patient": MappingProxyType({"idle_ms": 7_500, **_UNTIL_SILENCE}),
        "quick": MappingProxyType({"idle_ms": 3_000, **_UNTIL_SILENCE}),
    }
)
"""Sets of rules by name. `plan` is the default. `patient` gives one reply to everything that a user wrote up to a
silence, and `quick` waits for a shorter silence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings(TurnRules):
    """Settings that every process of one deployment must agree on.

    Times are in milliseconds, as the names say. Raises InvalidSettingsError, naming every fault, when the values
    contradict each other.
    """

    max_batch: int = _whole(100, 1, 1_000)
    """Largest number of messages handed over at once."""

    lock_ttl_ms: int = _whole(15_000, 50, 3_600_000)
    """A lease that is not renewed in this time is over, and the conversation is due again."""
    lock_renew_ms: int = _whole(5_000, 10, 3_600_000)
    """A lease is renewed this long after it began or was renewed, at the latest; a failed try is repeated sooner."""
    max_retry_count: int = _whole(3, 0, 100)
    """Attempts after the first; then the messages become dead letters."""
    backoff_base_ms: int = _whole(1_000, 0, 3_600_000)
    """Wait before the first retry; doubles with each further one."""
    backoff_max_ms: int = _whole(60_000, 0, 86_400_000)
    """The backoff never exceeds this."""
    handler_timeout_ms: int = _whole(120_000, 1, 3_600_000)
    """A handler that takes longer is cancelled, and the attempt counts as failed."""
    send_timeout_ms: int = _whole(30_000, 1, 3_600_000)
    """A sender that takes longer is cancelled; it may have sent the reply by then, see `unsure_sends`."""
    unsure_sends: UnsureSends = "resend"
    """Treatment of a reply that was perhaps sent: send it again (perhaps twice), or dead-letter it (perhaps never)."""

    delivery_failures: DeliveryFailures = "note"
    """Treatment of a reply that the provider took and later reports as failed: noted in the conversation, or a dead
    letter too, for which its text is kept as long as its id."""
    sent_ttl_s: int = _whole(86_400, 0, 8 * 86_400)
    """Ids of replies are kept this long, and at most 6 h longer, to know what providers report on them. 0 is off."""

    dedupe_ttl_s: int = _whole(86_400, 1, 8 * 86_400)
    """A message id of the provider is remembered this long, and at most a third longer."""
    late_messages: LateMessages = "dead-letter"
    """Treatment of a message whose own timestamp is older than `dedupe_ttl_s`."""
    queue_ttl_s: int = _whole(3_600, 1, 30 * 86_400)
    """A message that no worker takes in this time becomes a dead letter."""
    outage_patience_s: int = _whole(72_000, 1, 30 * 86_400)
    """While the AI or the channel is away, or a limit on sending holds it back, a message waits this
    long; then it becomes a dead letter. The default, 20 h, lies inside the 24 h in which WhatsApp takes a reply."""
    completed_ttl_s: int = _whole(1_800, 1, 30 * 86_400)
    """Finished messages are kept this long."""
    stats_ttl_s: int = _whole(3_600, 1, 30 * 86_400)
    """Statistics of a conversation are kept this long after its last activity."""
    keep_deleted_texts: bool = False
    """Keep the texts of messages that their users deleted, and texts before an edit, for the operator, in what is shown
    and in the archive of finished messages. The AI never reads them."""
    aliases_ttl_s: int = _whole(90 * 86_400, 0, 3_650 * 86_400)
    """Two addresses of one user lead to one conversation for this long after the last message through it. 0: never."""
    dead_letters_ttl_s: int = _whole(0, 0, 3_650 * 86_400)
    """Dead letters are deleted by the monitor after this time. 0: they stay until somebody requeues or drops them."""

    dead_letters_max: int = _whole(50_000, 1, 10_000_000)
    """Limit on dead letters. When there is no more room, further failures wait in their conversations."""

    max_message_bytes: int = _whole(262_144, 1_024, 16 * 1024 * 1024)
    """Size limit of one message as stored, in bytes of JSON."""
    redis_deadline_ms: int = _whole(1_500, 1, 60_000)
    """Redis has this long to answer; then QueueUnavailableError is raised."""
    direct_after_ms: int = _whole(5_000, 0, 60_000)
    """While Redis is away a message waits this long for it; then `Intake` answers it directly."""
    wait_for_fsync: bool = False
    """Acknowledge only what is on Redis's disk: with appendfsync always, or everysec on Redis 7.2 (waits up to 1 s)."""
    wait_for_replicas: int = _whole(0, 0, 16)
    """Acknowledge only what this many replicas of its server have, so that a failover to one of them loses nothing.
    If there are more, one that lacks it may take over. If fewer confirm a step in time, it counts as not done.
    0: do not wait."""
    prefix: str = "wa"
    """Every key starts with it."""
    partitions: int = _whole(0, 0, PARTITIONS_MAX)
    """Hash tags to spread conversations over. 0: 16 on a cluster of `redis+cluster://`, otherwise 1; then
    `MessageQueue.settings` has that number. `python -m queue_core partitions` changes it; nothing else may."""

    @property
    def dead_letters_in_partition_max(self) -> int:
        """Limit on the dead letters of one partition."""
        return -(-self.dead_letters_max // max(1, self.partitions))

    @property
    def grace_ms(self) -> int:
        """Time for which claims must have come without a gap before a lease that ran out is taken over.

        A holder that lives renews its lease within this time, even if Redis's clock was set forward right after the
        last renewal, and if a call waits for the deadline first. Where this is over half a lease, a dead worker's lease
        is taken over this long after the middle of the lease, not at its end.
        """
        return min(self.lock_ttl_ms, max(self.lock_renew_ms, self.redis_deadline_ms) + self.redis_deadline_ms)

    def __post_init__(self) -> None:
        faults = [*self._out_of_range(), *self._contradictions()]
        if faults:
            raise InvalidSettingsError("; ".join(faults))

    def _out_of_range(self) -> list[str]:
        return [
            f"{setting.name} is {value!r}, must be a whole number from {low} to {high}"
            for setting in fields(self)
            if setting.metadata
            for low, high in [setting.metadata["limits"]]
            if type(value := getattr(self, setting.name)) is not int or not low <= value <= high
        ]

    def _contradictions(self) -> list[str]:
        faults = []
        if self._are_numbers("lock_renew_ms", "lock_ttl_ms") and self.lock_renew_ms * 2 > self.lock_ttl_ms:
            faults.append(
                f"lock_renew_ms ({self.lock_renew_ms}) must be at most half of lock_ttl_ms ({self.lock_ttl_ms}): "
                "one late renewal must not cost the lease"
            )
        if self._are_numbers("max_batch", "max_messages") and self.max_batch < self.max_messages:
            faults.append(
                f"max_batch ({self.max_batch}) must not be below max_messages ({self.max_messages})"
            )
        if self.late_messages not in ("dead-letter", "answer"):
            faults.append(f"late_messages is {self.late_messages!r}, must be 'dead-letter' or 'answer'")
        if self.unsure_sends not in ("resend", "dead-letter"):
            faults.append(f"unsure_sends is {self.unsure_sends!r}, must be 'resend' or 'dead-letter'")
        if self.delivery_failures not in ("note", "dead-letter"):
            faults.append(f"delivery_failures is {self.delivery_failures!r}, must be 'note' or 'dead-letter'")
        if type(self.prefix) is not str or not _PREFIX.fullmatch(self.prefix):
            faults.append(f"prefix is {self.prefix!r}, must be 1 to 64 letters, digits or _ . : -")
        return faults

    def _are_numbers(self, *names: str) -> bool:
        return all(type(getattr(self, name)) is int for name in names)
