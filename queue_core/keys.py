"""Keys of everything that the queue keeps in Redis. Scripts make some too.

Keys look like `wa:{0}:msg_queue:<instance>:<phone>`: prefix, hash tag of the partition, kind, conversation.
The hash tag keeps all keys of a partition in one slot, so that a script may touch them on Redis Cluster.
Instance and phone are user input and are percent-encoded: no `:`, brace or control character survives.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection
from copy import copy
from hashlib import blake2b
from typing import Annotated, Literal, NamedTuple, overload
from urllib.parse import quote, unquote

import msgspec

from queue_core.message import BackendKind

LAYOUT_VERSION = 2
"""Layout of the data in Redis that these processes write. Layout 1, of the first releases, had no number.

`layout` of each partition is a hash. `version` is the newest layout that a process wrote there, and `since` the time
of the first claim or message in that layout, Unix ms; 0 if no older process had used the partition then.
`oldest` is the oldest layout whose processes may still work there; the others refuse. Without it, all may.
`partitions` is noted once the number of partitions was changed: only processes with that number may work there. While
the conversations are carried it is both numbers, as in "16>32", and no process may work: see `queue/partitions/`.
"""
LAYOUT_KNOWN = 3
"""Newest layout that these processes can work on. Layout 3 is layout 2 with a noted number of partitions, which
processes of layout 2 would not heed."""

_SAFE = "@+"
_PLAIN = re.compile(r"[\w.~@+-]*", re.ASCII).fullmatch
"""Match of a name that needs no encoding."""
_NAME = r"[A-Za-z0-9_.~@+%-]+"
Kind = Literal["msg_queue", "processing_lock", "reply", "completed"]
Key = Annotated[str, "KEYS"]
"""Key that a script gets in KEYS, so that a cluster finds its slot; a script gets a plain str in ARGV."""


class Partition(NamedTuple):
    """Keys that all conversations of a partition share."""

    base: str
    """Start of every key of the partition; scripts append `<kind>:<conversation>`."""
    active: Key
    """Sorted set: conversation → when it next needs attention, Unix ms."""
    wake: Key
    """Stream of one entry, written when a conversation becomes due earlier than workers expect."""
    token: Key
    """The last fencing token."""
    dead: Key
    """Stream of dead letters."""
    looks: Key
    """Hash: times of claims, of holds and of steps of the clock, and watchers; see `note_look` in claim.lua."""
    hold: Key
    """Hash, only while the queue is held: since when, Unix ms."""
    layout: Key
    """Hash: the layout of the partition, see LAYOUT_VERSION."""
    damaged: Key
    """Stream of keys that were damaged and moved aside; each is now `damaged:<id of its entry>`."""
    reports: Key
    """Hash: what providers reported on replies whose ids are not known yet. `redis/scripts/sent.lua` describes it."""
    reports_due: Key
    """Sorted set: report → when something is to be done about it, Unix ms."""
    partitions: str
    """Number of partitions that this process has."""

    def queue_of(self, conversation: str) -> str:
        """Return the key of an encoded conversation's messages."""
        return f"{self.base}msg_queue:{conversation}"

    @property
    def sent(self) -> str:
        """Start of the keys of the hashes that hold the ids of replies: `redis/scripts/sent.lua` describes them."""
        return f"{self.base}sent"

    @property
    def outages(self) -> str:
        """Sorted set: backends that are away or resume → when a claim has something to do for them, Unix ms."""
        return f"{self.base}outages"

    @property
    def absent(self) -> str:
        """Key that never exists, see `Place.absent`."""
        return f"{self.base}absent"

    def backend_of(self, name: str) -> str:
        """Return the key of a backend's state; its name is that of `Place.ai` or `Place.channel`."""
        return f"{self.base}backend:{name}"

    def backend_waiting_of(self, name: str) -> str:
        """Return the key of the conversations that wait for a backend."""
        return f"{self.base}backend_waiting:{name}"

    def moments_of(self, number: str) -> str:
        """Return the key of the moments at which a sending number's last messages go."""
        return f"{self.base}moments:{encode_name(number)}"

    def slowdown_of(self, number: str) -> str:
        """Return the key of a sending number's pause and rate after refusals."""
        return f"{self.base}slowdown:{encode_name(number)}"

    def damaged_of(self, entry_id: str) -> str:
        """Return the name that a damaged key has now, by the id of its entry."""
        return f"{self.damaged}:{entry_id}"

    def last_claim_of(self, processor_id: str) -> str:
        """Return the key that keeps what a processor claimed last, in case the answer is lost."""
        return f"{self.base}last_claim:{encode_name(processor_id)}"


