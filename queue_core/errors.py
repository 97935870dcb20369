"""Errors that queue_core raises on purpose. Each message says what happened and what to do next."""

from __future__ import annotations

from typing import Literal

Blamed = Literal["backend", "turn", "limit"]
"""Cause of a failure: the AI or the channel, the turn itself, such as its content, or a limit on the rate."""


class QueueError(Exception):
    """Base of all errors of queue_core."""


class InvalidSettingsError(QueueError, ValueError):
    """Settings that contradict each other or lie outside their limits; lists every fault at once."""


class InvalidMessageError(QueueError, ValueError):
    """A message that can never be queued: its instance or phone is empty, or it is over the size limit."""


class QueueUnavailableError(QueueError):
    """Raised when Redis does not answer in time or refuses to write.

    The call may or may not have been carried out. Every call may be repeated without harm.
    """


class OlderMessageWaitsError(QueueUnavailableError):
    """Raised for a message that cannot be answered while Redis is away, since an older one of its user waits there."""


class UnsupportedRedisError(QueueError):
    """Raised for a Redis server without something that the queue needs, such as Lua scripts."""


class NewerLayoutError(QueueError):
    """Raised where a newer release has changed the data in Redis so that this one cannot read it; upgrade this one."""


class PartitionsError(QueueError):
    """Raised where the conversations lie in another number of partitions than this process has, or are being carried.

    The call changed nothing. Once the change is complete, processes with the new number go on.
    """


class LeaseLostError(QueueError):
    """Raised when the lease ran out; another worker may hold the conversation. The call changed nothing."""


class DeadLetterNotFoundError(QueueError, KeyError):
    """Raised for an id that no dead letter has: it was requeued or dropped before, or is wrong."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else "no such dead letter"


class DamagedKeyNotFoundError(QueueError, KeyError):
    """Raised for an id that no damaged key has: it was repaired or dropped before, or is wrong."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else "no such damaged key"


class DeadLettersFullError(QueueError):
    """Raised when there are `dead_letters_max` dead letters, and no more can be kept."""


class RetryLaterError(QueueError):
    """Raised by a handler or a sender: this attempt certainly did nothing; try again.

    `after_ms`, for answers such as HTTP 429 with Retry-After, is the shortest wait, unless the AI or the channel was
    away and works again earlier. It is at most `outage_patience_s`; what is not a finite number counts as None.
    `blames` says what the reason lies in: "backend", the AI or the channel, which may be away, so that the attempt does
    not count unless other turns succeed; "turn", such as its content, so that it counts; or "limit": too much was sent
    in a short time, so that the attempt does not count, and no other turn waits. An attempt that does not count waits
    longer with each try, up to `backoff_max_ms`; after a limit, up to four times `after_ms`.
    """

    def __init__(
        self,
        reason: str,
        *,
        after_ms: int | None = None,
        blames: Blamed = "backend",
    ) -> None:
        super().__init__(reason)
        self.after_ms = after_ms
        self.blames = blames


class SendUncertainError(QueueError):
    """Raised by a sender when the current part may have reached the user.

    `after_ms` replaces the backoff of the settings.
    """

    def __init__(self, reason: str, *, after_ms: int | None = None) -> None:
        super().__init__(reason)
        self.after_ms = after_ms


class GiveUpError(QueueError):
    """Raised by a handler or a sender: trying again cannot help; the messages become dead letters now."""
