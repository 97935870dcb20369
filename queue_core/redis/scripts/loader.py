"""Loader of Lua scripts with typed Python stubs; a stub that does not fit its script fails at import.

A stub declares the inputs of its script. The lines of Lua that read them (`local rules = {window_ms = …}`) are made
from the stub, so a script file begins with its logic and uses the inputs by their names in the stub.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Generic, TypeVar, get_args, get_type_hints

import msgspec

from queue_core.keys import COMMON, LAYOUT_KNOWN, LAYOUT_VERSION, ConversationKey, Key, Partition, Place, Seen
from queue_core.redis.scripts.gathered import GatheredScript
from queue_core.redis.scripts.inputs import Input, preamble, readings
from queue_core.redis.scripts.names import needed_part, unknown_names, used_fields, used_names
from queue_core.settings import Rules

Number = Annotated[int, "tonumber({})"]
"""Type of an integer that the script calculates with."""
Digits = Annotated[int, "{}"]
"""Type of an integer that the script compares as text, such as a token or a flag of 0 or 1."""
Now = Annotated[int | str, "clock_ms({})"]
"""Type of the time: "" means Redis's own clock; simulations and tests pass Unix ms."""

Result_co = TypeVar("Result_co", covariant=True)
CallType = TypeVar("CallType", bound="type[Call[Any]]")


LIBRARIES = (
    "lib",
    "damage",
    "seen",
    "arrivals",
    "archive",
    "changes",
    "sent",
    "outages",
    "gate",
    "aliases",
    "bundles",
)
"""Files of functions that scripts share, in order: a function uses only functions before it."""


_GROUP = "local group = {}\n"
"""Table of what calls that go together need to find out only once; a call that goes alone has an empty one."""


class ScriptMismatchError(Exception):
    """Raised when a script and its stub disagree, or a stub does not say how an input is read."""


class LuaScript:
    """Source of a script, with what it needs of the libraries around it, and its SHA1."""

    def __init__(self, name: str, inputs: list[Input], *, mends: bool = True) -> None:
        self.name = name
        self.keys = tuple(item.path for item in inputs if item.is_key)
        self.arguments = tuple(item.path for item in inputs if not item.is_key)
        self.keys_count = len(self.keys)
        self.body = body = _read(name)
        lib = library()
        if keys := self._guarded_keys(mends):
            body = f"local function main()\n{body}\nend\nreturn guarded({keys}, now_ms, main)\n"
        self._check(body, lib)
        script = f"{preamble(readings(inputs))}{_GROUP if 'group' in used_names(body) else ''}\n{body}"
        self.source = f"{needed_part(script, lib)}\n{script}"
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def _guarded_keys(self, mends: bool) -> str:
        """Return the name of the table of keys that the script moves aside if they are damaged; "" for none."""
        tables = {path.partition(".")[0] for path in self.keys}
        return next((table for table in ("place", "partition") if mends and table in tables), "")

    def _check(self, body: str, lib: str) -> None:
        """Raise ScriptMismatchError unless the script uses all inputs of its stub, and nothing else."""
        paths = (*self.keys, *self.arguments)
        names = {path.partition(".")[0] for path in paths}
        if unknown := unknown_names(body, known={*names, "group"}, lib=lib):
            raise ScriptMismatchError(f"{self.name}.lua uses what its stub does not declare: {unknown}")
        if unused := names - used_names(body):
            raise ScriptMismatchError(f"{self.name}.lua does not use {sorted(unused)} of its stub")
        for table in sorted({path.partition(".")[0] for path in paths if "." in path}):
            declared = {path.partition(".")[2] for path in paths if path.startswith(f"{table}.")}
            used = used_fields(table, body, lib)
            if declared != used:
                raise ScriptMismatchError(
                    f"{self.name}.lua uses {sorted(used)} of {table}, but its stub declares {sorted(declared)}"
                )


