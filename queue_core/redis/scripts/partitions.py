"""Stubs of the atomic steps that take over what lies in another partition; `queue/places.py` says when."""

from __future__ import annotations

from typing import Annotated

from queue_core.keys import Key, Place
from queue_core.redis.scripts import answers
from queue_core.redis.scripts.loader import Call, Now, stub
from queue_core.settings import Rules


@stub("carry")
class Carry(Call[int], frozen=True, kw_only=True):
    """Takes over what was kept of a conversation at its former place, unless it was carried before."""

    read = staticmethod(answers.read_count)
    place: Annotated[Place, "memory alias names behind change_notes undelivered completed carried damaged"]
    now_ms: Now
    kept: bytes


@stub("take_in")
class TakeIn(Call[int], frozen=True, kw_only=True):
    """Puts a message of another partition at the end of its conversation, once for each mark; 0 if it has left."""

    read = staticmethod(answers.read_count)
    place: Annotated[Place, "queue lock active wake is_former damaged conversation"]
    mark: Key
    rules: Rules
    now_ms: Now
    message: bytes
