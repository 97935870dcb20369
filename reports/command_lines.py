"""Commands in messages, as the reader can type them: with the interpreter of this process."""

from __future__ import annotations

import shlex
import sys
from contextlib import suppress
from pathlib import Path


def typed(words: str) -> str:
    """Write the commands in `words`, each `python -m …`, with the interpreter as it was called."""
    return words.replace("python -m ", f"{shlex.quote(interpreter())} -m ")


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
