"""Recordings of every shape: what is written is read again, and rubbish is refused in words."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from queue_core.recording.format import DEFAULT_EPOCH_MS, SETTING_NAMES, Arrival, Expectation, Recording
from queue_core.recording.reader import RecordingError, load
from queue_core.recording.writer import dump
from queue_core.text import visible

FILES = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=200)
"""Settings without a deadline: each example writes a file, and disks differ in speed."""
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(str.strip)
LOG_LINES = st.dictionaries(NAMES, st.integers(-(10**18), 10**18) | TEXTS, max_size=3).map(
    lambda line: {"event": "e", **line}
)


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    """Draw a recording as `load` returns it."""
    conversations = st.sampled_from(draw(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=3)))
    ids = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    times = sorted(draw(st.lists(st.integers(0, 10**9), min_size=1, max_size=12)))
    epoch_ms = draw(st.just(DEFAULT_EPOCH_MS) | st.integers(10**12, 4 * 10**12))
    if epoch_ms != DEFAULT_EPOCH_MS:
        times[0] = 0
    arrivals = []
    for at_ms in times:
        instance, phone = draw(conversations)
        lag_ms = draw(st.just(0) | st.integers(-(10**9), 10**9))
        kind = draw(st.sampled_from(["text", "image", "nfm_reply"]))
        message_id = draw(st.sampled_from(ids))
        arrivals.append(Arrival(at_ms, instance, phone, message_id, draw(TEXTS), kind, at_ms + lag_ms))
    known = sorted({arrival.id for arrival in arrivals})
    some_ids = st.none() | st.lists(st.sampled_from(known), unique=True).map(tuple)
    expectations = st.builds(
        Expectation,
        lost=some_ids, duplicated=some_ids, reordered=some_ids, dead_lettered=some_ids,
        log=st.lists(LOG_LINES, max_size=2).map(tuple),
    )  # fmt: skip
    return Recording(
        name="x.jsonl",
        title=draw(TEXTS),
        source=draw(TEXTS),
        notes=draw(TEXTS),
        epoch_ms=epoch_ms,
        arrivals=tuple(arrivals),
        settings=draw(st.dictionaries(st.sampled_from(sorted(SETTING_NAMES)), NAMES)),
        expect=draw(st.dictionaries(NAMES, expectations, max_size=3)),
    )


def load_bytes(content: bytes, *, skip_bad_lines: bool = False) -> Recording:
    """Load a file of this content named x.jsonl."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.jsonl"
        path.write_bytes(content)
        return load([path], skip_bad_lines=skip_bad_lines)[0]


@FILES
@given(recordings())
def test_what_is_dumped_is_loaded_again(recording: Recording) -> None:
    """Writing and reading lose nothing, and writing again gives the same bytes."""
    content = "".join(dump(recording)).encode()
    again = load_bytes(content)
    assert again == recording
    assert "".join(dump(again)).encode() == content


MESSAGE: dict[str, object] = {
    "event": "message",
    "at": 0,
    "instance": "bot",
    "phone": "a",
    "id": "m1",
    "text": "hi",
}
HEADER: dict[str, object] = {
    "event": "recording",
    "version": 1,
    "expect": {"queue": {"lost": ["m1"]}},
    "settings": {"ai": "constant:7s"},
}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FIELDS = [
    "event",
    "at",
    "instance",
    "phone",
    "id",
    "text",
    "kind",
    "timestamp",
    "version",
    "settings",
    "expect",
]
EVENTS = st.fixed_dictionaries(
    {"event": st.sampled_from(["message", "recording", "note"]) | JSON_VALUES},
    optional={name: JSON_VALUES for name in FIELDS if name != "event"},
).map(lambda event: json.dumps(event).encode())
DAMAGED = st.builds(
    lambda event, changes: json.dumps({**event, **changes}).encode(),
    st.sampled_from([MESSAGE, HEADER]),
    st.dictionaries(st.sampled_from(FIELDS), JSON_VALUES, max_size=2),
)


@FILES
@given(st.lists(st.binary(max_size=60) | EVENTS | DAMAGED, max_size=6).map(b"\n".join), st.booleans())
@example(b"\xef\xbb\xbf", False)
@example(b"\x00" * 50, True)
@example(b'{"event":"message","at":"2026-13-01T00:00:00Z","instance":"b","phone":"p","id":"i"}', False)
def test_any_bytes_raise_recording_errors_only(content: bytes, skip_bad_lines: bool) -> None:
    """Rubbish never shows as a traceback, and what is read can be written and read again."""
    try:
        recording = load_bytes(content, skip_bad_lines=skip_bad_lines)
    except RecordingError as error:
        words = str(error)
    else:
        words = ""
        again = load_bytes("".join(dump(recording)).encode())
        assert (again.arrivals, again.expect) == (recording.arrivals, recording.expect)
    assert words == visible(words)
