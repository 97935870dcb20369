"""The races of the market's systems as data, in exact time: a round trip takes 100 ms, a node of n8n 50 ms.

A command that is sent at t is executed at t + 50. Where nothing else is said, the AI takes 7 s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from queue_core.recording.format import Arrival
from reports.results.causes import CauseCode
from reports.results.faults import FaultName
from sim.faults import Fault
from tests.sim.systems.races import Race, said

NODES = {"node": "constant:50ms"}


class Case(NamedTuple):
    """A race, and the system that is in it."""

    system: str
    race: Race


def case(
    system: str,
    name: str,
    arrivals: tuple[Arrival, ...],
    loses: Mapping[str, CauseCode] | None = None,
    *,
    reorders: tuple[str, ...] = (),
    options: Mapping[str, str] | None = None,
    **facts: Any,
) -> Case:
    """Make a case; what is not named does not happen."""
    nodes = NODES if system.startswith("n8n") else {}
    return Case(
        system,
        Race(
            name=name,
            arrivals=arrivals,
            loses={system: loses or {}},
            reorders={system: reorders},
            options={**nodes, **(options or {})},
            **facts,
        ),
    )


def same_text(*messages: tuple[int, str]) -> tuple[Arrival, ...]:
    """Make messages of one user with one text."""
    return tuple(Arrival(at_ms, "bot", "1", name, "ok", "text", at_ms) for at_ms, name in messages)


def restarts(*times_ms: int) -> tuple[Fault, ...]:
    """Make restarts of all processes, each of which takes a second."""
    return tuple(Fault("process-restarts", at_ms=at_ms) for at_ms in times_ms)


FIRST_FAILS: Mapping[FaultName, tuple[bool, ...]] = {"ai-fails": (True,)}
TWO_BOTS = (*said((0, "m1"), instance="a"), *said((2000, "m2"), instance="b"))

CASES: tuple[Case, ...] = (
    case(
        "no-buffer",
        "two answers overtake each other",
        said((0, "m1"), (100, "m2")),
        reorders=("m1",),
        ai=("9s", "1s"),
    ),
    case("no-buffer", "the AI fails", said((0, "m1")), {"m1": "ai_failed_once"}, strikes=FIRST_FAILS),
    case("no-buffer", "a second try", said((0, "m1")), options={"tries": "2"}, strikes=FIRST_FAILS),
    case(
        "no-buffer",
        "the provider delivers again what failed before it was acknowledged",
        said((0, "m1")),
        options={"acknowledge": "last"},
        strikes=FIRST_FAILS,
    ),
    case("no-buffer", "a second delivery", said((0, "m1"), (3000, "m1")), doubles=("m1",)),
    case("no-buffer", "a restart", said((0, "m1")), {"m1": "process_died"}, faults=restarts(3000)),
    # m1 is pushed at 100 and its wait ends at 5200; it reads at 5300 and deletes at 5550. m2 is pushed at 5400.
    case(
        "n8n-wait",
        "a message between the reading and the deletion",
        said((0, "m1"), (5300, "m2")),
        {"m2": "deleted_unread"},
    ),
    # m2's execution reads at 5400, when the list still has both; both see their text at its end.
    case("n8n-wait", "two messages with one text", same_text((0, "m1"), (100, "m2")), doubles=("m1", "m2")),
    case(
        "n8n-wait",
        "two messages with one text, compared by id",
        same_text((0, "m1"), (100, "m2")),
        options={"compare": "id"},
    ),
    case(
        "n8n-wait",
        "a turn that is answered faster than the one before",
        said((0, "m1"), (6000, "m2")),
        reorders=("m1",),
        ai=("12s", "1s"),
    ),
    case("n8n-wait", "the AI fails", said((0, "m1")), {"m1": "ai_failed_once"}, strikes=FIRST_FAILS),
    case("n8n-wait", "retry on fail", said((0, "m1")), options={"tries": "2"}, strikes=FIRST_FAILS),
    case(
        "n8n-wait",
        "the last wait dies",
        said((0, "m1"), (1000, "m2")),
        {"m1": "timer_died", "m2": "timer_died"},
        strikes={"timer-dies": (False, True)},
    ),
    case(
        "n8n-wait",
        "a wait dies, and the next message finds the list",
        said((0, "m1"), (20_000, "m2")),
        strikes={"timer-dies": (True,)},
    ),
    case(
        "n8n-wait",
        "a restart in the wait and one during the AI's call",
        said((0, "m1"), (20_000, "m2")),
        {"m1": "process_died", "m2": "process_died"},
        faults=restarts(3000, 28_000),
    ),
    case(
        "n8n-wait",
        "a restart during a wait that is long enough to lie in the database",
        said((0, "m1")),
        options={"wait": "65s"},
        faults=restarts(3000),
    ),
    # m2 pushes at 3150 and is the second; it reads at 3750 and deletes at 3850. m3 is pushed at 3800.
    case(
        "n8n-debounce-node",
        "a message between reading and deletion, where the largest number ends the window",
        said((0, "m1"), (2950, "m2"), (3550, "m3")),
        {"m3": "deleted_unread"},
        options={"max-messages": "2"},
    ),
    case(
        "n8n-debounce-node",
        "the window of silence has no such gap",
        said((0, "m1"), (2950, "m2"), (3550, "m3"), (14_180, "m4"), (14_280, "m5")),
    ),
    # Both executions end at the longest wait from the first message, and both read before either deletes.
    case(
        "n8n-debounce-node",
        "two executions at the longest wait",
        said((0, "m1"), (500, "m2")),
        options={"max-wait": "3s"},
        doubles=("m1", "m2"),
    ),
    case(
        "n8n-debounce-node",
        "a keyword",
        said((0, "m1"), (3000, "stop")),
        options={"keywords": "STOP|now"},
    ),
    case(
        "n8n-debounce-node",
        "a text that is repeated, and left out",
        same_text((0, "m1"), (1000, "m2")),
        {"m2": "ignored_duplicate"},
        options={"on-duplicate": "ignore"},
    ),
    case(
        "n8n-debounce-node",
        "a text that is repeated, and sends all on",
        same_text((0, "m1"), (1000, "m2")),
        options={"on-duplicate": "flush"},
    ),
    case(
        "n8n-debounce-node",
        "texts that were left out of the recording",
        tuple(replace(arrival, text="") for arrival in same_text((0, "m1"), (1000, "m2"))),
        options={"on-duplicate": "ignore"},
    ),
    case("n8n-debounce-node", "the first message at once", said((0, "m1")), options={"first": "immediate"}),
    case(
        "n8n-debounce-node",
        "the last timer dies",
        said((0, "m1")),
        {"m1": "timer_died"},
        strikes={"timer-dies": (True,)},
    ),
    case("n8n-debounce-node", "the AI fails", said((0, "m1")), {"m1": "ai_failed_once"}, strikes=FIRST_FAILS),
    case("evolution-debounce", "two bots, one customer", TWO_BOTS, {"m1": "shared_timer"}),
    case("evolution-debounce", "two bots with maps of their own", TWO_BOTS, options={"bots": "separate"}),
    case(
        "evolution-debounce",
        "a restart while messages wait",
        said((0, "m1"), (1000, "m2")),
        {"m1": "process_died", "m2": "process_died"},
        faults=restarts(3000),
    ),
    case(
        "evolution-debounce", "the AI fails", said((0, "m1")), {"m1": "ai_failed_once"}, strikes=FIRST_FAILS
    ),
    case(
        "evolution-debounce",
        "a timer dies, and the next message sets another",
        said((0, "m1"), (20_000, "m2")),
        strikes={"timer-dies": (True,)},
    ),
    case(
        "evolution-debounce",
        "the last timer dies",
        said((0, "m1")),
        {"m1": "timer_died"},
        strikes={"timer-dies": (True,)},
    ),
    case("evolution-debounce", "a second delivery is known", said((0, "m1"), (30_000, "m1"))),
    case(
        "evolution-debounce",
        "a second delivery after five minutes",
        said((0, "m1"), (301_000, "m1")),
        doubles=("m1",),
    ),
    # The holder looks for the last time at 7350 and releases at 7450. m2 finds the lock taken at 7250, and is in the
    # queue at 7450.
    case(
        "chat-sdk",
        "a message between the last look and the release",
        said((0, "m1"), (7100, "m2")),
        {"m2": "queued_unread"},
    ),
    case(
        "chat-sdk",
        "such a message is answered after the next one",
        said((0, "m1"), (7100, "m2"), (20_000, "m3")),
        reorders=("m2",),
    ),
    case(
        "chat-sdk",
        "such a message, and the next one after more than 90 s",
        said((0, "m1"), (7100, "m2"), (110_000, "m3")),
        {"m2": "queued_unread"},
    ),
    case(
        "chat-sdk",
        "a message waits longer than it lives",
        said((0, "m1"), (1000, "m2")),
        {"m2": "entry_expired"},
        options={"entry-ttl": "5s"},
    ),
    case(
        "chat-sdk",
        "the queue is full: the oldest goes",
        said((0, "m1"), (1000, "m2"), (2000, "m3")),
        {"m2": "queue_full"},
        options={"max-queue": "1"},
    ),
    case(
        "chat-sdk",
        "the queue is full: the newest goes",
        said((0, "m1"), (1000, "m2"), (2000, "m3")),
        {"m3": "queue_full"},
        options={"max-queue": "1", "on-full": "drop-newest"},
    ),
    case(
        "chat-sdk",
        "the lock runs out under a slow handler",
        said((0, "m1"), (31_000, "m2")),
        reorders=("m1",),
        ai=("40s", "1s"),
    ),
    case(
        "chat-sdk",
        "a lock that is renewed",
        said((0, "m1"), (31_000, "m2")),
        ai=("40s", "1s"),
        options={"renew": "10s"},
    ),
    case(
        "chat-sdk",
        "a handler that looks at the latest message only",
        said((0, "m1"), (1000, "m2"), (2000, "m3")),
        {"m2": "skipped"},
        options={"handler": "latest"},
    ),
    case(
        "chat-sdk",
        "messages are dropped while the bot is busy, the SDK's default",
        said((0, "m1"), (1000, "m2"), (20_000, "m3")),
        {"m2": "dropped_while_busy"},
        options={"strategy": "drop"},
    ),
    case(
        "chat-sdk",
        "the AI fails, and what was queued meanwhile waits for the next message",
        said((0, "m1"), (1000, "m2"), (20_000, "m3")),
        {"m1": "ai_failed_once"},
        reorders=("m2",),
        strikes=FIRST_FAILS,
    ),
    case(
        "chat-sdk",
        "a function that dies keeps the lock for 30 s",
        said((0, "m1"), (10_000, "m2"), (35_000, "m3")),
        {"m1": "process_died"},
        reorders=("m2",),
        faults=restarts(3000),
    ),
    case(
        "chat-sdk-debounce",
        "a message while the AI is working",
        said((0, "m1"), (3000, "m2")),
        {"m2": "queued_unread"},
    ),
    case(
        "chat-sdk-debounce",
        "the same race in bursts: the queue is looked at again",
        said((0, "m1"), (3000, "m2")),
        options={"strategy": "burst"},
    ),
    case(
        "chat-sdk-debounce",
        "the timer dies with its function, and the lock stays for 30 s",
        said((0, "m1"), (10_000, "m2"), (40_000, "m3")),
        strikes={"timer-dies": (True,)},
    ),
    # Both webhooks look for the job before either adds it: m1 at 150, m2 at 200.
    case("bull-delay", "two first messages at once", said((0, "m1"), (50, "m2")), {"m2": "job_existed"}),
    # m2 and m3 read the job at 3050 and 3100; m2 writes at 3250, m3 at 3300.
    case(
        "bull-delay",
        "two webhooks read the job, and both write it",
        said((0, "m1"), (3000, "m2"), (3050, "m3")),
        {"m2": "job_overwritten"},
    ),
    # The worker takes the job at 8150. m2 saw at 8070 that it was delayed, and writes at 8170.
    case(
        "bull-delay",
        "the job starts while a webhook changes it, and the provider delivers again",
        said((0, "m1"), (7920, "m2")),
    ),
    case(
        "bull-delay",
        "the job starts while a webhook that was acknowledged changes it",
        said((0, "m1"), (7920, "m2")),
        {"m2": "job_started"},
        options={"acknowledge": "first"},
    ),
    # m2 writes the data at 8110, before the job starts, and fails to change the delay at 8210.
    case(
        "bull-delay",
        "the job starts between the data and the delay",
        said((0, "m1"), (7860, "m2")),
        doubles=("m2",),
    ),
    case(
        "bull-delay",
        "a message while the job is active starts a second one, which is faster",
        said((0, "m1"), (9000, "m2")),
        reorders=("m1",),
        ai=("20s", "1s"),
    ),
    case("bull-delay", "the AI fails", said((0, "m1")), dead=("m1",), strikes=FIRST_FAILS),
    case("bull-delay", "a second attempt", said((0, "m1")), options={"attempts": "2"}, strikes=FIRST_FAILS),
    case("bull-delay", "a restart while the job is delayed", said((0, "m1")), faults=restarts(3000)),
    case(
        "bull-delay",
        "a restart while a job that is due waits for a slot of the worker",
        (*said((0, "m1"), phone="1"), *said((0, "m2"), phone="2")),
        options={"concurrency": "1"},
        faults=restarts(10_000),
    ),
    case("bull-delay", "a restart while the job is active", said((0, "m1")), faults=restarts(10_000)),
    case(
        "bull-delay",
        "a job that stalls twice fails",
        said((0, "m1")),
        dead=("m1",),
        faults=restarts(10_000, 62_000),
    ),
    case(
        "bull-delay",
        "one job at a time: nobody is lost, users wait for each other",
        (*said((0, "m1"), phone="1"), *said((0, "m2"), phone="2")),
        options={"concurrency": "1"},
    ),
)
