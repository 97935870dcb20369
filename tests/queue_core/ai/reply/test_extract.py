"""Replies that the user sees of an AI's answer: the text once, never the JSON, no reasoning."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_core.ai.reply import extract

OBJECT = '{"response": "We open at 9.", "needsDataCollection": true, "requestedFields": ["name"]}'

TEXTS = {
    "plain": ("We open at 9.", "We open at 9."),
    "plain, with space around": ("\n We open at 9. \n", "We open at 9."),
    "the object alone": (OBJECT, "We open at 9."),
    "text, then the object": (f"Sure.\n{OBJECT}", "We open at 9."),
    "the object, then text": (f"{OBJECT}\nAnything else?", "We open at 9."),
    "the same text before it": (f"We open at 9.\n\n{OBJECT}", "We open at 9."),
    "fenced": (f"```json\n{OBJECT}\n```", "We open at 9."),
    "fenced without a language": (f"```\n{OBJECT}\n```", "We open at 9."),
    "a fence that is never closed": (f"```json\n{OBJECT}", "We open at 9."),
    "a list, fenced, with text around": (
        f"Here:\n```json\n[{OBJECT}, {OBJECT.replace('9', '8')}]\n```\nBye",
        "We open at 9.\nWe open at 8.",
    ),
    "fenced, with text around": (f"Here:\n```json\n{OBJECT}\n```\nBye", "We open at 9."),
    "trailing commas": ('{"response": "Hi", "requestedFields": ["a",],}', "Hi"),
    "raw line breaks in a string": ('{"response": "one\ntwo"}', "one\ntwo"),
    "as Python writes it": ("{'response': 'it\\'s 9', 'needsDataCollection': False}", "it's 9"),
    "braces in prose before": ('Put {name} here, {"a"}: {"response": "Hi {you}"}', "Hi {you}"),
    "braces in a string": ('{"response": "if (x) { y }"}', "if (x) { y }"),
    "reasoning": ("<think>They ask for hours.</think>We open at 9.", "We open at 9."),
    "reasoning in capitals": ("<THINK>hm</THINK>We open at 9.", "We open at 9."),
    "a bare end of reasoning": ("They ask for hours.\n</think>\n\nWe open at 9.", "We open at 9."),
    "reasoning about the object": (f'<think>I answer {{"response": "no"}}</think>{OBJECT}', "We open at 9."),
    "reasoning that never ends": ("<think>They ask for", ""),
    "reasoning as details": (
        '<details style="color:gray" open> <summary> Thinking... </summary>hm</details>\nWe open at 9.',
        "We open at 9.",
    ),
    "details that are no reasoning": ("<details><summary>More</summary>x</details>", None),
    "a leaked call": ('We open at 9.<function=hours>{"day": "now"}</function>', "We open at 9."),
    "a leaked call that never ends": ('We open at 9.\n<tool_call>{"name": "hours"', "We open at 9."),
    "a second closed tag": ("<think>a</think>We open<think>b</think> at 9.", "We open at 9."),
    "cut off in the response": ('{"response": "We open at', "We open at"),
    "cut off in an escape": ('{"response": "caf\\u00e9 \\u00', "café"),
    "cut off after a backslash": ('{"response": "one\\', "one"),
    "cut off in the flags": ('{"response": "Hi", "needsDataCollection": tr', "Hi"),
    "cut off before the response": ('Wait.\n{"needsDataCollection": true, "respo', "Wait."),
    "cut off with text before": ('Hello.\n{"response": "Hel', "Hel"),
    "encoded twice": (json.dumps({"response": OBJECT}), "We open at 9."),
    "JSON that the user asked for": (json.dumps({"response": 'Use {"a": 1}.'}), 'Use {"a": 1}.'),
    "null": ('{"response": null} Hello', "Hello"),
    "a number": ('{"response": 42}', "42"),
    "a list": ('{"response": ["one", "two"]}', "one\ntwo"),
    "an object with a text": ('{"response": {"text": "Hi"}}', "Hi"),
    "two objects: the last one": (f'{{"response": "draft"}}\n{OBJECT}', "We open at 9."),
    "an array is text": ("[1, 2]", None),
    "an object of another kind": ('{"answer": "Hi"}', "Hi"),
    "an object without a text": ('{"foo": 1}', ""),
    "code in prose stays": ('Write {"a": {"b": 1}} there.', None),
    "Arabic": ('{"response": "نفتح الساعة ٩ ⭐"}', "نفتح الساعة ٩ ⭐"),
    "Arabic, escaped": ('{"response": "\\u0646\\u0641\\u062a\\u062d"}', "نفتح"),
    "emoji as a surrogate pair": ('{"response": "\\ud83d\\ude00"}', "😀"),
    "half a surrogate pair": ("ok \ud83d", "ok \ufffd"),
    "an object that cannot be read": ('Hi {"needsDataCollection": yes, no}', "Hi"),
    "a key without its object": ('Hi "requestedFields": []', "Hi"),
    "the same text after it": (f"{OBJECT}\n\nWe open at 9.", "We open at 9."),
    "comments": ('{"response": "Hi", // hello\n "needsDataCollection": /* no */ false}', "Hi"),
    "a comment, and none of the flags": ('{"response": "Hi" /* hello */}', "Hi"),
    "an address is not a comment": ('{"response": "See https://a.b/c", }', "See https://a.b/c"),
    "keys without quotes": ('{response: "Hi", needsDataCollection: true}', "Hi"),
    "single quotes around JSON's words": ("{'response': 'Hi', 'needsDataCollection': true}", "Hi"),
    "typographic quotes": ("{“response”: “Hi”, “needsDataCollection”: true}", "Hi"),
    "quotes that nothing escapes": (
        '{"response": "Say "hi" to me", "requestedFields": []}',
        'Say "hi" to me',
    ),
    "keys written otherwise": ('{"Response": "Hi", "needs_data_collection": true}', "Hi"),
    "another word for response": ('{"answer": "Hi", "needsDataCollection": false}', "Hi"),
    "missing brace": ('"response": "Hi", "needsDataCollection": true}', "Hi"),
    "no braces": ('"response": "Hi."', "Hi."),
    "no braces, after another key": ('"id": 5, "response": "Hi."', "Hi."),
    "no braces, after text": ('Sure:\n"response": "Hi.", "needsDataCollection": false', "Hi."),
    "no braces, cut off": ('"response": "We open at', "We open at"),
    "a key that is spoken of": ('The key "response": it is "Hi".', None),
    "a key in a sentence": ('Use "response": "text" in it.', None),
    "keys in a list": ('Keys:\n- "response": "text"\n- "id": "x"', None),
    "a key at the beginning of a sentence": ('"response": is the key.', None),
    "missing comma": ('{"response": "Hi" "needsDataCollection": true}', "Hi"),
    "missing bracket": ('{"response": "Hi", "requestedFields": ["name"}', "Hi"),
    "a broken flag": ('{"response": "Hi", "needsDataCollection" true, "x": 1}', "Hi"),
    "another key first, cut off": ('{"intent": "hours", "response": "We open at', "We open at"),
    "cut off, and the fence closed": ('```json\n{"response": "We open at\n```', "We open at"),
    "cut off between surrogates": ('{"response": "Hi \\ud83d\\ude', "Hi"),
    "in single quotes, cut off": ("{'response': 'We open at", "We open at"),
    "the text first, the flags in a second object": ('{"response": "Hi"}{"needsDataCollection": true}', "Hi"),
    "nested in another": ('{"data": {"response": "Hi", "needsDataCollection": false}}', "Hi"),
    "in an array": (f"[{OBJECT}]", "We open at 9."),
    "after many braces that are prose": ('{"a"} ' * 20 + '{"response": "Hi"}', "Hi"),
    "after many objects": ('{"a": 1} ' * 100 + '{"response": "Hi"}', "Hi"),
    "after an object that never ends": ('Use {"a": 1 to see. {"response": "Hi"}', "Hi"),
    "a string of JSON": (json.dumps(OBJECT), "We open at 9."),
    "escaped without being a string": (json.dumps(OBJECT)[1:-1], "We open at 9."),
    "escaped keys in prose": ('Hi {\\"response\\": \\"x\\", \\"needsDataCollection\\": true}', "Hi"),
    "a text in quotes": ('"Hi there"', None),
    "half a surrogate pair, escaped": ('{"response": "ok \\ud83d"}', "ok \ufffd"),
    "a number too long for Python": ("{'response': 0x" + "f" * 15_000 + "}", ""),
    "no number": ('{"response": NaN}', ""),
    "a response nested too deep": ('{"response": ' + "[" * 900 + '"x"' + "]" * 900 + "}", ""),
    "a call without a bracket": ('Hi.<function=f{"a": 1}</function> We open at 9.', "Hi. We open at 9."),
    "calls in the plural": ('Hi <tool_calls>[{"name": "f"}]</tool_calls>', "Hi"),
    "a call behind a token": ('<|python_tag|>{"name": "f", "parameters": {}}', ""),
    "a tag that is a placeholder": ("Write <function name> here.", None),
    "reasoning inside the response": ('{"response": "\\u003cthink>hm</think>Hi"}', "Hi"),
    "an end of reasoning inside the response": ('{"response": "hm </think> Hi", "a": 1}', "Hi"),
    "reasoning in a fence": ("```\n<think>hm</think>\n```\nHi", "Hi"),
    "a fence around flags only, never closed": ('Here:\n```json\n{"needsDataCollection": true}', "Here:"),
    "a mark of byte order": (f"\ufeff{OBJECT}", "We open at 9."),
    "empty": ("", ""),
    "only space": (" \n", ""),
    "an empty response": ('{"response": "", "needsDataCollection": false}', ""),
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_user_sees_only_the_text(name: str) -> None:
    answer, expected = TEXTS[name]
    assert extract(answer).text == (answer if expected is None else expected)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (["name", "goal"], ("name", "goal")),
        ("name, goal", ("name", "goal")),
        ([{"name": "name"}, {"field": "goal"}, {"other": 1}, 3, ""], ("name", "goal")),
        (None, ()),
        ({"name": 1}, ()),
    ],
)
def test_what_the_ai_wants_to_know_is_kept(fields: Any, expected: tuple[str, ...]) -> None:
    answer = {"response": "Hi", "needsDataCollection": True, "requestedFields": fields}
    reply = extract(json.dumps(answer))
    assert (reply.text, reply.needs_data_collection, reply.requested_fields) == ("Hi", True, expected)
    assert reply.data == answer


@pytest.mark.parametrize(
    ("flag", "expected"),
    [(True, True), ("true", True), ("Yes", True), ("false", False), (None, False), (0, False)],
)
def test_the_flag_is_understood_as_text_too(flag: Any, expected: bool) -> None:
    assert (
        extract(json.dumps({"response": "Hi", "needsDataCollection": flag})).needs_data_collection is expected
    )


def test_plain_text_asks_for_nothing() -> None:
    reply = extract("Hi")
    assert (reply.needs_data_collection, reply.requested_fields, reply.data) == (False, (), None)


@pytest.mark.parametrize("before", ["", "```json\n", "Hi\n", "Hi\n```json\n"])
@pytest.mark.parametrize("length", range(len(OBJECT)))
def test_wherever_the_answer_is_cut_off_only_the_text_is_shown(before: str, length: int) -> None:
    text = extract(before + OBJECT[:length]).text
    outside = "Hi" if before.startswith("Hi") else ""
    assert text == outside or (text and "We open at 9.".startswith(text))


@pytest.mark.parametrize("missing", range(len(OBJECT)))
def test_whichever_character_is_missing_no_json_is_shown(missing: int) -> None:
    text = extract(OBJECT[:missing] + OBJECT[missing + 1 :]).text
    assert not set('{}[]":') & set(text)


def test_an_object_cut_off_before_its_text_does_not_mean_an_empty_reply() -> None:
    assert extract('{"needsDataCollection": true, "respo').data is None
    assert extract('{"needsDataCollection": true, "response": "').data is None
    assert extract('{"response": "", "needsDataCollection": true}').data is not None


PIECES = [
    OBJECT, '{"response": "', '"needsDataCollection": true', "'requestedFields'", "{", "}", '"', "\\", "```json", "```",
    "<think>", "</think>", "<details><summary>Thinking</summary>", "</details>", "<function=f>", "</function>", ",",
    "[", "]", ":", " text ", "\n", "{'response': 'x'}", "null", "\ud800", "ع",
    '\\"needsDataCollection\\"', "requestedFields:", '{"resp', '"response"',
    '{"a": 1}', '{"a":', "\\ud83d", "//", "/*", "”",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=30))
def test_whatever_comes_the_reply_can_be_stored(pieces: list[str]) -> None:
    msgspec.json.encode(extract("".join(pieces)))  # no lone surrogates


MEANINGFUL = re.compile(
    r'[<\[◁]|"response"|needsDataCollection|requestedFields|TERMINATE|NO_REPLY|HEARTBEAT_OK|\Athought|\\n'
    r"""|\{["'\s]*\Z"""
)
"""Marks and words that are removed: Hypothesis reads them in the code, and tries them."""


@given(st.text())
def test_the_text_of_a_clean_object_comes_through_as_it_is(text: str) -> None:
    clean = text.strip().lstrip("\ufeff").strip()
    if MEANINGFUL.search(clean):
        return
    assert extract(json.dumps({"response": clean, "needsDataCollection": False})).text == clean


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece",
    [
        "{",
        '{"',
        '{"a":',
        '"\\',
        "<think>",
        "```",
        "</think>",
        "<function",
        "<details>",
        "{'",
        '{"response":"',
        " ",
        '"needsDataCollection"',
        "\n",
        '{"response": "',
        '{"a":1}',
        '{"a":1,}',
        "\\",
        "/*",
        "{response:",
        '"needsDataCollection": true ',
    ],
)
def test_a_megabyte_of_nonsense_takes_linear_time(piece: str) -> None:
    """Code that read the same text again and again would take hours."""
    for before in ("", '{"response": "', '{"a": ', "```\nx = "):
        extract(before + piece * (1_000_000 // len(piece)))
