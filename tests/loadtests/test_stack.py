"""The real stack: a message goes through it, its parts fail and come back, and it leaves no process behind."""

from __future__ import annotations

import contextlib
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

from loadtests import _run
from loadtests._chaos import parse_plan
from loadtests._commands import main
from loadtests._run import LoadRun, UsageLog, carry_out
from loadtests._sink import SinkSettings
from loadtests._stack import ProcessUsage, Stack, StackError, StackSettings, Usage
from tests.queue_core.server.outside import evolution

ROOT = Path(__file__).parents[2]
PATIENCE_S = 40.0
SETTINGS = StackSettings(port=0, sink_port=0, sink=SinkSettings(ai="constant:10ms"))
ENVIRON = {
    **{name: os.environ[name] for name in ("PATH", "HOME", "LANG", "REDIS_SERVER") if name in os.environ},
    "QUEUE_WINDOW_MS": "300",
    "QUEUE_LOCK_TTL_MS": "1000",
    "QUEUE_LOCK_RENEW_MS": "200",
}


def post(stack: Stack, message_id: str, secret: str) -> int:
    """Status of the answer to a webhook with one message."""
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
    """What the sink saw."""
    with urllib.request.urlopen(f"{stack.sink}/sink/events", timeout=PATIENCE_S) as response:
        return [json.loads(line) for line in response]


def sent_ids(stack: Stack) -> list[str]:
    """Ids whose reply reached the sink."""
    return [one for event in events(stack) if event["event"] == "sent" for one in event["ids"]]


def eventually(is_so: Callable[[], bool], what: str) -> None:
    """Fails when it does not become so; nothing tells us when it does, so it is asked again and again."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S:g} s: {what}"
        time.sleep(0.02)


def alive(pids: set[int]) -> set[int]:
    """Those that run; a zombie does not."""
    found = set()
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.add(pid)
        except psutil.NoSuchProcess:
            pass
    return found


def family(pid: int) -> set[int]:
    """Everything that a process has started, directly or not, but for the browser of other tests."""
    found: set[int] = set()
    for child in psutil.Process(pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie is one too
            if any("playwright" in word for word in child.cmdline()):
                continue
        found.add(child.pid)
        with contextlib.suppress(psutil.NoSuchProcess):
            found |= {one.pid for one in child.children(recursive=True)}
    return found


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
        stack.kill_worker(1)
        started |= family(os.getpid()) - before
        assert not alive({killed})
        assert post(stack, "after the kill", secret) == 200
        eventually(lambda: "after the kill" in sent_ids(stack), "a reply by the new worker")

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

        used = stack.usage()
        assert set(used.processes) == {"web", "worker-1", "sink", "redis"}
        assert all(one.memory_bytes > 1_000_000 for one in used.processes.values())
        assert used.processes["web"].cpu_s > 0.1
        # The worker may be killed between a reply and its note of it; that reply is then sent again.
        repeated = Counter(sent_ids(stack)) - Counter(
            ["first", "after the kill", "after the restart", "during errors"]
        )
        assert set(repeated) <= {"first"}
        stack.check()
    assert not alive(started)
    assert family(os.getpid()) == before


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


def test_a_port_that_is_taken_is_told_and_nobody_elses_server_is_taken_for_ours() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        settings = StackSettings(port=other.getsockname()[1], sink_port=0)
        with pytest.raises(StackError, match="cannot be used"):
            Stack(settings, ENVIRON).start()


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


GENERATOR = """
import json, pathlib, sys, time
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
out = pathlib.Path(options["--out"])
(out / "started").write_text(str(time.time()))
faults = out / "faults.json"
deadline = time.monotonic() + 40
while len(json.loads(faults.read_text())) < int(options["--faults"]) or time.monotonic() < deadline - 37:
    assert time.monotonic() < deadline, "the faults do not come"
    time.sleep(0.05)
