"""Limits of the extraction for any text: steps grow no faster than the text, and depth is bounded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from queue_core.ai.loose_json import DEPTH_MAX
from queue_core.ai.reply import extract
from tests.fuzz.hostile import steps

MARKS = (
    *(
        "<think>",
        "</think>",
        "<thought>",
        "<analysis>",
        "<tool_call>",
        "</tool_call>",
        "<|im_end|>",
        "<|im_start|>",
        "<s>",
    ),
    *(
        "[INST]",
        "<|",
        "</",
        "to=",
        "[/INST]",
        "[TOOL_CALLS]",
        "[THINK]",
        "◁think▷",
        "◁/think▷",
        "<function=",
        "<invoke name=",
        "<unused95>",
    ),
    *(
        "<ctrl43>",
        "<ctrl46>",
        "<|START_RESPONSE|>",
        "<|channel>",
        "<channel|>",
        "<|open|>think<|sep|>",
        "<|any|>",
        "<answer>",
    ),
    *('<｜DSML｜invoke name="x">', "<|channel|>final<|message|>a", "<|channel|>", "- <think> x </think> y\n"),
)
PIECES = (
    *MARKS,
    *(
        "{",
        '{"',
        '{"a":',
        '"\\',
        "```\n",
        "`",
        "`a``b",
        "~~~\n",
        '{"response":"',
        '{"a":1}',
        '{"a":1,}',
        "{response:",
        "/*",
    ),
    *(
        '["',
        "[",
        "<",
        "Thought: a\n",
        "Action: a\nAction Input: b\n",
        "{'",
        '{"message":"Hello there."}\n',
        "data: x\n",
    ),
    *(
        "assistantfinal",
        "data: {}\n\n",
        "event: a\ndata: \n",
        ": a\n",
        "【1†",
        "[cite: 1",
        "<co: 1",
        "<grok:render>",
        "\ue200a",
        "<‖DSML‖a",
        "analysisA",
        "<details><summary>thinking</summary>",
        '"needsDataCollection"',
        "\n",
        " ",
        "\\",
    ),
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("before", ["", '{"response": "'])
def test_twice_the_text_takes_twice_the_steps_at_most(before: str) -> None:
    for piece in PIECES:
        single, double = (steps(extract, before + piece * (size // len(piece))) for size in (32_768, 65_536))
        assert double <= 2.5 * single + 1_000, piece


STRINGS_WITHOUT_END = (', "a": "b ', '{"a": [{"b": "c"}, "d": "e", "f`\n')


@pytest.mark.parametrize("piece", STRINGS_WITHOUT_END)
def test_strings_without_an_end_are_searched_a_bounded_number_of_times(piece: str) -> None:
    """Each of them would be searched to the end of the text: 4 times the text took 16 times the steps."""
    short, long = (steps(extract, '{"x": ' + piece * (size // len(piece))) for size in (8_000, 32_000))
    assert long <= 4.5 * short + 500_000


OBJECTS_WITHOUT_END = (
    '{"response": "Hi", "needsDataCollection" true, "x":',
    'it is: {"response": "We open at nine.", "id": 5',
    ':tool``tool_code\n{"response": "We open',
)


@pytest.mark.parametrize("piece", OBJECTS_WITHOUT_END)
def test_objects_without_an_end_are_read_a_bounded_number_of_times(piece: str) -> None:
    """Each of them would be read to the end of the text."""
    assert steps(extract, '{"a": ' + piece * (32_000 // len(piece)) + '"}') <= 500_000


@pytest.mark.timeout(120)
@pytest.mark.parametrize("before", ["", '{"a": '])
def test_a_megabyte_of_nonsense_is_read_once_or_a_few_times(before: str) -> None:
    """Code that read the same text again and again would take hours."""
    for piece in PIECES:
        extract(before + piece * (1_048_576 // len(piece)))


@pytest.mark.parametrize("depth", [5, 500, 50_000])
@pytest.mark.parametrize(
    ("opens", "closes"), [('{"response": ', "}"), ("[", "]"), ('{"data": ', "}"), ('{"a": [', "]}")]
)
def test_depth_is_bounded(depth: int, opens: str, closes: str) -> None:
    reply = extract(f'{opens * depth}"We open at nine."{closes * depth}')
    assert reply.text == "We open at nine." or depth > 5


@pytest.mark.parametrize(("opens", "closes"), [('{"response": ', "}"), ("[", "]"), ('{"data": ', "}")])
def test_a_text_is_found_as_deep_as_json_is_read(opens: str, closes: str) -> None:
    assert extract(f'{opens * DEPTH_MAX}"We open at nine."{closes * DEPTH_MAX}').text == "We open at nine."


@pytest.mark.parametrize(
    "objects",
    [
        [{}] * 300_000,
        [{"a": 1}] * 100_000,
        [{"x": "hello there", "y": "how do you"}] * 25_000,
        [{"name": "f", "arguments": {}}] * 30_000,
        [[["a b"]] * 1_000] * 60,
        {f"k{number}": "v" for number in range(60_000)},
        {f"n{number}": {"foo bar": "b c d"} for number in range(30_000)},
    ],
    ids=range(7),
)
def test_a_megabyte_of_small_values_takes_few_steps(objects: Any) -> None:
    """Without limits these take up to 80 million steps."""
    assert steps(extract, json.dumps(objects)) < 1_000_000


def test_of_a_long_list_the_last_objects_are_read() -> None:
    conversation = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}] * 5_000
    assert extract(json.dumps([*conversation, {"role": "assistant", "content": "Bye."}])).text.endswith(
        "Bye."
    )
    history = {"history": [{"a": "b c"}] * 9_000, "response": "We open at nine."}
    assert extract(json.dumps(history)).text == "We open at nine."


def test_a_text_is_decoded_a_bounded_number_of_times() -> None:
    answer = "We open at nine."
    for _ in range(6):
        answer = json.dumps({"response": answer})
    assert extract(answer).text == "We open at nine."
    for _ in range(6):
        answer = json.dumps({"response": answer})
    extract(answer)


@pytest.mark.parametrize(
    ("sign", "marked"),
    [("<", "<think>Hm.</think> We open."), ("<|", "<|channel|>final<|message|>We open.<|return|>")],
)
def test_a_bounded_number_of_signs_is_looked_at(sign: str, marked: str) -> None:
    assert extract(f"{f'{sign} ' * 4_000}\n{marked}").text.endswith("We open.")
    assert "Hm." not in extract(f"{f'{sign} ' * 4_000}\n{marked}").text
    assert extract(f"{f'{sign} ' * 20_000}\n{marked}").text.endswith(marked)


@pytest.mark.parametrize("token", ["<|im_end|>", "<|custom_token|>", "<|im_end|>\n", "<|"])
def test_a_token_that_a_model_repeats_without_end_goes(token: str) -> None:
    assert extract(f"We open at nine.{token * 3_000}").text == "We open at nine."


def test_answer_tags_that_open_again_and_again_go() -> None:
    assert extract("<answer>" * 300).absence == "empty"
    assert extract(f"{'<answer>' * 300}We open at nine.").text == "We open at nine."


def test_equal_tags_of_html_in_a_row_stay() -> None:
    text = f"One{'<br>' * 400}two"
    assert extract(text).text == text


def test_a_call_that_only_the_limit_of_signs_cuts_off_hides_nothing() -> None:
    answer = f"We open at nine.\n{'<‖DSML‖a b ' * 12_000}\nAsk us."
    assert extract(answer).text == answer


def test_remains_of_our_object_as_its_text_are_not_shown() -> None:
    assert extract('{"response": ""needsDataCollection": true').absence == "json"
    assert extract('{"response": "{\\"a\\": 1}"}').text == '{"a": 1}'
