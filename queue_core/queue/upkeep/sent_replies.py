"""Replies that were sent, by the ids that providers gave them, and the later reports of providers on them.

A provider names a reply by its id alone when it reports that the reply did not reach the user, or, for WhatsApp Web,
that the bot's own number wrote a message. The report may arrive before the answer to the call that sends. So ids and
reports are matched in either order, in the partition of the id; `redis/scripts/sent.lua` describes the data.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Literal, NamedTuple, cast

import msgspec

from queue_core.errors import QueueUnavailableError
from queue_core.keys import Partition, SentId, decode_conversation
from queue_core.message import Batch, QueueMessage, encode, well_formed
from queue_core.queue.access import Access
from queue_core.queue.upkeep.dead_letters import REASON_CHARACTERS_MAX
from queue_core.redis import scripts
from queue_core.sent import ID_CHARACTERS_MAX, SentPart

ECHO_BEYOND_MS = 10_000
"""Time, beyond the longest send, after which an own message with an unknown id counts as a person's."""
FAILURE_MS = 3_600_000
"""Time for which a failure with an unknown id is kept, since ids are noted late while Redis is away."""
UNSURE_MS = 120_000
"""Time for which own messages with unknown ids may be a reply that was sent again: the id of its first send is lost."""
RETURN_AGAIN_MS = 30_000
"""Time after which `match` returns a failure again that its conversation has not noted: a process may have died."""
REPORTS_MAX = 10_000
"""Limit on reports with unknown ids in a partition."""
UNDELIVERED_MAX = 20
"""Limit on failures that are kept in a conversation, the newest ones."""
TEXT_CHARACTERS_MAX = 4_096
"""Limit on the text that is kept for a dead letter, in characters."""
DATA_BYTES_MAX = 4_096
"""Limit on the `message_data` that is kept for a dead letter, in bytes of JSON."""
_KEPT_DATA = ("channel", "kind", "reply_to", "addresses")
_PAGE = 100
_BUCKETS, _BUCKETS_AT_ONCE = 4_096, 16
_KINDS = {"own": "o", "failed": "f"}

_log = logging.getLogger(__name__)


UNDELIVERED = "undelivered"
"""Beginning of the reason of a dead letter whose reply was sent and did not reach the user."""

NoteResult = Literal["noted", "dead letter", "full", "known"]
"""Result of noting a failure. "dead letter": one was made too. "full": no room for it. "known": noted before."""


