"""A real `redis-server` run as a child process: for `serve`, for `redis`, for tests and benchmarks.

The server listens on a unix socket or on loopback only, never evicts data, and does not outlive the process that
started it.

How it dies with its parent: a shell of a few lines waits at the end of a pipe that this process holds open. When this
process ends, by whatever means, the system closes the pipe and the shell stops the server. Linux could do the same by
`prctl(PR_SET_PDEATHSIG)`, but that needs a `preexec_fn`, which may deadlock once there are threads, and it fires when
the *thread* that started the server ends, so a server started by `asyncio.to_thread` would die at random.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, Self

from queue_core.redis_server.binaries import EmbeddedRedisError, RedisBinary, choose_redis_server
from queue_core.redis_server.ports import claim_port
from queue_core.redis_server.torn import cut_torn_end

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LOG_NAME = "redis-server.log"
LOG_LINES_SHOWN = 15
TORN_FILE_WORDS = b"Unexpected end of file"
"""Words in the log of a server that refused to start because its append-only file ends within a command."""

LOCK_NAME = "redis-server.lock"
LOCK_WAIT_S = 1.0  # a server that was just killed may still have a child that writes its append-only file
PING_INTERVAL_S = 0.01
PING_TIMEOUT_S = 1.0
STOP_TIMEOUT_S = 10.0

# $1: the server's process id; $2: the temporary folder. SIGCONT: a paused server would never act on the SIGTERM.
_WATCHDOG = """
read -r _
kill -CONT "$1"
kill -TERM "$1"
for _ in 1 2 3 4 5; do kill -0 "$1" || break; sleep 1; done
kill -KILL "$1"
rm -rf -- "$2"
"""


class EmbeddedRedis:
    """One redis-server as a child process: start, stop, and the failures that tests need.

    All methods block: `start` for about 10 ms, `stop` until the server has written its data. In asyncio code use
    `async with`, which runs them in a thread. Data live in `data_dir`, or in a temporary folder that `stop` removes;
    `kill` and `restart` keep it. A folder is used by one server at a time.

    Args:
        data_dir: Folder for data and log; made when missing. None: temporary.
        server: Program to run; see choose_redis_server.
        port: TCP port on 127.0.0.1; 0 picks a free one, which is kept over restarts. None: a unix socket, no TCP.
        append_only: Keep an append-only file, so that data survive a restart.
        append_fsync: How often that file is forced to disk; "always" before each answer.
        config: More directives of redis.conf, which win over those chosen here.
        config_file: File of more directives; all others win over them. A sentinel needs one, and writes into it.
        start_timeout_s: Longest wait for the server to answer. While it loads its data, the wait begins again.
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str] | None = None,
        *,
        server: str | os.PathLike[str] | None = None,
        port: int | None = None,
        append_only: bool = False,
        append_fsync: Literal["always", "everysec", "no"] = "everysec",
        config: Mapping[str, str] | None = None,
        config_file: str | os.PathLike[str] | None = None,
        start_timeout_s: float = 10.0,
    ) -> None:
        self._server = server
        self._data_dir = None if data_dir is None else Path(data_dir).absolute()
        self._port = port
        self._options = {
            "save": "",
            "appendonly": "yes" if append_only else "no",
            "appendfsync": append_fsync,
            "aof-load-truncated": "no",  # see torn.py
            "maxmemory-policy": "noeviction",
            "bind": "127.0.0.1",
            "protected-mode": "yes",
            **(config or {}),
        }
        self._config_file = config_file
        self._start_timeout_s = start_timeout_s
        self._binary: RedisBinary | None = None
        self._temporary: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    @property
    def binary(self) -> RedisBinary:
        """Program and version. Raises EmbeddedRedisError before the first start."""
        if self._binary is None:
            raise EmbeddedRedisError("the server has not been started: its program is chosen at the start")
        return self._binary

    @property
    def data_dir(self) -> Path:
        """Folder of data and log. Raises EmbeddedRedisError before the first start if it is a temporary one."""
        folder = self._data_dir or self._temporary
        if folder is None:
            raise EmbeddedRedisError(
                "the server has not been started: its temporary folder does not exist yet"
            )
        return folder

    @property
    def url(self) -> str:
        """Address for redis-py's `from_url`. Raises EmbeddedRedisError before the first start."""
        if self._temporary is None:
            raise EmbeddedRedisError("the server has not been started: it has no address yet")
        return f"unix://{self._socket_path}" if self._port is None else f"redis://127.0.0.1:{self._port}/0"

    @property
    def pid(self) -> int:
        """Process id of the server. Raises EmbeddedRedisError when it does not run."""
        if self._process is None or self._process.poll() is not None:
            raise EmbeddedRedisError("the server is not running")
        return self._process.pid

    def is_running(self) -> bool:
        """Return True while the process is alive, paused or not."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server and return when it answers. Does nothing when it runs.

        Raises EmbeddedRedisError when there is no server to run, the data folder is in use, or the server is silent.
        """
        if self.is_running():
            return
        self._binary = choose_redis_server(self._server)
        is_first_start = self._temporary is None
        if is_first_start:  # it holds the socket too, whose path may have about 100 characters
            self._temporary = Path(tempfile.mkdtemp(prefix="burstqueue-"))
        try:
            self._prepare()
            self._run(self._binary.path)
        except BaseException:
            self._end_process(signal.SIGKILL)
            if is_first_start:
                self._remove_temporary_folder()
            raise

    def stop(self) -> None:
        """End the server after it has written its data; kills it after 10 s. Removes a temporary folder."""
        self._end_process(signal.SIGTERM)
        self._remove_temporary_folder()

    def kill(self) -> None:
        """End the server at once, as a crash would (SIGKILL). What it had on disk stays."""
        self._end_process(signal.SIGKILL)

    def restart(self) -> None:
        """Stop the server if it runs, and start it again with the same address and data folder."""
        self._end_process(signal.SIGTERM)
        self.start()

    def pause(self) -> None:
        """Freeze the server: connections stay open and nothing answers, as on a stalled machine (SIGSTOP)."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`; the server then carries out what clients sent meanwhile (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def log_tail(self, lines: int = LOG_LINES_SHOWN) -> str:
        """Return the last lines of the server's log."""
        try:
            text = (self.data_dir / LOG_NAME).read_text("utf-8", "replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.stop)

    @property
    def _socket_path(self) -> Path:
        assert self._temporary is not None
        return self._temporary / "redis.sock"

    def _prepare(self) -> None:
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            (self.data_dir / LOG_NAME).open("ab").close()
        except OSError as error:
            raise EmbeddedRedisError(
                f"{self.data_dir} cannot be a folder of data ({(error.strerror or str(error)).lower()}): choose another"
            ) from None
        if self._port is not None:
            try:
                self._port = claim_port(self._port)
            except OSError as error:
                reason = error.strerror or error
                raise EmbeddedRedisError(
                    f"port {self._port} cannot be used: {reason}; choose another (--port)"
                ) from error

    def _run(self, program: Path) -> None:
        """Start the server; where a crash has torn the end of its file, cut that off and start it once more."""
        log = self.data_dir / LOG_NAME
        log_size = log.stat().st_size
        try:
            self._launch(program)
            self._wait_until_ready()
        except EmbeddedRedisError:
            has_ended = self._process is not None and self._process.poll() is not None
            if not (has_ended and TORN_FILE_WORDS in _read_from(log, log_size)):
                raise
            self._end_process(signal.SIGKILL)
            with _lock(self.data_dir), log.open("a", encoding="utf-8") as opened:
                cut_torn_end(program, self._append_only_file(), log=opened.write)
            self._launch(program)
            self._wait_until_ready()

    def _append_only_file(self) -> Path:
        """Return the append-only file, or the manifest that lists its parts since Redis 7.0."""
        name = self._options.get("appendfilename", "appendonly.aof")
        manifest = self.data_dir / self._options.get("appenddirname", "appendonlydir") / f"{name}.manifest"
        return manifest if manifest.exists() else self.data_dir / name

    def _launch(self, program: Path) -> None:
        options = {"port": str(self._port or 0), **self._options, "dir": str(self.data_dir)}
        if self._port is None:
            options |= {"unixsocket": str(self._socket_path), "unixsocketperm": "700"}
        command = [str(program)] + ([os.fspath(self._config_file)] if self._config_file else [])
        for name, value in options.items():
            command += [f"--{name}", value]
        # A separate session: Ctrl-C must not end the server before the program that uses it.
        with _lock(self.data_dir) as lock, (self.data_dir / LOG_NAME).open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the program was found by us or named by the caller
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.data_dir,
                env={
                    **os.environ,
                    "LC_ALL": "C",
                },  # Redis 7 refuses to start in a locale that is not installed
                pass_fds=(lock.fileno(),),  # the server holds the lock for as long as it lives
                start_new_session=True,
            )
        self._watchdog = subprocess.Popen(  # noqa: S603 - a constant script
            ["/bin/sh", "-c", _WATCHDOG, "redis-watchdog", str(self._process.pid), str(self._temporary)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _wait_until_ready(self) -> None:
        process = self._process
        assert process is not None
        deadline = time.monotonic() + self._start_timeout_s
        while (answer := self._ping()) != "+PONG":
            if process.poll() is not None:
                raise EmbeddedRedisError(
                    self._failure(f"ended with code {process.returncode} while starting")
                )
            if answer.startswith("-LOADING"):
                deadline = time.monotonic() + self._start_timeout_s
            elif answer:  # such as -NOAUTH: it is up; the caller must log in
                return
            elif time.monotonic() > deadline:
                raise EmbeddedRedisError(self._failure(f"did not answer within {self._start_timeout_s:g} s"))
            time.sleep(PING_INTERVAL_S)

    def _failure(self, event: str) -> str:
        return f"redis-server {event}. Its log ends:\n{self.log_tail() or '(it is empty)'}"

    def _ping(self) -> str:
        """Return the first line of the answer to PING, or "" if none came yet."""
        with (
            contextlib.suppress(OSError),
            self._connect() as connection,
            connection.makefile("rb") as answers,
        ):
            connection.sendall(b"PING\r\n")
            return answers.readline().decode("utf-8", "replace").strip()
        return ""

    def _connect(self) -> socket.socket:
        if self._port is not None:
            return socket.create_connection(("127.0.0.1", self._port), timeout=PING_TIMEOUT_S)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PING_TIMEOUT_S)
        try:
            connection.connect(str(self._socket_path))
        except OSError:
            connection.close()
            raise
        return connection

    def _end_process(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.send_signal(signal.SIGCONT)  # a paused server does not act on SIGTERM
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        watchdog, self._watchdog = self._watchdog, None
        if watchdog is not None:
            watchdog.kill()
            watchdog.communicate()

    def _remove_temporary_folder(self) -> None:
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None


def _read_from(file: Path, start: int) -> bytes:
    with file.open("rb") as opened:
        opened.seek(start)
        return opened.read()


@contextlib.contextmanager
def _lock(data_dir: Path) -> Iterator[IO[bytes]]:
    """Lock a data folder: two servers that wrote one append-only file would destroy it."""
    with (data_dir / LOCK_NAME).open("ab") as lock:
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise EmbeddedRedisError(
                        f"{data_dir} is in use by another redis-server: stop that one, or choose another folder "
                        "(--data-dir or DATA_DIR)"
                    ) from None
                time.sleep(PING_INTERVAL_S)
        yield lock
