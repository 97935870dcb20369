"""Stubs of the atomic steps that join the names of one user; `aliases.lua` describes their keys."""

from __future__ import annotations

from typing import Annotated

from queue_core.keys import Place, Seen
from queue_core.redis.scripts import answers
from queue_core.redis.scripts.answers import NameAnswer, Standing
from queue_core.redis.scripts.loader import Call, Digits, Now, Number, stub, text


@stub("read_name")
class ReadName(Call[NameAnswer], frozen=True, kw_only=True):
    """Returns what Redis keeps under one name of a user."""

    read = staticmethod(answers.read_name)
    place: Annotated[
        Place,
        "queue lock stats completed memory layout partitions alias names behind damaged conversation",
    ]
    seen: Annotated[Seen, "old ids fingerprint"]
    now_ms: Now
    dedupe_ttl_ms: Number
    aliases_ttl_ms: Number


@stub("join")
class Join(Call[str], frozen=True, kw_only=True):
    """Lets a name lead to another conversation: "joined", "moved", "seen" or "in use"; see `join.lua`."""

    read = staticmethod(text)
    place: Annotated[Place, "queue lock layout partitions alias behind damaged conversation"]
    seen: Annotated[Seen, "old ids fingerprint"]
    now_ms: Now
    target: str
    waits: Digits
    dedupe_ttl_ms: Number
    aliases_ttl_ms: Number


@stub("put_behind")
class PutBehind(Call[Standing], frozen=True, kw_only=True):
    """Hands a batch back, since other messages of its user come first."""

    read = staticmethod(answers.read_standing)
    place: Annotated[Place, "lock active wake damaged conversation base ai channel"]
    now_ms: Now
    token: Digits
    wait_ms: Number


@stub("delete_alias", mends=False)
class DeleteAlias(Call[bool], frozen=True, kw_only=True):
    """Deletes an alias if it still leads to `target`."""

    read = staticmethod(answers.read_flag)
    place: Annotated[Place, "alias"]
    target: str
