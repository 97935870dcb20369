"""Changed examples break no promise: a few thousand of them here, and as many as time allows with `make fuzz`."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.__main__ import run
from tests.fuzz.checks import check_answer, check_webhook, parts_in
from tests.fuzz.examples import answers, webhooks
from tests.fuzz.mutation import changed_text, changed_webhook
from tests.queue_core.channels.shapes import cloud, event

WEBHOOKS, ANSWERS = webhooks(), answers()
TARGETS = {
    "webhooks": (WEBHOOKS, changed_webhook, check_webhook),
    "answers": (ANSWERS, changed_text, check_answer),
}
EXAMPLES = 2_000


@pytest.mark.parametrize("name", TARGETS)
def test_changed_examples_break_no_promise(name: str) -> None:
    run(TARGETS[name], examples=EXAMPLES, seed=1)


@given(st.randoms(use_true_random=False))
def test_webhooks_changed_by_hypothesis_break_no_promise(rng: random.Random) -> None:
    check_webhook(changed_webhook(WEBHOOKS, rng))


@given(st.randoms(use_true_random=False))
def test_answers_changed_by_hypothesis_break_no_promise(rng: random.Random) -> None:
    check_answer(changed_text(ANSWERS, rng))


def test_each_item_of_a_webhook_counts_as_a_part() -> None:
    """The promise would be empty if nothing were a part."""
    assert parts_in("evolution", event("messages.upsert", [1, 2, 3])) == 3
    assert parts_in("cloud", cloud(messages=[1, 2], statuses=[3], errors=[4])) == 4
    assert parts_in("cloud", {"entry": [{}, 7, {"changes": [{"field": "x", "value": {}}, 8]}]}) == 4
