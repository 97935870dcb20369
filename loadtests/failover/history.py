"""History of a run in words: what the servers said about themselves, and when each lost message was acknowledged."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from loadtests.failover.elections import State
from loadtests.failover.ledger import Ledger
from loadtests.replicated_redis.node import Node

NAME = "history.txt"

States = Mapping[Node, State | None]


def history_of(seen: Sequence[tuple[float, States]], ledger: Ledger) -> list[str]:
    """Return lines in the order of time. Times of day are comparable with those of the servers' logs."""
    moments = [
        (at_s, f"{node.folder.name} {_words_of(states[node])}") for at_s, states in seen for node in states
    ]
    moments += [
        (ledger.acknowledged[message_id], f"{message_id} was acknowledged, and never answered")
        for message_id in ledger.unanswered()
    ]
    moments += [
        (at_s, f"the machine stood still for {length_s:.2f} s") for at_s, length_s in ledger.stalls.lengths()
    ]
    started_s = time.time() - time.monotonic()
    return [
        f"{datetime.fromtimestamp(started_s + at_s).astimezone():%H:%M:%S.%f} {words}"
        for at_s, words in sorted(moments)
    ]


def _words_of(state: State | None) -> str:
    if state is None:
        return "is away"
    role = f"primary, replicas online: {state.replicas}" if state.is_primary else "replica"
    return f"{role}, offset {state.offset}{'' if state.serves else ', refuses commands'}"
