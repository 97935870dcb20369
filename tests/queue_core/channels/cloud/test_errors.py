"""Errors of the Cloud API: the table, and the answers from which its codes are read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from queue_core import GiveUpError, RetryLaterError
from queue_core.channels.cloud.errors import _ROWS, CODES, meaning_of, refusal_of
from queue_core.channels.errors import Consequence
from queue_core.errors import SendUncertainError
from queue_core.http_client import HttpAnswer


def answer(status: int, body: Any, *, retry_after_s: float | None = None, usage: str = "") -> HttpAnswer:
    """Make an answer of the provider; `usage` is what it says of the account's limits."""
    headers = {"X-Business-Use-Case-Usage": usage} if usage else {}
    return HttpAnswer(status, json.dumps(body).encode(), retry_after_s, headers)


def error_body(code: Any, **further: Any) -> dict[str, Any]:
    """Make the body of an error as Meta writes it."""
    return {"error": {"message": f"(#{code}) x", "type": "OAuthException", "code": code, **further}}


def test_no_code_has_two_rows() -> None:
    codes = [row[1] for row in _ROWS]
    assert len(codes) == len(set(codes))
    assert not {1, 131000, *range(200, 300)} & set(codes)


@pytest.mark.parametrize("code", CODES)
def test_each_code_has_its_error(code: int) -> None:
    """The reason has the code and the words; the kind of error is that of the row."""
    meaning = CODES[code]
    error = refusal_of(answer(400 if meaning.not_sent else 500, error_body(code))).error()
    assert f"error {code}: {meaning.words}" in str(error)
    if not meaning.not_sent:
        assert isinstance(error, SendUncertainError)
    elif meaning.consequence == "never":
        assert isinstance(error, GiveUpError)
    else:
        assert isinstance(error, RetryLaterError)
        assert error.after_ms == meaning.after_ms


@pytest.mark.parametrize(
    ("consequence", "codes"),
    [
        ("never", (100, 130472, 131026, 131047, 131050)),
        ("operator", (0, 3, 10, 190, 200, 250, 299, 368, 131005, 131031, 131042, 133010)),
        ("outage", (2, 131016, 131057, 133004)),
        ("number limit", (4, 613, 80007, 130429)),
        ("pair limit", (131056,)),
        ("later", (1, 131000, 135000, 999_999)),
    ],
)
def test_each_code_that_matters_has_its_consequence(consequence: Consequence, codes: tuple[int, ...]) -> None:
    assert {code: meaning_of(code).consequence for code in codes} == dict.fromkeys(codes, consequence)


def test_the_pair_limit_waits_for_more_than_6_s() -> None:
    assert (meaning_of(131056).after_ms or 0) >= 6_000, "one message in 6 s between two numbers"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (error_body(131056), 131056),
        (error_body("131056"), 131056),
        ({"error": {"message": "(#131056) Pair rate limit hit"}}, 131056),
        ({"errors": [{"code": 131056, "title": "x"}], "meta": {"api_status": "stable"}}, 131056),
        (error_body(0), 0),
    ],
)
def test_a_code_is_found_wherever_it_stands(body: dict[str, Any], code: int) -> None:
    """The forms without an `error.code` are those of gateways between Meta and its customers."""
    assert refusal_of(answer(400, body)).meaning == CODES[code]


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "x",
        {},
        {"error": None},
        {"error": "x"},
        {"error": {"code": True}},
        {"error": {"code": 1.5}},
        {"errors": [7]},
    ],
)
def test_an_answer_without_a_code_is_judged_by_its_status(body: Any) -> None:
    assert refusal_of(answer(401, body)).meaning.consequence == "operator"
    assert isinstance(refusal_of(answer(500, body)).error(), SendUncertainError)
    assert isinstance(refusal_of(answer(422, body)).error(), RetryLaterError)


@pytest.mark.parametrize(
    ("status", "kind", "blames"),
    [(400, RetryLaterError, "turn"), (403, RetryLaterError, "backend"), (429, RetryLaterError, "limit")],
)
def test_an_unknown_code_is_tried_again(status: int, kind: type[RetryLaterError], blames: str) -> None:
    error = refusal_of(answer(status, error_body(987_654))).error()
    assert isinstance(error, kind)
    assert error.blames == blames
    assert "987654" in str(error)


def test_an_unknown_code_of_a_server_that_failed_may_have_been_sent() -> None:
    assert isinstance(refusal_of(answer(500, error_body(987_654))).error(), SendUncertainError)


@pytest.mark.parametrize("code", [1, 131000])
def test_a_refused_request_was_not_sent(code: int) -> None:
    """Meta uses these codes for requests that it refuses, and for failures while it sends."""
    assert isinstance(refusal_of(answer(400, error_body(code))).error(), RetryLaterError)
    assert isinstance(refusal_of(answer(500, error_body(code))).error(), SendUncertainError)


def test_an_unknown_phone_number_is_not_the_fault_of_the_message() -> None:
    """Meta uses code 100 for both: a wrong parameter, and an id that the token does not see."""
    words = "Unsupported post request. Object with ID '1' does not exist, cannot be loaded due to missing permissions"
    for body in (error_body(100, error_subcode=33), {"error": {"code": 100, "message": words}}):
        unknown = refusal_of(answer(400, body))
        assert unknown.meaning.consequence == "operator"
        assert "check CLOUD_ACCESS_TOKEN" in str(unknown.error())
    assert refusal_of(answer(400, error_body(100, error_subcode=2494010))).meaning.consequence == "never"


@pytest.mark.parametrize(
    ("code", "asked_s", "after_ms"), [(131056, 30.0, 30_000), (131056, 1.0, 8_000), (190, 7.0, 7_000)]
)
def test_the_longer_wait_counts(code: int, asked_s: float, after_ms: int) -> None:
    assert refusal_of(answer(400, error_body(code), retry_after_s=asked_s)).after_ms == after_ms


def _usage(minutes: Any) -> str:
    limits = [
        {"type": "messages", "call_count": 3},
        {"type": "x", "estimated_time_to_regain_access": minutes},
    ]
    return json.dumps({"7001": limits, "7002": [{"estimated_time_to_regain_access": 0}]})


@pytest.mark.parametrize(
    ("code", "usage", "after_ms"),
    [
        (80007, _usage(4), 240_000),
        (80007, _usage("5"), 300_000),
        (80007, _usage(0), 60_000),
        (80007, _usage(90), 600_000),
        (80007, _usage(-3), 60_000),
        (80007, _usage({"low": 1}), 60_000),
        (80007, '{"7001": 3}', 60_000),
        (80007, "no JSON", 60_000),
        (131047, _usage(4), None),
        (131056, _usage(4), 8_000),
    ],
)
def test_an_account_waits_for_as_long_as_its_limit_lasts(code: int, usage: str, after_ms: int | None) -> None:
    """The Graph API tells it in minutes, in a header of its own. A limit of the account concerns no other error."""
    assert refusal_of(answer(400, error_body(code), usage=usage)).after_ms == after_ms
