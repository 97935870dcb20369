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


@pytest.mark.parametrize("has_packages", [True, False], ids=["plain", "nothing"])
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
    plain_packages: Path, tmp_path: Path, command: str, extra: str, has_packages: bool
) -> None:
    """The message is one line and installs from the checkout, not by a name that anybody could register."""
    ended = run(plain_packages if has_packages else tmp_path / "none", *command.split())
    assert ended.returncode == 2
    name = command.split(maxsplit=1)[0]
    assert re.fullmatch(
        rf"{name}: the package \w+ is missing: in the checkout of burstqueue, type "
        rf"pip install '\.\[{extra}\]', or make "
        r"(serve; without it only the command `redis` works|replay|load)\n",
        ended.stderr,
    )


def test_a_program_that_imports_the_queue_without_its_packages_gets_the_error(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-S", "-c", "import queue_core"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'msgspec'"


def test_nothing_advises_to_install_a_name_from_an_index() -> None:
    folders = (
        REPOSITORY / "queue_core",
        REPOSITORY / "sim",
        REPOSITORY / "reports",
        REPOSITORY / "loadtests",
    )
    files = [path for folder in folders for path in folder.rglob("*.py")] + [REPOSITORY / "README.md"]
    assert [path for path in files if "install burstqueue" in path.read_text("utf-8").replace("'", "")] == []


def test_the_redis_command_needs_no_packages(tmp_path: Path) -> None:
    ended = run(tmp_path / "none", "queue_core", "redis", "--help")
    assert ended.returncode == 0, ended.stderr
    assert "REDIS_URL" in ended.stdout


WITH_ONE_EXTRA = """
import importlib.metadata as metadata, re, runpy, sys, tomllib
from packaging.requirements import Requirement

extras = tomllib.load(open(sys.argv[1], "rb"))["project"]["optional-dependencies"]
known, fresh = set(), [Requirement("redis"), Requirement("msgspec")]
fresh += [Requirement(f"burstqueue[{sys.argv[2]}]")]
while fresh:
    requirement = fresh.pop()
    name = re.sub("[-_.]+", "-", requirement.name).lower()
    if (name, *requirement.extras) in known:
        continue
    known.add((name, *requirement.extras))
    if name == "burstqueue":
        fresh += [Requirement(text) for extra in requirement.extras for text in extras[extra]]
        continue
    try:
        needed = [Requirement(text) for text in metadata.requires(name) or ()]
    except metadata.PackageNotFoundError:
        continue  # for another system or Python
    fresh += [
        each for each in needed
        if not each.marker or any(each.marker.evaluate({"extra": extra}) for extra in ("", *requirement.extras))
    ]
names = {name for name, *_ in known}
hidden = {
    module for module, owners in metadata.packages_distributions().items()
    if not any(re.sub("[-_.]+", "-", owner).lower() in names for owner in owners)
} - {"queue_core", "sim", "reports", "loadtests"}

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

assert "pytest" in hidden
sys.meta_path.insert(0, Hide())
module, sys.argv[1:] = sys.argv[3], sys.argv[4:]
runpy.run_module(module, run_name="__main__")
"""
"""Program that runs a module with the packages of one extra only: all other packages are hidden."""


def test_replays_and_reports_need_no_more_than_the_extra_sim(tmp_path: Path) -> None:
    """`make replay` installs that extra only, and every command of `sim` loads the importers."""
    log = REPOSITORY / "logs" / "incident.jsonl"
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            WITH_ONE_EXTRA,
            str(REPOSITORY / "pyproject.toml"),
            "sim",
            "sim",
            "replay",
            str(log),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (tmp_path / "reports" / "out" / "replay.html").exists()
