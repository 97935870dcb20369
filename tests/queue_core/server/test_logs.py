"""Logs: one line per event, whatever is in it."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from queue_core.server.logs import VALUE_LENGTH_MAX, configure_logging

LOG = logging.getLogger("queue_core.events")
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
HOSTILE = 'a\nb\r\x1b[2J\x9b\u2028\u202e"\x00\ud800'


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    LOG.handlers[:] = []
    LOG.propagate = True


def configure_alone(format_: Any) -> None:
    """Configure logging without pytest's handlers: half a surrogate pair in their reports breaks pytest-xdist."""
    configure_logging(format_, "info")
    LOG.handlers[:] = logging.getLogger().handlers[-1:]
    LOG.propagate = False


Captured = pytest.CaptureFixture[str]


def lines(capsys: Captured) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_text_is_time_level_logger_event_and_fields(capsys: Captured) -> None:
    configure_logging("text", "info")
    fields = {"conversation": "4f0c21ab9e", "took_ms": 3.1, "last": True, "reason": 'no "room" = left'}
    LOG.warning("message %s", "queued", extra=fields)
    (line,) = lines(capsys)
    assert re.fullmatch(
        rf"{TIME} WARNING queue_core\.events message queued conversation=4f0c21ab9e took_ms=3\.1 last=true "
        r'reason="no \\"room\\" = left"',
        line,
    )


def test_text_has_moments_as_dates_and_durations_as_they_are(capsys: Captured) -> None:
    fields = {"since_ms": 1_795_684_661_229, "took_ms": 86_400_000, "oldest_ms": None, "age_ms": True}
    configure_logging("text", "info")
    LOG.info("away", extra=fields)
    assert lines(capsys)[0].endswith(
        " away since=2026-11-26T09:17:41.229Z took_ms=86400000 oldest_ms=null age_ms=true"
    )
    configure_logging("json", "info")
    LOG.info("away", extra=fields)
    assert json.loads(lines(capsys)[0])["since_ms"] == 1_795_684_661_229


def test_json_is_an_object_with_the_fields(capsys: Captured) -> None:
    configure_logging("json", "INFO")
    LOG.info("turn completed", extra={"messages": 3, "reason": None, "name_of_it": "خالد"})
    (line,) = lines(capsys)
    event = json.loads(line)
    assert re.fullmatch(TIME, event.pop("ts"))
    assert event == {
        "level": "info",
        "logger": "queue_core.events",
        "event": "turn completed",
        "messages": 3,
        "reason": None,
        "name_of_it": "خالد",
    }
    assert "خالد" in line, "people read it as well"


def test_fields_never_replace_what_every_line_has(capsys: Captured) -> None:
    configure_logging("json", "info")
    LOG.info("real", extra={"event": "forged", "level": "debug", "ts": "never"})
    event = json.loads(lines(capsys)[0])
    assert (event["event"], event["level"]) == ("real", "info")
    assert event["event_"] == "forged"


@pytest.mark.parametrize("format_", ["text", "json"])
def test_hostile_text_stays_on_its_line_and_off_the_terminal(format_: Any, capsys: Captured) -> None:
    configure_alone(format_)
    LOG.info("said %s", HOSTILE, extra={"field": HOSTILE})
    output = capsys.readouterr().err
    assert output.endswith("\n")
    assert output.removesuffix("\n").isprintable()
    if format_ == "json":
        assert json.loads(output)["field"] == HOSTILE, "nothing is lost by it"


@given(
    st.text(st.characters()),
    st.dictionaries(st.from_regex(r"x_[a-z]{1,9}", fullmatch=True), st.text() | st.floats() | st.integers()),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_event_is_one_line(capsys: Captured, text: str, fields: dict[str, Any]) -> None:
    outputs = []
    for format_ in ("text", "json"):
        configure_alone(format_)
        LOG.info("%s", text, extra=fields)
        outputs.append(capsys.readouterr().err)
        assert outputs[-1].count("\n") == 1
        assert outputs[-1][:-1].isprintable()
    event = json.loads(outputs[-1], parse_constant=pytest.fail)
    assert event["event"] == text
    assert set(fields) < set(event)


@pytest.mark.parametrize("format_", ["text", "json"])
def test_an_exception_is_on_the_line_of_its_event(format_: Any, capsys: Captured) -> None:
    configure_logging(format_, "info")
    try:
        int("first\nsecond")
    except ValueError:
        LOG.exception("it failed", stack_info=True)
    (line,) = lines(capsys)
    assert "ValueError: invalid literal" in line
    assert "Traceback" in line
    assert "test_logs.py" in line
    if format_ == "json":
        assert json.loads(line)["exception"].endswith(r"base 10: 'first\nsecond'")


def test_a_line_with_a_value_that_cannot_be_shown_is_logged(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's handler would raise errors

    class Hostile:
        def __str__(self) -> str:
            raise RuntimeError("no")

    configure_logging("json", "info")
    LOG.info("%d messages", "three", extra={"who": Hostile(), "share": float("nan"), "many": 10**400})
    event = json.loads(lines(capsys)[0])
    assert event["event"] == "%d messages"
    assert (event["who"], event["share"], event["many"]) == ("<Hostile>", "nan", str(10**400))


def test_a_value_is_cut_and_a_traceback_keeps_its_end(capsys: Captured) -> None:
    configure_logging("json", "info")
    error = ValueError("x" * 100_000 + " the end")
    LOG.error("y" * 100_000, exc_info=error)
    event = json.loads(lines(capsys)[0])
    assert len(event["event"]) == VALUE_LENGTH_MAX + 1
    assert len(event["exception"]) < VALUE_LENGTH_MAX + 10
    assert event["exception"].endswith("the end")


def test_only_the_level_and_above_is_shown_and_a_second_call_replaces_the_first(capsys: Captured) -> None:
    configure_logging("text", "debug")
    configure_logging("json", "warning")
    LOG.info("unheard")
    LOG.error("heard")
    assert [json.loads(line)["event"] for line in lines(capsys)] == ["heard"]
    with pytest.raises(ValueError, match="LOUD"):
        configure_logging("text", "loud")


def test_addresses_of_requests_are_not_logged(capsys: Captured) -> None:
    configure_logging("text", "debug")
    logging.getLogger("aiohttp.access").info("POST /webhook/a-secret/evolution")
    assert lines(capsys) == []
