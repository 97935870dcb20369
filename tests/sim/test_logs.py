"""The recordings that ship with the project, and the README that lists them."""

from __future__ import annotations

import re
import shlex
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import pytest

from queue_core.recording.format import IGNORED_EVENTS, OTHER_EVENTS, SETTING_NAMES, Expectation, Recording
from queue_core.recording.reader import load
from queue_core.recording.writer import dump
from sim.cli import main
from sim.engine.settings import SimSettings, with_options
from sim.expectations import check
from sim.replay import replay
from sim.systems import all_systems

LOGS = Path(__file__).resolve().parents[2] / "logs"
NAMES = sorted(path.name for path in LOGS.glob("*.jsonl"))
NOTHING_WRONG = Expectation(lost=(), duplicated=(), reordered=())


def shipped(name: str) -> Recording:
    """Load a shipped recording."""
    (recording,) = load([LOGS / name])
    return recording


def times(name: str) -> list[int]:
    """Return the arrival times of a shipped recording."""
    return [arrival.at_ms for arrival in shipped(name).arrivals]


@pytest.mark.parametrize("name", NAMES)
def test_each_recording_describes_itself_and_expects_the_queue_to_lose_nothing(name: str) -> None:
    """Readers of a report need the title, the source, and the facts that were made up."""
    recording = shipped(name)
    assert recording.title
    assert recording.source
    assert recording.notes
    assert recording.expect["queue"] == NOTHING_WRONG
    assert not recording.skipped


