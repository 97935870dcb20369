"""Lua scripts as files with typed Python stubs; a stub that does not fit its script fails at import.

A script names its inputs once, at its top: `local queue = KEYS[1]`, `local window_ms = tonumber(ARGV[4])`.
A stub is a struct whose fields are those names in that order, keys first.
"""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files
from typing import Annotated, Any, ClassVar, Generic, TypeVar, get_type_hints

import msgspec

Key = Annotated[str, "KEYS"]
"""Marks a field of a stub as one of the script's keys."""

Result_co = TypeVar("Result_co", covariant=True)

_INPUT = re.compile(r"^local (\w+) = (?:tonumber\()?(KEYS|ARGV)\[(\d+)\]\)?$", re.MULTILINE)
_ANY_USE = re.compile(r"\b(?:KEYS|ARGV)\b")


class ScriptMismatchError(Exception):
    """A script and its stub disagree, or a script reads an input in other than the agreed way."""


class LuaScript:
    """A script's source with `lib.lua` in front, its SHA1, and the names of its inputs in order."""

    def __init__(self, name: str) -> None:
        self.name = name
        body = _read(name)
        self.source = f"{_read('lib')}\n{body}"
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()
        self.keys = self._inputs(body, "KEYS")
        self.arguments = self._inputs(body, "ARGV")
        uses = len(_ANY_USE.findall(re.sub(r"--.*", "", body)))
        if uses != len(self.keys) + len(self.arguments):
            raise ScriptMismatchError(
                f"{name}.lua uses KEYS or ARGV other than in one `local name = …` line each"
            )

    def _inputs(self, body: str, table: str) -> tuple[str, ...]:
        found = [(int(number), name) for name, kind, number in _INPUT.findall(body) if kind == table]
        if [number for number, _ in found] != list(range(1, len(found) + 1)):
            raise ScriptMismatchError(f"{self.name}.lua: {table} are not numbered 1, 2, 3 … in order")
        return tuple(name for _, name in found)


class Call(msgspec.Struct, Generic[Result_co], frozen=True, kw_only=True):
    """One call of a script: a stub with its inputs filled in. Subclasses name the script and read its answer."""

    script: ClassVar[LuaScript]

    @staticmethod
    def read(raw: Any) -> Any:
        """The script's answer, as its header describes it, in Python's terms; every stub has its own."""
        return raw

    def command(self) -> tuple[Any, ...]:
        """What follows EVALSHA."""
        return (self.script.sha, len(self.script.keys), *msgspec.structs.astuple(self))


CallType = TypeVar("CallType", bound=type[Call[Any]])


def stub(cls: CallType) -> CallType:
    """Class decorator: checks that the fields are the script's inputs. Raises ScriptMismatchError."""
    hints = get_type_hints(cls, include_extras=True)
    fields = cls.__struct_fields__
    keys = tuple(name for name in fields if hints[name] == Key)
    arguments = tuple(name for name in fields if hints[name] != Key)
    script = cls.script
    if fields != (*script.keys, *script.arguments) or keys != script.keys:
        raise ScriptMismatchError(
            f"{cls.__name__} has keys {keys} and arguments {arguments}, "
            f"{script.name}.lua has {script.keys} and {script.arguments}"
        )
    return cls


def text(raw: Any) -> str:
    """A bulk string, whether the client decodes answers or not."""
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)


def _read(name: str) -> str:
    return (files("queue_core.redis.scripts") / f"{name}.lua").read_text(encoding="utf-8")
