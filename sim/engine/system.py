"""The protocol between the simulator and a system under test.

A system gets its World once, serves webhooks, and reports to `world.ledger` what it does with each message.
`sim.systems.all_systems` finds every concrete subclass of System in the modules of `sim.systems`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from queue_core.recording.format import Arrival
from reports.results.causes import Cause
from reports.results.replay import Refusal
from sim.engine.ledger import Conversation
from sim.engine.options import NoOptions

if TYPE_CHECKING:
    from sim.engine.world import World


class WebhookFailedError(Exception):
    """Raised for a webhook that was not acknowledged: its answer is not 2xx."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason)
        self.reason = reason


class System(ABC):
    """A system under test: takes webhooks and sends replies. An instance serves one run."""

    name: ClassVar[str]
    """Name in `--system`, in results and in a recording's `expect`; `reports.words.systems` describes it."""
    order: ClassVar[int]
    """Position in lists of systems, lowest first."""
    processes: ClassVar[Sequence[str]] = ("bot",)
    """Names of its processes. Faults strike those whose names begin with `web` (webhooks come to the first one) or
    `worker`; a system without such names has one process, which does both."""
    options_type: ClassVar[type[Any]] = NoOptions
    """Settings of its own, as `sim.engine.options` declares them."""
    is_market: ClassVar[bool] = False
    """True for a system that others run, which is replayed only where it is asked for."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def start(self, process: str) -> None:  # noqa: B027 - a hook: most systems have nothing to start
        """Start what runs in a process besides webhooks; called before the first message, and after each restart.

        Tasks made here and in `webhook` belong to the process, and so do all that they make.
        """

    def died(self, process: str) -> None:  # noqa: B027 - a hook: a system may hold nothing in memory
        """Forget what the process held in memory, and report to the ledger what is lost with it.

        Called when a fault has killed the process: none of its tasks runs any more, nor any clean-up in them. A loss
        that is not reported here is explained at the end by the death, if the message was sent before.
        """

    def redis_lost_writes(self) -> None:  # noqa: B027 - a hook: a system may keep nothing in Redis
        """Report to the ledger what is lost; called when a fault has set Redis's data back to an earlier state."""

    @abstractmethod
    async def webhook(self, arrival: Arrival) -> None:
        """Handle one delivery. Returning acknowledges it (2xx).

        WebhookFailedError, and the simulated faults (AiError, HttpError), leave it unacknowledged. Any other
        exception is a bug in the system and fails the run.
        """

    @abstractmethod
    def at_rest(self) -> bool:
        """Return True if nothing will happen without new messages; called only while no activity is alive.

        The system may use facts here that only the simulator can see.
        """

    @abstractmethod
    def pending_ids(self) -> dict[Conversation, list[str]]:
        """Return the ids of waiting messages that the system will still find."""

    def cause(self, conversation: Conversation, message_id: str) -> Cause:
        """Return the cause of a loss that no `ledger.lose` has explained."""
        return Cause(code="vanished")

    async def settle(self) -> None:  # noqa: B027 - a hook, like start
        """Report final facts to the ledger; called once, at rest, before the outcome is taken."""

    async def stop(self) -> None:  # noqa: B027 - a hook, like start
        """End; called once, after the outcome was taken. Daemons are cancelled afterwards."""
