"""Reports of replies: a reply that is reported several times counts once, and any report may name its writer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from msgspec.structs import replace

from queue_core.recording.format import RecordedEvent, Reply, Who

REPLIES_REMEMBERED = 50_000
"""Number of replies that are remembered. Those among them whose writer is unknown wait for a report that names it."""
ReplyKey: TypeAlias = tuple[str, str, str]
"""Instance, phone and id of a reply, as the recording has them."""


@dataclass(slots=True)
class _Known:
    who: Who
    waiting: Reply | None = None
    """The reply, while its writer is unknown."""


class ReplyReports:
    """Memory of the replies that were reported so far."""

    def __init__(self) -> None:
        self._known: OrderedDict[ReplyKey, _Known] = OrderedDict()

    def is_known(self, key: ReplyKey) -> bool:
        """Return True if the reply was reported before."""
        return key in self._known

    def add(self, key: ReplyKey, who: Who) -> Iterator[Reply]:
        """Remember a new reply; yields a reply that has waited too long for its writer."""
        self._known[key] = _Known(who)
        if len(self._known) > REPLIES_REMEMBERED:
            _, oldest = self._known.popitem(last=False)
            if oldest.waiting:
                yield oldest.waiting

    def complete(self, key: ReplyKey, who: Who) -> Iterator[Reply]:
        """Take the writer from another report of a known reply; yields the reply if it waited for that."""
        known = self._known[key]
        known.who = known.who or who
        if known.who and known.waiting:
            yield replace(known.waiting, who=known.who)
            known.waiting = None

    def ready(self, event: RecordedEvent) -> Iterator[RecordedEvent]:
        """Yield an event. A reply without a writer gets it from other reports, or waits for one."""
        if isinstance(event, Reply) and not event.who:
            yield from self._with_writer(event)
        else:
            yield event

    def _with_writer(self, reply: Reply) -> Iterator[Reply]:
        known = self._known.get((reply.instance, reply.phone, reply.id))
        if known is None:
            yield reply
        elif known.who:
            yield replace(reply, who=known.who)
        else:
            known.waiting = reply

    def rest(self) -> Iterator[Reply]:
        """Yield the replies that still wait at the end: no report names their writers."""
        for known in self._known.values():
            if known.waiting:
                yield known.waiting
