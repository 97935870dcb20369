"""Names from code between double underscores, such as `__init__`, that a text may contain without code marks."""

from __future__ import annotations

import builtins
import types

_KINDS = (type, int, float, str, dict, list, frozenset, Exception, types.FunctionType, types.CoroutineType)
_OF_PYTHON = {name.strip("_") for kind in (*_KINDS, builtins) for name in dir(kind) if name.startswith("__")}
_OTHERS = (
    "main all file path version author slots future enter exit aenter aexit aiter anext await del delete missing bytes "
    "fspath post_init deepcopy getattr setattr bases pycache "  # of Python, but of none of these kinds
    "proto typename tests mocks snapshots fixtures dirname filename esModule "  # of JavaScript and its tools
    "construct destruct callStatic CLASS DIR FILE FUNCTION LINE METHOD NAMESPACE TRAIT "  # of PHP and C
    "COUNTER STDC cplusplus declspec metatable index newindex gc"
)
NAMES = frozenset(_OF_PYTHON.union(_OTHERS.split()))


def is_code(word: str, before: str, after: str) -> bool:
    """Return True if a word between double underscores is a name from code, by itself or by the text beside it."""
    is_joined = (
        before in tuple("./\\@$")
        or after[:1] in tuple("(/\\[=")
        or (after[:1] == "." and after[1:].isalnum())
    )
    return is_joined or word in NAMES or "_" in word or any(map(str.isdigit, word))
