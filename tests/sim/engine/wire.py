"""Recorders of a system under test: of its calls of Redis, its log, and the texts that its AI gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reports.results.replay import Run
from sim.engine.ledger import Conversation
from sim.systems import System
from sim.systems._buffer import BufferSystem
from sim.systems._list import ListSystem


class Wire:
    """A recorder of calls of Redis and of the times at which they start; written values are left out."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, str]] = []

    def tap(self, system: System) -> None:
        """Record the calls of an old system."""
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
        """Return the calls in the order in which they started; a transaction is one call."""
        return [command for at_ms, command in self.calls if until_ms is None or at_ms < until_ms]

    def times_ms(self, beginning: str) -> list[int]:
        """Return the start times of calls whose text begins with `beginning`."""
        return [at_ms for at_ms, command in self.calls if command.startswith(beginning)]

    def _note(self, system: System, command: str) -> None:
        self.calls.append((system.world.now_ms(), command))


def events(run: Run, event: str) -> list[dict[str, Any]]:
    """Return the log lines of an event, without its name."""
    return [
        {key: line[key] for key in line if key != "event"} for line in run["log"] if line["event"] == event
    ]


def listen_to_ai(system: System, texts: list[str]) -> None:
    """Collect the texts that the AI gets."""
    answer = system.world.ai.answer

    async def recorded_answer(conversation: Conversation, ids: Sequence[str], text: str) -> str:
        texts.append(text)
        return await answer(conversation, ids, text)

    system.world.ai.answer = recorded_answer  # type: ignore[method-assign]


def _shown(command: Sequence[str | int]) -> str:
    return " ".join(part for part in map(str, command) if not part.startswith("{"))
