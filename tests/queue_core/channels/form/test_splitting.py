"""Cuts of a long reply."""

from __future__ import annotations

import pytest

from queue_core.channels.form import Form
from queue_core.channels.form.splitting import split


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("short", ["short"]),
        ("", [""]),
        ("x" * 25, ["x" * 10, "x" * 10, "x" * 5]),
        ("one two three four", ["one two", "three four"]),
        ("one two\nthree four", ["one two", "three four"]),
        ("a b c d\n\ne f g h", ["a b c d", "e f g h"]),
        ("x" * 10 + "\n" * 30, ["x" * 10]),
        ("😀" * 7, ["😀" * 5, "😀" * 2]),
    ],
)
def test_a_text_is_cut_at_its_limit(text: str, expected: list[str]) -> None:
    assert split(text, 10) == expected


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("We open at nine. We close at ten. And so on, as always.", "We open at nine. We close at ten."),
        ("هل أنتم هنا؟ نعم نحن هنا دائما. مع السلامة إلى اللقاء", "هل أنتم هنا؟ نعم نحن هنا دائما."),
        (
            "営業時間は九時から十時までです。それから土曜日と日曜日は休みですのでご注意ください。はい。",
            "営業時間は九時から十時までです。",
        ),
        ("It is here. Please ask Dr. Who or others to come", "It is here. Please ask Dr. Who or others"),
        (
            "You may ask us for all of this here, and for all of that too",
            "You may ask us for all of this here,",
        ),
        ("First comes a paragraph\n\nthen. Then come others", "First comes a paragraph"),
        ("First comes a first line\nthen. Then come others", "First comes a first line"),
    ],
)
def test_a_text_is_cut_where_a_reader_pauses(text: str, first: str) -> None:
    limit = 30 if "営" in text else 40
    assert split(text, limit)[0] == first


@pytest.mark.parametrize(
    "span",
    [
        "```\na b c\n\nd e f g h\n```",
        "`a b c d e f g h i j k`",
        "*bold text of some words*",
        "_italic text. Of words_",
        "~struck text of words~",
        "(https://a.example/b/c/d/e)",
    ],
)
def test_what_belongs_together_is_not_cut(span: str) -> None:
    for before in range(36):
        text = f"{'w ' * before}{span} and more words after it to fill a part"
        parts = split(text, 40)
        assert any(span in part for part in parts), (before, parts)


def test_code_that_is_too_long_is_closed_and_opened_again() -> None:
    code = "\n".join(f"    line {number}" for number in range(8))
    parts = split(f"Here:\n```\n{code}\n```\nDone.", 60)
    assert len(parts) == 3
    assert all(part.count("```") % 2 == 0 for part in parts)
    assert "\n".join(line for part in parts for line in part.split("\n") if line.startswith("    ")) == code


def test_bold_that_is_too_long_is_closed_and_opened_again() -> None:
    parts = split(f"*{'word ' * 30}end*", 60)
    assert len(parts) == 3
    assert all(part[0] == part[-1] == "*" and part.count("*") == 2 for part in parts)


def test_a_reply_of_an_earlier_release_keeps_its_parts() -> None:
    """That release cut at the last blank line, line or space of a part, whatever stood there."""
    form = Form(characters_max=30)
    text = "Words. **And bold words to come, and more of them** here"
    assert form.parts_of(form.formed_by_old_release(text)) == [
        "Words. **And bold words to",
        "come, and more of them** here",
    ]
