"""Parser for the command lines of queue_core, sim and loadtests; each says its errors in its own form."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from typing import Any

SIMILARITY_MIN = 0.75
"""Least similarity of two names, as difflib counts it. `--rat` is taken for `--rate`, but not `--out` for `--bot`."""


class CommandParser(argparse.ArgumentParser):
    """Parser that takes whole names of options only, and names the option that an unknown one resembles."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; words that are left over are an error of the command that they were typed for."""
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}{self._hint(unknown)}")
        return options, unknown

    def _hint(self, unknown: Sequence[str]) -> str:
        shown = [action for action in self._actions if action.help != argparse.SUPPRESS]
        names = [name.removeprefix("--") for action in shown for name in action.option_strings]
        name = unknown[0].removeprefix("--").partition("=")[0]
        close = difflib.get_close_matches(name, names, n=1, cutoff=SIMILARITY_MIN)
        return f" (did you mean --{close[0]}?)" if close else ""
