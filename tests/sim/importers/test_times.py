"""Times as logs write them."""

from __future__ import annotations

import pytest

from sim.importers.times import moment_in, moment_of

MS = 1_739_300_712_000  # 2025-02-11T19:05:12Z


@pytest.mark.parametrize(
    ("text", "ms", "has_zone", "is_whole_second"),
    [
        ("2025-02-11T19:05:12.100200300Z [x] ", MS + 100, True, False),
        ("2025-02-11T19:05:12Z ", MS, True, True),
        ("2025-02-11T16:05:12.5-03:00 ", MS + 500, True, False),
        ("2025-02-11T16:05:12-0300 ", MS, True, True),
        ("2025-02-11 16:05:12.25-03,", MS + 250, True, False),
        ("2025-02-11 19:05:12+00", MS, True, True),
        ("2025-02-11 19:05:12 +5547900000001: ", MS, False, True),
        ("2025-02-11 19:05:12 -03 ", MS, False, True),
        ("2025-02-11 19:05:12-45 users", MS, False, True),
        ("[2025-02-11 19:05:12,007] INFO ", MS + 7, False, False),
        ("2025/02/11 19:05:12 webhook ", MS, False, True),
        ('10.0.0.1 - - [11/Feb/2025:16:05:12 -0300] "POST" ', MS, True, True),
        ("Tue Feb 11 2025 19:05:12 LOG ", MS, False, True),
        ("Tue Feb 11 2025 22:05:12 GMT+0300 (Arabia) ", MS, True, True),
        ("1739300712 ", MS, True, True),
        ("1739300712.250 ", MS + 250, True, False),
        ("[1739300712250] ", MS + 250, True, False),
    ],
)
def test_a_time_before_a_webhook_is_read(text: str, ms: int, has_zone: bool, is_whole_second: bool) -> None:
    moment = moment_in(text)
    assert moment is not None
    assert (moment.ms, moment.has_zone, moment.is_whole_second) == (ms, has_zone, is_whole_second)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "webhook: ",
        "2025-02-30T00:00:00Z ",
        "2025-02-11 25:00:00 ",
        "id 5547900000001 ",
        "12:30 ",
        "11/Foo/2025:16:05:12 ",
    ],
)
def test_a_text_without_a_valid_time_has_none(text: str) -> None:
    assert moment_in(text) is None


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        (1739300712, MS),
        (1739300712.25, MS + 250),
        (1739300712250, MS + 250),
        (1739300712250000, MS + 250),
        (1739300712250000000, MS + 250),
        ("1739300712250", MS + 250),
        ("2025-02-11T19:05:12.250Z", MS + 250),
        (True, None),
        (None, None),
        (12, None),
        ({"a": 1}, None),
        ("soon", None),
    ],
)
def test_a_value_is_a_time_if_it_can_be_one(value: object, ms: int | None) -> None:
    moment = moment_of(value)
    assert (moment.ms if moment else None) == ms