class Call(msgspec.Struct, Generic[Result_co], frozen=True, kw_only=True, gc=False):
    """Call of a script: a stub with its inputs filled in. Subclasses read the script's answer."""

    script: ClassVar[LuaScript]
    gathered: ClassVar[GatheredScript | None] = None
    """Form of the script for several calls, if it has one."""
    _command: ClassVar[Callable[[Any], tuple[Any, ...]]]
    """Function that returns the arguments of EVALSHA."""

    @staticmethod
    def read(raw: Any) -> Any:
        """Return the script's answer, which its header describes, as Python values; most stubs have their own."""
        return raw

    def command(self) -> tuple[Any, ...]:
        """Return the arguments of EVALSHA."""
        return type(self)._command(self)


def stub(
    name: str, *, mends: bool = True, shared: str = "", stores: bool = False
) -> Callable[[CallType], CallType]:
    """Make a class decorator that loads the script `name` for a stub. Raises ScriptMismatchError.

    With `mends`, after an error the script moves damaged keys of its place or partition aside and runs once more.
    `shared` names inputs that are the same in most calls of a queue: calls that have them in common, and the keys of
    the partition too, may go to Redis together (`gathered.py`). With `stores`, a full Redis refuses them together.
    """

    def load(cls: CallType) -> CallType:
        hints = get_type_hints(cls, include_extras=True)
        inputs = [item for part in cls.__struct_fields__ for item in _inputs(cls.__name__, part, hints[part])]
        script = LuaScript(name, inputs, mends=mends)
        if names := shared.split():
            if unknown := set(names) - set(cls.__struct_fields__):
                raise ScriptMismatchError(
                    f"{cls.__name__} shares what it does not declare: {sorted(unknown)}"
                )
            marked = [item._replace(is_shared=_is_shared(item, names)) for item in inputs]
            cls.gathered = GatheredScript(name, script.body, marked, names, library, stores=stores)
        cls.script = script
        cls._command = staticmethod(
            attrgetter("script.sha", "script.keys_count", *script.keys, *script.arguments)
        )
        return cls

    return load


def text(raw: Any) -> str:
    """Return a bulk string as text, whether the client decodes answers or not."""
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)


def _inputs(stub_name: str, name: str, hint: Any) -> Iterator[Input]:
    """Yield the inputs of one field of a stub: a single input, named fields of a tuple of keys, or all Rules."""
    kind, mark = get_args(hint) if hasattr(hint, "__metadata__") else (hint, "")
    if hint == Key:
        yield Input(name, is_key=True)
    elif kind is Rules:
        for field in dataclasses.fields(Rules):
            yield Input(f"{name}.{field.name}", is_key=False, reading="tonumber({})")
    elif kind in (Place, Partition, Seen):
        members = get_type_hints(kind, include_extras=True)
        for member in mark.split():
            made = vars(kind).get(member)
            key_kind = made.kind if isinstance(made, ConversationKey) else ""
            is_key = bool(key_kind) or members.get(member) == Key
            yield Input(f"{name}.{member}", is_key, kind=key_kind)
    elif kind is int and not mark:
        raise ScriptMismatchError(f"{stub_name}.{name} is an int: declare it as Number or as Digits")
    else:
        yield Input(name, is_key=False, reading=mark or "{}")


def _is_shared(item: Input, names: list[str]) -> bool:
    table, _, field = item.path.partition(".")
    return table in names or field in COMMON


def library() -> str:
    """Return all shared functions and constants; each script gets only those that it needs."""
    constants = f"local LAYOUT_VERSION = {LAYOUT_VERSION}\nlocal LAYOUT_KNOWN = {LAYOUT_KNOWN}\n"
    return constants + "\n".join(_read(name) for name in LIBRARIES)


@cache
def _read(name: str) -> str:
    return (files("queue_core.redis.scripts") / f"{name}.lua").read_text(encoding="utf-8")
