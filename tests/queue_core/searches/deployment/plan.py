"""Plan of a run: a small world, and the faults that strike it. Hypothesis draws plans, small ones first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from hypothesis import strategies as st

from queue_core import QueueSettings

WORKERS = ("worker-1", "worker-2")
WEBS = ("web-1", "web-2")
PASS_S = 1.0

OutageKind = Literal["refuses", "silent", "hangs", "restarts"]
"""Connections are reset; requests vanish; requests wait for the end; as "refuses", and scripts are forgotten."""
LossKind = Literal["request lost", "answer lost", "reset before", "reset after", "twice", "late"]
HOLDERS_SCRIPTS = ("record_reply", "record_sent", "complete", "fail")
SCRIPTS = {"worker": ("claim", "extend", *HOLDERS_SCRIPTS), "web": ("enqueue", "enqueue", "withdraw")}
"""Scripts that each kind of process runs."""
MOMENTS = {
    "worker": (
        *(
            "start",
            "claimed",
            "asked",
            "answered",
            "recorded",
            "sends",
            "taken",
            "sent",
            "noted",
            "completed",
        ),
        "failed",
    ),
    "web": ("start", "delivered", "enqueued", "asked", "answered", "sends", "taken", "sent", "withdrawn"),
}
"""Events after which a process of each kind may freeze, die or stop."""


@dataclass(frozen=True, slots=True)
class Message:
    """Message of a user, as the provider delivers it first."""

    at_ms: int
    conversation: Literal["a", "b"] = "a"
    web: int = 0
    again_ms: int = 0
    """The provider delivers it once more this long after it was acknowledged; 0 is never."""
    change: Literal["", "edit", "deletion"] = ""
    """Change that it makes to the message of the number `target`."""
    target: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """Behaviour of the AI for one call."""

    takes_ms: int
    end: Literal["ok", "fails", "later", "gives up"] = "ok"


@dataclass(frozen=True, slots=True)
class Send:
    """Behaviour of the send API for one call. "lost" and "doubtful" end with an error; "doubtful" reaches the user."""

    takes_ms: int
    end: Literal["ok", "refused", "lost", "doubtful"] = "ok"
    wait_ms: int = 3_000
    """Wait that a refusal asks for."""


@dataclass(frozen=True, slots=True)
class Outage:
    """Span in which a process, or all, cannot use Redis; `process` "" is all."""

    kind: OutageKind
    at_ms: int
    for_ms: int
    process: str = ""

    def covers(self, process: str, now_ms: float) -> bool:
        """Return True if the process cannot use Redis now."""
        return self.process in ("", process) and self.at_ms <= now_ms < self.at_ms + self.for_ms


@dataclass(frozen=True, slots=True)
class BackendOutage:
    """Span in which the AI or the channel answers nobody; each call fails after `takes_ms`."""

    kind: Literal["ai", "channel"]
    at_ms: int
    for_ms: int
    takes_ms: int = 0

    def covers(self, kind: str, now_ms: float) -> bool:
        """Return True if a call to this backend fails now."""
        return self.kind == kind and self.at_ms <= now_ms < self.at_ms + self.for_ms


@dataclass(frozen=True, slots=True)
class LostCall:
    """Fault of the network for `times` pipelines of a process that carry a script, from the n-th on.

    `process` is the beginning of a name: "worker" and "web" count the pipelines of all of them.
    """

    process: str
    script: str
    nth: int
    kind: LossKind
    times: int = 1


@dataclass(frozen=True, slots=True)
class Refusal:
    """Error that Redis answers to `times` calls of a script, from the n-th on, without running it."""

    script: str
    nth: int
    times: int = 1


@dataclass(frozen=True, slots=True)
class ProcessFault:
    """Fault of a process, `delay_ms` after the n-th time that an event happens to it.

    `process` is the beginning of a name: "worker" and "web" stand for the process to which it happens.
    """

    process: str
    kind: Literal["dies", "freezes", "stops"]
    moment: str
    nth: int = 1
    delay_ms: int = 0
    for_ms: int = 1_000
    """Length of a freeze; or time until a process that ended is replaced."""


@dataclass(frozen=True, slots=True)
class ClockStep:
    """Step of Redis's clock, forward or back."""

    at_ms: int
    by_ms: int


