"""Transport to several nodes: links to each primary, so that a slow one delays the calls of its own partitions only.

All keys of a call are in one slot. A call goes to the primary of its slot. If that primary refuses it since another one
may have the slot, or cannot be reached, the call is held, the table is read again, and the call is sent again until its
deadline. Gathered calls of a slot keep their order: none goes to a new primary while an earlier one is under way to the
old one.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from redis import exceptions

from queue_core.errors import QueueError
from queue_core.redis.durability import Durability
from queue_core.redis.link_transport import LinkTransport
from queue_core.redis.nodes.client import NodesClient
from queue_core.redis.nodes.refusals import is_passing, moved_to
from queue_core.redis.nodes.table import NO_OWNER, Table
from queue_core.redis.nodes.urls import Address
from queue_core.redis.path import Guide
from queue_core.redis.pending_calls import PendingCall
from queue_core.redis.pool import CLOSED
from queue_core.redis.runner import explain, explained
from queue_core.redis.scripts.loader import Call
from queue_core.redis.transport import Transport

Result = TypeVar("Result")

HOPS_MAX = 2
"""Redirections that a call follows at once; after that it waits for the table."""
HELD_S = 0.1
"""Longest time that a held call waits for a reading of the table before it is sent again."""


class NodeCall(PendingCall):
    """Call on its way to the primary of its slot."""

    __slots__ = ("error", "hops", "is_held", "is_urgent", "node", "number", "slot")

    def __init__(
        self,
        call: Call[Any],
        future: asyncio.Future[Any],
        since_s: float,
        slot: int,
        *,
        number: int,
        is_urgent: bool,
    ) -> None:
        super().__init__(call, future, since_s)
        self.slot = slot
        self.is_urgent = is_urgent
        self.number = number
        self.node: Address | None = None
        """Primary to which it was sent last."""
        self.is_held = False
        self.hops = 0
        self.error: Exception = TimeoutError()
        """Error of the last try."""

    def fail(self, error: Exception) -> None:
        """Give the caller an error; if the deadline passed while the call was not under way, that of the last try."""
        waits = self.is_held or not self.writes
        super().fail(self.error if waits and isinstance(error, TimeoutError) else error)

    def explain(self, error: Exception) -> QueueError:
        """Turn an error of redis-py into one of the queue's."""
        return explain(error)


