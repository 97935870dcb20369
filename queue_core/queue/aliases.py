"""Aliases: several names of one user lead to one conversation. docs/guarantees.md says how they are joined.

A name is an address by which a provider may identify a user: a phone number, a linked id (LID), a business-scoped user
id (BSUID). `redis/scripts/aliases.lua` describes the keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from queue_core.errors import QueueUnavailableError
from queue_core.keys import Place, decode_conversation, encode_name
from queue_core.message import NAME_BYTES_MAX, QueueMessage
from queue_core.queue.access import Access
from queue_core.queue.precedence import Precedence
from queue_core.redis import scripts
from queue_core.redis.scripts.answers import NameAnswer
from queue_core.redis.scripts.loader import text

KINDS = ("phone", "lid", "user_id")
"""Kinds of addresses, by their names in `message_data["addresses"]`."""
LASTING_KINDS = frozenset({"lid", "user_id"})
"""Kinds that stay with a user. A phone number may be given to somebody else."""
HOPS_MAX = 8
"""Limit on aliases that are followed in a row; they form a chain when a user changes the number again and again."""
ROUNDS_MAX = 4
"""Limit on tries to join names while other processes change the conversations under these names."""
NAMES_MAX = 64
"""Limit on the names of one user that a read collects."""


_PAGE = 200


class Route(msgspec.Struct, frozen=True):
    """Route of a message to the place where it is stored."""

    place: Place
    names: Mapping[str, str] = {}
    """Names that lead to this place, each with the kind of its address."""
    visited: tuple[Place, ...] = ()
    """Places whose aliases were followed before."""
    follows: bool = True
    """False if the message is stored at this place even when the place has an alias."""

    @property
    def listing(self) -> str:
        """The names as enqueue.lua lists them; "" for a user with one name and no alias."""
        if len(self.names) < 2 and not self.visited:
            return ""
        return " ".join(f"{encode_name(name)} {kind or '-'}" for name, kind in self.names.items())


def names_of(message: QueueMessage) -> dict[str, str]:
    """Return the names of a message's user with their kinds, beginning with the name that the message has."""
    names = {message.user_phone: ""}
    data: Any = message.message_data
    addresses = data.get("addresses") if isinstance(data, dict) else None
    if not isinstance(addresses, dict) or message.user_phone not in map(addresses.get, KINDS):
        return names
    for kind in KINDS:
        name = addresses.get(kind)
        if isinstance(name, str) and name.strip() and len(name.encode("utf-8", "replace")) <= NAME_BYTES_MAX:
            names[name] = kind
    return names


