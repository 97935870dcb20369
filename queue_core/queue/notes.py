"""Values beside the queue, such as an AI's memory of each conversation; the queue itself never reads them."""

from __future__ import annotations

from queue_core.queue.access import Access


class Notes:
    """Keeps a value for each conversation. Raises QueueUnavailableError when Redis does not answer."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def get(self, instance_name: str, user_phone: str) -> bytes | str | None:
        """Return the value of a conversation; None when there is none, or it has expired."""
        (value,) = await self._access.read(("GET", self._access.keys.of(instance_name, user_phone).memory))
        return value  # type: ignore[no-any-return]  # bytes, or str from a client that decodes

    async def put(self, instance_name: str, user_phone: str, value: bytes, *, ttl_s: int) -> None:
        """Replace the value of a conversation; it is kept for `ttl_s`."""
        key = self._access.keys.of(instance_name, user_phone).memory
        await self._access.read(("SET", key, value, "EX", ttl_s))

    async def share_log_key(self, key: bytes) -> bytes:
        """Store `key` as the key of the log's tags, unless a process did before; return the stored one."""
        log_key = self._access.keys.log_key
        _, stored = await self._access.read(("SET", log_key, key, "NX"), ("GET", log_key))
        return stored if isinstance(stored, bytes) else str(stored).encode()
