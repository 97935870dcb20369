"""Gathered form of a script: it carries out several calls in one EVALSHA.

Creating the functions of a script, and passing on settings that are the same in all calls, costs Redis more than a
step itself does. The gathered form does both once for all its calls. They are carried out in their order, each as if
it were alone: an error of a call is its answer, and the others go on.

It makes the keys of conversations itself, which costs less than passing them on. Its KEYS are those of the partition,
which lie in the same slot of a cluster, and `Place.absent`.
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

local group = {{}}
local function main({names})
{body}
end

local function run(before)
{per_call}
return guarded(place, now_ms, main, {names})
end

local answers = {{}}
for number = 0, (#ARGV - {shared_count}) / {per_call_count} - 1 do
  local is_done, answer = pcall(run, {shared_count} + {per_call_count} * number)
  if not is_done and type(answer) ~= 'table' then
    answer = {{err = 'ERR ' .. tostring(answer)}}
  end
  answers[number + 1] = answer
end
return answers
"""


class GatheredScript:
    """Script that carries out several calls of a stub. Its answer is the list of their answers.

    The shared inputs come first, then those of each call, all as arguments.
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
        """Keep name, body and inputs of a script, the shared fields of its stub, and the libraries.

        A script that `stores` refuses all its calls together when Redis is full.
        """
        self.name = name
        self._body = body
        self._refusal = "refusal_when_full(shared_place_layout)" if stores else "nil"
        self._library = library
        self.shared_of = attrgetter("place.base", *fields)
        """Function that returns what calls must share to go together, the base of the partition's keys first."""
        base = Input("place.base", is_key=False, is_shared=True)
        self._shared = [base, *(item for item in inputs if item.is_shared and item.path != base.path)]
        per_call = [item for item in inputs if not item.is_shared]
        self._made_keys = [item for item in per_call if item.kind]
        self._per_call = [item._replace(is_key=False) for item in per_call if not item.kind]
        absent = Input("place.absent", is_key=True)
        self._keys = values_of([*(item for item in self._shared if item.is_key), absent])
        self._shared_arguments = values_of(item for item in self._shared if not item.is_key)
        self._per_call_arguments = values_of(self._per_call)

    @cached_property
    def source(self) -> str:
        """Source of the script, with what it needs of the libraries."""
        shared = readings(self._shared)
        per_call = readings(self._per_call, arguments="before + ")
        tables = {item.table for item in self._per_call}
        for item in self._shared:
            if item.table and item.table in tables:  # a table of both kinds is made for each call
                name = "shared_" + item.path.replace(".", "_")
                shared[name] = shared.pop(item.path)
                per_call[item.path] = name
        conversation = preamble({"place_conversation": per_call["place.conversation"]})
        per_call["place.conversation"] = "place_conversation"
        for item in self._made_keys:
            per_call[item.path] = f"shared_place_base .. '{item.kind}:' .. place_conversation"
        script = preamble(shared) + _RUN.format(
            refusal=self._refusal,
            per_call=conversation + preamble(per_call),
            body=self._body,
            names=", ".join(dict.fromkeys(path.partition(".")[0] for path in per_call)),
            shared_count=sum(not item.is_key for item in self._shared),
            per_call_count=len(self._per_call),
        )
        return f"{needed_part(script, self._library())}\n{script}"

    @cached_property
    def sha(self) -> str:
        """SHA1 of the source."""
        return hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def command(self, calls: Sequence[Any]) -> tuple[Any, ...]:
        """Return the arguments of EVALSHA for some calls that have the shared inputs in common."""
        first = calls[0]
        keys = self._keys(first)
        arguments = chain.from_iterable(map(self._per_call_arguments, calls))
        return (self.sha, len(keys), *keys, *self._shared_arguments(first), *arguments)
