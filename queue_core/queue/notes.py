"""Values beside the queue, such as an AI's memory of each conversation; the queue itself never reads them."""

from __future__ import annotations

import asyncio

from queue_core.queue.access import Access
from queue_core.queue.aliases import Aliases


class Notes:
    """Store of a value for each conversation. Methods raise QueueUnavailableError when Redis does not answer."""

    def __init__(self, access: Access, aliases: Aliases) -> None:
        self._access = access
        self._aliases = aliases

    async def get(self, instance_name: str, user_phone: str) -> bytes | str | None:
        """Return the value of a conversation; None when there is none, or it has expired.

        If there is none, return the value under another name of the user, stored before the names were joined.
        """
        place = self._access.keys.of(instance_name, user_phone)
        value, alias, names = await self._access.read(
            ("GET", place.memory), ("EXISTS", place.alias), ("EXISTS", place.names)
        )
        if alias or (value is None and names):
            value = await self._value_of_user(instance_name, user_phone)
        return value  # type: ignore[no-any-return]  # bytes, or str from a client that decodes

    async def _value_of_user(self, instance_name: str, user_phone: str) -> bytes | str | None:
        names = await self._aliases.names_of_user(instance_name, user_phone)
        keys = (self._access.keys.of(*name).memory for name in names)
        values = [
            value for (value,) in await asyncio.gather(*(self._access.read(("GET", key)) for key in keys))
        ]
        return next((value for value in values if value is not None), None)

    async def put(self, instance_name: str, user_phone: str, value: bytes, *, ttl_s: int) -> None:
        """Replace the value of a conversation; it is kept for `ttl_s`."""
        place = self._access.keys.of(*await self._aliases.root_of(instance_name, user_phone))
        await self._access.read(("SET", place.memory, value, "EX", ttl_s))

    async def share_log_key(self, key: bytes) -> bytes:
        """Store the secret that makes the tags in the log, unless another process has; return the stored one."""
        log_key = self._access.keys.log_key
        _, stored = await self._access.read(("SET", log_key, key, "NX"), ("GET", log_key))
        return stored if isinstance(stored, bytes) else str(stored).encode()
