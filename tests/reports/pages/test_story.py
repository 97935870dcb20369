"""The story of a lost message: which conversation is chosen, and what the story says."""

from __future__ import annotations

import re

from reports.analysis.conversations import Conversation, conversations
from reports.pages.page import environment
from reports.pages.replay.story import ROWS_MAX, Story, story_of
from reports.results.causes import Cause
from reports.results.replay import RecordedMessage, Run
from tests.reports import example


def _incident() -> list[Conversation]:
    result = example.incident()
    return conversations(result["recordings"][0], result["runs"])


def _story(lossy: list[Conversation]) -> Story:
    story = story_of([("The incident", lossy)])
    assert story is not None
    return story


def test_the_story_of_the_incident_runs_from_the_first_message_to_the_loss() -> None:
    story = _story(_incident())
    assert story.title == "How buffer-v1 lost 2\u00a0of 5 messages"
    assert story.sentence == (
        "The user wrote 5\u00a0messages within 13.2\u00a0s. buffer-v1 took them, and never answered messages 4 and 5."
    )
    assert story.rescue == "This project's queue answered all 5, in 1\u00a0reply."
    assert story.cause == example.WHY
    assert (story.recording, story.systems) == ("The incident", ["buffer-v1", "queue"])
    assert [lane.system for lane in story.figure.lanes] == ["buffer-v1", "queue"]
    assert [
        (moment.at_ms, [number for number, _ in moment.messages])
        for moment in story.moments
        if moment.messages
    ] == [
        (0, [1]),
        (3100, [2]),
        (6649, [3]),
        (10_976, [4]),
        (13_200, [5]),
    ]
    buffer = [step.words for moment in story.moments for step in moment.steps[0]]
    queue = [step.words for moment in story.moments for step in moment.steps[1]]
    assert buffer[0] == "takes 1\u20133, asks the AI"
    assert [words for words in buffer if "loses" in words] == ["loses 4, 5"]
    assert queue[-1] == "replies to 1\u20135"
    assert [moment.at_ms for moment in story.moments] == sorted(moment.at_ms for moment in story.moments)


def test_what_happens_on_both_systems_at_about_the_same_time_is_one_row() -> None:
    story = _story(_incident())
    both = [moment for moment in story.moments if all(moment.steps)]
    assert [moment.at_ms for moment in both] == [8000, 15_000]
    assert [[step.kind for step in steps] for steps in both[1].steps] == [["ok", "bad"], ["ok"]]


def _lossy(cause: Cause, size: int, user: int) -> Conversation:
    messages: list[RecordedMessage] = [
        example.message(number, number * 900, "نعم", phone=f"user-{user}") for number in range(1, size + 1)
    ]
    recorded = example.recording("r", messages)
    runs: list[Run] = [
        example.run(recorded, "old", lost=[(f"user-{user}", "m2")], cause=cause),
        example.run(recorded, "queue"),
    ]
    return conversations(recorded, runs)[0]


def test_the_story_is_a_conversation_of_about_five_messages_with_the_commonest_cause() -> None:
    rare, early, late = (
        Cause(code="ai_failed", at_ms=5),
        Cause(code="calls_failed", at_ms=10, calls=1),
        Cause(code="calls_failed", at_ms=20, calls=4),
    )
    lossy = [_lossy(rare, 5, 1), _lossy(early, 40, 2), _lossy(late, 3, 3)]
    assert len(_story(lossy).figure.captions) == 3


def test_without_a_loss_there_is_no_story() -> None:
    recorded = example.recording("r", [example.message(1, 0, "a")])
    assert story_of([("r", conversations(recorded, [example.run(recorded, "queue")]))]) is None
    assert story_of([]) is None


def test_a_long_story_is_cut_and_says_so() -> None:
    story = _story([_lossy(example.CAUSE, 200, 1)])
    assert len(story.moments) == ROWS_MAX
    assert story.left_out > 0
    html = str(environment().get_template("story.html").module.story_section(story))  # type: ignore[attr-defined]
    assert f"{story.left_out}\u00a0later moments are left out." in html


def test_where_only_another_system_answered_everything_it_is_named() -> None:
    recorded = example.recording("r", [example.message(number, number * 900, "a") for number in (1, 2)])
    lost = [(recorded["messages"][0]["phone"], "m2")]
    runs = [
        example.run(recorded, "old", lost=lost, cause=example.CAUSE),
        example.run(recorded, "newer"),
        example.run(recorded, "queue", lost=lost, cause=example.CAUSE),
    ]
    assert _story(conversations(recorded, runs)).rescue == "newer answered all 2, in 1\u00a0reply."


def test_hostile_texts_stay_texts() -> None:
    evil = "</title><script>window.pwned=1</script>\u202eabc"
    messages = [example.message(1, 0, evil), example.message(2, 100, evil)]
    recorded = example.recording(evil, messages)
    runs = [
        example.run(recorded, evil, lost=[(messages[0]["phone"], "m2")]),
        example.run(recorded, "queue"),
    ]
    story = story_of([(evil, conversations(recorded, runs))])
    html = str(environment().get_template("story.html").module.story_section(story))  # type: ignore[attr-defined]
    assert "<script" not in html
    assert "\u202e" not in html
    assert set(re.findall(r"<(\w+)", html)) <= {
        *(
            "section",
            "div",
            "h2",
            "span",
            "bdi",
            "p",
            "strong",
            "figure",
            "svg",
            "title",
            "desc",
            "rect",
            "path",
        ),
        *("text", "tspan", "g", "table", "thead", "tbody", "tr", "th", "td", "b"),
    }


def test_the_story_shows_the_queue_with_each_set_of_rules() -> None:
    result = example.incident_with_profiles()
    story = _story(conversations(result["recordings"][0], result["runs"]))
    assert story.systems == ["buffer-v1", "queue", "queue (quick)"]
    assert story.rescue.replace("\u00a0", " ") == (
        "This project's queue answered all 5: queue in 1 reply, queue (quick) in 1 reply."
    )
    words = [step.words for moment in story.moments for step in moment.steps[2]]
    assert words == [
        "takes 1\u20135, asks the AI",
        "drops the answer: more was written meanwhile",
        "takes 1\u20135, asks the AI",
        "replies to 1\u20135",
    ]
