"""Names of the processes of a stack, which reach the sink in the API key of each send.

The stack gives each process a key of its own, and a process that is started again gets a new key. So the sink knows
which process sent a reply, and the ledger can tell whether that process died meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping

_PREFIX = "loadtests:"
"""Mark of keys that a stack made. Keys of other deployments are secrets, and are not noted."""


def api_key_of(caller: str) -> str:
    """Return the API key for a process, such as `worker-1.2`, the second process of worker 1."""
    return _PREFIX + caller


def caller_of(headers: Mapping[str, str]) -> str:
    """Return the process that the API key of a send names; "" for the key of another deployment.

    The Evolution API has the key in `apikey`, the Cloud API in `Authorization`.
    """
    key = headers.get("apikey") or headers.get("Authorization", "").removeprefix("Bearer ")
    return key.removeprefix(_PREFIX) if key.startswith(_PREFIX) else ""
