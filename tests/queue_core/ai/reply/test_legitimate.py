"""Answers that only look like JSON, reasoning or calls: the user sees them whole."""

from __future__ import annotations

import pytest

from queue_core.ai.reply import extract

ANSWERS = {
    "a sentence about both tags": "Use <think> to start reasoning and </think> to end it.",
    "a sentence about a token, glued to a word": "The literal token <|tool_call>call: marks the beginning of a call. It is 10:00 in London.",
    "an example of JSON with other keys": 'Send this body:\n```json\n{"text": "Hello", "to": "123"}\n```\nThen check the log.',
    "an example of HTML": "Use `<details>` with `<summary>`:\n```html\n<details><summary>Thinking</summary>x</details>\n```\nDone.",
    "a line that begins with Thought:": "Thought: the final frontier.\nIt is a quote from our menu.",
    "a solution that ends with Final Answer:": "Step 1: add 4.\nStep 2: add 5.\nFinal Answer: 9 o'clock.",
    "JSON in a code span": 'Send `{"response": "ok"}` to the server.',
    "JSON in a sentence": 'Send {"text": "ok"} to the server.',
    "our key in a sentence": 'Our API returns {"response": "ok"}, then you call us.',
    "our key at the end of a sentence": 'The reply is {"response": "ok"}.',
    "our key with another": 'Here it is: {"response": "We open at nine.", "id": 5} Bye',
    "our key, at the end": 'Here it is: {"response": "We open at nine.", "id": 5}',
    "our key on a line": 'Here you are:\n{"response": "ok", "id": 5}\nThat is what the server answers.',
    "a form that is not JSON": 'The format is {"response": ...} as agreed.',
    "a call in a code span": 'Use <tool_call> tags, as in `<tool_call>{"name": "x"}</tool_call>`, to call.',
    "an example of a call": 'A call:\n```xml\n<tool_call>{"name": "x"}</tool_call>\n```\nThat is all.',
    "a sentence about tokens": "The token <|im_end|> ends a turn, and </s> ends a text.",
    "a token in quotation marks": 'It ends with "<|endoftext|>".',
    "a sentence in Arabic about a tag": "وسم <think> يخفي تفكير النموذج.",
    "placeholders": 'Dear {name}, your {"order"} is [ready].',
    "labels that no agent wrote": "Action: call us.\nThought: none needed.",
    "code in Python": '```python\nd = {"response": "hi", "x": [1, 2]}\nprint(d)\n```',
    "a configuration": 'Config:\n```json\n{"a": {"b": [1, 2]}, "name": "x"}\n```',
    "tags of HTML": "Write <b>bold</b> or <br>, <details> and <summary>.",
    "a sentence about our keys": 'The field "needsDataCollection" tells whether to ask, and "requestedFields" what.',
    "a sentence about a tag with a common name": "Wrap it in <analysis> and </analysis>.",
    "an address with brackets": "See https://a.b/?q={x}&y=[1] at 9:00–10:00.",
    "a text in quotation marks": '"We open at nine."',
    "a tag in a table": "| key | value |\n|---|---|\n| `response` | text |\n| think | <think> |",
    "labels inside a line": "The final answer: 42. Thought: none.",
    "numbers in brackets": "[1] First\n[2] Second",
    "a list of tags in code spans": "- `<think>`: opens\n- `</think>`: closes",
    "a list of tags": "- <think>: opens the reasoning\n- </think>: closes it",
    "a sentence about Llama's marks": "[INST] and [/INST] surround the question in Llama 2.",
    "struck through": "It was <s>10 SAR</s>, now it is 8 SAR.",
    "struck through, at the beginning of a line": "Price: <s>100</s> 80 SAR only today!",
    "a tag in a code span, and another line": "The tag `<think>` opens the reasoning.\nThe rest stays.",
    "operators with bars": "In Elixir `a |> b`, in F# x <| y and y |> z.",
    "types with angle brackets": "Use List<String> and Map<Tool, Answer>.",
    "placeholders named as tags of answers": "Write <answer> here and <response> there.",
    "signs of mathematics": "If a < b and c > d, then {x | x < 3} is it.",
    "a list in a sentence": 'The tags are ["a", "b"], in that order.',
    "a tag with a prefix": "The tag <mm:think> is what MiniMax writes before its reasoning; hide it in your template.",
    "a call that leaks, quoted": "Never type `to=functions.lookup` yourself: the model writes it when a call leaks.",
    "phrases of reasoning in plain speech": "Here is my response: yes, I do! And here is my thought process in short: it is cheap and near.",
    "folded text of Markdown": "Fold text in Markdown like this:\n\n```html\n<details><summary>More</summary>Text</details>\n```\n\nIt works on GitHub too.",
    "a sentence about a limit of steps": 'If n8n says "Agent stopped due to max iterations.", raise the limit in the node\'s settings.',
    "a module of Python": "Use functools: functools.reduce(lambda a, b: a + b, [1, 2]) gives 3.",
    "tokens of Kimi in a block": "Kimi K3 marks its thoughts so:\n\n```\n<|open|>think<|sep|>…<|close|>think<|sep|>\n```\n\nThe answer stands in `response`.",
    "tokens of two families": "A turn of EXAONE ends with [|endofturn|], a turn of Granite with <|end_of_text|>.",
    "names after to=": "Liste:\n- to=Maria: Kuchen abholen\n- to=Jonas: Ballons",
    "a tag of XML": "In XML the answer of your till is <response>ok</response>; anything else is an error.",
    "parameters of other namespaces": "Use <xsl:parameter> or <xs:invoke> in your sheet, it is fine.",
    "a parameter of WSDL": '<wsdl:parameter name="a"/> goes into line 3.',
    "a tag with a colon": "The setting is <tool: hammer> in the game file.",
    "smileys": ":) :-) <3 </3 >:(",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_user_sees_all_of(name: str) -> None:
    assert extract(ANSWERS[name]).text == ANSWERS[name]
