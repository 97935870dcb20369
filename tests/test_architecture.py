"""The house rules that a machine can check: import rules, sizes, paths, and what the built wheel carries."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ("queue_core", "sim", "reports", "loadtests")
LINES_OF_A_FILE_MAX = 430
LINES_OF_A_TEST_FILE_MAX = 800
LINES_OF_A_FUNCTION_MAX = 60
HEAVY = {
    "matplotlib", "simpy", "locust", "fakeredis", "pandas", "numpy", "jinja2", "rich",
    "aiohttp", "pydantic", "prometheus_client", "dotenv", "markdown_it",
}  # fmt: skip


def tracked_files() -> list[Path]:
    """Return the files that git tracks or would track; outside a checkout, all files of the packages."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return [REPOSITORY / name for name in listed.stdout.splitlines() if (REPOSITORY / name).is_file()]
    return [path for package in PACKAGES for path in (REPOSITORY / package).rglob("*") if path.is_file()]


def sources() -> list[Path]:
    return [path for path in tracked_files() if path.suffix == ".py"]


def test_import_rules_hold_and_a_breach_is_found(tmp_path: Path) -> None:
    """Run import-linter as `make lint` does, then on a copy in which queue_core imports sim."""
    linter = Path(sysconfig.get_path("scripts")) / "lint-imports"
    command = [str(linter), "--no-cache"]
    good = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert good.returncode == 0, good.stdout
    for package in PACKAGES:
        for path in (REPOSITORY / package).rglob("*.py"):
            copy = tmp_path / path.relative_to(REPOSITORY)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    (tmp_path / "pyproject.toml").write_bytes((REPOSITORY / "pyproject.toml").read_bytes())
    with (tmp_path / "queue_core" / "policy.py").open("a") as policy:
        policy.write("\nimport sim.engine.loop\n")
    bad = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert bad.returncode == 1, bad.stdout + bad.stderr
    assert "queue_core.policy -> sim.engine.loop" in bad.stdout


def touches_of_redis(source: str) -> list[str]:
    """Return the expressions that use the client or the keys of a queue."""
    nodes = list(ast.walk(ast.parse(source)))
    called = [node.func for node in nodes if isinstance(node, ast.Call)]
    return [
        ast.unparse(node)
        for node in nodes
        if isinstance(node, ast.Attribute)
        and (node.attr == "redis" or (node.attr == "keys" and node not in called))
    ]


def test_only_the_queue_touches_its_redis_and_its_keys() -> None:
    assert touches_of_redis("await queue.redis.get(queue.keys.of(a, b).queue)") == [
        "queue.redis",
        "queue.keys",
    ]
    assert touches_of_redis("names.keys()") == []
    inside = {"queue", "redis", "legacy"}
    for path in (REPOSITORY / "queue_core").rglob("*.py"):
        if path.relative_to(REPOSITORY).parts[1] not in inside:
            assert touches_of_redis(path.read_text("utf-8")) == [], f"{path}: ask the queue instead"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text("utf-8")
    lines_max = LINES_OF_A_TEST_FILE_MAX if "tests" in path.parts else LINES_OF_A_FILE_MAX
    assert text.count("\n") <= lines_max
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= LINES_OF_A_FUNCTION_MAX, f"{node.name} has {lines} lines"


def test_no_pattern_has_a_possessive_group() -> None:
    """Python 3.11.2, that of Debian 12, misreads a possessive quantifier behind a group with alternatives."""
    possessive_group = re.compile(r"\)(?:[*+?]|\{[\d,]+\})\+")
    assert [path for path in sources() if possessive_group.search(path.read_text("utf-8"))] == []


def test_no_file_has_a_local_absolute_path() -> None:
    local = re.compile(r"(?<![\w.-])/(?:work|root|home|Users)/")
    for path in tracked_files():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:  # a picture
            continue
        assert not local.search(text), path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True, timeout=100)
    return next(folder.glob("*.whl"))


def test_the_wheel_carries_everything_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in PACKAGES:
        assert f"{package}/py.typed" in names, "without it a type checker ignores the package"
        for path in (REPOSITORY / package).rglob("*"):
            parts = path.relative_to(REPOSITORY).parts
            if path.is_file() and "__pycache__" not in parts and parts[:2] != ("reports", "out"):
                assert path.relative_to(REPOSITORY).as_posix() in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {*PACKAGES, "burstqueue"}
    assert not any(name.startswith("reports/out") for name in names)


def test_the_wheel_works_without_the_repository(wheel: Path, tmp_path: Path) -> None:
    """The wheel, unpacked outside the repository, can be imported, and its command line replays a recording."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    recording = tmp_path / "one.jsonl"
    recording.write_text('{"event":"message","at":0,"instance":"b","phone":"p","id":"m1","text":"hello"}\n')
    environment = {"PYTHONPATH": str(tmp_path / "installed"), "PATH": "/usr/bin:/bin"}
    code = "import queue_core; print(queue_core.__file__)"
    imported = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert imported.stdout.strip().startswith(str(tmp_path))
    replayed = subprocess.run(
        [sys.executable, "-m", "sim", "replay", "one.jsonl"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    assert (tmp_path / "reports" / "out" / "replay.html").stat().st_size > 1_000


def test_a_worker_needs_none_of_the_heavy_libraries() -> None:
    code = (
        "import sys, queue_core, queue_core.redis_server.embedded; "
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "queue_core" in loaded
    assert not HEAVY & set(loaded)
