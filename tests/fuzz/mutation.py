"""Mutation of webhooks and answers: small damage at random paths_in, with pieces of other examples."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from queue_core.ai.reply.families import ROLES

MUTATIONS_MAX = 6
"""Number of changes to one example, at most."""
DEPTH_MAX = 60
"""Limit on nesting; the web server refuses what is deeper."""
CHARACTERS_MAX = 100_000
"""Limit on the length of a text."""
_KEYS = ("response", "text", "output", "a")
_LABELS = ("", "json", "python", "tool_code")
_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        2**63,
        1e308,
        1.5,
        "",
        " ",
        "x",
        "0",
        "[]",
        "{}",
        [],
        {},
        [[]],
        [None],
        {"": {}},
    ),
    *(
        "\ud83d",
        "\u202e",
        "a\x00b",
        "1@lid",
        "0@c.us",
        "@",
        "_",
        "a_b_c_d",
        {"message": {}},
        {"low": 1, "high": {}},
    ),
)
_WRAPPERS: tuple[Callable[[Any], Any], ...] = (
    lambda value: [value],
    lambda value: [value, value],
    lambda value: {"message": value},
    lambda value: {"viewOnceMessageV2": {"message": value}},
    lambda value: {"0": value},
    str,
    lambda value: json.dumps(value, default=str),
)
_PIECES = (
    *ROLES,
    *(
        '{"',
        '"}',
        "{",
        "}",
        "[",
        "]",
        '"',
        "\\",
        "\n",
        "\n\n",
        " ",
        "`",
        "```",
        "```json\n",
        "~~~\n",
        ":",
        ",",
        "<",
        ">",
    ),
    *(
        '{"response": "',
        '", "needsDataCollection": false}',
        "Thought: ",
        "\nAction: x",
        "\nFinal Answer: ",
        "data: ",
    ),
    *(
        "\ud800",
        "\u200f",
        "。",
        "؟",
        "null",
        "true",
        "assistantfinal",
        "analysis",
        "&lt;think&gt;",
        "<ctrl42>",
    ),
)


def paths_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every part of a JSON value."""
    yield path
    keyed = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in keyed if len(path) < DEPTH_MAX else ():
        yield from paths_in(item, (*path, key))


def part(value: Any, path: tuple[Any, ...]) -> Any:
    """Return the part of a JSON value at a path."""
    for key in path:
        value = value[key]
    return value


def replaced(value: Any, path: tuple[Any, ...], new: Callable[[Any], Any]) -> Any:
    """Return a copy of a JSON value in which `new` has replaced the part at a path."""
    if not path:
        return new(value)
    copy = value.copy()
    copy[path[0]] = replaced(copy[path[0]], path[1:], new)
    return copy


def changed_webhook(seeds: Sequence[Any], rng: random.Random) -> Any:
    """Return a webhook with some changes."""
    webhook = rng.choice(seeds)
    for _ in range(rng.randint(1, MUTATIONS_MAX)):
        path = rng.choice(list(paths_in(webhook)))
        webhook = replaced(webhook, path, partial(_changed_part, donor=rng.choice(seeds), rng=rng))
    return webhook


def _changed_part(old: Any, donor: Any, rng: random.Random) -> Any:
    """Return another value for a part of a webhook; `donor` is the webhook from which pieces are taken."""
    path = rng.choice(list(paths_in(donor)))
    choice = rng.random()
    if isinstance(old, dict) and old and choice < 0.5:
        copy, key = old.copy(), rng.choice(list(old))
        if choice < 0.15:
            del copy[key]
        elif choice < 0.3:
            names = [name for name in path if isinstance(name, str)] or ["type"]
            copy[rng.choice(names)] = copy.pop(key) if rng.random() < 0.5 else part(donor, path)
        else:
            copy[key] = part(donor, path)
        return copy
    if isinstance(old, list) and old and choice < 0.5:
        return rng.choice(
            [old + old, old[:-1], [*old, part(donor, path)], [part(donor, path), *old], list(reversed(old))]
        )
    if isinstance(old, str) and choice < 0.5:
        return changed_text([old, str(part(donor, path))], rng)
    if choice < 0.75:
        return rng.choice(_VALUES)
    return rng.choice(_WRAPPERS)(old) if choice < 0.9 else part(donor, path)


def changed_text(seeds: Sequence[str], rng: random.Random) -> str:
    """Return a text with some changes: cut, repeated, joined with another one, encoded, with marks inside."""
    text = rng.choice(seeds)
    for _ in range(rng.randint(1, MUTATIONS_MAX)):
        start, end = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        changes = list(_changes_of(text[:start], text[start:end], text[end:], rng.choice(seeds), rng))
        text = rng.choice(changes)[:CHARACTERS_MAX]
    return text


def _changes_of(head: str, inside: str, tail: str, other: str, rng: random.Random) -> Iterator[str]:
    """Yield changes of a text of three parts, with pieces of another one."""
    whole, at = head + inside + tail, rng.randrange(len(other) + 1)
    yield head + tail
    yield head + inside
    yield head + rng.choice(_PIECES) + inside + tail
    yield head + rng.choice(_PIECES) + inside + rng.choice(_PIECES) + tail
    yield head + (inside or "x")[:200] * rng.randint(2, 20) + tail
    yield head + other[at : at + rng.randint(1, 200)] + tail
    yield json.dumps({rng.choice(_KEYS): whole})
    yield json.dumps(whole)
    yield f"```{rng.choice(_LABELS)}\n{whole}\n```"
