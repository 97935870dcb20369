"""Choice of a transport for a client."""

from __future__ import annotations

from redis.asyncio import Redis

from queue_core.redis.durability import Durability
from queue_core.redis.link import can_link
from queue_core.redis.link_transport import LinkTransport
from queue_core.redis.nodes.client import NodesClient
from queue_core.redis.nodes.transport import NodesTransport
from queue_core.redis.runner import ScriptRunner
from queue_core.redis.transport import Transport
from queue_core.settings import QueueSettings


def transport_for(redis: Redis, settings: QueueSettings) -> Transport:
    """Return the fast transport where it can take over the client's sockets, otherwise one that uses the client."""
    deadline_ms = settings.redis_deadline_ms
    durability = Durability(settings.wait_for_fsync, settings.wait_for_replicas)
    if isinstance(redis, NodesClient):
        return NodesTransport(redis, deadline_ms=deadline_ms, durability=durability)
    kind = LinkTransport if can_link(redis) else ScriptRunner
    return kind(redis, deadline_ms=deadline_ms, durability=durability)
