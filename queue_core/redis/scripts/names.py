"""Names in a Lua script, found by regular expressions, to check that the script uses exactly the inputs of its stub."""

from __future__ import annotations

import re
from functools import cache

_COMMENT = re.compile(r"--.*")
_STRING = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"")
_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_LOCAL = re.compile(r"\blocal (?!function)([\w, ]+?)(?= ?=|$)|\bfor ([\w, ]+?) (?:in|=)", re.MULTILINE)
_FUNCTION = re.compile(r"\bfunction ?(\w*)\(([\w, ]*)\)")
_LIB_FUNCTION = re.compile(r"^local function (\w+)\((.*?)\)\n(.*?)^end$", re.MULTILINE | re.DOTALL)
_LIB_CONSTANT = re.compile(r"^local ([A-Z_]+) = .*$", re.MULTILINE)
_KEYWORDS = set(re.findall(r"\w+", "and break do else elseif end false for function if in local nil not or"))
_KEYWORDS |= set(re.findall(r"\w+", "repeat return then true until while"))
_GLOBALS = {
    "cjson",
    "error",
    "ipairs",
    "math",
    "pairs",
    "pcall",
    "redis",
    "string",
    "table",
    "tonumber",
    "type",
    "unpack",
}


def used_names(source: str) -> set[str]:
    """Return every name that stands alone or before a dot, keywords included; comments and strings do not count."""
    return set(_NAME.findall(_code(source)))


def needed_part(body: str, lib: str) -> str:
    """Return the constants and functions of the library that a script needs, in order and without comments.

    Redis creates all functions of a script again at each call, so functions that are not needed cost time.
    """
    statements = sorted((*_LIB_CONSTANT.finditer(lib), *_LIB_FUNCTION.finditer(lib)), key=re.Match.start)
    needed: list[str] = []
    names = used_names(body)
    for statement in reversed(statements):
        if statement[1] in names:
            needed.append(statement[0])
            names |= used_names(statement[0])
    return "\n".join(reversed(needed))


def unknown_names(body: str, *, known: set[str], lib: str) -> list[str]:
    """Return names in a script that are neither inputs (`known`) nor defined by the script, the library or Lua."""
    lib_names = {name for name, _, _ in _LIB_FUNCTION.findall(lib)} | set(_LIB_CONSTANT.findall(lib))
    return sorted(used_names(body) - _defined_names(_code(body)) - lib_names - known - _KEYWORDS - _GLOBALS)


@cache
def used_fields(table: str, body: str, lib: str) -> frozenset[str]:
    """Return the fields of an input that a script uses itself, or through functions of the library that it calls."""
    code = _code(body)
    fields = set(re.findall(rf"(?<![\w.]){table}\.(\w+)", code))
    for name, parameters, inside in _functions(lib):
        if name not in code:
            continue
        for call in re.findall(rf"\b{name}(?:\(|, )([^()]*)", code):  # also as in pcall(name, …)
            given = [word.strip() for word in call.split(",")]
            if table in given:
                parameter = parameters.split(", ")[given.index(table)]
                fields |= used_fields(parameter, inside, lib)
    return frozenset(fields)


@cache
def _functions(lib: str) -> list[tuple[str, str, str]]:
    """Return name, parameters and body of each function of the library."""
    return _LIB_FUNCTION.findall(_code(lib))


@cache
def _code(source: str) -> str:
    """Return a source without comments and strings, and without names of fields in table constructors."""
    code = _STRING.sub("''", _COMMENT.sub("", source))
    return re.sub(r"\{[^{}]*\}", lambda table: re.sub(r"\w+ = ", "", table[0]), code)


def _defined_names(code: str) -> set[str]:
    """Return locals, variables of loops, functions and their parameters."""
    groups = [group for pair in (*_LOCAL.findall(code), *_FUNCTION.findall(code)) for group in pair]
    return {name.strip() for group in groups for name in group.split(",")}
