"""Quick ways to count signs and to find loops of tokens, compared with the plain ways."""

from __future__ import annotations

import re
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_core.ai.loose_json import ENTRIES_MAX, read_value
from queue_core.ai.reply import quoting
from queue_core.ai.reply.marks import LOOP_MIN, without_marks
from queue_core.ai.reply.quoting import Code, end_of_signs

SIGNS = [("<",), ("<|",), ("<", "[", "◁"), ("[", "<", "【", "\ue200"), ("\n",)]


@given(st.text("<|[ a\n【", max_size=30), st.sampled_from(SIGNS), st.integers(0, 8), st.integers(1, 5))
def test_the_sign_after_the_limit_is_found(text: str, signs: tuple[str, ...], count: int, step: int) -> None:
    later = islice(re.finditer("|".join(map(re.escape, signs)), text), count, None)
    expected = next((match.start() for match in later), len(text))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quoting, "COUNTED_AT_ONCE", step)
        assert end_of_signs(text, count, *signs) == expected


@pytest.mark.parametrize("token", ["<|ab|>", f"<|{'a' * 40}|>"])
@pytest.mark.parametrize("between", ["", " ", "\n", "\n\n"])
@pytest.mark.parametrize("words", [0, 1, 333])
def test_a_row_of_tokens_is_a_loop_from_its_shortest_length_on(token: str, between: str, words: int) -> None:
    """A loop is looked for at samples; each one lies at another place of a loop."""
    before = "We open. " * words
    for moved in range(0, 1_000, 37):
        text = f"{before}{'x' * moved}`\n" + f"{token}{between}" * LOOP_MIN
        visible, removed = without_marks(text, Code(text))
        assert removed
        assert len(visible) < len(before) + moved + 2 * len(token)


def test_rows_of_tokens_that_are_too_short_for_a_loop_count_one_by_one() -> None:
    text = ("<|im_end|>" * (LOOP_MIN - 1) + "<|im_start|>") * 5
    visible, _ = without_marks(text, Code(text))
    assert "<|im_end|>" in visible  # beyond the limit on marks


def test_commas_in_a_text_are_not_entries() -> None:
    """They counted as entries of the JSON around the text, which then lost its deeper values."""
    deep = '{"a": ' * 33 + '"b"' + "}" * 33
    text = f'{{"deep": {deep}, "response": "{"," * ENTRIES_MAX}"}}'
    reading = read_value(text, 0)
    assert reading is not None
    assert reading.value["response"] == "," * ENTRIES_MAX