@pytest.mark.parametrize("name", NAMES)
def test_each_recording_is_exactly_what_dump_writes(name: str) -> None:
    """A diff of a recording then shows only real changes."""
    assert "".join(dump(shipped(name))) == (LOGS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_an_id_belongs_to_one_conversation_only(name: str) -> None:
    """Expectations and results name messages by id alone, so no two conversations here share an id."""
    conversations = defaultdict(set)
    for arrival in shipped(name).arrivals:
        conversations[arrival.id].add((arrival.instance, arrival.phone))
    assert all(len(of_id) == 1 for of_id in conversations.values())


@pytest.mark.parametrize("name", NAMES)
def test_no_phone_could_be_dialled(name: str) -> None:
    """Made-up users have no numbers that may be somebody's."""
    assert not any(re.search(r"\d{7}", arrival.phone) for arrival in shipped(name).arrivals)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", [name for name in NAMES if name != "synthetic-day.jsonl"])
def test_expected_outcomes_match(name: str, seed: int) -> None:
    """The outcomes match under each seed, and the queue claims each batch within 50 ms of its due time.

    The synthetic day is left out, because it takes too long.
    """
    recording = shipped(name)
    settings = with_options(SimSettings(seed=seed), recording.settings)
    systems = all_systems()
    runs = [replay(recording, systems[name], settings) for name in recording.expect]
    results = check(recording, runs, used=settings, recorded=settings)
    assert {result["system"] for result in results} == set(recording.expect)
    assert [result for result in results if not result["held"]] == []
    (queue,) = [run for run in runs if run["system"] == "queue"]
    assert queue["dispatch_lag_ms"]["max"] is not None
    assert queue["dispatch_lag_ms"]["max"] <= 50


def test_the_readme_lists_exactly_the_shipped_recordings() -> None:
    """Each recording has a line about its source."""
    listed = re.findall(
        r"^\| `([^`]+\.jsonl)` \|[^|]+\|[^|]+\|$", (LOGS / "README.md").read_text(), re.MULTILINE
    )
    assert sorted(listed) == NAMES


def test_the_readme_names_every_setting_and_event() -> None:
    """The README lists the names of all settings and events that a recording may have."""
    readme = (LOGS / "README.md").read_text(encoding="utf-8")
    (settings,) = (line for line in readme.splitlines() if line.startswith("| `settings`"))
    assert {name for name in SETTING_NAMES if f"`{name}`" in settings} == SETTING_NAMES
    assert all(f"`{name}`" in readme for name in (*IGNORED_EVENTS, *(event.name for event in OTHER_EVENTS)))


def test_the_readmes_examples_can_be_read(tmp_path: Path) -> None:
    """The shortest recording and the header, as they stand in the README."""
    blocks = re.findall(r"```json\n(.*?)```", (LOGS / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    path = tmp_path / "x.jsonl"
    shortest, header, reply = blocks
    path.write_text(shortest, encoding="utf-8")
    assert [arrival.id for arrival in load([path])[0].arrivals] == ["m1", "m2"]
    path.write_text(header + shortest.replace('"m1"', '"m4"').replace('"m2"', '"m5"'), encoding="utf-8")
    assert load([path])[0].expect["buffer-v1"].lost == ("m4", "m5")
    path.write_text(shortest + reply, encoding="utf-8")
    assert [event.name for event in load([path])[0].others] == ["reply"]


def test_the_incident_holds_the_known_facts() -> None:
    """Texts, three times, and the expected two losses and two log lines."""
    incident = shipped("incident.jsonl")
    by_id = {arrival.id: arrival for arrival in incident.arrivals}
    assert list(by_id) == ["m1", "m2", "m3", "m4", "m5"]
    assert (by_id["m1"].at_ms, by_id["m3"].at_ms, by_id["m4"].at_ms) == (0, 6649, 10976)
    assert by_id["m1"].text == "ممكن أعرف اسمك؟ ⭐ أهلا وسهلا مقبولا ⭐"
    assert [by_id[message_id].text for message_id in ("m2", "m3", "m4", "m5")] == [
        "عبدالرحيم", "من القوي", "وجبة واحدة", "لايف ستايل",
    ]  # fmt: skip
    assert all(word in incident.notes for word in ("m2", "m5", "chosen"))
    for system in ("buffer-v1", "buffer-v2"):
        assert incident.expect[system] == Expectation(
            lost=("m4", "m5"),
            log=(
                {"event": "buffer.appended", "totalMessages": 4, "timespan": 10976},
                {"event": "buffer.read", "messageCount": 3, "timespan": 6649},
            ),
        )


@pytest.mark.parametrize("fourth_ms", [7990, 8000, 8010])
def test_three_recordings_are_the_incident_with_its_fourth_message_near_the_end_of_the_window(
    fourth_ms: int,
) -> None:
    turn, incident = shipped(f"turn-fourth-at-{fourth_ms}-ms.jsonl"), shipped("incident.jsonl")
    for moved, original in zip(turn.arrivals, incident.arrivals, strict=True):
        assert (moved.id, moved.text) == (original.id, original.text)
        assert moved.at_ms == (fourth_ms if moved.id == "m4" else original.at_ms)


def test_one_recording_is_the_incident_with_its_messages_300_ms_apart() -> None:
    assert times("turn-300-ms-apart.jsonl") == [0, 300, 600, 900, 1200]


def test_the_storm_has_100_messages_in_10_s_from_several_users() -> None:
    storm = shipped("storm-100-in-10-s.jsonl")
    assert len({arrival.id for arrival in storm.arrivals}) == len(storm.arrivals) == 100
    assert storm.arrivals[-1].at_ms - storm.arrivals[0].at_ms < 10_000
    assert min(Counter(arrival.phone for arrival in storm.arrivals).values()) > 5


def test_sixty_users_write_in_the_same_millisecond() -> None:
    first = [arrival for arrival in shipped("users-60-at-once.jsonl").arrivals if arrival.at_ms == 0]
    assert len({arrival.phone for arrival in first}) == len(first) == 60


def test_one_user_does_not_stop() -> None:
    """The user writes for two minutes, without a silence as long as the window."""
    of_user = times("never-stops.jsonl")
    assert of_user[-1] >= 115_000
    assert max(later - earlier for earlier, later in pairwise(of_user)) < 8000
    assert len({arrival.phone for arrival in shipped("never-stops.jsonl").arrivals}) == 1


def test_a_message_is_delivered_three_times() -> None:
    """One id arrives at three times, with one timestamp."""
    arrivals = shipped("delivered-three-times.jsonl").arrivals
    thrice = [arrival for arrival in arrivals if arrival.id == "m2"]
    assert len(thrice) == len({arrival.at_ms for arrival in thrice}) == 3
    assert len({arrival.timestamp_ms for arrival in thrice}) == 1


def test_after_downtime_timestamps_are_before_the_start() -> None:
    """All messages were sent before the first one arrived, and they arrive out of order."""
    arrivals = shipped("after-downtime.jsonl").arrivals
    assert all(-20 * 60_000 <= arrival.timestamp_ms < 0 for arrival in arrivals)
    sent = [arrival.timestamp_ms for arrival in arrivals if arrival.phone == "user-10"]
    assert sent != sorted(sent)


def test_hostile_names_collide_where_they_are_joined_by_a_colon() -> None:
    """Two conversations have the same key in a system that does not encode names."""
    conversations = {(arrival.instance, arrival.phone) for arrival in shipped("hostile-names.jsonl").arrivals}
    assert len(conversations) == 20
    assert {("bot:eu", "1"), ("bot", "eu:1")} <= conversations


def test_the_synthetic_day_is_what_its_command_makes(tmp_path: Path) -> None:
    """Both the command in the README and the one in the file, byte by byte."""
    day = shipped("synthetic-day.jsonl")
    assert len({arrival.id for arrival in day.arrivals}) == 2000
    (readme,) = re.findall(
        r"`python -m sim synth (--messages .*?) -o logs/synthetic-day.jsonl`",
        (LOGS / "README.md").read_text(),
    )
    for command in (readme, day.source.split("python -m sim synth ")[1]):
        path = tmp_path / "x.jsonl"
        assert main(["synth", *shlex.split(command), "-o", str(path)]) == 0
        assert path.read_bytes() == (LOGS / "synthetic-day.jsonl").read_bytes()
