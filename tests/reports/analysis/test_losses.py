"""Losses: messages lost in one event are explained together, and events of one kind are counted together."""

from __future__ import annotations

from reports.analysis.conversations import conversations
from reports.analysis.losses import lane_events, losses, numbers_of, why
from reports.results.causes import Cause
from tests.reports import example

PHONE = "966500001234"


def test_messages_lost_in_one_event_share_a_sentence() -> None:
    result = example.incident()
    (loss,) = losses(result["runs"][:1], numbers_of(result["recordings"][0]))
    assert (loss.system, loss.words) == ("buffer-v1", example.WHY)
    assert list(loss.messages) == [("…1234", "m4"), ("…1234", "m5")]
    assert losses(result["runs"][1:], numbers_of(result["recordings"][0])) == []


def test_events_of_one_kind_are_counted_together_whatever_their_moments() -> None:
    recorded = example.recording("r", [example.message(number, 0, "a") for number in (1, 2, 3)])
    run = example.run(recorded, "old", lost=[(PHONE, "m1"), (PHONE, "m2"), (PHONE, "m3")])
    run["causes"] = {
        "m1": Cause(code="buffer_expired", ttl_s=15, at_ms=10),
        "m2": Cause(code="buffer_expired", ttl_s=15, at_ms=2000),
        f"bot/{PHONE}/m3": Cause(code="ai_failed", at_ms=10),
    }
    first, second = losses([run], numbers_of(recorded))
    assert first.words == (
        "Nobody wrote to the buffer for 15\u00a0s, so Redis deleted it, before anybody had read these messages."
    )
    assert list(first.messages) == [("…1234", "m1"), ("…1234", "m2")]
    assert second.words.startswith("The AI failed on message 3. old marked the turn as done")


def test_equal_losses_in_two_runs_are_two_events() -> None:
    recorded = example.recording("r", [example.message(1, 0, "a")])
    runs = [example.run(recorded, "old", lost=[(PHONE, "m1")], number=number) for number in (0, 1)]
    (loss,) = losses(runs, numbers_of(recorded))
    assert len(loss.messages) == 2
    assert loss.words.startswith("These messages arrived while the AI was answering others.")


def test_in_a_recording_of_several_conversations_no_message_is_called_by_its_number() -> None:
    messages = [example.message(1, 0, "a"), example.message(2, 0, "b", phone="2")]
    recorded = example.recording("r", messages)
    (loss,) = losses([example.run(recorded, "old", lost=[("2", "m2")])], numbers_of(recorded))
    assert (list(loss.messages), loss.words[:12]) == ([("2", "m2")], "This message")


def test_a_lane_has_its_events_by_kind_and_says_why_a_message_was_lost() -> None:
    result = example.incident()
    (conversation,) = conversations(result["recordings"][0], result["runs"])
    old, queue = conversation.lanes
    assert [[event.lost for event in events] for events in lane_events(old)] == [[[4, 5]]]
    assert why(old, [5]).startswith("Message 5 arrived while the AI was answering 1\u20133.")
    assert why(old, [4, 5]) == example.WHY
    assert (why(old, [1]), lane_events(queue)) == ("", [])


def test_a_loss_without_a_cause_left_no_trace() -> None:
    recorded = example.recording("r", [example.message(1, 0, "a")])
    run = example.run(recorded, "old", lost=[(PHONE, "m1")])
    run["causes"] = {}
    assert [loss.words for loss in losses([run], numbers_of(recorded))] == [
        "old took message 1, and nothing shows what happened then."
    ]


def test_messages_are_numbered_by_their_first_arrival_in_their_conversation() -> None:
    messages = [
        example.message(1, 0, "a"),
        example.message(7, 5, "b", phone="2"),
        example.message(2, 9, "c"),
        example.message(1, 20, "a"),
    ]
    numbers = numbers_of(example.recording("r", messages))
    assert list(numbers.values()) == [{"m1": 1, "m2": 2}, {"m7": 1}]
