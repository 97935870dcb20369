"""Gathered form of a script: it carries out several calls in one EVALSHA.

Creating the functions of a script, and passing on settings that are the same in all calls, costs Redis more than a
step itself does. The gathered form does both once for all its calls. They are carried out in their order, each as if
it were alone: an error of a call is its answer, and the others go on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import chain
from operator import attrgetter
from typing import Any

from queue_core.redis.scripts.inputs import Input, preamble, readings, values_of
from queue_core.redis.scripts.names import needed_part

_RUN = """\
local refusal = {refusal}
if refusal then
  return refusal
end

local parcel = {{}}
local function run(keys_before, arguments_before)
{own}
{body}
end

local answers = {{}}
for number = 0, (#KEYS - {shared_keys}) / {own_keys} - 1 do
  local is_done, answer = pcall(run, {shared_keys} + {own_keys} * number, {shared_arguments} + {own_arguments} * number)
  if not is_done and type(answer) ~= 'table' then
    answer = {{err = 'ERR ' .. tostring(answer)}}
  end
  answers[number + 1] = answer
end
return answers
"""


class GatheredScript:
    """Script that carries out several calls of a stub. Its answer is the list of their answers.

    The shared inputs come first, then those of each call; a script has at least one key of its own for each.
    """

    def __init__(
        self,
        name: str,
        body: str,
        inputs: Sequence[Input],
        fields: Sequence[str],
        library: Callable[[], str],
        *,
        stores: bool,
    ) -> None:
        """Take name, body and inputs of a script, the fields of its stub that are shared, and the libraries.

        A script that `stores` refuses all its calls together when Redis is full.
        """
        self.name = name
        self._body = body
        self._refusal = "refusal_when_full(shared_place_layout)" if stores else "nil"
        self._library = library
        self.kinship = attrgetter("place.base", *fields)
        """Returns what calls must have in common to go together; first the partition, from which its keys follow."""
        self._shared = [item for item in inputs if item.is_shared]
        self._own = [item for item in inputs if not item.is_shared]
        self._shared_keys, self._shared_arguments, self._own_keys, self._own_arguments = (
            values_of(item for item in items if item.is_key is is_key)
            for items in (self._shared, self._own)
            for is_key in (True, False)
        )

    @cached_property
    def source(self) -> str:
        """Source of the script, with what it needs of the libraries."""
        shared = readings(self._shared)
        own = readings(self._own, keys="keys_before + ", arguments="arguments_before + ")
        tables = {item.table for item in self._own}
        for item in self._shared:
            if item.table and item.table in tables:  # a table of both kinds is made for each call
                name = "shared_" + item.path.replace(".", "_")
                shared[name] = shared.pop(item.path)
                own[item.path] = name
        counts = {
            f"{kind}_{'keys' if is_key else 'arguments'}": sum(item.is_key is is_key for item in items)
            for kind, items in (("shared", self._shared), ("own", self._own))
            for is_key in (True, False)
        }
        script = preamble(shared) + _RUN.format(
            refusal=self._refusal, own=preamble(own), body=self._body, **counts
        )
        return f"{needed_part(script, self._library())}\n{script}"

    @cached_property
    def sha(self) -> str:
        """SHA1 of the source."""
        return hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def command(self, calls: Sequence[Any]) -> tuple[Any, ...]:
        """Return the arguments of EVALSHA for some calls that have the shared inputs in common."""
        first = calls[0]
        keys = (*self._shared_keys(first), *chain.from_iterable(map(self._own_keys, calls)))
        arguments = chain.from_iterable(map(self._own_arguments, calls))
        return (self.sha, len(keys), *keys, *self._shared_arguments(first), *arguments)
