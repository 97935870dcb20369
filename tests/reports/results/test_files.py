"""Reading of results: valid files are read, and an error says what is wrong, where, and what to do."""

from __future__ import annotations

import contextlib
import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reports.compare.baseline import baseline_of
from reports.compare.compare import compare
from reports.results.files import Result, ResultError, read_result
from tests.reports import audit_example, example, failover_example, load_example, sweep_example

RESULTS: dict[str, Any] = {
    "replay": example.incident(),
    "replay with profiles": example.incident_with_profiles(),
    "load": load_example.empty(),
    "sweep": sweep_example.nothing(),
    "audit": audit_example.bad_day(),
    "failover": failover_example.kept(),
    "baseline of a replay": baseline_of(example.incident()),
    "baseline of a load test": baseline_of(load_example.empty()),
}
VALID = json.dumps(RESULTS["replay"]).encode()


def _error(path: Path) -> str:
    with pytest.raises(ResultError) as caught:
        read_result(path)
    words = str(caught.value)
    assert words.startswith(str(path))
    assert "\n" not in words
    return words


@pytest.mark.parametrize("name", list(RESULTS))
def test_a_result_that_was_written_is_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(RESULTS[name], ensure_ascii=False), encoding="utf-8")
    assert json.dumps(read_result(path), sort_keys=True) == json.dumps(RESULTS[name], sort_keys=True)


def test_a_missing_file_a_folder_and_a_device_are_refused(tmp_path: Path) -> None:
    assert "there is no such file" in _error(tmp_path / "missing.json")
    assert "is a folder" in _error(tmp_path)
    assert "is a device" in _error(Path("/dev/zero"))


