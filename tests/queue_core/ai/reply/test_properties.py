"""Properties: legitimate text is unchanged, and a text in any covers (JSON, tags, tokens) comes out as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

import json_repair
from hypothesis import assume, example, given
from hypothesis import strategies as st

from queue_core.ai.reply import extract
from queue_core.ai.reply.families import ROLES

OURS = {"needsDataCollection": False, "requestedFields": []}

VOCABULARY = "we open at nine close later ask me الباب مفتوح الآن naïve 9:00 50% (maybe) 24/7 e.g. x=1 ⭐"
words = st.sampled_from(VOCABULARY.split())
marks = st.sampled_from(
    [
        *sorted(ROLES),
        *("<｜tool▁calls▁begin｜>", "<|custom|>", "<b>", "<details>", '{"a": 1}', "[x]", "{name}"),
        *(
            "<think:6124c78e>",
            "<ifm|think>",
            "</ifm|think>",
            "<tool: x>",
            "<|plamo:begin_tool_requests:plamo|>",
        ),
        *("<｜GCML｜invoke name='x'>", "to=functions.x", "\\n", ".\\n"),
    ]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text("ab \"'{}<>é", max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x1", "y1", "z1"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def sentences(draw: st.DrawFn) -> str:
    """Draw a sentence, which may speak about a mark."""
    parts = draw(st.lists(words, min_size=1, max_size=6))
    if draw(st.booleans()):
        quoted = draw(marks)
        parts += draw(
            st.sampled_from(
                [
                    ["about", quoted, "and"],
                    *(["as", f"`{quoted}`"], ["as", f"`the {quoted}`"]),
                    *(["in", f'"{quoted}"'], ["in", f'"the end {quoted}",'], ["in", f"«النص {quoted}»"]),
                ]
            )
        )
        parts += draw(st.lists(words.filter(str.isalpha), min_size=1, max_size=3))
    return f"The {' '.join(parts)}."


@st.composite
def examples(draw: st.DrawFn) -> str:
    """Draw a fenced block of JSON that is not an answer, of a mark, or of code."""
    body = json.dumps(
        {"id": draw(values), "text": draw(values)}, indent=draw(st.none() | st.just(2)), ensure_ascii=False
    )
    code = draw(
        st.sampled_from([body, f"data = {body}", f"print({draw(marks)!r})", '{"response": "ok", "id": 5}'])
    )
    return f"```{draw(st.sampled_from(['', 'json', 'python', 'xml']))}\n{code}\n```"


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Draw Markdown that begins with a sentence."""
    line = sentences()
    block = st.one_of(
        line,
        examples(),
        line.map(lambda text: f"## {text}"),
        st.lists(line, min_size=1, max_size=3).map(lambda items: "\n".join(f"- {item}" for item in items)),
        st.lists(line, min_size=1, max_size=3).map(lambda items: "\n".join(f"> {item}" for item in items)),
        st.lists(words, min_size=2, max_size=2).map(
            lambda cells: f"| {cells[0]} | {cells[1]} |\n|---|---|\n| a | b |"
        ),
        st.just("[link](https://a.b/?q={x}&y=[1]) and **bold** and _x_."),
    )
    return "\n\n".join([draw(line), *draw(st.lists(block, max_size=5))])


@given(documents())
def test_legitimate_text_is_unchanged(text: str) -> None:
    assert extract(text).text == text


@given(st.text("ab <>{}[]\"'`:/\\\n_*.؟ع😀", max_size=40))
@example("{}")
@example('[""]')
def test_what_has_no_mark_and_no_json_is_unchanged(text: str) -> None:
    text = text.strip()
    assume(text and not text.startswith(("{", "[", '"', "```")) and text.count("```") % 2 == 0)
    assume(not re.search(r"\{[\s\"']*\Z", text))  # the beginning of an object that is cut off
    assert extract(text).text == text


def in_object(key: str) -> Callable[[str], str]:
    """Make a cover: an object with the text under this key."""
    return lambda text: json.dumps(
        {key: text, **(OURS if key == "response" else {})}, ensure_ascii=key == "answer"
    )


@dataclass(frozen=True)
class around:  # noqa: N801 - reads as a function, and shows its texts in a failure
    """A cover of two texts."""

    before: str
    after: str = ""

    def __call__(self, text: str) -> str:
        return f"{self.before}{text}{self.after}"