class Report(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Report of a provider on a message that the bot's own number sent."""

    kind: Literal["own", "failed"]
    """"own": the message was written. "failed": it did not reach the user."""
    instance_name: str
    reply_id: str
    user_phone: str
    """User to whom the message was sent, as the report names the user; the conversation may have another name."""
    code: str = ""
    """Error code of the provider."""
    reason: str = ""
    at_ms: int = 0


class SentReply(NamedTuple):
    """Reply that the queue sent: its conversation, and what is kept for a dead letter."""

    instance_name: str
    user_phone: str
    letter: bytes
    """JSON of the message that stands for the answered turn; b"" if the texts are not kept."""
    text: str
    """Text of the part that was sent; "" if the texts are not kept."""
    turn: str = ""
    """Fencing token of the turn, whose parts make one dead letter; "" if it is not kept."""


class _Undelivered(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    reply_id: str
    code: str
    reason: str
    at_ms: int
    """Time by the provider's clock; 0 if it gives none."""


class Undelivered(_Undelivered, frozen=True, kw_only=True, rename="camel"):
    """Reply that did not reach the user, as its conversation keeps it. Times in Unix ms."""

    noted_at_ms: int


class _Kept(msgspec.Struct, frozen=True):
    """Texts beside the id of a reply."""

    letter: msgspec.Raw
    text: str
    turn: str = ""


class ReportResult(NamedTuple):
    """Result of looking up a report: "known" with the reply, "kept" until the id is known, "repeated" if not new.

    The report is not kept if there is no room ("full"), or if no ids are kept by setting ("off").
    """

    status: Literal["known", "kept", "repeated", "full", "off"]
    reply: SentReply | None


class MatchedReport(NamedTuple):
    """Report that was kept, and its reply; the reply is None if its id did not become known in time."""

    report: Report
    reply: SentReply | None
    may_be_reply: bool = False
    """True for an own message with an unknown id that may be a reply whose id was lost."""


class SentReplies:
    """Ids of replies and reports on them. All methods raise QueueUnavailableError when Redis does not answer."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._ttl_ms = access.settings.sent_ttl_s * 1000
        self._waiting: set[Partition] = set()
        """Partitions in which reports that this process kept may still wait."""

    async def note(self, batch: Batch, parts: Sequence[SentPart]) -> None:
        """Note that these parts of the reply to a batch were sent. Repeating it is harmless."""
        if self._ttl_ms:
            gathered = self._access.transport.gathered
            await asyncio.gather(*(gathered(self._note(batch, part)) for part in parts))

    async def note_again(self, batch: Batch) -> None:
        """Note that a reply is sent again. If the first send succeeded too, its id is unknown to the queue."""
        if self._ttl_ms:
            place = self._access.keys.of(batch.instance_name, batch.user_phone)
            await self._access.read(("SET", place.sent_again, 1, "PX", UNSURE_MS))

    async def report(self, report: Report) -> ReportResult:
        """Find the reply that a report is about, or keep the report until `match` finds it."""
        if not self._ttl_ms or not 0 < len(report.reply_id) <= ID_CHARACTERS_MAX:
            return ReportResult("off", None)
        report = _well_formed(report)
        sent_id = self._id_of(report)
        call = scripts.ReportSent(
            partition=sent_id.partition,
            fingerprint=sent_id.fingerprint,
            kind=_KINDS[report.kind],
            report=msgspec.json.encode(report),
            now_ms=self._access.now(),
            keep_ms=FAILURE_MS if report.kind == "failed" else self.echo_ms,
            ttl_ms=self._ttl_ms,
            reports_max=REPORTS_MAX,
        )
        status, note = await self._access.transport.gathered(call)
        if status == "kept":
            self._waiting.add(sent_id.partition)
        return ReportResult(status, _reply(note) if note else None)  # type: ignore[arg-type]  # the script returns one of the first four

    @property
    def echo_ms(self) -> int:
        """Time after which an own message with an unknown id counts as a person's."""
        return self._access.settings.send_timeout_ms + ECHO_BEYOND_MS

    def waiting(self, *, everywhere: bool = False) -> tuple[Partition, ...]:
        """Return the partitions in which reports of this process may wait; with `everywhere`, those of any process."""
        return self._access.keys.partitions if everywhere else tuple(self._waiting)

    async def match(self, partition: Partition) -> list[MatchedReport]:
        """Return the kept reports of a partition whose id became known, or whose time is over.

        Each is returned once, except a failure of a known reply, which is returned again until `settle` ends it.
        """
        matched: list[MatchedReport] = []
        is_done = not self._ttl_ms
        while not is_done:
            try:
                kept, due = await self._access.transport.gathered(self._match(partition))
            except QueueUnavailableError:
                if not matched:
                    raise
                break  # these reports have been returned already
            matched += await self._matched(due)
            is_done = len(due) < _PAGE
            if is_done and not kept:
                self._waiting.discard(partition)
        return matched

    async def _matched(self, due: Sequence[tuple[str, str]]) -> list[MatchedReport]:
        reports = [(report, note) for kept, note in due if (report := _report_in(kept))]
        unsure = await self._sent_again([report for report, note in reports if not note])
        return [
            MatchedReport(
                report,
                _reply(note) if note else None,
                not note and (report.instance_name, report.user_phone) in unsure,
            )
            for report, note in reports
        ]

    async def note_undelivered(self, report: Report, reply: SentReply) -> NoteResult:
        """Note in a reply's conversation, once, that the reply did not reach the user; by setting, make a dead letter.

        The parts of one turn make one dead letter. Returns "full" if there is no room for it, and "known" if the
        failure was noted before.
        """
        access, settings = self._access, self._access.settings
        place = access.keys.of(reply.instance_name, reply.user_phone)
        report = _well_formed(report)
        undelivered = _Undelivered(
            reply_id=report.reply_id, code=report.code, reason=report.reason, at_ms=report.at_ms
        )
        call = scripts.NoteUndelivered(
            place=place,
            now_ms=access.now(),
            head=b'{"replyId":' + msgspec.json.encode(report.reply_id) + b",",
            element=msgspec.json.encode(undelivered),
            letter=reply.letter if settings.delivery_failures == "dead-letter" else b"",
            turn=b'"turn":' + msgspec.json.encode(reply.turn) + b"," if reply.turn else b"",
            reason=f"{UNDELIVERED}: {words_of(report.code, report.reason)}"[:REASON_CHARACTERS_MAX],
            reply=reply.text,
            ttl_ms=self._ttl_ms,
            undelivered_max=UNDELIVERED_MAX,
            dead_letters_max=settings.dead_letters_in_partition_max,
        )
        return cast("NoteResult", await access.transport.gathered(call))

    async def settle(self, reports: Sequence[Report]) -> None:
        """End failures that their conversations have noted. If they are reported again, they count as "repeated"."""
        gathered = self._access.transport.gathered
        failures = (_well_formed(report) for report in reports if report.kind == "failed")
        await asyncio.gather(*(gathered(self._settle(failure)) for failure in failures))

    async def forget(self, instance_name: str, user_phone: str) -> None:
        """Delete the ids of the replies to a conversation, and reports on its user that were not matched yet."""
        if not self._ttl_ms:
            return
        conversation = self._access.keys.of(instance_name, user_phone).conversation
        address = b'"userPhone":' + msgspec.json.encode(well_formed(user_phone)) + b","
        for partition in self._access.keys.partitions:
            calls = (
                scripts.ForgetSent(
                    partition=partition,
                    conversation=conversation,
                    address=address,
                    now_ms=self._access.now(),
                    ttl_ms=self._ttl_ms,
                    first=first,
                    last=first + _BUCKETS_AT_ONCE - 1,
                )
                for first in range(0, _BUCKETS, _BUCKETS_AT_ONCE)
            )
            await asyncio.gather(*map(self._access.transport.gathered, calls))

    def _match(self, partition: Partition) -> scripts.MatchReports:
        return scripts.MatchReports(
            partition=partition,
            now_ms=self._access.now(),
            ttl_ms=self._ttl_ms,
            again_ms=RETURN_AGAIN_MS,
            limit=_PAGE,
        )

    def _settle(self, report: Report) -> scripts.SettleReport:
        sent_id = self._id_of(report)
        return scripts.SettleReport(
            partition=sent_id.partition,
            fingerprint=sent_id.fingerprint,
            now_ms=self._access.now(),
            ttl_ms=self._ttl_ms,
        )

    def _note(self, batch: Batch, part: SentPart) -> scripts.NoteSent:
        sent_id = self._access.keys.sent_id(batch.instance_name, well_formed(part.id))
        note = self._access.keys.of(batch.instance_name, batch.user_phone).conversation.encode()
        if self._access.settings.delivery_failures == "dead-letter":
            letter = encode(_letter(batch), self._access.settings.max_message_bytes)
            kept = _Kept(msgspec.Raw(letter), well_formed(part.text[:TEXT_CHARACTERS_MAX]), str(batch.token))
            note += b" " + msgspec.json.encode(kept)
        return scripts.NoteSent(
            partition=sent_id.partition,
            fingerprint=sent_id.fingerprint,
            note=note,
            now_ms=self._access.now(),
            ttl_ms=self._ttl_ms,
        )

    async def _sent_again(self, reports: Sequence[Report]) -> set[tuple[str, str]]:
        """Return instance and user of the reports in whose conversations a reply was sent again recently."""
        names = sorted({(report.instance_name, report.user_phone) for report in reports})
        if not names:
            return set()
        keys = [self._access.keys.of(*pair).sent_again for pair in names]
        try:
            answers = await self._access.read(*(("EXISTS", key) for key in keys))
        except QueueUnavailableError:  # Redis will not return the reports again
            return set(names)
        return {pair for pair, is_there in zip(names, answers, strict=True) if is_there}

    def _id_of(self, report: Report) -> SentId:
        return self._access.keys.sent_id(report.instance_name, report.reply_id)


def words_of(code: str, reason: str) -> str:
    """Return code and reason of a failure for people."""
    return (
        ": ".join(part for part in (f"error {code}" if code else "", reason) if part) or "no reason was given"
    )


def _well_formed(report: Report) -> Report:
    texts = {
        name: well_formed(value)[:REASON_CHARACTERS_MAX]
        for name, value in msgspec.structs.asdict(report).items()
        if isinstance(value, str)
    }
    return msgspec.structs.replace(report, **texts)


def _report_in(kept: str) -> Report | None:
    """Return the report that a value in Redis holds; None for one that something else has changed."""
    try:
        return msgspec.json.decode(kept, type=Report)
    except msgspec.MsgspecError:
        _log.error("dropped a report on a reply that something other than the queue had changed in Redis")
        return None


def _letter(batch: Batch) -> QueueMessage:
    """Return a message that stands for a turn: if it is requeued, the whole turn is answered again."""
    newest = batch.messages[-1]
    data = {name: value for name, value in newest.message_data.items() if name != "webhook"}
    if len(msgspec.json.encode(data)) > DATA_BYTES_MAX:
        data = {name: data[name] for name in _KEPT_DATA if name in data}
    return QueueMessage(
        id=newest.id,
        instance_name=batch.instance_name,
        user_phone=batch.user_phone,
        message=batch.text[:TEXT_CHARACTERS_MAX],
        message_data=data,
        timestamp=newest.timestamp,
    )


def _reply(note: str) -> SentReply:
    conversation, _, kept = note.partition(" ")
    names = decode_conversation(conversation)
    if not kept:
        return SentReply(*names, b"", "")
    try:
        texts = msgspec.json.decode(kept, type=_Kept)
    except msgspec.MsgspecError:
        _log.error("ignored the texts of a reply that something other than the queue had changed in Redis")
        return SentReply(*names, b"", "")
    return SentReply(*names, bytes(texts.letter), texts.text, texts.turn)