class Aliases:
    """Aliases of one queue. All methods raise QueueUnavailableError when Redis does not answer."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._precedence = Precedence(access)
        self._ttl_ms = access.settings.aliases_ttl_s * 1000

    # Methods for messages that arrive.

    async def route(self, message: QueueMessage) -> Route:
        """Join the names of a message's user where possible, and return the route to where the message is stored.

        Does not ask Redis if the user has one name, since enqueue.lua follows the alias of that name.
        """
        names = names_of(message)
        direct = Route(self._access.keys.of(message.instance_name, message.user_phone), names)
        if not self._ttl_ms:
            return replace(direct, names={}, follows=False)
        if len(names) == 1:
            return direct
        # In the same order for all messages of a user, so that no two join their names in opposite directions.
        names = {name: kind for kind in KINDS for name, other in names.items() if other == kind}
        places = [self._access.keys.of(message.instance_name, name) for name in names]
        known = await self._ask([place for place in places if place != direct.place], message.id)
        conversation = direct.place.conversation
        if all(answer.target == conversation and not answer.is_seen for answer in known.values()):
            return direct  # the usual case: the other names lead to this one already
        for _ in range(ROUNDS_MAX):
            if route := await self._join_once(message.instance_name, message.id, names, known, checks=True):
                return route
            known = {}
        return replace(direct, names={message.user_phone: names[message.user_phone]})

    async def follow(self, route: Route, target: str) -> Route:
        """Return the route that follows the alias of its place to `target`. Breaks a cycle of aliases."""
        place, visited = self._place(target), (*route.visited, route.place)
        if place in visited:
            place = await self._break_cycle(visited[visited.index(place) :])
        return replace(route, place=place, visited=visited, follows=len(visited) < HOPS_MAX)

    async def join(self, instance_name: str, names: Mapping[str, str], *, event_id: str) -> bool:
        """Join names that belong to one user, as a provider reports. `names` begins with the oldest.

        Returns False if no name is known, or aliases are off. Raises QueueUnavailableError if other processes kept
        changing the conversations under these names.
        """
        if not self._ttl_ms:
            return False
        for _ in range(ROUNDS_MAX):
            route = await self._join_once(instance_name, event_id, names, {}, checks=False)
            if route and not route.names:
                return False
            if route and len(route.names) == len(names):
                await self._store_names(route)
                return True
        raise QueueUnavailableError(
            "the names of a user could not be joined, since other processes changed their conversations meanwhile: "
            "deliver this again later"
        )

    def places_of(self, message: QueueMessage) -> list[Place]:
        """Return the place of each name of a message's user, in the order of `names_of`."""
        places = [self._access.keys.of(message.instance_name, name) for name in names_of(message)]
        return places if self._ttl_ms else places[:1]

    async def further_places(self, places: Sequence[Place]) -> list[Place]:
        """Return the places to which the aliases of some places lead, without the places given."""
        roots = await asyncio.gather(*map(self._root, places)) if self._ttl_ms else []
        return [root for root in dict.fromkeys(roots) if root not in places]

    # Methods for reads.

    async def root_of(self, instance_name: str, user_phone: str) -> tuple[str, str]:
        """Return the conversation to which a name leads; the conversation of that name if the name has no alias."""
        root = await self._root(self._access.keys.of(instance_name, user_phone))
        return decode_conversation(root.conversation)

    async def conversation_of(self, instance_name: str, user_phone: str) -> tuple[str, str]:
        """Return the conversation to read for a name: the name's own while it has messages, else its alias's."""
        place = self._access.keys.of(instance_name, user_phone)
        alias, waiting = await self._access.read(("EXISTS", place.alias), ("EXISTS", place.queue))
        leads_on = alias and not waiting
        return await self.root_of(instance_name, user_phone) if leads_on else (instance_name, user_phone)

    async def names_of_user(self, instance_name: str, user_phone: str) -> list[tuple[str, str]]:
        """Return all names of a user, beginning with the name under which the conversation is stored."""
        root = await self._root(self._access.keys.of(instance_name, user_phone))
        known, fresh = {root: None}, [root, self._access.keys.of(instance_name, user_phone)]
        while fresh and len(known) < NAMES_MAX:
            known |= dict.fromkeys(fresh)
            listed = await self._access.read(*(("HGETALL", place.names) for place in fresh))
            fresh = [
                place
                for names in listed
                for place in {self._place_of_name(instance_name, text(name)): None for name in names}
                if place not in known
            ]
            roots = await asyncio.gather(*map(self._root, fresh))
            fresh = [place for place, other in zip(fresh, roots, strict=True) if other == root]
        return [decode_conversation(place.conversation) for place in known]

    async def listed_names(self, conversations: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return the names that lead to some conversations, as each conversation lists them."""
        pairs: list[tuple[str, str]] = []
        for first in range(0, len(conversations), _PAGE):
            page = conversations[first : first + _PAGE]
            listed = await self._access.read(
                *(("HGETALL", self._access.keys.of(*conversation).names) for conversation in page)
            )
            for (instance, _), names in zip(page, listed, strict=True):
                pairs += [(instance, _decoded(text(name))) for name in names]
        return pairs

    async def forget_names(self, instance_name: str, user_phone: str) -> None:
        """Delete the list of names that lead to a conversation."""
        await self._access.read(("DEL", self._access.keys.of(instance_name, user_phone).names))

    async def _root(self, place: Place) -> Place:
        for _ in range(HOPS_MAX):
            (target,) = await self._access.read(("GET", place.alias))
            if not target:
                break
            place = self._place(text(target))
        return place

    # Joining of names.

    async def _join_once(
        self,
        instance_name: str,
        message_id: str,
        names: Mapping[str, str],
        known: dict[Place, NameAnswer],
        *,
        checks: bool,
    ) -> Route | None:
        """Join names and return the route; None if other processes interfered and the call must be repeated.

        The conversation with the highest rank is kept; of equal ones, the first. `known` has answers about places that
        were asked before. With `checks`, a conversation of another user is not joined. If a message with this id was
        stored under one of the names, the route leads to that name.
        """
        keys = self._access.keys
        places = {name: keys.of(instance_name, name) for name in names}
        known = await self._ask_along(places.values(), message_id, known)
        if stored := next((place for place, answer in known.items() if answer.is_seen), None):
            return Route(stored)
        roots = await self._roots_of(places, known)
        if not roots:
            return None
        kept = {root: known[root] for root in roots.values()}
        if checks:
            kept = _without_contradictions(names, roots, kept)
        elif not any(answer.is_in_use or answer.has_memory or answer.has_more for answer in kept.values()):
            return Route(places[next(iter(names))])
        winner = max(kept, key=lambda root: _rank(kept[root]))
        led = {winner}
        for loser in (root for root in kept if root != winner):
            verdict = await self._lead(loser, winner, message_id, waits=kept[loser].is_in_use)
            if verdict == "seen":
                return Route(loser)
            if verdict != "joined":
                return None
            led.add(loser)
        return Route(winner, {name: kind for name, kind in names.items() if roots[name] in led})

    async def _roots_of(
        self, places: Mapping[str, Place], known: Mapping[Place, NameAnswer]
    ) -> dict[str, Place]:
        """Return the conversation to which each name leads. Breaks a cycle of aliases, and then returns {}."""
        roots: dict[str, Place] = {}
        for name, place in places.items():
            chain = self._chain(place, known)
            if chain[-1] in chain[:-1]:
                await self._break_cycle(chain[chain.index(chain[-1]) : -1])
                return {}
            roots[name] = chain[-1]
        return roots

    async def _ask_along(
        self, places: Iterable[Place], message_id: str, known: dict[Place, NameAnswer]
    ) -> dict[Place, NameAnswer]:
        """Return the answers about places and all places to which their aliases lead; ask only what `known` lacks."""
        all_answers = dict(known)
        fresh = [*places, *self._targets(known.values())]
        while fresh := [place for place in dict.fromkeys(fresh) if place not in all_answers]:
            answers = await self._ask(fresh, message_id)
            all_answers |= answers
            fresh = self._targets(answers.values())
        return all_answers

    def _targets(self, answers: Iterable[NameAnswer]) -> list[Place]:
        return [self._place(answer.target) for answer in answers if answer.target]

    async def _ask(self, places: Sequence[Place], message_id: str) -> dict[Place, NameAnswer]:
        access, settings = self._access, self._access.settings
        calls = [
            scripts.ReadName(
                place=place,
                seen=place.seen_of(message_id),
                now_ms=access.now(),
                dedupe_ttl_ms=settings.dedupe_ttl_s * 1000,
                aliases_ttl_ms=self._ttl_ms,
            )
            for place in places
        ]
        answers = await asyncio.gather(*map(access.transport.gathered, calls))
        return dict(zip(places, answers, strict=True))

    async def _lead(self, loser: Place, winner: Place, message_id: str, *, waits: bool) -> str:
        """Let a name lead to another conversation, which with `waits` waits for messages under it. See `Join`."""
        access = self._access
        if waits:  # noted before the alias is set, since messages that come through the alias could overtake
            await self._precedence.put_behind(winner, loser)
        call = scripts.Join(
            place=loser,
            seen=loser.seen_of(message_id),
            now_ms=access.now(),
            target=winner.conversation,
            waits=int(waits),
            dedupe_ttl_ms=access.settings.dedupe_ttl_s * 1000,
            aliases_ttl_ms=self._ttl_ms,
        )
        return await access.transport.gathered(call)

    async def _break_cycle(self, cycle: tuple[Place, ...]) -> Place:
        """Delete one alias of a cycle, the same in every process, and return the place that had it."""
        index = min(range(len(cycle)), key=lambda number: cycle[number].conversation)
        place, following = cycle[index], cycle[(index + 1) % len(cycle)]
        await self._access.transport.gathered(scripts.DeleteAlias(place=place, target=following.conversation))
        return place

    async def _store_names(self, route: Route) -> None:
        words = route.listing.split(" ")
        await self._access.read(
            *(("HSETNX", route.place.names, *pair) for pair in zip(words[::2], words[1::2], strict=True)),
            ("PEXPIRE", route.place.names, self._ttl_ms),
        )

    def _chain(self, place: Place, known: Mapping[Place, NameAnswer]) -> tuple[Place, ...]:
        """Return the places from a place to the end of its aliases; in a cycle, up to the first place that repeats."""
        chain: tuple[Place, ...] = (place,)
        while known[chain[-1]].target:
            following = self._place(known[chain[-1]].target)
            chain = (*chain, following)
            if following in chain[:-1]:
                break
        return chain

    def _place(self, conversation: str) -> Place:
        return self._access.keys.of(*decode_conversation(conversation))

    def _place_of_name(self, instance_name: str, encoded: str) -> Place:
        return self._access.keys.of(instance_name, _decoded(encoded))


def _rank(answer: NameAnswer) -> tuple[bool, bool, bool]:
    """Return the rank of a conversation when names are joined: that with the most to lose is kept."""
    return answer.is_in_use, answer.has_memory, answer.has_more


def _without_contradictions(
    names: Mapping[str, str], roots: Mapping[str, Place], kept: Mapping[Place, NameAnswer]
) -> dict[Place, NameAnswer]:
    """Leave out conversations of other users, whose lasting ids differ: a phone number may change hands."""
    lasting = {name: kind for name, kind in names.items() if kind in LASTING_KINDS}
    return {
        root: answer
        for root, answer in kept.items()
        if not any(
            roots[name] != root and kind in answer.names.values() and name not in map(_decoded, answer.names)
            for name, kind in lasting.items()
        )
    }


def _decoded(encoded: str) -> str:
    return decode_conversation(f":{encoded}")[1]
