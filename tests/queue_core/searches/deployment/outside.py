"""The outside of a deployment: an AI, a send API, and a provider that delivers again what was not acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from queue_core import Batch, GiveUpError, Intake, QueueMessage, RetryLaterError
from sim.engine.process_loop import Process, ProcessLoop
from tests.queue_core.searches.deployment.network import HALF_TRIP_MS
from tests.queue_core.searches.deployment.plan import Answer, BackendOutage, Message, Plan, Send
from tests.queue_core.searches.deployment.trace import Acknowledgement, Ask, Delivery, Sending, Trace

REDELIVERED_AFTER_S = 2.0
"""Wait before the provider delivers again; it doubles, up to REDELIVERED_AFTER_S_MAX."""
REDELIVERED_AFTER_S_MAX = 16.0
ANSWER_S_MAX = 60.0
"""Time after which the provider treats an unanswered delivery as refused."""


class Bot:
    """The AI and the send API, as the handler and the sender of one process call them."""

    def __init__(self, outside: Outside, process: Process) -> None:
        self._outside = outside
        self._loop = outside.loop
        self._trace = outside.trace
        self._process = process

    async def handle(self, batch: Batch) -> str:
        """Ask the AI about a turn."""
        await self._require_running()
        away = self._outside.outage_of("ai")
        plan = Answer(away.takes_ms, "later") if away else self._outside.next_answer()
        ask = Ask(
            process=self._process,
            conversation=_conversation(batch),
            ids=batch.ids,
            token=batch.token,
            began_ms=self._loop.now_ms(),
            text=batch.text,
        )
        self._trace.asks.append(ask)
        self._note("asked", f"{' '.join(batch.ids)}, attempt {batch.attempt}", batch)
        try:
            await self._outside.after(plan.takes_ms)
            ask.end = "away" if away else "answered" if plan.end == "ok" else "failed"
        except asyncio.CancelledError:
            ask.end = "cancelled"
            raise
        finally:
            ask.ended_ms = self._loop.now_ms()
            self._note("answered" if ask.end == "answered" else "ask over", ask.end, batch)
        if away:
            raise RetryLaterError("the AI is away")
        if plan.end == "fails":
            raise RuntimeError("the AI failed")
        if plan.end == "later":
            raise RetryLaterError("the AI is busy", after_ms=2_000)
        if plan.end == "gives up":
            raise GiveUpError("the AI refuses to answer")
        return f"re {' '.join(batch.ids)}"

    async def send(self, batch: Batch, text: str) -> None:
        """Send a reply whole."""
        await self._send_part(batch, text, 1, 1)

    async def send_in_parts(self, batch: Batch, text: str) -> AsyncIterator[None]:
        """Send a reply in parts, those that were sent before left out."""
        parts = self._outside.plan.parts
        for part in range(batch.parts_sent + 1, parts + 1):
            await self._send_part(batch, text, part, parts)
            if part < parts:
                yield

    async def _send_part(self, batch: Batch, text: str, part: int, parts: int) -> None:
        await self._require_running()
        away = self._outside.outage_of("channel")
        plan = Send(away.takes_ms, "refused") if away else self._outside.next_send()
        sending = Sending(
            process=self._process,
            conversation=_conversation(batch),
            ids=tuple(text.split()[1:]),
            token=batch.token,
            began_ms=self._loop.now_ms(),
            part=part,
            parts=parts,
        )
        self._trace.sendings.append(sending)
        self._note("sends", f"{' '.join(sending.ids)}, part {part} of {parts}", batch)
        if plan.end in ("ok", "doubtful"):
            self._loop.later(min(HALF_TRIP_MS, plan.takes_ms / 2), self._take, sending)
        try:
            await self._outside.after(plan.takes_ms)
            ends = {"ok": "ok", "refused": "away" if away else "refused"}
            sending.end = ends.get(plan.end, "uncertain")  # type: ignore[assignment]
        except asyncio.CancelledError:
            sending.end = "cancelled"
            raise
        finally:
            sending.ended_ms = self._loop.now_ms()
            self._note("sent" if sending.end == "ok" else "send over", sending.end, batch)
        if away:
            raise RetryLaterError("the channel is away")
        if plan.end == "refused":
            raise RetryLaterError("the send API is busy", after_ms=plan.wait_ms)
        if plan.end != "ok":
            raise ConnectionResetError("the send API broke off")

    def _take(self, sending: Sending) -> None:
        sending.taken_ms = self._loop.now_ms()
        what = f"{sending.conversation} {' '.join(sending.ids)}, part {sending.part} of {sending.parts}"
        self._trace.note(sending.process, "taken", what, token=sending.token)

    def _note(self, event: str, details: str, batch: Batch) -> None:
        if not self._process.is_buried:
            self._trace.note(self._process, event, f"{_conversation(batch)} {details}", token=batch.token)

    async def _require_running(self) -> None:
        if self._process.is_buried:
            raise RuntimeError("the run is over")
        if self._process.state != "running":  # a fault struck it in this step
            await self._loop.create_future()


class Outside:
    """Behaviour of the AI and the send API, call by call."""

    def __init__(self, loop: ProcessLoop, plan: Plan, trace: Trace) -> None:
        self.loop = loop
        self.plan = plan
        self.trace = trace
        self._asked = 0
        self._sent = 0

    def next_answer(self) -> Answer:
        """Return the behaviour of the AI for its next call."""
        answers = self.plan.answers or (Answer(1_000),)
        self._asked += 1
        # Each failure comes once, since endless failures would only end in dead letters.
        plan = answers[(self._asked - 1) % len(answers)]
        return plan if self._asked <= len(answers) else Answer(plan.takes_ms)

    def next_send(self) -> Send:
        """Return the behaviour of the send API for its next call."""
        self._sent += 1
        return self.plan.sends[self._sent - 1] if self._sent <= len(self.plan.sends) else Send(100)

    def outage_of(self, kind: str) -> BackendOutage | None:
        """Return the outage of a backend now."""
        now_ms = self.loop.now_ms()
        outage = next((it for it in self.plan.backend_outages if it.covers(kind, now_ms)), None)
        if outage:
            self.trace.events[f"{kind} away"] += 1
        return outage

    async def after(self, delay_ms: float) -> None:
        """Wait; the time goes on even if the process that waits freezes or dies."""
        done = self.loop.create_future()
        self.loop.later(delay_ms, _finish, done)
        await done


class Provider:
    """Provider, which delivers a message until a web process acknowledges it."""

    def __init__(self, outside: Outside, webs: Callable[[], list[tuple[Process, Intake]]]) -> None:
        self._outside = outside
        self._trace = outside.trace
        self._loop = outside.loop
        self._webs = webs
        self.unfinished = 0
        """Number of messages that are not acknowledged yet."""

    async def deliver(self, number: int, message: Message) -> None:
        """Deliver a message, and again after each refusal."""
        name = f"m{number}"
        self.unfinished += 1
        await asyncio.sleep(message.at_ms / 1000)
        await self._until_acknowledged(name, message, message.web)
        if message.again_ms:
            await asyncio.sleep(message.again_ms / 1000)
            await self._until_acknowledged(name, message, message.web + 1)
        self.unfinished -= 1

    async def _until_acknowledged(self, name: str, message: Message, web: int) -> None:
        wait_s = REDELIVERED_AFTER_S
        while not await self._is_acknowledged(name, message, web):
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, REDELIVERED_AFTER_S_MAX)
            web += 1

    async def _is_acknowledged(self, name: str, message: Message, web: int) -> bool:
        webs = self._webs()
        if not webs:
            return False
        process, intake = webs[web % len(webs)]
        text = f"text {name}"
        change = {"what": message.change, "id": f"m{message.target}", "text": text}
        delivered = QueueMessage(
            id=name,
            instance_name="bot",
            user_phone=message.conversation,
            message=text,
            message_data={"change": change} if message.change else {},
        )
        self._trace.deliveries.append(Delivery(name, process, self._loop.now_ms()))
        self._trace.note(process, "delivered", f"{message.conversation} {name}")
        receiving = process.start(intake.receive(delivered), "webhook")
        receiving.add_done_callback(_read_exception, context=self._loop.outside)
        await asyncio.wait(
            [receiving, process.ended], timeout=ANSWER_S_MAX, return_when=asyncio.FIRST_COMPLETED
        )
        if receiving.done() and not receiving.cancelled() and not receiving.exception():
            answer = str(receiving.result())
            self._trace.acknowledgements.append(Acknowledgement(name, process, self._loop.now_ms(), answer))
            self._trace.note(process, "acknowledges", f"{name}: {answer}")
            return True
        answer = repr(receiving.exception()) if receiving.done() else "no answer"
        self._trace.note(process, "refuses", f"{name}: {answer}")
        return False


def _read_exception(task: asyncio.Task[object]) -> None:
    """Read a task's exception, so that asyncio does not log it."""
    if not task.cancelled():
        task.exception()


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _conversation(batch: Batch) -> str:
    return f"{batch.instance_name}:{batch.user_phone}"
