"""The ledger of a run: what was answered how often, and which doubles Redis is to blame for."""

from __future__ import annotations

import pytest

from loadtests.failover.ledger import DIRECT_TOKEN, Ledger
from queue_core import Batch, QueueMessage


def batch(token: int, *ids: str, reply: str | None = None) -> Batch:
    messages = tuple(QueueMessage(id=it, instance_name="bot", user_phone="1", message="x") for it in ids)
    return Batch(
        instance_name="bot",
        user_phone="1",
        messages=messages,
        token=token,
        processor_id="w",
        attempt=1,
        trigger="window",
        due_at_ms=0,
        claimed_at_ms=0,
        reply=reply,
    )


def test_messages_without_a_reply_are_unanswered() -> None:
    ledger = Ledger()
    ledger.acknowledged |= {"m1": 0.0, "m2": 0.0, "m3": 0.0}
    ledger.note_sent(batch(1, "m1", "m2"))
    assert ledger.unanswered() == {"m3"}
    assert ledger.doubles() == {}


@pytest.mark.parametrize(
    ("first", "is_completed", "second", "is_licensed"),
    [
        (batch(1, "m1"), True, batch(2, "m1", reply="known"), True),
        (batch(1, "m1"), False, batch(2, "m1"), True),
        (batch(1, "m1"), False, batch(2, "m1", reply="known"), False),
        (batch(DIRECT_TOKEN, "m1"), False, batch(2, "m1"), False),
        (batch(1, "m1"), True, batch(DIRECT_TOKEN, "m1"), False),
    ],
)
def test_a_double_is_licensed_if_redis_forgot_what_it_had_acknowledged(
    first: Batch, is_completed: bool, second: Batch, is_licensed: bool
) -> None:
    ledger = Ledger()
    ledger.note_sent(first)
    if is_completed:
        ledger.note_completed(first)
    ledger.note_sent(second)
    assert ledger.doubles() == {"m1": is_licensed}


def test_a_pause_lies_between_two_sends_to_the_same_users() -> None:
    ledger = Ledger()
    ledger.note_sent(batch(1, "m1"))
    at_s = ledger.sent[0].at_s
    assert ledger.longest_pause_s({"1"}, at_s - 1, at_s + 3) == pytest.approx(3)
    assert ledger.longest_pause_s({"2"}, at_s - 1, at_s + 3) == pytest.approx(4)
