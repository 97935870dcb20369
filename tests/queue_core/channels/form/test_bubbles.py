"""Bubbles: a message for each paragraph."""

from __future__ import annotations

import pytest

from queue_core.channels.form import Form
from queue_core.channels.form.bubbles import bubbles_of

A, B, C, D = (f"{letter * 70}." for letter in "abcd")


@pytest.mark.parametrize(
    ("paragraphs", "bubbles_max", "expected"),
    [
        ([A, B, C], 1, [[A, B, C]]),
        ([A, B, C], 3, [[A], [B], [C]]),
        ([A, B, C, D], 2, [[A, B], [C, D]]),
        (["Hello!", A, B], 5, [["Hello!", A], [B]]),
        ([A, "*Heading*", B, C], 5, [[A], ["*Heading*", B], [C]]),
        ([A, f"*{B}*", C], 5, [[A], [f"*{B}*", C]]),
        ([A, f"## {B}", C], 5, [[A], [f"## {B}", C]]),
        ([A, f"{B} *{B[:-1]}:*", C], 5, [[A], [f"{B} *{B[:-1]}:*", C]]),
        ([f"*{A}* and *{B}*", C], 5, [[f"*{A}* and *{B}*"], [C]]),
        ([A, f"{B[:-1]}:", C], 5, [[A], [f"{B[:-1]}:", C]]),
        ([f"- {A}", f"- {B}", C], 5, [[f"- {A}", f"- {B}"], [C]]),
        ([f"1. {A}", f"   {B}", f"2. {C}", D], 5, [[f"1. {A}", f"   {B}", f"2. {C}"], [D]]),
        ([A, f"```\n{B}\n\n{C}\n```", D], 5, [[A], [f"```\n{B}\n\n{C}\n```"], [D]]),
        ([A, "Bye!"], 5, [[A], ["Bye!"]]),
    ],
)
def test_paragraphs_become_bubbles(
    paragraphs: list[str], bubbles_max: int, expected: list[list[str]]
) -> None:
    assert bubbles_of("\n\n".join(paragraphs), bubbles_max) == ["\n\n".join(bubble) for bubble in expected]


def test_a_bubble_that_is_too_long_goes_in_parts() -> None:
    form = Form(characters_max=80, bubbles_max=2)
    assert form.parts_of(f"{A}\n\n{B} {C}") == [A, B, C]


def test_a_pause_grows_with_the_bubble_and_has_an_end() -> None:
    form = Form(characters_max=4_096, bubbles_max=3, pause_s_max=4)
    assert [form.pause_s("x" * length) for length in (0, 50, 5_000)] == [1, 2, 4]
    assert Form(characters_max=4_096, pause_s_max=4).pause_s("x") == 0, (
        "parts of a long reply come without a pause"
    )


def test_too_many_paragraphs_make_as_many_bubbles_as_are_allowed() -> None:
    assert len(bubbles_of("\n\n".join(["x" * 70] * 5), 4)) == 4
