"""Ids by the thousand, noted by the functions of the scripts in one call: for tests and measurements of many ids."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis

from queue_core.keys import KeySpace
from queue_core.redis.scripts.loader import library, text
from queue_core.redis.scripts.names import needed_part

_BODY = """
local place = {layout = KEYS[1]}
local ids, now_ms, count, dedupe_ttl_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local first = tonumber(ARGV[5])
local noted = 0
for number = first, first + count - 1 do
  local layers = layers_in(redis.call('HGET', place.layout, 'ids'))
  local hex, parts = redis.sha1hex(number), {}
  for part = 1, 4 do
    parts[part] = tonumber(string.sub(hex, 8 * part - 7, 8 * part), 16)
  end
  local fingerprint = struct.pack('>I4I4I4I4', unpack(parts))
  local seen = {ids = ids, fingerprint = fingerprint}
  if not first_seen(place, seen, layers, 0, now_ms, dedupe_ttl_ms) then
    noted = noted + 1
    mark_seen(place, seen, layers, 0, now_ms, dedupe_ttl_ms)
  end
end
return noted
"""
_CALL_IDS_MAX = 10_000


class Ids:
    """Ids 0, 1, 2 and so on of the first partition; `add` goes on where its last call ended."""

    def __init__(self, redis: Redis, *, dedupe_ttl_s: int = 86_400) -> None:
        self.redis = redis
        self.count = 0
        self._ttl_ms = dedupe_ttl_s * 1000
        self._base = KeySpace("wa", 1).partitions[0].base
        self._script = redis.register_script(f"{needed_part(_BODY, library())}\n{_BODY}")

    async def add(self, count: int, now_ms: int) -> None:
        """Note the next `count` ids, as of `now_ms`."""
        for first in range(self.count, self.count + count, _CALL_IDS_MAX):
            noted = await self.note(first, min(_CALL_IDS_MAX, self.count + count - first), now_ms)
            assert noted == min(_CALL_IDS_MAX, self.count + count - first), "a new id counts as a duplicate"
        self.count += count

    async def note(self, first: int, count: int, now_ms: int) -> int:
        """Note the unknown ids among `count` from number `first` on, and return their number."""
        arguments = (f"{self._base}ids", now_ms, count, self._ttl_ms, first)
        noted: Any = await self._script(keys=[f"{self._base}layout"], args=arguments)
        return int(noted)

    async def layers(self) -> list[tuple[int, int]]:
        """Return begin (Unix ms) and bits of each layer."""
        raw = text(await self.redis.hget(f"{self._base}layout", "ids") or "")
        layers = [layer.split() for layer in raw.split(";") if layer]
        return [(int(begun), int(bits)) for begun, _, bits in layers]
