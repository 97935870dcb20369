"""`python -m sim`."""

from __future__ import annotations

import os
import sys

INTERRUPTED = 130


def _run() -> int:
    try:
        from sim.cli import main  # noqa: PLC0415 - importing takes a second, in which Ctrl-C must end as cleanly

        return main()
    except KeyboardInterrupt:
        print("sim: interrupted", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    code = _run()
    if code == INTERRUPTED:
        # The pool's threads may wait for ever for processes that were killed in the middle of a hand-over.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
