"""`python -m queue_core redis`: a server in the foreground, for a bot of one's own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import redis

ROOT = Path(__file__).parents[3]
COMMAND = (sys.executable, "-m", "queue_core")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def run(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder until it ends."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env={**ENVIRONMENT, **settings},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_prints_its_address_keeps_its_data_and_ends_with_a_signal(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    for value in (None, b"kept"):
        with subprocess.Popen(
            [*COMMAND, "redis", "--port", "0"],
            cwd=tmp_path,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            name, _, url = line.strip().partition("=")
            assert name == "REDIS_URL"
            with redis.Redis.from_url(url) as client:
                assert client.get("a") == value
                client.set("a", "kept")
                assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            process.send_signal(number)
            assert process.wait(20) == code
    assert (tmp_path / "data").is_dir()


@pytest.mark.parametrize(("settings", "folder"), [({}, "data"), ({"DATA_DIR": "mine"}, "mine")])
def test_other_commands_find_it_by_the_folder_of_its_data(
    tmp_path: Path, settings: dict[str, str], folder: str
) -> None:
    environment = {**ENVIRONMENT, **settings}

    with subprocess.Popen(
        [*COMMAND, "redis", "--port", "0"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        while_running = run(tmp_path, "status", **settings)
        process.send_signal(signal.SIGTERM)
    assert (while_running.returncode, while_running.stderr) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == [folder]
    afterwards = run(tmp_path, "status", **settings)
    assert afterwards.returncode == 2
    assert "neither `python -m queue_core serve` nor `python -m queue_core redis` runs" in afterwards.stderr


def test_a_file_with_settings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "settings").write_text("DATA_DIR=mine\n")
    ended = run(tmp_path, "--env-file", "settings", "redis")
    assert ended.returncode == 2
    assert "the command redis reads no file with settings" in ended.stderr


def test_what_keeps_it_from_starting_is_said_in_a_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run(tmp_path, "redis", "--port", port)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"queue_core: port {port} cannot be used")
    (tmp_path / "file").touch()
    ended = run(tmp_path, "redis", "--port", "0", "--data-dir", "file/data")
    assert ended.returncode == 1
    assert ended.stderr.startswith("queue_core: ")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("port", ["x", "65536", "-1"])
def test_a_wrong_port_is_wrong_usage(tmp_path: Path, port: str) -> None:
    ended = run(tmp_path, "redis", f"--port={port}")
    assert ended.returncode == 2
    assert "is not a port" in ended.stderr
