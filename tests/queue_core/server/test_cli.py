"""The command line from outside: help, exit codes, and errors in a line without a traceback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from queue_core.redis_server.embedded import EmbeddedRedis
from queue_core.server.cli import main, parser

ROOT = Path(__file__).parents[3]


def run(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """As somebody types it, in an empty folder."""
    return subprocess.run(
        [sys.executable, "-m", "queue_core", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    for command in (
        "serve",
        "web",
        "worker",
        "monitor",
        "check",
        "status",
        "show",
        "dead",
        "drain",
        "tick",
        "send-test",
    ):
        assert command in told
        with pytest.raises(SystemExit):
            parser().parse_args([command, "--help"])
        assert "usage: " in capsys.readouterr().out


def test_wrong_settings_end_it_with_2_and_no_traceback(tmp_path: Path) -> None:
    ended = run("serve", folder=tmp_path, PORT="eighty", AI="magic")
    assert ended.returncode == 2
    assert [line.split(":")[:2] for line in ended.stderr.splitlines()] == [
        ["error", " PORT"],
        ["error", " AI"],
    ]


def test_without_a_redis_the_parts_say_what_to_do(tmp_path: Path) -> None:
    for command in ("web", "worker", "monitor", "status", "tick"):
        ended = run(command, folder=tmp_path)
        assert ended.returncode == 2, command
        assert "set REDIS_URL" in ended.stderr
        assert "Traceback" not in ended.stderr


def test_a_redis_that_is_away_ends_a_command_with_1(tmp_path: Path) -> None:
    ended = run("tick", folder=tmp_path, REDIS_URL="redis://127.0.0.1:9/0", QUEUE_REDIS_DEADLINE_MS="300")
    assert ended.returncode == 1
    assert "Redis" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_port_in_use_is_told(tmp_path: Path, redis_server: EmbeddedRedis) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run("serve", "--port", port, folder=tmp_path, REDIS_URL=redis_server.url)
    assert ended.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_tick_makes_one_pass(tmp_path: Path, redis_server: EmbeddedRedis) -> None:
    ended = run("tick", folder=tmp_path, REDIS_URL=redis_server.url)
    assert (ended.returncode, json.loads(ended.stdout)["conversations"]) == (0, 0)


def test_check_fails_on_an_evicting_redis(tmp_path: Path) -> None:
    config = {"maxmemory": "10mb", "maxmemory-policy": "allkeys-lru"}
    with EmbeddedRedis(append_only=True, config=config) as server:
        ended = run("check", folder=tmp_path, REDIS_URL=server.url)
    assert ended.returncode == 1
    assert "noeviction" in ended.stdout


def test_check_passes_on_the_embedded_one(tmp_path: Path) -> None:
    ended = run("check", folder=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "aiohttp.py").write_text("raise ModuleNotFoundError(name='aiohttp')")
    ended = run("serve", folder=tmp_path, PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert ended.returncode == 2
    assert "burstqueue[server]" in ended.stderr
