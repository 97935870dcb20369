"""The ledger of a run: what was answered how often, and which doubles Redis is to blame for."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.failover.elections import ElectionWatch, State
from loadtests.failover.history import history_of
from loadtests.failover.ledger import DIRECT_TOKEN, Ledger
from loadtests.replicated_redis.node import Node
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
    ("first", "is_completed", "second", "is_after_lost_write"),
    [
        (batch(1, "m1"), True, batch(2, "m1", reply="known"), True),
        (batch(1, "m1"), False, batch(2, "m1"), True),
        (batch(1, "m1"), False, batch(2, "m1", reply="known"), False),
        (batch(DIRECT_TOKEN, "m1"), False, batch(2, "m1"), False),
        (batch(1, "m1"), True, batch(DIRECT_TOKEN, "m1"), False),
    ],
)
def test_a_double_is_explained_if_redis_forgot_what_it_had_acknowledged(
    first: Batch, is_completed: bool, second: Batch, is_after_lost_write: bool
) -> None:
    ledger = Ledger()
    ledger.note_sent(first)
    if is_completed:
        ledger.note_completed(first)
    ledger.note_sent(second)
    assert ledger.doubles() == {"m1": is_after_lost_write}


def test_a_pause_lies_between_two_sends_to_the_same_users() -> None:
    ledger = Ledger()
    ledger.note_sent(batch(1, "m1"))
    at_s = ledger.sent[0].at_s
    assert ledger.longest_pause_s({"1"}, at_s - 1, at_s + 3) == pytest.approx(3)
    assert ledger.longest_pause_s({"2"}, at_s - 1, at_s + 3) == pytest.approx(4)


def test_a_pause_is_without_the_time_in_which_the_machine_stood_still() -> None:
    ledger = Ledger()
    ledger.note_sent(batch(1, "m1"))
    at_s = ledger.sent[0].at_s
    ledger.stalls.note(at_s + 1, at_s + 1.02)  # a late tick, no stall
    ledger.stalls.note(at_s + 1.5, at_s + 3.5)
    assert ledger.longest_pause_s({"1"}, at_s - 1, at_s + 5) == pytest.approx(3)
    assert ledger.longest_pause_s({"1"}, at_s - 1, at_s + 2.5) == pytest.approx(1.5)


def test_traffic_begins_with_a_reply_recorded_after_the_election() -> None:
    ledger = Ledger()
    for token in (1, 2):
        ledger.note_recorded(batch(token, f"m{token}"))
        ledger.note_sent(batch(token, f"m{token}"))
    ledger.note_sent(batch(3, "m3", reply="known"))
    first, second = (sent.recorded_s for sent in ledger.sent[:2])
    assert first is not None
    assert second is not None
    elected_s = (first + second) / 2
    assert ledger.traffic_after_s({"1"}, elected_s) == pytest.approx(ledger.sent[1].at_s - elected_s)
    assert ledger.traffic_after_s({"1"}, ledger.sent[2].at_s) is None
    assert ledger.traffic_after_s({"2"}, 0.0) is None


class Servers:
    """States of a primary and two replicas, as the watch sees them."""

    def __init__(self) -> None:
        nodes = [Node(None, Path(), port, server=None, config={}) for port in (1, 2, 3)]
        self.first, *self.replicas = nodes
        self.watch = ElectionWatch(self.first, self.replicas, 1)

    def say(self, *states: tuple[bool, int] | None) -> int:
        """Let each server say whether it is the primary, and of how many replicas; count when one took writes again."""
        nodes = (self.first, *self.replicas)
        self.watch.note(
            {node: state and State(*state, serves=True) for node, state in zip(nodes, states, strict=True)}
        )
        return len(self.watch.writable_at_s)


def test_the_history_says_who_had_what_and_when_a_lost_message_was_acknowledged() -> None:
    ledger = Ledger()
    ledger.acknowledged |= {"m1": 12.0}
    ledger.stalls.note(11.0, 11.5)
    first, second = (Node(None, Path(name), 1, server=None, config={}) for name in ("node1", "node2"))
    seen: list[tuple[float, dict[Node, State | None]]] = [
        (10.0, {first: State(True, 1, True, 500), second: State(False, 0, True, 400)}),
        (13.0, {first: None, second: State(True, 0, False, 400)}),
    ]
    assert [line.split(" ", 1)[1] for line in history_of(seen, ledger)] == [
        "node1 primary, replicas online: 1, offset 500",
        "node2 replica, offset 400",
        "the machine stood still for 0.50 s",
        "m1 was acknowledged, and never answered",
        "node1 is away",
        "node2 primary, replicas online: 0, offset 400, refuses commands",
    ]


def test_an_election_ends_when_enough_replicas_follow_the_new_primary() -> None:
    servers = Servers()
    replica, alone, followed = (False, 0), (True, 0), (True, 1)
    assert servers.say((True, 2), replica, replica) == 0
    assert servers.say(None, replica, replica) == 0
    assert servers.say(None, alone, replica) == 0
    assert servers.say(None, followed, replica) == 1
    assert servers.say((True, 2), followed, replica) == 1, "the old primary does not know yet"
    assert servers.say((True, 0), alone, replica) == 1
    servers.watch.note({})  # all were slow to answer
    assert servers.say(replica, followed, replica) == 2
    assert servers.watch.elections == 1
    servers.say(followed, replica, replica)
    assert servers.watch.elections == 2