class Seen(msgspec.Struct, frozen=True, gc=False):
    """Notes that a message id of a conversation was seen. `redis/scripts/seen.lua` says how they are kept."""

    fingerprint: bytes
    """16 bytes that stand for the conversation and the id."""
    ids: str
    """Start of the keys of the hashes that hold fingerprints; the field `ids` of the layout says which there are."""
    old: Key
    """String that layout 1 kept for each id: when the id came first, Unix ms."""


class ConversationKey:
    """Key of a conversation, made when it is asked for, since each call needs few of them."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    @overload
    def __get__(self, place: None, owner: type) -> ConversationKey: ...

    @overload
    def __get__(self, place: Place, owner: type) -> str: ...

    def __get__(self, place: Place | None, owner: type) -> ConversationKey | str:
        """Return the key of a place's conversation."""
        return self if place is None else f"{place.base}{self.kind}:{place.conversation}"


class Place(msgspec.Struct, frozen=True, gc=False):
    """Place of one conversation in Redis: its own keys, and those of its partition that its scripts touch."""

    partition: int
    conversation: str
    """Instance and phone, encoded: the conversation's name inside Redis."""
    base: str
    """Start of every key of the partition."""
    active: Key
    wake: Key
    dead: Key
    layout: Key
    damaged: Key
    partitions: str

    queue = ConversationKey("msg_queue")
    lock = ConversationKey("processing_lock")
    reply = ConversationKey("reply")
    stats = ConversationKey("queue_stats")
    completed = ConversationKey("completed")
    changes = ConversationKey("changes")
    """Hash: edits and deletions of messages in the list, until they are applied; see `redis/scripts/changes.lua`."""
    change_notes = ConversationKey("change_notes")
    """Hash: notes of deletions, and of edits of messages that were not in the list or could not be changed any more."""
    memory = ConversationKey("memory")
    """Value that an AI backend keeps from one turn to the next; the queue itself never reads it."""
    alias = ConversationKey("alias")
    """String, only where this name leads to another conversation: that one, encoded. See aliases.lua."""
    names = ConversationKey("names")
    """Hash: names that lead to this conversation, this one included → kind of the address, "" if unknown."""
    behind = ConversationKey("behind")
    """Hash: conversations of the same user whose messages come before those of this one."""
    undelivered = ConversationKey("undelivered")
    """List: the last replies that did not reach the user, as providers reported later."""
    sent_again = ConversationKey("sent_again")
    """String, for a short time: a reply that was perhaps sent is sent again, and the id of its first send is lost."""

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys of the conversation."""
        kinds = (made for made in vars(Place).values() if isinstance(made, ConversationKey))
        return tuple(kind.__get__(self, Place) for kind in kinds)

    @property
    def absent(self) -> str:
        """Key that never exists.

        While a cluster moves a slot, a node refuses calls with several keys of which it lacks some. So it refuses each
        call that names this key: otherwise a script could run where some keys that it makes are missing.
        """
        return f"{self.base}absent"

    @property
    def ai(self) -> str:
        """Name of the AI as a backend."""
        return "ai"

    @property
    def channel(self) -> str:
        """Name of the instance's channel as a backend."""
        return f"channel:{self.conversation.partition(':')[0]}"

    def of_kind(self, kind: BackendKind) -> str:
        """Return the name of the backend of a kind."""
        return self.ai if kind == "ai" else self.channel

    def seen_of(self, message_id: str) -> Seen:
        """Return the notes that a message id was seen.

        With 20 million ids at a time, the probability that two share a fingerprint of 128 bits is about 10⁻³¹. A user
        who can choose ids finds two that share one in 2⁶⁴ steps, but both belong to that user's own conversation. To
        find the fingerprint of an id in another conversation takes 2¹⁰⁴ steps.
        """
        name = f"{self.conversation}:{message_id}".encode(errors="surrogatepass")
        return Seen(
            fingerprint=blake2b(name, digest_size=16).digest(),
            ids=f"{self.base}ids",
            old=f"{self.base}seen:{self.conversation}:{encode_name(message_id)}",
        )


COMMON = frozenset((*Partition._fields, "ai", "ids"))
"""Members of a Place or a Seen that all conversations of a partition have in common."""


class SentId(NamedTuple):
    """Id that a provider gave to a reply. The id itself decides its partition, since a report names no conversation."""

    partition: Partition
    fingerprint: bytes
    """16 bytes that stand for the instance and the id."""


