"""Promises to the customer, checked over what the outside saw: answered, once, one at a time, in order, on time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from sim.engine.process_loop import Process
from tests.queue_core.searches.deployment.excuses import Excuses
from tests.queue_core.searches.deployment.network import HALF_TRIP_MS, PROBED_MS
from tests.queue_core.searches.deployment.run import Result
from tests.queue_core.searches.deployment.trace import Ask, Executed, Sending, Work

TAKEOVER_SLACK_MS = 3_500
"""Time on top of `lock_ttl_ms` until a dead worker's turn is taken over: a lost call, the pause after it, a look."""
NOTICED_MS = 1_000
"""Time, on top of a lost call, in which a worker that works again notices that it lost a lease."""
DIRECT_SLACK_MS = 200
CLAIMED_MS = 1_000
"""Time on top of the window until a worker claims what is due."""
CLOCK_STEP_MS = 1_000
"""Time by which Redis's clock may be set back without being noticed."""
HEARD_AGAIN_MS = PROBED_MS + 600
"""Time until a doorbell notices that its connection is dead, and listens again."""
BEGUN_MS = 4_000
"""Time in which a worker that runs and reaches Redis begins what it claimed: the answer may be lost a few times."""


class PromiseBrokenError(AssertionError):
    """Raised when the customer, or the next worker, did not get what was promised; the message has the trace."""


def check(result: Result) -> None:
    """Raise PromiseBrokenError, with the trace of the run, if a promise was broken."""
    broken = [*Promises(result).broken()]
    if broken:
        faults = "\n".join(f"- {fault}" for fault in broken)
        raise PromiseBrokenError(f"{faults}\n\n{result.trace.as_text()}")


