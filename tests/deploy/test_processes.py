"""Image, compose file and units: what runs, how long it may take to stop, and the Redis that it gets."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from queue_core.redis_server.embedded import EmbeddedRedis
from queue_core.server import cli
from queue_core.server.config import ServerSettings, load
from queue_core.server.processes import ALL_ROLES, END_S
from tests.docs.documents import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]
UNITS = "".join(
    path.read_text("utf-8") for path in sorted((DEPLOY / "systemd").rglob("*.*")) if path.is_file()
)
DEFAULTS_OF_REDIS = {
    "appendonly": "no",
    "appendfsync": "everysec",
    "aof-load-truncated": "yes",
    "maxmemory": "0",
}


def test_the_compose_file_and_the_units_run_every_process() -> None:
    assert [COMPOSE[role]["command"] for role in ALL_ROLES] == [[role] for role in ALL_ROLES]
    assert sorted(re.findall(r"^ExecStart=.* -m queue_core (\w+)$", UNITS, re.MULTILINE)) == sorted(ALL_ROLES)


def test_the_commands_know_the_file_of_dead_letters() -> None:
    """`forget` names it. Commands read the settings that processes share, and not the units."""
    name = load({}, DEPLOY / ".env.example").settings.dead_letters_file
    assert name is not None
    assert f"DEAD_LETTERS_FILE={name}" in (DEPLOY / "Dockerfile").read_text("utf-8").split()
    assert "DEAD_LETTERS_FILE" not in UNITS
    (folder,) = re.findall(r"^StateDirectory=(\S+)$", UNITS, re.MULTILINE)
    assert name.parent == Path("/var/lib") / folder
    assert f"files:{name.parent}" in COMPOSE["monitor"]["volumes"]


def test_a_process_has_time_to_stop() -> None:
    least_s = ServerSettings().grace_s + END_S
    page = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    times = [COMPOSE[role]["stop_grace_period"].removesuffix("s") for role in ALL_ROLES]
    times += re.findall(r"^TimeoutStopSec=(\d+)$", UNITS, re.MULTILINE)
    times += re.findall(r"terminationGracePeriodSeconds: (\d+)", page)
    assert len(times) == len(ALL_ROLES) + 2
    assert min(map(int, times)) > least_s


async def test_the_redis_of_the_compose_file_passes_the_check_without_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server, *options = COMPOSE["redis"]["command"]
    assert server == "redis-server"
    given = dict(zip([name.removeprefix("--") for name in options[::2]], options[1::2], strict=True))
    async with EmbeddedRedis(config={**DEFAULTS_OF_REDIS, **given}) as redis:
        monkeypatch.setenv("REDIS_URL", redis.url)
        code = await asyncio.to_thread(cli.main, ["check"])
    assert (code, capsys.readouterr().out.splitlines()[-1]) == (
        0,
        "OK: nothing breaks the guarantees; 0 warnings",
    )
