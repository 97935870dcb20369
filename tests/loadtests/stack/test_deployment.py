"""The real stack: a message goes through it, its parts fail and come back, and it leaves no process behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from loadtests.sink.server import ListenError
from loadtests.stack.deployment import Stack, StackError, StackSettings
from tests.loadtests.real_stack import ENVIRON, SETTINGS, family
from tests.queue_core.server.outside import evolution

ROOT = Path(__file__).parents[3]
PATIENCE_S = 40.0


def post(stack: Stack, message_id: str, secret: str) -> int:
    """Post a webhook with one message and return the status."""
    request = urllib.request.Request(
        f"{stack.host}/webhook/evolution",
        json.dumps(evolution(message_id)).encode(),
        {"Content-Type": "application/json", "apikey": secret},
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def events(stack: Stack) -> list[dict[str, Any]]:
    """Return the events of the sink."""
    with urllib.request.urlopen(f"{stack.sink}/sink/events", timeout=PATIENCE_S) as response:
        return [json.loads(line) for line in response]


def sent_ids(stack: Stack) -> list[str]:
    """Return the ids of messages whose reply reached the sink."""
    return [sent for event in events(stack) if event["event"] == "sent" for sent in event["ids"]]


def callers(stack: Stack, message_id: str) -> set[str]:
    """Return the processes that sent the replies to a message."""
    return {
        event["caller"] for event in events(stack) if event["event"] == "sent" and message_id in event["ids"]
    }


def eventually(condition: Callable[[], bool], description: str) -> None:
    """Wait until the condition holds; fail after PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S:g} s: {description}"
        time.sleep(0.02)


def alive(pids: set[int]) -> set[int]:
    """Return the processes that run; a zombie does not."""
    running = set()
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                running.add(pid)
        except psutil.NoSuchProcess:
            pass
    return running


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(SETTINGS, ENVIRON, tmp_path / "logs") as started:
        yield started


def test_a_message_goes_through_parts_fail_and_come_back_and_nothing_is_left(tmp_path: Path) -> None:
    before = family(os.getpid())
    with Stack(SETTINGS, ENVIRON, tmp_path / "logs") as stack:
        started = family(os.getpid()) - before
        secret = stack.secrets["EVOLUTION_WEBHOOK_SECRET"]
        assert set(stack.processes()) == {"web", "worker-1", "sink", "redis"}
        assert set(stack.processes().values()) <= started

        assert post(stack, "unsigned", "wrong") == 401
        assert post(stack, "first", secret) == 200
        eventually(lambda: "first" in sent_ids(stack), "the first reply")

        killed = stack.processes()["worker-1"]
        assert stack.kill_worker(1) == "worker-1.1"
        stack.await_worker(1)
        started |= family(os.getpid()) - before
        assert not alive({killed})
        assert post(stack, "after the kill", secret) == 200
        eventually(lambda: "after the kill" in sent_ids(stack), "a reply by the new worker")
        assert callers(stack, "first") | callers(stack, "after the kill") == {"worker-1.1", "worker-1.2"}

        stack.pause_redis()
        frozen = psutil.Process(stack.processes()["redis"])
        eventually(lambda: frozen.status() == psutil.STATUS_STOPPED, "Redis stands still")
        assert stack.usage().redis_bytes is None
        stack.resume_redis()
        assert stack.usage().redis_bytes

        old = stack.processes()["redis"]
        stack.restart_redis()
        started |= family(os.getpid()) - before
        assert stack.processes()["redis"] != old
        assert post(stack, "after the restart", secret) == 200
        eventually(lambda: "after the restart" in sent_ids(stack), "a reply after the restart")

        stack.ai_errors(60)
        assert post(stack, "during errors", secret) == 200
        eventually(lambda: "ai-error" in [event["event"] for event in events(stack)], "a failure of the AI")
        stack.ai_errors(0)
        eventually(lambda: "during errors" in sent_ids(stack), "a reply after the errors")

        stack.channel_errors(60)
        assert post(stack, "while sends fail", secret) == 200
        eventually(lambda: "send-error" in [event["event"] for event in events(stack)], "a failed send")
        stack.channel_errors(0)
        eventually(lambda: "while sends fail" in sent_ids(stack), "a reply after the failed sends")

        used = stack.usage()
        assert set(used.processes) == {"web", "worker-1", "sink", "redis"}
        assert all(process.memory_bytes > 1_000_000 for process in used.processes.values())
        assert used.processes["web"].cpu_s > 0.1
        # A worker that is killed after a reply, before it is recorded, leads to a second reply.
        repeated = Counter(sent_ids(stack)) - Counter(
            ["first", "after the kill", "after the restart", "during errors", "while sends fail"]
        )
        assert set(repeated) <= {"first"}
        stack.check()
    assert not alive(started)
    assert family(os.getpid()) == before


