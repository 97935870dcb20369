"""The protocol between the simulator and a system under test.

A system gets its World once, serves webhooks, and reports to `world.ledger` what it does with each message.
Registration is automatic: a module in this package whose name has no leading underscore is imported, and every
concrete subclass of System found in it is offered under its `name`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from queue_core.recording.format import Arrival
from reports.results.causes import Cause
from reports.results.replay import Refusal
from sim.engine.ledger import Conversation

if TYPE_CHECKING:
    from sim.engine.world import World


class WebhookFailedError(Exception):
    """Raised by `System.webhook` when it does not acknowledge: the provider saw an answer other than 2xx."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason)
        self.reason = reason


class System(ABC):
    """One way to get from webhooks to replies. One instance serves one run."""

    name: ClassVar[str]
    """As in `--system`, in results and in a recording's `expect`; `reports.words.systems` says what it is."""
    order: ClassVar[int]
    """Place in lists of systems, lowest first."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def start(self) -> None:  # noqa: B027 - a hook: most systems have nothing to start
        """Called once, before the first message."""

    @abstractmethod
    async def webhook(self, arrival: Arrival) -> None:
        """Take one delivery. Returning acknowledges it (2xx).

        Raises WebhookFailedError, or one of the simulated faults (AiError, HttpError), when it does not. Any
        other exception is a bug in the system and fails the run.
        """

    @abstractmethod
    def at_rest(self) -> bool:
        """Whether nothing will happen without new messages. Omniscient; asked only while no activity is alive."""

    @abstractmethod
    def pending_ids(self) -> dict[Conversation, list[str]]:
        """Ids that wait in a place that will still be looked at. Omniscient."""

    def cause(self, conversation: Conversation, message_id: str) -> Cause:
        """Return why a message was lost that no `ledger.lose` has explained."""
        return Cause(code="vanished")

    async def settle(self) -> None:  # noqa: B027 - a hook, like start
        """Called once when all is at rest, before the outcome is taken, to report what only the end shows."""

    async def stop(self) -> None:  # noqa: B027 - a hook, like start
        """Called once, after the outcome was taken; daemons are cancelled afterwards."""