class KeySpace:
    """Makes every key of a deployment from its prefix and its number of partitions."""

    def __init__(self, prefix: str, partitions: int) -> None:
        self._prefix = prefix
        self._conversation_key = re.compile(
            rf"{re.escape(prefix)}:\{{([0-9]{{1,4}})\}}:[a-z_]+:({_NAME}:{_NAME})"
        )
        self._partition_key = re.compile(rf"{re.escape(prefix)}:\{{([0-9]{{1,4}})\}}:(.+)")
        self._all = self.partitions = tuple(
            self._partition(f"{prefix}:{{{number}}}:", str(partitions)) for number in range(partitions)
        )
        self.numbers = tuple(range(partitions))
        """Numbers of `partitions`."""

    def without(self, partitions: Collection[int]) -> KeySpace:
        """Return the keys of all other partitions. The partition of a conversation does not change."""
        view = copy(self)
        view.numbers = tuple(number for number in self.numbers if number not in partitions)
        view.partitions = tuple(self._all[number] for number in view.numbers)
        return view

    def pattern(self, *kinds: Kind) -> str:
        """Return a pattern for SCAN: keys of some kinds in all partitions, even in those that this deployment lacks.

        With several kinds it fits keys of other kinds too, which `kind_of` tells apart.
        """
        beginning = "".join(f"[{''.join(letters)}]" for letters in zip(*kinds, strict=False))
        return f"{self._prefix}:{{*}}:{kinds[0] if len(kinds) == 1 else beginning + '*'}:*"

    @property
    def pattern_of_all(self) -> str:
        """Pattern for SCAN: all keys of all partitions, even of those that this deployment lacks."""
        return f"{self._prefix}:{{*}}:*"

    def split(self, key: str) -> tuple[int, str] | None:
        """Return the partition of a key, and the rest of its name; None for a key that is not of a partition."""
        parts = self._partition_key.fullmatch(key)
        return (int(parts[1]), parts[2]) if parts else None

    @staticmethod
    def kind_of(key: str) -> str:
        """Return the kind of a key of a partition, such as "msg_queue"."""
        return key.partition("}:")[2].partition(":")[0]

    @property
    def searches_key(self) -> str:
        """Key of the hash that says how far searches through all keys have come."""
        return f"{self._prefix}:searches"

    @property
    def log_key(self) -> str:
        """Key of the secret that makes the tags of conversations in the log."""
        return f"{self._prefix}:log_key"

    def parse(self, key: str) -> tuple[int, str] | None:
        """Return partition and encoded conversation of a conversation's key; None for any other key."""
        parts = self._conversation_key.fullmatch(key)
        return (int(parts[1]), parts[2]) if parts else None

    @staticmethod
    def _partition(base: str, partitions: str) -> Partition:
        return Partition(
            base=base,
            active=f"{base}active_queues",
            wake=f"{base}wake",
            token=f"{base}token",
            dead=f"{base}dead_letters",
            looks=f"{base}looks",
            hold=f"{base}hold",
            layout=f"{base}layout",
            damaged=f"{base}damaged",
            reports=f"{base}reports",
            reports_due=f"{base}reports_due",
            partitions=partitions,
        )

    def of(self, instance: str, phone: str) -> Place:
        """Return the Place of a conversation."""
        conversation = f"{encode_name(instance)}:{encode_name(phone)}"
        number = home_of(conversation, len(self._all))
        return _place(number, self._all[number], conversation)

    def sent_id(self, instance: str, sent_id: str) -> SentId:
        """Return partition and fingerprint of the id of a reply."""
        name = f"{encode_name(instance)}:{sent_id}".encode(errors="surrogatepass")
        partition = self.partitions[zlib.crc32(name) % len(self.partitions)]
        return SentId(partition, blake2b(name, digest_size=16).digest())

    def in_partition(self, number: int, conversation: str) -> Place:
        """Return the Place of an encoded conversation that lies in that partition."""
        return _place(number, self.partitions[number], conversation)


def _place(number: int, shared: Partition, conversation: str) -> Place:
    """Return the Place of an encoded conversation in the partition with these keys."""
    return Place(
        number,
        conversation,
        shared.base,
        shared.active,
        shared.wake,
        shared.dead,
        shared.layout,
        shared.damaged,
        shared.partitions,
    )


def home_of(conversation: str, partitions: int) -> int:
    """Return the partition of an encoded conversation."""
    return zlib.crc32(conversation.encode()) % partitions


def encode_name(name: str) -> str:
    """Encode a name as part of a key: ASCII letters, digits and `_.-~@+` stay, all else is percent-encoded UTF-8.

    Different names stay different, lone surrogates included, and `decode_conversation` brings them back.
    """
    return name if _PLAIN(name) else quote(name, safe=_SAFE, errors="surrogatepass")


def decode_conversation(conversation: str) -> tuple[str, str]:
    """Return instance and phone of an encoded conversation."""
    instance, _, phone = conversation.partition(":")
    if "%" not in conversation:
        return instance, phone
    return unquote(instance, errors="surrogatepass"), unquote(phone, errors="surrogatepass")
