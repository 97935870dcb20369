"""One of several servers: a redis-server, a proxy in front of it, and commands to it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from loadtests.replicated_redis.proxy import Proxy
from queue_core.redis_server.embedded import EmbeddedRedis

COMMAND_TIMEOUT_S = 5.0


class Node:
    """One server. Clients, replicas and the other nodes know it by the port of its proxy.

    Args:
        proxy: Proxy in front of the server; None: there is none.
        folder: Folder for the server's data; emptied by `wipe`.
        port: Port of the server itself.
        server: Program to run; see choose_redis_server.
        config: Directives of redis.conf.
        config_file: File of more directives.
    """

    def __init__(
        self,
        proxy: Proxy | None,
        folder: Path,
        port: int,
        *,
        server: str | os.PathLike[str] | None,
        config: Mapping[str, str],
        config_file: Path | None = None,
        append_only: bool = False,
    ) -> None:
        self.folder = folder
        self.own_port = port
        self._proxy = proxy
        self.port = proxy.port if proxy else port
        self.config = dict(config)
        self._server, self._config_file, self._append_only = server, config_file, append_only
        self._redis: EmbeddedRedis | None = None
        self._client: redis.Redis | None = None
        self.is_paused = False

    @property
    def address(self) -> str:
        """Host and port for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def is_running(self) -> bool:
        """True while the process is alive, paused or not."""
        return self._redis is not None and self._redis.is_running()

    @property
    def pid(self) -> int:
        """Process id of the server. Raises EmbeddedRedisError when it does not run."""
        return self._embedded().pid

    def log_tail(self, lines: int) -> str:
        """Return the last lines of the server's log."""
        return self._embedded().log_tail(lines)

    @property
    def proxy(self) -> Proxy:
        """Proxy in front of the server. Raises AssertionError when the servers have no proxies."""
        assert self._proxy, "start the servers with `proxied=True` to cut links"
        return self._proxy

    def command(self, *words: str | int) -> Any:
        """Run a command, not through the proxy, and return the answer as text. Raises redis-py's errors."""
        if self._client is None:
            self._client = redis.Redis(
                port=self.own_port,
                decode_responses=True,
                socket_timeout=COMMAND_TIMEOUT_S,
                protocol=2,
                retry=Retry(NoBackoff(), retries=1),
            )
        return self._client.execute_command(*words)  # type: ignore[no-untyped-call]  # in redis-py

    def info(self, section: str) -> dict[str, Any]:
        """Return a section of INFO."""
        return dict(self.command("INFO", section))

    def start(self) -> None:
        """Start the server, with the data that it has, and return when it answers. Does nothing when it runs."""
        self._embedded().start()
        if self._proxy:
            self._proxy.open()

    def _embedded(self) -> EmbeddedRedis:
        if self._redis is None:
            self._redis = EmbeddedRedis(
                self.folder,
                server=self._server,
                port=self.own_port,
                append_only=self._append_only,
                config=self.config,
                config_file=self._config_file,
            )
        return self._redis

    def kill(self) -> None:
        """End the server at once, as a crash would; new connections are refused."""
        self.is_paused = False
        if self._redis is not None:
            self._redis.kill()
        if self._proxy:
            self._proxy.close()

    def pause(self) -> None:
        """Freeze the server: connections stay open, and nothing answers."""
        assert self._redis is not None
        self._redis.pause()
        self.is_paused = True

    def resume(self) -> None:
        """Let the server go on after `pause`."""
        if self.is_paused and self._redis is not None:
            self._redis.resume()
        self.is_paused = False

    def wipe(self) -> None:
        """Kill the server and remove its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def close(self) -> None:
        """Kill the server, and forget everything about it."""
        self.kill()
        if self._redis is not None:
            self._redis.stop()
        if self._client is not None:
            self._client.close()
