"""Audits: each rule on a small conversation, and all counts against a second, naive computation."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_core.recording.format import Arrival, BatchTaken, Delete, Recording, Reply
from reports.results.audit import Counts
from reports.words.audit import audit_verdict
from sim.audit.audit import NoRepliesError, audit
from sim.audit.fates import CUT_MS, FURTHER_MS, OPEN_MS, TURN_GAP_MS, Limits
from tests.reports.audit_example import arrival, recording, reply

END = arrival(100_000, "end", phone="z")
"""A message of somebody else, long after the others, so that those are not open any more."""


def total(*events: Arrival | Reply, limits: Limits | None = None, **fields: object) -> Counts:
    """Return the counts of these events and of END, which is always open."""
    return audit([recording(*events, END, **fields)], limits or Limits())["total"]


def test_the_incident_shows_what_was_not_read_and_what_was_not_answered() -> None:
    counts = total(arrival(0, "m1"), arrival(2, "m2"), arrival(14, "m3"), reply(15, "yes"), arrival(17, "m4"))
    assert (counts["answered"], counts["unanswered"], counts["too_soon"], counts["cut"]) == (3, 1, 1, 1)
    assert (counts["users"], counts["users_unanswered"]) == (2, 1)
    assert counts["first_ms"]["max"] == 15_000
    assert counts["last_ms"]["max"] == 1_000


def test_a_reply_that_names_messages_answers_those_only() -> None:
    counts = total(arrival(0, "m1"), arrival(1, "m2"), reply(9, "yes", ids=("m2",)))
    assert (counts["answered"], counts["unanswered"]) == (1, 1)


def test_a_message_is_open_for_the_last_ten_minutes_or_as_long_as_the_limit() -> None:
    day = recording(arrival(0, "m1"), reply(9), arrival(100, "m2"), arrival(400, "m3"))
    assert audit([day], Limits())["total"]["open"] == 2
    within = audit([day], Limits(within_ms=300_000))["total"]
    assert (within["open"], within["unanswered"]) == (1, 1)
    assert OPEN_MS == 600_000


def test_a_late_reply_is_counted_only_with_a_limit() -> None:
    events = (arrival(0, "m1"), reply(301))
    assert total(*events)["late"] == 0
    assert total(*events, limits=Limits(within_ms=301_000))["late"] == 0
    assert total(*events, limits=Limits(within_ms=300_999))["late"] == 1


def test_reactions_and_messages_that_were_deleted_before_their_reply_need_none() -> None:
    day = recording(
        arrival(0, "m1", kind="reaction"), arrival(1, "m2"), arrival(2, "m3"), reply(9, phone="z"), END
    )
    deletes = tuple(
        Delete(at=at, instance="bot", phone="966500000001", id=name) for at, name in ((5000, "m2"),)
    )
    counts = audit([replace(day, others=(*deletes, *day.others))], Limits())["total"]
    assert (counts["exempt"], counts["unanswered"]) == (2, 1)


def test_a_message_that_was_deleted_after_its_reply_counts_as_answered() -> None:
    day = recording(arrival(0, "m1"), reply(9))
    late = Delete(at=20_000, instance="bot", phone="966500000001", id="m1")
    assert audit([replace(day, others=(*day.others, late))], Limits())["total"]["answered"] == 1


def test_a_repeated_delivery_is_one_message() -> None:
    counts = total(arrival(0, "m1"), arrival(30, "m1"), reply(9))
    assert (counts["deliveries"], counts["messages"], counts["answered"]) == (3, 2, 1)


class TestTwice:
    def test_the_same_text_again_without_a_new_message_is_a_second_answer(self) -> None:
        counts = total(arrival(0, "m1"), arrival(1, "m2"), reply(9, "yes"), reply(9.5, "yes"))
        assert (counts["twice"], counts["further"]) == (2, 0)

    def test_the_same_text_to_a_new_message_is_not_a_second_answer(self) -> None:
        assert total(arrival(0, "m1"), reply(9, "yes"), arrival(20, "m2"), reply(29, "yes"))["twice"] == 0

    def test_parts_of_a_reply_follow_each_other_quickly(self) -> None:
        counts = total(arrival(0, "m1"), reply(9, "one"), reply(18, "two"), reply(27, "three"))
        assert (counts["twice"], counts["further"]) == (0, 0)

    def test_another_text_much_later_may_be_a_second_answer(self) -> None:
        later_s = 9 + FURTHER_MS / 1000
        assert total(arrival(0, "m1"), reply(9, "one"), reply(later_s, "two"))["further"] == 0
        assert total(arrival(0, "m1"), reply(9, "one"), reply(later_s + 0.001, "two"))["further"] == 1

    def test_the_same_text_much_later_may_be_a_second_answer_even_if_the_first_of_the_two_answers_nothing(
        self,
    ) -> None:
        counts = total(arrival(0, "m1"), reply(9, "one"), reply(10, "two"), reply(40, "two"))
        assert (counts["twice"], counts["further"]) == (0, 1)

    def test_a_person_may_write_again(self) -> None:
        counts = total(arrival(0, "m1"), reply(9, "one"), reply(60, "one", who="human"), reply(99, "two"))
        assert (counts["twice"], counts["further"]) == (0, 0)

    def test_two_replies_that_name_a_message_are_parts_unless_equal_or_far_apart(self) -> None:
        first, second = reply(9, "one", ids=("m1",)), reply(12, "two", ids=("m1",))
        assert total(arrival(0, "m1"), first, second)["twice"] == 0, "two parts"
        assert total(arrival(0, "m1"), first, msgspec.structs.replace(second, at=20_000))["twice"] == 1
        assert total(arrival(0, "m1"), first, msgspec.structs.replace(second, text="one"))["twice"] == 1

    def test_in_a_recording_of_this_project_any_second_reply_counts(self) -> None:
        day = recording(arrival(0, "m1"), reply(9, "one", ids=("m1",)), reply(12, "two", ids=("m1",)))
        batch = BatchTaken(at=8000, instance="bot", phone="966500000001", ids=("m1",))
        assert audit([replace(day, others=(batch, *day.others))], Limits())["total"]["twice"] == 1


def test_order_is_judged_only_by_replies_that_name_messages() -> None:
    older, newer = reply(20, "a", ids=("m1",)), reply(9, "b", ids=("m2",))
    counts = total(arrival(0, "m1"), arrival(1, "m2"), newer, older)
    assert counts["order"] == 1
    assert total(arrival(0, "m1"), arrival(1, "m2"), reply(9, "b"), reply(20, "a"))["order"] == 0


class TestTurns:
    def test_a_pause_or_a_reply_ends_a_turn(self) -> None:
        gap_s = TURN_GAP_MS / 1000
        first, second = arrival(0, "m1"), arrival(gap_s, "m2")
        counts = total(first, second, arrival(2 * gap_s + 1, "m3"), reply(999), arrival(1200, "m4"))
        assert (counts["turns"] - 1, counts["several"], counts["cut"]) == (3, 1, 0)

    def test_a_bots_reply_right_before_a_message_cut_its_turn(self) -> None:
        soon_s = 9 + CUT_MS / 1000
        assert total(arrival(0, "m1"), reply(9), arrival(soon_s - 0.001, "m2"))["cut"] == 1
        assert total(arrival(0, "m1"), reply(9), arrival(soon_s, "m2"))["cut"] == 0
        assert total(arrival(0, "m1"), reply(9, who="human"), arrival(soon_s - 1, "m2"))["cut"] == 0


def test_a_reply_right_after_the_only_message_was_made_for_it() -> None:
    assert total(arrival(0, "m1"), reply(1))["too_soon"] == 0
    assert total(arrival(0, "m1"), arrival(8, "m2"), reply(9))["too_soon"] == 1
    assert total(arrival(0, "m1"), arrival(8, "m2"), reply(9, who="human"))["too_soon"] == 0
    assert total(arrival(0, "m1"), arrival(8, "m2"), reply(9), precision="min")["too_soon"] == 0


@pytest.mark.parametrize(
    ("day", "codes"),
    [
        (recording(arrival(0, "m1"), reply(9, "a", ids=("m1",))), []),
        (recording(arrival(0, "m1"), reply(9, "a")), ["order"]),
        (recording(arrival(0, "m1"), reply(9)), ["order", "twice"]),
        (recording(arrival(0, "m1"), reply(9, "a", who="")), ["order", "writers"]),
        (recording(arrival(0, "m1"), reply(9, "a"), precision="s"), ["order_within", "order"]),
        (recording(arrival(0, "m1"), reply(9, "a"), precision="min"), ["order_within", "cut_turns", "order"]),
    ],
)
def test_what_a_recording_cannot_tell_is_said(day: Recording, codes: list[str]) -> None:
    assert audit([day], Limits())["unknowable"] == codes


def test_a_recording_without_replies_cannot_be_audited() -> None:
    with pytest.raises(NoRepliesError):
        audit([recording(arrival(0, "m1"))], Limits())


def test_the_worst_conversation_is_shown_around_its_trouble() -> None:
    calm = [event for n in range(300) for event in (arrival(100 * n, f"m{n}"), reply(100 * n + 9, f"r{n}"))]
    result = audit([recording(*calm, arrival(40_000, "alone"), arrival(50_000, "late"), END)], Limits())
    shown = result["worst"][0]
    assert [message["id"] for message in shown["messages"]] == [
        "m296",
        "m297",
        "m298",
        "m299",
        "alone",
        "late",
    ]
    assert [message["reply"] for message in shown["messages"]] == [0, 1, 2, 3, None, None]
    assert [made["text"] for made in shown["replies"]] == ["r296", "r297", "r298", "r299"]


EVENTS = st.lists(
    st.tuples(
        st.integers(0, 2_000),
        st.sampled_from(["a", "b"]),
        st.sampled_from(["message", "message", "bot", "human"]),
        st.sampled_from(["one", "two", ""]),
    ),
    min_size=1,
    max_size=25,
)


@given(EVENTS, st.sampled_from([None, 60_000]))
def test_the_counts_are_those_of_a_naive_computation(
    made: list[tuple[int, str, str, str]], within_ms: int | None
) -> None:
    made = sorted(made, key=lambda event: event[0])
    messages = [(at, phone, f"m{n}") for n, (at, phone, what, _) in enumerate(made) if what == "message"]
    replies = [(at, phone, what, text) for at, phone, what, text in made if what != "message"]
    if not messages or not replies:
        return
    events = [arrival(at, name, phone=phone) for at, phone, name in messages]
    answers = [reply(at, text, phone=phone, who=who) for at, phone, who, text in replies]
    day = recording(*events, *answers)
    if not any(phone in {other for _, other, _ in messages} for _, phone, _, _ in replies):
        return
    counts = audit([day], Limits(within_ms=within_ms))["total"]
    end = max(at for at, *_ in made)
    expected = dict.fromkeys(("answered", "unanswered", "open", "late", "by_bot", "by_human", "twice"), 0)
    for at, phone, _ in messages:
        following = [answer for answer in replies if answer[1] == phone and answer[0] >= at]
        if not following:
            expected["open" if (end - at) * 1000 < (within_ms or OPEN_MS) else "unanswered"] += 1
            continue
        when, _, who, text = following[0]
        expected["answered"] += 1
        expected["by_bot" if who == "bot" else "by_human"] += 1
        expected["late"] += within_ms is not None and (when - at) * 1000 > within_ms
        if who == "bot" and text:
            until = min(
                [other for other, name, _ in messages if name == phone and other > when], default=end + 1
            )
            again = []
            for later in following[1:]:
                if later[0] >= until or later[2] == "human":
                    break
                again.append(later[3])
            expected["twice"] += text in again
    assert {name: counts[name] for name in expected} == expected  # type: ignore[literal-required]
    assert counts["messages"] == len(messages)


def test_a_deleted_message_needs_no_reply_and_a_deleted_reply_answers_nothing() -> None:
    other = reply(1, phone="z")
    counts = total(arrival(0, "m1"), arrival(1, "m2", kind="deleted"), reply(9, kind="deleted"), other)
    assert (counts["unanswered"], counts["exempt"], counts["answered"], counts["replies"]) == (1, 1, 0, 1)
    answered = total(arrival(0, "m1"), arrival(1, "m2", kind="deleted"), reply(9, "yes"))
    assert (answered["answered"], answered["exempt"]) == (2, 0)


def test_a_recording_whose_replies_were_all_deleted_cannot_be_audited() -> None:
    with pytest.raises(NoRepliesError):
        audit([recording(arrival(0, "m1"), reply(9, kind="deleted"))], Limits())


def test_a_user_in_several_recordings_is_one_user() -> None:
    day = recording(arrival(0, "m1"), reply(1), arrival(2, "m2"), END)
    counts = audit([day, replace(day, name="saturday.jsonl")], Limits())["total"]
    assert (counts["users"], counts["users_unanswered"], counts["unanswered"]) == (2, 1, 2)


def test_the_verdict_names_what_is_open_where_nothing_else_is_left() -> None:
    calm = recording(arrival(0, "m1"), reply(9), arrival(60, "m2"))
    verdict = audit_verdict(audit([calm], Limits()))
    assert verdict.first.endswith("1\u00a0of 2\u00a0messages from 1\u00a0user was answered")
    assert verdict.rest == "1\u00a0was still open at the end of the recording."


def test_the_verdict_says_of_all_messages_only_what_holds_for_all() -> None:
    """A message that was probably not read beside an open one, and beside a reaction."""
    unread = (arrival(0, "m1"), arrival(8.001, "m2"), reply(10, "yes"), arrival(20, "m3"), reply(21, "and"))
    others = {
        "was still open at the end of the recording": arrival(1_900, "m4", phone="z"),
        "needed no reply": arrival(1, "m4", phone="z", kind="reaction"),
    }
    for words, other in others.items():
        verdict = audit_verdict(audit([recording(*unread, other)], Limits()))
        assert verdict.first.endswith("3\u00a0of 4\u00a0messages from 2\u00a0users were answered")
        assert verdict.rest == (
            f"1\u00a0came so shortly before a reply that it was probably not read; 1\u00a0{words}."
        )
    verdict = audit_verdict(audit([recording(*unread)], Limits()))
    assert "each of 3\u00a0messages from 1\u00a0user was followed by a reply, but 1" in verdict.first
    assert not verdict.rest


def test_the_verdict_names_what_is_open_and_exempt_beside_messages_without_a_reply() -> None:
    day = recording(
        arrival(0, "m1"),
        arrival(1, "n1", phone="z"),
        reply(9, phone="z"),
        arrival(10, "m2", kind="reaction"),
        arrival(900, "m3"),
    )
    verdict = audit_verdict(audit([day], Limits()))
    assert "1 of 4\u00a0messages from 2\u00a0users got no reply" in verdict.first
    assert verdict.rest == ("1\u00a0needed no reply; 1\u00a0was still open at the end of the recording.")
