"""Inputs of a script, and the lines of Lua that read them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, NamedTuple


class Input(NamedTuple):
    """Input of a script."""

    path: str
    """Name in the script, such as `token` or `place.queue`, which is also the attribute path from the stub."""
    is_key: bool
    reading: str = "{}"
    """Lua expression that reads the input; `{}` stands for its KEYS or ARGV entry."""
    is_shared: bool = False
    """True if calls that go together have it in common, see `gathered.py`."""
    kind: str = ""
    """Kind of a conversation's key, from which a gathered script makes the key."""

    @property
    def table(self) -> str:
        """Name of the table in which the script finds it; "" if it stands alone."""
        table, dot, _ = self.path.partition(".")
        return table if dot else ""


def readings(inputs: Iterable[Input], *, keys: str = "", arguments: str = "") -> dict[str, str]:
    """Return the Lua expression that reads each input, by its path, from its index in KEYS or ARGV.

    `keys` and `arguments` are written before the indexes, such as "before + ".
    """
    counted = {True: 0, False: 0}
    expressions = {}
    for item in inputs:
        counted[item.is_key] += 1
        entry = f"KEYS[{keys}{counted[True]}]" if item.is_key else f"ARGV[{arguments}{counted[False]}]"
        expressions[item.path] = item.reading.format(entry)
    return expressions


def preamble(expressions: dict[str, str]) -> str:
    """Write the lines of Lua that give inputs their names."""
    tables: dict[str, list[str]] = {}
    lines = []
    for path, expression in expressions.items():
        table, _, field = path.partition(".")
        if field:
            tables.setdefault(table, []).append(f"{field} = {expression}")
        else:
            lines.append(f"local {path} = {expression}\n")
    return "".join(f"local {table} = {{{', '.join(items)}}}\n" for table, items in tables.items()) + "".join(
        lines
    )


def values_of(inputs: Iterable[Input]) -> Callable[[Any], tuple[Any, ...]]:
    """Return a function that reads the values of inputs from a stub."""
    paths = [item.path for item in inputs]
    if len(paths) > 1:
        return attrgetter(*paths)
    return lambda call: tuple(attrgetter(path)(call) for path in paths)
