"""The folder as Locust loads it: every module under its bare name."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import loadtests

FOLDER = Path(loadtests.__file__).parent
MODULES = [path for path in sorted(FOLDER.rglob("*.py")) if not path.name.startswith("_")]


@pytest.mark.parametrize("name", sorted({path.stem for path in MODULES} - {"locustfile"}))
def test_no_module_has_the_name_of_a_library(name: str) -> None:
    assert name not in sys.stdlib_module_names
    assert importlib.util.find_spec(name) is None


def test_no_module_but_the_locustfile_has_users_or_an_effect_when_it_is_loaded_by_its_bare_name() -> None:
    """Load the modules as Locust does, in a fresh process, and count listeners and threads."""
    code = (
        "import sys, threading; from locust import events; from locust.util.load_locustfile import load_locustfile\n"
        "def listeners(): return sum(len(hook._handlers) for hook in vars(events).values())\n"
        "users, before = set(), listeners()\n"
        "for path in sys.argv[1:]: users |= load_locustfile(path)[0].keys()\n"
        "print(sorted(users), listeners() - before, threading.active_count())"
    )

    def loaded(paths: list[Path]) -> str:
        command = [sys.executable, "-c", code, *map(str, paths)]
        return subprocess.run(
            command, cwd=FOLDER.parent, capture_output=True, text=True, check=True
        ).stdout.strip()

    assert loaded([path for path in MODULES if path.name != "locustfile.py"]) == "[] 0 1"
    assert loaded(MODULES) == "['WhatsApp'] 5 1"


def test_the_options_of_the_load_are_options_of_locust_too() -> None:
    """A wrong name is refused with a list of the names."""
    command = [sys.executable, "-m", "locust", "-f", "loadtests", "--headless", "--scenario", "stom"]
    ended = subprocess.run(command, cwd=FOLDER.parent, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "'steady', 'bursts', 'recorded', 'storm', 'ramp', 'soak'" in ended.stderr


@pytest.mark.parametrize("name", ["msgspec", "aiohttp", "matplotlib", "psutil", "simpy"])
def test_a_missing_package_is_named_whichever_file_locust_loads_first(name: str) -> None:
    """The file system decides the order; no file may import a missing package before the folder's own modules.

    Locust goes on where a file needs no package, and ends at the first that does.
    """
    code = (
        "import sys; from locust.util.load_locustfile import load_locustfile\n"
        f"sys.modules[{name!r}] = None\n"
        "for path in sys.argv[1:]:\n"
        "    try: load_locustfile(path)\n"
        "    except SystemExit as ended: print(path, ended.code)\n"
        "    for known in [known for known in sys.modules if known.startswith('loadtests')]: del sys.modules[known]\n"
    )
    first = [str(path) for path in MODULES if path.parent == FOLDER]
    command = [sys.executable, "-c", code, *first]
    ended = subprocess.run(command, cwd=FOLDER.parent, capture_output=True, text=True, check=True)
    refused = ended.stdout.splitlines()
    message = (
        f"loadtests: the package {name} is missing: in the checkout of burstqueue, type "
        "pip install '.[load]', or make load\n"
    )
    assert ended.stderr == message * len(refused)
    assert {*refused} <= {f"{path} 2" for path in first}
    assert f"{FOLDER / 'locustfile.py'} 2" in refused
