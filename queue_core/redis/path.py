"""Path: calls to one server over one link, in the order in which they were made, each with its own deadline."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Protocol, TypeVar

from redis import exceptions
from redis.asyncio.connection import AbstractConnection

from queue_core.errors import QueueUnavailableError
from queue_core.redis.durability import Command, DurableWait
from queue_core.redis.link import Link
from queue_core.redis.pending_calls import CallBuffer, CallGroup, PendingCall, Script, groups_of
from queue_core.redis.pool import close_at_once
from queue_core.redis.protocol import pack_fast
from queue_core.redis.runner import settle
from queue_core.redis.scripts.loader import Call

Result = TypeVar("Result")

TICKS = 16
"""Number of looks at the deadlines in `deadline_s`, so a call fails up to a sixteenth of that time late."""
WRITES_MAX = 2
"""Times that a call is written: once more if its connection breaks. Scripts can be repeated."""
LATE_S = 0.25
"""Silence of a server, with calls under way, after which the guide hears of it."""
_UNSENT = Exception("the script was not sent on this connection")
_ASKING = pack_fast(("ASKING",))


class _Asking:
    """Stand-in for the answer to ASKING, for which nobody waits."""


class Guide(Protocol):
    """Guide of a path, who may know another server for what this one does not carry out."""

    def takes(self, pending: PendingCall, error: Exception) -> bool:
        """Take over a call that this server refused, or that cannot reach it; with False, the caller gets the error."""

    def troubled(self) -> None:
        """Learn that the server is silent or away."""


class _Durable:
    """Calls of one write whose answers count once the write is safe, which the last `waits` answers say."""

    def __init__(self, waits: int) -> None:
        self.groups: list[CallGroup] = []
        self.waits = waits
        self.answers: list[Any] = []

    @property
    def is_answered(self) -> bool:
        """True when all answers are there."""
        return len(self.answers) == len(self.groups) + self.waits


class Path:
    """Path of calls to the server that `connect` makes connections to, each call within `deadline_s`.

    Calls of one turn of the event loop leave in one write, without waiting for earlier answers; as soon as they fill a
    group they leave at once, so that the server works while further calls are made. With `at_once` each call leaves at
    once. A call that gets no answer in time fails, whatever stands before it. The link is given up when it was silent
    for that long; what it did not answer is sent again over the next one, once.
    """

    def __init__(
        self,
        connection: Callable[[], AbstractConnection],
        *,
        deadline_s: float,
        durable: DurableWait | None,
        guide: Guide,
        at_once: bool = False,
    ) -> None:
        self._make_connection = connection
        self._at_once = at_once
        self._deadline_s = deadline_s
        self._tick_s = min(deadline_s / TICKS, LATE_S)
        self._durable = durable
        self._guide = guide
        self._waits: tuple[Command, ...] = ()
        """Commands at the end of a write that wait until it is safe."""
        self._former: AbstractConnection | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.writes = 0
        self._forget()

    def _forget(self) -> None:
        """Begin without a connection and without calls."""
        self._connection: AbstractConnection | None = None
        self._link: Link | None = None
        self._opening: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due: deque[PendingCall] = deque()
        """Calls in the order of their deadlines; answered ones leave unless an earlier call still waits."""
        self._older: list[PendingCall] = []
        """Calls that another server refused, with deadlines in any order."""
        self._again: list[PendingCall] = []
        """Calls that are written again, before the waiting ones, as soon as nothing is under way."""
        self._waiting = CallBuffer()
        self._sent: deque[CallGroup | Script | _Durable | _Asking] = deque()
        """Writes that have no answer yet, in the order in which the answers come."""
        self._heard_s = 0.0

    def carry(self, call: Call[Result]) -> asyncio.Future[Result]:
        """Send a call. The future raises QueueUnavailableError when there is no answer."""
        loop = asyncio.get_running_loop()
        pending = PendingCall(call, loop.create_future(), loop.time())
        self.take(pending)
        return pending.future

    def take(self, pending: PendingCall) -> None:
        """Send a call, perhaps one that another server refused."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # the first call, or one after a fork or in a second asyncio.run
            self._former = (
                self._connection
            )  # kept: if it were collected, redis-py would close it in the old loop
            self._loop = loop
            self._forget()
        if not self._waiting.calls and not self._at_once:
            loop.call_soon(self.ready)
        is_older = self._due and pending.since_s < self._due[-1].since_s
        (self._older if is_older else self._due).append(pending)
        if self._timer is None:
            self._timer = loop.call_later(self._tick_s, self._look)
        if self._waiting.add(pending) or self._at_once:
            self.ready()

    def leave(self) -> list[PendingCall]:
        """Give the connection up, and return the calls that have no answer, in their order."""
        waiting = (*self._under_way(), *self._again, *self._waiting.take())
        calls = [pending for pending in waiting if not pending.is_given_up]
        self._sent.clear()
        self._again = []
        self._due.clear()
        self._older.clear()
        if self._opening:
            self._opening.cancel()
        link, self._link = self._link, None
        if link:
            link.abandon(exceptions.ConnectionError("the server is not a primary any more"))
        return calls

    def ready(self) -> None:
        """Write what waits, in one piece, as soon as there is a link that takes it."""
        link = self._link
        if link is None:
            if self._loop and self._opening is None and (self._again or self._waiting.calls):
                self._opening = self._loop.create_task(self._open(), name="queue-connection")
        elif not link.is_full and not (self._again and self._sent):
            self._write(link, self._take())

    def answered(self, answer: Any) -> None:
        """Give an answer to the caller that is next. Raises InvalidResponse if there is none."""
        if not self._sent:
            raise exceptions.InvalidResponse("nothing was asked")
        sent = self._sent.popleft()
        try:
            if isinstance(sent, CallGroup):
                self._settle(sent, answer)
            elif isinstance(sent, _Durable):
                sent.answers.append(answer)
                if sent.is_answered:
                    self._settle_durable(sent)
            elif not isinstance(sent, _Asking) and self._link and isinstance(answer, Exception):
                self._link.scripts[sent.sha] = answer
        except exceptions.InvalidResponse:
            self._sent.appendleft(sent)  # it is under way still
            raise

    def heard(self) -> None:
        """Note a sign of life. Send again what the server had no script for."""
        assert self._loop
        self._heard_s = self._loop.time()
        while (
            self._due and self._due[0].future.done()
        ):  # not only at each look: until then they could fill the memory
            self._due.popleft()
        if self._again:
            self.ready()

    def lost(self, link: Link, error: Exception) -> None:
        """Send what is under way once more, before everything else."""
        if link is not self._link:
            return
        self._link = None
        calls = [*self._again, *self._under_way()]
        if calls:
            self._guide.troubled()
        self._sent.clear()
        self._again = [pending for pending in calls if pending.writes < WRITES_MAX]
        for pending in calls:
            if pending.writes >= WRITES_MAX:
                pending.fail(error)
        self.ready()

    def _take(self) -> list[PendingCall]:
        """Return the calls to write now, without those that were given up."""
        calls = [pending for pending in self._again + self._waiting.take() if not pending.is_given_up]
        self._again = []
        return calls

    def _write(self, link: Link, calls: list[PendingCall]) -> None:
        if not self._sent and self._loop:
            self._heard_s = self._loop.time()
        durable = _Durable(len(self._waits)) if self._waits else None
        commands: list[bytes] = []
        for group, command in _packed(groups_of(calls)):
            self._load(link, group.script, commands)
            for pending in group.calls:
                pending.writes += 1
            if group.is_asking:
                commands.append(_ASKING)
                self._sent.append(_Asking())
            commands.append(command)
            self._sent.append(durable or group)
            if durable:
                durable.groups.append(group)
        if durable and commands:
            for wait in self._waits:
                commands.append(pack_fast(wait))
                self._sent.append(durable)
        if commands:
            self.writes += 1
            link.write(b"".join(commands))

    def _load(self, link: Link, script: Script, commands: list[bytes]) -> None:
        """Send a script before its first call over this link."""
        if link.scripts.get(script.sha, _UNSENT) is not None:
            link.scripts[script.sha] = None
            commands.append(pack_fast(("SCRIPT", "LOAD", script.source)))
            self._sent.append(script)

    def _settle(self, group: CallGroup, answer: Any) -> None:
        for pending, part in self._unpacked(group, answer):
            self._tell(pending, part)

    def _unpacked(
        self, group: CallGroup, answer: Any, after: Sequence[CallGroup] = ()
    ) -> list[tuple[PendingCall, Any]]:
        """Return calls with their answers. Calls whose script the server lost are kept, to be sent again.

        Calls of a group that the server refused as a whole are kept too, each to be sent alone. But a call gets the
        error if a later call on its conversation would overtake it, such as one in a group `after` this one. Raises
        InvalidResponse.
        """
        if isinstance(answer, exceptions.NoScriptError) and self._link:
            sha = group.script.sha
            refusal = self._link.scripts.get(sha)
            if refusal is None:
                self._link.scripts.pop(sha, None)
                for pending in group.calls:
                    pending.writes -= 1
                self._again += group.calls
                return []
            answer = refusal
        answers = group.answers(answer)
        if answers is not None:
            return answers
        later = {
            pending.conversation for pending in chain(*(other.calls for other in after), self._under_way())
        }
        refused = []
        for pending in group.calls:
            if self._guide.takes(pending, answer):
                continue
            if pending.conversation in later:
                refused.append((pending, answer))
            else:
                pending.goes_alone = True
                self._again.append(pending)
        return refused

    def _tell(self, pending: PendingCall, answer: Any) -> None:
        """Give a caller its result, unless the guide knows another server for the call."""
        if not (isinstance(answer, Exception) and self._guide.takes(pending, answer)):
            settle(pending.call, pending.future, answer)

    def _settle_durable(self, sent: _Durable) -> None:
        assert self._durable
        answers, waits = sent.answers[: len(sent.groups)], sent.answers[len(sent.groups) :]
        unsafe: QueueUnavailableError | None = None
        try:
            self._durable.check(waits)
        except QueueUnavailableError as error:
            unsafe = error
            self._guide.troubled()
        refusal = next((wait for wait in waits if isinstance(wait, Exception)), None)
        for number, (group, answer) in enumerate(zip(sent.groups, answers, strict=True), 1):
            for pending, part in self._unpacked(group, answer, sent.groups[number:]):
                if unsafe is None or isinstance(part, Exception):  # an error wrote nothing that could be lost
                    self._tell(pending, part)
                elif refusal is None or not self._guide.takes(pending, refusal):
                    pending.fail(unsafe)

    def _under_way(self) -> Iterator[PendingCall]:
        for sent in dict.fromkeys(self._sent):
            if isinstance(sent, CallGroup):
                yield from sent.calls
            elif isinstance(sent, _Durable):
                for group in sent.groups:
                    yield from group.calls

    async def _open(self) -> None:
        """Connect for the calls that wait. If that fails, they fail too, unless their deadlines come first."""
        try:
            while self._link is None and (waiting := self._take()):
                self._again = waiting
                try:
                    async with asyncio.timeout(self._deadline_s):
                        self._link = await self._connect()
                except (TimeoutError, exceptions.TimeoutError):
                    await asyncio.sleep(self._deadline_s / TICKS)
        except asyncio.CancelledError:
            for pending in self._take():
                pending.future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - every caller must get the error
            self._guide.troubled()
            for pending in self._take():
                if not self._guide.takes(pending, error):
                    pending.fail(error)
        finally:
            self._opening = None
        self.ready()

    async def _connect(self) -> Link:
        self._waits = await self._durable.commands() if self._durable else ()
        if self._connection is None:
            self._connection = self._make_connection()
        await close_at_once(self._connection)
        await self._connection.connect()  # type: ignore[no-untyped-call]  # in redis-py
        return Link(self._connection, self)

    def _look(self) -> None:
        """Look at the deadlines."""
        assert self._loop
        now_s, due, patience_s = self._loop.time(), self._due, self._deadline_s
        while due and (due[0].future.done() or now_s - due[0].since_s >= self._deadline_s):
            pending = due.popleft()
            if not pending.future.done():
                pending.fail(TimeoutError())
                patience_s = self._deadline_s * (1 - 1 / TICKS)  # it was written a little after it was made
        for pending in self._older:
            if now_s - pending.since_s >= self._deadline_s:
                pending.fail(TimeoutError())
        self._older = [pending for pending in self._older if not pending.future.done()]
        if (self._sent or self._opening) and now_s - self._heard_s >= LATE_S:
            self._guide.troubled()
        if self._link and self._sent and now_s - self._heard_s >= patience_s:
            self._link.abandon(exceptions.TimeoutError("Redis is silent"))
        goes_on = due or self._older or self._sent
        self._timer = self._loop.call_later(self._tick_s, self._look) if goes_on else None


def _packed(groups: Iterable[CallGroup]) -> Iterator[tuple[CallGroup, bytes]]:
    """Yield groups as bytes. A call that cannot be written, such as for a text that is not UTF-8, fails alone."""
    for group in groups:
        try:
            yield group, pack_fast(("EVALSHA", *group.command()))
        except Exception as error:  # noqa: BLE001 - its caller must get it
            if len(group.calls) == 1:
                group.calls[0].fail(error)
            else:
                yield from _packed(map(CallGroup, group.calls))