seconds = [{"t_s": at, "cpu": None, "redis_bytes": None} for at in range(3)]
result = {"timeline": seconds, "faults": [], "settings": {"rate": "9"}, "system": {}, "command": "locust"}
(out / "result.json").write_text(json.dumps(result))
(out / "addresses.json").write_text(json.dumps(options))
sys.exit(int(options["--exit"]))
"""
"""Plays Locust: starts a load, waits for the faults and 3 s, and leaves a result."""


def load_run(out: Path, plan: str, *options: str) -> LoadRun:
    return LoadRun(
        stack=SETTINGS,
        plan=parse_plan(plan) if plan else (),
        out=out,
        locust=(sys.executable, "-c", GENERATOR),
        locust_options=options,
        command="python -m loadtests run",
        settings={"workers": "1"},
    )


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Folders of which a report would have been written; reports have tests of their own."""
    folders: list[Path] = []
    monkeypatch.setattr(_run, "_report", folders.append)
    return folders


def test_a_run_carries_out_the_plan_and_completes_the_result(tmp_path: Path, reported: list[Path]) -> None:
    tmp_path.joinpath("started").write_text("1")  # of an earlier run, as is this:
    tmp_path.joinpath("logs").mkdir()
    tmp_path.joinpath("logs", "web.log").write_text("from before")
    plan = "kill-worker@200ms,pause-redis@300ms:300ms,ai-errors@0s:200ms"
    before = family(os.getpid())
    code = carry_out(load_run(tmp_path, plan, "--faults", "3", "--exit", "0"), ENVIRON)
    result = json.loads((tmp_path / "result.json").read_text())
    assert code == 0
    assert {fault["name"] for fault in result["faults"]} == {"kill-worker", "pause-redis", "ai-errors"}
    starts = {fault["name"]: fault["start_s"] for fault in result["faults"]}
    assert 0.3 <= starts["pause-redis"] < 2
    assert all(fault["end_s"] > fault["start_s"] for fault in result["faults"])
    assert result["settings"] == {"rate": "9", "workers": "1"}
    assert result["command"] == "python -m loadtests run"
    assert result["system"]["redis"]
    cpu = [second["cpu"] for second in result["timeline"] if second["cpu"]]
    assert cpu
    assert {"web", "sink", "redis", "locust"} <= set(cpu[-1])
    assert reported == [tmp_path]
    assert "from before" not in (tmp_path / "logs" / "web.log").read_text()
    assert family(os.getpid()) == before


def test_a_run_ends_with_the_generators_code_unless_a_fault_did_not_take_place(
    tmp_path: Path, reported: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert carry_out(load_run(tmp_path / "a", "", "--faults", "0", "--exit", "1"), ENVIRON) == 1
    late = load_run(tmp_path / "b", "kill-worker@1h", "--faults", "0", "--exit", "0")
    assert carry_out(late, ENVIRON) == 3
    assert "never took place, the load was over before: kill-worker@3600s" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--chaos", "unplug@3s"], "known are kill-worker"),
        (["run", "--chaos", "kill-worker@60s", "--duration", "60s"], "after the end of the load"),
        (["run", "--duration", "60"], "is no duration"),
        (["run", "--rate", "nan"], "outside"),
        (["stack", "--workers", "0"], "no whole number"),
        (["stack", "--redis-memory", "lots"], "no size"),
        (["sink", "--ai", "soon"], "no service time"),
        (["sink", "--ai-errors", "2"], "outside 0 to 1"),
        (["stack", "--", "-u", "3"], "only `run`"),
    ],
)
def test_options_that_cannot_be_used_are_told(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: Any = main(arguments)
    except SystemExit as left:
        code = left.code
    assert code == 2
    assert words in capsys.readouterr().err


def test_the_usage_log_is_complete_json_after_each_sample(tmp_path: Path) -> None:
    path = tmp_path / "usage.json"

    def read() -> Any:
        return json.loads(path.read_text())

    with UsageLog(path) as log:
        assert read() == []
        assert not log.is_due(-0.5)
        assert log.is_due(0.0)
        log.add(0.0, Usage({"web": ProcessUsage(1.0, 100)}, 7))
        assert not log.is_due(0.9)
        log.add(2.0, Usage({"web": ProcessUsage(2.0, 200), "new": ProcessUsage(5.0, 1)}, None))
        first = {"t_s": 2.0, "cpu": {"web": 0.5}, "memory_bytes": {"web": 200, "new": 1}, "redis_bytes": None}
        assert read() == [first]
        log.add(3.0, Usage({"web": ProcessUsage(2.0, 200)}, 7))
        assert [sample["t_s"] for sample in read()] == [2.0, 3.0]
