"""A message queue on Redis between a chat webhook and the reply: one turn, one handler, one answer, nothing lost."""

from __future__ import annotations

import sys

try:
    from queue_core.errors import (
        DamagedKeyNotFoundError,
        DeadLetterNotFoundError,
        GiveUpError,
        InvalidMessageError,
        InvalidSettingsError,
        LeaseLostError,
        OlderMessageWaitsError,
        QueueError,
        QueueUnavailableError,
        RetryLaterError,
        UnsupportedRedisError,
    )
    from queue_core.message import Batch, DeadLetter, QueueMessage, Receipt, Reply
    from queue_core.queue.claims import Claimed
    from queue_core.queue.health.health import HealthReport, examine
    from queue_core.queue.intake.intake import Intake
    from queue_core.queue.message_queue import MessageQueue
    from queue_core.queue.processing.processor import ProcessingObserver, ProcessingReport, Processor
    from queue_core.queue.upkeep.rescue import Rescued
    from queue_core.queue.upkeep.sent_replies import Report
    from queue_core.redis.connection import connect
    from queue_core.sent import note_sent
    from queue_core.settings import PROFILES, QueueSettings
except ModuleNotFoundError:
    # Python imports this package before the module of `python -m queue_core`, which says what to install.
    if sys.argv[0] != "-m":
        raise

__all__ = [
    "PROFILES",
    "Batch",
    "Claimed",
    "DamagedKeyNotFoundError",
    "DeadLetter",
    "DeadLetterNotFoundError",
    "GiveUpError",
    "HealthReport",
    "Intake",
    "InvalidMessageError",
    "InvalidSettingsError",
    "LeaseLostError",
    "MessageQueue",
    "OlderMessageWaitsError",
    "ProcessingObserver",
    "ProcessingReport",
    "Processor",
    "QueueError",
    "QueueMessage",
    "QueueSettings",
    "QueueUnavailableError",
    "Receipt",
    "Reply",
    "Report",
    "Rescued",
    "RetryLaterError",
    "UnsupportedRedisError",
    "connect",
    "examine",
    "note_sent",
]
