"""Commands in messages, as the reader can type them: with the interpreter and the file of settings of this process."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

_env_file: ContextVar[str] = ContextVar("env_file", default="")


def typed(words: str) -> str:
    """Write the commands in `words`, which begin with `python -m`, as they must be typed here.

    `python` becomes the interpreter as it was called, and `--env-file`, if it was given, stands in commands of
    `queue_core`.
    """
    called = words.replace("python -m ", f"{shlex.quote(interpreter())} -m ")
    if env_file := _env_file.get():
        called = called.replace("-m queue_core ", f"-m queue_core --env-file {shlex.quote(env_file)} ")
    return called


def interpreter() -> str:
    """Name the interpreter as it was called, relative to the working directory if it lies below it.

    An absolute path elsewhere becomes `python`, so that messages and pages do not name the folders of a machine.
    """
    called = Path(sys.orig_argv[0] if sys.orig_argv else "python")
    if not called.is_absolute():
        return str(called)
    with suppress(OSError, ValueError):  # the working directory was deleted; the interpreter lies elsewhere
        return str(called.relative_to(Path.cwd()))
    return "python"


@contextmanager
def with_env_file(path: str | None) -> Iterator[None]:
    """Let the commands in messages repeat `--env-file`, if it was given, until the end of the block."""
    token = _env_file.set(path or "")
    try:
        yield
    finally:
        _env_file.reset(token)