class Promises:
    """Checks of one run; each yields a sentence for each breach."""

    def __init__(self, result: Result) -> None:
        self._result = result
        self._trace = result.trace
        self._settings = result.plan.settings
        self._excuses = Excuses(result)
        self._sendings: dict[tuple[str, int], list[Sending]] = defaultdict(list)
        for sending in self._trace.taken():
            for message_id in sending.ids:
                self._sendings[message_id, sending.part].append(sending)

    def broken(self) -> Iterator[str]:
        """Yield every breach."""
        yield from self._trace.errors
        yield from self._answered()
        yield from self._confirmed_before_the_send()
        yield from self._sent_once()
        yield from self._asked_once()
        yield from self._directly_in_need_only()
        yield from self._one_at_a_time()
        yield from self._in_order()
        yield from self._directly_in_order()
        yield from self._nothing_stranded()
        yield from self._taken_over()
        yield from self._claimed_in_time()
        yield from self._begun()
        yield from self._attempts_failed_for_a_reason()

    def _answered(self) -> Iterator[str]:
        """A message that was acknowledged was sent whole, or is a dead letter with a reason."""
        for message_id in self._trace.acknowledged:
            dead = self._result.dead.get(message_id)
            if dead is None and not self._is_sent(message_id):
                yield f"{message_id} was acknowledged, and is neither sent nor a dead letter"
            elif dead is not None and not dead[0]:
                yield f"{message_id} is a dead letter without a reason"
            elif dead is not None and dead[0].startswith("expired"):
                if not self._excuses.to_expire():
                    yield f"{message_id} expired, though no run is as long as that takes"
            elif dead is not None and dead[0].startswith("given up after"):
                yield from self._all_attempts_made(message_id)

    def _all_attempts_made(self, message_id: str) -> Iterator[str]:
        """Yield a breach if none of the messages that shared its last batch had all attempts."""
        claims = {it.token: it for it in self._trace.executed if it.script == "claim"}
        ids = next(it.ids for it in reversed(claims.values()) if message_id in it.ids)
        attempts = max(sum(it in claim.ids for claim in claims.values()) for it in ids)
        if attempts <= self._settings.max_retry_count:
            yield f"{message_id} is a dead letter after only {attempts} attempts"

    def _is_sent(self, message_id: str) -> bool:
        return all((message_id, part) in self._sendings for part in range(1, self._result.plan.parts + 1))

    def _confirmed_before_the_send(self) -> Iterator[str]:
        """Right before a send Redis confirmed the lease; a process that stood still meanwhile asked again."""
        limit_ms = self._settings.lock_ttl_ms / 2 + HALF_TRIP_MS
        for sending in self._trace.sendings:
            if sending.token == 0:
                continue
            confirmed_ms = self._excuses.confirmed_ms(sending)
            if confirmed_ms is None:
                yield f"{' '.join(sending.ids)} was sent without a confirmation of the lease"
            elif sending.began_ms - confirmed_ms > limit_ms and not any(
                began_ms >= confirmed_ms + HALF_TRIP_MS for began_ms, _ in sending.process.frozen_ms
            ):
                yield f"{' '.join(sending.ids)} was sent on a confirmation of {confirmed_ms / 1000:.3f} s"

    def _sent_once(self) -> Iterator[str]:
        """No message is in two replies, or in a reply and a dead letter, without an excuse."""
        for (message_id, part), sendings in self._sendings.items():
            for first, again in pairwise(sendings):
                if not self._may_send_again(message_id, first, again):
                    yield f"part {part} of the reply to {message_id} was sent twice without an excuse"
        for message_id, (reason, dead_ms) in self._result.dead.items():
            if self._is_sent(message_id):
                last = self._sendings[message_id, self._result.plan.parts][-1]
                direct = last.token == 0 and (
                    self._excuses.of_direct_path(message_id, last)
                    or self._excuses.of_unknown_storing(message_id, dead_ms)
                )
                if not direct and not self._excuses.to_send_again(last, dead_ms):
                    yield f"{message_id} was sent, and is a dead letter without an excuse: {reason}"

    def _may_send_again(self, message_id: str, first: Sending, again: Sending) -> bool:
        if first.token == 0 or again.token == 0:
            if first.token == 0 and first.end == "uncertain":
                return True  # without Redis nobody keeps what is unsure: the provider's next delivery is answered
            direct = first if first.token == 0 else again
            return self._excuses.of_direct_path(message_id, direct) is not None
        if self._settings.unsure_sends == "dead-letter":
            return False
        return self._excuses.to_send_again(first, again.began_ms) is not None

    def _asked_once(self) -> Iterator[str]:
        """The AI is asked again about a message only for a reason."""
        by_id: dict[str, list[Ask]] = defaultdict(list)
        for ask in self._trace.asks:
            for message_id in ask.ids:
                by_id[message_id].append(ask)
        for message_id, asks in by_id.items():
            for first, again in pairwise(asks):
                if not self._excuses.to_ask_again(first, again):
                    yield f"the AI was asked again about {message_id}"
                recorded = [
                    it for it in self._trace.of_token(first.token, "record_reply") if it.answer == "held"
                ]
                if again.token > first.token and recorded and recorded[0].at_ms < again.began_ms:
                    yield f"the AI was asked about {message_id}, whose reply was recorded before"

    def _directly_in_need_only(self) -> Iterator[str]:
        """The direct path answers only if its process had trouble with Redis shortly before."""
        limit_ms = 2 * self._settings.redis_deadline_ms + DIRECT_SLACK_MS
        for sending in self._trace.sendings:
            if sending.token == 0 and self._excuses.quiet_ms(sending.process, sending.began_ms) > limit_ms:
                ids = " ".join(sending.ids)
                if sending.part == 1:
                    yield f"{ids} was answered directly, though {sending.process.name} could reach Redis"

    def _one_at_a_time(self) -> Iterator[str]:
        """Handlers and sends of two leases of a conversation do not overlap."""
        by_conversation: dict[str, list[Work]] = defaultdict(list)
        for work in self._trace.works:
            if work.token:
                by_conversation[work.conversation].append(work)
        for conversation, works in by_conversation.items():
            works.sort(key=lambda work: work.began_ms)
            for number, first in enumerate(works):
                for second in works[number + 1 :]:
                    if second.began_ms >= self._end_of(first):
                        continue
                    if first.token != second.token and not self._is_excused(first, second):
                        yield f"two leases of {conversation} were worked on at {second.began_ms / 1000:.3f} s"

    def _end_of(self, work: Work) -> float:
        ended_ms = work.ended_ms if work.ended_ms is not None else self._result.ended_ms
        died_ms = work.process.died_ms
        return ended_ms if died_ms is None else min(ended_ms, died_ms)

    def _is_excused(self, first: Work, second: Work) -> bool:
        """Return True if the older holder could not know yet that it lost its lease."""
        older = min(first, second, key=lambda work: work.token)
        claimed_ms = min(step.at_ms for step in self._trace.of_token(older.token, "claim"))
        if not self._excuses.was_disabled(older.process, claimed_ms, second.began_ms):
            return False
        together_until_ms = min(self._end_of(first), self._end_of(second))
        together_ms = together_until_ms - second.began_ms
        quiet_ms = self._excuses.quiet_ms(older.process, together_until_ms)
        return min(together_ms, quiet_ms) < self._settings.redis_deadline_ms + NOTICED_MS

    def _in_order(self) -> Iterator[str]:
        """Messages are answered in the order in which they were stored, unless the direct path answers."""
        first_taken: dict[str, Sending] = {}
        for sending in self._trace.taken():
            for message_id in sending.ids:
                first_taken.setdefault(message_id, sending)
        by_conversation: dict[str, list[str]] = defaultdict(list)
        for step in self._trace.executed:
            if step.script == "enqueue" and step.answer == "queued":
                (message_id,) = step.ids
                if message_id in first_taken and first_taken[message_id].token:
                    by_conversation[step.conversation].append(message_id)
        for conversation, ids in by_conversation.items():
            for earlier, later in pairwise(ids):
                if _taken_ms(first_taken[later]) < _taken_ms(first_taken[earlier]):
                    yield f"{later} of {conversation} was answered before {earlier}"

    def _directly_in_order(self) -> Iterator[str]:
        """A web process that stored a message answers none after it directly, while the first may still wait."""
        answered_ms = self._settings.window_ms + self._settings.lock_ttl_ms
        for sending in self._trace.sendings:
            if sending.token or sending.part > 1:
                continue
            (message_id,) = sending.ids
            began_ms = max(
                it.at_ms
                for it in self._trace.deliveries
                if it.message_id == message_id
                and it.process is sending.process
                and it.at_ms <= sending.began_ms
            )
            for stored in self._trace.acknowledgements:
                is_before = stored.process is sending.process and stored.at_ms < began_ms
                if (
                    is_before
                    and stored.answer == "queued"
                    and stored.message_id != message_id
                    and self._conversation_of(stored.message_id) == sending.conversation
                    and sending.began_ms - stored.at_ms < answered_ms
                    and not self._is_over(stored.message_id, sending.began_ms)
                ):
                    yield f"{message_id} was answered directly, past {stored.message_id}"

    def _conversation_of(self, message_id: str) -> str:
        return f"bot:{self._result.plan.messages[int(message_id[1:]) - 1].conversation}"

    def _is_over(self, message_id: str, at_ms: float) -> bool:
        """Return True if a message was answered, or given up, before a time."""
        dead_ms = self._result.dead.get(message_id, ("", at_ms))[1]
        taken = self._sendings.get((message_id, 1), [])
        return dead_ms < at_ms or any(_taken_ms(sending) <= at_ms for sending in taken)

    def _nothing_stranded(self) -> Iterator[str]:
        if not self._result.is_at_rest:
            unfinished = set(self._trace.acknowledged) - set(self._result.dead)
            waiting = sorted(it for it in unfinished if not self._is_sent(it))
            yield f"not at rest at {self._result.ended_ms / 1000:.1f} s: {waiting} wait; in Redis: {self._result.left}"

    def _taken_over(self) -> Iterator[str]:
        """A dead worker's turn is taken over by a worker that lives within `lock_ttl_ms` of Redis being reachable.

        When Redis's clock is set, nobody knows how old a lease is: it lasts for one more at most.
        """
        for claim in [it for it in self._trace.executed if it.script == "claim"]:
            died_ms = claim.process.died_ms
            if died_ms is None or claim.process.stopped_ms is not None or died_ms < claim.at_ms:
                continue
            if self._next_step(claim, claim.at_ms) <= died_ms:
                continue
            after = self._next_step(claim, died_ms)
            if self._result.plan.concurrency == 1 or self._trace.had_to_wait(died_ms, after):
                continue  # the worker that lives may have its slot in use, or the turn waits for the AI or the channel
            limit_ms = self._settings.lock_ttl_ms + TAKEOVER_SLACK_MS
            for clock in self._result.plan.clock_steps:
                if claim.at_ms <= clock.at_ms <= after:
                    limit_ms += self._settings.lock_ttl_ms
            for worker in self._result.processes:
                ready_ms = self._ready_ms(worker, after) if worker is not claim.process else 0.0
                if min(ready_ms, after - died_ms) > limit_ms:
                    yield (
                        f"{claim.conversation} was held for a dead worker from {died_ms / 1000:.3f} s "
                        f"to {after / 1000:.3f} s, though {worker.name} could have taken it over"
                    )
                    break

    def _ready_ms(self, worker: Process, at_ms: float) -> float:
        """Return for how long, up to a time, a worker could claim whatever became due; passes have their own times."""
        if not worker.name.startswith("worker") or worker.makes_passes or _gone_ms(worker, at_ms) < at_ms:
            return 0.0
        return self._excuses.quiet_ms(worker, at_ms)

    def _claimed_in_time(self) -> Iterator[str]:
        """A message that begins a turn is claimed when the turn is due, if a worker can.

        When Redis's clock is set back, nobody knows how long a message waited; when it is set forward, workers look at
        the times that they knew before. So a message waits for one more window or lease at most.
        """
        if self._result.plan.concurrency == 1:
            return
        window_ms = self._settings.window_ms
        for step in self._trace.executed:
            if step.script == "enqueue" and step.waiting == 1:
                claims = (
                    it.at_ms
                    for it in self._trace.executed
                    if it.at_ms >= step.at_ms
                    and it.conversation == step.conversation
                    and it.script in ("claim", "withdraw")
                )
                claimed_ms = min(claims, default=self._result.ended_ms)
                ready_ms = max(self._ready_ms(worker, claimed_ms) for worker in self._result.processes)
                if self._trace.had_to_wait(step.at_ms, claimed_ms):
                    continue
                limit_ms = window_ms + CLAIMED_MS
                for clock in self._result.plan.clock_steps:
                    if clock.at_ms <= claimed_ms:
                        longest_ms = max(window_ms, self._settings.lock_ttl_ms) + CLOCK_STEP_MS
                        limit_ms += min(abs(clock.by_ms), longest_ms)
                if min(ready_ms - HEARD_AGAIN_MS, claimed_ms - step.at_ms) > limit_ms:
                    yield f"{step.ids[0]} waited from {step.at_ms / 1000:.3f} s to {claimed_ms / 1000:.3f} s"

    def _begun(self) -> Iterator[str]:
        """A worker soon begins each turn that it claimed."""
        claims = {it.token: it for it in reversed(self._trace.executed) if it.script == "claim"}
        for token, claim in claims.items():
            if self._excuses.has_forgotten_claims(claim.at_ms):
                continue
            signs = [work.began_ms for work in self._trace.works if work.token == token]
            signs += [it.at_ms for it in self._trace.executed if it.token == token and it.script != "claim"]
            signs += [at_ms for at_ms, _, _, refused in self._trace.call_faults if refused == token]
            next_claims = [
                it.at_ms
                for it in self._trace.executed
                if it.script == "claim" and it.conversation == claim.conversation and it.token > token
            ]
            begun_ms = min([*signs, *next_claims], default=self._result.ended_ms)
            quiet_ms = self._excuses.quiet_ms(claim.process, begun_ms)
            if (
                _gone_ms(claim.process, begun_ms) >= begun_ms
                and min(quiet_ms, begun_ms - claim.at_ms) > BEGUN_MS
            ):
                yield (
                    f"{claim.conversation} was claimed by {claim.process.name} at {claim.at_ms / 1000:.3f} s "
                    f"and not begun until {begun_ms / 1000:.3f} s"
                )

    def _attempts_failed_for_a_reason(self) -> Iterator[str]:
        """An attempt counts only if something in it failed.

        After the clock was set back, the last success of a backend may seem to be later than it was.
        """
        if any(step.by_ms < 0 for step in self._result.plan.clock_steps):
            return
        by_conversation: dict[str, dict[int, Executed]] = defaultdict(dict)
        for step in self._trace.executed:
            if step.script == "claim":
                by_conversation[step.conversation].setdefault(step.token, step)
        for conversation, claims in by_conversation.items():
            for first, again in pairwise(claims.values()):
                if again.attempt > first.attempt and not self._excuses.of_attempt(first, again.at_ms):
                    yield f"attempt {first.attempt} on {conversation} counts as failed without a reason"

    def _next_step(self, claim: Executed, from_ms: float) -> float:
        """Return the first time from then on at which a turn was claimed again or given up, or its lease ended."""
        steps = [
            it.at_ms
            for it in self._trace.executed
            if it.conversation == claim.conversation
            and (
                (it.script == "claim" and it.token != claim.token)
                or (it.token == claim.token and _is_end(it))
            )
        ]
        steps += [self._result.dead[it][1] for it in claim.ids if it in self._result.dead]
        return min((at_ms for at_ms in steps if at_ms >= from_ms), default=self._result.ended_ms)


def _is_end(step: Executed) -> bool:
    return step.script in ("complete", "fail") or step.answer == "superseded"


def _taken_ms(sending: Sending) -> float:
    assert sending.taken_ms is not None
    return sending.taken_ms


def _gone_ms(process: Process, at_ms: float) -> float:
    """Return when a process died or began to stop, at most `at_ms`."""
    return min(time_ms for time_ms in (process.died_ms, process.stopped_ms, at_ms) if time_ms is not None)
