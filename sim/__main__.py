"""`python -m sim`."""

from __future__ import annotations

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
    sys.exit(_run())
