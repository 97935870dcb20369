"""Store that executes commands and scripts, and returns answers in the form of redis-py's parser.

The files in `lua/` have the commands. A missing command or option raises UnknownCommandError, so that nothing is
silently simulated in a wrong way. `tests/sim/engine/store/` compares the store with real servers, call by call.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any

import hiredis
from redis._parsers.base import BaseParser
from redis.exceptions import ResponseError

_FUNCTIONS = re.compile(
    rb"(?:local [A-Z_]+ = [\w. */+-]+\n|local function \w+\(.*?\n(?:.*?\n)??end\n)*", re.DOTALL
)
"""Functions and constants at the beginning of a script; they depend on none of its inputs."""


KEPT_NUMBERS = 100_000
"""Numbers below this are encoded only once."""


class UnknownCommandError(Exception):
    """Raised for a missing command or option: add it to a file in `lua/`, and to `tests/sim/engine/store/`."""


def _lua_language() -> Any:
    """Import LuaJIT; on a machine without it, Lua 5.1, which is the same language but slower.

    fakeredis imports Lua 5.1 in a way that makes its functions replace those of LuaJIT, unless LuaJIT looks up its own
    functions first.
    """
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | getattr(os, "RTLD_DEEPBIND", 0))
    try:
        return importlib.import_module("lupa.luajit21")
    except ImportError:
        return importlib.import_module("lupa.lua51")
    finally:
        sys.setdlopenflags(flags)


lua_language = _lua_language()

_PARTS = ("data", "keys", "texts", "lists", "maps", "sorted", "streams", "server")
"""Files in the order in which they are loaded; the last one returns the functions that Python calls."""


class Store:
    """Data of one server. `clock_us` returns the time, in Unix microseconds, for each request."""

    def __init__(self, clock_us: Callable[[], int]) -> None:
        self._clock_us = clock_us
        runtime = lua_language.LuaRuntime(encoding=None, register_eval=False)
        lua = _load(runtime)
        self._json = _Json(runtime)
        lua[b"use_json"](self._json.decode, self._json.encode)
        self._command, self._run, self._load = lua[b"command"], lua[b"run"], lua[b"load"]
        self._forget_scripts = lua[b"forget_scripts"]
        self._set_state = lua[b"set_state"]
        self._abort_after = lua[b"abort_after"]
        self._keep_copy, self._restore = lua[b"keep_copy"], lua[b"restore"]
        self._unknown, self._touched = lua[b"unknown"], lua[b"touched"]
        self._reader = hiredis.Reader(protocolError=ResponseError, replyError=_error_of)
        self.has_touched = False
        """True when streams got entries since the last call of `touched`."""

    def execute(self, command: Sequence[Any]) -> Any:
        """Run a command and return its answer; an error reply is returned as an exception of redis-py.

        Raises UnknownCommandError.
        """
        name, *arguments = map(_encoded, command)
        name, *words = name.upper().split()  # redis-py writes some names in two words
        arguments[:0] = words
        if name == b"EVALSHA":
            return self._read(self._run(self._clock_us(), arguments[0], int(arguments[1]), *arguments[2:]))
        if name == b"EVAL":
            sha = self._script([b"LOAD", arguments[0]])
            return sha if isinstance(sha, Exception) else self.execute((b"EVALSHA", sha, *arguments[1:]))
        if name == b"SCRIPT":
            return self._script(arguments)
        return self._read(self._command(self._clock_us(), name, *arguments))

    def run(self, sha: str, keys_count: int, *inputs: Any) -> Any:
        """Run a script that was loaded; the inputs are its keys and its arguments. Answers as `execute` does."""
        numbers = _NUMBERS
        encoded = [
            part.encode() if type(part) is str else numbers[part] if type(part) is int else _encoded(part)
            for part in inputs
        ]
        return self._read(self._run(self._clock_us(), sha.encode(), keys_count, *encoded))

    def set_state(self, *, is_full: bool = False, is_replica: bool = False) -> None:
        """Refuse writes that need memory, as a full server does, or all writes, as a replica does."""
        self._set_state(is_full, is_replica)

    def abort_after(self, writes: int | None) -> bool:
        """Let the next script with more than `writes` writes end with an error; None: no script.

        Returns True if an earlier call asked for that, and no script has ended so yet.
        """
        return bool(self._abort_after(False if writes is None else writes))

    def forget_scripts(self) -> None:
        """Forget all scripts, as a server does when it starts."""
        self._forget_scripts()

    def keep_copy(self, name: str) -> None:
        """Keep a copy of the data."""
        self._keep_copy(name.encode())

    def restore(self, name: str) -> None:
        """Go back to a copy of the data."""
        self._restore(name.encode())

    def touched(self) -> list[bytes]:
        """Return the streams that got entries since the last call."""
        self.has_touched = False
        names = self._touched()
        return names.split(b"\0") if names else []

    def _script(self, arguments: Sequence[bytes]) -> Any:
        subcommand = arguments[0].upper()
        if subcommand == b"LOAD":
            sha = hashlib.sha1(arguments[1], usedforsecurity=False).hexdigest().encode()
            end = _end_of_functions(arguments[1])
            if problem := self._load(sha, arguments[1][:end], arguments[1][end:]):
                return ResponseError(f"Error compiling script: {problem.decode()}")
            return sha
        if subcommand == b"FLUSH":
            self._forget_scripts()
            return b"OK"
        raise UnknownCommandError(f"SCRIPT {subcommand.decode()}")

    def _read(self, answered: tuple[bytes, bytes | None]) -> Any:
        answer, further = answered
        if further == b"unknown":
            raise UnknownCommandError(self._unknown().decode())
        self.has_touched = further is not None
        self._reader.feed(answer)
        return self._reader.gets()


def _load(runtime: Any) -> Any:
    """Load the files, which share a table of commands and a table of data. Return the functions that Python calls."""
    commands, data = runtime.table(), runtime.table()
    functions = None
    for part in _PARTS:
        source = (files("sim.engine.store") / "lua" / f"{part}.lua").read_bytes()
        functions = runtime.execute(source, commands, data)
    return functions


def _end_of_functions(source: bytes) -> int:
    match = _FUNCTIONS.match(source)
    return match.end() if match else 0


def _error_of(words: str) -> Exception:
    error = BaseParser.parse_error(words)  # type: ignore[no-untyped-call]  # redis-py has no types here
    return error if isinstance(error, Exception) else ResponseError(words)


def _encoded(part: Any) -> bytes:
    if isinstance(part, bytes):
        return part
    return part.encode() if isinstance(part, str) else repr(part).encode()


class _Numbers(dict[int, bytes]):
    """Whole numbers as they are sent; those that come again and again, such as settings, are kept."""

    def __missing__(self, number: int) -> bytes:
        written = b"%d" % number
        if 0 <= number < KEPT_NUMBERS:
            self[number] = written
        return written


_NUMBERS = _Numbers()


class _Json:
    """The functions of `cjson` that scripts use."""

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime

    def decode(self, text: bytes) -> Any:
        return self._to_lua(json.loads(text))

    def encode(self, value: Any) -> bytes:
        return json.dumps(_from_lua(value), separators=(",", ":"), ensure_ascii=False).encode()

    def _to_lua(self, value: Any) -> Any:
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, dict):
            return self._runtime.table_from({key.encode(): self._to_lua(part) for key, part in value.items()})
        if isinstance(value, list):
            return self._runtime.table_from([self._to_lua(part) for part in value])
        return value


def _from_lua(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if lua_language.lua_type(value) != "table":
        return value
    keys = list(value.keys())
    if keys and keys == list(range(1, len(keys) + 1)):
        return [_from_lua(value[index]) for index in keys]
    return {_from_lua(key): _from_lua(value[key]) for key in keys}
