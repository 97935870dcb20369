"""Journal of messages, which passes each event to the metrics, the log and the recorder."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Literal

from queue_core.ai.reply import ExtractedReply
from queue_core.channels.base import AddressChange, Inbound
from queue_core.errors import OlderMessageWaitsError
from queue_core.message import Batch, QueueMessage
from queue_core.queue.outages import OutageNews
from queue_core.queue.processing.processor import Outcome
from queue_core.queue.upkeep.sent_replies import Report, SentReply
from queue_core.recording.format import FaultState
from queue_core.recording.recorder import Recorder
from queue_core.server.fitting import CUT, Part
from queue_core.server.metrics import Metrics, OwnSender
from queue_core.server.tags import ConversationTags
from queue_core.text import visible

Undelivery = Literal["noted", "dead letter", "full", "not known yet", "not known"]
"""Result of a report that a reply did not reach its user: noted in its conversation; a dead letter made, too; no room
for the dead letter; conversation unknown until the send API answers; conversation unknown."""
NAMES_MAX = 200
"""Limit on the names of events and kinds that are logged when they first appear."""
_log = logging.getLogger("queue_core.events")


class Journal:
    """Receiver of events, with a method for each kind. It never raises, and logs no phone numbers and no texts.

    It is also the Processor's ProcessingObserver.
    """

    def __init__(self, metrics: Metrics, tags: ConversationTags, recorder: Recorder | None = None) -> None:
        self.metrics = metrics
        self._tags = tags
        self._recorder = recorder
        self._answered_s: dict[tuple[str, str, int], float] = {}
        """Seconds that the AI took to answer each running turn, by conversation and token."""
        self._named: set[tuple[str, str]] = set()
        """Events and kinds that were logged already."""

    # Events at the webhook.

    def arrived(self, message: QueueMessage) -> None:
        """Note that a message arrived, before anything is done with it."""
        if self._recorder:
            self._recorder.message(message, str(message.message_data.get("kind", "text")))

    def acknowledged(self, message: QueueMessage, how: str, seconds: float) -> None:
        """Note that a message is safe.

        `how` is "queued", "changed", "duplicate", "late", "answered" (directly) or "buffered" (by the legacy buffer).
        """
        self.metrics.acknowledged(how, seconds)
        if self._recorder:
            if how == "answered":
                self._recorder.fallback(message)
            self._recorder.acknowledged(message, how)
        level = logging.WARNING if how in ("answered", "late") else logging.INFO
        if _log.isEnabledFor(level):
            fields = {"conversation": self._tag(message), "took_ms": round(seconds * 1000, 1)}
            _log.log(level, "message %s", how, extra=fields)

    def refused(self, message: QueueMessage, error: Exception) -> None:
        """Note that a message was neither stored nor answered; the provider is asked to deliver it again."""
        waits = isinstance(error, OlderMessageWaitsError)
        self.metrics.rejected("older message waits" if waits else "unavailable")
        reason = f"{type(error).__name__}: {error}"
        _log.error(
            "message not accepted, the provider must deliver it again: %s",
            reason,
            extra={"conversation": self._tag(message)},
        )

    def cut(self, message: QueueMessage, missing: Part, characters: int, bytes_max: int) -> None:
        """Note that a message was too large for the queue. `characters` is the length of its text before the cut."""
        self.metrics.cut(missing)
        fields: dict[str, Any] = {"conversation": self._tag(message), "max_message_bytes": bytes_max}
        if missing == "text":
            kept = len(message.message) - len(CUT)
            _log.warning(
                "message too large: its text was cut",
                extra={**fields, "characters": characters, "kept": kept},
            )
        else:
            _log.warning("message too large: queued without its webhook", extra=fields)

    def rejected(self, reason: str, detail: str) -> None:
        """Note a post that can never be a message."""
        self.metrics.rejected(reason)
        _log.warning("webhook rejected: %s", detail, extra={"reason": reason})

    def inbound(self, inbound: Inbound, skipped: Mapping[str, int]) -> None:
        """Note the other content of a webhook: items that no user wrote, events, unknown kinds."""
        for reason, count in skipped.items():
            self.metrics.skipped(reason, count)
        for name, count in inbound.events.items():
            self.metrics.event(name, count)
            self._name_once("event", name, "webhook of the event %s: it has no messages, and is only counted")
        for message in inbound.messages:
            if kind := message.message_data.get("unknown"):
                self.metrics.unknown_kind(kind)
                self._name_once("kind", kind, "message of the unknown kind %s: the AI reads a placeholder")

    def own_message(self, report: Report, sender: OwnSender) -> None:
        """Note a message of the bot's own number, and who sent it."""
        self.metrics.own_message(sender)
        if sender == "others":
            if self._recorder:
                self._recorder.reply_of_others(report.instance_name, report.user_phone, report.reply_id)
            # Ids of messages stay out of the log: Meta's contain the phone number, in base64.
            tag = self._tags.of(report.instance_name, report.user_phone)
            _log.info("a message of the bot's number that the bot did not send", extra={"conversation": tag})

    def undelivered(
        self, report: Report, reply: SentReply | None, outcome: Undelivery, *, is_new: bool = True
    ) -> None:
        """Note that a reply did not reach its user. `is_new` is False if a report on it was noted before."""
        if is_new:
            self.metrics.undelivered(report.code)
        self.metrics.given_up(int(outcome == "dead letter"))
        source = reply or report
        fields = {
            "conversation": self._tags.of(source.instance_name, source.user_phone),
            "code": report.code,
            "outcome": outcome,
        }
        level = logging.ERROR if outcome == "full" else logging.WARNING
        _log.log(level, "a reply did not reach its user: %s", report.reason, extra=fields)

    def joined(self, change: AddressChange) -> None:
        """Note that a user's new address leads to the conversation of the old one."""
        tags = [self._tags.of(change.instance_name, name) for name in change.names]
        _log.info("the user has a new address", extra={"conversation": tags[0], "names": " ".join(tags)})

    def not_joined(self, change: AddressChange, error: Exception) -> None:
        """Note that a user's addresses could not be joined yet; the provider is asked to deliver the report again."""
        tag = self._tags.of(change.instance_name, next(iter(change.names)))
        _log.warning("the user's addresses could not be joined: %s", error, extra={"conversation": tag})

    def unreadable(self, message: QueueMessage, reason: str) -> None:
        """Note a message that cannot be read, and is a dead letter now."""
        self.metrics.unreadable()
        if self._recorder:
            self._recorder.dead_letter(message, reason)
        _log.error(
            "message cannot be read, see `dead list`: %s", reason, extra={"conversation": self._tag(message)}
        )

    def _name_once(self, what: str, name: str, words: str) -> None:
        """Log a name when it first appears, up to NAMES_MAX names."""
        if (what, name) not in self._named and len(self._named) < NAMES_MAX:
            self._named.add((what, name))
            _log.info(words, visible(name))

    # Events at the worker.

    def claimed(self, batch: Batch) -> None:
        """Note that a worker took a turn."""
        self.metrics.claimed(batch)
        if self._recorder:
            self._recorder.batch(batch)

    def ended(self, batch: Batch, outcome: Outcome, reason: str, dead_lettered: int) -> None:
        """Note that an attempt at a turn ended."""
        self.metrics.ended(batch, outcome, reason, dead_lettered)
        answered_s = self._answered_s.pop(_lease(batch), 0.0)
        if outcome == "superseded":
            self.metrics.ai_dropped(answered_s)
            if self._recorder:
                self._recorder.superseded(batch)
        if self._recorder and dead_lettered:
            self._recorder.dead_letter(batch, reason)
        fields: dict[str, Any] = {
            "messages": len(batch.messages),
            "attempt": batch.attempt,
            "trigger": batch.trigger,
        }
        if batch.setbacks:
            fields["not_counted"] = batch.setbacks
        if reason:
            fields["reason"] = reason
        if dead_lettered:
            fields["dead_lettered"] = dead_lettered
        level = logging.INFO if outcome in ("completed", "superseded", "handed back") else logging.WARNING
        _log.log(level, "turn %s", outcome, extra={"conversation": self._tag(batch), **fields})

    def given_up(self, messages: int) -> None:
        """Note messages that became dead letters in a claim: after all attempts, or after too long a wait."""
        self.metrics.given_up(messages)
        if messages:
            _log.error("messages became dead letters: see `dead list`", extra={"messages": messages})

    def backend_changed(self, news: OutageNews) -> None:
        """Note that the AI or a channel went away, or came back."""
        self.metrics.backend_changed(news)
        if self._recorder:
            state: FaultState = "begins" if news.is_away else "ends"
            self._recorder.fault(news.kind, state, news.error, instance=news.instance_name)
        fields: dict[str, Any] = {"away_since_ms": news.since_ms}
        if news.is_away:
            fields["error"] = news.error
            _log.error(
                "%s is away: turns that need it wait, and one at a time tries it", news.name, extra=fields
            )
        else:
            _log.warning("%s is back: the waiting turns are answered now", news.name, extra=fields)

    def asked(self, batch: Batch, backend: str, outcome: str, seconds: float) -> None:
        """Note that the AI answered, or failed."""
        self.metrics.ai(backend, outcome, seconds)
        if outcome == "ok" and batch.trigger != "direct":  # `ended` is not called for a direct answer
            self._answered_s[_lease(batch)] = seconds

    def replied(self, batch: Batch, reply: ExtractedReply) -> None:
        """Note a reply that will be used. Dropped answers are not noted."""
        if self._recorder:
            self._recorder.reply(batch, reply.text, reply.needs_data_collection, reply.requested_fields)

    def sent(self, batch: Batch, channel: str, outcome: str, seconds: float) -> None:
        """Note that a channel accepted the reply, or failed."""
        self.metrics.send(channel, outcome, seconds)
        if self._recorder and outcome == "ok":
            self._recorder.sent(batch)

    def _tag(self, about: QueueMessage | Batch) -> str:
        return self._tags.of(about.instance_name, about.user_phone)


def _lease(batch: Batch) -> tuple[str, str, int]:
    return batch.instance_name, batch.user_phone, batch.token