class NodesTransport(Transport):
    """Transport to the primaries that a client's routes name; two links to each, which the client closes."""

    def __init__(self, client: NodesClient, *, deadline_ms: int, durability: Durability) -> None:
        self._client = client
        self._routes = client.routes
        self._deadline_ms = deadline_ms
        self._deadline_s = deadline_ms / 1000
        self._durability = durability
        self._nodes: dict[Address, LinkTransport] = {}
        self._left_round_trips = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._held: list[NodeCall] = []
        self._held_slots: set[int] = set()
        self._newest: dict[int, NodeCall] = {}
        """Newest gathered call of each slot that was sent."""
        self._calls = 0
        self._sending: asyncio.Task[None] | None = None
        client.routes.on_change.append(self._changed)
        client.on_close.append(self._close)

    @property
    def round_trips(self) -> int:
        """Number of writes so far."""
        return self._left_round_trips + sum(node.round_trips for node in self._nodes.values())

    def gathered(self, call: Call[Result]) -> asyncio.Future[Result]:
        """Run a call in the order in which those of its slot were made. Cancelling the future does not cancel it."""
        return self._carry(call, is_urgent=False)

    async def alone(self, call: Call[Result]) -> Result:
        """Run a call at once, not in order with gathered ones."""
        answer: Result = await self._carry(call, is_urgent=True)
        return answer

    async def load(self) -> None:
        """Check that the primaries answer, and have Lua. Raises QueueUnavailableError or UnsupportedRedisError."""
        with explained():
            async with asyncio.timeout(self._deadline_s):
                await self._client.check_lua(self._deadline_s)

    def _carry(self, call: Call[Any], *, is_urgent: bool) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # the first call, or one after a fork or in a second asyncio.run
            self._loop, self._held, self._sending, self._nodes = loop, [], None, {}
            self._held_slots.clear()
            self._newest.clear()
        self._calls += 1
        slot = self._routes.slot_of(call.command()[2])
        pending = NodeCall(
            call, loop.create_future(), loop.time(), slot, number=self._calls, is_urgent=is_urgent
        )
        if slot in self._held_slots and not is_urgent:
            self._hold(pending)  # behind those that were made before
        else:
            self._send(pending)
        return pending.future

    def takes(self, node: Address, pending: NodeCall, error: Exception) -> bool:
        """Send a call again if the error passes. Returns False if the caller must hear of it."""
        pending.is_asking = False
        target = moved_to(error, node)
        if target is None and not is_passing(error):
            return False
        pending.error = error
        if isinstance(error, exceptions.MovedError) and target:
            self._routes.moved(pending.slot, target)
        pending.hops += 1
        is_behind = pending.slot in self._held_slots and not pending.is_urgent
        if target is None or is_behind or pending.hops % (HOPS_MAX + 1) == 0:
            self._hold(pending)
        elif isinstance(error, exceptions.MovedError):
            self._send(pending)
        else:
            pending.is_asking = True
            self._node(target).take(pending, is_urgent=pending.is_urgent)
        return True

    def troubled(self, node: Address) -> None:
        """Look for the primaries again."""
        self._routes.suspect(node)

    def _send(self, pending: NodeCall) -> None:
        pending.is_held = False
        owner = self._routes.owner_of(pending.slot)
        if self._routes.is_closed:
            pending.fail(exceptions.ConnectionError(CLOSED))
        elif owner is None:
            is_known = self._routes.table is not None
            pending.error = exceptions.ClusterDownError(NO_OWNER) if is_known else self._routes.failure
            if is_passing(pending.error):
                self._hold(pending)
            else:
                self._routes.look()
                pending.fail(pending.error)
        elif self._would_overtake(pending, owner):
            self._hold(pending)
        else:
            pending.node = owner
            newest = self._newest.get(pending.slot)
            if not pending.is_urgent and (newest is None or newest.number < pending.number):
                self._newest[pending.slot] = pending
            self._node(owner).take(pending, is_urgent=pending.is_urgent)

    def _would_overtake(self, pending: NodeCall, owner: Address) -> bool:
        """Return True while an earlier call of the slot is under way to another primary, which may refuse it."""
        newest = self._newest.get(pending.slot)
        if pending.is_urgent or newest is None:
            return False
        return newest.number < pending.number and newest.node != owner and not newest.future.done()

    def _node(self, address: Address) -> LinkTransport:
        node = self._nodes.get(address)
        if node is None:
            node = self._nodes[address] = LinkTransport(
                self._client.node(address),
                deadline_ms=self._deadline_ms,
                durability=self._durability,
                guide=_NodeGuide(self, address),
            )
        return node

    def _hold(self, pending: NodeCall) -> None:
        pending.is_held = True
        self._held.append(pending)
        self._held_slots.add(pending.slot)
        if self._sending is None and self._loop:
            self._sending = self._loop.create_task(self._send_held(), name="queue-held-calls")

    async def _send_held(self) -> None:
        """Send held calls again after each reading of the table, until each has an answer or its deadline is over."""
        clock = asyncio.get_running_loop().time
        try:
            while self._held:
                await asyncio.wait([self._routes.look()], timeout=HELD_S)
                held, self._held = sorted(self._held, key=lambda pending: pending.number), []
                self._held_slots.clear()
                for pending in held:
                    if pending.is_given_up:
                        continue
                    if clock() - pending.since_s >= self._deadline_s:
                        pending.fail(pending.error)
                    else:
                        self._send(pending)
        finally:
            self._sending = None
            for pending in self._held:
                pending.future.cancel()
            self._held = []
            self._held_slots.clear()

    def _changed(self, table: Table) -> None:
        """Leave nodes that are no primaries any more; what they did not answer goes to the new ones."""
        for address in self._nodes.keys() - set(table.primaries):
            node = self._nodes.pop(address)
            for pending in node.leave():
                assert isinstance(pending, NodeCall)
                self._send(pending)
            self._left_round_trips += node.round_trips

    def _close(self) -> None:
        """Give up what is under way."""
        nodes, self._nodes = self._nodes, {}
        held, self._held = self._held, []
        self._held_slots.clear()
        for pending in [*held, *(pending for node in nodes.values() for pending in node.leave())]:
            pending.fail(exceptions.ConnectionError(CLOSED))


class _NodeGuide(Guide):
    """Guide of the links to one node."""

    def __init__(self, transport: NodesTransport, node: Address) -> None:
        self._transport = transport
        self._node = node

    def takes(self, pending: PendingCall, error: Exception) -> bool:
        """Take over a call for which another server, or a later time, may be right."""
        assert isinstance(pending, NodeCall)
        return self._transport.takes(self._node, pending, error)

    def troubled(self) -> None:
        """Learn that the node is silent or away."""
        self._transport.troubled(self._node)
