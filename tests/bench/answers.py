"""Benchmark of the way from an AI's answer to the reply, for answers of 1 MiB: `make bench`. The aim is 50 ms.

`python -m tests.bench.answers hostile [STEP]` measures every STEP-th (default: 50th) hostile answer and Markdown of
`tests/fuzz/hostile.py`, and prints the slowest twenty.
"""

from __future__ import annotations

import heapq
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from queue_core.ai.reply import extract
from queue_core.channels.form.markdown import CHARACTERS_MAX, converted
from tests.fuzz import hostile

SIZE = 1_048_576
REPEATS = 5
SHOWN = 20
ENGLISH = "We open at nine, and close at ten. Ask us *anything*.\n"
ARABIC = "نفتح الساعة التاسعة ونغلق العاشرة. اسألنا عن أي شيء.\n"
LISTING = '```json\n{"a": 1}\n```\nText with `code` and **bold**.\n'


def _filled(piece: str) -> str:
    return piece * (SIZE // len(piece))


ANSWERS = {
    "English": _filled(ENGLISH),
    "Arabic": _filled(ARABIC),
    "Markdown with code": _filled(LISTING),
    "HTML": _filled("<b>bold</b> and <i>so on</i>\n"),
    "our object": json.dumps({"response": _filled(ENGLISH), "needsDataCollection": False}),
    "our object in a fence": f"```json\n{json.dumps({'response': _filled(ENGLISH)})}\n```",
    "reasoning, then a text": f"<think>{_filled(ENGLISH)}</think>We open at nine.",
    "a line of JSON for each text": _filled('{"message": "Hello there."}\n'),
    "braces": _filled("{"),
    "brackets and quotes": _filled('["'),
    "objects that do not end": _filled('{"response": "'),
    "tokens": _filled("<|im_start|>"),
    "channels": _filled("<|channel|>"),
    "tokens without an end": _filled("<|"),
    "tags of answers": _filled("<answer>"),
    "quotation marks": _filled("\u2039"),
    "empty objects": json.dumps([{}] * 260_000),
    "objects with a number": json.dumps([{"a": 1}] * 100_000),
    "objects with words": json.dumps([{"x": "hello there", "y": "how do you"}] * 23_000),
    "an object of many keys": json.dumps({f"k{number}": "v" for number in range(60_000)}),
    "damaged objects": _filled('{"x":"y", '),
}


def measured_ms(answer: str, function: Callable[[str], object] = extract, repeats: int = REPEATS) -> float:
    """Return the shortest CPU time of a few calls, in milliseconds."""
    times = []
    for _ in range(repeats):
        began = time.process_time()
        function(answer)
        times.append(time.process_time() - began)
    return min(times) * 1000


def worst(texts: Iterable[tuple[str, str]], function: Callable[[str], object]) -> list[tuple[float, str]]:
    """Return times and names of the twenty slowest texts: all are measured once, the slowest sixty again."""
    once = ((measured_ms(text, function, 1), name, text) for name, text in texts)
    slow = heapq.nlargest(3 * SHOWN, once)
    return sorted(((measured_ms(text, function), name) for _, name, text in slow), reverse=True)[:SHOWN]


def hostile_markdown() -> Iterator[tuple[str, str]]:
    """Yield hostile Markdown of 65,536 characters, and of each text of one line the part that is converted."""
    for name, text in hostile.markdown(CHARACTERS_MAX):
        yield name, text
        if "\n" not in text:
            yield f"{name}, shorter", hostile.affordable(text)


def print_hostile(step: int) -> None:
    """Print the slowest hostile texts."""
    for title, texts, function in (
        ("hostile answer of 1 MiB", hostile.answers(SIZE), extract),
        ("hostile Markdown, as long as it is converted", hostile_markdown(), converted),
    ):
        table = Table(title, "CPU ms")
        for took_ms, name in worst(islice(texts, 0, None, step), function):
            table.add_row(escape(name[:80]), f"{took_ms:.1f}")
        Console().print(table)


def main() -> None:
    """Print a row for each kind of answer."""
    if sys.argv[1:2] == ["hostile"]:
        print_hostile(int(sys.argv[2]) if len(sys.argv) > 2 else 50)
        return
    table = Table("answer of 1 MiB", "CPU ms", title="From an answer to the reply")
    for name, answer in ANSWERS.items():
        table.add_row(name, f"{measured_ms(answer):.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
