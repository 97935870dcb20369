"""Faults of several servers: which one they strike, and what was done to it before."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from loadtests.stack import replicated_redis
from loadtests.stack.replicated_redis import ReplicatedRedis


class FakeNode:
    """Server that notes what is done to it."""

    def __init__(self) -> None:
        self.config: dict[str, str] = {}
        self.steps: list[str] = []

    def command(self, *words: str) -> None:
        """Note a command."""
        self.steps.append(" ".join(words))

    def kill(self) -> None:
        """Note the kill."""
        self.steps.append("kill")

    def start(self) -> None:
        """Note the start."""
        self.steps.append("start")


def test_the_primary_that_is_killed_has_written_all_that_it_acknowledged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old, new = FakeNode(), FakeNode()
    servers: Any = SimpleNamespace(nodes=[old, new], primaries=lambda: [new])
    monkeypatch.setitem(replicated_redis.KINDS, "cluster", lambda **_: servers)
    redis = ReplicatedRedis("cluster", "50mb")
    redis.kill()
    redis.restart()
    assert old.steps == []
    assert new.steps == ["CONFIG SET appendfsync no", "kill"] * 2 + ["start"]
