"""A whole deployment on loopback: Redis, the sink, one web process, and workers."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import psutil
import redis
import requests

from loadtests.sink.caller import api_key_of
from loadtests.sink.server import ListenError, SinkSettings, cause_of
from loadtests.stack.children import Children
from loadtests.stack.credentials import webhook_secrets
from loadtests.stack.replicated_redis import ReplicatedRedis
from loadtests.stack.usage import ProcessUsage, Usage, machine_usage
from queue_core.redis_server.embedded import EmbeddedRedis
from queue_core.redis_server.ports import claim_port

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
READY_S = 60.0
"""Longest wait until a process is ready."""
CHECK_EVERY_S = 0.05
REQUEST_TIMEOUT_S = 2.0
APPEND_FSYNC: Final = "everysec"
CONCURRENCY = "1000"
"""Turns at a time in a worker. 10,000 messages a minute with an AI of 2 s take about 200."""

_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "REDIS_SERVER")


class StackError(Exception):
    """Raised when the stack does not start, or a part of it has ended; the message names the part and its log."""


@dataclass(frozen=True, slots=True)
class StackSettings:
    """Parts of the stack. The settings of the queue come from the environment (QUEUE_WINDOW_MS=…).

    `port` is the port of the web process. 0 means any free port, also for `sink_port`. `redis_memory` is written as in
    redis.conf. `redis` is "single", "cluster" or "sentinel". With `is_legacy` the web process uses the legacy buffer
    instead of the queue.
    """

    workers: int = 1
    is_legacy: bool = False
    port: int = 8080
    sink_port: int = 8090
    redis_memory: str = "50mb"
    redis: str = "single"
    sink: SinkSettings = field(default_factory=SinkSettings)


class Stack:
    """A deployment that can be started, broken, measured and stopped, also from several threads.

    Args:
        settings: The parts.
        environ: The environment, of which QUEUE_ settings and secrets are used.
        log_folder: The folder for the logs; `start` makes it.

    Raises ListenError when a port is taken.
    """

    def __init__(self, settings: StackSettings, environ: Mapping[str, str], log_folder: Path) -> None:
        self.workers = settings.workers
        self.log_folder = log_folder.absolute()
        self.secrets = webhook_secrets(environ)
        """Secrets with which webhooks must be signed, by the names of the settings."""
        self._settings = settings
        self._environ = environ
        self._children = Children(self.log_folder)
        self._redis: EmbeddedRedis | ReplicatedRedis
        if settings.redis == "single":
            memory = {"maxmemory": settings.redis_memory}
            self._redis = EmbeddedRedis(port=0, append_only=True, append_fsync=APPEND_FSYNC, config=memory)
        else:
            self._redis = ReplicatedRedis(settings.redis, settings.redis_memory)
        self._ports = _claim_ports(
            {
                "web": settings.port,
                "sink": settings.sink_port,
                **{f"worker-{number}": 0 for number in range(1, settings.workers + 1)},
            }
        )
        self.host = f"http://{HOST}:{self._ports['web']}"
        self.sink = f"http://{HOST}:{self._ports['sink']}"
        self._cpu_s: dict[str, dict[int, float]] = {}
        """CPU time of each process that ever had a name, by process id, as last measured."""
        self._starts: dict[str, int] = {}
        self._is_redis_stopped = False
        self._lock = threading.RLock()

    @property
    def redis_url(self) -> str:
        """Address of Redis, known once it is started."""
        return self._redis.url

    @property
    def _server_url(self) -> str:
        """Address of the server that is measured, and that faults strike."""
        return self._redis.url if isinstance(self._redis, EmbeddedRedis) else self._redis.primary_url

    @property
    def redis_version(self) -> str:
        """Version of Redis."""
        return self._redis.binary.version

    def start(self) -> None:
        """Start everything and return when all of it is ready. Raises StackError, EmbeddedRedisError, ServersError."""
        self.log_folder.mkdir(parents=True, exist_ok=True)
        for log in self.log_folder.glob("*.log"):  # of an earlier stack, which perhaps had other processes
            log.unlink()
        try:
            self._redis.start()
            self._spawn_sink()
            self._spawn_web()
            workers = [self._spawn_worker(number) for number in range(1, self.workers + 1)]
            self._wait_until_ready("sink", "/sink/events")
            for name in ("web", *workers):
                self._wait_until_ready(name, "/readyz")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End everything; no child is left."""
        with self._lock:
            self._children.stop()
            if isinstance(self._redis, ReplicatedRedis):
                self._redis.keep_logs(self.log_folder)
            elif self._redis.is_running():
                log = self._redis.log_tail(1_000) + "\n"
                self.log_folder.joinpath("redis.log").write_text(log, "utf-8")
            self._redis.stop()

    def check(self) -> None:
        """Raise StackError when a process has ended by itself."""
        with self._lock:
            for name, code in self._children.ended().items():
                if name in self._ports:
                    raise self._failure(name, f"ended with code {code}")
            if not self._redis.is_running() and not self._is_redis_stopped:
                logs = f"All other logs are in {self.log_folder}; its log ends:\n{self._redis.log_tail()}"
                raise StackError(f"redis-server ended by itself. {logs}")

    def spawn(
        self,
        name: str,
        command: Iterable[str],
        environment: Mapping[str, str],
        *,
        is_logged: bool = False,
    ) -> Callable[[], int | None]:
        """Run a command beside the stack, with this process's output or a log. The end of the stack ends it.

        Returns a function for its exit code, which is None while it runs.
        """
        with self._lock:
            process = self._children.spawn(
                name, list(command), {**self._base(), **environment}, cwd=ROOT, is_logged=is_logged
            )
        return process.poll

    # Faults.

    def kill_worker(self, number: int) -> str:
        """Kill worker 1 … `workers` as a crash would, and start it again.

        Returns the name of the dead process, as the sink knows it; `await_worker` waits for the new one.
        """
        if not 1 <= number <= self.workers:
            raise ValueError(f"there is no worker {number}; there are {self.workers}")
        name = f"worker-{number}"
        with self._lock:
            self.usage()  # measured before the process ends
            killed = self._caller(name)
            self._children.kill(name)
            self._spawn_worker(number)
        return killed

    def await_worker(self, number: int) -> None:
        """Return when a worker is ready."""
        self._wait_until_ready(f"worker-{number}", "/readyz")

    def pause_redis(self) -> None:
        """Freeze Redis: connections stay open and nothing answers."""
        with self._lock:
            self._redis.pause()

    def resume_redis(self) -> None:
        """Undo pause_redis."""
        with self._lock:
            self._redis.resume()

    def stop_redis(self) -> None:
        """Kill Redis: connections break, and new ones are refused. Everything that it acknowledged is on its disk.

        With `appendfsync everysec`, Redis puts off its writes while it forces earlier ones to disk, so that a kill may
        lose what it acknowledged. No queue can prevent that, so the fault would prove nothing. With `no` Redis writes
        before each answer, as `flushAppendOnlyFile` in Redis's aof.c shows. Data written outlive the process. `always`
        would do it, too, but a kill would wait until the disk has ended its work.
        """
        with (
            self._lock,
            redis.Redis.from_url(self._server_url, socket_timeout=REQUEST_TIMEOUT_S, retry=None) as client,
        ):
            self.usage()  # measured before the process ends
            client.config_set("appendfsync", "no")
            self._is_redis_stopped = True
            self._redis.kill()

    def start_redis(self) -> None:
        """Start Redis on its data after stop_redis; return when it answers."""
        with self._lock:
            self._redis.start()
            self._is_redis_stopped = False

    def restart_redis(self) -> None:
        """Restart Redis on its data: stop a single server in good order, kill a primary. Return when it answers."""
        with self._lock:
            self.usage()  # measured before the process ends
            self._redis.restart()

    def ai_errors(self, seconds: float) -> None:
        """Make the AI answer 500 for some seconds; 0 ends that. Raises StackError when the sink refuses."""
        self._order("/sink/ai-errors", seconds)

    def channel_errors(self, seconds: float) -> None:
        """Make sends fail with 503 for some seconds; 0 ends that. Raises StackError when the sink refuses."""
        self._order("/sink/channel-errors", seconds)

    def _order(self, path: str, seconds: float) -> None:
        status = self._request("sink", "POST", path, json.dumps({"seconds": seconds}))
        if status != 200:
            raise StackError(f"the sink answered {path} with {status or 'nothing'}")

    # Measuring.

    def processes(self) -> dict[str, int]:
        """Return process ids by name: web, worker-1 …, sink, redis (or redis-1 …), and those spawned beside them."""
        with self._lock:
            if isinstance(self._redis, ReplicatedRedis):
                return self._children.running() | self._redis.pids()
            return self._children.running() | ({"redis": self._redis.pid} if self._redis.is_running() else {})

    def usage(self) -> Usage:
        """Return the present usage of all processes."""
        with self._lock:
            used = {}
            for name, pid in self.processes().items():
                with contextlib.suppress(psutil.Error):
                    used[name] = self._usage_of(name, pid)
        return Usage(used, self._redis_bytes(), machine_usage())

    def _usage_of(self, name: str, pid: int) -> ProcessUsage:
        cpu_s = 0.0
        memory_bytes = 0
        process = psutil.Process(pid)
        # Only a command beside the stack, such as Locust with --processes, has children.
        is_single = name in self._ports or name.startswith("redis")
        children = [] if is_single else process.children(recursive=True)
        for member in (process, *children):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = member.cpu_times()
                cpu_s += times.user + times.system
                memory_bytes += member.memory_info().rss
        spent_s = self._cpu_s.setdefault(name, {})
        spent_s[pid] = max(cpu_s, spent_s.get(pid, 0.0))  # it may have died just before it was measured
        return ProcessUsage(sum(spent_s.values()), memory_bytes)

    def _redis_bytes(self) -> int | None:
        """Ask over a new connection, since an old one may still hold the answer of a paused server."""
        try:
            with redis.Redis.from_url(
                self._server_url, socket_timeout=0.2, socket_connect_timeout=0.2, retry=None
            ) as client:
                return int(client.info("memory")["used_memory"])
        except (redis.RedisError, OSError):
            return None

    # Starting.

    def _spawn_sink(self) -> None:
        sink = self._settings.sink
        command = [sys.executable, "-m", "loadtests", "sink", "--port", str(self._ports["sink"])]
        command += ["--ai", sink.ai, "--ai-errors", str(sink.ai_errors), "--send", sink.send]
        command += ["--seed", str(sink.seed)]
        self._children.spawn("sink", command, self._base())

    def _spawn_web(self) -> None:
        use_queue = "false" if self._settings.is_legacy else "true"
        environment = {"USE_QUEUE_SYSTEM": use_queue, "HOST": HOST, "PORT": str(self._ports["web"])}
        command = [sys.executable, "-m", "queue_core", "web"]
        self._children.spawn("web", command, {**self._deployment("web"), **environment})

    def _spawn_worker(self, number: int) -> str:
        name = f"worker-{number}"
        environment = {**self._deployment(name), "HOST": HOST, "MONITOR_PORT": str(self._ports[name])}
        self._children.spawn(name, [sys.executable, "-m", "queue_core", "worker"], environment)
        return name

    def _base(self) -> dict[str, str]:
        """Return the environment of every child, without variables that could change its behaviour by chance."""
        inherited = {name: value for name, value in self._environ.items() if name in _INHERITED}
        path = os.pathsep.join(filter(None, [str(ROOT), inherited.get("PYTHONPATH", "")]))
        return {**inherited, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **self.secrets}

    def _caller(self, name: str) -> str:
        """Return the name by which the sink knows a running process: `worker-1.2` is the second process of worker 1."""
        return f"{name}.{self._starts[name]}"

    def _deployment(self, name: str) -> dict[str, str]:
        """Return the environment of a new web process or worker, and count its start."""
        self._starts[name] = self._starts.get(name, 0) + 1
        api_key = api_key_of(self._caller(name))
        return {
            "CONCURRENCY": self._environ.get("CONCURRENCY", CONCURRENCY),
            **self._base(),
            **{name: value for name, value in self._environ.items() if name.startswith("QUEUE_")},
            "REDIS_URL": self.redis_url,
            "AI": "http",
            "AI_URL": f"{self.sink}/ai",
            "EVOLUTION_URL": self.sink,
            "EVOLUTION_API_KEY": api_key,
            "CLOUD_URL": self.sink,
            "CLOUD_ACCESS_TOKEN": api_key,
            "CLOUD_MESSAGES_PER_S": "0",  # no limit, since the sink has none and the load may have any rate
            "TYPING": "false",
            "LOG_LEVEL": "warning",
            "GRACE_S": "2",  # the load is over when the stack is stopped
        }

    def _wait_until_ready(self, name: str, path: str) -> None:
        deadline = time.monotonic() + READY_S
        while self._request(name, "GET", path) != 200:
            with self._lock:
                code = self._children.ended().get(name)
            if code is not None:
                raise self._failure(name, f"ended with code {code} while starting")
            if time.monotonic() > deadline:
                problem = f"was not ready within {READY_S:g} s; if this machine is busy, try again later"
                raise self._failure(name, problem)
            time.sleep(CHECK_EVERY_S)

    def _failure(self, name: str, problem: str) -> StackError:
        tail = self._children.log_tail(name)
        ending = f"{name}.log ends:\n{tail}" if tail else f"{name}.log is empty"
        return StackError(f"{name} {problem}. All logs are in {self.log_folder}; {ending}")

    def _request(self, name: str, method: str, path: str, body: str | None = None) -> int | None:
        """Send a request and return the status of the answer, or None when none comes."""
        try:
            url = f"http://{HOST}:{self._ports[name]}{path}"
            return requests.request(method, url, data=body, timeout=REQUEST_TIMEOUT_S).status_code
        except requests.RequestException:
            return None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _claim_ports(wanted: Mapping[str, int]) -> dict[str, int]:
    """Return a free port for each server; 0 means any. Raises ListenError."""
    claimed = {}
    for name, port in wanted.items():
        try:
            claimed[name] = claim_port(port, HOST)
        except OSError as error:
            option = "--sink-port" if name == "sink" else "--port"
            raise ListenError(
                f"cannot listen on {HOST}:{port}: {cause_of(error)}; choose another {option}"
            ) from None
    return claimed
