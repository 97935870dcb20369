"""A whole deployment on loopback: Redis, the sink, one web process, workers. For load tests and for breaking it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import psutil
import redis

from loadtests.sink.server import ListenError, SinkSettings, cause_of
from loadtests.stack.children import Children
from loadtests.stack.credentials import webhook_secrets
from loadtests.stack.usage import ProcessUsage, Usage
from queue_core.redis_server.embedded import EmbeddedRedis

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
READY_S = 30.0
"""Longest wait for a process to become ready."""
LOOK_EVERY_S = 0.05
REQUEST_TIMEOUT_S = 2.0
APPEND_FSYNC: Final = "everysec"
CONCURRENCY = "1000"
"""Turns that a worker has in work at a time. 10,000 messages a minute with an AI of 2 s keep about 200 busy."""

_INHERITED = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "REDIS_SERVER",
    "CONCURRENCY",
)


class StackError(Exception):
    """The stack does not start, or a part of it ended by itself; the message says which and where its log is."""


@dataclass(frozen=True, slots=True)
class StackSettings:
    """Parts of the stack. Settings of the queue are taken from the environment (QUEUE_WINDOW_MS=…).

    `port`, `sink_port`: of the web process and the sink; 0 takes a free one. `redis_memory`: as redis.conf has it.
    `is_legacy`: the web process uses the legacy buffer instead of the queue.
    """

    workers: int = 1
    is_legacy: bool = False
    port: int = 8080
    sink_port: int = 8090
    redis_memory: str = "50mb"
    sink: SinkSettings = field(default_factory=SinkSettings)


class Stack:
    """Starts, breaks, measures and stops the deployment. Its methods block and may be called from several threads.

    Args:
        settings: What it is made of.
        environ: Environment to take QUEUE_ settings and secrets from.
        log_folder: Where logs go; None: a temporary folder, which is kept only when something failed.
    """

    def __init__(
        self, settings: StackSettings, environ: Mapping[str, str], log_folder: Path | None = None
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._log_folder = log_folder
        self._folder: Path | None = None
        self._children: Children | None = None
        memory = {"maxmemory": settings.redis_memory}
        self._redis = EmbeddedRedis(port=0, append_only=True, append_fsync=APPEND_FSYNC, config=memory)
        self._ports: dict[str, int] = {}
        self._cpu_before_s: dict[str, float] = {}
        self._lock = threading.RLock()
        self._has_failed = False

    @property
    def workers(self) -> int:
        """How many workers there are."""
        return self._settings.workers

    @property
    def host(self) -> str:
        """Address of the web process."""
        return self._url("web")

    @property
    def sink(self) -> str:
        """Address of the sink."""
        return self._url("sink")

    @property
    def redis_url(self) -> str:
        """Address of Redis."""
        return self._redis.url

    @property
    def redis_version(self) -> str:
        """Version of Redis."""
        return self._redis.binary.version

    @property
    def log_folder(self) -> Path:
        """Where the logs are. Raises StackError before the start."""
        if self._folder is None:
            raise StackError("the stack has not been started")
        return self._folder

    @property
    def secrets(self) -> dict[str, str]:
        """What webhooks must be signed with, by the names of the settings."""
        return webhook_secrets(self._environ)

    def start(self) -> None:
        """Starts everything and returns when all of it is ready. Raises StackError, EmbeddedRedisError."""
        try:
            self._prepare()
            self._redis.start()
            self._spawn_sink()
            self._spawn_web()
            workers = [self._spawn_worker(number) for number in range(1, self.workers + 1)]
            self._wait_until_ready("sink", "/sink/events")
            for name in ("web", *workers):
                self._wait_until_ready(name, "/readyz")
        except BaseException:
            self._has_failed = True
            self.stop()
            raise

    def stop(self) -> None:
        """Ends everything; no child is left. Removes temporary logs, unless something failed."""
        with self._lock:
            if self._children is not None:
                self._children.stop()
            if self._folder is not None and self._redis.is_running():
                self._keep_redis_log()
            self._redis.stop()
            if self._log_folder is None and self._folder is not None and not self._has_failed:
                shutil.rmtree(self._folder, ignore_errors=True)

    def check(self) -> None:
        """Raises StackError when a process has ended by itself."""
        with self._lock:
            for name, code in self._running_children().ended().items():
                if name in self._ports:
                    raise self._failure(name, f"ended with code {code}")
            if not self._redis.is_running():
                self._has_failed = True
                raise StackError(f"redis-server ended by itself. Its log ends:\n{self._redis.log_tail()}")

    def spawn(
        self, name: str, command: Iterable[str], environment: Mapping[str, str]
    ) -> Callable[[], int | None]:
        """Runs something beside the stack that ends with it and shares our output; returns what asks its exit code."""
        with self._lock:
            process = self._running_children().spawn(
                name, list(command), {**self._base(), **environment}, cwd=ROOT, is_logged=False
            )
        return process.poll

    # Faults.

    def kill_worker(self, number: int) -> None:
        """Kills worker 1 … `workers` as a crash would, starts it again, and returns when it is ready."""
        if not 1 <= number <= self.workers:
            raise ValueError(f"there is no worker {number}; there are {self.workers}")
        name = f"worker-{number}"
        with self._lock:
            self._cpu_before_s[name] = self._cpu_s(name)
            self._running_children().kill(name)
            self._spawn_worker(number)
        self._wait_until_ready(name, "/readyz")

    def pause_redis(self) -> None:
        """Freezes Redis: connections stay open and nothing answers."""
        with self._lock:
            self._redis.pause()

    def resume_redis(self) -> None:
        """Undoes pause_redis."""
        with self._lock:
            self._redis.resume()

    def restart_redis(self) -> None:
        """Stops Redis in good order and starts it again on its data; returns when it answers."""
        with self._lock:
            self._cpu_before_s["redis"] = self._cpu_s("redis")
            self._redis.restart()

    def ai_errors(self, seconds: float) -> None:
        """The AI answers 500 for so long; 0 ends that. Raises StackError when the sink does not obey."""
        status = self._request("sink", "POST", "/sink/ai-errors", json.dumps({"seconds": seconds}))
        if status != 200:
            raise StackError(f"the sink answered {status or 'nothing'} to /sink/ai-errors")

    # Measuring.

    def processes(self) -> dict[str, int]:
        """Process ids by name: web, worker-1 …, sink, redis, and what was spawned beside them."""
        with self._lock:
            found = self._running_children().running()
            if self._redis.is_running():
                found["redis"] = self._redis.pid
            return found

    def usage(self) -> Usage:
        """What everything uses now."""
        with self._lock:
            used = {}
            for name, pid in self.processes().items():
                with contextlib.suppress(psutil.Error):
                    used[name] = self._usage_of(name, pid)
        return Usage(used, self._redis_bytes())

    def _usage_of(self, name: str, pid: int) -> ProcessUsage:
        cpu_s = self._cpu_before_s.get(name, 0.0)
        memory_bytes = 0
        process = psutil.Process(pid)
        # Only what is spawned beside the stack, such as Locust with --processes, has children of its own.
        children = [] if name in (*self._ports, "redis") else process.children(recursive=True)
        for one in (process, *children):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                cpu_s += times.user + times.system
                memory_bytes += one.memory_info().rss
        return ProcessUsage(cpu_s, memory_bytes)

    def _cpu_s(self, name: str) -> float:
        pid = self.processes().get(name)
        try:
            return self._usage_of(name, pid).cpu_s if pid else self._cpu_before_s.get(name, 0.0)
        except psutil.Error:
            return self._cpu_before_s.get(name, 0.0)

    def _redis_bytes(self) -> int | None:
        """Asked over a connection of its own each time: a paused server must not spoil the next answer."""
        try:
            with redis.Redis.from_url(
                self.redis_url, socket_timeout=0.2, socket_connect_timeout=0.2, retry=None
            ) as client:
                return int(client.info("memory")["used_memory"])
        except (redis.RedisError, OSError):
            return None

    # Starting.

    def _prepare(self) -> None:
        self._folder = self._log_folder or Path(tempfile.mkdtemp(prefix="loadtests-"))
        self._folder = self._folder.absolute()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._children = Children(self._folder)
        names = ["web", "sink", *(f"worker-{number}" for number in range(1, self.workers + 1))]
        given = {"web": self._settings.port, "sink": self._settings.sink_port}
        self._ports = _claim_ports({name: given.get(name, 0) for name in names})

    def _running_children(self) -> Children:
        if self._children is None:
            raise StackError("the stack has not been started")
        return self._children

    def _spawn_sink(self) -> None:
        sink = self._settings.sink
        command = [sys.executable, "-m", "loadtests", "sink", "--port", str(self._ports["sink"])]
        command += ["--ai", sink.ai, "--ai-errors", str(sink.ai_errors), "--seed", str(sink.seed)]
        self._running_children().spawn("sink", command, self._base())

    def _spawn_web(self) -> None:
        use_queue = "false" if self._settings.is_legacy else "true"
        environment = {"USE_QUEUE_SYSTEM": use_queue, "HOST": HOST, "PORT": str(self._ports["web"])}
        command = [sys.executable, "-m", "queue_core", "web"]
        self._running_children().spawn("web", command, {**self._deployment(), **environment})

    def _spawn_worker(self, number: int) -> str:
        name = f"worker-{number}"
        environment = {**self._deployment(), "HOST": HOST, "MONITOR_PORT": str(self._ports[name])}
        self._running_children().spawn(name, [sys.executable, "-m", "queue_core", "worker"], environment)
        return name

    def _base(self) -> dict[str, str]:
        """The environment of every child: nothing of ours that could change what it does by chance."""
        own = {name: value for name, value in self._environ.items() if name in _INHERITED}
        path = os.pathsep.join(filter(None, [str(ROOT), own.get("PYTHONPATH", "")]))
        return {**own, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **self.secrets}

    def _deployment(self) -> dict[str, str]:
        return {
            "CONCURRENCY": CONCURRENCY,
            **self._base(),
            **{name: value for name, value in self._environ.items() if name.startswith("QUEUE_")},
            "REDIS_URL": self.redis_url,
            "AI": "http",
            "AI_URL": f"{self.sink}/ai",
            "EVOLUTION_URL": self.sink,
            "EVOLUTION_API_KEY": "loadtests",
            "CLOUD_URL": self.sink,
            "CLOUD_ACCESS_TOKEN": "loadtests",
            "TYPING": "false",
            "LOG_LEVEL": "warning",
            "GRACE_S": "2",  # the load is over when the stack is stopped
        }

    def _wait_until_ready(self, name: str, path: str) -> None:
        deadline = time.monotonic() + READY_S
        while self._request(name, "GET", path) != 200:
            with self._lock:
                code = self._running_children().ended().get(name)
            if code is not None:
                raise self._failure(name, f"ended with code {code} while starting")
            if time.monotonic() > deadline:
                raise self._failure(name, f"was not ready within {READY_S:g} s")
            time.sleep(LOOK_EVERY_S)

    def _failure(self, name: str, what: str) -> StackError:
        self._has_failed = True
        children = self._running_children()
        tail = children.log_tail(name) or "(it is empty)"
        return StackError(f"{name} {what}. All logs are in {self.log_folder}; {name}.log ends:\n{tail}")

    def _keep_redis_log(self) -> None:
        self.log_folder.joinpath("redis.log").write_text(self._redis.log_tail(1_000) + "\n", "utf-8")

    def _url(self, name: str) -> str:
        if name not in self._ports:
            raise StackError("the stack has not been started")
        return f"http://{HOST}:{self._ports[name]}"

    def _request(self, name: str, method: str, path: str, body: str | None = None) -> int | None:
        """Status of the answer, or None for no answer."""
        connection = http.client.HTTPConnection(HOST, self._ports[name], timeout=REQUEST_TIMEOUT_S)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _claim_ports(wanted: Mapping[str, int]) -> dict[str, int]:
    """Free ports; 0 is any. All are held until all are known, so that no two are the same. Raises StackError."""
    claimed = {}
    with contextlib.ExitStack() as held:
        for name, port in wanted.items():
            probe = held.enter_context(socket.socket())
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port just left may be taken
            try:
                probe.bind((HOST, port))
            except OSError as error:
                option = "--sink-port" if name == "sink" else "--port"
                raise ListenError(
                    f"cannot listen on {HOST}:{port}: {cause_of(error)}; choose another {option}"
                ) from None
            claimed[name] = probe.getsockname()[1]
    return claimed
