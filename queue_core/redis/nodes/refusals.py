"""Errors that pass: the call may succeed on another server, or on the same one later."""

from __future__ import annotations

import re

from redis import exceptions

from queue_core.redis.nodes.urls import Address

_PASSING = (
    exceptions.AskError,  # MOVED too
    exceptions.TryAgainError,
    exceptions.ClusterDownError,
    exceptions.ReadOnlyError,
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    OSError,
)
_PASSING_CODE = re.compile(
    r"\b(?:CLUSTERDOWN|TRYAGAIN|READONLY|NOREPLICAS|LOADING|MASTERDOWN|UNBLOCKED)\b|read only replica|non local key"
)
"""Codes of errors during a failover or while a slot moves. "non local key": the slot's keys are on two nodes."""


class WrongAddressError(exceptions.ConnectionError):
    """Raised when the servers of a URL are not what it says; the message says what to write."""


class ForeignServerError(exceptions.ConnectionError):
    """Raised for a server that listens at the address of a cluster's node, and is not one. It counts as away."""

    def __init__(self, address: Address) -> None:
        super().__init__(
            f"the server at {address} is not a node of the cluster: stop it, and start the node again with its own data"
        )


_REFUSED_FOR_GOOD = (
    WrongAddressError,
    exceptions.AuthenticationError,
    exceptions.AuthorizationError,
    exceptions.MaxConnectionsError,
)


def moved_to(error: BaseException, asked: Address) -> Address | None:
    """Return the server that MOVED or ASK names; an empty host is that of the server that was asked."""
    if not isinstance(error, exceptions.AskError):
        return None
    return Address(error.host or asked.host, error.port)


def is_of_no_cluster(error: exceptions.ResponseError) -> bool:
    """Return True for the answer to CLUSTER of a server that is not a node of any cluster."""
    return "cluster support disabled" in str(error)


def is_passing(error: BaseException) -> bool:
    """Return True for an error after which the same call may succeed within moments, perhaps on another server."""
    if isinstance(error, _REFUSED_FOR_GOOD):
        return False
    if isinstance(error, _PASSING):
        return True
    return isinstance(error, exceptions.ResponseError) and bool(_PASSING_CODE.search(str(error)))


def is_unreachable(error: BaseException) -> bool:
    """Return True if the server could not be reached, or did not answer."""
    return is_passing(error) and isinstance(
        error, exceptions.ConnectionError | exceptions.TimeoutError | OSError
    )