def test_the_error_for_a_file_cut_in_half_says_how_long_it_is(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(VALID[: len(VALID) // 2])
    assert f"ends in the middle, after {len(VALID) // 2:,} bytes" in _error(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"  \n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"\xff{}", "is not UTF-8"),
        ('{"kind": 1}'.encode("utf-16"), "is UTF-16 text; results are UTF-8"),
        (b"hello", "is not JSON (line 1, column 1)"),
        (b"{'kind': 1}", "is not JSON (line 1, column 2)"),
        (b"[1, 2]", "holds a single value or a list, not a result"),
        (b"null", "holds a single value or a list, not a result"),
        (b"{}", "its kind is missing"),
        (b'{"kind": "hammer"}', 'its kind is "hammer"; known kinds are replay, load'),
        (b'{"kind": ["replay"]}', 'its kind is ["replay"]'),
        (b'{"kind": "replay"}', "its schema is missing"),
        (b'{"kind": "replay", "schema": "1"}', 'its schema is "1"'),
        (b'{"kind": "replay", "schema": 99}', "a newer version (schema 99; this program reads 3); update"),
        (b'{"kind": "replay", "schema": 3}', "the key `seed` is missing - at `$`"),
        (b'{"kind": "replay", "schema": 1, "seed": NaN}', "holds NaN, which is not a number in JSON"),
        (b'{"kind": "replay", "schema": 1e999}', "a number that is too large"),
        (b"[" + b"9" * 5000 + b"]", "a number that is too large"),
        (rb'{"kind": "\ud83d"}', "holds a text with half of a surrogate pair"),
        (rb'"\ud83d"', "holds a text with half of a surrogate pair"),
        (b'{"kind": "replay", "schema": 1, "schema": 2}', 'has the key "schema" twice in one object'),
        (b'{"kind": "replay", "runs": [{"sent": 1, "sent": 1}]}', 'has the key "sent" twice in one object'),
        (b'{"kind": "replay", "schema"', "ends in the middle, after 27 bytes"),
        (b'{"kind": "replay", "schema": 1, "text": "\xd8', "ends in the middle"),
        (b"[" * 200_000, "nested too deeply"),
        (b"[" * 200_000 + b"]" * 200_000, "nested too deeply"),
    ],
)
def test_a_file_without_a_result_is_refused_in_one_line(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(content)
    assert words in _error(path)


def test_a_byte_order_mark_of_an_editor_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(b"\xef\xbb\xbf" + VALID)
    assert json.dumps(read_result(path), sort_keys=True) == json.dumps(RESULTS["replay"], sort_keys=True)


def test_the_log_of_a_run_may_hold_any_numbers(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(
        _broken("replay", "runs", 0, "log", value=[{"timespan": -35, "big": 10**17, "at": None}])
    )
    assert read_result(path)["kind"] == "replay"


def test_samples_of_two_clocks_may_be_negative(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(_broken("load", "latency_ms", "dispatch_lag", value=[-0.2, 1.0]))
    assert read_result(path)["kind"] == "load"


def test_the_error_for_an_older_version_says_how_to_make_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = {"replay": (dict, 4)}
    monkeypatch.setattr("reports.results.files.KINDS", kinds)
    path = tmp_path / "result.json"
    path.write_bytes(VALID)
    assert "an older version (schema 3; this program reads 4); make it again: python -m sim replay" in _error(
        path
    )


def test_the_error_for_a_long_text_is_short_and_has_its_path(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(_broken("replay", "runs", 1, "ledger", 2, "fate", value="lost " * 5000))
    words = _error(path)
    assert len(words) < len(str(path)) + 300
    assert "the text is not one of the known values" in words
    assert "$.runs[1].ledger[2].fate" in words


@pytest.mark.parametrize("key", ["recording", "system"])
def test_a_run_of_a_recording_or_system_that_the_result_does_not_name_is_refused(
    key: str, tmp_path: Path
) -> None:
    broken = copy.deepcopy(RESULTS["replay"])
    broken["runs"][1][key] = "another"
    path = tmp_path / "result.json"
    path.write_text(json.dumps(broken))
    assert f'the {key} "another" is not in the result - at `$.runs[1]`' in _error(path)


def _broken(name: str, *steps: str | int, value: object) -> bytes:
    """Return a result of RESULTS with another value at the path `steps`, as JSON."""
    broken = copy.deepcopy(RESULTS[name])
    at = broken
    for step in steps[:-1]:
        at = at[step]
    at[steps[-1]] = value
    return json.dumps(broken).encode()


_RUN = RESULTS["baseline of a replay"]["replay"]["runs"][0]
_RECORDING = RESULTS["replay"]["recordings"][0]
_CONTRADICTIONS = {
    'a rule of "queue (quick)" is not a whole number - at `$.settings`': _broken(
        "replay with profiles", "settings", "queue (quick)", "idle_ms", value="3s"
    ),
    "a number is too large - at `$.runs[1].ai_calls`": _broken("replay", "runs", 1, "ai_calls", value=2**65),
    "a number is too large - at `$.latency_ms.reply[1]`": _broken(
        "load", "latency_ms", "reply", value=[1.0, 1e308]
    ),
    'there are two recordings "incident.jsonl" - at `$.recordings[1]`': _broken(
        "replay", "recordings", value=[_RECORDING, _RECORDING]
    ),
    "run 0 of this recording on this system is there twice - at `$.replay.runs[1]`": _broken(
        "baseline of a replay", "replay", "runs", 1, value=_RUN
    ),
    'the recording "incident.jsonl" is not in the result - at `$.replay.runs[0]`': _broken(
        "baseline of a replay", "replay", "digests", value={}
    ),
    "`twice_after_lost_write` is greater than `twice` - at `$.rows[0]`": _broken(
        "failover", "rows", value=[failover_example.row("steady", twice_after_lost_write=1)]
    ),
    "more messages were answered or lost than acknowledged - at `$.rows[0]`": _broken(
        "failover", "rows", value=[{**failover_example.row("steady"), "once": 4_001}]
    ),
    "`ok` and the rows contradict each other - at `$.ok`": _broken("failover", "ok", value=False),
    "the recommended row does not exist - at `$.recommended`": _broken("sweep", "recommended", value=0),
    '`of` is "replay", so that part must be there, and the other must be null': _broken(
        "baseline of a replay", "replay", value=None
    ),
    '`of` is "load", so that part must be there, and the other must be null': _broken(
        "baseline of a load test", "load", value=None
    ),
    "a number is too large - at `$.runs[0].batches[0].replied_at_ms`": _broken(
        "replay", "runs", 0, "batches", 0, "replied_at_ms", value=10**16
    ),
    "a number is less than 0 - at `$.runs[1].sent`": _broken("replay", "runs", 1, "sent", value=-5),
    "a number is less than 0 - at `$.ledger.lost`": _broken("load", "ledger", "lost", value=-1),
    'the setting "window_ms" is not a time - at `$.settings`': _broken(
        "replay", "settings", "window_ms", value="soon"
    ),
    "the setting faults is not a list of texts - at `$.settings`": _broken(
        "replay", "settings", "faults", value={"timer-dies": 0.1}
    ),
    "the runs have different faults - at `$.runs`": _broken(
        "replay", "runs", 1, "faults", value=[{"name": "timer-dies", "rate": 0.5, "struck": 0}]
    ),
    "the rate of a fault exceeds 1 - at `$.runs[1].faults`": _broken(
        "replay", "runs", 1, "faults", value=[{"name": "timer-dies", "rate": 1.5, "struck": 0}]
    ),
    "a fault has no times, or ends before it starts - at `$.runs[1].faults`": _broken(
        "replay",
        "runs",
        1,
        "faults",
        value=[{"name": "redis-away", "start_ms": 9000, "end_ms": 8000, "struck": 1}],
    ),
    "answered is 5, but the ledger has 4 such messages - at `$.runs[1]`": _broken(
        "replay", "runs", 1, "ledger", 0, "fate", value="pending"
    ),
    "lost is 0, but the ledger has 2 such messages - at `$.runs[0]`": _broken(
        "replay", "runs", 0, "lost", value=[]
    ),
    'the recording "gone" is not in the result - at `$.expectations[0]`': _broken(
        "replay", "expectations", 0, "recording", value="gone"
    ),
    "a probability is outside of its interval, or the interval exceeds 1 - at `$.loss[0]`": _broken(
        "replay", "loss", value=[example.estimate(3, 5)]
    ),
    'the cause marked_unread of "m4" lacks the value answering - at `$.runs[0].causes`': _broken(
        "replay", "runs", 0, "causes", "m4", value={"code": "marked_unread"}
    ),
    'the cause ai_failed of "m4" must not have the value calls - at `$.runs[0].causes`': _broken(
        "replay", "runs", 0, "causes", "m4", value={"code": "ai_failed", "calls": 2}
    ),
    "the text is not one of the known values - at `$.runs[0].causes[...].code`": _broken(
        "replay", "runs", 0, "causes", "m4", value={"code": "eaten"}
    ),
    "an expected log line lacks `line` or `fields` - at `$.expectations[0]`": _broken(
        "replay", "expectations", 0, "outcome", value="logged"
    ),
    'the size "two" of a turn is not a number - at `$.batches.sizes`': _broken(
        "load", "batches", "sizes", value={"1": 5, "two": 1}
    ),
    'the size "\\u00b2" of a turn is not a number - at `$.batches.sizes`': _broken(
        "load", "batches", "sizes", value={"²": 1}
    ),
    "a fault ends before it starts - at `$.faults[0]`": _broken(
        "load", "faults", value=[{"code": "worker-dies", "start_s": 9.0, "end_s": 2.0}]
    ),
    "a recommendation and a reason for none are both there, or both missing - at `$.no_recommendation`": _broken(
        "sweep", "no_recommendation", value=None
    ),
    "more turns are split, or have several messages, than the row counts - at `$.rows[0]`": _broken(
        "sweep", "rows", value=[{**sweep_example.choice(8, 5), "split_turns": 999}]
    ),
    "more messages than were sent are lost, dead-lettered or waiting - at `$.rows[0]`": _broken(
        "sweep", "rows", value=[sweep_example.choice(8, 5, lost=1001)]
    ),
    "the counts of messages by fate do not add up to `sent` - at `$.replay.runs[0]`": _broken(
        "baseline of a replay", "replay", "runs", 0, "lost", value=1
    ),
    "a time is too late for a date - at `$.recordings[0]`": _broken(
        "audit", "recordings", 0, "epoch_ms", value=10**15
    ),
    "a time is too late for a date - at `$.busiest[0]`": _broken(
        "audit", "busiest", value=[{"at_ms": 10**15, "messages": 1, "unanswered": 0}]
    ),
    "a time is too late for a date - at `$.worst[0]`": _broken(
        "audit", "worst", 0, "messages", 0, "at_ms", value=10**15
    ),
    "a message names a reply that does not exist - at `$.worst[0]`": _broken(
        "audit", "worst", 0, "replies", value=[]
    ),
    "the outcome of a message cannot be read - at `$.replay.runs[0].messages[0]`": _broken(
        "baseline of a replay", "replay", "runs", 0, "messages", 0, value="15000 <b> 8351 4024 1800"
    ),
}


@pytest.mark.parametrize(
    ("steps", "value", "words"),
    [
        (("seed",), "x", "there must be a whole number, not a text - at `$.seed`"),
        (
            ("runs", 1, "ledger", 2, "answered_at_ms"),
            "soon",
            "there must be a whole number or null, not a text - at `$.runs[1].ledger[2].answered_at_ms`",
        ),
        (("runs", 0, "ledger"), None, "there must be a list, not null - at `$.runs[0].ledger`"),
        (
            ("runs", 0, "batches", 0, "ai_ms"),
            [[1]],
            "there must be a list of length 2, not 1 - at `$.runs[0].batches[0].ai_ms[0]`",
        ),
    ],
)
def test_the_error_for_a_wrong_type_has_words_and_its_path(
    steps: tuple[str | int, ...], value: object, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(_broken("replay", *steps, value=value))
    assert words in _error(path)


@pytest.mark.parametrize("words", list(_CONTRADICTIONS))
def test_a_contradiction_is_refused_with_its_path(words: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(_CONTRADICTIONS[words])
    assert words in _error(path)


_JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.text(max_size=5),
    st.just([]), st.just({}), st.lists(st.integers(), max_size=3), st.just(10**400), st.just(1e308),
    st.sampled_from(["1 2 3", "9" * 5000, "1+twice+order", "lost", "queue"]), st.just(["1 2 3 4 5"] * 2),
)  # fmt: skip


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_broken_file_gives_a_result_error(data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    if data.draw(st.booleans()):
        path.write_bytes(VALID[: data.draw(st.integers(0, len(VALID)))])
    else:
        name = data.draw(st.sampled_from(list(RESULTS)))
        broken = copy.deepcopy(RESULTS[name])
        at: Any = broken
        while True:
            key = data.draw(st.sampled_from(list(at) if isinstance(at, dict) else range(len(at))))
            if not at[key] or not isinstance(at[key], dict | list) or data.draw(st.booleans()):
                at[key] = data.draw(_JUNK)
                break
            at = at[key]
        path.write_text(json.dumps(broken))
    try:
        result = read_result(path)
    except ResultError as error:
        assert str(path) in str(error)  # noqa: PT017 - either is right
        return
    for after in (RESULTS["replay"], RESULTS["load"]):
        _compare_both_ways(result, after)


def _compare_both_ways(result: Result, after: Result) -> None:
    for pair in ((result, after), (after, result)):
        with contextlib.suppress(ResultError):
            assert str(compare(*pair).verdict)
