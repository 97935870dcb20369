"""Listening in on a system under test: its calls of Redis, its log, and what it hands to the AI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reports.results.replay import Run
from sim.engine.ledger import Conversation
from sim.systems import System
from sim.systems._buffer import BufferSystem
from sim.systems._list import ListSystem


class Wire:
    """Notes when each call of Redis starts; of values that are written, only that there was one."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, str]] = []

    def tap(self, system: System) -> None:
        """Put this between an old system and its Redis."""
        assert isinstance(system, BufferSystem | ListSystem)
        call, multi = system.redis.call, system.redis.multi

        async def noted_call(*command: str | int) -> Any:
            self._note(system, _shown(command))
            return await call(*command)

        async def noted_multi(*commands: tuple[str | int, ...]) -> list[Any]:
            self._note(system, "; ".join(map(_shown, commands)))
            return await multi(*commands)

        system.redis.call = noted_call  # type: ignore[method-assign]
        system.redis.multi = noted_multi  # type: ignore[method-assign]

    def commands(self, until_ms: int | None = None) -> list[str]:
        """The calls in the order in which they started, a transaction as one."""
        return [command for at_ms, command in self.calls if until_ms is None or at_ms < until_ms]

    def times_ms(self, beginning: str) -> list[int]:
        """Return the times at which calls that begin so were started."""
        return [at_ms for at_ms, command in self.calls if command.startswith(beginning)]

    def _note(self, system: System, command: str) -> None:
        self.calls.append((system.world.now_ms(), command))


def events(run: Run, event: str) -> list[dict[str, Any]]:
    """Log lines of one kind, without their name."""
    return [
        {key: line[key] for key in line if key != "event"} for line in run["log"] if line["event"] == event
    ]


def listen_to_ai(system: System, texts: list[str]) -> None:
    """Collect what the AI is given."""
    answer = system.world.ai.answer

    async def heard(conversation: Conversation, ids: Sequence[str], text: str) -> str:
        texts.append(text)
        return await answer(conversation, ids, text)

    system.world.ai.answer = heard  # type: ignore[method-assign]


def _shown(command: Sequence[str | int]) -> str:
    return " ".join(part for part in map(str, command) if not part.startswith("{"))
