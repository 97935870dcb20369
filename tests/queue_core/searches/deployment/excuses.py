"""Excuses: events that allow a reply to be sent twice, or the AI to be asked again.

A process that runs and reaches Redis has none, and an outage of Redis for all is none. If a process stood still, or it
alone was cut off from Redis, the others cannot tell it from a dead one: that is an excuse.
"""

from __future__ import annotations

import math

from sim.engine.process_loop import Process
from tests.queue_core.searches.deployment.network import ALL_PARTS, HALF_TRIP_MS
from tests.queue_core.searches.deployment.run import Result
from tests.queue_core.searches.deployment.trace import Ask, Executed, Sending, Work

SETTLED_MS = 4_000
"""Time in which an intake that reaches Redis has recorded what it answered: a second of sleep, a call, its retry."""
GIVING_UP_SLACK_MS = 3_000
"""Part of a lease that a pass leaves unused when it gives its turns up."""
LOST_CALL_MS = 1_600
"""Time for which the loss of one call may keep a process busy: its deadline."""


class Excuses:
    """Reader of a run's trace, which finds the excuses of its processes."""

    def __init__(self, result: Result) -> None:
        self._result = result
        self._trace = result.trace
        self._plan = result.plan
        self._settings = result.plan.settings

    # Troubles of processes.

    def was_disabled(self, process: Process, from_ms: float, to_ms: float) -> bool:
        """Return True if between two times a process stood still, alone was cut off from Redis, died or gave up."""
        return (
            self._stood_still(process, from_ms, to_ms)
            or self._away_ms((process.name,), from_ms, to_ms) > 0
            or (process.makes_passes and self._has_given_up(process, from_ms, to_ms))
        )

    @staticmethod
    def _stood_still(process: Process, from_ms: float, to_ms: float) -> bool:
        return (process.died_ms is not None and process.died_ms <= to_ms) or any(
            _overlap(span, (from_ms, to_ms)) for span in process.frozen_ms
        )

    def _has_given_up(self, process: Process, from_ms: float, to_ms: float) -> bool:
        """Return True if Redis was away for almost a lease long, so that a pass leaves its turns to others."""
        away_ms = self._away_ms(("", process.name), from_ms, to_ms)
        return away_ms >= self._settings.lock_ttl_ms - GIVING_UP_SLACK_MS

    def _away_ms(self, names: tuple[str, ...], from_ms: float, to_ms: float) -> float:
        """Return for how long, between two times, these could not reach Redis: one process by name, or "" for all."""
        return sum(
            max(0.0, min(outage.at_ms + outage.for_ms, to_ms) - max(outage.at_ms, from_ms))
            for outage in self._plan.outages
            if outage.process in names
        )

    def quiet_ms(self, process: Process, at_ms: float) -> float:
        """Return for how long, up to a time, the process ran and reached Redis without any fault."""
        troubles: list[tuple[float, float]] = [
            (process.started_ms, process.started_ms),
            *process.frozen_ms,
            *(
                (outage.at_ms, outage.at_ms + outage.for_ms)
                for outage in self._plan.outages
                if outage.process in ("", process.name)
            ),
            *((at, at + LOST_CALL_MS) for at, victim, _, _ in self._trace.call_faults if victim is process),
        ]
        ends = (min(ended_ms, at_ms) for began_ms, ended_ms in troubles if began_ms <= at_ms)
        return at_ms - max(ends, default=at_ms)

    def has_forgotten_claims(self, at_ms: float) -> bool:
        """Return True if Redis may have leased turns to a late copy of a claim that it had forgotten.

        A step of its clock forward by the time for which it remembers a worker's last claim lets that memory expire.
        """
        is_far = any(
            step.at_ms <= at_ms and step.by_ms >= self._settings.queue_ttl_s * 1000
            for step in self._plan.clock_steps
        )
        return is_far and any(
            lost.script == "claim" and lost.kind in ("late", "twice") for lost in self._plan.lost_calls
        )

    def of_attempt(self, claim: Executed, again_ms: float) -> bool:
        """Return True if something happened for which the attempt that began with a claim may count as failed."""
        token = claim.token
        if self.has_forgotten_claims(claim.at_ms):
            return True
        if any(self._served_another(work) for work in self._trace.works if work.token == token):
            return True
        return (
            self.was_disabled(claim.process, claim.at_ms, again_ms)
            or any(ask.end == "failed" for ask in self._trace.asks if ask.token == token)
            or any(it.end in ("refused", "uncertain") for it in self._trace.sendings if it.token == token)
            or any(refused == token for _, _, _, refused in self._trace.call_faults)
        )

    def _served_another(self, work: Work) -> bool:
        """Return True if a backend was away for a call, but served another conversation meanwhile.

        The time begins with the last failed attempt on this conversation, or else with the call.
        """
        if not isinstance(work, Ask | Sending) or work.end != "away":
            return False
        scripts = ("record_reply", "complete") if isinstance(work, Ask) else ("record_sent", "complete")
        failed_ms = (
            step.at_ms
            for step in self._trace.executed
            if step.script == "fail" and step.conversation == work.conversation and step.at_ms < work.began_ms
        )
        began_ms = max(failed_ms, default=work.began_ms)
        known_ms = min((step.at_ms for step in self._trace.of_token(work.token, "fail")), default=math.inf)
        return any(
            step.script in scripts
            and step.conversation != work.conversation
            and step.answer in ("held", "superseded")
            and step.at_ms >= began_ms - 2 * HALF_TRIP_MS
            for step in self._trace.executed
            if step.at_ms <= known_ms
        )

    # Replies that were sent twice.

    def to_send_again(self, first: Sending, again_ms: float) -> str | None:
        """Return the excuse to send a part once more after `first`, if there is one."""
        if first.token == 0:
            return None
        if first.end == "uncertain":
            return "the send API did not say whether it was sent"
        confirmed_ms = self.confirmed_ms(first)
        if confirmed_ms is None:
            return None
        noted_ms = min((step.at_ms for step in self._notes(first)), default=math.inf)
        if self.was_disabled(first.process, confirmed_ms, min(noted_ms, again_ms)):
            return "its process died, stood still or was cut off before it was noted"
        if first.end == "cancelled" and first.process.stopped_ms is not None:
            return "its process was stopped while it sent"
        return None

    def confirmed_ms(self, sending: Sending) -> float | None:
        """Return the time at which Redis last confirmed the lease of a sending before it began."""
        confirmations = (
            step.at_ms
            for step in self._trace.of_token(sending.token, "record_reply", "record_sent")
            if step.answer == "held" and step.at_ms <= sending.began_ms
        )
        return max(confirmations, default=None)

    def _notes(self, sending: Sending) -> list[Executed]:
        return [
            step
            for step in self._trace.of_token(sending.token, "complete", "record_sent")
            if step.answer in ("held", "settled")
            and (step.script == "complete" or step.parts == ALL_PARTS or step.parts >= sending.part)
        ]

    def to_expire(self) -> bool:
        """Return True if Redis's clock was set far forward, and the next claim may be a worker's first, or a late one.

        Such a claim cannot tell the step from time in which no worker ran.
        """
        expires_ms = self._settings.queue_ttl_s * 1000
        is_far = any(step.by_ms >= expires_ms for step in self._plan.clock_steps)
        claims = [lost for lost in self._plan.lost_calls if lost.script == "claim"]
        return is_far and bool(claims or self._plan.process_faults)

    def of_unknown_storing(self, message_id: str, dead_ms: float) -> bool:
        """Return True if a worker gave up a message before the web process that answered it could tell Redis.

        The web process had not heard that it stored the message.
        """
        return any(
            step.script == "withdraw" and step.ids == (message_id,) and step.at_ms >= dead_ms
            for step in self._trace.executed
        )

    def of_direct_path(self, message_id: str, direct: Sending) -> str | None:
        """Return the excuse of a message that was answered on the direct path and once more."""
        deliveries = {
            it.process.name: it.process for it in self._trace.deliveries if it.message_id == message_id
        }
        processes = {id(it.process) for it in self._trace.deliveries if it.message_id == message_id}
        if len(processes) > 1:
            return f"it was delivered to several processes: {', '.join(deliveries)}"
        withdrawn_ms = min(
            (
                step.at_ms
                for step in self._trace.executed
                if step.script == "withdraw" and step.ids == (message_id,)
            ),
            default=math.inf,
        )
        asked_ms = direct.began_ms - self._settings.redis_deadline_ms - 600
        if self._stood_still(direct.process, asked_ms, withdrawn_ms):
            return "its process died or stood still between the last question to Redis and the record"
        tokens = {
            step.token for step in self._trace.executed if step.script == "claim" and message_id in step.ids
        }
        records = [
            step.at_ms
            for token in tokens
            for step in self._trace.of_token(token, "record_reply")
            if step.answer == "held"
        ]
        sent_ms = direct.ended_ms or math.inf
        if any(
            at_ms <= withdrawn_ms
            and (at_ms <= sent_ms + SETTLED_MS or self.quiet_ms(direct.process, at_ms) < SETTLED_MS)
            for at_ms in records
        ):
            return "a worker had a reply before its process reached Redis"
        return None

    # Calls of the AI.

    def to_ask_again(self, first: Ask, again: Ask) -> str | None:
        """Return the excuse to ask the AI about a message once more."""
        if first.token == 0 or again.token == 0:
            return "the direct path"
        older = min(first, again, key=lambda ask: ask.token)
        claimed_ms = min(step.at_ms for step in self._trace.of_token(older.token, "claim"))
        records = self._trace.of_token(first.token, "record_reply")
        excuses = {
            "the AI failed": first.end in ("failed", "away"),
            "superseded": any(step.answer == "superseded" for step in records),
            "Redis refused a step of its lease": any(it[3] == first.token for it in self._trace.call_faults),
            "its process died, stood still or was cut off": self.was_disabled(
                older.process, claimed_ms, again.began_ms
            ),
            "its process was stopped": first.end == "cancelled" and first.process.stopped_ms is not None,
        }
        return next((excuse for excuse, holds in excuses.items() if holds), None)


def _overlap(first: tuple[float, float], second: tuple[float, float]) -> bool:
    return first[0] <= second[1] and second[0] <= first[1]