@dataclass(frozen=True, slots=True)
class Plan:
    """World and faults of one run."""

    settings: QueueSettings
    messages: tuple[Message, ...]
    answers: tuple[Answer, ...] = ()
    """Behaviour of the AI, call by call; then the same times again, without failures. Empty: 1 s."""
    sends: tuple[Send, ...] = ()
    """Behaviour of the send API, call by call; further calls take 100 ms."""
    parts: int = 1
    concurrency: int = 5
    grace_s: float = 5.0
    passes: bool = False
    """True if the second worker handles all that is due every PASS_S, instead of running on."""
    outages: tuple[Outage, ...] = ()
    backend_outages: tuple[BackendOutage, ...] = ()
    lost_calls: tuple[LostCall, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    process_faults: tuple[ProcessFault, ...] = ()
    clock_steps: tuple[ClockStep, ...] = ()


times = st.sampled_from([0, 1, 100, 500, 1_000, 2_000, 3_000, 5_000, 8_000, 12_000, 20_000])
lengths = st.sampled_from([100, 1_000, 2_000, 5_000, 5_100, 9_000, 14_900, 16_000, 25_000, 40_000])
gaps = st.sampled_from([50, 300, 2_000])
counts = st.sampled_from([1, 1, 1, 2, 3])


def queue_settings(**narrowed: st.SearchStrategy[Any]) -> st.SearchStrategy[QueueSettings]:
    """Return a strategy for settings; `narrowed` replaces strategies of single settings."""
    varied: dict[str, st.SearchStrategy[Any]] = {
        "lock_ttl_ms": st.sampled_from([15_000, 9_000]),
        "renewals": st.sampled_from([3, 2]),
        "deadline_ms": st.sampled_from([1_500, 500]),
        "max_retry_count": st.sampled_from([3, 3, 1]),
        "window_ms": st.sampled_from([1_000, 3_000, 8_000]),
        "max_messages": st.sampled_from([5, 1, 2, 0]),
        "idle_ms": st.sampled_from([0, 0, 2_000]),
        "supersede_ms": st.sampled_from([0, 10_000, 45_000]),
        "unsure_sends": st.sampled_from(["resend", "dead-letter"]),
        "direct_after_ms": st.sampled_from([5_000, 1_000, 0]),
    }
    return st.builds(_queue_settings, **(varied | narrowed))


def _queue_settings(lock_ttl_ms: int, renewals: int, deadline_ms: int, **others: Any) -> QueueSettings:
    return QueueSettings(
        lock_ttl_ms=lock_ttl_ms,
        lock_renew_ms=lock_ttl_ms // renewals,
        redis_deadline_ms=deadline_ms,
        **others,
    )


messages = st.lists(
    st.builds(
        Message,
        at_ms=times,
        conversation=st.sampled_from(["a", "a", "b"]),
        web=st.sampled_from([0, 0, 1]),
        again_ms=st.sampled_from([0, 0, 0, 500, 5_000]),
    ),
    min_size=1,
    max_size=5,
).map(tuple)
answers = st.lists(
    st.builds(
        Answer,
        takes_ms=st.sampled_from([1_000, 0, 4_000, 9_000, 20_000]),
        end=st.sampled_from(["ok", "ok", "ok", "ok", "fails", "later", "gives up"]),
    ),
    max_size=3,
).map(tuple)
sends = st.lists(
    st.builds(
        Send,
        takes_ms=st.sampled_from([100, 0, 1_000, 2_000]),
        end=st.sampled_from(["ok", "ok", "ok", "refused", "lost", "doubtful"]),
        wait_ms=st.sampled_from([0, 3_000, 15_000]),
    ),
    max_size=3,
).map(tuple)
scopes = st.sampled_from(["", "", "", *WORKERS, *WEBS])
outage = st.builds(
    Outage,
    kind=st.sampled_from(["refuses", "silent", "hangs", "restarts"]),
    at_ms=st.integers(0, 60).map(lambda half: half * 500),
    for_ms=lengths,
    process=scopes,
)


def _twice(first: Outage, gap_ms: int, for_ms: int, kind: OutageKind) -> tuple[Outage, ...]:
    return (first, Outage(kind, first.at_ms + first.for_ms + gap_ms, for_ms, first.process))


outages = st.one_of(
    st.just(()),
    st.lists(outage, min_size=1, max_size=2).map(tuple),
    st.builds(_twice, outage, gaps, lengths, st.sampled_from(["refuses", "silent", "hangs", "restarts"])),
)


backend_outages = st.one_of(
    st.just(()),
    st.lists(
        st.builds(
            BackendOutage,
            kind=st.sampled_from(["ai", "channel"]),
            at_ms=st.integers(0, 40).map(lambda half: half * 500),
            for_ms=st.sampled_from([500, 5_000, 16_000, 40_000, 90_000, 180_000]),
            takes_ms=st.sampled_from([0, 100, 5_000]),
        ),
        min_size=1,
        max_size=2,
    ).map(tuple),
)


def _lost_call(kind: str, names: tuple[str, ...]) -> st.SearchStrategy[LostCall]:
    return st.builds(
        LostCall,
        process=st.sampled_from([kind, kind, *names]),
        script=st.sampled_from(SCRIPTS[kind]),
        nth=counts,
        kind=st.sampled_from(["reset before", "reset after", "answer lost", "request lost", "twice", "late"]),
        times=counts,
    )


lost_calls = st.lists(st.one_of(_lost_call("worker", WORKERS), _lost_call("web", WEBS)), max_size=2).map(
    tuple
)
refusals = st.lists(
    st.builds(Refusal, script=st.sampled_from(HOLDERS_SCRIPTS), nth=counts, times=counts), max_size=1
).map(tuple)


def _process_fault(
    kind: str, names: tuple[str, ...], faults: tuple[str, ...]
) -> st.SearchStrategy[ProcessFault]:
    return st.builds(
        ProcessFault,
        process=st.sampled_from([kind, kind, *names]),
        kind=st.sampled_from(faults),
        moment=st.sampled_from(MOMENTS[kind]),
        nth=counts,
        delay_ms=st.sampled_from([0, 1, 50, 500, 3_000, 8_000]),
        for_ms=lengths,
    )


process_faults = st.lists(
    st.one_of(
        _process_fault("worker", WORKERS, ("dies", "freezes", "stops")),
        _process_fault("web", WEBS, ("dies", "freezes")),
    ),
    max_size=2,
).map(tuple)
clock_steps = st.lists(
    st.builds(
        ClockStep,
        at_ms=st.integers(0, 60).map(lambda half: half * 500),
        by_ms=st.sampled_from([-600_000, -20_000, -3_000, -900, 900, 3_000, 16_000, 7_200_000]),
    ),
    min_size=1,
    max_size=2,
).map(tuple)
ALL: dict[str, st.SearchStrategy[Any]] = {
    "settings": queue_settings(),
    "messages": messages,
    "answers": answers,
    "sends": sends,
    "parts": st.sampled_from([1, 1, 2, 3]),
    "concurrency": st.sampled_from([5, 1]),
    "grace_s": st.sampled_from([5.0, 0.5]),
    "passes": st.sampled_from([False, False, True]),
    "outages": outages,
    "backend_outages": backend_outages,
    "lost_calls": lost_calls,
    "refusals": refusals,
    "process_faults": process_faults,
}
NONE = st.just(())


def plans(**narrowed: st.SearchStrategy[Any]) -> st.SearchStrategy[Plan]:
    """Return a strategy for plans; `narrowed` replaces strategies of single fields."""
    return st.builds(Plan, **(ALL | narrowed))
