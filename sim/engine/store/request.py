"""Requests to the server: each is sent, executed once it has arrived, and answered, or it fails."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Any, ClassVar

Command = tuple[Any, ...]


class Request(ABC):
    """A request that travels `half_s` to the server, and whose answer travels as long back."""

    __slots__ = ("answers", "client", "half_s")
    is_over_http: ClassVar[bool] = False

    def __init__(self, client: str, half_s: float) -> None:
        self.client = client
        self.half_s = half_s
        self.answers: Any = None
        """Answers of the server, on their way back."""

    def arrival_s(self, now_s: float) -> float:
        """Return the time at which it arrives at the server if it leaves now."""
        return now_s + self.half_s

    def return_s(self, now_s: float) -> float:
        """Return the time at which its answer arrives at the client if that leaves now."""
        return now_s + self.half_s

    @abstractmethod
    def execute(self) -> Any:
        """Execute it at the server, now, and return its answers. A copy that comes late is executed once more."""

    def wait_ms(self, answers: Any) -> int | None:
        """Return how long the server may wait for something to read; 0 is without end, None not at all."""
        return None

    @abstractmethod
    def settle(self, answers: Any) -> None:
        """Give the client the answers, unless it has given up."""

    @abstractmethod
    def fail(self, error: Exception) -> None:
        """Let the client's call fail, unless it has given up."""


class FutureRequest(Request):
    """A request whose client awaits a future."""

    __slots__ = ("answered",)

    def __init__(self, client: str, half_s: float, answered: asyncio.Future[Any]) -> None:
        super().__init__(client, half_s)
        self.answered = answered

    def settle(self, answers: Any) -> None:
        """Set the future's result."""
        if not self.answered.done():
            self.answered.set_result(answers)

    def fail(self, error: Exception) -> None:
        """Set the future's exception."""
        if not self.answered.done():
            self.answered.set_exception(error)
