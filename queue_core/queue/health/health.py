"""Health of the queue and of its Redis, in one report.

An error breaks a guarantee of the queue; a warning needs attention. The examination is cheap: it counts at most 5,000
conversations, in pages that are each a small step for Redis, and estimates the others from them. It repairs
nothing; `MessageQueue.rescue` does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from queue_core.command_lines import typed
from queue_core.durations import age
from queue_core.errors import (
    NewerLayoutError,
    PartitionsError,
    QueueError,
    QueueUnavailableError,
    UnsupportedRedisError,
)
from queue_core.keys import LAYOUT_VERSION
from queue_core.queue.health.counting import Counts
from queue_core.queue.health.words import words_of_away, words_of_dead_letters, words_of_outage
from queue_core.queue.message_queue import MessageQueue
from queue_core.queue.outages import Outage
from queue_core.queue.upkeep.inspection import Sizes
from queue_core.redis.facts import WAITAOF_VERSION, ask, errors_of, warnings_of, worst
from queue_core.redis.nodes.client import NodesClient
from queue_core.redis.runner import FAILURES, explain, is_single
from queue_core.redis.servers import PARTITIONS_OF_CLUSTER, UNKNOWN, Run, on_primaries, owners_of
from queue_core.text import quantity
from queue_core.waiting import cancellable

LATENCY_MS_MAX = 100
"""Longest round trip without a warning."""
AWAY_SHARE = 0.3
"""Share of the deadline after which one primary of several counts as away, and is left out."""
PAGE = 100
"""Conversations counted in one step of Redis, which takes less than a millisecond."""
PAGES_MAX = 50
"""Limit on pages that are counted; if there are more, the counted ones are spread evenly over all."""
COUNTING_SHARE = 0.5
"""Share of the deadline after which counting stops; the report then says that its counts are estimates."""
SCANNING_SHARE = 0.8
"""Share of the deadline after which the search for stranded conversations stops."""


Servers = list[tuple[str, Run]]


class NodeShare(msgspec.Struct, frozen=True, rename="camel"):
    """Share of one primary of a cluster in the queue."""

    name: str
    """Host and port."""
    partitions: int
    conversations: int | None
    """Conversations with messages; None while the node is away."""


class HealthReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """State of Redis and of the queue on it. None and "" stand for unknown facts.

    If Redis stops answering during the examination, counts that were not made are None, not 0.
    """

    checked_at_ms: int
    """Unix ms by Redis's clock; by this machine's when Redis is away."""
    reachable: bool = False
    latency_ms: float | None = None
    """Round trip of a PING; on a cluster that of the slowest primary."""
    version: str = ""
    """Version of Redis; on a cluster, the oldest. The facts below, too, are the worst of all primaries."""
    memory_used_bytes: int | None = None
    memory_limit_bytes: int | None = None
    """0 when there is no limit."""
    eviction_policy: str = ""
    append_only: bool | None = None
    append_fsync: str = ""
    role: str = ""
    """"primary" or "replica"."""
    is_refused: bool = False
    """True when Redis refuses this process: the queue has another number of partitions, or a newer layout."""
    is_cluster: bool = False
    nodes: tuple[NodeShare, ...] = ()
    """Primaries of a cluster, in the order of their names; empty for a single Redis."""
    away_partitions: tuple[int, ...] = ()
    """Numbers of the partitions that cannot be read, since their primaries are away. The other facts leave them out."""
    active_conversations: int | None = None
    waiting: int | None = None
    """Messages that no worker holds, those in backoff included."""
    in_flight: int | None = None
    is_estimated: bool = False
    """True when only a part of the conversations was counted, and the counts of messages and leases were scaled up."""
    oldest_age_ms: int | None = None
    """Age of the oldest waiting message among those counted; None when none waits, or when `waiting` is None."""
    dead_letters: int | None = None
    dead_letters_share: float | None = None
    """Share of the room for dead letters that is taken, in the fullest partition."""
    damaged_keys: int | None = None
    """Keys that were damaged and moved aside."""
    expired_leases: int | None = None
    layout: int = LAYOUT_VERSION
    """Layout in which this release writes."""
    layout_since_ms: int | None = None
    """Unix ms at which this release's layout was first written over an older one; 0 if never, None if not written yet.

    Unknown while `is_held` is None.
    """
    outages: tuple[Outage, ...] | None = None
    """Backends that are away, or for which conversations still wait."""
    is_held: bool | None = None
    held_since_ms: int | None = None
    """Unix ms; None when the queue is not held, 0 when the time is unknown, since the key of the hold is damaged."""
    stranded_conversations: int | None = None
    """Conversations with messages that no worker will look at, among the keys searched; None without a search."""
    warnings: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()

    @property
    def is_healthy(self) -> bool:
        """Return True when there are no errors; there may be warnings."""
        return not self.errors


async def examine(queue: MessageQueue, *, is_thorough: bool = True) -> HealthReport:
    """Examine Redis and the queue within `redis_deadline_ms`. Faults of Redis are in the report, never raised.

    Only a thorough examination looks for stranded conversations, each time among the next 100,000 keys.
    """
    examination = _Examination(queue, is_thorough=is_thorough)
    await examination.run(examination.steps)
    return examination.report()


async def examine_primaries(queue: MessageQueue) -> HealthReport:
    """Examine only whether primaries are away, as `examine` does: errors and `away_partitions` name them."""
    examination = _Examination(queue, is_thorough=False)
    await examination.run(examination.leave_out_away)
    return examination.report()


class _Examination:
    """Examination that fills in a report step by step; facts learned before a failure of Redis stay in it."""

    def __init__(self, queue: MessageQueue, *, is_thorough: bool) -> None:
        self._queue = queue
        self._is_thorough = is_thorough
        self._began = asyncio.get_running_loop().time()
        self._deadline_s = queue.settings.redis_deadline_ms / 1000
        self._facts: dict[str, Any] = {"checked_at_ms": time.time_ns() // 1_000_000}
        self._primaries = 1
        self._owners: Sequence[str] = ()
        """Name of the primary of each partition."""
        self._errors: list[str] = []
        self._warnings: list[str] = []

    def report(self) -> HealthReport:
        warnings, errors = dict.fromkeys(self._warnings), dict.fromkeys(self._errors)
        return HealthReport(**self._facts, warnings=tuple(warnings), errors=tuple(errors))

    async def run(self, steps: Callable[[], Awaitable[Any]]) -> None:
        try:
            async with asyncio.timeout(self._deadline_s):
                await cancellable(steps())
        except TimeoutError:
            self._note_away(f"Redis did not answer within {self._deadline_s * 1000:.0f} ms")
        except (UnsupportedRedisError, NewerLayoutError, PartitionsError) as error:
            self._facts["is_refused"] = not isinstance(error, UnsupportedRedisError)
            self._errors.append(str(error))
        except QueueUnavailableError as error:
            self._note_away(str(error))
        except QueueError as error:
            self._errors.append(
                f"data of the queue cannot be read ({error}): start a worker or the monitor, which moves damaged keys "
                "aside"
            )
        except FAILURES as error:
            self._note_away(str(explain(error, is_single=is_single(self._queue.redis))))

    def _note_away(self, why: str) -> None:
        if self._facts.get("reachable"):
            self._errors.append(f"Redis stopped answering while it was examined: {why}")
        else:
            todo = (
                "Check that Redis runs, and check its address and password; rediss:// needs a port with TLS"
                if not isinstance(self._queue.redis, NodesClient)
                else "Check that its servers run, each with its own data, and check their addresses and password"
            )
            self._errors.append(f"{why.rstrip('.')}. {todo}")

    async def leave_out_away(self) -> Servers:
        """Return the primaries that answer. The partitions of the others are left out from now on."""
        primaries = await on_primaries(self._queue.redis)
        self._primaries = len(primaries)
        servers, failures = await self._ping(primaries)
        await self._leave_out(failures)
        return servers

    async def steps(self) -> None:
        """Take all steps of an examination."""
        servers = await self.leave_out_away()
        await self._ask_servers(servers)
        if self._facts.get("away_partitions"):
            if self._queue.keys.partitions:
                await self._read_notes()
                await self._count()
            return  # the check and the search for stranded conversations need all partitions
        await self._queue.check()
        await self._read_notes()
        await self._count()
        if self._is_thorough:
            await self._find_stranded()

    async def _ping(self, primaries: Servers) -> tuple[Servers, dict[str, Exception]]:
        """Return the primaries that answer, and the errors of the others. Raises the first error if none answers."""
        limit_s = self._deadline_s * (AWAY_SHARE if len(primaries) > 1 else 1)
        answers = await asyncio.gather(
            *(_latency_s(run, limit_s) for _, run in primaries), return_exceptions=True
        )
        failures = {
            name: answer
            for (name, _), answer in zip(primaries, answers, strict=True)
            if isinstance(answer, Exception)
        }
        servers = [server for server in primaries if server[0] not in failures]
        if not servers:
            raise next(iter(failures.values()))
        latency_s = max(answer for answer in answers if isinstance(answer, float))
        self._note_latency(latency_s)
        return servers, failures

    async def _leave_out(self, failures: dict[str, Exception]) -> None:
        """Go on without the partitions of primaries that are away, and name both."""
        owners = await owners_of(self._queue.redis, [keys.active for keys in self._queue.keys.partitions])
        self._owners = owners
        away = [number for number, owner in enumerate(owners) if owner in failures or owner == UNKNOWN]
        for name in dict.fromkeys((*failures, *(owner for owner in owners if owner == UNKNOWN))):
            numbers = [str(number) for number in away if owners[number] == name]
            self._errors.append(
                f"{words_of_away(name, failures.get(name))}. So {quantity(len(numbers), 'partition')} of {len(owners)} "
                f"cannot be read ({', '.join(numbers) or 'none'}), and their messages wait; all other figures leave "
                "these partitions out"
            )
        if away:
            self._facts["away_partitions"] = tuple(away)
            self._queue = self._queue.without(away)

    def _note_latency(self, latency_s: float) -> None:
        self._facts |= {"reachable": True, "latency_ms": round(latency_s * 1000, 3)}
        if latency_s * 1000 > LATENCY_MS_MAX:
            self._warnings.append(
                f"Redis takes {latency_s * 1000:.0f} ms to answer: check its SLOWLOG, its disk and the network"
            )

    async def _ask_servers(self, servers: Servers) -> None:
        facts = [await ask(name, run) for name, run in servers]
        for server in facts:
            prefix = f"{server.name}: " if server.name else ""
            settings = self._queue.settings
            replicas = settings.wait_for_replicas
            self._errors += [prefix + error for error in errors_of(server, waits_for_replicas=replicas)]
            fsync = settings.wait_for_fsync and server.version_numbers >= WAITAOF_VERSION
            warnings = warnings_of(server, waits_for_fsync=fsync, waits_for_replicas=replicas)
            self._warnings += [prefix + warning for warning in warnings]
        reported = msgspec.structs.asdict(worst(facts))
        self._facts |= {name: reported[name] for name in HealthReport.__struct_fields__ if name in reported}

    async def _read_notes(self) -> None:
        """Note since when the layout is written and the queue is held; neither if one of them cannot be read."""
        since = [layout.since_ms for layout in await self._queue.layouts() if layout.since_ms is not None]
        held_since_ms = await self._queue.holding.since_ms()
        is_held = held_since_ms is not None
        self._facts |= {
            "layout_since_ms": min(filter(None, since), default=0 if since else None),
            "is_held": is_held,
            "held_since_ms": held_since_ms,
        }
        if is_held:
            self._warnings.append("the queue is held, so nothing is answered: end the hold with `resume`")

    async def _count(self) -> None:
        queue = self._queue
        sizes = await queue.sizes()
        total = sum(sizes.conversations)
        self._facts |= {
            "active_conversations": total,
            "dead_letters": sizes.dead_letters,
            "dead_letters_share": sizes.dead_letters_share,
            "damaged_keys": sizes.damaged_keys,
        }
        self._spread(sizes)
        if sizes.dead_letters:
            findings = self._errors if sizes.dead_letters_share >= 1 else self._warnings
            findings.append(words_of_dead_letters(sizes, queue.settings))
        counted, surveyed = Counts(), 0
        pages = [
            (partition, first)
            for partition, size in zip(queue.keys.partitions, sizes.conversations, strict=True)
            for first in range(0, max(size, 1), PAGE)
        ]
        chosen = pages[:: -(-len(pages) // PAGES_MAX)]
        for partition, first in chosen:
            if self._is_past(COUNTING_SHARE):
                break
            counted.add(await queue.survey(partition, first, first + PAGE - 1))
            surveyed += 1
        if counted.conversations or surveyed == len(pages) or not total:
            counted.estimate(total)
            self._facts |= {
                "waiting": counted.waiting,
                "in_flight": counted.in_flight,
                "is_estimated": counted.conversations < total,
                "oldest_age_ms": counted.oldest_age_ms,
                "expired_leases": counted.expired_leases,
            }
        outages = await queue.outages()
        self._facts["outages"] = tuple(outages)
        if counted.now_ms:
            self._facts["checked_at_ms"] = counted.now_ms
        if damaged := await queue.damage.not_moved():
            self._errors.append(
                f"damaged data of the queue cannot be read ({', '.join(damaged)}), so it is left out here: start a "
                "worker or the monitor, which moves damaged keys aside"
            )
        if counted.damaged:
            self._errors.append(
                f"the messages or the lease of {quantity(counted.damaged, 'conversation')} cannot be read, since "
                "something other than the queue changed the keys, so they are left out here: the worker that takes the "
                "turn moves the keys aside, then see `damaged list`"
            )
        if sizes.damaged_keys:
            self._errors.append(
                f"moved {quantity(sizes.damaged_keys, 'damaged key')} aside, which something other than the queue "
                "changed: see `damaged list`, then repair or drop, and find out what else writes to this Redis"
            )
        self._warn_of_waits(counted, outages)

    def _spread(self, sizes: Sizes) -> None:
        """Note how partitions and conversations spread over the primaries of a cluster."""
        away, read = self._facts.get("away_partitions", ()), iter(sizes.conversations)
        shares: dict[str, tuple[int, int | None]] = {}
        for number, owner in enumerate(self._owners):
            count, total = shares.get(owner, (0, 0))
            shares[owner] = count + 1, None if number in away else (total or 0) + next(read)
        self._facts["nodes"] = tuple(NodeShare(name, *shares[name]) for name in sorted(shares) if name)
        if len(self._owners) < self._primaries:
            self._warnings.append(
                f"the cluster has {self._primaries} primaries, but the queue uses only "
                f"{quantity(len(self._owners), 'partition')}, so some of them have nothing to do: "
                + typed(f"type `python -m queue_core partitions {PARTITIONS_OF_CLUSTER}`")
            )

    def _warn_of_waits(self, counted: Counts, outages: Sequence[Outage]) -> None:
        if counted.expired_leases:
            self._warnings.append(
                f"{quantity(counted.expired_leases, 'lease')} ran out and no worker took over: check that workers run"
            )
        now_ms, settings = self._facts["checked_at_ms"], self._queue.settings
        self._warnings += [words_of_outage(outage, now_ms, settings) for outage in outages]
        ttl_ms = settings.queue_ttl_s * 1000
        if outages or self._facts["is_held"]:
            return  # messages that wait for a backend, or for the end of a hold, do not expire
        if counted.oldest_age_ms is not None and counted.oldest_age_ms > ttl_ms / 2:
            self._warnings.append(
                f"the oldest message has waited for {age(counted.oldest_age_ms)}, and becomes a dead letter after "
                f"{age(ttl_ms)} if no worker takes it: check that enough workers run"
            )

    async def _find_stranded(self) -> None:
        unscheduled = await self._queue.unscheduled_in_part(self._began + self._deadline_s * SCANNING_SHARE)
        self._facts["stranded_conversations"] = len(unscheduled.stranded) + unscheduled.elsewhere
        if unscheduled.stranded:
            self._errors.append(
                f"{quantity(len(unscheduled.stranded), 'conversation')} with messages that no worker will look at: run "
                "the monitor, which schedules them, and find out what else writes to this Redis"
            )
        if unscheduled.elsewhere:
            self._errors.append(
                f"{quantity(unscheduled.elsewhere, 'conversation')} in partitions that this deployment does not have: "
                f"set partitions (now {len(self._queue.keys.partitions)}) back to what it was until they are answered"
            )

    def _is_past(self, share: float) -> bool:
        return asyncio.get_running_loop().time() > self._began + self._deadline_s * share


async def _latency_s(run: Run, limit_s: float) -> float:
    """Measure a round trip. Raises redis-py's errors."""
    clock = asyncio.get_running_loop().time
    try:
        async with asyncio.timeout(limit_s):
            await run("PING")  # the first may have to connect
            began = clock()
            await run("PING")
    except TimeoutError as error:
        raise QueueUnavailableError(f"Redis did not answer within {limit_s * 1000:.0f} ms") from error
    return clock() - began
