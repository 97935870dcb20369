"""Stubs of the atomic steps about replies that were sent: their ids, and what providers report on them."""

from __future__ import annotations

from typing import Annotated

from queue_core.keys import Partition, Place
from queue_core.redis.scripts import answers
from queue_core.redis.scripts.answers import MatchAnswer
from queue_core.redis.scripts.loader import Call, Now, Number, stub, text


@stub("note_sent")
class NoteSent(Call[bool], frozen=True, kw_only=True):
    """Notes the id of a reply. Returns True if there was a report on it already."""

    read = staticmethod(answers.read_flag)
    partition: Annotated[Partition, "reports_due layout partitions damaged sent"]
    fingerprint: bytes
    note: bytes
    now_ms: Now
    ttl_ms: Number


@stub("report_sent")
class ReportSent(Call[tuple[str, str]], frozen=True, kw_only=True):
    """Finds the reply of a report, or keeps the report: "known" with the note, "kept", "repeated", "full"."""

    read = staticmethod(answers.read_texts)
    partition: Annotated[Partition, "reports reports_due layout partitions damaged sent"]
    fingerprint: bytes
    kind: str
    report: bytes
    now_ms: Now
    keep_ms: Number
    ttl_ms: Number
    reports_max: Number


@stub("match_reports")
class MatchReports(Call[MatchAnswer], frozen=True, kw_only=True):
    """Returns reports that are due, with the replies that they are about."""

    read = staticmethod(answers.read_matches)
    partition: Annotated[Partition, "reports reports_due layout partitions damaged sent"]
    now_ms: Now
    ttl_ms: Number
    again_ms: Number
    limit: Number


@stub("settle_report")
class SettleReport(Call[bool], frozen=True, kw_only=True):
    """Deletes the report of a failure that its conversation has noted. Returns True if the id is still known."""

    read = staticmethod(answers.read_flag)
    partition: Annotated[Partition, "reports reports_due layout partitions damaged sent"]
    fingerprint: bytes
    now_ms: Now
    ttl_ms: Number


@stub("note_undelivered")
class NoteUndelivered(Call[str], frozen=True, kw_only=True):
    """Notes in a conversation that a reply did not reach the user."""

    read = staticmethod(text)
    place: Annotated[Place, "undelivered dead layout partitions damaged conversation"]
    now_ms: Now
    head: bytes
    element: bytes
    letter: bytes
    turn: bytes
    reason: str
    reply: str
    ttl_ms: Number
    undelivered_max: Number
    dead_letters_max: Number


@stub("forget_sent", mends=False)
class ForgetSent(Call[int], frozen=True, kw_only=True):
    """Deletes the ids of the replies to a conversation from some buckets, and reports on them; counts both."""

    read = staticmethod(answers.read_count)
    partition: Annotated[Partition, "reports sent"]
    conversation: str
    address: bytes
    now_ms: Now
    ttl_ms: Number
    first: Number
    last: Number
