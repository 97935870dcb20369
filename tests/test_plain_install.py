"""Commands after a plain `pip install .`, which installs only redis and msgspec: each names the missing package."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def plain_packages(tmp_path: Path) -> Path:
    """A folder with the packages of a plain installation."""
    folder = tmp_path / "packages"
    folder.mkdir()
    for package in ("msgspec", "redis"):
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        (folder / package).symlink_to(Path(spec.origin).parent)
    return folder


def run(packages: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module with the plain packages only: `-S` hides all other installed packages."""
    return subprocess.run(
        [sys.executable, "-S", "-m", *arguments],
        cwd=packages.parent,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{packages}:{REPOSITORY}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        ("queue_core serve", "server,embedded"),
        ("sim replay logs/", "sim"),
        ("reports build x.json", "reports"),
        ("loadtests run", "load"),
    ],
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    plain_packages: Path, command: str, extra: str
) -> None:
    """The message is one line and installs from the checkout, not by a name that anybody could register."""
    ended = run(plain_packages, *command.split())
    assert ended.returncode == 2
    name = command.split(maxsplit=1)[0]
    assert re.fullmatch(
        rf"{name}: the package \w+ is missing: in the checkout of burstqueue, type "
        rf"pip install -e '\.\[{extra}\]', or make (serve|replay|load)\n",
        ended.stderr,
    )


def test_nothing_advises_to_install_a_name_from_an_index() -> None:
    folders = (
        REPOSITORY / "queue_core",
        REPOSITORY / "sim",
        REPOSITORY / "reports",
        REPOSITORY / "loadtests",
    )
    files = [path for folder in folders for path in folder.rglob("*.py")] + [REPOSITORY / "README.md"]
    assert [path for path in files if "install burstqueue" in path.read_text("utf-8").replace("'", "")] == []


def test_the_redis_command_needs_no_other_packages(plain_packages: Path) -> None:
    ended = run(plain_packages, "queue_core", "redis", "--help")
    assert ended.returncode == 0, ended.stderr
    assert "REDIS_URL" in ended.stdout
