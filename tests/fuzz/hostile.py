"""Hostile texts: a mark or a fault again and again, nested, alternating, unclosed, in code, in JSON, beside text."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from queue_core.ai.reply.families import CLOSERS, ROLES
from queue_core.channels.form.markdown import CHARACTERS_MAX, WORK_MAX, work_of


def _pieces(text: str) -> tuple[str, ...]:
    """Read pieces with escapes, a bar after each; a line break after a bar counts as nothing."""
    pieces = text.strip().replace("¦\n", "¦").removesuffix("¦").split("¦")
    return tuple(piece.encode("latin-1", "backslashreplace").decode("unicode-escape") for piece in pieces)


ANSWER_PIECES = _pieces(
    r"""
{¦[¦"¦'¦`¦``¦```\n¦~~~\n¦\\¦/*¦//¦<¦<|¦</¦<|a|>¦◁¦[/¦\u2039¦“¦{"¦["¦{'¦{"a":¦{"a":1}¦{"a":1,}¦{"a":1},¦{"a": [¦
{"a": {}¦{response:¦{"response":"¦{"response": "a"}¦{"response": "a"}\n¦{"response": ""¦"response": "a¦
{"message":"Hello."}\n¦{a}¦{"x":"y", ¦"a": "b", ¦"a", ¦"a" ¦\\"¦\\n¦\\u00e9¦{"a":"\\ud800"}¦[1,¦[[1],¦1,¦null,¦
{"name":"f","arguments":{}}¦{"name":"f","arguments":{}}\n¦[{"name":"f","arguments":{}}]\n¦{"thought":"a"}\n¦
\n[{"a":1¦{"needsDataCollection"¦"needsDataCollection": true¦requestedFields¦{"a": "b" "c": ¦{"a" "b" ¦{{¦{}¦[]¦
[{}¦{"":¦{"a":{"response":¦{//\n¦{/**/¦"}¦"]¦}¦]¦}]¦{"a"}¦{"a",¦to=¦commentary to=¦to=functions.a {¦
assistantfinal¦analysisA¦<|channel|>final<|message|>a¦<|channel|>analysis<|message|>a<|end|>¦<|start|>assistant¦
<|start|>assistant<|message|>¦<|end|>¦Thought: a\n¦Action: a\n¦Action: a\nAction Input: b\n¦Final Answer: a\n¦
Answer: a\n¦\nai:¦:¦\uff1a¦data: {}\n\n¦data: x\n¦data: [DONE]\n\n¦data: {"a":1}\n\n¦event: a\ndata: \n\n¦: a\n¦
id:\n¦\n\n¦【1†¦【1†a】¦[cite: 1]¦[cite: 1¦<co: 1>¦</co>¦<grok:render>¦\ue200a¦\ue200a\ue201¦[^1^]¦
<details><summary>thinking</summary>¦<details>¦&lt;think&gt;¦<answer>¦</answer>¦<answer>a</answer>¦<a>¦<b>¦<a¦
<think¦<function=¦<function=a>¦<invoke name=¦<invoke name="x">¦<‖DSML‖a¦<|open|>a<|sep|>¦<html>¦<!--¦<!-- -->¦
<?xml¦tool_code\n¦default_api.a(¦print(default_api.a())\n¦```tool_code\n¦`a``b¦`a` ¦```json\n{}\n```\n¦
```\na\n```\n¦```json\n{"response": "a"}\n```\n¦```json\n{¦``` ¦- <think> x </think> y\n¦\n¦ ¦\t¦\r\n¦\xa0¦
\ufeff¦\x00¦a¦ع¦a ¦a\n¦a. ¦(¦)¦*¦_¦|¦🙂¦\u200f¦e\u0301¦{"a": "b¦, "a": "b ¦{"a": [{"b": "c"}, "d": "e", "f`\n¦
"a": {"b": [¦{'a': 'b', ¦{a: b, ¦{"a": b, ¦{“a”: “b”, ¦{a:1,¦{a:1}¦[a¦[a,¦{"a":"b}¦{"a":b"¦{"a":"b","c":"d"},¦
{"a": True, ¦{"a":/* */¦{"a":"b"c"d¦{:¦[Used tools: Tool: ¦[Used tools: Tool: a]\n¦[Tool Result for ID 1]\n¦
[Tool Call: a]\nArguments: {"a":1}\n¦<details type="reasoning" ¦<details type="tool_calls">a</details>\n¦
Reasoning:\n_a_\n¦thought\n¦Thought: a\nCode:\n```py\nfinal_answer("a")\n```¦\nfinal_answer("a¦]<]minimax[>[a¦
]<]minimax[>[</tool_call>¦a:0<|tool_call_argument_begin|>{}<|tool_call_end|>¦<\\think>¦<//think>¦NO_REPLY¦
court\n<invoke name="x">¦"a <|eot|>" ¦ "a <|eot|> ¦'a <|eot|>' ¦ 'a's <|eot|> ¦«a <|eot|>» ¦“a <|eot|> ¦
{"tool_calls": []}\n¦
data: {"choices":[{"delta":{"content":"We open at nine. "}}],"id":"a","object":"chat.completion.chunk"}\n\n¦
data: {"choices":[{"delta":{"content":"a"}}],"usage":null,"model":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}\n\n¦
"""
)
"""Pieces of answers, beside the marks of the families."""
MARKDOWN_PIECES = _pieces(
    r"""
*¦**¦_¦__¦~¦~~¦`¦``¦`a¦#¦# a\n¦>¦> ¦> a\n¦- ¦- a\n¦+ a\n¦1. a\n¦1. ¦|¦|a|b|\n¦[¦![¦]¦](¦[a](¦[a](b¦
[a](http://b)¦[[a](http://b)¦![a](http://b)¦[a]¦[a][a]¦[^1]¦[^1]: a\n¦<¦<a¦<a>¦<b>¦</b>¦<br>¦<!--¦<!-- -->¦<?¦
<![CDATA[¦<a href=¦<a href="http://b">¦<code>¦<http://a>¦<a@b.c>¦&¦&amp;¦&#1;¦\\¦\\*¦$¦$$¦$a¦$a$¦$x^2$¦\\(¦\\[¦
\\[\n¦\\frac{¦\\frac{a}{b}¦\\begin{cases}¦\\times ¦\\text{a}¦_a¦_a ¦*a ¦**a ¦a*¦a_ ¦*a*¦**a**¦***a***¦*a**b¦
_a_ ¦~~a~~¦**a:b¦a**¦*a _b ¦**[a](¦*a `b ¦http://¦https://a.b ¦https://(¦www.a¦a@b¦a@b.c ¦[a]: http://b\n¦```\n¦
~~~\n¦```a\n¦---\n¦***\n¦=\n¦|-|\n¦|a|b|\n|-|-|\n¦\n¦\n\n¦a\n¦a  \n¦  \n¦- [ ] ¦- [ ] a\n¦  - a\n¦>- ¦> > a\n¦
\t¦    a\n¦a ¦字¦ع *b* ¦{¦}¦
"""
)
"""Pieces of Markdown."""
FAULTS_OF_JSON = (
    ("}", ",}"),
    (", ", " "),
    ('\\"', '"'),
    ('"', "'"),
    ("{", "{ // a\n"),
    (": ", " "),
    ('"', ""),
    ("]", ""),
    ("}", ""),
)
ROWS: tuple[Any, ...] = (
    1,
    {},
    [],
    {"a": 1},
    {"a": {"b": [1]}},
    {"x": "hello there", "y": "how do you"},
    ["a b"],
    "a\nb",
    {"response": "a b"},
    {"role": "user", "content": "a"},
)


def steps(function: Callable[[str], object], text: str) -> int:
    """Count the calls of functions, Python's and C's, that a function makes for a text."""
    count = 0

    def on_event(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(on_event)
    try:
        function(text)
    finally:
        sys.setprofile(None)
    return count


def affordable(text: str) -> str:
    """Return the beginning of Markdown that is converted to its end."""
    text = text[:CHARACTERS_MAX]
    while (work := work_of(text)) > WORK_MAX:
        text = text[: min(len(text) - 1, len(text) * WORK_MAX // work)]
    return text


def _filled(piece: str, size: int) -> str:
    return piece * (size // len(piece))


def shapes(piece: str, size: int) -> Iterator[tuple[str, str]]:
    """Yield texts that are made of a piece, each with the name of its shape."""
    for name, between in (
        ("", ""),
        (" with spaces", " "),
        (" with words", " we open "),
        (" in lines", "\n"),
        (" in paragraphs", "a.\n\n"),
    ):
        yield f"{piece!r}{name}", _filled(piece + between, size)
    yield f"text, then {piece!r}", f"We open. {_filled(piece, size)}"
    yield f"{piece!r} in our object", f'{{"response": "{_filled(piece, size)}'
    yield f"{piece!r} in a string", json.dumps({"response": _filled(piece, size)})
    yield f"{piece!r} before much text", piece + _filled("We open at nine. ", size)
    yield f"{piece!r} seldom", _filled(piece + "We open at nine. " * 30, size)


def nested(size: int) -> Iterator[tuple[str, str]]:
    """Yield marks that are nested, alternate, or close what is not open."""
    for opening, closings in CLOSERS.items():
        for closing in sorted(closings - {""}):
            half = size // 2
            yield f"{opening!r} nested", _filled(opening, half) + _filled(closing, half)
            yield f"{opening!r} in turn", _filled(f"{opening}a{closing} ", size)
            yield f"{opening!r} in lines", _filled(f"{opening}a\n{closing}\n", size)
            yield f"{opening!r} after {closing!r}", _filled(closing, half) + _filled(opening, half)
    for opening, closing in (
        ("{", "}"),
        ("[", "]"),
        ('{"a":', "}"),
        ('[{"a":', "}]"),
        ('{"response":', "}"),
        ('{"a":[', "]}"),
    ):
        deep = size // (len(opening) + len(closing))
        yield f"{opening!r} nested", f'{opening * deep}"a"{closing * deep}'
        yield f"{opening!r} nested by 30", _filled(f'{opening * 30}"a b"{closing * 30}\n', size)
        yield f"{opening!r} nested by 40", _filled(f'{opening * 40}"a b"{closing * 40}\n', size)


def values(size: int) -> Iterator[tuple[str, str]]:
    """Yield JSON of many small values, sound and damaged, and encoded again and again."""
    for row in ROWS:
        count = size // (len(json.dumps(row)) + 2)
        whole = json.dumps([row] * count)
        yield f"list of {row!r}", whole
        yield f"lines of {row!r}", "\n".join([json.dumps(row)] * count)
        yield f"object of {row!r}", json.dumps({f"k{number}": row for number in range(count // 2)})
        yield f"list of {row!r} in a key", json.dumps({"response": [row] * count})
        yield f"list of {row!r} beside text", f"Here:\n{whole}\nand so on"
        yield f"list of {row!r} in a fence", f"Here:\n```json\n{whole}\n```"
        yield f"list of {row!r} as a string", json.dumps(whole)
        for old, new in FAULTS_OF_JSON:
            yield f"list of {row!r}, {old!r} as {new!r}", whole.replace(old, new)
    text = 'We said "open" at nine.\n'
    for times in range(1, 9):
        encoded = _filled(text, size >> times)
        for _ in range(times):
            encoded = json.dumps(encoded)
        yield f"text encoded {times} times", encoded
        yield f"object encoded {times} times", json.dumps({"response": encoded})


def mixes(pieces: list[str], size: int, count: int, seed: int = 1) -> Iterator[tuple[str, str]]:
    """Yield texts of a few pieces, in turn, at random, and one after the other."""
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")
        chosen = rng.sample(pieces, rng.randint(2, 6))
        shape = number % 3
        if shape == 0:
            yield f"mix {number}: {chosen!r}", _filled("".join(chosen), size)
        elif shape == 1:
            yield (
                f"random mix {number}: {chosen!r}",
                "".join(rng.choices(chosen, k=size // len("".join(chosen)) * len(chosen))),
            )
        else:
            yield (
                f"row {number}: {chosen!r}",
                "".join(_filled(piece, size // len(chosen)) for piece in chosen),
            )


def answers(size: int, mixed: int = 300, seed: int = 1) -> Iterator[tuple[str, str]]:
    """Yield hostile answers of about a size, each with its name."""
    pieces = [*ROLES, *ANSWER_PIECES]
    for piece in pieces:
        yield from shapes(piece, size)
    yield from nested(size)
    yield from values(size)
    yield from mixes(pieces, size, mixed, seed)


def markdown(size: int, mixed: int = 300, seed: int = 1) -> Iterator[tuple[str, str]]:
    """Yield hostile Markdown of about a size, each with its name."""
    for piece in MARKDOWN_PIECES:
        for name, text in shapes(piece, size):
            if "object" not in name and "string" not in name:
                yield name, text
        yield f"{piece!r} in a quote", "> " + _filled(piece, size)
        yield f"{piece!r} in a list", "- " + _filled(piece, size)
        yield f"{piece!r} in a table", "|a|b|\n|-|-|\n" + _filled(f"|{piece}|{piece}|\n", size)
    yield (
        "runs of backticks that grow",
        "".join("`" * length + "a" for length in range(1, int((2 * size) ** 0.5))),
    )
    yield "nested quotes", "\n".join("> " * depth + "a" for depth in range(1, int(size**0.5)))
    yield "nested lists", "\n".join("  " * depth + "- a" for depth in range(1, int(size**0.5)))
    yield "stars that grow", " ".join("*" * length + "a" for length in range(1, int((2 * size) ** 0.5)))
    yield (
        "wide table",
        _filled("|a", size // 2) + "\n" + _filled("|-", size // 4) + "\n" + _filled("|a", size // 4),
    )
    yield "dollars far apart", _filled("$" + "a" * 300, size)
    yield from mixes(list(MARKDOWN_PIECES), size, mixed, seed)
