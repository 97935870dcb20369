"""The command line from outside: help, exit codes, and errors of one line without a traceback."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from queue_core.redis_server.embedded import EmbeddedRedis
from queue_core.server.cli import main, parser
from tests.queue_core.server.operator.console import command_names

ROOT = Path(__file__).parents[3]


def run(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command as an operator types it, in an empty folder."""
    return subprocess.run(
        [sys.executable, "-m", "queue_core", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def run_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, list[str]]]]:
    """A function that runs a command in this process, and returns exit code and lines of stderr.

    For commands that end at once: `run` takes a second to start. The folder is empty, and only given settings are set.
    """
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def run_here(*arguments: str, **environment: str) -> tuple[int, list[str]]:
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            for name in os.environ:
                patch.delenv(name)
            for name, value in {"PORT": "0", **environment}.items():
                patch.setenv(name, value)
            code = main(list(arguments))
        return code, capsys.readouterr().err.splitlines()

    yield run_here
    gc.unfreeze()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    output = capsys.readouterr().out
    commands = [words[0] for words in command_names(parser()) if len(words) == 1]
    assert {"serve", "redis", "tick"} <= set(commands)
    for command in commands:
        assert f" {command}" in output
        with pytest.raises(SystemExit):
            parser().parse_args([command, "--help"])
        assert "usage: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ([], "python -m queue_core"),
        (["status", "--foo"], "python -m queue_core status"),
        (["dead", "list", "--js"], "python -m queue_core dead list"),  # not taken for --json
        (["show"], "python -m queue_core show"),
    ],
)
def test_wrong_usage_names_the_command_that_shows_the_help(
    arguments: list[str], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser().parse_args(arguments)
    assert capsys.readouterr().err.endswith(f"; see {command} --help\n")


@pytest.mark.parametrize(("command", "loops"), [("worker", 1), ("status", 0)])
def test_a_worker_runs_on_uvloop_if_it_is_installed_and_its_garbage_collection_skips_modules(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str, loops: int
) -> None:
    made: list[asyncio.AbstractEventLoop] = []

    def new_event_loop() -> asyncio.AbstractEventLoop:
        made.append(asyncio.new_event_loop())
        return made[-1]

    monkeypatch.setitem(sys.modules, "uvloop", SimpleNamespace(new_event_loop=new_event_loop))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REDIS_URL", raising=False)
    before = gc.get_freeze_count()
    main([command])  # ends at once: no Redis is named
    frozen = gc.get_freeze_count() - before
    gc.unfreeze()
    assert len(made) == loops
    assert (frozen > 0) == (loops > 0), "garbage collection skips what was imported"


def test_wrong_settings_end_serve_with_2_and_no_traceback(tmp_path: Path) -> None:
    completed = run("serve", folder=tmp_path, PORT="eighty", AI="magic", QUEUE_WINDOW="8000")
    assert completed.returncode == 2
    assert completed.stderr.splitlines() == [
        "queue_core: PORT: is not a whole number",
        "queue_core: AI: must be 'echo', 'dify', 'openai' or 'http'",
        "queue_core: warning: QUEUE_WINDOW is not a setting and has no effect; did you mean QUEUE_WINDOW_MS?",
    ]


def test_a_file_of_settings_that_is_named_must_exist(
    tmp_path: Path, run_here: Callable[..., tuple[int, list[str]]]
) -> None:
    code, errors = run_here("--env-file", "none.env", "status")
    assert code == 2
    assert errors[0].startswith("queue_core: none.env: there is no such file")
    (tmp_path / ".env").write_text("MONITOR_PORT=eighty")
    assert "MONITOR_PORT: is not" in run_here("status")[1][0], "without a name it is .env"


@pytest.mark.parametrize("command", ["web", "worker", "tick"])
@pytest.mark.parametrize(
    "environment",
    [
        {"REDIS_URL": "unix:///nowhere/redis.sock"},
        {"EVOLUTION_URL": "http://127.0.0.1:9", "EVOLUTION_API_KEY": "k" * 16},
    ],
    ids=["queue", "channel"],
)
def test_no_user_is_answered_by_an_echo_that_nobody_asked_for(
    run_here: Callable[..., tuple[int, list[str]]], command: str, environment: dict[str, str]
) -> None:
    code, (line,) = run_here(command, **environment)
    assert code == 2
    assert line.startswith("queue_core: AI: not set")
    assert "AI=echo" in line
    _, faults = run_here(command, PORT="x", OPERATOR_TOKEN="short", **environment)
    assert [fault.split(": ")[1] for fault in faults] == ["PORT", "AI", "OPERATOR_TOKEN"], "all at once"


@pytest.mark.parametrize("command", ["web", "worker", "monitor", "status", "drain", "tick"])
def test_without_a_redis_each_command_says_what_to_do(
    run_here: Callable[..., tuple[int, list[str]]], command: str
) -> None:
    code, (line,) = run_here(command)  # no traceback, and nothing said twice
    assert code == 2
    assert "set REDIS_URL" in line


def test_a_redis_that_is_away_ends_a_command_with_1(tmp_path: Path) -> None:
    address = "redis://127.0.0.1:9/0"
    completed = run("tick", folder=tmp_path, REDIS_URL=address, AI="echo", QUEUE_REDIS_DEADLINE_MS="300")
    assert completed.returncode == 1
    assert "Redis" in completed.stderr
    assert "Traceback" not in completed.stderr


def test_a_port_in_use_is_reported(tmp_path: Path, redis_server: EmbeddedRedis) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        completed = run("serve", "--port", port, folder=tmp_path, REDIS_URL=redis_server.url)
    assert completed.returncode == 2
    assert completed.stderr == (
        f"queue_core: cannot listen on 127.0.0.1:{port}: address already in use; "
        "choose another HOST or PORT (--host, --port)\n"
    )


def test_a_port_in_use_ends_serve_before_it_starts_a_redis(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        completed = run("serve", "--port", str(taken.getsockname()[1]), folder=tmp_path)
    assert completed.returncode == 2
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("host", "cause"),
    [("host.invalid", "no such address"), ("a..b", "no such address"), ("192.0.2.1", "cannot assign")],
)
def test_an_address_that_is_not_of_this_machine_is_reported(
    tmp_path: Path, redis_server: EmbeddedRedis, host: str, cause: str
) -> None:
    given = {"HOST": host, "MONITOR_PORT": "8099", "AI": "echo", "ALLOW_UNSIGNED_WEBHOOKS": "true"}
    completed = run("worker", folder=tmp_path, REDIS_URL=redis_server.url, **given)
    assert completed.returncode == 2
    last = completed.stderr.splitlines()[-1]
    assert last.startswith(f"queue_core: cannot listen on {host}:8099: ")
    assert cause in last
    assert last.endswith("; choose another HOST or MONITOR_PORT")


def test_a_tick_makes_one_pass(tmp_path: Path, redis_server: EmbeddedRedis) -> None:
    completed = run("tick", folder=tmp_path, REDIS_URL=redis_server.url, AI="echo")
    assert (completed.returncode, json.loads(completed.stdout)["conversations"]) == (0, 0)


def test_check_fails_on_an_evicting_redis(tmp_path: Path) -> None:
    config = {"maxmemory": "10mb", "maxmemory-policy": "allkeys-lru"}
    with EmbeddedRedis(append_only=True, config=config) as server:
        completed = run("check", folder=tmp_path, REDIS_URL=server.url)
    assert completed.returncode == 1
    assert "noeviction" in completed.stdout


def test_check_passes_on_an_embedded_redis(tmp_path: Path) -> None:
    assert run("check", folder=tmp_path).returncode == 2
    completed = run("check", "--embedded", folder=tmp_path)
    assert completed.returncode == 0, completed.stdout + completed.stderr