PLAIN_COVERS = [
    around("<think>They ask.</think>"),
    around("<think>\n\n</think>\n\n"),
    around("They ask for hours.\n</think>\n\n"),
    around(
        "<|channel|>analysis<|message|>They ask.<|end|><|start|>assistant<|channel|>final<|message|>",
        "<|return|>",
    ),
    around("", "<|im_end|>"),
    around("", "<|im_end|>\n<|im_start|>user\nThanks<|im_end|>"),
    around("", "</s>"),
    around("", '\n<tool_call>\n{"name": "hours", "arguments": {}}\n</tool_call>'),
    around(
        "",
        '\n<｜DSML｜function_calls>\n<｜DSML｜invoke name="x">\n</｜DSML｜invoke>\n</｜DSML｜function_calls>',
    ),
    around("", "<|tool_calls_section_begin|><|tool_call_begin|>functions.x:0<|tool_call_argument_begin|>{}"),
    around("◁think▷They ask.◁/think▷"),
    around("[THINK]They ask.[/THINK]"),
    around("<|channel>thought\nThey ask.<channel|>"),
    around("<|START_THINKING|>They ask.<|END_THINKING|><|START_RESPONSE|>", "<|END_RESPONSE|>"),
    around("Thought: I know.\nFinal Answer: "),
    around(
        "<|open|>think<|sep|>They ask.<|close|>think<|sep|><|open|>response<|sep|>",
        "<|close|>response<|sep|><|close|>message<|sep|><|end_of_msg|>",
    ),
    around("<think:6124c78e>They ask.</think:6124c78e>"),
    around("<ifm|think_fast>They ask.</ifm|think_fast>"),
    around("<|x_think_start|>They ask.<|x_think_end|>"),
    around("", '\n<｜GCML｜tool_calls>\n<｜GCML｜invoke name="x">\n</｜GCML｜invoke>\n</｜GCML｜tool_calls>'),
    around("", '<|plamo:begin_tool_requests:plamo|>{"name": "x"}<|plamo:end_tool_requests:plamo|>'),
    around("", '\nto=functions.hours 彩 json\n{"day": "mon"}'),
    around("", "[|endofturn|]\n[|user|]Thanks"),
    around("", '\nfunction call<|role_sep|>\n{"name": "x", "arguments": {}}'),
    around("<tool: hours>\nmonday\n</tool>\n"),
    around("", "\n```tool_code\nprint(default_api.x())\n```"),
]
TURNS = [
    around(""),
    around("<|im_start|>assistant\n", "<|im_end|>"),
    around("<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"),
    around("<start_of_turn>model\n", "<end_of_turn>\n"),
]
JSON_COVERS = [
    *map(in_object, ("response", "answer", "output", "resposta", "الرد")),
    lambda text: json.dumps([text]),
    lambda text: json.dumps([{"output": text}]),
    lambda text: json.dumps({"action": "Final Answer", "action_input": text}),
    lambda text: json.dumps({"response": {"messages": [text]}, **OURS}),
    lambda text: json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}),
    lambda text: f"```json\n{json.dumps({'response': text, **OURS})}\n```",
    lambda text: json.dumps(json.dumps({"response": text, **OURS})),
    lambda text: repr({"response": text, **OURS}),
]
lines = (
    st.text("abc XYZ.,!?-'\"éع😀", min_size=1, max_size=30)
    .map(str.strip)
    .filter(lambda text: any(map(str.isalpha, text)))
)
texts = st.lists(lines, min_size=1, max_size=3).map("\n".join).filter(lambda text: text[0] not in "\"'")


@given(
    texts,
    st.booleans(),
    st.sampled_from(TURNS),
    st.lists(st.sampled_from(PLAIN_COVERS), max_size=3),
    st.lists(st.sampled_from(JSON_COVERS), max_size=2),
)
def test_a_text_in_covers_comes_out_as_it_is(
    text: str,
    is_tagged: bool,
    turn: around,
    inside: list[Callable[[str], str]],
    outside: list[Callable[[str], str]],
) -> None:
    covered = f"<answer>{text}</answer>" if is_tagged else text
    covers: list[Callable[[str], str]] = [*inside, turn, *outside]
    for cover in covers:
        covered = cover(covered)
    assert extract(covered).text == text


@given(texts, st.sampled_from(JSON_COVERS), st.sampled_from(PLAIN_COVERS))
def test_json_in_a_cover_comes_out_as_its_text(
    text: str, inside: Callable[[str], str], outside: Callable[[str], str]
) -> None:
    assert extract(outside(inside(text))).text == text


def damaged(answer: str, kind: str, at: int) -> str:
    """Return JSON with a fault that models make."""
    match kind:
        case "cut off":
            return answer[:at]
        case "a character missing":
            return answer[:at] + answer[at + 1 :]
        case "a fence that never closes":
            return f"Sure:\n```json\n{answer}"
    old, new = FAULTS[kind]
    return answer.replace(old, new)


FAULTS = {
    "trailing commas": ("}", ",}"),
    "missing commas": (", ", " "),
    "quotes without escape": ('\\"', '"'),
    "line breaks without escape": ("\\n", "\n"),
    "single quotes": ('"', "'"),
    "comments": ("{", "{ // note\n"),
}
KINDS = ["cut off", "a character missing", "a fence that never closes", *FAULTS]


@given(texts, st.sampled_from(KINDS), st.integers(0, 200))
def test_damaged_json_is_read_where_json_repair_can_read_it(text: str, kind: str, at: int) -> None:
    answer = damaged(json.dumps({"response": text, **OURS}, ensure_ascii=False), kind, at)
    repaired = json_repair.loads(answer)
    assume(isinstance(repaired, dict) and repaired.get("response") == text)
    assert extract(answer).text == text