def test_redis_is_away_and_comes_back_with_everything_that_it_acknowledged(stack: Stack) -> None:
    with redis.Redis.from_url(stack.redis_url, retry=None) as client:
        client.set("before", "1")
        stack.stop_redis()
        with pytest.raises(redis.ConnectionError, match="refused"):
            client.ping()
        stack.check()
        assert "redis" not in stack.processes()
        assert stack.usage().redis_bytes is None
        assert post(stack, "meanwhile", stack.secrets["EVOLUTION_WEBHOOK_SECRET"]) == 200
        assert callers(stack, "meanwhile") == {"web.1"}
        stack.start_redis()
        assert client.get("before") == b"1"
        assert client.config_get("appendfsync") == {"appendfsync": "everysec"}
        assert stack.usage().redis_bytes
        os.kill(stack.processes()["redis"], signal.SIGKILL)
        eventually(lambda: "redis" not in stack.processes(), "Redis has ended")
    with pytest.raises(StackError, match="redis-server ended by itself") as raised:
        stack.check()
    assert str(stack.log_folder) in str(raised.value)


def test_redis_writes_before_it_answers_while_it_is_killed(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `everysec` a killed Redis may lose what it acknowledged in its last second."""
    policies: list[Any] = []

    def kill() -> None:
        with redis.Redis.from_url(stack.redis_url) as client:
            policies.append(client.config_get("appendfsync"))

    monkeypatch.setattr(stack._redis, "kill", kill)
    stack.stop_redis()
    assert policies == [{"appendfsync": "no"}]


def test_a_part_that_ends_by_itself_is_named_with_its_log(stack: Stack) -> None:
    stack.check()
    web = psutil.Process(stack.processes()["web"])
    web.kill()
    eventually(lambda: "web" not in stack.processes(), "the web process has ended")
    with pytest.raises(StackError, match=r"web ended with code -9.*logs"):
        stack.check()


def test_a_stack_that_does_not_start_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    before = family(os.getpid())
    environ = {**ENVIRON, "QUEUE_WINDOW_MS": "soon"}
    with pytest.raises(StackError, match=r"(?s)ended with code 2 while starting.*QUEUE_WINDOW_MS"):
        Stack(SETTINGS, environ, tmp_path / "logs").start()
    assert family(os.getpid()) == before
    assert "QUEUE_WINDOW_MS" in (tmp_path / "logs" / "web.log").read_text()


def test_a_port_that_is_taken_is_named_with_the_option_that_chooses_another(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ListenError) as raised:
            Stack(StackSettings(port=port, sink_port=0), ENVIRON, tmp_path)
    assert str(raised.value) == (
        f"cannot listen on 127.0.0.1:{port}: address already in use; choose another --port"
    )


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_command_leaves_no_process_behind_however_it_ends(how: signal.Signals, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "loadtests", "stack", "--port", "0", "--sink-port", "0", "--workers", "2"],
        stdout=subprocess.PIPE,
        env={**ENVIRON, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        cwd=ROOT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            shown = dict(process.stdout.readline().split(maxsplit=1) for _ in range(5))
            with redis.Redis.from_url(shown["redis"].strip()) as client:
                assert client.config_get("maxmemory") == {"maxmemory": str(50 * 1024 * 1024)}
                assert client.config_get("appendfsync") == {"appendfsync": "everysec"}
            children = family(process.pid)
            assert len(children) >= 5
            process.send_signal(how)
            code = process.wait(PATIENCE_S)
        finally:
            process.kill()
    eventually(lambda: not alive(children), "all children have ended")
    assert code == (0 if how == signal.SIGTERM else -9)
    if how == signal.SIGTERM:
        assert list(tmp_path.iterdir()) == []


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["cluster", "sentinel"])
def test_a_stack_on_several_servers_survives_the_death_of_a_primary(kind: str, tmp_path: Path) -> None:
    settings = StackSettings(port=0, sink_port=0, redis=kind)
    with Stack(settings, os.environ, tmp_path) as stack:
        assert stack.redis_url.startswith(f"redis+{kind}://")
        servers = {name for name in stack.processes() if name.startswith("redis")}
        assert servers == {f"redis-{number}" for number in range(1, 7 if kind == "cluster" else 4)}
        before = stack.usage().processes
        stack.stop_redis()
        stack.check()
        stack.start_redis()
        after = stack.usage().processes
        assert all(after[name].cpu_s >= before[name].cpu_s for name in servers), (
            "the time of the dead one counts"
        )
        stack.pause_redis()
        stack.resume_redis()
        stack.await_worker(1)
        assert stack.usage().redis_bytes
