"""Errors of the providers of WhatsApp Web: what follows each, and what the operator reads of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_core import GiveUpError, RetryLaterError
from queue_core.channels.cloud import errors as cloud
from queue_core.channels.errors import Refusal
from queue_core.channels.evolution import errors as evolution
from queue_core.channels.evolution_go import errors as evolution_go
from queue_core.channels.waha import errors as waha
from queue_core.channels.whatsapp_web.errors import ROWS, meaning_in, words_of
from queue_core.errors import SendUncertainError
from queue_core.http_client import HttpAnswer
from tests.queue_core.channels.refusals import EVOLUTION, EVOLUTION_GO, WAHA, Case

READERS: Mapping[str, Callable[[HttpAnswer], Refusal | None]] = {
    "evolution": evolution.refusal_of,
    "evolution_go": evolution_go.refusal_of,
    "waha": waha.refusal_of,
}
CASES = [
    pytest.param(provider, case, id=f"{provider}: {name}")
    for provider, cases in (("evolution", EVOLUTION), ("evolution_go", EVOLUTION_GO), ("waha", WAHA))
    for name, case in cases.items()
]


def answer_of(case: Case) -> HttpAnswer:
    """Return the answer of a case, as the client hands it over."""
    return HttpAnswer(case.status, json.dumps(case.body).encode(), None)


@pytest.mark.parametrize(("provider", "case"), CASES)
def test_each_refusal_has_its_consequence(provider: str, case: Case) -> None:
    refusal = READERS[provider](answer_of(case))
    assert refusal is not None
    assert (refusal.meaning.consequence, refusal.meaning.not_sent) == (case.consequence, case.not_sent)


@pytest.mark.parametrize(("provider", "case"), CASES)
def test_the_error_tells_the_queue_what_follows(provider: str, case: Case) -> None:
    refusal = READERS[provider](answer_of(case))
    assert refusal is not None
    error = refusal.error()
    assert f"answered {case.status}" in str(error)
    assert refusal.meaning.words in str(error)
    if not case.not_sent:
        assert isinstance(error, SendUncertainError)
    elif case.consequence == "never":
        assert isinstance(error, GiveUpError)
    else:
        assert isinstance(error, RetryLaterError)
        blames = {"outage": "backend", "operator": "backend", "number limit": "limit", "pair limit": "limit"}
        assert error.blames == blames.get(case.consequence, "turn")


@pytest.mark.parametrize(("provider", "case"), CASES)
def test_a_reason_quotes_nothing_of_the_answer(provider: str, case: Case) -> None:
    """The provider's words may name a user; an operator reads the code of the row instead."""
    body = json.loads(json.dumps(case.body).replace("1@", "966500000001@"))
    refusal = READERS[provider](HttpAnswer(case.status, json.dumps(body).encode(), None))
    assert refusal is not None
    assert "966500000001" not in str(refusal.error())


@pytest.mark.parametrize(
    ("provider", "body"),
    [
        ("evolution", {"key": {"remoteJid": "1@s.whatsapp.net", "id": "X"}, "status": "PENDING"}),
        ("evolution", {"messaging_product": "whatsapp", "messages": [{"id": "wamid.X"}]}),
        ("evolution", None),
        ("evolution_go", {"message": "success", "data": {"Info": {"ID": "X"}}}),
        ("waha", {"id": "true_1@c.us_X", "body": "Connection Closed"}),
        ("waha", {}),
    ],
)
def test_the_answer_to_a_part_that_was_sent_is_not_a_refusal(provider: str, body: object) -> None:
    assert READERS[provider](HttpAnswer(201, json.dumps(body).encode(), None)) is None


def test_each_row_has_an_answer_that_it_alone_explains() -> None:
    """A row that stands behind one that matches all of its answers, or that has no report, would be dead."""
    texts = [words_of(case.body) for case in chain(EVOLUTION.values(), EVOLUTION_GO.values(), WAHA.values())]
    codes = {meaning.code for words in texts if (meaning := meaning_in(words, ROWS))}
    assert {it.meaning.code for it in ROWS} - {"error"} == codes - {"error 420"}
    assert "error 420" in codes, "the number of an error without a row of its own"


@pytest.mark.parametrize(
    "body", [None, 7, [], "x", {}, {"error": {}}, {"response": {"message": [[[[[[[["x"]]]]]]]]}}]
)
@pytest.mark.parametrize("provider", READERS)
def test_any_body_has_a_meaning(provider: str, body: object) -> None:
    refusal = READERS[provider](HttpAnswer(503, json.dumps(body).encode(), 9.0))
    assert refusal is not None
    assert (refusal.meaning.consequence, refusal.after_ms) == ("outage", 9_000)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["error", "errors", "message", "response", "exception", "code", "status", "exists", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(status=st.integers(200, 599), body=_JSON, provider=st.sampled_from([*READERS, "cloud"]))
def test_whatever_is_answered_has_one_of_the_four_ends(status: int, body: object, provider: str) -> None:
    """Sent, later, never, or perhaps sent; a provider that answers nonsense must not stop a worker."""
    read = READERS.get(provider, cloud.refusal_of)
    refusal = read(HttpAnswer(status, json.dumps(body).encode(), None))
    if refusal is None:
        assert 200 <= status < 300
        return
    error = refusal.error()
    assert isinstance(error, RetryLaterError | GiveUpError | SendUncertainError)
    assert len(str(error)) < 400


def test_a_long_answer_is_read_in_part() -> None:
    """An expression must not run over megabytes of a page."""
    body = {"message": ["x" * 2_000_000 + "Connection Closed"] * 10_000}
    assert meaning_in(words_of(body), ROWS) is None
    assert len(words_of(body)) <= 20
    assert all(it.pattern.flags & re.IGNORECASE for it in ROWS)
