r"""Line breaks that a flow left as `\n` in a plain text, and texts in which `\n` means itself."""

from __future__ import annotations

import pytest

from queue_core.ai.reply import extract

LINES = [
    (r"We open at nine.\nAsk us.", "We open at nine.\nAsk us."),
    (r"Hello!\n\nPrices\n- one\n- two\n", "Hello!\n\nPrices\n- one\n- two"),
    (r"We open\n\nAsk us", "We open\n\nAsk us"),
    (r"Prices\n1. one\n2. two", "Prices\n1. one\n2. two"),
    (r"مرحبا!\nكيف نساعدك؟", "مرحبا!\nكيف نساعدك؟"),
    (r"Hi 😊\r\nWe open", "Hi 😊\nWe open"),
    (r"She said \"nine\".\nBye", 'She said "nine".\nBye'),
    (r'He said "caf\u00e9".\nBye', 'He said "café".\nBye'),
    (r'{"response": "We open.\\nAsk us."}', "We open.\nAsk us."),
]
STAYS = [
    r"Write \n for a new line.",
    r"The end of a line is \n, a tab is \t.",
    r"Split at `.\nB`.",
    r"Split at '.\n' please.",
    r"It is in C:\new.\nFolder",
    r"It is in \\server.\nFolder",
    r"The gradient is:\nabla f",
    r"2 is:\times.\nB",
    r"The expression is \d+.\nB",
    r'printf("Total: %d\n", x);',
    r"print(\"hi.\n\");",
    r"A half of a character: \ud83d.\nB",
    "One line.\\nB\nand another",
]


@pytest.mark.parametrize(("answer", "text"), LINES)
def test_an_escaped_line_break_becomes_a_line_break(answer: str, text: str) -> None:
    assert extract(answer).text == text


@pytest.mark.parametrize("answer", STAYS)
def test_a_backslash_and_n_that_mean_themselves_stay(answer: str) -> None:
    assert extract(answer).text == answer
