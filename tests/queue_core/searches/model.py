"""Promises of the queue in plain Python: the model that the real queue is compared with.

It knows nothing of lists, locks or sorted sets. A message has a place and a number of attempts; a conversation has at
most one lease and one time at which it needs attention. Each method returns what the real queue must answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from queue_core import LeaseLostError, QueueSettings, policy
from queue_core.redis.scripts.answers import SurveyAnswer
from tests.queue_core.searches.changes import ChangeKind, Changes, Edit, Note

TEXT = "…"
"""Text of every message that is not edited."""
Name = tuple[str, str]
"""A conversation: instance and phone."""
DROPPED_AT_ONCE = 50
"""Number of first messages whose changes `drop_older` carries out."""
Reason = Literal["late", "expired", "attempts", "told"]
"""Only reasons for which a message may become a dead letter."""


@dataclass(slots=True, eq=False)
class Unfinished:
    """A message that is not finished."""

    id: str
    provider_ms: int
    added_ms: int
    text: str = TEXT
    target: str = ""
    """Id of the message that this one edits."""
    attempts: int = 0
    """Number of attempts that it was part of since it was added."""
    edited_ms: int = 0
    """Provider's time of the edit whose text the message has."""


@dataclass(slots=True)
class Lease:
    """Lease on the first `size` messages of a conversation. `token` is 0 until the queue has said it."""

    processor_id: str
    claim_id: int
    size: int
    due_ms: int
    expires_ms: int
    token: int = 0


@dataclass(slots=True)
class Reply:
    """A recorded reply to the first `size` messages."""

    text: str
    size: int
    state: str = "unsure"
    parts: int = 0


@dataclass(slots=True)
class Conversation:
    """Work that is left for one user."""

    name: Name
    messages: list[Unfinished] = field(default_factory=list)
    lease: Lease | None = None
    reply: Reply | None = None
    attention_ms: int | None = None
    """Due time, next look at the lease, or end of the backoff; None when nothing waits."""
    latest_ms: int | None = None
    """Latest due time of a superseded turn."""
    answered: list[Unfinished] = field(default_factory=list)
    """Messages in flight that were answered without the queue."""
    changes: Changes = field(default_factory=Changes)
    settled_token: int = 0
    """Token of the last lease that was ended. Ending it once more is not an error."""

    @property
    def attempts(self) -> int:
        """Attempts at the head of the conversation, the running one included."""
        return self.messages[0].attempts if self.messages else 0


@dataclass(frozen=True, slots=True)
class Dead:
    """A message given up on."""

    name: Name
    id: str
    provider_ms: int
    reason: Reason
    attempts: int
    reply: str | None
    text: str = TEXT
    target: str = ""
    edited_ms: int = 0


@dataclass(frozen=True, slots=True)
class ExpectedBatch:
    """A batch that a claim must return."""

    name: Name
    ids: tuple[str, ...]
    texts: tuple[str, ...]
    attempt: int
    due_ms: int
    reply: str | None
    send_state: str
    parts_sent: int


