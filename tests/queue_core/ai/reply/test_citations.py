"""Marks of sources: removed with the gap that they leave; a text that speaks about them, or has brackets, stays."""

from __future__ import annotations

import pytest

from queue_core.ai.reply import extract

MARKED = {
    "We open at nine【4:0†hours.pdf】 and close at ten【4:12†hours.pdf】.": "We open at nine and close at ten.",
    "We open at nine 【13†source】.": "We open at nine.",
    "We open at nine 【0†L3-L5】 and close.": "We open at nine and close.",
    "We open at nine :contentReference[oaicite:0]{index=0}.": "We open at nine.",
    "We open at nine[oaicite:12]": "We open at nine",
    "We open at nine. \ue200cite\ue202turn0search0\ue201\nSee you!": "We open at nine.\nSee you!",
    "[cite_start]We open at nine[cite: 1, 2]. [cite_start]See you! [cite: 3-5]": "We open at nine. See you!",
    "We open at nine [citation:3][citation:12] and close.": "We open at nine and close.",
    "We open at nine[^1^][1]. See you[^12^]!": "We open at nine. See you!",
    'We open.<grok:render card_id="a" type="render_inline_citation">\n<argument name="citation_id">1</argument>\n'
    "</grok:render> See you!": "We open. See you!",
    "Our <co>cake is vegan</co: 0:[2]>, and <co: 1>so on</co: 1>.": "Our cake is vegan, and so on.",
}
TEXTS = (
    "【新品】蛋糕八折【限前20名】。",
    "The footnote† is on page 4 [1], see also [cite] and [2, 3].",
    'The mark "【4:0†source】" names a file.',
    "Write `[cite: 1]` or `<co>` in the template.",
    "A note[^1] and a citation [1], [citation needed], [^a^].",
    "The [cite_start] mark begins a claim.",
    "A <co> tag is not HTML, and <cope> is not a tag.",
)


@pytest.mark.parametrize("answer", MARKED)
def test_marks_of_sources_are_removed(answer: str) -> None:
    assert extract(answer).text == MARKED[answer]


@pytest.mark.parametrize("text", TEXTS)
def test_what_only_looks_like_a_mark_of_a_source_stays(text: str) -> None:
    assert extract(text).text == text


def test_a_citation_alone_is_not_a_text() -> None:
    assert extract("【4:0†hours.pdf】").absence == "tokens"
