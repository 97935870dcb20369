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
_ON_DEMAND = re.compile(r"\b(?:on_demand\(\)|demanded)\.(\w+)")
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

    Redis creates all functions of a script again at each call, so functions that are not needed cost time. Those that
    are called as `on_demand().name(…)` are created when the function `on_demand` is called.
    """
    matches = sorted((*_LIB_CONSTANT.finditer(lib), *_LIB_FUNCTION.finditer(lib)), key=re.Match.start)
    statements = {match[1]: match[0] for match in matches}
    ordinary = _needed(used_names(body), statements)
    demanded = names_on_demand(body).union(*(names_on_demand(statements[name]) for name in ordinary))
    if not demanded:
        return _joined(ordinary, statements)
    callers = _callers_of_on_demand(statements)
    while True:
        inside = _needed(demanded, statements) - (ordinary - callers)
        further = set().union(*(names_on_demand(statements[name]) for name in inside)) - demanded
        if not further:
            break
        demanded |= further
    constants = {name for name in inside if name.isupper()}
    functions = _joined(inside - constants, statements).replace("\n", "\n  ")
    results = ", ".join(f"{name} = {name}" for name in sorted(demanded))
    group = f"local function on_demand()\n  {functions}\n  return {{{results}}}\nend"
    parts = (
        _joined(ordinary - callers | constants, statements),
        group,
        _joined(ordinary & callers, statements),
    )
    return "\n".join(filter(None, parts))


def names_on_demand(source: str) -> set[str]:
    """Return the names of functions that a source calls as `on_demand().name(…)`."""
    return set(_ON_DEMAND.findall(_code(source)))


def _joined(names: set[str], statements: dict[str, str]) -> str:
    return "\n".join(statement for name, statement in statements.items() if name in names)


def _needed(names: set[str], statements: dict[str, str]) -> set[str]:
    """Return the names of statements that these names stand for, and of those that they need in turn."""
    names, needed = set(names), set()
    for name, statement in reversed(statements.items()):
        if name in names:
            needed.add(name)
            names |= used_names(statement)
    return needed


def _callers_of_on_demand(statements: dict[str, str]) -> set[str]:
    """Return the functions that call `on_demand`, directly or through others."""
    callers: set[str] = set()
    for name, statement in statements.items():
        if used_names(statement) & {"on_demand", *callers}:
            callers.add(name)
    return callers


def unknown_names(body: str, *, known: set[str], lib: str) -> list[str]:
    """Return names in a script that are neither inputs (`known`) nor defined by the script, the library or Lua."""
    functions = {name for name, _, _ in _LIB_FUNCTION.findall(lib)}
    lib_names = functions | set(_LIB_CONSTANT.findall(lib)) | {"on_demand"}
    unknown = used_names(body) - _defined_names(_code(body)) - lib_names - known - _KEYWORDS - _GLOBALS
    return sorted(unknown | names_on_demand(body) - functions)


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