class Contract:
    """Model of the queue, with all conversations. `now_ms` is moved by the caller."""

    def __init__(self, settings: QueueSettings, now_ms: int) -> None:
        self.settings = settings
        self.now_ms = now_ms
        self.conversations: dict[Name, Conversation] = {}
        self.seen: dict[tuple[Name, str], int] = {}
        self.acknowledged: set[tuple[Name, str]] = set()
        self.deleted: set[tuple[Name, str]] = set()
        """Messages that their user deleted."""
        self.archive: dict[Name, list[tuple[int, str]]] = {}
        self.edited_ms: dict[tuple[Name, str], int] = {}
        """Provider's times of the edits whose texts finished messages have."""
        self.dead: list[Dead] = []
        self.gone: set[tuple[Name, str]] = set()
        """Messages dropped by command, or finished so long ago that they are no longer kept."""
        self.spared = 0
        """Number of leases that had ended at the last claim, and that it left to their holders."""
        self._last_claim: dict[str, tuple[int, list[Conversation]]] = {}
        self._looked_ms: int | None = None
        self._looked_since_ms = 0
        self.is_on_hold = False
        self._counts_from_ms = 0

    # The rule.

    def rule_ms(self, conversation: Conversation) -> int:
        """Return the due time of a conversation that nobody works on, by its waiting messages."""
        due_ms = policy.due_at_ms(
            self.settings,
            oldest_ms=conversation.messages[0].added_ms,
            newest_ms=conversation.messages[-1].added_ms,
            waiting=len(conversation.messages),
            now_ms=self.now_ms,
        )
        return due_ms if conversation.latest_ms is None else min(due_ms, conversation.latest_ms)

    def survey(self) -> SurveyAnswer:
        """Return the counts that the health report must show."""
        active = [it for it in self.conversations.values() if it.messages]
        leases = [it.lease for it in active if it.lease]
        waiting = [message for it in active for message in it.messages[it.lease.size if it.lease else 0 :]]
        return SurveyAnswer(
            now_ms=self.now_ms,
            conversations=len(active),
            waiting=len(waiting),
            in_flight=sum(lease.size for lease in leases),
            oldest_added_ms=min((message.added_ms for message in waiting), default=None),
            expired_leases=sum(lease.expires_ms < self.now_ms for lease in leases),
            damaged=0,
        )

    # Webhooks.

    def enqueue(self, name: Name, message_id: str, provider_ms: int) -> tuple[str, int, int]:
        """Return status, time added and messages waiting."""
        first = self.seen.get((name, message_id))
        if first is not None:
            return "duplicate", first, 0
        self.seen[name, message_id] = self.now_ms
        self.acknowledged.add((name, message_id))
        age_ms = self.now_ms - provider_ms
        too_old = provider_ms > 0 and age_ms > self.settings.dedupe_ttl_s * 1000
        if too_old and self.settings.late_messages == "dead-letter":
            self.dead.append(Dead(name, message_id, provider_ms, "late", 0, None))
            return "late", self.now_ms, 0
        waiting = self._append(name, message_id, provider_ms)
        return "queued", self.now_ms, waiting

    def change(self, name: Name, what: ChangeKind, target: str, change: Edit) -> tuple[str, int, int]:
        """Carry out an edit, or a deletion with the id and time of `change`; return status, time added, waiting."""
        first = self.seen.get((name, change.id))
        if first is not None:
            return "duplicate", first, 0
        self.seen[name, change.id] = self.now_ms
        self.acknowledged.add((name, change.id))
        conversation = self.conversations.setdefault(name, Conversation(name))
        changes = conversation.changes
        if changes.is_overruled(what, change.ms, target):
            self._archive(name, [change.id])
            return "changed", self.now_ms, len(conversation.messages)
        if what == "deletion":
            return self._delete(conversation, target, change)
        target_id = changes.id_of(target)
        edited = [(at, it) for at, it in enumerate(conversation.messages) if it.id == target_id]
        text_ms = edited[-1][1].edited_ms if edited else self._finished_text_ms(name, target_id)
        if 0 < change.ms < text_ms:
            self._archive(name, [change.id])
            return "changed", self.now_ms, len(conversation.messages)
        states = [self._state(conversation, at) for at, _ in edited]
        if states != ["open"]:
            return self._append_change(conversation, what, target, change)
        self._archive(name, changes.keep(target_id, change))
        return "changed", self.now_ms, len(conversation.messages)

    def _delete(self, conversation: Conversation, target: str, change: Edit) -> tuple[str, int, int]:
        """Carry out a deletion on a message and its edits."""
        self.deleted.add((conversation.name, target))
        states = []
        for at, message in enumerate(conversation.messages):
            if target in (message.id, message.target):
                states.append(self._state(conversation, at))
                if states[-1] == "open":
                    self._archive(conversation.name, conversation.changes.keep(message.id, None))
        if "read" in states:
            return self._append_change(conversation, "deletion", target, change)
        conversation.changes.notes[target] = Note("deletion", change.ms, "")
        self._archive(conversation.name, [change.id])
        return "changed", self.now_ms, len(conversation.messages)

    def _state(self, conversation: Conversation, at: int) -> Literal["replied", "read", "open"]:
        """Return whether a change can still reach a message. Note if its turn must be answered again."""
        if at < (conversation.reply.size if conversation.reply else 0):
            return "replied"
        if conversation.lease and at < conversation.lease.size:
            if not self.now_ms - conversation.messages[0].added_ms < self.settings.supersede_ms:
                return "read"
            conversation.changes.is_reply_outdated = True
        return "open"

    def _append_change(
        self, conversation: Conversation, what: ChangeKind, target: str, change: Edit
    ) -> tuple[str, int, int]:
        """Make a change a message of its own, unless it is too late for that."""
        edited = target if what == "edit" else ""
        too_old = change.ms > 0 and self.now_ms - change.ms > self.settings.dedupe_ttl_s * 1000
        if too_old and self.settings.late_messages == "dead-letter":
            self.dead.append(
                Dead(conversation.name, change.id, change.ms, "late", 0, None, change.text, edited)
            )
            conversation.changes.notes[target] = Note(what, change.ms, "")
            return "late", self.now_ms, 0
        conversation.changes.notes[target] = Note(what, change.ms, change.id)
        waiting = self._append(conversation.name, change.id, change.ms, change.text, edited)
        return "queued", self.now_ms, waiting

    def _release(self, conversation: Conversation, messages: Iterable[Unfinished]) -> None:
        """Make edits new messages, since their messages finished with the old text."""
        changes = conversation.changes
        for message in messages:
            edit = changes.beside.pop(message.id, None)
            if edit and changes.is_deleted(edit.id, edit.target):
                self._archive(conversation.name, [edit.id])
            elif edit:
                conversation.messages.append(
                    Unfinished(edit.id, edit.ms, self.now_ms, edit.text, edit.target)
                )
                changes.notes[message.id] = Note("edit", edit.ms, edit.id)

    def _apply(self, conversation: Conversation, limit: int) -> None:
        """Carry out changes of the first messages that no recorded reply answers."""
        changes, first = conversation.changes, conversation.reply.size if conversation.reply else 0
        while gone := self._apply_to(conversation, conversation.messages[first : first + limit]):
            if conversation.lease:
                conversation.lease.size -= sum(
                    message in gone for message in conversation.messages[: conversation.lease.size]
                )
            conversation.messages = [message for message in conversation.messages if message not in gone]
        changes.is_reply_outdated = False
        if len(conversation.messages) <= first + limit:
            assert not any(changes.beside.values()), "an edit waits for a message that is not there"
            changes.beside = {}

    def _apply_to(self, conversation: Conversation, messages: list[Unfinished]) -> list[Unfinished]:
        """Carry out changes of messages; return those that nobody reads."""
        changes, gone = conversation.changes, []
        for message in messages:
            note = changes.note_on(message.id, message.target)
            is_deleted = changes.is_deleted(message.id, message.target)
            edit, is_kept = changes.beside.get(message.id), message.id in changes.beside
            if edit:
                self._archive(conversation.name, [edit.id])
            if edit and not is_deleted:
                message.text, message.target, message.edited_ms = edit.text, edit.target, edit.ms
            elif is_kept or note:
                gone.append(message)
                self._archive(conversation.name, [message.id])
                if note and is_deleted and note.stands_for and (edit or not is_kept):
                    changes.beside.setdefault(note.stands_for, None)
            changes.beside.pop(message.id, None)
        return gone

    def withdraw(self, name: Name, message_id: str) -> str:
        """Return "marked", "withdrawn" or "in flight"."""
        self.seen.setdefault((name, message_id), self.now_ms)
        conversation = self.conversations.get(name)
        for at, message in enumerate(conversation.messages if conversation else ()):
            assert conversation is not None
            if message.id == message_id:
                answered = conversation.reply.size if conversation.reply else 0
                if message.attempts > 0 or at < answered:
                    if conversation.reply:
                        return "in flight"
                    if message not in conversation.answered:
                        conversation.answered.append(message)
                    return "withdrawn"
                del conversation.messages[at]
                self._release(conversation, [message])
                self._finish(name, [message])
                if conversation.attempts == 0 and conversation.reply is None:
                    self._schedule_rest(conversation)
                    conversation.latest_ms = conversation.latest_ms if conversation.messages else None
                return "withdrawn"
        return "marked"

    # Workers.

    def due(self, only: Name | None = None) -> list[Conversation]:
        """Return conversations that need attention now, longest overdue first, then by encoded name."""
        due = [
            conversation
            for conversation in self.conversations.values()
            if conversation.attention_ms is not None
            and conversation.attention_ms <= self.now_ms
            and only in (None, conversation.name)
        ]
        return sorted(due, key=lambda it: (it.attention_ms, ":".join(it.name)))

    def claim(
        self,
        processor_id: str,
        claim_id: int,
        limit: int,
        only: Name | None = None,
        kept: Iterable[tuple[Name, int]] = (),
        *,
        is_repeated: bool = False,
    ) -> tuple[list[ExpectedBatch], int]:
        """Return the batches, in order, and the number of new dead letters.

        After a claim that is repeated, the time before it does not count as waiting.
        """
        self.spared = 0
        self._look(is_repeated=is_repeated)
        for name, token in kept:
            lease = self.conversations[name].lease
            if lease and lease.token == token:
                self._renew(self.conversations[name])
        last_id, leased = self._last_claim.get(processor_id, (0, []))
        if last_id == claim_id:
            still = [it for it in leased if it.lease and it.lease.claim_id == claim_id]
            for conversation in still:  # the worker that repeats its claim begins only now
                self._renew(conversation)
            return [self._expected_batch(conversation) for conversation in still], 0
        leased = []
        batches: list[ExpectedBatch] = []
        dead_before = len(self.dead)
        for _ in range(0 if self.is_on_hold else 16):
            due = self.due(only)[: limit - len(leased)]
            held = [conversation for conversation in due if self._is_held(conversation)]
            for conversation in due:
                due_ms = conversation.attention_ms or 0
                if conversation in held:
                    continue
                conversation.lease = None
                self._apply(conversation, self.settings.max_batch)
                self._finish_answered(conversation)
                self._give_up_worn_out_or_expired(conversation)
                if self._leasable(conversation):
                    self._lease(conversation, processor_id, claim_id, due_ms)
                    batches.append(self._expected_batch(conversation))
                    leased.append(conversation)
                    self._last_claim[processor_id] = (claim_id, leased)
            if not held:
                break
        return batches, len(self.dead) - dead_before

    def _look(self, *, is_repeated: bool) -> None:
        """Note a claim. Claims at most a quarter of a lease apart are without a gap."""
        gap_ms = self.settings.lock_ttl_ms // 4
        if self._looked_ms is None or self.now_ms - self._looked_ms > gap_ms:
            self._looked_since_ms = self.now_ms
        self._looked_ms = self.now_ms
        if is_repeated:
            self._counts_from_ms = self.now_ms

    def _is_held(self, conversation: Conversation) -> bool:
        """Return True if the holder may still renew; the next look comes after at most an eighth of a lease."""
        if conversation.lease is None:
            return False
        expires_ms = conversation.lease.expires_ms
        free_ms = max(expires_ms, self._looked_since_ms + self.settings.grace_ms)
        if free_ms <= self.now_ms:
            return False
        self.spared += expires_ms <= self.now_ms
        conversation.attention_ms = min(free_ms, self.now_ms + -(-self.settings.lock_ttl_ms // 8))
        return True

    def extend(self, name: Name, token: int) -> None:
        """Renew a lease. Raises LeaseLostError, as all steps of a holder."""
        conversation = self._held(name, token)
        self._renew(conversation)

    def record_reply(self, name: Name, token: int, text: str) -> bool:
        """Keep the reply to the leased messages; return False if it is superseded."""
        if self.conversations[name].settled_token == token:
            return False
        conversation = self._held(name, token)
        assert conversation.lease is not None
        size = conversation.lease.size
        is_changed = conversation.answered or conversation.changes.is_reply_outdated
        if is_changed and conversation.reply is None:
            self._finish_answered(conversation)
            conversation.changes.is_reply_outdated = False
            self._take_back(conversation, token)
            self._schedule_rest(conversation)
            conversation.latest_ms = conversation.latest_ms if conversation.messages else None
            return False
        oldest_ms = conversation.messages[0].added_ms
        if (
            conversation.reply is None
            and size < min(len(conversation.messages), self.settings.max_batch)
            and conversation.messages[size].added_ms - oldest_ms < self.settings.supersede_ms
        ):
            self._take_back(conversation, token)
            conversation.latest_ms = oldest_ms + self.settings.supersede_ms
            self._schedule_rest(conversation)
            return False
        parts, state = (conversation.reply.parts, conversation.reply.state) if conversation.reply else (0, "")
        if state != "sent":
            conversation.reply = Reply(text, size, parts=parts)
        return True

    def record_sent(self, name: Name, token: int, parts: int | None) -> None:
        """Note that parts of the reply, or all of it, were sent; attempts are counted anew."""
        conversation = self._held(name, token)
        assert conversation.lease is not None
        for at, message in enumerate(conversation.messages):
            message.attempts = int(at < conversation.lease.size)
        reply = conversation.reply
        if reply and parts is None:
            reply.state = "sent"
        elif reply and parts is not None and reply.state != "sent" and parts >= reply.parts:
            reply.state, reply.parts = "unsure", parts

    def complete(self, name: Name, token: int) -> None:
        """Finish the leased messages."""
        conversation = self.conversations[name]
        if conversation.settled_token == token:
            return
        conversation = self._held(name, token)
        assert conversation.lease is not None
        size = conversation.lease.size
        self._release(conversation, conversation.messages[:size])
        self._finish(name, conversation.messages[:size])
        del conversation.messages[:size]
        conversation.changes.is_reply_outdated = False
        self._end(conversation, token)
        conversation.reply = None
        conversation.latest_ms = None
        conversation.answered = []
        for message in conversation.messages:
            message.attempts = 0
        self._forget_old(name)
        self._schedule_rest(conversation)

    def fail(self, name: Name, token: int, *, dead: bool, not_sent: bool, backoff_ms: int) -> int:
        """Return the number of messages that became dead letters."""
        conversation = self.conversations[name]
        if conversation.settled_token == token:
            return 0
        conversation = self._held(name, token)
        assert conversation.lease is not None
        if conversation.changes.is_reply_outdated:
            self._apply(conversation, conversation.lease.size)
        self._finish_answered(conversation)
        size = conversation.lease.size
        self._end(conversation, token)
        if not conversation.messages:
            conversation.attention_ms = conversation.latest_ms = None
            return 0
        if not_sent and conversation.reply:
            conversation.reply.state = "not sent"
        given_up = 0
        if dead:
            given_up = self._give_up(conversation, size, "told")
        elif conversation.attempts > self.settings.max_retry_count:
            given_up = self._give_up(conversation, self._worn_out(conversation), "attempts")
        if conversation.attempts:
            conversation.attention_ms = self.now_ms + backoff_ms
        else:
            self._schedule_rest(conversation)
        return given_up

    def release(self, name: Name, token: int, *, not_sent: bool) -> None:
        """Hand a batch back; the attempt does not count."""
        conversation = self.conversations[name]
        if conversation.settled_token == token:
            return
        conversation = self._held(name, token)
        assert conversation.lease is not None
        if conversation.changes.is_reply_outdated:
            self._apply(conversation, conversation.lease.size)
        self._finish_answered(conversation)
        self._take_back(conversation, token)
        if not conversation.messages:
            conversation.attention_ms = conversation.latest_ms = None
            return
        if not_sent and conversation.reply:
            conversation.reply.state = "not sent"
        conversation.attention_ms = self.now_ms

    # People.

    def requeue(self, index: int) -> None:
        """Put the dead letter at that place of the list back at the end of its conversation."""
        letter = self.dead.pop(index)
        self._append(letter.name, letter.id, letter.provider_ms, letter.text, letter.target)
        self.conversations[letter.name].messages[-1].edited_ms = letter.edited_ms

    def drop(self, index: int) -> None:
        """Delete the dead letter at that place of the list."""
        letter = self.dead.pop(index)
        self.gone.add((letter.name, letter.id))

    def hold(self) -> None:
        """Let workers take no turns."""
        self.is_on_hold = True

    def resume(self) -> None:
        """End a hold: its time does not count."""
        self.is_on_hold = False
        self._counts_from_ms = self.now_ms

    def drop_older(self, older_than_ms: int) -> int:
        """Make dead letters of older messages, and of their whole batch if it has a reply. Returns their number."""
        dropped = 0
        for conversation in self.conversations.values():
            if conversation.lease and conversation.lease.expires_ms > self.now_ms:
                continue
            if self._older(conversation, older_than_ms) and conversation.answered and not conversation.reply:
                self._finish_answered(conversation)
                conversation.lease = None
                if not conversation.messages:
                    conversation.attention_ms = conversation.latest_ms = None
            changes = conversation.changes
            if self._older(conversation, older_than_ms) and (changes.beside or changes.notes):
                self._apply(conversation, DROPPED_AT_ONCE)
                conversation.lease = None
                if not conversation.messages:
                    conversation.attention_ms = conversation.latest_ms = None
            if count := self._older(conversation, older_than_ms):
                count = max(count, conversation.reply.size if conversation.reply else 0)
                dropped += self._give_up(conversation, count, "told")
                conversation.lease = None
                if not conversation.attempts:
                    self._schedule_rest(conversation)
        return dropped

    def _older(self, conversation: Conversation, older_than_ms: int) -> int:
        return sum(message.added_ms < self.now_ms - older_than_ms for message in conversation.messages)

    def forget(self, name: Name, *, drop_waiting: bool) -> str:
        """Delete all that is kept of a user, or nothing."""
        conversation = self.conversations.get(name, Conversation(name))
        if conversation.lease and conversation.lease.expires_ms > self.now_ms:
            return "in flight"
        if conversation.messages and not drop_waiting:
            return "waiting"
        self.gone |= {(name, message.id) for message in conversation.messages}
        self.gone |= {(name, message_id) for _, message_id in self.archive.pop(name, [])}
        self.gone |= {(name, letter.id) for letter in self.dead if letter.name == name}
        self.dead = [letter for letter in self.dead if letter.name != name]
        self.gone |= {(name, edit.id) for edit in conversation.changes.beside.values() if edit}
        conversation.messages = []
        conversation.answered = []
        conversation.changes = Changes()
        self.deleted = {it for it in self.deleted if it[0] != name}
        conversation.lease = conversation.reply = conversation.attention_ms = conversation.latest_ms = None
        conversation.settled_token = 0
        return "forgotten"

    # Steps.

    def _append(
        self, name: Name, message_id: str, provider_ms: int, text: str = TEXT, target: str = ""
    ) -> int:
        conversation = self.conversations.setdefault(name, Conversation(name))
        untouched = conversation.lease is None and conversation.attempts == 0
        conversation.messages.append(Unfinished(message_id, provider_ms, self.now_ms, text, target))
        if untouched:
            before = conversation.attention_ms
            if before is None or before > self.now_ms:
                conversation.attention_ms = self.rule_ms(conversation)
        return len(conversation.messages)

    def _held(self, name: Name, token: int) -> Conversation:
        conversation = self.conversations[name]
        if conversation.lease is None or conversation.lease.token != token:
            raise LeaseLostError("lost in the model")
        return conversation

    @staticmethod
    def _end(conversation: Conversation, token: int) -> None:
        conversation.lease = None
        conversation.settled_token = token

    def _take_back(self, conversation: Conversation, token: int) -> None:
        """End the lease as if the attempt had not begun."""
        assert conversation.lease is not None
        for message in conversation.messages[: conversation.lease.size]:
            message.attempts -= 1
        self._end(conversation, token)

    def _worn_out(self, conversation: Conversation) -> int:
        """Return how many messages had all attempts: with a recorded reply, its batch."""
        if conversation.reply:
            return conversation.reply.size
        return sum(message.attempts > self.settings.max_retry_count for message in conversation.messages)

    def _give_up_worn_out_or_expired(self, conversation: Conversation) -> None:
        if conversation.attempts > self.settings.max_retry_count:
            self._give_up(conversation, self._worn_out(conversation), "attempts")
        elif conversation.attempts == 0 and conversation.reply is None:
            expired = 0
            for message in conversation.messages[: self.settings.max_batch]:
                if not self._is_expired(message):
                    break
                expired += 1
            self._give_up(conversation, expired, "expired")

    def _is_expired(self, message: Unfinished) -> bool:
        waits_since_ms = max(message.added_ms, self._counts_from_ms)
        return waits_since_ms < self.now_ms - self.settings.queue_ttl_s * 1000

    def _leasable(self, conversation: Conversation) -> bool:
        if not conversation.messages:
            conversation.attention_ms = conversation.latest_ms = None
            conversation.answered = []
            return False
        if conversation.attempts == 0 and conversation.reply is None:
            if self._is_expired(conversation.messages[0]):
                conversation.attention_ms = self.now_ms  # more has expired than one step gives up
                return False
            rule_ms = self.rule_ms(conversation)
            if rule_ms > self.now_ms:
                conversation.attention_ms = rule_ms
                return False
        return True

    def _lease(self, conversation: Conversation, processor_id: str, claim_id: int, due_ms: int) -> None:
        size = (
            conversation.reply.size
            if conversation.reply
            else min(len(conversation.messages), self.settings.max_batch)
        )
        for message in conversation.messages[:size]:
            message.attempts += 1
        expires_ms = self.now_ms + self.settings.lock_ttl_ms
        conversation.lease = Lease(processor_id, claim_id, size, due_ms, expires_ms)
        conversation.attention_ms = self.now_ms + self.settings.lock_ttl_ms // 2

    def _renew(self, conversation: Conversation) -> None:
        assert conversation.lease is not None
        conversation.lease.expires_ms = self.now_ms + self.settings.lock_ttl_ms
        conversation.attention_ms = self.now_ms + self.settings.lock_ttl_ms // 2

    @staticmethod
    def _expected_batch(conversation: Conversation) -> ExpectedBatch:
        assert conversation.lease is not None
        batch = conversation.messages[: conversation.lease.size]
        if all(message.provider_ms > 0 for message in batch):
            batch = sorted(batch, key=lambda message: message.provider_ms)
        return ExpectedBatch(
            name=conversation.name,
            ids=tuple(message.id for message in batch),
            texts=tuple(message.text for message in batch),
            attempt=conversation.attempts,
            due_ms=conversation.lease.due_ms,
            reply=conversation.reply.text if conversation.reply else None,
            send_state=conversation.reply.state if conversation.reply else "not sent",
            parts_sent=conversation.reply.parts if conversation.reply else 0,
        )

    def _give_up(self, conversation: Conversation, count: int, reason: Reason) -> int:
        recorded = conversation.reply.text if conversation.reply else None
        attempts = conversation.attempts
        for message in conversation.messages[:count]:
            self.dead.append(
                Dead(
                    conversation.name,
                    message.id,
                    message.provider_ms,
                    reason,
                    attempts,
                    recorded,
                    message.text,
                    message.target,
                    message.edited_ms,
                )
            )
        del conversation.messages[:count]
        if count:
            conversation.reply = conversation.latest_ms = None
            conversation.answered = []
        return count

    def _finish_answered(self, conversation: Conversation) -> None:
        """Take messages that were answered without the queue out of the turn, unless a reply to it is kept."""
        if conversation.answered and conversation.reply is None:
            gone = [message for message in conversation.messages if message in conversation.answered]
            if conversation.lease:
                conversation.lease.size -= len(gone)
            self._finish(conversation.name, gone)
            conversation.messages = [it for it in conversation.messages if it not in gone]
            self._release(conversation, gone)
            conversation.answered = []

    def _finish(self, name: Name, messages: list[Unfinished]) -> None:
        self._archive(name, [message.id for message in messages])
        self.edited_ms |= {(name, message.id): message.edited_ms for message in messages}

    def _finished_text_ms(self, name: Name, message_id: str) -> int:
        """Return the time of the edit whose text a finished message has; 0 if there is none."""
        is_kept = any(message_id == kept for _, kept in self.archive.get(name, []))
        return self.edited_ms.get((name, message_id), 0) if is_kept else 0

    def _archive(self, name: Name, ids: Iterable[str]) -> None:
        self.archive.setdefault(name, []).extend((self.now_ms, message_id) for message_id in ids)

    def _forget_old(self, name: Name) -> None:
        oldest_ms = self.now_ms - self.settings.completed_ttl_s * 1000
        kept = self.archive[name]
        while kept and kept[0][0] < oldest_ms:
            self.gone.add((name, kept.pop(0)[1]))

    def _schedule_rest(self, conversation: Conversation) -> None:
        conversation.attention_ms = (
            max(self.rule_ms(conversation), self.now_ms) if conversation.messages else None
        )
